"""A kill loses nothing and repeats nothing: --resume ends in the very bytes of a command that was let run."""

import csv
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from src.ship.files import batch, finish
from src.ship.files.journal import Journal
from tests.conftest import ROOT
from tests.test_ship_predict import SMALL_STEPS, predict


class Killed(BaseException):
    """In place of SIGKILL, where the place of it must be known."""


@pytest.fixture(scope="module")
def texts() -> list[str]:
    with (ROOT / "data" / "sample" / "train.csv").open(encoding="utf-8-sig", newline="") as file:
        found = [row["data"] for row in csv.DictReader(file)]
    return [f'{text}\n"{i}",' if i % 5 == 0 else "" if i % 17 == 0 else text for i, text in enumerate(found)]


def write_input(path: Path, texts: list[str], repeat: int = 1) -> Path:
    rows = [{"id": i, "text": text} for i, text in enumerate(texts * repeat)]
    if path.suffix == ".csv":
        with path.open("w", encoding="utf-8-sig", newline="") as file:
            writer = csv.DictWriter(file, ["id", "text"])
            writer.writeheader()
            writer.writerows(rows)
            file.write('x,"a stray quote\nx,last\n')
    elif path.suffix == ".parquet":
        parquet.write_table(pa.Table.from_pylist(rows), path, row_group_size=150)
    elif path.suffix == ".txt":
        path.write_text("\n".join(text.replace("\n", " ") for text in texts), encoding="utf-8")
    else:
        path.write_text("".join(json.dumps(row) + "\n" for row in rows) + "{\n", encoding="utf-8")
    return path


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture
def small_steps(monkeypatch) -> None:
    monkeypatch.setattr(batch, "ROWS", 16)
    monkeypatch.setattr(batch, "SAVE", 0.0)


