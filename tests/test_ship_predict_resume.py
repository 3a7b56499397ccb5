"""A kill loses nothing and repeats nothing: --resume ends in the very bytes of a command that was let run."""

import csv
import gzip
import io
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

from src.errors import Faults, UserError
from src.runs import machine
from src.ship.predict import batch, finish
from src.ship.predict.arguments import check_target
from src.ship.predict.journal import Journal
from src.ship.predict.target import Target
from tests.conftest import ROOT
from tests.test_ship_predict import SMALL_STEPS, predict


class Killed(BaseException):
    """In place of SIGKILL, where the place of it must be known."""


def killed(*_: object) -> None:
    raise Killed


@pytest.fixture(scope="module")
def texts() -> list[str]:
    with (ROOT / "data" / "sample" / "train.csv").open(encoding="utf-8-sig", newline="") as file:
        found = [row["data"] for row in csv.DictReader(file)]
    return [f'{text}\n"{i}",' if i % 5 == 0 else "" if i % 17 == 0 else text for i, text in enumerate(found)]


def write_input(path: Path, texts: list[str], repeat: int = 1) -> Path:
    if path.suffix == ".gz":
        plain = write_input(path.with_suffix(""), texts, repeat)
        path.write_bytes(gzip.compress(plain.read_bytes()))
        return path
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
    monkeypatch.setattr(batch, "CHUNK_ROWS", 16)
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
        ("csv.gz", "jsonl"),
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


@pytest.mark.parametrize(
    ("form", "bad", "earlier"), [("jsonl", True, False), ("jsonl", False, True), ("csv", True, True)]
)
def test_a_kill_while_files_get_their_names_is_mended(form, bad, earlier, exported, tmp_path, monkeypatch) -> None:
    """Killed before every step of it, over an earlier output with errors too: the end is that of one run."""
    old, new = tmp_path / "old.jsonl", tmp_path / "new.jsonl"
    old.write_text('{"text": "cũ"}\n{\n', encoding="utf-8")
    new.write_text('{"text": "tốt"}\n' + "{\n" * bad, encoding="utf-8")

    def run(folder: Path, kill: int) -> int:
        """How many steps it took."""
        folder.mkdir()
        out, steps = folder / f"out.{form}", [0]
        if earlier:
            assert predict(exported, old, "-o", out) == 1

        def counted(real):
            def step(path, *rest: object, **options: object) -> object:
                if Path(str(path)).suffix not in (".lock", ".holder"):
                    steps[0] += 1
                    if steps[0] == kill:
                        raise Killed
                return real(path, *rest, **options)

            return step

        def whole(*given: object, **options: object) -> None:
            with monkeypatch.context() as inner:
                inner.setattr(machine, "replace", counted(machine.replace))
                machine.write_whole(*given, **options)

        with monkeypatch.context() as patched:
            patched.setattr(finish, "write_whole", whole)  # the journal's own calls are not counted
            patched.setattr(finish, "replace", counted(finish.replace))
            patched.setattr(finish, "flush", counted(finish.flush))
            patched.setattr(Path, "unlink", counted(Path.unlink))
            predict(exported, new, "-o", out, *["--overwrite"] * earlier)
        return steps[0]

    steps = run(tmp_path / "whole", 0)
    assert steps >= 5
    whole = contents(tmp_path / "whole")
    assert set(whole) == {f"out.{form}"} | ({"out.errors.jsonl"} if bad else set())
    for kill in range(1, steps + 1):
        cut = tmp_path / f"cut{kill}"
        with pytest.raises(Killed):
            run(cut, kill)
        assert predict(exported, new, "-o", cut / f"out.{form}", "--resume") == int(bad)
        assert contents(cut) == whole, kill


@pytest.fixture
def answered_only(exported, tmp_path, monkeypatch) -> list[object]:
    """The words of a command that was killed when every row was answered."""
    (tmp_path / "in.txt").write_text("tốt\n\n", encoding="utf-8")
    words = [exported, tmp_path / "in.txt", "-o", tmp_path / "a.csv"]
    with monkeypatch.context() as patched:
        patched.setattr("src.ship.predict.command.finish", killed)
        with pytest.raises(Killed):
            predict(*words)
    return words


