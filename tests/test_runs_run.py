"""A finished run's files are what it wrote, or that is said."""

import subprocess
from pathlib import Path

import pytest

from src.errors import UserError
from src.runs.run import SUMS, Run

SUMMARY = {
    "task": "absa",
    "labels": {"aspects": ["Pin"], "without_sentiment": []},
    "monitor": "val/pair_f1",
    "threshold": 0.5,
    "figures": {"val": {"pair_f1": 0.5}},
    "class_counts": [[1, 2, 3]],
    "data": {"splits": {"train": {"path": "a.csv", "sha256": "0" * 64}}},
    "config": {"seed": 1, "data": {}},
}
PRETRAINED = {
    "figures": {"val/loss": 2.0},
    "encoder": {"name": "mini", "weights": "random", "pretrained": False},
    "texts": {"train": 9, "val": 1, "sha256": "0" * 64},
    "tokens": {"train": 99},
    "steps": 3,
    "seconds": 1.5,
    "device": "cpu",
    "precision": "32-true",
    "overrides": [],
    "config": {"seed": 1, "data": {}},
    "environment": {"python": "3", "platform": "x", "packages": {}, "commit": None},
}


@pytest.fixture
def run(tmp_path) -> Run:
    run = Run(tmp_path / "run")
    (run.folder / "predictions").mkdir(parents=True)
    (run.folder / "checkpoints").mkdir()
    run.predictions("val").write_text("{}\n")
    run.best.write_bytes(b"has a hash of its own")
    (run.folder / "metrics.csv").write_text("a,b\n1,2\n")
    run.write_summary(SUMMARY)
    run.seal()
    return run


def test_unchanged_files_are_read_and_later_ones_do_not_matter(run) -> None:
    assert run.read_summary() == SUMMARY and run.predictions("val").is_file()
    (run.folder / "report.html").touch()
    run.check()
    assert not run.predictions("test").exists()


def test_sha256sum_reads_the_list(run) -> None:
    done = subprocess.run(["sha256sum", "-c", SUMS], cwd=run.folder, capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout.count(": OK") == 3, done.stderr


@pytest.mark.parametrize("name", ["summary.json", "predictions/val.jsonl"])
def test_a_changed_file_is_not_read(run, name) -> None:
    path: Path = run.folder / name
    path.write_bytes(path.read_bytes().replace(b"}\n", b" }\n"))
    with pytest.raises(UserError, match=rf"{path.name}: is not the file that the run wrote"):
        run.read_summary() if name == "summary.json" else run.predictions("val")
    (run.folder / SUMS).unlink()  # who changed it knowingly says so
    run.read_summary()
    run.predictions("val")


def test_a_run_without_labels_says_what_it_is_good_for(run) -> None:
    (run.folder / SUMS).unlink()
    run.write_summary(PRETRAINED)
    with pytest.raises(UserError, match=r"as of a run of pretrain.py.* model.encoder=.*run/encoder$"):
        _ = run.labels


def test_a_missing_file_and_a_damaged_list_are_found(run) -> None:
    listed = (run.folder / SUMS).read_bytes()
    for damage in (
        listed[:-20],
        listed[: listed.rindex(b"\n", 0, -1) + 1],
        listed[1:],
        b"",
        listed.replace(b"3 f", b"2 f"),
    ):
        (run.folder / SUMS).write_bytes(damage)
        with pytest.raises(UserError, match="is damaged"):
            run.read_summary()
    (run.folder / SUMS).write_bytes(listed)
    (run.folder / "metrics.csv").unlink()
    with pytest.raises(UserError, match=r"metrics\.csv: is missing"):
        run.check()


def test_a_run_that_goes_on_has_no_list_until_it_is_done(run) -> None:
    run.begin()
    assert not (run.folder / SUMS).exists()
    run.write_summary(SUMMARY | {"best": 0.75})
    assert run.read_summary()["best"] == 0.75


@pytest.mark.parametrize(
    ("damage", "faults"),
    [
        ({"task": "else"}, ["task is a text, expected 'absa' or 'sentiment'"]),
        ({"labels": {"aspects": "Pin"}}, ["labels.without_sentiment is missing", "labels.aspects is a text, expected a list"]),
        ({"figures": {"val": {"pair_f1": "0.5"}}}, ["figures.val.pair_f1 is a text, expected a number"]),
        ({"class_counts": [[1, 2.5, True]]}, [f"class_counts[0][{i}] is {was}, expected an integer" for i, was in ((1, "a number"), (2, "true or false"))]),
        ({"class_counts": [[1, 2, 3], [1, 2, 3]]}, ["class_counts: expected 3 counts for each of 1 aspects"]),
        ({"class_counts": [[1, 2]], "mention_counts": [1, -1]}, [f"{key}_counts: expected {what} for each of 1 aspects" for key, what in (("class", "3 counts"), ("mention", "a count"))]),
        ({"labels": {"aspects": ["Pin", "Pin"], "without_sentiment": []}}, ["labels: an aspect is listed twice: ['Pin', 'Pin']"]),
        ({"config": {}}, ["config.data is null, expected an object"]),
        ({"config": {"data": {"ignore_columns": "x", "unlabelled": 1}}}, ["config.data.ignore_columns is a text, expected a list", "config.data.unlabelled is an integer, expected 'keep' or 'drop'"]),
        ({"thresholds": {"global": 0.5}}, ["thresholds.per_aspect is missing"]),
        ({"calibration": None}, ["calibration is null, expected an object"]),
        ({"calibration": {"sentiment": 1, "mentioned": None}, "best": 1, "steps": 3, "mine": "a further key"}, []),
    ],
)  # fmt: skip
def test_a_damaged_summary_is_told_with_all_that_is_wrong(run, damage, faults) -> None:
    run.write_summary(SUMMARY | damage)
    (run.folder / SUMS).unlink()
    if not faults:
        assert run.read_summary()["best"] == 1
        return
    with pytest.raises(UserError) as error:
        run.read_summary()
    assert error.value.faults == [f"{run.folder / 'summary.json'}: {fault}" for fault in faults]


@pytest.mark.parametrize("text", ["[]", "null", "{}", "[" * 9_999])
def test_a_summary_that_is_something_else_is_a_users_mistake(run, text) -> None:
    (run.folder / "summary.json").write_text(text)
    (run.folder / SUMS).unlink()
    with pytest.raises(UserError, match=r"summary\.json: "):
        run.read_summary()
