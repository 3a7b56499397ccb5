"""What a run goes on from: the last checkpoint that is whole, of the right run, with nothing forgotten."""

import contextlib
import logging
import math
import os
import shutil
import time
from pathlib import Path
from types import SimpleNamespace

import lightning.pytorch as L
import pytest
import torch
from hydra import compose, initialize_config_dir
from lightning.pytorch.callbacks import ModelCheckpoint
from omegaconf import OmegaConf

import src.training.checkpoint
from src.errors import UserError
from src.model.torch_files import check_archive
from src.training.callbacks import (
    BestCheckpoint,
    RandomState,
    SaveEvery,
    StopEarly,
    StopSafely,
    TrainingStopped,
    better,
)
from src.training.checkpoint import AtomicCheckpointIO
from src.training.progress import EpochLine
from src.training.resume import (
    check_resume,
    find_last,
    open_checkpoint,
    outputs_below,
    shared_settings,
    take_over,
)
from tests.conftest import ROOT
from tests.test_lit_module import loader, trainer
from tests.test_training_checkpoint import Losses, fit
from tests.tiny import tiny_module, tiny_split


def flip(file: Path) -> None:
    whole = bytearray(file.read_bytes())
    whole[len(whole) // 2] ^= 1
    file.write_bytes(bytes(whole))


def cut(file: Path) -> None:
    os.truncate(file, file.stat().st_size // 2)


# --- the last two ---


def test_the_last_two_are_kept_and_the_older_costs_no_writing(tmp_path) -> None:
    io, last, previous = AtomicCheckpointIO(), tmp_path / "last.ckpt", tmp_path / "previous.ckpt"
    for i in range(4):
        before = last.stat().st_ino if i else None
        io.save_checkpoint({"i": i}, last)
        assert (previous.stat().st_ino if i else None) == before, "the same file under another name"
    assert [io.load_checkpoint(f)["i"] for f in (last, previous)] == [3, 2]
    io.save_checkpoint({}, tmp_path / "best.ckpt")
    io.save_checkpoint({}, tmp_path / "best.ckpt")
    assert {f.name for f in tmp_path.iterdir()} == {"last.ckpt", "previous.ckpt", "best.ckpt"}


def test_without_second_names_on_the_file_system_they_are_kept_too(tmp_path, monkeypatch) -> None:
    def refuse(*_) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(os, "link", refuse)
    test_kept_through_a_stop_anywhere(tmp_path)


def test_kept_through_a_stop_anywhere(tmp_path) -> None:
    """Stopped before or after any of a save's steps on the disk, one of the last two is whole, and the save after works."""
    steps = ["replace", "link", "fsync"]

    class Stop(BaseException):
        pass

    for step in steps:
        for count in range(4):
            for after in (False, True):
                folder = tmp_path / f"{step}{count}{after}"
                io, last = AtomicCheckpointIO(), folder / "last.ckpt"
                for i in range(2):
                    io.save_checkpoint({"i": i}, last)
                real, seen = getattr(os, step), []

                def stopping(*a, real=real, seen=seen, count=count, after=after):
                    seen.append(1)
                    if len(seen) == count + 1 and not after:
                        raise Stop
                    real(*a)
                    if len(seen) == count + 1 and after:
                        raise Stop

                with pytest.MonkeyPatch.context() as patch:
                    patch.setattr(os, step, stopping)
                    with contextlib.suppress(Stop):
                        io.save_checkpoint({"i": 2}, last)
                found = [f for f in (last, folder / "previous.ckpt") if f.exists()]
                assert io.load_checkpoint(found[0])["i"] in (1, 2)
                for i in (3, 4):
                    io.save_checkpoint({"i": i}, last)
                assert [io.load_checkpoint(f)["i"] for f in (last, folder / "previous.ckpt")] == [4, 3]
                assert {f.name for f in folder.iterdir()} == {"last.ckpt", "previous.ckpt"}


@pytest.mark.parametrize("damage", [flip, cut, Path.unlink])
def test_a_damaged_checkpoint_is_skipped_for_the_one_before_bit_for_bit(tmp_path, caplog, damage) -> None:
    whole, first, second = Losses(), Losses(12), Losses()
    straight, _ = fit(tmp_path / "a", whole)
    with pytest.raises(TrainingStopped):
        fit(tmp_path / "b", first)
    damage(tmp_path / "b" / "last.ckpt")
    path, checkpoint = open_checkpoint(tmp_path / "b" / "last.ckpt")
    assert path.name == "previous.ckpt" and checkpoint["global_step"] == 10
    assert "last.ckpt" in caplog.text and f"Going on from the checkpoint before it, {path}" in caplog.text
    take_over(path, tmp_path / "b")
    resumed, _ = fit(tmp_path / "b", second, ckpt_path=path)
    assert first.values[:10] + second.values == whole.values
    assert all(map(torch.equal, straight.state_dict().values(), resumed.state_dict().values()))
    for name in ("last.ckpt", "previous.ckpt"):
        check_archive(tmp_path / "b" / name)


def test_without_the_hash_a_flipped_bit_is_trained_on(tmp_path, monkeypatch) -> None:
    """The remedy is what makes the test above pass."""
    monkeypatch.setattr(src.training.checkpoint, "check_archive", lambda path: None)
    first = Losses(12)
    with pytest.raises(TrainingStopped):
        fit(tmp_path, first)
    last = tmp_path / "last.ckpt"
    whole = torch.load(last, weights_only=True)["state_dict"]
    content = bytearray(last.read_bytes())
    weight = next(iter(whole.values()))
    content[content.index(weight.numpy().tobytes()[:64]) + 3] ^= 1
    last.write_bytes(bytes(content))
    path, checkpoint = open_checkpoint(last)
    assert path == last and not torch.equal(next(iter(checkpoint["state_dict"].values())), weight)


def test_two_damaged_checkpoints_are_two_faults_of_one_message(tmp_path) -> None:
    fit(tmp_path, Losses(), epochs=2)
    flip(tmp_path / "last.ckpt")
    cut(tmp_path / "previous.ckpt")
    with pytest.raises(UserError) as error:
        open_checkpoint(tmp_path / "last.ckpt")
    assert [f.split(": ")[0] for f in error.value.faults] == [
        f"ckpt_path={tmp_path / name}" for name in ("last.ckpt", "previous.ckpt")
    ]


def test_a_damaged_best_is_not_taken_over_and_does_not_keep_later_ones_away(tmp_path, caplog) -> None:
    fit(tmp_path / "a", Losses(), epochs=2)
    flip(tmp_path / "a" / "best.ckpt")
    shutil.copytree(tmp_path / "a", tmp_path / "c")
    take_over(tmp_path / "a" / "last.ckpt", tmp_path / "b")
    assert "The best of the epochs so far is lost" in caplog.text
    _, run = fit(tmp_path / "b", Losses(), ckpt_path=tmp_path / "a" / "last.ckpt", epochs=3)
    check_archive(tmp_path / "b" / "best.ckpt")
    take_over(tmp_path / "c" / "last.ckpt", tmp_path / "c")
    _, run = fit(tmp_path / "c", Losses(), ckpt_path=tmp_path / "c" / "last.ckpt", epochs=3)
    check_archive(tmp_path / "c" / "best.ckpt")
    assert run.checkpoint_callbacks[0].best_model_score == run.callback_metrics["val/pair_f1"]


# --- full disks ---


def test_a_full_disk_ends_in_words_and_leaves_the_checkpoint_before(tmp_path) -> None:
    """A real limit of the system, on the size of files; in a process of its own."""
    pid = os.fork()
    if pid == 0:
        import resource

        status = 1
        try:
            io = AtomicCheckpointIO()
            io.save_checkpoint({"w": torch.zeros(1000)}, tmp_path / "last.ckpt")
            resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))
            try:
                io.save_checkpoint({"w": torch.zeros(100_000)}, tmp_path / "last.ckpt")
            except UserError as error:
                (tmp_path / "said").write_text(str(error))
                status = 0
        finally:
            os._exit(status)
    assert os.waitpid(pid, 0)[1] == 0
    said = (tmp_path / "said").read_text()
    assert "last.ckpt: cannot be written: File too large" in said
    assert f"earlier checkpoints are whole, and ckpt_path={tmp_path}/last.ckpt goes on" in said
    assert len(AtomicCheckpointIO().load_checkpoint(tmp_path / "last.ckpt")["w"]) == 1000
    assert {f.name for f in tmp_path.iterdir()} == {"last.ckpt", "said"}


