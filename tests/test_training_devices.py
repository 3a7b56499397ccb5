"""Several devices: what is refused and how, and the real script in two processes on the processor."""

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from lightning.pytorch.strategies import DDPStrategy

from src.answers.figures import DETECTION, evaluate, figures
from src.answers.predictions import read_predictions
from src.answers.thresholds import Thresholds
from src.datamodule import AspectDataModule
from src.errors import UserError
from src.judge.inference import predict_labelled
from src.lit_module import AspectSentimentModule
from src.model.metrics import UNTUNED
from src.runs.run import Run
from src.training.checks import check_config
from src.training.devices import ddp, processes, take_part
from src.training.resume import check_resume, open_checkpoint
from tests.conftest import ROOT, TINY, train
from tests.test_config import composed

TWO = ["trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=2"]


@pytest.fixture
def gpus(monkeypatch):
    def has(number: int) -> None:
        monkeypatch.setattr(torch.cuda, "is_available", lambda: number > 0)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: number)
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)

    return has


@pytest.mark.parametrize(
    ("number", "words", "message"),
    [
        (0, ["trainer.devices=2"], r"trainer.devices=2: .*one device; trainer=ddp trainer.devices=2 on several"),
        (4, ["trainer.devices=auto"], "trainer=ddp trainer.devices=auto on several"),
        (2, ["trainer=ddp", "trainer.devices=4"], "trainer.devices=4: torch finds 2 GPUs here"),
        (1, ["trainer=ddp", "trainer.devices=2"], "trainer.devices=2: torch finds 1 GPU here"),
        (2, ["trainer=ddp", "trainer.devices=0"], "trainer.devices=0: expected a number of devices, at least 1"),
        (2, ["trainer=ddp", "trainer.devices=[0,1]"], "CUDA_VISIBLE_DEVICES"),
        (2, ["+trainer.strategy=ddp_spawn"], "trainer.strategy=ddp_spawn: expected trainer=ddp or trainer=default"),
        (2, ["trainer=ddp", "trainer.num_nodes=2"], "trainer.num_nodes=2: each machine has to start its processes"),
    ],
)
def test_what_cannot_be_is_one_message(tmp_path, gpus, number, words, message) -> None:
    gpus(number)
    with pytest.raises(UserError, match=message) as error:
        check_config(composed(tmp_path, *words))
    assert len(error.value.faults) == 1


@pytest.mark.parametrize(
    ("number", "words", "expected"),
    [
        (0, ["trainer=ddp"], 1),
        (0, TWO, 2),
        (4, ["trainer=ddp"], 4),
        (4, ["trainer=ddp", "trainer.devices=3"], 3),
        (4, ["trainer.accelerator=gpu"], 1),
    ],
)
def test_how_many_processes(tmp_path, gpus, monkeypatch, number, words, expected) -> None:
    gpus(number)
    config = composed(tmp_path, *words)
    check_config(config)
    assert processes(config["trainer"]) == expected
    monkeypatch.setenv("LOCAL_RANK", "1")
    data = AspectDataModule("train.csv")
    take_part(data, config["trainer"])
    several = "cuda:1" if expected > 1 else "cuda"
    assert (data.rank, data.world_size, data.device) == (1, expected, several if number else "cpu")


def test_ddp_broadcasts_no_buffers() -> None:
    assert isinstance(ddp(), DDPStrategy) and ddp()._ddp_kwargs["broadcast_buffers"] is False


def test_in_a_multirun_it_is_refused_with_the_way_out(tmp_path, gpus) -> None:
    gpus(2)
    config = composed(tmp_path, "trainer=ddp")
    check_config(config)
    with pytest.raises(UserError, match=r"trainer=ddp in a multirun: .*one device per job"):
        check_config(config, multirun=True)


# --- the real script ---


@pytest.fixture(scope="module")
def two(tmp_path_factory) -> tuple[Path, str]:
    """A run of two processes, typed in a folder of its own, and what was printed."""
    folder = tmp_path_factory.mktemp("two")
    words = ["loss/alpha=null", "model.threshold=0.2", "trainer.max_epochs=2", "logger=tensorboard"]
    done = train(*TINY, *TWO, *words, cwd=folder)
    assert done.returncode == 0, done.stdout + done.stderr
    (run,) = folder.glob("outputs/*/*")
    assert [path.name for path in folder.iterdir()] == ["outputs"]
    return run, done.stdout + done.stderr


def test_one_process_writes_and_prints(two) -> None:
    folder, printed = two
    files = {str(f.relative_to(folder)) for f in folder.rglob("*") if f.is_file()}
    assert {f for f in files if not f.startswith("tensorboard/")} == {
        *(".hydra/config.yaml", ".hydra/hydra.yaml", ".hydra/overrides.yaml", "train.log", "metrics.csv"),
        "training_texts.npy",
        *("hparams.yaml", "summary.json", "checkpoints/best.ckpt", "checkpoints/last.ckpt"),
        *("predictions/val.jsonl", "predictions/test.jsonl"),
        *("checkpoints/previous.ckpt", "SHA256SUMS", ".lock"),
    }
    for once in ("Encoder:  ", "Epochs:  ", "epoch  1/2", "epoch  2/2", "All of it:", "Device:     2 x CPU (DDP)"):
        assert printed.count(once) == 1, printed
    assert not re.search("(?i)warn|recommended|deprecated|distributed", printed)


