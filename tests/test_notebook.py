"""Training from Python and from a notebook: as the command line does, in a real kernel, stopped and gone on with."""

import csv
import json
import logging
import re
import shlex
import sys
import time
import tomllib
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from jupyter_client.manager import start_new_kernel

from src.errors import UserError
from src.runs.run import Run
from tests.conftest import ROOT, TINY
from train import train

NOTEBOOK = ROOT / "notebooks" / "first_run.ipynb"
FEW = [*TINY, "trainer.max_epochs=2", "trainer.limit_train_batches=3"]


# --- from Python ---


@pytest.mark.slow
def test_a_call_is_the_run_that_the_command_line_makes_and_leaves_no_trace(trained, tmp_path, monkeypatch) -> None:
    typed = Run(trained[0])
    monkeypatch.chdir(tmp_path)
    before = (list(sys.argv), logging.root.handlers[:], logging.root.level)
    configured = HydraConfig.initialized()  # by another test of this process
    for name in ("first", "second"):
        began = time.monotonic()
        run = train([*TINY, "loss=focal", "loss.gamma=2", "trainer.max_epochs=2", f"hydra.run.dir={name}"])
        seconds = time.monotonic() - began
        assert run.folder == tmp_path / name, "absolute: it is found from any other folder"
        assert (list(sys.argv), logging.root.handlers, logging.root.level) == before
        assert not GlobalHydra.instance().is_initialized() and HydraConfig.initialized() == configured
        for same in ("predictions/test.jsonl", ".hydra/config.yaml", ".hydra/overrides.yaml"):
            assert (run.folder / same).read_bytes() == (typed.folder / same).read_bytes()
        assert figures(run) == figures(typed), "of every epoch, losses too"
        ours, theirs = run.read_summary(), typed.read_summary()
        assert ours["figures"] == theirs["figures"] and ours["overrides"] == theirs["overrides"]
        assert ours["seconds"]["start_up"] < seconds, "of this call, not since the module was imported"
        assert "Best of 2 epochs" in (run.folder / "train.log").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["loss.gama=2"], "gama"),
        (["loss=focl"], "loss=focl: no such choice; expected one of ce, focal"),
        (["+nonsense=1", "model.pooling=max"], "nonsense: no such setting\nmodel.pooling=max: expected cls"),
        (["data=table", "data.train=nowhere.csv", "data.val=0.1"], "no such file"),
        (["seed=1,2"], "seed=1,2: several values are a sweep"),
        (["-m", "seed=1,2"], "only the command line has options"),
        ("loss=focal", "expected a list of overrides"),
        ([1], "expected a list of overrides"),
        (["hydra.run.dir=taken"], "holds a run already"),
    ],
)
def test_a_mistake_is_raised_in_one_message(tmp_path, monkeypatch, capsys, overrides, message) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "summary.json").write_text("{}", encoding="utf-8")
    with pytest.raises(UserError, match=re.escape(message)) as raised:
        train(overrides if isinstance(overrides, str) else [*FEW[:-1], *overrides])
    assert raised.value._render_traceback_() == [f"error: {raised.value}"]
    assert "Traceback" not in capsys.readouterr().err
    assert not GlobalHydra.instance().is_initialized()


def figures(run: Run) -> list[dict[str, str]]:
    with (run.folder / "metrics.csv").open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


# --- in a notebook ---


@pytest.fixture(scope="module")
def kernel() -> Iterator[Any]:
    manager, client = start_new_kernel(kernel_name="python3", cwd=str(NOTEBOOK.parent), startup_timeout=60)
    client.manager = manager
    yield client
    client.stop_channels()
    manager.shutdown_kernel(now=True)


def execute(kernel: Any, code: str, stop_at: str | None = None) -> tuple[str, str, dict[str, Any]]:
    """A cell's text, the kinds of its other outputs, and how it ended; ``stop_at``: interrupt when it prints that."""
    text, kinds, asked = "", "", False

    def note(message: Any) -> None:
        nonlocal text, kinds, asked
        content = message["content"]
        if message["msg_type"] == "error":
            text += "\n".join(content["traceback"])
        text += content.get("text", "")
        kinds += " ".join(content.get("data", ()))
        if stop_at and stop_at in text and not asked:
            asked = True
            kernel.manager.interrupt_kernel()

    reply = kernel.execute_interactive(code, output_hook=note, timeout=120, allow_stdin=False)
    return text, kinds, reply["content"]


def cells() -> list[dict[str, Any]]:
    return json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]