def test_written_in_place_a_full_disk_costs_the_checkpoint(tmp_path) -> None:
    """The remedy is what makes the test above pass: torch.save alone writes over what was there."""
    torch.save({"w": torch.zeros(1000)}, tmp_path / "last.ckpt")

    class Full:
        def __init__(self, file) -> None:
            self.file, self.room = file, 50_000

        def write(self, data) -> int:
            self.room -= len(data)
            if self.room < 0:
                raise OSError(28, "No space left on device")
            return self.file.write(data)

        def flush(self) -> None:
            self.file.flush()

    with (tmp_path / "last.ckpt").open("wb") as file, pytest.raises(Exception, match="unexpected pos"):
        torch.save({"w": torch.zeros(100_000)}, Full(file))
    with pytest.raises(UserError, match="cut short"):
        check_archive(tmp_path / "last.ckpt")


# --- within an epoch, by the clock ---


def fit_by_the_clock(folder, losses, ckpt_path=None, accumulate=1, minutes=1e-9, stop_early=None):
    """As tests.test_training_checkpoint.fit, saving after every step that may be saved after."""
    L.seed_everything(3, verbose=False)
    module = tiny_module(seed=5, dropout=0.3, total_steps=20)
    callbacks = [
        losses,
        RandomState(),
        BestCheckpoint(folder, "best", "val/pair_f1", mode="max", enable_version_counter=False),
        SaveEvery(minutes, str(folder / "last.ckpt")),
        L.callbacks.ModelCheckpoint(folder, "last", save_on_train_epoch_end=True, enable_version_counter=False),
        StopEarly("val/pair_f1", mode="max", patience=50 if stop_early is None else stop_early),
        StopSafely(folder / "last.ckpt"),
    ]
    run = trainer(
        folder,
        max_epochs=4 if stop_early is None else 12,
        callbacks=callbacks,
        enable_checkpointing=True,
        plugins=[AtomicCheckpointIO()],
        accumulate_grad_batches=accumulate,
    )
    val = loader(tiny_split(16, 1), mode="sequential")
    run.fit(module, loader(tiny_split(40), seed=3), val, ckpt_path=ckpt_path, weights_only=True)
    return module, run