def test_what_is_complete_is_finished_by_one_command_only(answered_only, tmp_path, capsys) -> None:
    before = contents(tmp_path)
    lock = machine.Lock(Target(str(tmp_path / "a.csv")).lock)
    assert predict(*answered_only, "--resume") == 2
    assert "a.csv: another absa predict is writing it" in capsys.readouterr().err
    lock.free(remove=True)
    assert contents(tmp_path) == before
    assert predict(*answered_only, "--resume") == 1
    assert set(contents(tmp_path)) == {"in.txt", "a.csv", "a.errors.jsonl"}


def test_what_another_command_finished_meanwhile_is_not_begun_again(exported, tmp_path, capsys, monkeypatch) -> None:
    (tmp_path / "in.txt").write_text("tốt\n", encoding="utf-8")
    init = Journal.__init__

    def late(self: Journal, *given: object, **options: object) -> None:
        (tmp_path / "a.csv").write_text("theirs")
        init(self, *given, **options)

    monkeypatch.setattr(Journal, "__init__", late)
    assert predict(exported, tmp_path / "in.txt", "-o", tmp_path / "a.csv", "--resume") == 2
    assert "is there already" in capsys.readouterr().err
    assert (tmp_path / "a.csv").read_text() == "theirs"


def test_outputs_of_one_stem_keep_their_own(exported, answered_only, tmp_path, capsys) -> None:
    """a.csv, a.jsonl and a.parquet would all have a.errors.jsonl."""
    words = [exported, tmp_path / "in.txt", "-o", tmp_path / "a.jsonl"]
    assert (tmp_path / "a.csv.errors.partial").is_file()
    assert predict(*words) == 2
    assert "a.csv: is not finished and will want" in capsys.readouterr().err
    theirs, errors = tmp_path / "a.parquet", tmp_path / "a.errors.jsonl"
    theirs.write_text("theirs")
    errors.write_text("theirs")
    assert predict(*answered_only, "--resume") == 2
    assert "a.parquet, which has appeared since" in capsys.readouterr().err
    assert errors.read_text() == "theirs"
    theirs.unlink()
    errors.unlink()
    assert predict(*answered_only, "--resume") == 1
    before = errors.read_bytes()
    assert predict(*words, "--overwrite") == 2
    assert "may be that of" in capsys.readouterr().err
    assert errors.read_bytes() == before and not (tmp_path / "a.jsonl").exists()


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("version", 1, "is of version 1, this absa predict"),
        ("identity", 5, "cannot be read (TypeError"),
        ("identity", [["input"]], "cannot be read (ValueError"),
        ("state", None, "cannot be read (TypeError"),
    ],
)
def test_another_journal_is_refused(key, value, said, answered_only, tmp_path, capsys) -> None:
    path = tmp_path / "a.csv.journal"
    path.write_text(json.dumps(json.loads(path.read_text()) | {key: value}))
    assert predict(*answered_only, "--resume") == 2
    error = capsys.readouterr().err
    assert said in error and len(error.splitlines()) == 1


def test_a_stream_is_not_told_to_resume(answered_only, tmp_path, capsys, monkeypatch) -> None:
    os.mkfifo(tmp_path / "pipe")
    for given in ("-", tmp_path / "pipe"):
        faults = Faults()
        check_target(Target(str(tmp_path / "a.csv")), str(given), False, False, faults)
        with pytest.raises(UserError, match=r"cut off: --overwrite begins anew$"):
            faults.raise_if_any()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper((tmp_path / "in.txt").open("rb")))
    monkeypatch.setattr("src.ship.predict.command._load", interrupting(1))
    assert predict(answered_only[0], "-", "-o", tmp_path / "b.csv") == 130
    assert "--resume" not in capsys.readouterr().err


@pytest.mark.parametrize("out", ["-", "b.csv"])
def test_ctrl_c_while_the_model_loads(out, answered_only, tmp_path, capsys, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("src.ship.predict.command._load", interrupting(1))
    assert predict(*answered_only[:2], "-o", out) == 130
    said = capsys.readouterr().err
    assert said.startswith("stopped") and len(said.splitlines()) == 1


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
        patched.setattr("src.ship.predict.progress.Meter.show", interrupting(4))
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


@pytest.mark.parametrize("rows", [3_200, pytest.param(100_000, marks=pytest.mark.slow)])
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