def test_steps_and_counts_are_those_of_the_whole_split(two) -> None:
    summary = Run(two[0]).read_summary()
    assert summary["steps"] == 2 * 7, "14 batches, two at a time"
    assert summary["processes"] == 2 and summary["loss"]["alpha"] is None
    assert np.array(summary["class_counts"]).sum() == 819
    checkpoint = torch.load(Run(two[0]).last, weights_only=True)
    assert checkpoint["hyper_parameters"]["total_steps"] == checkpoint["global_step"] == 14
    assert checkpoint["lr_schedulers"][0]["last_epoch"] == 14


def test_figures_equal_those_of_one_process_to_the_last_digit(two) -> None:
    """On the same checkpoint: by the process that stays, by another one, and while two were training."""
    run = Run(two[0])
    summary = run.read_summary()
    cut = Thresholds.from_dict(summary["thresholds"]).array
    for split, file in (("val", "validation"), ("test", "test")):
        again = predict_labelled(run, ROOT / "data" / "sample" / f"{file}.csv")[0]
        written = read_predictions(run.predictions(split), run.labels)
        assert len(written.ids) == len(set(written.ids)) == 80
        for name, threshold in (("figures", cut), ("figures_untuned", 0.2)):
            for predictions in (again, written):
                got = figures(evaluate(predictions, threshold), run.labels, "absa")
                assert {k: float(v) for k, v in got.items()} == summary[name][split]
    rows = [line.split(",") for line in (two[0] / "metrics.csv").read_text().splitlines()]
    logged = {n: [float(r[i]) for r in rows[1:] if r[i]] for i, n in enumerate(rows[0]) if n.startswith("val/")}
    best = int(np.argmax(logged["val/pair_f1"]))
    assert logged["val/pair_f1"][best] > 0.05
    assert np.float32(logged["val/pair_f1"][best]) == np.float32(summary["best"])
    for name, value in summary["figures_untuned"]["val"].items():
        column = name + UNTUNED * (name in DETECTION)
        assert np.float32(logged[f"val/{column}"][best]) == np.float32(value), name


def test_tensorboards_reader_finds_what_the_script_logged(two) -> None:
    """What every logger beside the CSV is told; of two processes one writes."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    folder, _ = two
    events = EventAccumulator(str(folder / "tensorboard"), size_guidance={"scalars": 0}).Reload()
    summary = json.loads((folder / "summary.json").read_text())
    for split in ("val", "test"):
        for name, value in summary["figures"][split].items():
            (point,) = events.Scalars(f"best/{split}/{name}")
            assert point.value == np.float32(value) and point.step == summary["steps"]
    assert len(events.Scalars("val/pair_f1")) == len(events.Scalars("train/loss")) == 2, "one process, two epochs"
    config = (folder / "tensorboard" / "hparams.yaml").read_text()
    assert "gamma: 2.0" in config and "tokens_per_batch" in config


def test_going_on_with_another_number_of_processes_is_refused(two) -> None:
    """Their batches are others."""
    last = Run(two[0]).last
    module = AspectSentimentModule.load_from_checkpoint(last, weights_only=True)
    _, checkpoint = open_checkpoint(last)
    check_resume(last, checkpoint, module)
    module.origin = module.origin | {"processes": 1}
    with pytest.raises(UserError, match="processes was 2, is 1"):
        check_resume(last, checkpoint, module)


@pytest.mark.slow
def test_a_sweep_of_it_is_refused_by_the_script(tmp_path) -> None:
    done = train("-m", *TINY, *TWO, "seed=1,2", f"hydra.sweep.dir={tmp_path}")
    assert done.returncode == 2 and "one device per job" in done.stderr


def alive(mark: str) -> list[str]:
    found = []
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = process.read_bytes().replace(b"\0", b" ").decode()
        except OSError:
            continue
        if mark in words and process.parent.name != str(os.getpid()):
            found.append(words)
    return found


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fail", "status", "says"),
    [
        ("step 1", 1, "RuntimeError: this step fails"),
        ("start 1", 2, "error: this start fails"),
        ("step 0", 1, "RuntimeError: this step fails"),
    ],
)
def test_an_error_in_one_process_ends_the_command(tmp_path, fail, status, says) -> None:
    """A bug in a step with its traceback, a user's mistake with its message; and nobody is left."""
    command = [sys.executable, str(ROOT / "tests" / "failing.py"), *TINY, *TWO, f"hydra.run.dir={tmp_path}/run"]
    process = subprocess.Popen(
        command, cwd=ROOT, env=os.environ | {"FAIL": fail}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    _, complaint = process.communicate(timeout=120)
    ended = time.time()
    assert process.returncode == status, complaint
    assert says in complaint
    assert ("Traceback" in complaint) == (status == 1)
    assert "connection" not in complaint.lower(), "what the other one saw is not the cause"
    assert alive(str(tmp_path)) == []
    assert ended - float(re.search(r"^at ([\d.]+)$", complaint, re.M)[1]) < 15