class Kept(Losses):
    """Copies every last.ckpt that is written, as a kill after it would have left it, and every epoch's mean loss."""

    def __init__(self, folder: Path | None = None) -> None:
        super().__init__()
        self.folder, self.epochs, self.rows = folder, [], []

    def on_train_batch_start(self, trainer, module, batch, batch_idx):
        if self.folder is not None and (self.folder / "last.ckpt").exists():
            shutil.copy(self.folder / "last.ckpt", self.folder / f"{len(self.values)}.kept")

    def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx):
        super().on_train_batch_end(trainer, module, outputs)
        self.rows.append(batch["row"].tolist())

    def on_train_epoch_end(self, trainer, module):
        self.epochs.append(trainer.callback_metrics["train/loss"].item())


@pytest.mark.slow
@pytest.mark.parametrize("accumulate", [1, 2])
def test_saved_by_the_clock_every_checkpoint_goes_on_bit_for_bit(tmp_path, accumulate) -> None:
    whole, folder = Kept(tmp_path), tmp_path
    straight, _ = fit_by_the_clock(folder, whole, accumulate=accumulate)
    plain = Kept()
    fit_by_the_clock(folder / "plain", plain, accumulate=accumulate, minutes=None)
    assert plain.values == whole.values and plain.epochs == whole.epochs, "saving disturbs nothing"
    kept = sorted((f for f in folder.glob("*.kept")), key=lambda f: int(f.stem))
    saved = [int(f.stem) for f in kept]
    assert saved == list(range(1, 20)) if accumulate == 1 else saved[0] == 2 and len(saved) == 18
    for file in kept[:: 3 if accumulate == 1 else 5]:
        done = torch.load(file, weights_only=True)["loops"]["fit_loop"]["epoch_loop.batch_progress"]["total"]["ready"]
        again = Kept()
        resumed, _ = fit_by_the_clock(folder / f"from{file.stem}", again, ckpt_path=file, accumulate=accumulate)
        assert whole.values[done:] == again.values and whole.rows[done:] == again.rows
        assert whole.epochs[-len(again.epochs) :] == again.epochs, "an epoch's mean loss is of the whole epoch"
        assert all(map(torch.equal, straight.state_dict().values(), resumed.state_dict().values()))


