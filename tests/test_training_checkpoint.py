"""Checkpoints are whole or absent, and a run that was stopped goes on as if it had not been."""

import os
import signal

import lightning.pytorch as L
import pytest
import torch
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint

from src.errors import UserError
from src.training.callbacks import BestCheckpoint, RandomState, StopEarly, StopSafely, TrainingStopped
from src.training.checkpoint import AtomicCheckpointIO
from src.training.progress import EpochLine
from src.training.resume import check_resume, open_checkpoint, take_over
from tests.test_lit_module import loader, trainer
from tests.tiny import tiny_module, tiny_split


class Losses(L.Callback):
    """Every training loss, and a stop at a given step by the signal a user would send."""

    def __init__(self, stop_at: int = -1, number: int = signal.SIGINT) -> None:
        self.values, self.stop_at, self.number = [], stop_at, number

    def on_train_batch_end(self, trainer, module, outputs, *_):
        self.values.append(outputs["loss"].item())

    def on_train_batch_start(self, trainer, *_):
        if trainer.global_step == self.stop_at:
            self.stop_at = -1  # once: a second signal would stop at once
            os.kill(os.getpid(), self.number)


def fit(folder, losses, ckpt_path=None, epochs=4, limit=1.0, accumulate=1):
    """As train.py fits: best, last, random state, safe stop; with dropout on."""
    L.seed_everything(3, verbose=False)
    module = tiny_module(seed=5, dropout=0.3, total_steps=20)
    callbacks = [
        losses,
        RandomState(),
        BestCheckpoint(folder, "best", "val/pair_f1", mode="max", enable_version_counter=False),
        ModelCheckpoint(folder, "last", save_on_train_epoch_end=True, enable_version_counter=False),
        EarlyStopping("val/pair_f1", mode="max", patience=50),
        StopSafely(folder / "last.ckpt"),
    ]
    run = trainer(
        folder,
        max_epochs=epochs,
        callbacks=callbacks,
        enable_checkpointing=True,
        plugins=[AtomicCheckpointIO()],
        gradient_clip_val=1.0,
        limit_train_batches=limit,
        accumulate_grad_batches=accumulate,
    )
    split = tiny_split(40)
    run.fit(
        module,
        loader(split, seed=3),
        loader(tiny_split(16, 1), mode="sequential"),
        ckpt_path=ckpt_path,
        weights_only=True,
    )
    return module, run


@pytest.mark.parametrize("stop_at", [0, 2, 4, 5, 7, 14])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_stopped_and_resumed_equals_uninterrupted_bit_for_bit(tmp_path, stop_at, number) -> None:
    whole = Losses()
    straight, run = fit(tmp_path / "a", whole)
    assert len(whole.values) == 20

    first, second = Losses(stop_at, number), Losses()
    with pytest.raises(TrainingStopped):
        fit(tmp_path / "b", first)
    resumed, resumed_run = fit(tmp_path / "b", second, ckpt_path=tmp_path / "b" / "last.ckpt")
    assert len(first.values) == stop_at + 1
    assert first.values + second.values == whole.values
    for (name, a), b in zip(straight.state_dict().items(), resumed.state_dict().values(), strict=True):
        assert torch.equal(a, b), name
    assert resumed_run.global_step == run.global_step == 20
    mine, its = (r.checkpoint_callbacks[0] for r in (run, resumed_run))
    assert mine.best_model_score == its.best_model_score


def test_resumed_at_an_epochs_end(tmp_path) -> None:
    whole = Losses()
    fit(tmp_path / "a", whole, limit=3)
    first, second = Losses(), Losses()
    fit(tmp_path / "b", first, epochs=2, limit=3)
    fit(tmp_path / "b", second, ckpt_path=tmp_path / "b" / "last.ckpt", limit=3)
    assert first.values + second.values == whole.values


def test_without_the_random_state_the_losses_differ(tmp_path, monkeypatch) -> None:
    """The remedy is what makes the test above pass."""
    monkeypatch.setattr(RandomState, "load_state_dict", lambda *_: None)
    whole, first, second = Losses(), Losses(7), Losses()
    fit(tmp_path / "a", whole)
    with pytest.raises(TrainingStopped):
        fit(tmp_path / "b", first)
    fit(tmp_path / "b", second, ckpt_path=tmp_path / "b" / "last.ckpt")
    assert first.values + second.values != whole.values


def test_signal_handlers_are_given_back(tmp_path) -> None:
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    with pytest.raises(TrainingStopped):
        fit(tmp_path, Losses(2))
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before
    fit(tmp_path, Losses(), epochs=1)
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


