"""Files on the disk: whether they exist, the formats that their names give, their bytes and their hashes."""

import gzip
from contextlib import ExitStack
from io import BufferedReader
from pathlib import Path
from typing import BinaryIO

from ..errors import Faults, did_you_mean
from ..runs.machine import sha256

TEXT_FORMATS = ("csv", "tsv", "jsonl", "txt")  # each also packed with gzip
FORMATS = (*TEXT_FORMATS[:3], "parquet", "txt")
CHANGED = "the file changed while it was read; once it is whole, try again"
OTHER_FORMATS = {  # first bytes -> what they mean, and what to do
    b"\x1f\x8b": "this is gzip; let its name end in .gz, or unpack it with gunzip -c",
    b"PK\x03\x04": "this is a zip or an Excel file; save the sheet as CSV (UTF-8)",
    b"PAR1": "this is Parquet; call it .parquet",
    b"\xff\xfe": "this is UTF-16; save the file as UTF-8",
    b"\xfe\xff": "this is UTF-16; save the file as UTF-8",
}


def is_there(path: str, faults: Faults, pipes: bool = False) -> bool:
    """Whether the file exists; records a fault if not. A pipe or a device is accepted only with ``pipes``."""
    file = Path(path).expanduser()
    if file.is_dir():
        faults.add(path, "this is a folder, a file is expected")
    elif not file.parent.is_dir():
        faults.add(path, f"there is no such file, nor a folder {file.parent}")
    elif not file.exists():
        names = tuple(beside.name for beside in file.parent.iterdir())
        faults.add(path, f"there is no such file{did_you_mean(file.name, names)}")
    elif not (pipes or file.is_file()):
        faults.add(path, "this is a pipe or a device, a file is expected: it is read twice")
    else:
        return True
    return False


def named_format(path: str) -> tuple[str, bool]:
    """The format that a file's name gives, and whether it is packed with gzip: ``("csv", True)`` for ``a.CSV.gz``."""
    name = Path(path.lower())
    zipped = name.suffix == ".gz" and name.with_suffix("").suffix[1:] in TEXT_FORMATS
    return (name.with_suffix("") if zipped else name).suffix[1:], zipped


def unknown_format(path: str) -> str:
    """The fault of a file whose name gives no format that can be read."""
    form, _ = named_format(path)
    known = ", ".join(f".{known}" for known in FORMATS)
    found = f".{form} is none of {known} (all but .parquet also with .gz)" if form else ""
    hint = did_you_mean(form, FORMATS)
    return f"the format is told from the name, and {found or 'it has no extension, such as .csv'}{hint}"


def open_bytes(path: str, zipped: bool, opened: ExitStack, faults: Faults) -> BufferedReader | None:
    """A file's bytes, unpacked if it is ``zipped``, open as long as ``opened``; None, and a fault, if unreadable."""
    try:
        file = opened.enter_context(Path(path).expanduser().open("rb"))
        if zipped:
            file = BufferedReader(opened.enter_context(gzip.GzipFile(fileobj=file)))
            file.peek(1)
    except gzip.BadGzipFile:
        faults.add(path, "its name ends in .gz, but this is no gzip")
    except (OSError, EOFError) as error:
        faults.add(path, f"cannot be read ({getattr(error, 'strerror', None) or error})")
    else:
        return file
    return None


def other_format(file: BinaryIO) -> str | None:
    """What a buffered file is and what to do, if its first bytes show that it is no UTF-8 text; else None."""
    head: bytes = file.peek(64)  # type: ignore[attr-defined]  # of a buffered reader
    return next((said for start, said in OTHER_FORMATS.items() if head.startswith(start)), None)


def hash_of(path: str, faults: Faults) -> str | None:
    """The SHA-256 of a file as it is on the disk; None if it cannot be read, which is then a fault."""
    try:
        return sha256(Path(path).expanduser())
    except OSError as error:
        faults.add(path, f"cannot be read ({error.strerror})")
        return None


def in_folder(file: str | float | None, folder: str | None) -> str | float | None:
    """``file`` below ``folder`` if it is a relative path and a folder is given; fractions and None as they are."""
    return str(Path(folder) / file) if isinstance(file, str) and folder is not None else file