def test_the_clock_that_saves_is_not_the_one_that_is_set(tmp_path, monkeypatch) -> None:
    """Set back a day at every look, it would never come to a minute more."""
    set_back = iter(range(10**9, 0, -86_400))
    monkeypatch.setattr(time, "time", lambda: float(next(set_back)))
    kept = Kept(tmp_path)
    fit_by_the_clock(tmp_path, kept)
    assert len(list(tmp_path.glob("*.kept"))) == 19


# --- early stopping ---


def test_early_stopping_is_neither_forgotten_nor_outstayed(tmp_path, caplog) -> None:
    whole = Losses()
    _, run = fit_by_the_clock(tmp_path / "a", whole, minutes=None, stop_early=2)
    stopped = run.current_epoch
    assert stopped < 12
    first, second = Losses(5 * (stopped - 1) + 1), Losses()  # within the last epoch: the count is at patience - 1
    with pytest.raises(TrainingStopped):
        fit_by_the_clock(tmp_path / "b", first, minutes=None, stop_early=2)
    _, resumed = fit_by_the_clock(tmp_path / "b", second, tmp_path / "b" / "last.ckpt", minutes=None, stop_early=2)
    assert first.values + second.values == whole.values and resumed.current_epoch == stopped
    caplog.set_level(logging.INFO)
    caplog.clear()
    third = Losses()
    _, again = fit_by_the_clock(tmp_path / "b", third, tmp_path / "b" / "last.ckpt", minutes=None, stop_early=2)
    assert third.values == [] and again.current_epoch == stopped
    said = [
        text for text in caplog.messages if text.startswith("Early stopping ends the run: 2 epochs brought no better")
    ]
    assert len(said) == 1 and "callbacks.early_stopping.patience=10" in said[0], "it says so at every start that ends"
    _, longer = fit_by_the_clock(tmp_path / "b", third, tmp_path / "b" / "last.ckpt", minutes=None, stop_early=4)
    assert longer.current_epoch > stopped, "the patience that is set now counts"


def test_lightnings_own_early_stopping_outstays(tmp_path, monkeypatch) -> None:
    """The remedy is what makes the test above pass."""
    monkeypatch.setattr(StopEarly, "on_train_start", lambda *_: None)
    fit_by_the_clock(tmp_path, Losses(), minutes=None, stop_early=2)
    more = Losses()
    fit_by_the_clock(tmp_path, more, tmp_path / "last.ckpt", minutes=None, stop_early=2)
    assert more.values != []


