"""What comes out of the small files in a folder of cases, file by file, and whether that is what is right.

    python benchmarks/cases.py ../shared/cases

Every file is read as ``absa check`` reads it, with the options that it asks for and, where it has to be refused
without them, also without. ``ok`` or ``differs`` stands at the end of a line; the exit status is 1 if anything differs.
"""

import argparse
import contextlib
import io
import re
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from src.cli import main as absa

DIGITS = ["--values", "0=,1=positive,2=negative,3=neutral"]
OTHER_DIGITS = ["--values=1=positive,0=neutral,-1=negative,2=", "--several", "mentioned"]
OPTIONS = {  # of files that ask for them; the rest is told from the files
    "01-vlsp-csv-digits": DIGITS,
    "07-minus1-0-1-2": OTHER_DIGITS,
    "12-encodings/cp1258.csv": ["--encoding", "cp1258"],
    "13-nan-strings/zero.csv": ["--values", "0="],
}
PHONES = "24: 20 12 8 40"
RIGHT = {  # file or folder -> reviews, and pairs: positive, negative, neutral, mentioned; or what its refusal says
    "01-vlsp-csv-digits/train.csv": "60: 54 51 19 124",
    "01-vlsp-csv-digits/dev.csv": "20: 22 13 8 43",
    "01-vlsp-csv-digits/test.csv": "20: 23 18 6 47",
    "02-vlsp-raw-txt/train.txt": "60: 54 51 19 124",
    "02-vlsp-raw-txt/dev.txt": "20: 22 13 8 43",
    "02-vlsp-raw-txt/test.txt": "20: 23 18 6 47",
    "07-minus1-0-1-2/train.csv": "60: 23 30 25 79",
    "07-minus1-0-1-2/dev.csv": "20: 12 7 11 31",
    "07-minus1-0-1-2/test.csv": "20: 6 7 11 25",
    "09-annotation-exports/labelstudio.csv": "24: 12 8 8 28",
    "11-xlsx/train.xlsx": "1: 1 0 0 1",
    "11-xlsx/renamed.csv": "this is an Excel file",
    "18-long-format/long_with_test.csv": "5: 4 3 2 9",
    "20-no-aspect-rows/explicit.jsonl": "4: 1 1 0 2",
    "20-no-aspect-rows/30_without_text.csv": "50: 42 46 16 104",
    "20-no-aspect-rows/labelled_only.csv": "80: 73 68 27 168",
    "20-no-aspect-rows/s.csv": "80: 73 68 27 168",
    "20-no-aspect-rows/with_off_topic.csv": "160: 73 68 27 168",
    "22-unseen-aspect/test.csv": "20: 20 20 0 40",
    "22-unseen-aspect/val.csv": "20: 14 13 0 27",
    "22-unseen-aspect": "64: 42 55 0 97",
    "23-long-reviews/long.csv": "12: 6 6 0 12",
    "32-braces/colon.csv": "2: 1 2 0 3",
    "32-braces/visfd_py.csv": "2: 1 2 0 3",
    "32-braces/vlsp_inside.csv": "2: 2 1 0 3",
    "32-braces/two_text.csv": "1: 1 0 0 1",
    "32-braces": "2: 1 1 0 2",
    "33-dict-in-csv": "60: 26 27 35 88",
}
REFUSED = {  # what a file of OPTIONS is told without them
    "12-encodings/cp1258.csv": "the bytes are not UTF-8",
    "13-nan-strings/zero.csv": "numbers that may mean anything",
    "01-vlsp-csv-digits": "numbers that may mean anything",
    "07-minus1-0-1-2": "numbers that may mean anything",
}
SAID = {  # words that the report has to say
    "13-nan-strings/nan.csv": "nan",
    "13-nan-strings/NULL.csv": "null",
    "20-no-aspect-rows/30_without_text.csv": "without text",
    "32-braces/trailing_empty.csv": "left out",
    "32-braces/two_text.csv": "also there",
    "32-braces/three_parts.csv": "ROOMS#CLEANLINESS",
    "32-braces/vlsp_inside.csv": "ROOMS#CLEANLINESS",
}


def checked(file: Path, options: list[str]) -> tuple[int, str]:
    """The exit status of ``absa check`` on a file, and what it prints."""
    out, err = io.StringIO(), io.StringIO()
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            absa(["check", str(file), *options])
    except SystemExit as stop:
        return int(stop.code or 0), err.getvalue()
    return 0, out.getvalue()


def counted(report: str) -> str:
    """Reviews and pairs of a report, as :data:`RIGHT` has them."""
    reviews = re.search(r": ([\d,]+) reviews?\b", report)
    pairs = next((line.split()[1:5] for line in report.splitlines() if line.startswith("all ")), [])
    return f"{reviews[1] if reviews else '?'}: {' '.join(pairs)}"


def main() -> None:
    """Print every case."""
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("folder", type=Path)
    folder = p.parse_args().folder
    differs = 0
    for path in sorted(path for path in folder.rglob("*") if path.is_file() and path.parent != folder):
        name, group = path.relative_to(folder).as_posix(), path.parent.name
        options = OPTIONS.get(name) or OPTIONS.get(group, [])
        right = RIGHT.get(name) or RIGHT.get(group, PHONES)
        for given in ([], options) if options else ([],):
            status, told = checked(path, given)
            refusal = (REFUSED.get(name) or REFUSED[group]) if given != options else right if right[0].isalpha() else ""
            if refusal:
                ok, shown = status == 2 and refusal in told, f"refused: {told.replace(f'{path.parent}/', '')[:90]!r}"
            else:
                ok = status == 0 and counted(told) == right and SAID.get(name, "").casefold() in told.casefold()
                shown = f"{counted(told)}" if status == 0 else f"status {status}: {told[:200]!r}"
            differs += not ok
            print(f"{name} {' '.join(given)}  {shown}  {'ok' if ok else f'differs, right: {right} {SAID.get(name)}'}")
    print(f"{differs} differ")
    raise SystemExit(bool(differs))


if __name__ == "__main__":
    main()
