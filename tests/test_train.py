"""The real script, end to end, on a 1-layer, 32-wide encoder: exact files, figures, words, resume, sweeps, mistakes."""

import csv
import json
import re
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from src.answers.calibration import fit_calibration
from src.answers.figures import evaluate, figures
from src.answers.predictions import read_predictions
from src.answers.thresholds import Thresholds, tune_thresholds
from src.data.convert import convert
from src.data.findings import text_keys
from src.labels import Labels
from src.lit_module import AspectSentimentModule
from src.runs.run import Run
from src.training.checkpoint import AtomicCheckpointIO
from tests.conftest import ROOT, TINY, read_texts, train
from tests.forking import Forked
from tests.test_datamodule import ROWS, write


def test_a_run_leaves_the_files_that_are_promised(trained) -> None:
    folder, _ = trained
    files = {str(f.relative_to(folder)) for f in folder.rglob("*") if f.is_file()}
    assert {f for f in files if not f.startswith("baselines/")} == {  # a cache that other tests' evaluations leave
        ".hydra/config.yaml",
        ".hydra/hydra.yaml",
        ".hydra/overrides.yaml",
        "training_texts.npy",
        "train.log",
        "metrics.csv",
        "hparams.yaml",
        "summary.json",
        "checkpoints/best.ckpt",
        "checkpoints/last.ckpt",
        "checkpoints/previous.ckpt",
        "SHA256SUMS",
        ".lock",
        "predictions/val.jsonl",
        "predictions/test.jsonl",
    }


def test_the_first_lines_say_what_is_trained_and_why(trained) -> None:
    _, printed = trained
    assert printed.startswith("Encoder: mini (as configured)")
    assert "The encoder starts from random weights" in printed
    assert "Epochs:     2 (from the command line; the config says 15)" in printed
    assert re.search(
        r"Pairs: +819: positive 356 \(43.47 %\), negative 326 \(39.80 %\), neutral 137 \(16.73 %\)", printed
    )
    assert "FocalLoss(gamma=2, alpha=[0.7669, 0.8374, 1.9927]), alpha auto" in printed
    assert re.search(r"epoch +2/2  train/loss \d\.\d+  val/loss \d\.\d+  val/pair_f1 \d\.\d+", printed)
    assert "Warning" not in printed


def epochs_logged(folder: Path) -> list[dict[str, str]]:
    """The rows of metrics.csv that hold figures of an epoch's validation."""
    with (folder / "metrics.csv").open(encoding="utf-8", newline="") as file:
        return [row for row in csv.DictReader(file) if row["val/pair_f1"]]


@pytest.mark.slow
def test_a_model_that_is_not_sure_of_anything_yet_is_monitored_all_the_same(tmp_path) -> None:
    """With these rates no probability reaches 0.5: at that threshold every epoch has 0, and the first would be kept."""
    words = [*TINY, "model.encoder_lr=1e-4", "model.head_lr=3e-4", "trainer.max_epochs=3", f"hydra.run.dir={tmp_path}"]
    done = train(*words)
    assert done.returncode == 0, done.stderr
    rows = epochs_logged(tmp_path)
    figures = [float(row["val/pair_f1"]) for row in rows]
    assert {float(row["val/pair_f1_untuned"]) for row in rows} == {0.0} and min(figures) > 0
    kept = AtomicCheckpointIO().load_checkpoint(tmp_path / "checkpoints" / "best.ckpt")["epoch"]
    assert figures[kept] == max(figures)
    assert "WARNING: the model has learned next to nothing: val/pair_f1 is 0." in done.stdout + done.stderr