class Figures(L.LightningModule):
    """Logs the given (val/pair_f1, val/loss), an epoch each."""

    def __init__(self, epochs: list[tuple[float, float]]) -> None:
        super().__init__()
        self.epochs, self.weight = epochs, torch.nn.Parameter(torch.zeros(1))

    def training_step(self, batch, batch_idx):
        return self.weight.sum()

    def validation_step(self, batch, batch_idx) -> None:
        for name, value in zip(("val/pair_f1", "val/loss"), self.epochs[self.current_epoch], strict=True):
            self.log(name, value)

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), 0.1)


def fit_figures(folder: Path, epochs: list[tuple[float, float]], patience: int = 50, most: int | None = None, **more):
    best = BestCheckpoint(folder, "best", "val/pair_f1", mode="max", enable_version_counter=False)
    last = ModelCheckpoint(folder, "last", save_on_train_epoch_end=True, enable_version_counter=False)
    line, stop = EpochLine("val/pair_f1"), StopEarly("val/pair_f1", mode="max", patience=patience)
    run = L.Trainer(
        max_epochs=most or len(epochs),
        callbacks=[best, stop, line, last],
        plugins=[AtomicCheckpointIO()],
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        accelerator="cpu",
        num_sanity_val_steps=0,
    )
    batches = torch.utils.data.DataLoader(torch.zeros(1, 1))
    run.fit(Figures(epochs), batches, batches, **more)
    kept = AtomicCheckpointIO().load_checkpoint(folder / "best.ckpt")["epoch"] + 1
    return kept, run.current_epoch


TIES = [(0.0, 0.9), (0.0, 0.8), (0.0, 0.7), (0.0, 0.75), (0.0, 0.7)]


def test_of_equal_figures_the_epoch_with_the_lower_loss_is_kept(tmp_path, caplog) -> None:
    caplog.set_level(logging.INFO)
    assert fit_figures(tmp_path / "ties", TIES) == (3, 5)
    assert [text.endswith("best so far") for text in caplog.messages if text.startswith("epoch")] == [True] * 3 + [
        False
    ] * 2
    assert fit_figures(tmp_path / "figure", [(0.1, 0.9), (0.2, 1.5), (0.15, 0.1)])[0] == 2, "the figure comes first"
    assert better(0.0, 0.9, (math.nan, 0.1)) and not better(math.nan, 0.1, (0.0, 0.9))
    assert better(0.1, 0.9, (0.2, 0.1), "min") and not better(0.1, math.inf, (0.1, math.inf))


def test_a_resumed_run_knows_the_loss_of_its_best_epoch(tmp_path) -> None:
    fit_figures(tmp_path, TIES[:3])
    later = [*TIES[:3], (0.0, 0.75), (0.0, 0.6)]
    assert fit_figures(tmp_path, later[:4], ckpt_path=tmp_path / "last.ckpt", weights_only=True)[0] == 3
    assert fit_figures(tmp_path, later, ckpt_path=tmp_path / "last.ckpt", weights_only=True)[0] == 5


def test_early_stopping_takes_a_lower_loss_for_better_where_the_figure_stays_and_says_when_it_ends(
    tmp_path, caplog
) -> None:
    caplog.set_level(logging.INFO)
    assert fit_figures(tmp_path / "falling", [(0.0, 1 - 0.1 * i) for i in range(6)], patience=2)[1] == 6
    assert "Early stopping" not in caplog.text
    assert fit_figures(tmp_path / "stuck", [(0.5, 0.3), *[(0.5, 0.4)] * 5], patience=2) == (1, 3)
    assert "Early stopping ends the run: 2 epochs brought no better val/pair_f1 than 0.5000" in caplog.text


# --- more epochs, fewer epochs, other runs ---


