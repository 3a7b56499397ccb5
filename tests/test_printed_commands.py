"""Every command and override that a message prints: one function writes it, and it reads back as what was meant."""

import ast
import json
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from omegaconf import OmegaConf
from optuna.distributions import FloatDistribution

from src import spelling
from src.data.reviews import Columns, leaving_out
from src.errors import Faults, NoRoom, UserError
from src.judge.words import training_command
from src.runs.folder import alone_in
from src.runs.overrides import as_typed
from src.runs.run import Run
from src.ship.bundle import read_whole
from src.spelling import as_options, command, override, pasted, set_to
from src.sweeps import jobs
from src.sweeps.study_page import best_command
from src.training import from_python
from src.training.callbacks import StopEarly
from src.training.checkpoint import _not_written
from src.training.devices import device_faults
from src.training.resume import find_last
from tests.conftest import ROOT
from tests.test_runs_overrides import powershell, read
from tests.test_structure import PROGRAMS, SOURCES

FOLDER = Path("Đồ án (1)/thử & nghiệm")
TRAIN = as_typed(["data.train=dữ liệu (2)/a;b.csv", "data.aspects=[Giá (VNĐ),it's]", r"data.dir=D:\Đồ án"])


COMMAND = re.compile(
    r"(?:^|[\s`'\"(])(?:python\d?|absa) (?:-m )?(?:[\w/]+\.py|(?:check|evaluate|report|compare|export|serve)\b|predict -)"
)


# --- one function writes them ---


