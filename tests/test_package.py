"""One package under two names: ``src`` in the checkout, ``visobert_absa`` in a wheel, and no module twice."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from importlib.metadata import distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from tests.conftest import ROOT

FOLDERS = sorted(p.parent.relative_to(ROOT / "src") for p in (ROOT / "src").rglob("__init__.py"))


def python(code: str, cwd: Path, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=cwd, env=os.environ | environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_every_folder_is_packaged() -> None:
    setuptools = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]
    assert sorted(setuptools["packages"]) == sorted(".".join(("visobert_absa", *folder.parts)) for folder in FOLDERS)
    for package, patterns in setuptools["package-data"].items():
        folder = ROOT / "src" / Path(*package.split(".")[1:])
        assert all(list(folder.glob(pattern)) for pattern in patterns)


@pytest.fixture(scope="module")
def both(tmp_path_factory) -> Path:
    """A folder in which the checkout has both names, as an editable install gives them to it."""
    folder = tmp_path_factory.mktemp("both")
    for name in ("src", "visobert_absa"):
        (folder / name).symlink_to(ROOT / "src", target_is_directory=True)
    return folder


@pytest.mark.parametrize(("first", "second"), [("src", "visobert_absa"), ("visobert_absa", "src")])
def test_no_module_is_there_twice(both, first, second) -> None:
    code = f"""
import importlib, sys
from {first} import labels, errors
from {second}.errors import UserError
import {second}.answers.decisions as decisions
import {second}.ship.http.limits
import {first}.answers.decisions as again
import {first}, {second}
assert {first} is {second} and UserError is errors.UserError and decisions is again
assert decisions.__spec__.name == "{first}.answers.decisions" and decisions.Labels is labels.Labels
assert importlib.util.find_spec("{second}.nothing") is None
files = [m.__file__ for name, m in sys.modules.items() if name.startswith("{first}")]
there = [n for n, m in sys.modules.items() if n.startswith("{second}.")]
assert there and all(sys.modules[n] is sys.modules["{first}" + n[len("{second}"):]] for n in there)
try:
    import {second}.nothing
except ModuleNotFoundError:
    print(len(files), len(set(files)))
"""
    files, different = python(code, both).split()
    assert files == different and int(files) > 5


def test_another_projects_src_stays_its_own(both, tmp_path) -> None:
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "__init__.py").write_text("mine = 1", encoding="utf-8")
    (tmp_path / "visobert_absa").symlink_to(ROOT / "src", target_is_directory=True)
    python("import visobert_absa.labels, src; assert src.mine and not hasattr(src, 'labels')", tmp_path)
    python("import src, visobert_absa.labels; assert src.mine and src is not visobert_absa", tmp_path)


@pytest.fixture(scope="module")
def installed(tmp_path_factory) -> Path:
    """The wheel's content, as pip would put it into site-packages."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    shutil.copytree(ROOT / "src", source / "src", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    command = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "-q",
        "--no-deps",
        "--no-build-isolation",
        "--no-index",
        "-w",
        folder,
    ]
    done = subprocess.run([*command, source], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "site")
    return folder / "site"


def test_the_wheel_holds_one_package_and_all_of_it(installed) -> None:
    (info,) = installed.glob("*.dist-info")
    assert {p.name for p in installed.iterdir()} == {"visobert_absa", info.name}
    assert (info / "entry_points.txt").read_text().split("\n")[:2] == [
        "[console_scripts]",
        "absa = visobert_absa.cli:main",
    ]
    there = {
        p.relative_to(installed / "visobert_absa") for p in (installed / "visobert_absa").rglob("*") if p.is_file()
    }
    files = {
        p.relative_to(ROOT / "src") for p in (ROOT / "src").rglob("*") if p.is_file() and "__pycache__" not in p.parts
    }
    assert there == files


def test_a_review_is_answered_from_the_wheel_outside_the_checkout_without_torch(installed, exported, tmp_path) -> None:
    (tmp_path / "reviews.txt").write_text("Máy đẹp, pin trâu nhưng camera hơi kém\n", encoding="utf-8")
    code = (
        "import sys; sys.modules.update(dict.fromkeys(['torch', 'lightning', 'transformers', 'hydra']))\n"
        "from visobert_absa.cli import main; import visobert_absa\n"
        f"assert visobert_absa.__file__.startswith({str(installed)!r})\n"
        f"main(['predict', {str(exported)!r}, 'reviews.txt', '-o', '-'])"
    )
    out = python(code, tmp_path, PYTHONPATH=str(installed), PYTHONIOENCODING="utf-8")
    assert '"aspects"' in out and "pin trâu" in out


def needed(extras: set[str]) -> set[str]:
    """The names of the packages that an install of the project with these extras brings."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    left = [*project["dependencies"], *(line for e in extras for line in project["optional-dependencies"][e])]
    found: set[str] = set()
    while left:
        requirement = Requirement(left.pop())
        for extra in {"", *requirement.extras}:
            if f"{requirement.name}[{extra}]" in found:
                continue
            found.add(f"{requirement.name}[{extra}]")
            wanted = [Requirement(line) for line in distribution(requirement.name).requires or []]
            left += [str(one) for one in wanted if one.marker is None or one.marker.evaluate({"extra": extra})]
    return {name.partition("[")[0] for name in found}


def clean(folder: Path, installed: Path, *extras: str) -> dict[str, str]:
    """The environment of a Python that finds the wheel and what its extras bring, and nothing else."""
    (folder / "site").mkdir()
    for name in needed(set(extras)):
        there = distribution(name)
        for top in {file.parts[0] for file in there.files or []} - {"..", "__pycache__"}:
            link = folder / "site" / top
            if not link.exists():
                link.symlink_to(Path(there.locate_file(top)))
    return {"PYTHONPATH": os.pathsep.join([str(installed), str(folder / "site")]), "PYTHONIOENCODING": "utf-8"}


def in_clean(code: str, cwd: Path, environment: dict[str, str]) -> str:
    """As :func:`python`, but without the packages of this environment (-S)."""
    command = [sys.executable, "-S", "-c", code]
    done = subprocess.run(command, cwd=cwd, env=os.environ | environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(("title", "extras"), [("Answers", ["serve"]), ("Arrow", ["serve", "parquet"])])
def test_the_examples_in_python_run_from_the_wheel_in_a_clean_environment(
    installed, exported, tmp_path, title, extras
) -> None:
    """Those of docs/python.md, outside the checkout, with the packages of the extras alone."""
    page = (ROOT / "docs" / "python.md").read_text(encoding="utf-8")
    section = re.split(r"^## ", page, flags=re.M)
    (text,) = (part for part in section if part.startswith(f"{title}\n"))
    blocks = re.findall(r"```python\n(.*?)```", text, re.S)
    assert blocks
    environment = clean(tmp_path, installed, *extras)
    (tmp_path / "bundle").symlink_to(exported, target_is_directory=True)
    absent = ["torch", "transformers", "lightning", "hydra", *(["pyarrow"] if title == "Answers" else [])]
    look = f"\nimport importlib.util\nassert not any(map(importlib.util.find_spec, {absent}))\n"
    in_clean("\n".join(blocks) + look, tmp_path, environment)


def test_without_pyarrow_one_message_says_what_to_install(installed, exported, tmp_path) -> None:
    code = f"""
from visobert_absa import UserError, load
try:
    load({str(exported)!r}).predict_arrow(None)
except UserError as error:
    print(error)
"""
    out = in_clean(code, tmp_path, clean(tmp_path, installed, "serve"))
    assert "pip install 'visobert-absa[parquet]'" in out