def test_the_summary_holds_what_the_report_will_need(trained) -> None:
    folder, printed = trained
    summary = Run(folder).read_summary()
    assert summary["task"] == "absa" and summary["monitor"] == "val/pair_f1"
    logged = [float(row["val/pair_f1"]) for row in epochs_logged(folder)]
    assert summary["best"] == pytest.approx(max(logged), abs=1e-6), "as it was monitored: at the best cut"
    assert summary["figures_untuned"]["val"]["pair_f1"] <= summary["best"]
    assert summary["choices"]["loss"] == "focal" and summary["choices"]["model"] == "mini"
    assert summary["encoder"]["settings"]["encoder"] == "mini" and "sha256" not in summary["encoder"], "random weights"
    train_texts = read_texts(ROOT / "data" / "sample" / "train.csv", "data")
    assert np.array_equal(np.load(folder / "training_texts.npy"), np.unique(text_keys(train_texts)))
    assert {split: found["reviews"] for split, found in summary["trained_on"].items()} == {"val": 0, "test": 0}
    assert "None of the test split's" in printed and "texts was trained on" in printed
    assert summary["epochs"] == {"asked": 2, "run": 2}
    assert summary["steps"] == 2 * 14
    assert summary["encoder"]["name"] == "mini" and summary["encoder"]["pretrained"] is False
    assert summary["loss"]["alpha_setting"] == "auto"
    assert summary["data"]["splits"]["test"]["sha256"]
    assert np.array(summary["class_counts"]).sum() == 819
    assert summary["tokens_per_second"] > 0
    assert {"torch", "lightning"} <= summary["environment"]["packages"].keys()
    assert len(summary["per_aspect"]["test"]) == 11
    assert f"Parameters: {summary['parameters']:,}" in printed
    json.dumps(summary, allow_nan=False)


def test_figures_can_be_had_again_from_the_predictions_file(trained) -> None:
    folder, _ = trained
    run = Run(folder)
    for split in ("val", "test"):
        p = read_predictions(run.predictions(split), run.labels)
        summary = run.read_summary()
        tuned = Thresholds.from_dict(summary["thresholds"]).array
        for name, threshold in (("figures", tuned), ("figures_untuned", summary["threshold"])):
            got = figures(evaluate(p, threshold), run.labels, "absa")
            assert {k: float(v) for k, v in got.items()} == summary[name][split]


def test_thresholds_and_temperatures_come_from_validation_and_travel_in_the_checkpoint(trained) -> None:
    run = Run(trained[0])
    summary, val = run.read_summary(), read_predictions(run.predictions("val"), run.labels)
    assert summary["thresholds"] == tune_thresholds(val, run.labels).to_dict()
    assert summary["calibration"] == fit_calibration(val, run.labels).to_dict()
    kept = torch.load(run.best, weights_only=True)
    assert {k: kept[k] for k in ("thresholds", "calibration")} == {k: summary[k] for k in ("thresholds", "calibration")}


def test_the_best_checkpoint_is_the_best_epoch(trained) -> None:
    folder, _ = trained
    rows = [line.split(",") for line in (folder / "metrics.csv").read_text().splitlines()]
    column = rows[0].index("val/pair_f1")
    values = [float(row[column]) for row in rows[1:] if row[column]]
    assert len(values) == 2
    assert Run(folder).read_summary()["best"] == pytest.approx(max(values), abs=1e-6)


def test_a_checkpoint_loads_alone_offline(trained, tmp_path) -> None:
    """Without the run, the data or the hub: a process that is given the one file predicts from it."""
    folder, _ = trained
    shutil.copy(folder / "checkpoints" / "best.ckpt", tmp_path)
    module = AspectSentimentModule.load_from_checkpoint(tmp_path / "best.ckpt", weights_only=True).eval()
    from src.tokens.tokenizer import from_json

    tokenizer = from_json(module.tokenizer_json, 256)
    run = Run(folder)
    saved = read_predictions(run.predictions("test"), run.labels)
    for i in range(5):
        ids = torch.tensor([tokenizer.encode(saved.texts[i]).ids])
        with torch.no_grad():
            logits = module(ids, torch.ones_like(ids))
        assert np.allclose(logits["mentioned"][0].numpy(), saved.mentioned_logits[i], atol=1e-4)
    raw = torch.load(tmp_path / "best.ckpt", weights_only=True)
    assert Labels(tuple(raw["labels"]["aspects"])).aspects == run.labels.aspects


