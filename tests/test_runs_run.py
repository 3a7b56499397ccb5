"""A finished run's files are what it wrote, or that is said."""

import subprocess
from pathlib import Path

import pytest

from src.errors import UserError
from src.runs.run import SUMS, Run


@pytest.fixture
def run(tmp_path) -> Run:
    run = Run(tmp_path / "run")
    (run.folder / "predictions").mkdir(parents=True)
    (run.folder / "checkpoints").mkdir()
    run.predictions("val").write_text("{}\n")
    run.best.write_bytes(b"has a hash of its own")
    (run.folder / "metrics.csv").write_text("a,b\n1,2\n")
    run.write_summary({"best": 0.5})
    run.seal()
    return run


def test_unchanged_files_are_read_and_later_ones_do_not_matter(run) -> None:
    assert run.read_summary() == {"best": 0.5} and run.predictions("val").is_file()
    (run.folder / "report.html").touch()
    run.check()
    assert not run.predictions("test").exists()


def test_sha256sum_reads_the_list(run) -> None:
    done = subprocess.run(["sha256sum", "-c", SUMS], cwd=run.folder, capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout.count(": OK") == 3, done.stderr


@pytest.mark.parametrize("name", ["summary.json", "predictions/val.jsonl"])
def test_a_changed_file_is_not_read(run, name) -> None:
    path: Path = run.folder / name
    path.write_bytes(path.read_bytes().replace(b"}", b" }"))
    with pytest.raises(UserError, match=rf"{path.name}: is not the file that the run wrote"):
        run.read_summary() if name == "summary.json" else run.predictions("val")
    (run.folder / SUMS).unlink()  # who changed it knowingly says so
    run.read_summary()
    run.predictions("val")


def test_a_run_without_labels_says_what_it_is_good_for(run) -> None:
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
    run.write_summary({"best": 0.75})
    assert run.read_summary() == {"best": 0.75}
