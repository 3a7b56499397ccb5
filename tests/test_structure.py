"""What the README and the layout promise: imports go one way, files stay small, and the commands are real."""

import ast
import re
import shlex
from pathlib import Path

import pytest

from src.checks import check_config
from tests.conftest import ROOT
from tests.test_config import composed

ORDER = [
    *(
        "errors",
        "disk",
        "ranks",
        "labels",
        "texts",
        "faults",
        "files",
        "tables",
        "annotations",
        "reviews",
        "findings",
        "splits",
    ),
    *(
        "data_report",
        "tokenizer",
        "token_cache",
        "packing",
        "batching",
        "datamodule",
        "focal",
        "losses",
        "hub",
        "torch_files",
    ),
    *(
        "encoder",
        "dropout",
        "attention",
        "last_layer",
        "classifier",
        "predictions",
        "figures",
        "metrics",
        "lit_module",
        "checkpoint",
        "resume",
    ),
    *(
        "hardware",
        "devices",
        "schema",
        "targets",
        "loggers",
        "checks",
        "progress",
        "folder",
        "from_python",
        "scripts",
        "runs",
        "summary",
        "judge",
    ),
    *("jobs", "sweeps", "search", "ship", "pretraining", "cli"),
]
SOURCES = sorted(p for p in (ROOT / "src").rglob("*.py") if p.name != "__init__.py")


def module(path: Path) -> str:
    return path.relative_to(ROOT / "src").with_suffix("").parts[0]


def imported(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names = [node.module] if isinstance(node, ast.ImportFrom) else []
        names += [a.name for a in node.names] if isinstance(node, ast.Import) else []
        found |= {n.split(".")[1] for n in names if n and n.startswith("src.")}
    return found


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(ROOT / "src")))
def test_imports_go_one_way(path) -> None:
    mine = ORDER.index(module(path))
    assert {n for n in imported(path) if ORDER.index(n) > mine} == set()


@pytest.mark.parametrize(
    "path", [*SOURCES, ROOT / "train.py", ROOT / "pretrain.py"], ids=lambda p: str(p.relative_to(ROOT))
)
def test_a_file_has_one_job(path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 260


def readme_commands() -> list[str]:
    text = (ROOT / "README.md").read_text(encoding="utf-8").replace("\\\n", " ")
    lines = re.findall(r"^    (?:make train ARGS=\")?(python train\.py.*?)\"?$", text, re.M)
    return [re.split(r"\s{2,}#", line)[0].strip() for line in lines]


def test_the_readme_has_commands() -> None:
    assert len(readme_commands()) >= 12


@pytest.mark.parametrize("command", readme_commands())
def test_every_training_command_of_the_readme_is_valid(command, tmp_path, monkeypatch) -> None:
    """Composed and checked as typed, with files where it names some."""
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    monkeypatch.setattr("src.checks.compiler_missing", lambda accelerator: None)
    sample = ROOT / "data" / "sample"
    for name in ("train.csv", "val.csv", "test.csv", "all.csv", "last.ckpt", "Train.csv", "train_balanced.csv"):
        (tmp_path / name).write_bytes((sample / "train.csv").read_bytes())
    words = [w for w in shlex.split(command)[2:] if w not in ("-m", "--cfg", "job")]
    words = [re.sub(r"=(path/to/[\w-]+|DIR|\.\./shared/data/\w+)$", f"={tmp_path}", w) for w in words]
    words = [re.sub(r"=outputs/\S+/(\w+\.ckpt)$", rf"={tmp_path}/\1", w) for w in words]
    words = [re.sub(r"=(\w+\.csv)$", rf"={tmp_path}/\1", w) for w in words]
    if " -m " in command:
        words = [re.sub(r"=(\w+),.*", r"=\1", w) for w in words]
    config = composed(tmp_path, *words)
    check_config(config)