@pytest.mark.slow
def test_going_on_from_a_finished_run(trained, tmp_path) -> None:
    folder, _ = trained
    done = train(
        *TINY, "trainer.max_epochs=3", f"ckpt_path={folder}/checkpoints/last.ckpt", f"hydra.run.dir={tmp_path}"
    )
    assert done.returncode == 0, done.stderr
    assert "epoch  3/3" in done.stdout and "epoch  2/3" not in done.stdout
    first = (tmp_path / "metrics.csv").read_bytes()
    again = train(
        *TINY, "trainer.max_epochs=4", f"ckpt_path={tmp_path}/checkpoints/last.ckpt", f"hydra.run.dir={tmp_path}"
    )
    assert again.returncode == 0, again.stderr
    assert (tmp_path / "metrics.1.csv").read_bytes() == first, "going on in the same folder loses nothing"
    assert Run(tmp_path).read_summary()["epochs"] == {"asked": 4, "run": 4}


def test_ctrl_c_leaves_a_checkpoint_and_says_how_to_go_on(tmp_path) -> None:
    command = [sys.executable, "train.py", *TINY, "trainer.max_epochs=500", f"hydra.run.dir={tmp_path}"]
    process = Forked(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    deadline = time.monotonic() + 120
    lines = []
    while time.monotonic() < deadline:
        lines.append(process.stdout.readline())
        if lines[-1].startswith("epoch"):
            break
    process.send_signal(signal.SIGINT)
    rest, _ = process.communicate(timeout=60)
    assert process.returncode == 130, "".join(lines) + rest
    assert f"hydra.run.dir={tmp_path} ckpt_path=last" in rest
    assert "Traceback" not in rest
    torch.load(tmp_path / "checkpoints" / "last.ckpt", weights_only=True)


@pytest.mark.slow
def test_a_sweep_trains_every_combination(tmp_path) -> None:
    done = train(
        "-m",
        *TINY,
        "loss=focal,ce",
        "loss.gamma=0",
        "loss/alpha=auto,null",
        "trainer.max_epochs=1",
        "trainer.limit_train_batches=2",
        f"hydra.sweep.dir={tmp_path}",
    )
    assert done.returncode == 0, done.stdout + done.stderr
    summaries = [Run(tmp_path / str(i)).read_summary() for i in range(4)]
    seen = [(s["loss"]["_target_"].rpartition(".")[2], s["loss"]["alpha_setting"]) for s in summaries]
    assert seen == [(loss, alpha) for loss in ("FocalLoss", "CrossEntropyLoss") for alpha in ("auto", None)]
    for focal, ce in zip(summaries[:2], summaries[2:], strict=True):
        assert focal["figures"] == ce["figures"], "gamma 0 is cross entropy, and jobs do not disturb each other"


def test_a_bad_job_does_not_end_the_sweep(tmp_path) -> None:
    few = ["trainer.max_epochs=1", "trainer.limit_train_batches=1", f"hydra.sweep.dir={tmp_path}"]
    done = train("-m", *TINY, "model.pooling=max,mean", *few)
    assert done.returncode == 2
    assert "model.pooling=max: expected cls, mean, label, pooler" in done.stderr
    assert Run(tmp_path / "1").read_summary()["config"]["model"]["pooling"] == "mean"


def test_the_originals_recipe_runs(tmp_path) -> None:
    """experiment=seed on a small encoder with ViSoBERT's layout: pooler, absent as neutral, two batches a step."""
    from src.model.encoder import from_config
    from src.tokens.tokenizer import PROBES, train_tokenizer
    from tests.tiny import CONFIG

    from_config(CONFIG | {"vocab_size": 600, "max_position_embeddings": 258}, "pooler").save_pretrained(
        tmp_path / "encoder"
    )
    train_tokenizer(PROBES, 400, 256).save(str(tmp_path / "encoder" / "tokenizer.json"))
    done = train(
        "experiment=seed",
        "data.dir=data/sample",
        "data.train=train.csv",
        f"model.encoder={tmp_path}/encoder",
        "trainer.max_epochs=1",
        f"hydra.run.dir={tmp_path}/run",
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "starts from random weights" not in done.stdout
    summary = Run(tmp_path / "run").read_summary()
    assert summary["task"] == "sentiment" and summary["steps"] == 7
    assert "pair_f1" not in summary["figures"]["test"]


@pytest.mark.slow
def test_same_seed_same_run(trained, tmp_path) -> None:
    """Started as a user starts it; the other trainings of the tests are forks."""
    folder, _ = trained
    command = [sys.executable, "train.py", *TINY, "trainer.max_epochs=2", f"hydra.run.dir={tmp_path}"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    for name in ("figures", "per_aspect", "steps"):
        assert Run(tmp_path).read_summary()[name] == Run(folder).read_summary()[name]
    assert Run(tmp_path).predictions("test").read_bytes() == Run(folder).predictions("test").read_bytes()


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["loss.gama=2"], "gama"),
        (["loss=focl"], "focl"),
        (["+nonsense=1", "model.pooling=max"], "nonsense: no such setting"),
        (["loss.alpha=[1,2]"], "2 numbers for 3 sentiments"),
        (["data=table"], "data.train: is missing"),
        (["model.encoder=nowhere/at/all"], "no such folder"),
        (["data=table", "data.train={tmp}/bad.csv", "data.val=0.5"], 'did you mean "Positive"'),
        (
            ["data.sentiments=[positive,negative]", "loss.alpha=[1,1.2,1.5]"],
            "3 numbers for 2 sentiments (positive, neg",
        ),
        (["model.size.heads=3"], "not divisible by heads=3"),
        (["trainer.max_epochs"], '"trainer.max_epochs": expected KEY=VALUE'),
    ],
)
def test_a_users_mistake_ends_in_one_message_and_status_2(tmp_path, overrides, message) -> None:
    write(tmp_path / "bad.csv", [["Pin", "Postive", "", ""], *ROWS])
    done = train(*TINY, *(o.format(tmp=tmp_path) for o in overrides), f"hydra.run.dir={tmp_path}/run")
    assert done.returncode == 2, done.stdout + done.stderr
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_help_comes_at_once() -> None:
    for command in (["train.py", "--help"], ["-m", "src.cli", "--help"]):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run([sys.executable, *command], cwd=ROOT, capture_output=True, text=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        assert done.returncode == 0
        assert after.ru_utime - before.ru_utime < (2 if "train.py" in command else 0.5), "seconds of the processor"
    loaded = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "src.cli", "--help"], cwd=ROOT, capture_output=True, text=True
    ).stderr
    assert not re.search(r"\| +(torch|numpy|transformers|lightning|hydra)$", loaded, re.M)