@pytest.mark.parametrize(
    ("given", "form"),
    [
        ("csv", "jsonl"),
        ("csv", "csv"),
        ("jsonl", "parquet"),
        ("parquet", "parquet"),
        ("parquet", "jsonl"),
        ("txt", "csv"),
    ],
)
def test_the_resumed_files_are_those_of_one_run(
    given, form, exported, texts, tmp_path, monkeypatch, small_steps
) -> None:
    """Stopped at random points, in the middle of a write among them."""
    file = write_input(tmp_path / f"in.{given}", texts)
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    whole.mkdir()
    cut.mkdir()
    status = predict(exported, file, "-o", whole / f"out.{form}", "--all")
    rng = random.Random(given + form)
    append, save = Journal.append, Journal.save
    left = [0]

    def breaking(self: Journal, answers: bytes, errors: bytes, *rest: object) -> None:
        left[0] -= 1
        if not left[0]:
            append(self, answers[: len(answers) // 2], b"", *rest)
            raise Killed
        append(self, answers, errors, *rest)

    monkeypatch.setattr(Journal, "append", breaking)
    monkeypatch.setattr(Journal, "save", lambda self, complete=False: save(self) if rng.random() < 0.5 else None)
    words = [exported, file, "-o", cut / f"out.{form}", "--all"]
    for again in range(4):
        left[0] = rng.randint(3, 9)
        with pytest.raises(Killed):
            predict(*words, *["--resume"] * (again > 0))
    assert not (cut / f"out.{form}").exists()
    monkeypatch.setattr(Journal, "append", append)
    monkeypatch.setattr(Journal, "save", save)
    assert predict(*words, "--resume") == status
    assert contents(cut) == contents(whole)


@pytest.mark.parametrize("call", range(6))
@pytest.mark.parametrize("form", ["jsonl", "csv"])
def test_a_kill_while_files_get_their_names_is_mended(form, call, exported, tmp_path, monkeypatch) -> None:
    (tmp_path / "in.jsonl").write_text('{"text": "tốt"}\n{\n', encoding="utf-8")
    words = [exported, tmp_path / "in.jsonl", "-o", tmp_path / f"out.{form}"]
    steps = [0]

    def counted(real):
        def step(*given: object, **options: object) -> object:
            steps[0] += 1
            if steps[0] == call:
                raise Killed
            return real(*given, **options)

        return step

    with monkeypatch.context() as patched:
        patched.setattr(finish.os, "fsync", counted(os.fsync) if form == "csv" else os.fsync)
        patched.setattr(Path, "unlink", counted(Path.unlink))
        replace = os.replace
        patched.setattr(
            finish.os, "replace", lambda a, b: replace(a, b) if "journal" in str(a) else counted(replace)(a, b)
        )
        try:
            predict(*words)
        except Killed:
            assert predict(*words, "--resume") == 1
    assert {path.name for path in tmp_path.iterdir()} == {"in.jsonl", f"out.{form}", "out.errors.jsonl"}
    assert (tmp_path / f"out.{form}").stat().st_size > 50


def test_it_goes_on_with_the_same_work_only(exported, texts, tmp_path, capsys, monkeypatch, small_steps) -> None:
    file, out = write_input(tmp_path / "in.csv", texts), tmp_path / "out.jsonl"
    with monkeypatch.context() as patched:
        patched.setattr(Journal, "save", stopping(Journal.save, 3))
        with pytest.raises(Killed):
            predict(exported, file, "-o", out)
    other = tmp_path / "other"
    other.mkdir()
    for path in exported.iterdir():
        (other / path.name).write_bytes(path.read_bytes())
    (other / "bundle.json").write_text((exported / "bundle.json").read_text() + "\n")
    before = out.with_name("out.jsonl.partial").read_bytes()
    for words, said in (
        ((exported, file, "-o", out), "--resume goes on, --overwrite begins anew"),
        ((exported, file, "-o", out, "--resume", "--all"), "begun with another --all"),
        ((exported, file, "-o", out, "--resume", "--format", "csv"), "begun with another format"),
        ((other, file, "-o", out, "--resume"), "begun with another model"),
    ):
        assert predict(*words) == 2, words
        assert said in capsys.readouterr().err
    with file.open("a") as opened:
        opened.write("9,more\n")
    assert predict(exported, file, "-o", out, "--resume") == 2
    assert "begun with another input" in capsys.readouterr().err
    partial = out.with_name("out.jsonl.partial")
    assert partial.read_bytes() == before
    partial.write_bytes(b"")
    assert predict(exported, write_input(file, texts), "-o", out, "--resume") == 2
    capsys.readouterr()
    assert predict(exported, file, "-o", out, "--overwrite") == 1
    assert not out.with_name("out.jsonl.journal").exists()


def stopping(save, after: int):
    calls = [0]

    def stop(self: Journal, complete: bool = False) -> None:
        calls[0] += 1
        save(self, complete)
        if calls[0] == after:
            raise Killed

    return stop


def test_without_anything_to_go_on_from_it_begins(exported, texts, tmp_path) -> None:
    file = write_input(tmp_path / "in.txt", texts[:40])
    assert predict(exported, file, "-o", tmp_path / "out.jsonl", "--resume") == 1
    assert predict(exported, file, "-o", tmp_path / "out.jsonl", "--resume") == 2  # it is finished


def test_ctrl_c_says_how_to_go_on(exported, texts, tmp_path, capsys, monkeypatch, small_steps) -> None:
    file = write_input(tmp_path / "in.csv", texts)
    with monkeypatch.context() as patched:
        patched.setattr("src.ship.files.progress.Meter.show", interrupting(4))
        assert predict(exported, file, "-o", tmp_path / "out.jsonl") == 130
    assert "--resume goes on" in capsys.readouterr().err
    assert predict(exported, file, "-o", tmp_path / "out.jsonl", "--resume") == 1


def interrupting(after: int):
    calls = [0]

    def show(*_: object) -> None:
        calls[0] += 1
        if calls[0] == after:
            raise KeyboardInterrupt

    return show


def command(*words: object) -> subprocess.Popen:
    code = SMALL_STEPS + "import sys; from src.cli import main; main(['predict', *sys.argv[1:]])"
    return subprocess.Popen([sys.executable, "-c", code, *map(str, words)], cwd=ROOT, stderr=subprocess.PIPE)


def test_two_commands_do_not_write_one_file(exported, texts, tmp_path) -> None:
    file = write_input(tmp_path / "in.csv", texts, repeat=40)
    first = command(exported, file, "-o", tmp_path / "out.jsonl")
    wait_for(tmp_path / "out.jsonl.journal", 100)
    second = command(exported, file, "-o", tmp_path / "out.jsonl", "--resume")
    assert b"another absa predict is writing it" in second.communicate(timeout=60)[1] and second.returncode == 2
    first.kill()
    first.communicate()


@pytest.mark.parametrize("rows", [8_000, pytest.param(100_000, marks=pytest.mark.slow)])
def test_killed_three_times(rows, exported, texts, tmp_path) -> None:
    file = write_input(tmp_path / "in.csv", texts, repeat=rows // len(texts))
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    whole.mkdir()
    cut.mkdir()
    assert predict(exported, file, "-o", whole / "out.jsonl") == 1
    words, done = [exported, file, "-o", cut / "out.jsonl"], 0
    for again in range(3):
        process = command(*words, *["--resume"] * (again > 0))
        done = wait_for(cut / "out.jsonl.journal", done + rows // 6)
        process.send_signal(signal.SIGKILL)
        process.communicate()
    assert not (cut / "out.jsonl").exists() and done < rows
    assert predict(*words, "--resume") == 1
    assert contents(cut) == contents(whole)


def wait_for(journal: Path, rows: int) -> int:
    """Until the journal tells of so many rows; of how many it tells."""
    for _ in range(6000):
        if journal.exists() and (found := json.loads(journal.read_text())["state"]["rows"]) >= rows:
            return int(found)
        time.sleep(0.01)
    raise AssertionError("it does not get on")


PEAK = "import resource; print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)"


@pytest.mark.slow
def test_memory_does_not_grow_with_the_file(exported, texts, tmp_path) -> None:
    peaks = {}
    for rows in (10_000, 100_000):
        file = write_input(tmp_path / f"{rows}.csv", texts, repeat=rows // len(texts))
        for form in ("jsonl", "csv", "parquet"):
            code = f"import sys; from src.cli import main\ntry: main(['predict', *sys.argv[1:]])\nfinally: {PEAK}"
            words = [str(exported), str(file), "-o", str(tmp_path / f"{rows}.{form}"), "--overwrite"]
            done = subprocess.run([sys.executable, "-c", code, *words], cwd=ROOT, capture_output=True, text=True)
            peaks[form, rows] = float(done.stdout)
    assert all(peaks[form, 100_000] - peaks[form, 10_000] < 50 for form in ("jsonl", "csv", "parquet")), peaks
