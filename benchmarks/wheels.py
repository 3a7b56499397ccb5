"""Check that every pin of constraints.txt installs without a compiler on the systems that the README names.

    python benchmarks/wheels.py

For each system and Python, pip resolves the pins as that system's own pip would; nothing is installed, and of most
wheels no more is read than what describes them (pip 23.3 or newer; an older one downloads them whole). A package
without a wheel is built here from its source: if the wheel then fits every system, the package is pure Python, and pip
can build it anywhere. Needs the package index (PIP_INDEX_URL names another than pip's default) and half an hour. The
exit status is 1 if a pin lacks a wheel.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PYTHONS = ("3.11", "3.12", "3.13")
SYSTEMS = {  # pip's platform names of the wheels that a system takes
    "Windows x86-64": ["win_amd64"],
    "macOS 14 arm64": ["macosx_14_0_arm64"],
    "Linux x86-64": ["manylinux_2_28_x86_64", "manylinux_2_27_x86_64", "manylinux_2_17_x86_64", "manylinux2014_x86_64"],
}
SYSTEM_MARKS = {"Windows x86-64": "win32", "macOS 14 arm64": "darwin", "Linux x86-64": "linux"}  # sys_platform
# pip would prefer a wheel on this machine's disk, which says nothing about what other machines can install. Such
# folders stand in the environment or in pip's own settings.
INDEX_ONLY = {key: value for key, value in os.environ.items() if key != "PIP_FIND_LINKS"}
INDEX_ONLY["PIP_CONFIG_FILE"] = os.devnull


def pins(file: Path, system: str) -> list[str]:
    """The pins of a constraints file that apply to ``system``. Raises SystemExit for a marker it cannot read."""
    lines = [line.split("#")[0].strip() for line in file.read_text(encoding="utf-8").splitlines()]
    chosen = []
    for line in filter(None, lines):
        pin, _, marker = (part.strip() for part in line.partition(";"))
        platform = re.fullmatch(r"sys_platform\s*(==|!=)\s*['\"](\w+)['\"]", marker)
        if marker and not platform:
            raise SystemExit(f"error: {file.name}: {line}: only sys_platform == or != is understood here")
        if not platform or (platform[1] == "==") == (platform[2] == SYSTEM_MARKS[system]):
            chosen.append(pin)
    return chosen


def without_wheel(asked: list[str], platforms: list[str], python: str) -> list[str]:
    """The pins that have no wheel for these platforms. Raises SystemExit if pip fails for another reason."""
    missing: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pip", "install", "--dry-run", "--quiet", "--no-deps", "--only-binary=:all:"]
        command += ["--use-feature=fast-deps", "--ignore-installed", "--target", folder]
        command += ["--python-version", python, "--implementation", "cp"]
        command += [word for platform in platforms for word in ("--platform", platform)]
        report = Path(folder) / "report.json"
        while left := [pin for pin in asked if pin not in missing]:
            done = subprocess.run(
                [*command, "--report", str(report), *left], env=INDEX_ONLY, capture_output=True, encoding="utf-8"
            )
            if done.returncode == 0:
                found = json.loads(report.read_text(encoding="utf-8"))["install"]
                urls = [each["download_info"]["url"] for each in found]
                assert len(urls) == len(left) and all(re.match(r"https?:.*\.whl$", url) for url in urls)
                break
            names = re.findall(r"No matching distribution found for (\S+)", done.stderr)
            if not names or names[0] not in left:
                raise SystemExit(f"error: pip: {done.stderr.strip()}")
            missing.append(names[0])
    return missing


def is_pure(pin: str) -> bool:
    """Whether the package's source, built here, gives a wheel for every system."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", folder, pin]
        done = subprocess.run(command, env=INDEX_ONLY, capture_output=True)
        return done.returncode == 0 and all(path.name.endswith("-none-any.whl") for path in Path(folder).iterdir())


def main() -> None:
    """Print a line for every system and Python."""
    status, pure = 0, dict[str, bool]()
    for system, platforms in SYSTEMS.items():
        for python in PYTHONS:
            asked = pins(ROOT / "constraints.txt", system)
            missing = without_wheel(asked, platforms, python)
            for pin in missing:
                pure.setdefault(pin, is_pure(pin))
            lacking = [pin for pin in missing if not pure[pin]]
            built = [pin for pin in missing if pure[pin]]
            line = f"{system:<15}  Python {python}  {len(asked) - len(missing)} of {len(asked)} pins have a wheel"
            line += f"; pure Python, built from source: {', '.join(built)}" if built else ""
            line += f"; NONE, and not pure Python: {', '.join(lacking)}" if lacking else ""
            print(line, flush=True)
            status |= bool(lacking)
    raise SystemExit(status)


if __name__ == "__main__":
    main()