def texts(path: Path) -> Iterator[tuple[int, list[ast.expr]]]:
    """The parts of every f-string in a file."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.JoinedStr):
            yield node.lineno, node.values


@pytest.mark.parametrize("path", [*SOURCES, *PROGRAMS], ids=lambda p: str(p.relative_to(ROOT)))
def test_no_message_writes_a_command_or_an_override_by_hand(path) -> None:
    """A message begins with what was given, ``trainer.devices={devices}: ...``; elsewhere ``key=`` is a remedy."""
    by_hand = []
    for line, parts in texts(path):
        for i, part in enumerate(parts):
            if not isinstance(part, ast.Constant):
                continue
            if COMMAND.search(part.value):
                by_hand.append((line, part.value))
            begun = re.search(
                r"(?:^|(?<=[\s`'\"(;]))(?:[~+]*[a-z_]\w*[./][\w./]+=|ckpt_path=|--[a-z-]+[ =])$", part.value
            )
            what_was_given = begun and begun.start() == 0 and (i == 0 or parts[i - 1] is parts[0])
            if begun and not what_was_given and i + 1 < len(parts) and part.value not in ALLOWED:
                by_hand.append((line, part.value))
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if (
            isinstance(node, ast.Call)
            and getattr(node.func, "id", "") in ("pasted", "join")
            and path.stem != "spelling"
        ):
            first = node.args[0].elts[:1] if node.args and isinstance(node.args[0], ast.List) else []
            by_hand += [(node.lineno, e.value) for e in first if getattr(e, "value", "") in ("python", "absa")]
    assert by_hand == []


ALLOWED = (" takes no class weights: loss.alpha=", "at data.max_length=")  # what was given, within the sentence


# --- what they print ---


def printed(tmp_path: Path, monkeypatch, caplog) -> Iterator[tuple[str, list[str] | None, dict[str, object]]]:
    """What each place prints; the program and its words, None for overrides alone; the settings that it must say."""
    folder = tmp_path / FOLDER
    (folder / "checkpoints").mkdir(parents=True)
    (folder / "checkpoints" / "last.ckpt").touch()
    same = dict(read(word) for word in TRAIN)
    run_dir = {"hydra.run.dir": str(folder), "ckpt_path": "last"}

    told = {"task": TRAIN, "hydra": ["hydra.job.chdir=false"]}
    source = SimpleNamespace(path="cấu hình (1)", provider="command-line")
    hydra = SimpleNamespace(
        runtime=SimpleNamespace(config_sources=[source], output_dir=str(folder)),
        job=SimpleNamespace(config_name="config"),
        overrides=SimpleNamespace(**told),
        sweep=SimpleNamespace(dir=str(folder)),
    )
    monkeypatch.setattr(jobs, "HydraConfig", SimpleNamespace(get=lambda: hydra))
    for program in ("train.py", "pretrain.py"):
        flags = ["--config-dir", "cấu hình (1)"]
        expected = {**same, "hydra.job.chdir": False, **run_dir}
        yield jobs.command_to_go_on(program), [program, *flags], expected
    monkeypatch.setattr(sys, "argv", ["train.py", "-m", *TRAIN, "seed=1,2"])
    yield jobs.command_again(), ["train.py", "-m"], {**same, "seed": None, "hydra.sweep.dir": str(folder)}
    monkeypatch.setattr(jobs, "searching", ["search.py", *TRAIN, override("sweep.dir", folder)])
    yield jobs.command_again(), ["search.py"], {**same, "sweep.dir": str(folder)}

    best = SimpleNamespace(params={"loss.gamma": 0.5, "model.pooling": "label"})
    space = {"loss.gamma": FloatDistribution(0, 1)}
    yield best_command(SimpleNamespace(best=best, fixed=TRAIN, space=space)), ["train.py"], same | best.params
    yield training_command({"overrides": [*TRAIN, "ckpt_path=x"]}), ["train.py"], same

    (folder / "summary.json").write_text(json.dumps(PRETRAINED), encoding="utf-8")
    with pytest.raises(UserError) as error:
        Run(folder).read_summary()
    encoder = {"model": "mini", "model.encoder": str(folder / "encoder")}
    yield str(error.value).partition("To train from that: ")[2], ["train.py"], encoder
    with pytest.raises(UserError) as error:
        read_whole(folder)
    words = ["absa", "export", str(folder), "-o", str(folder.parent / "BUNDLE")]
    yield str(error.value).partition("make one: ")[2], words, {}
    yield command("absa", ["compare", str(folder)]), ["absa", "compare", str(folder)], {}

    with pytest.raises(NoRoom) as full, alone_in(folder):
        raise OSError(28, "No space left on device")
    yield re.search("Make room; (.*) then goes on", str(full.value))[1], None, run_dir
    caplog.clear()
    stopping = StopEarly("val/pair_f1", patience=3)
    stopping.wait_count = 4
    with caplog.at_level("INFO"):
        stopping._say(SimpleNamespace(default_root_dir=str(folder)))
    again = caplog.messages[-1].partition("same settings and ")[2]
    yield again, None, {"callbacks.early_stopping.patience": 12, **run_dir}
    checkpoint = folder / "checkpoints" / "last.ckpt"
    message = _not_written(folder / "checkpoints" / "best.ckpt", OSError(28, "No space left on device"))
    yield re.search("whole, and (.*) goes on", message)[1], None, {"ckpt_path": str(checkpoint)}
    with pytest.raises(UserError) as error:
        find_last(OmegaConf.create({"seed": 1}), tmp_path / "new", tmp_path)
    yield str(error.value).partition("the checkpoint itself: ")[2], None, {"ckpt_path": str(checkpoint)}
    [fault] = [f for f in device_faults({"devices": 2, "accelerator": "cpu"}, False) if "trainer=ddp" in f]
    yield re.search("one device; (.*) on several", fault)[1], None, {"trainer": "ddp", "trainer.devices": 2}

    faults = Faults()
    faults.spare = dict.fromkeys(["Giá (VNĐ)", "ROOMS#CLEANLINESS"])
    remedy = leaving_out(faults, Columns(ignore_columns=["số sao"]))
    yield remedy.partition("left out by ")[2], None, {"data.ignore_columns": ["số sao", *faults.spare]}
    with as_options():
        remedy = leaving_out(faults, Columns(ignore_columns=["số sao"]))
    words = [word for name in faults.spare for word in ("--ignore-columns", name)]
    yield remedy.partition("left out by ")[2], words, {}
    yield set_to("separator", ";"), None, {"data.separator": ";"}
    with pytest.raises(UserError) as error:
        as_typed(["data.aspects=[Giá (VNĐ"])
    yield str(error.value).partition("it is typed ")[2], None, {"data.aspects": "[Giá (VNĐ"}


PRETRAINED = {
    **{key: {} for key in ("figures", "texts", "tokens", "config")},
    **{"steps": 1, "seconds": 1.0, "device": "cpu", "precision": "32-true", "overrides": []},
    "encoder": {"name": "mini", "weights": "random", "pretrained": False},
    "environment": {"commit": None, "python": "3", "platform": "x", "packages": {}},
}


@pytest.mark.parametrize("shell", ["posix", "powershell"])
def test_every_printed_command_is_read_as_what_was_meant(shell, tmp_path, monkeypatch, caplog) -> None:
    """By the shell, then by Hydra's grammar."""
    monkeypatch.setattr(spelling, "POWERSHELL", shell == "powershell")
    monkeypatch.setattr(sys, "orig_argv", ["python3", "train.py", *TRAIN])
    apart = powershell if shell == "powershell" else shlex.split
    lines = list(printed(tmp_path, monkeypatch, caplog))
    for line, start, settings in lines:
        words = apart(line)
        if start and start[0].endswith(".py"):
            assert words.pop(0) in ("python", "python3"), line
        if start and start[0] == "absa":  # with its folder where the shell does not find it
            words[0] = Path(words[0]).name
        begin = len(start or [])
        assert words[:begin] == (start or []), line
        got = {}
        for word in words[begin:]:
            key, value = read(word) if word != "seed=1,2" else ("seed", None)
            got[key] = value
        assert got == settings, line
    assert len(lines) == 18