def test_several_files_in_two_formats_train_as_one_split_and_by_the_loss(tmp_path) -> None:
    """The sample's training file, cut in two: one half as CSV, the other as an Excel file that absa convert wrote."""
    with (ROOT / "data" / "sample" / "train.csv").open(encoding="utf-8-sig", newline="") as file:
        header, *rows = csv.reader(file)
    half = len(rows) // 2
    for name, part in (("old.csv", rows[:half]), ("rest.csv", rows[half:])):
        with (tmp_path / name).open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([header, *part])
    convert([str(tmp_path / "rest.csv")], str(tmp_path / "new.xlsx"))
    files = f"data.train=[{tmp_path / 'old.csv'},{tmp_path / 'new.xlsx'}]"
    done = train(
        *TINY,
        files,
        "data.test=null",
        "monitor=val/loss",
        "mode=min",
        "trainer.max_epochs=3",
        f"hydra.run.dir={tmp_path / 'run'}",
    )
    assert done.returncode == 0, done.stderr
    summary = Run(tmp_path / "run").read_summary()
    assert summary["data"]["splits"]["train"]["reviews"] == len(rows)
    losses = [float(row["val/loss"]) for row in epochs_logged(tmp_path / "run")]
    kept = AtomicCheckpointIO().load_checkpoint(tmp_path / "run" / "checkpoints" / "best.ckpt")["epoch"]
    assert losses[kept] == min(losses) == pytest.approx(summary["best"])
    assert "losses of different gamma or alpha do not compare" in done.stdout
