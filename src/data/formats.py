"""The one way from a file to its rows, for training and every command that reads data.

A new format is a function in a file of its own, as those of :mod:`src.data.text_rows` are, and a line in ``OPENERS``
(and its name in ``FORMATS`` of :mod:`src.data.files`).
"""

import os
import stat
import zlib
from collections.abc import Callable
from contextlib import ExitStack
from io import BufferedReader

from ..errors import Faults, quoted
from ..spelling import setting
from .csv_rows import open_csv
from .encodings import ends_lines_with_cr, known_encoding, marked, recoded
from .files import HEAD, TEXT_FORMATS, is_there, named_format, open_bytes, other_format, unknown_format
from .json_rows import open_json
from .layouts.semeval import open_semeval
from .rows import Given, Source
from .text_rows import open_text


def _open_parquet(given: Given) -> Source | None:
    try:
        import pyarrow  # type: ignore[import-untyped, import-not-found, unused-ignore]  # noqa: F401
    except ImportError:
        given.faults.add(given.name, "reading Parquet needs pyarrow; pip install '.[parquet]'")
        return None
    from .parquet import open_parquet

    return open_parquet(given)


def _open_excel(given: Given) -> Source | None:
    try:
        import openpyxl  # type: ignore[import-untyped, import-not-found, unused-ignore]  # noqa: F401
    except ImportError:
        given.faults.add(given.name, "reading Excel files needs openpyxl; pip install '.[excel]'")
        return None
    from .excel import open_excel

    return open_excel(given)


OPENERS: dict[str, Callable[[Given], Source | None]] = {
    "csv": open_csv,
    "tsv": open_csv,
    "jsonl": open_json,
    "json": open_json,
    "xml": open_semeval,
    "txt": open_text,
    "raw": open_text,
    "parquet": _open_parquet,
    "xlsx": _open_excel,
}


def open_rows(
    path: str,
    opened: ExitStack,
    faults: Faults,
    *,
    separator: str | None = None,
    encoding: str | None = None,
    sheet: str | None = None,
    layout: str | None = None,
    clean: Callable[[str], str] | None = None,
    form: str | None = None,
    stream: BufferedReader | None = None,
    pipes: bool = False,
) -> Source | None:
    """The rows of a file, which stays open as long as ``opened``; None, and a fault, where it has no rows.

    ``separator``: of CSV, by default told from the header. ``encoding``: of text that is not UTF-8 and has no mark.
    ``sheet``: of Excel files, by default the first with rows. ``layout``: of labels in plain text, by default told from
    the first lines. ``clean``: what becomes of the names of columns. ``form``: the format, by default the one that the
    name gives. ``stream``: the bytes, if they are open already; ``path`` is then what messages call it. ``pipes``:
    whether a file that can be read only once is accepted.
    """
    zipped = False
    if stream is None:
        if not is_there(path, faults, pipes):
            return None
        told, zipped = named_format(path)
        form = form or told
    if form not in OPENERS:
        faults.add(path, unknown_format(path))
        return None
    if separator is not None and (len(separator) != 1 or separator in '"\r\n'):
        wanted = "must be one character, and no quote or line break"
        faults.add(path, f"{setting('separator')}={quoted(separator)} {wanted}")
        return None
    if encoding is not None and known_encoding(encoding) is None:
        faults.add(
            path, f"{setting('encoding')}={quoted(encoding)} is no encoding of text; try utf-8, utf-16 or cp1258"
        )
        return None
    file = stream or open_bytes(path, zipped, opened, faults)
    if file is None:
        return None
    try:
        given = Given(path, file, None, separator, clean, faults, form, "UTF-8", sheet, layout, [])
        return _opened(given, encoding, zipped)
    except (OSError, EOFError, zlib.error) as error:  # a packed file that is cut off in its first bytes
        faults.add(path, f"damaged from this row on: {error}", 1)
        return None


def _opened(given: Given, encoding: str | None, zipped: bool) -> Source | None:
    if said := other_format(given.file, given.form, encoding):
        given.faults.add(given.name, said)
        return None
    facts = os.fstat(given.file.fileno())
    size = facts.st_size if stat.S_ISREG(facts.st_mode) and not zipped else None
    if given.form in TEXT_FORMATS:
        has_mark, named = marked(given.file.peek(HEAD))
        encoding = named if has_mark else encoding and known_encoding(encoding)
        if encoding in (None, "utf-8", "utf-8-sig", "ascii"):
            encoding = None
        file = recoded(given.file, encoding) if encoding else given.file
        if encoding:
            given.notes.append(f"the encoding is {encoding.upper()}")
        if ends_lines_with_cr(file.peek(HEAD)):
            given.notes.append("lines end with a carriage return alone")
            file = recoded(file, None, cr=True)
        size = size if file is given.file else None
        given = given._replace(file=file, encoding=(encoding or "UTF-8").upper())
    return OPENERS[given.form](given._replace(size=size))