def test_more_epochs_say_what_becomes_of_the_schedule(tmp_path, caplog) -> None:
    caplog.set_level(logging.INFO)
    fit(tmp_path, Losses(), epochs=2)
    path, checkpoint = open_checkpoint(tmp_path / "last.ckpt")
    check_resume(path, checkpoint, tiny_module(dropout=0.3, total_steps=20), 4)
    assert "schedule" not in caplog.text
    check_resume(path, checkpoint, tiny_module(dropout=0.3, total_steps=40), 8)
    assert "The schedule (cosine) was laid out for 20 steps and is now stretched over 40" in caplog.text
    assert "after step 10 the rates go from 0.541 to 0.895 of the full ones" in caplog.text
    with pytest.raises(UserError, match=r"trainer.max_epochs=1: .*last.ckpt has 2 epochs behind it; set 2 or more"):
        check_resume(path, checkpoint, tiny_module(dropout=0.3, total_steps=5), 1)


def test_a_resume_with_other_labels_says_which(tmp_path) -> None:
    fit(tmp_path, Losses(), epochs=1)
    path, checkpoint = open_checkpoint(tmp_path / "last.ckpt")
    other = tiny_module(dropout=0.3, total_steps=20)
    other.hparams["aspects"] = ["Battery", "Camera", "Screen"]
    other.origin = {"training data": "abc"}
    with pytest.raises(UserError) as error:
        check_resume(path, checkpoint, other)
    assert "aspects was ['Battery', 'Camera', 'OTHERS'], is ['Battery', 'Camera', 'Screen']" in error.value.faults[0]
    assert "training data was None, is abc" in error.value.faults[1]


def composed(*overrides: str):
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        return compose("config", list(overrides))


def begun(folder: Path, *overrides: str, name: str = "last.ckpt", age: float = 0) -> Path:
    """What a run leaves that matters for finding it."""
    (folder / ".hydra").mkdir(parents=True)
    OmegaConf.save(composed(*overrides), folder / ".hydra" / "config.yaml")
    (folder / "checkpoints").mkdir()
    (folder / "checkpoints" / name).touch()
    os.utime(folder / "checkpoints" / name, (time.time() - age,) * 2)
    return folder / "checkpoints" / name


def test_last_is_the_newest_run_with_these_settings(tmp_path, caplog) -> None:
    caplog.set_level(logging.INFO)
    root = tmp_path / "outputs"
    old = begun(root / "d" / "1", "loss.gamma=1", age=300)
    other = begun(root / "d" / "3", "loss.gamma=3", age=100)
    mine = begun(root / "d" / "2", "loss.gamma=1", "trainer.max_epochs=2", "callbacks.early_stopping=null", age=200)
    (root / "d" / "4").mkdir()  # begun, and no checkpoint yet
    asked = composed("loss.gamma=1", "ckpt_path=last", "trainer.max_epochs=9")
    assert find_last(asked, root / "d" / "4", root) == mine
    assert f"the newest run with these settings, {mine} of " in caplog.text and "1 newer have other" in caplog.text
    mine.rename(mine.with_name("previous.ckpt"))  # no last.ckpt, as a kill can leave it without hard links
    assert find_last(asked, root / "d" / "4", root) == mine.with_name("previous.ckpt")
    shutil.rmtree(mine.parents[1])
    assert find_last(asked, root / "d" / "4", root) == old
    assert find_last(asked, other.parents[1], root) == other, "the run's own folder comes first, and is then checked"
    with pytest.raises(UserError, match=r"none of 2 runs below .* The newest, .*/d/3.*loss.gamma was 3, is 2"):
        find_last(composed("ckpt_path=last"), root / "d" / "4", root)
    (other.parents[1] / ".hydra" / "config.yaml").write_text("{")
    with pytest.raises(UserError, match=r"config\.yaml cannot be read"):
        find_last(composed("ckpt_path=last"), root / "d" / "4", root)
    with pytest.raises(UserError, match=r"no run below .* has a checkpoint"):
        find_last(asked, tmp_path / "x", tmp_path / "x")


