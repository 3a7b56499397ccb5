"""Every command in a Python in which Unix is missing, as far as that can be tried without Windows itself."""

import contextlib
import csv
import http.client
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.many import small_data

HERE = ROOT / "tests" / "without_unix"
# beside what is missing: a console of cp1252, and no UTF-8 mode; cp1252 lacks most of Vietnamese
WINDOWS = {"PYTHONPATH": str(HERE), "PYTHONWARNDEFAULTENCODING": "1", "PYTHONUTF8": "0", "PYTHONIOENCODING": "cp1252"}


def start(*words: str, cwd: Path = ROOT, **more: str) -> subprocess.Popen:
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    return subprocess.Popen([sys.executable, *words], cwd=cwd, env=os.environ | WINDOWS | more, **pipes)


def run(*words: str, cwd: Path = ROOT, **more: str) -> tuple[int, str]:
    process = start(*words, cwd=cwd, **more)
    said = process.communicate(timeout=240)[0].decode("cp1252", "replace")
    return process.returncode, said


# --- that Python itself ---

MISSING = {
    "import fcntl": "ModuleNotFoundError",
    "import resource": "ModuleNotFoundError",
    "import pwd": "ModuleNotFoundError",
    "import grp": "ModuleNotFoundError",
    "import termios": "ModuleNotFoundError",
    "os.fork()": "AttributeError",
    "os.sched_getaffinity(0)": "AttributeError",
    "os.link('a', 'b')": "AttributeError",
    "signal.SIGKILL": "AttributeError",
    "os.open('.', os.O_RDONLY)": "PermissionError",
    "os.replace('other', 'a')": "PermissionError",
    "os.rename('a', 'other')": "PermissionError",
    "os.remove('a')": "PermissionError",
    "Path('a').unlink()": "PermissionError",
    "Path('.').absolute().rename('../elsewhere')": "PermissionError",
    "os.fsync(file.fileno())": "OSError",
    "Path('a:b').touch()": "OSError",
    "open('a').read()": "EncodingWarning",
    "print('ữ')": "UnicodeEncodeError",
}


def test_unix_is_missing_there(tmp_path) -> None:
    (tmp_path / "a").touch()
    (tmp_path / "other").touch()
    code = "import os, signal\nfrom pathlib import Path\nfile = open('a', encoding='utf-8')\n"
    for line in MISSING:
        code += f"try:\n    {line}\n    print('nothing')\nexcept (Exception, EncodingWarning) as error:\n"
        code += "    print(type(error).__name__)\n"
    status, said = run("-c", code, cwd=tmp_path)
    assert dict(zip(MISSING, said.split("\n"), strict=False)) == MISSING
    assert status == 0