def test_the_call_that_goes_on_in_a_notebook_is_read_as_what_was_meant(tmp_path) -> None:
    folder = tmp_path / FOLDER
    (folder / "checkpoints").mkdir(parents=True)
    (folder / "checkpoints" / "last.ckpt").touch()
    stopped = from_python._reason(SystemExit(130), TRAIN, [folder])
    call = ast.parse(str(stopped).partition("To go on: ")[2], mode="eval").body
    words = ast.literal_eval(call.args[0])
    assert dict(map(read, words)) == dict(map(read, TRAIN)) | {"hydra.run.dir": str(folder), "ckpt_path": "last"}


# --- the program, as it was started ---


def test_a_program_is_named_as_it_was_started(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", "/usr/bin")
    monkeypatch.setattr(spelling.shutil, "which", lambda name: "/usr/bin/python3" if name == "python3" else None)
    here = str(tmp_path)
    for typed, said in {
        ("python", "train.py"): "python train.py",
        ("python3", "-X", "utf8", "Đồ án/train.py"): "python3 -X utf8 'Đồ án/train.py'",
        (".venv/bin/python", "train.py"): ".venv/bin/python train.py",
        (f"{here}/.venv/bin/python", f"{here}/train.py"): ".venv/bin/python train.py",
        (f"{here}/python", "../x/train.py"): "./python ../x/train.py",
        ("/usr/bin/python3", "train.py"): "python3 train.py",
        ("/opt/my python/python3", "train.py"): "'/opt/my python/python3' train.py",
        ("", "train.py"): f"{shlex.quote(sys.executable)} train.py",
    }.items():
        monkeypatch.setattr(sys, "orig_argv", [*typed, "seed=1"])
        monkeypatch.setattr(sys, "argv", [typed[-1], "seed=1"])
        assert command("train.py", ["seed=2"]) == f"{said} seed=2"
        assert command("pretrain.py") == said.replace("train.py", "pretrain.py")
        assert command("train.py", ["seed=2"], here=False) == "python train.py seed=2"
    monkeypatch.setattr(sys, "orig_argv", ["python", "-m", "ipykernel_launcher", "-f", "x"])
    monkeypatch.setattr(sys, "argv", ["/lib/ipykernel_launcher.py", "-f", "x"])
    assert command("train.py") == "python train.py"


def test_powershell_starts_a_program_with_a_quoted_name(monkeypatch) -> None:
    monkeypatch.setattr(spelling, "POWERSHELL", True)
    monkeypatch.setattr(sys, "argv", [r".\train.py"])
    monkeypatch.setattr(sys, "orig_argv", [r".venv\Scripts\python.exe", r".\train.py"])
    assert command(r".\train.py") == r".venv\Scripts\python.exe .\train.py"
    monkeypatch.setattr(sys, "orig_argv", [r"C:\Đồ án (1)\python.exe", r".\train.py"])
    assert command(r".\train.py").startswith(r"& 'C:\Đồ án (1)\python.exe' ")


@pytest.mark.parametrize("started", [[sys.executable], ["python3"]])
def test_a_real_program_says_how_it_was_started(started, tmp_path) -> None:
    code = "from src.spelling import command; print(command('train.py', ['a b']))"
    (tmp_path / "train.py").write_text(code, encoding="utf-8")
    (tmp_path / "src").symlink_to(ROOT / "src")
    environment = {"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin"}
    done = subprocess.run([*started, "train.py"], cwd=tmp_path, env=environment, capture_output=True, encoding="utf-8")
    first, *rest = shlex.split(done.stdout)
    assert rest == ["train.py", "a b"], done.stderr
    again = subprocess.run([first, *rest], cwd=tmp_path, env=environment, capture_output=True, encoding="utf-8")
    assert again.returncode == 0 and "/" not in first
    assert pasted(shlex.split(again.stdout)) == again.stdout.strip()