def test_a_run_is_what_its_checkpoint_says_and_not_the_file_beside_it(tmp_path) -> None:
    root = tmp_path / "outputs"
    last = begun(root / "1", "loss.gamma=1")
    fit(tmp_path / "fitted", Losses(), epochs=1)
    checkpoint = AtomicCheckpointIO().load_checkpoint(tmp_path / "fitted" / "last.ckpt")
    checkpoint["origin"]["settings"] = shared_settings(composed("loss.gamma=3", "trainer.max_epochs=2"))
    AtomicCheckpointIO().save_checkpoint(checkpoint, last)
    assert find_last(composed("loss.gamma=3"), root / "2", root) == last
    with pytest.raises(UserError, match=r"loss\.gamma was 3, is 1"):
        find_last(composed("loss.gamma=1"), root / "2", root)
    module = tiny_module(dropout=0.3, total_steps=20)
    module.origin = {"settings": shared_settings(composed("loss.gamma=1", "model.encoder=moved"))}
    check_resume(last, checkpoint, module)  # by what the settings came to: the encoder itself, the data's hashes
    module.on_load_checkpoint(checkpoint)
    assert module.origin["settings"]["model.encoder"] == "moved", "what a run goes on with is found the next time"


def test_where_runs_write() -> None:
    assert outputs_below("outputs/${now:%Y-%m-%d}/${now:%H-%M-%S}") == Path("outputs")
    assert outputs_below("/a/runs/x-${now:%H}") == Path("/a/runs")
    assert outputs_below("runs/fixed") == Path("runs/fixed")
    assert outputs_below("${now:%H}") == Path()


def test_a_checkpoint_that_holds_anything_is_refused_in_bounded_words(tmp_path) -> None:
    nested: list = []
    for _ in range(60):
        nested = [nested, nested]  # in words: 10^18 brackets
    fit(tmp_path, Losses(), epochs=1)
    module = tiny_module(dropout=0.3, total_steps=20)
    path, checkpoint = open_checkpoint(tmp_path / "last.ckpt")
    checkpoint["hyper_parameters"]["pooling"] = nested
    module.origin["loss"] = {"gamma": 2.0}
    checkpoint["origin"]["loss"] = {f"{i}": nested for i in range(1_000)}
    AtomicCheckpointIO().save_checkpoint(checkpoint, path)
    with pytest.raises(UserError, match="pooling was ") as error:
        check_resume(*open_checkpoint(path), module)
    assert len(str(error.value)) < 3000
    for key, value in (("global_step", "x"), ("origin", None), ("loops", {}), ("hyper_parameters", [])):
        AtomicCheckpointIO().save_checkpoint(checkpoint | {key: value}, tmp_path / "x.ckpt")
        with pytest.raises(UserError, match=r"x\.ckpt: not a checkpoint of this project"):
            open_checkpoint(tmp_path / "x.ckpt")


def test_a_best_of_after_the_checkpoint_is_no_best_yet(tmp_path) -> None:
    """Resumed within the first epoch, from the one before a last.ckpt that was lost: best.ckpt is there already."""
    whole, first, second = Losses(), Losses(2), Losses()
    fit(tmp_path / "a", whole)
    with pytest.raises(TrainingStopped):
        fit(tmp_path / "b", first)
    shutil.copy(tmp_path / "a" / "best.ckpt", tmp_path / "b" / "best.ckpt")
    fit(tmp_path / "b", second, ckpt_path=tmp_path / "b" / "last.ckpt")
    assert first.values + second.values == whole.values
    best = [torch.load(tmp_path / run / "best.ckpt", weights_only=True)["state_dict"] for run in "ab"]
    assert all(map(torch.equal, best[0].values(), best[1].values()))


def test_a_run_resumed_within_an_epoch_tells_the_seconds_since(caplog) -> None:
    """That epoch does not start again; once it was told with the machine's uptime."""
    line, fake = EpochLine("val/pair_f1"), SimpleNamespace(callback_metrics={}, current_epoch=5, max_epochs=9)
    line.on_train_start(fake, None)
    with caplog.at_level("INFO", logger="src.training.progress"):
        line.on_train_epoch_end(fake, None)
    assert caplog.messages == ["epoch  6/9  0.0 s"]