def test_every_text_file_is_opened_with_its_encoding() -> None:
    """In the code that no test below reaches, too."""
    rule = ["check", "--no-cache", "--preview", "--select", "PLW1514"]
    places = ["src", "train.py", "pretrain.py", "search.py", "benchmarks", "data"]
    done = subprocess.run([sys.executable, "-m", "ruff", *rule, *places], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


# --- the commands ---


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """The folder of everything here: a name that cp1252 cannot show."""
    folder = tmp_path_factory.mktemp("unix") / "Đồ án tốt nghiệp"
    folder.mkdir()
    return folder


def quoted(key: str, path: Path) -> str:
    return f"{key}='{path}'"


@pytest.fixture(scope="module")
def words(place) -> list[str]:
    given = small_data(place.parent / "data")
    return [*given, "trainer.limit_train_batches=4"]


@pytest.fixture(scope="module")
def interrupted(place, words) -> tuple[int, str]:
    """`train.py`, and Ctrl-C as soon as its first epoch is over; its status and what it printed."""
    process = start("train.py", *words, "trainer.max_epochs=2000", quoted("hydra.run.dir", place / "run"))
    lines = []
    assert process.stdout is not None
    for line in process.stdout:
        lines.append(line.decode("cp1252", "replace"))
        if lines[-1].startswith("epoch  "):
            process.send_signal(signal.SIGINT)
            break
    lines.append(process.communicate(timeout=60)[0].decode("cp1252", "replace"))
    return process.returncode, "".join(lines)


@pytest.fixture(scope="module")
def driven(interrupted, place, words) -> dict[str, tuple[int, str]]:
    """Status and words of every command that needs torch, run in one process; then it is known what each printed."""
    data, run_, bundle = place.parent / "data", place / "run", place / "bundle"
    with (place / "reviews.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([["text"], *([f"Pin trâu số {i}, máy đẹp"] for i in range(400)), [""]])
    epochs = int(re.findall(r"epoch +(\d+)/2000", interrupted[1])[-1]) + 2
    (place / "texts.txt").write_text("".join(f"Máy {i} đẹp, pin trâu\n" for i in range(100)), encoding="utf-8")
    one = ["trainer.max_epochs=1"]
    tiny = [word for word in words if word.startswith(("model=", "model.pre", "model.size", "trainer.precision"))]
    answers, commands = str(place / "answers.csv"), {}
    go_on = [f"trainer.max_epochs={epochs}", "ckpt_path=last", quoted("hydra.run.dir", run_)]
    commands["resume"] = ["train", *words, *go_on]
    commands["many"] = ["train", "-m", *words, *one, "seed=1,2", quoted("hydra.sweep.dir", place / "sweep")]
    space = ["sweep.space=null", "loss.gamma=interval(0,5)", "sweep.trials=2", quoted("sweep.dir", place / "search")]
    commands["search"] = ["search", *space, *words, *one]
    texts = [quoted("data.texts", place / "texts.txt"), "data.val=0.1", quoted("hydra.run.dir", place / "pre")]
    commands["pretrain"] = ["pretrain", *tiny, *one, *texts]
    commands["check"] = ["absa", "check", *(str(data / f"{name}.csv") for name in ("train", "validation", "test"))]
    commands["evaluate"] = ["absa", "evaluate", str(run_)]
    commands["report"] = ["absa", "report", str(run_)]
    commands["compare"] = ["absa", "compare", str(place / "sweep"), str(run_)]
    commands["export"] = ["absa", "export", str(run_), "-o", str(bundle)]
    commands["export again"] = commands["export"]
    predict = ["predict", str(bundle), str(place / "reviews.csv"), "-o"]
    commands["predict stopped"] = ["stopped", *predict, answers]
    commands["predict --resume"] = ["absa", *predict, answers, "--resume"]
    commands["predict"] = ["absa", *predict, str(place / "whole.csv")]
    commands["predict jsonl"] = ["absa", *predict, str(place / "lines.jsonl")]
    commands["predict -"] = ["absa", *predict, "-"]
    (place / "commands.json").write_text(json.dumps(commands), encoding="utf-8")
    status, said = run(str(HERE / "drive.py"), str(place / "commands.json"), str(place / "statuses.json"))
    assert status == 0, said
    statuses = json.loads((place / "statuses.json").read_text(encoding="utf-8"))
    assert statuses.keys() == commands.keys(), said
    parts = re.split(r"^=== (.+?)\r?$", said, flags=re.M)
    texts_of: dict[str, str] = {}
    for key, text in zip(parts[1::2], parts[2::2], strict=True):
        texts_of[key] = texts_of.get(key, "") + text
    return {key: (statuses[key], texts_of[key]) for key in commands}


@pytest.mark.slow
def test_ctrl_c_saves_and_says_how_to_go_on(interrupted, place) -> None:
    status, said = interrupted
    assert status == 130, said
    assert "Stopped. To go on: " in said and "Traceback" not in said
    assert {f.name for f in (place / "run" / "checkpoints").iterdir()} >= {"last.ckpt"}
    log = (place / "run" / "train.log").read_text(encoding="utf-8")
    assert str(place) in log, "in the file the letters are as they are"
    assert str(place) not in said and r"\u1ed3" in said, "on the console they are escaped"


EXPECTED = {  # status, what it prints
    "resume": (0, "All of it: "),
    "many": (0, "2 runs on 20 test reviews"),
    "search": (0, "Best: val/pair_f1"),
    "pretrain": (0, "The encoder: "),
    "check": (0, "60 reviews"),
    "evaluate": (0, "pair_f1"),
    "report": (0, "report.html"),
    "compare": (0, "3 runs on 20 test reviews"),
    "export": (0, "bundle"),
    "export again": (0, "bundle"),
    "predict stopped": (130, "--resume goes on from there"),
    "predict --resume": (1, "400 reviews answered, "),
    "predict": (1, "400 reviews answered"),
    "predict jsonl": (1, "1 row could not be read"),
    "predict -": (1, '"aspects"'),
}


@pytest.mark.slow
@pytest.mark.parametrize("command", EXPECTED)
def test_every_command_works_without_unix(driven, command) -> None:
    status, said = driven[command]
    expected, words = EXPECTED[command]
    assert status == expected and words in said, said
    assert "Traceback" not in said and "Logging error" not in said, said


def test_what_they_left_is_whole_and_nothing_else(driven, place) -> None:
    assert (place / "answers.csv").read_bytes() == (place / "whole.csv").read_bytes()
    beside = {path.name for path in place.iterdir() if path.is_file()}
    answers = {"answers.csv", "whole.csv", "lines.jsonl", *(f"{n}.errors.jsonl" for n in ("answers", "whole", "lines"))}
    assert beside - answers == {"reviews.csv", "texts.txt", "commands.json", "statuses.json"}
    run_ = place / "run"
    assert sorted(path.name for path in (run_ / "checkpoints").iterdir()) == ["best.ckpt", "last.ckpt", "previous.ckpt"]
    listed = (run_ / "SHA256SUMS").read_text(encoding="utf-8")
    assert "  predictions/val.jsonl\n" in listed and ".holder" not in listed
    left = [path for path in place.rglob(".*") if re.search(r"\.(tmp|partial|link|probe)$|\.earlier$", path.name)]
    assert left == []


@contextlib.contextmanager
def served(bundle: Path) -> Iterator[tuple[subprocess.Popen, int]]:
    process = start("-m", "src.cli", "serve", str(bundle), "--port", "0")
    try:
        assert process.stdout is not None
        first = process.stdout.readline().decode("cp1252", "replace")
        found = re.search(r"http://127\.0\.0\.1:(\d+)", first)
        assert found, first + process.stdout.read().decode("cp1252", "replace")
        yield process, int(found[1])
    finally:
        process.terminate()
        process.wait(30)


def test_the_service_answers_and_stops(driven, place) -> None:
    with served(place / "bundle") as (process, port):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        connection.request("POST", "/predict", json.dumps({"text": "Pin trâu"}), {"Content-Type": "application/json"})
        assert connection.getresponse().status == 200
        connection.close()
        began = time.monotonic()
        process.send_signal(signal.SIGINT)
        said = process.communicate(timeout=30)[0].decode("cp1252", "replace")
        assert process.returncode == 0 and "Stopped." in said and time.monotonic() - began < 15
