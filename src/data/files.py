"""Files on the disk: whether they exist, the formats that their names and bytes give, their bytes and their hashes."""

import gzip
import re
import zipfile
import zlib
from collections.abc import Sequence
from contextlib import ExitStack
from io import BufferedReader, RawIOBase
from pathlib import Path
from typing import Any, cast

from ..errors import Faults, did_you_mean
from ..runs.machine import expanded, sha256
from ..spelling import set_to
from .encodings import lacks_its_mark, marked

TEXT_FORMATS = ("csv", "tsv", "jsonl", "json", "xml", "txt", "raw")  # each also packed with gzip
FORMATS = ("csv", "tsv", "jsonl", "json", "xlsx", "parquet", "xml", "txt", "raw")
CHANGED = "the file changed while it was read; once it is whole, try again"
HEAD = 1 << 16  # bytes by which the content of a file is told
BINARY = {  # first bytes -> the format; what they mean, and what to do
    b"\x1f\x8b": ("gz", "this is gzip; let its name end in .gz, or unpack it with gunzip -c"),
    b"PAR1": ("parquet", "this is Parquet; call it .parquet"),
    b"\xd0\xcf\x11\xe0": ("xls", "this is an old Excel file (.xls), or one with a password; save it as .xlsx without"),
    b"%PDF": ("pdf", "this is a PDF; a file of data is expected"),
}
EXCEL = "this is an Excel file; call it .xlsx"
JSON = re.compile(rb'(?:\xef\xbb\xbf)?\s*(?:\[\s*)?\{\s*"')
WEB = re.compile(rb"(?:\xef\xbb\xbf)?\s*<(?:!doctype html|html)", re.IGNORECASE)
XML = re.compile(rb"(?:\xef\xbb\xbf)?\s*<(?:\?xml|sentences>|Reviews>)")
Located = str | Sequence[str] | float | None  # a file, several that are one split, a fraction of another, none


def is_there(path: str, faults: Faults, pipes: bool = False) -> bool:
    """Whether the file exists; records a fault if not. A pipe or a device is accepted only with ``pipes``."""
    file = expanded(path)
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


def check_output(out: str | Path, files: Sequence[str], overwrite: bool, faults: Faults) -> None:
    """Record a fault if ``out`` cannot be written, is one of the ``files`` that are read, or is there already."""
    target = expanded(out)
    if not target.parent.is_dir():
        faults.add(str(out), f"there is no folder {target.parent}")
    elif target.exists() and not target.is_file():
        faults.add(str(out), "is there and is no file")
    elif any(target.exists() and expanded(file).exists() and target.samefile(expanded(file)) for file in files):
        faults.add(str(out), "is one of the files that are read; choose another name")
    elif target.exists() and not overwrite:
        faults.add(str(out), "is there already; --overwrite replaces it")


def named_format(path: str) -> tuple[str, bool]:
    """The format that a file's name gives, and whether it is packed with gzip: ``("csv", True)`` for ``a.CSV.gz``."""
    name = Path(path.lower())
    zipped = name.suffix == ".gz" and name.with_suffix("").suffix[1:] in TEXT_FORMATS
    return (name.with_suffix("") if zipped else name).suffix[1:], zipped


def unknown_format(path: str) -> str:
    """The fault of a file whose name gives no format that can be read."""
    form, _ = named_format(path)
    known = ", ".join(f".{known}" for known in FORMATS)
    found = f".{form} is none of {known} (all but .xlsx and .parquet also with .gz)" if form else ""
    hint = did_you_mean(form, FORMATS)
    return f"the format is told from the name, and {found or 'it has no extension, such as .csv'}{hint}"


class _Unpacked(RawIOBase):
    """The bytes of a gzip as they come: GzipFile fills what it is given, and loses what stands before damage."""

    def __init__(self, packed: gzip.GzipFile) -> None:
        self._packed = packed

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return self._packed.seekable()

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._packed.seek(offset, whence)

    def readinto(self, room: Any) -> int:
        data = self._packed.read1(len(room))
        room[: len(data)] = data
        return len(data)

    def fileno(self) -> int:
        return self._packed.fileno()


def open_bytes(path: str, zipped: bool, opened: ExitStack, faults: Faults) -> BufferedReader | None:
    """A file's bytes, unpacked if it is ``zipped``, open as long as ``opened``; None, and a fault, if unreadable."""
    try:
        file = cast(BufferedReader, opened.enter_context(expanded(path).open("rb", HEAD)))
        if zipped:
            file = BufferedReader(_Unpacked(opened.enter_context(gzip.GzipFile(fileobj=file))), HEAD)
            file.peek(1)
    except gzip.BadGzipFile:
        faults.add(path, "its name ends in .gz, but this is no gzip")
    except (OSError, EOFError, zlib.error) as error:
        faults.add(path, f"cannot be read ({getattr(error, 'strerror', None) or error})")
    else:
        return file
    return None


def other_format(file: BufferedReader, form: str, encoding: str | None) -> str | None:
    """What a file is and what to do, if its first bytes show that it is not what its name says (``form``); else None.

    ``encoding`` is the one that the user gave.
    """
    head = file.peek(HEAD)
    for start, (kind, said) in BINARY.items():
        if head.startswith(start) and kind != form:
            return said
    if head.startswith(b"PK\x03\x04") and form != "xlsx":
        return EXCEL if _is_excel(file, head) else "this is a zip; unpack it and give the file in it"
    if form not in TEXT_FORMATS or marked(head)[1] is not None:
        return None
    if encoding is None and (missing := lacks_its_mark(head)):
        return f"this looks like {missing[:6].upper()} without its mark; {set_to('encoding', missing)} reads it"
    if form in ("csv", "tsv") and JSON.match(head):
        return "this is JSON; call it .json, or .jsonl"
    if form not in ("txt", "raw") and WEB.match(head):
        return "this is a web page; download the file that it shows"
    if form != "xml" and XML.match(head):
        return "this is XML; call it .xml"
    return None


def hash_of(path: str, faults: Faults) -> str | None:
    """The SHA-256 of a file as it is on the disk; None if it cannot be read, which is then a fault."""
    try:
        return sha256(expanded(path))
    except OSError as error:
        faults.add(path, f"cannot be read ({error.strerror})")
        return None


def in_folder(file: Located, folder: str | None) -> Located:
    """``file`` below ``folder`` if it is a relative path and a folder is given; fractions and None as they are.

    A list of files, of which one split is made, is located file by file.
    """
    if isinstance(file, str):
        return file if folder is None else str(Path(folder) / file)
    return [str(in_folder(each, folder)) for each in file] if isinstance(file, Sequence) else file


def _is_excel(file: BufferedReader, head: bytes) -> bool:
    if not file.seekable():
        return b"[Content_Types].xml" in head or b"xl/" in head
    try:
        with zipfile.ZipFile(file) as packed:
            return "xl/workbook.xml" in packed.namelist()
    except (zipfile.BadZipFile, OSError, ValueError):
        return b"[Content_Types].xml" in head or b"xl/" in head
    finally:
        file.seek(0)
