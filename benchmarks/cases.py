"""What comes out of the small files in a folder of cases, file by file, beside what is right.

    python benchmarks/cases.py ../shared/cases

The folder has a README.md with a table: the files of a row, their shape, and what is right.
"""

import argparse
import contextlib
import io
import re
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from src.cli import main as absa

OPTIONS = {  # of files that ask for them; the rest is told from the files
    "01-vlsp-csv-digits": ["--values", "0=,1=positive,2=negative,3=neutral"],
    "07-minus1-0-1-2": ["--values=1=positive,0=neutral,-1=negative,2=", "--several", "mentioned"],
    "12-encodings/cp1258.csv": ["--encoding", "cp1258"],
    "13-nan-strings/zero.csv": ["--values", "0="],
}


def expected(readme: str) -> list[tuple[str, str]]:
    """The rows of the table: the cell that names files, and what is right for them."""
    rows = [line.strip().strip("|").split("|") for line in readme.splitlines() if line.startswith("| `")]
    return [(cells[0].strip(), cells[-1].strip()) for cells in rows]


def checked(file: Path, options: list[str]) -> tuple[int, str]:
    """The exit status of ``absa check`` on a file, and the lines that tell what was read."""
    out, err = io.StringIO(), io.StringIO()
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            absa(["check", str(file), *options])
    except SystemExit as stop:
        return int(stop.code or 0), err.getvalue().replace(f"{file.parent}/", "").strip()
    head, _, table = out.getvalue().partition("\n\n")
    pairs = next((line.split() for line in table.splitlines() if line.startswith("all ")), [])
    return 0, f"{head.replace(f'{file.parent}/', '')}\n  pairs: {' '.join(pairs[1:])}"


def main() -> None:
    """Print every case."""
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("folder", type=Path)
    folder = p.parse_args().folder
    right = expected((folder / "README.md").read_text(encoding="utf-8"))
    for path in sorted(path for path in folder.rglob("*") if path.is_file() and path.parent != folder):
        name = path.relative_to(folder).as_posix()
        number = name.partition("-")[0]
        rows = [said for files, said in right if files.startswith(f"`{number}-")]
        named = [said for files, said in right if files.startswith(f"`{number}-") and path.name in files]
        options = OPTIONS.get(name) or OPTIONS.get(path.parent.name, [])
        for given in ([], options) if options else ([],):
            status, told = checked(path, given)
            print(f"\n{name} {' '.join(given)}\n  status {status}: " + re.sub("\n", "\n  ", told))
        print(f"  right: {(named or rows or ['?'])[0]}")


if __name__ == "__main__":
    main()