def test_a_failed_save_leaves_the_old_file(tmp_path, monkeypatch) -> None:
    io, path = AtomicCheckpointIO(), tmp_path / "x.ckpt"
    io.save_checkpoint({"a": 1}, path)

    def half(value, file) -> None:
        file.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", half)
    with pytest.raises(UserError, match="cannot be written: No space left on device"):
        io.save_checkpoint({"a": 2}, path)
    assert torch.load(path, weights_only=True) == {"a": 1}
    assert [f.name for f in tmp_path.iterdir()] == ["x.ckpt"]


def test_a_checkpoint_cannot_run_code(tmp_path) -> None:
    class Bomb:
        def __reduce__(self):
            return os.system, (f"touch {tmp_path}/boom",)

    torch.save({"state_dict": {}, "x": Bomb()}, tmp_path / "bomb.ckpt")
    with pytest.raises(UserError, match=r"bomb.ckpt: refused: it names code posix.system"):
        AtomicCheckpointIO().load_checkpoint(tmp_path / "bomb.ckpt")
    assert not (tmp_path / "boom").exists()


@pytest.mark.parametrize("stop_at", [0, 1, 2, 4])
def test_stopped_between_accumulated_batches_it_finishes_the_step_first(tmp_path, stop_at) -> None:
    whole, first, second = Losses(), Losses(), Losses()
    fit(tmp_path / "a", whole, accumulate=2)
    first.stop_at = stop_at
    with pytest.raises(TrainingStopped):
        fit(tmp_path / "b", first, accumulate=2)
    fit(tmp_path / "b", second, ckpt_path=tmp_path / "b" / "last.ckpt", accumulate=2)
    assert first.values + second.values == whole.values


def test_the_best_survives_a_move_to_another_folder(tmp_path) -> None:
    _, run = fit(tmp_path / "a", Losses(), epochs=2)
    callback = run.checkpoint_callbacks[0]
    callback.best_model_score = torch.tensor(0.99)
    callback.best_k_models = {callback.best_model_path: torch.tensor(0.99)}
    run.save_checkpoint(tmp_path / "a" / "last.ckpt")
    take_over(tmp_path / "a" / "last.ckpt", tmp_path / "b")
    _, resumed = fit(tmp_path / "b", Losses(), ckpt_path=tmp_path / "a" / "last.ckpt", epochs=4)
    assert resumed.checkpoint_callbacks[0].best_model_score == torch.tensor(0.99)
    assert (tmp_path / "b" / "previous.ckpt").exists(), "last.ckpt came along, and is the one before now"
    assert (tmp_path / "b" / "best.ckpt").read_bytes() == (tmp_path / "a" / "best.ckpt").read_bytes()


def test_a_resume_under_other_conditions_is_refused(tmp_path) -> None:
    module, _ = fit(tmp_path, Losses(), epochs=1)
    path, checkpoint = open_checkpoint(tmp_path / "last.ckpt")
    check_resume(path, checkpoint, module)
    check_resume(path, checkpoint, tiny_module(dropout=0.3, total_steps=99))
    other = tiny_module(dropout=0.1, head_lr=1e-9)
    other.tokenizer_json, other.origin = "{}", {"training data": "abc"}
    with pytest.raises(UserError) as error:
        check_resume(path, checkpoint, other)
    text = str(error.value)
    assert "dropout was 0.3, is 0.1" in text and "head_lr was 0.01, is 1e-09" in text
    assert "training data was None, is abc" in text and "the tokenizer is another one" in text
    (tmp_path / "x.ckpt").write_text("# README")
    with pytest.raises(UserError, match=r"x\.ckpt: is cut short, or no file of torch.save"):
        open_checkpoint(tmp_path / "x.ckpt")
    torch.save({"epoch": 1}, tmp_path / "x.ckpt")
    with pytest.raises(UserError, match=r"x\.ckpt: not a checkpoint of this project"):
        open_checkpoint(tmp_path / "x.ckpt")


def test_the_states_of_earlier_checkpoints_find_their_callbacks() -> None:
    """Lightning keeps a callback's state under its class's name without the module, which has been another before."""
    counts = {"every_n_train_steps": 0, "every_n_epochs": 1, "train_time_interval": None}
    monitored = {"monitor": "val/pair_f1", "mode": "max"}
    assert BestCheckpoint(None, "best", **monitored).state_key == f"BestCheckpoint{monitored | counts!r}"
    assert StopEarly(**monitored).state_key == f"StopEarly{monitored!r}"
    assert RandomState().state_key == "RandomState" and EpochLine("val/pair_f1").state_key == "EpochLine"