def source(name: str) -> str:
    return next("".join(cell["source"]) for cell in cells() if cell["id"] == name)


def settings(overrides: list[str], folder: Path) -> str:
    return f"OVERRIDES = {overrides!r}\nRUN_DIR = {str(folder)!r}"


def test_the_file_is_a_clean_notebook() -> None:
    notebook = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
    assert (notebook["nbformat"], notebook["nbformat_minor"]) == (4, 5)
    names = [cell["id"] for cell in notebook["cells"]]
    assert len(set(names)) == len(names) and all(re.fullmatch(r"[\w-]{1,64}", name) for name in names)
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert [(cell["outputs"], cell["execution_count"]) for cell in code] == [([], None)] * len(code)
    assert [cell["id"] for cell in code if "parameters" in cell["metadata"].get("tags", [])] == ["settings"]
    exec(source("settings"), given := {})
    assert given["OVERRIDES"] == ["model=mini"] and given["RUN_DIR"] == ""


def test_the_install_cell_keeps_the_machines_torch(kernel) -> None:
    """Run as it stands, with a %pip that only says what it was given."""
    execute(kernel, "get_ipython().register_magic_function(lambda line: print('pip', line), magic_name='pip')")
    said, _, end = execute(kernel, source("install"))
    assert end["status"] == "ok", said
    words = shlex.split(said.strip())
    assert words[:4] == ["pip", "install", "-q", f"torch=={version('torch')}"]
    assert "constraints.txt" not in said, "its pins would replace torch"
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    asked = re.fullmatch(r"\.\[(.*)\]", words[words.index("-e") + 1])
    assert set(asked[1].split(",")) <= extras.keys()
    assert not any("torch==" in need for name in asked[1].split(",") for need in extras[name])


def test_the_notebook_runs_from_top_to_bottom(kernel, tmp_path) -> None:
    shown = {}
    for cell in cells():
        if cell["cell_type"] != "code" or "install" in cell["metadata"].get("tags", []):
            continue
        code = "".join(cell["source"])
        if "parameters" in cell["metadata"].get("tags", []):
            code = settings(FEW, tmp_path / "run")
        text, kinds, end = execute(kernel, code)
        assert end["status"] == "ok", f"{cell['id']}: {text}"
        shown[cell["id"]] = text + kinds
    assert re.search(r"epoch +2/2  train/loss", shown["train"]) and "Epoch 0" in shown["train"], "lines, and a bar"
    assert "text/html" in shown["table"] and "pair F1" in shown["table"]
    assert "text/html" in shown["chart"]
    assert shown["answers"].startswith("Máy đẹp")
    assert Run(tmp_path / "run").read_summary()["epochs"]["run"] == 2


@pytest.mark.slow
def test_the_stop_button_saves_and_the_same_cell_goes_on(kernel, tmp_path) -> None:
    long = [*TINY, "trainer.max_epochs=300"]
    execute(kernel, f"import os; os.chdir({str(NOTEBOOK.parent)!r})")
    execute(kernel, f"{source('project')}\n{settings(long, tmp_path / 'run')}")
    said, _, end = execute(kernel, source("train"), stop_at="epoch  2/300")  # while epoch 3 is trained
    assert (end["status"], end["ename"]) == ("error", "Stopped"), said
    assert "Traceback" not in said and "trainer.fit" not in said
    go_on = re.search(r"To go on: (train\(\[.*\]\))", end["evalue"])[1]
    assert f"'hydra.run.dir={tmp_path}/run', 'ckpt_path=last'" in go_on
    assert (tmp_path / "run" / "checkpoints" / "last.ckpt").is_file()
    said, _, end = execute(kernel, f"run = {go_on}", stop_at="train/loss")  # pasted
    assert end["ename"] == "Stopped" and "epoch  3/300" in said and "epoch  1/300" not in said, said
    assert said.count("Epoch 1:") == 0, "no bar is left of what was stopped"
    said, _, end = execute(kernel, source("train"), stop_at="train/loss")  # the same cell once more
    assert end["ename"] == "Stopped" and "epoch  1/300" not in said, said


def test_a_mistake_shows_no_traceback(kernel) -> None:
    said, _, end = execute(
        kernel, f"import os; os.chdir({str(ROOT)!r})\nfrom train import train\ntrain(['loss.gama=2'])"
    )
    assert end["ename"] == "UserError"
    assert said.startswith("error: loss.gama: no such setting") and "Traceback" not in said
