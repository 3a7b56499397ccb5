"""What the layout promises: imports go one way, some rooms bring no torch, and files stay small."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT

ROOMS = (
    *(
        "errors",
        "labels",
        "spelling",
        "runs",
        "data",
        "tokens",
        "answers",
        "focal",
        "losses",
        "model",
        "datamodule",
        "lit_module",
    ),
    *("training", "judge", "pretraining", "sweeps", "ship", "cli"),
)
LIGHT = ("data", "answers", "runs", "ship")  # rooms that bring no torch, but for what stands here
HEAVY = {"ship.export", "ship.graph"}
SOURCES = sorted(p for p in (ROOT / "src").rglob("*.py") if p.name != "__init__.py")
NOT_WITHIN = ("src", "visobert_absa", "train", "pretrain", "search")
PROGRAMS = [ROOT / name for name in ("train.py", "pretrain.py", "search.py")]


def module(path: Path) -> str:
    return ".".join(path.relative_to(ROOT / "src").with_suffix("").parts)


def imported(path: Path, late: bool = True) -> set[str]:
    """The project's modules that a file imports, without ``src.``; ``late``: also within its functions."""
    tree, found = ast.parse(path.read_text(encoding="utf-8")), set()
    package = list(path.relative_to(ROOT).parts[:-1])
    for node in ast.walk(tree) if late else tree.body:
        assert not isinstance(node, ast.Import) or not any(a.name.split(".")[0] == "src" for a in node.names)
        if not isinstance(node, ast.ImportFrom):
            continue
        base = package[: len(package) - node.level + 1] if node.level else []
        parts = [*base, *(node.module or "").split(".")] if node.module else base
        if parts[0] == "src":
            found |= {".".join(_module([*parts[1:], a.name])) for a in node.names}
    return found


def _module(parts: list[str]) -> list[str]:
    """``parts`` name a module, or something in one."""
    return parts if (ROOT / "src" / "/".join(parts)).with_suffix(".py").exists() else parts[:-1]


def test_the_rooms_are_those() -> None:
    assert {module(p).split(".")[0] for p in SOURCES} == set(ROOMS)
    assert len([p for p in SOURCES if p.parent == ROOT / "src"]) <= 8


@pytest.mark.parametrize("path", SOURCES, ids=module)
def test_imports_go_one_way(path) -> None:
    mine = ROOMS.index(module(path).split(".")[0])
    assert {n for n in imported(path) if ROOMS.index(n.split(".")[0]) > mine} == set()


@pytest.mark.parametrize("path", SOURCES, ids=module)
def test_imports_within_the_package_are_relative(path) -> None:
    """Absolute ones would name the checkout's folder, which an installed package is not called by; none is a program's."""
    nodes = [n for n in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(n, ast.ImportFrom)]
    assert not [n.module for n in nodes if not n.level and (n.module or "").split(".")[0] in NOT_WITHIN]


def test_there_is_no_circle() -> None:
    left = {module(p): imported(p) - {module(p)} for p in SOURCES}
    assert sum(map(len, left.values())) > 200
    while ready := [name for name, needs in left.items() if not needs & left.keys()]:
        for name in ready:
            del left[name]
    assert left == {}


def test_light_rooms_bring_no_torch() -> None:
    """Looked at in a clean interpreter, in which torch and its company cannot be imported."""
    names = [m for p in SOURCES if (m := module(p)).split(".")[0] in LIGHT and m not in HEAVY]
    assert len(names) > 40
    heavy = ["torch", "lightning", "transformers", "torchmetrics"]
    code = (
        f"import importlib, sys; sys.modules.update(dict.fromkeys({heavy}))\n"
        f"for name in {names}: importlib.import_module(f'src.{{name}}')"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_a_public_name_has_one_meaning() -> None:
    """No two modules define the same function, class or constant, so that a search finds the one that is meant."""
    owners: dict[str, set[str]] = {}
    for path in SOURCES:
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
            names = {n.id for target in targets if target for n in ast.walk(target) if isinstance(n, ast.Name)}
            for name in names | {getattr(node, "name", "_")}:
                owners.setdefault(name, set()).add(module(path))
    assert {n: sorted(m) for n, m in owners.items() if len(m) > 1 and not n.startswith("_") and n != "log"} == {}


@pytest.mark.parametrize("path", [*SOURCES, *PROGRAMS], ids=lambda p: str(p.relative_to(ROOT)))
def test_a_file_has_one_job(path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 260
