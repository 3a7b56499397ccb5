"""The one way from a file to its rows, for training, ``absa check``, ``absa predict`` and pretraining alike.

A new format is a function in a file of its own, as those of :mod:`src.data.text_rows` are, and a line in ``OPENERS``
(and its name in ``FORMATS`` of :mod:`src.data.files`).
"""

import os
import stat
from collections.abc import Callable
from contextlib import ExitStack
from io import BufferedReader

from ..errors import Faults, quoted
from ..spelling import setting
from .csv_rows import open_csv
from .files import TEXT_FORMATS, is_there, named_format, open_bytes, other_format, unknown_format
from .rows import Given, Source
from .text_rows import open_jsonl, open_plain


def _open_parquet(given: Given) -> Source | None:
    try:
        import pyarrow  # type: ignore[import-untyped, import-not-found, unused-ignore]  # noqa: F401
    except ImportError:
        given.faults.add(given.name, "reading Parquet needs pyarrow; pip install '.[parquet]'")
        return None
    from .parquet import open_parquet

    return open_parquet(given)


OPENERS: dict[str, Callable[[Given], Source | None]] = {
    "csv": open_csv,
    "tsv": open_csv,
    "jsonl": open_jsonl,
    "txt": open_plain,
    "parquet": _open_parquet,
}


def open_rows(
    path: str,
    opened: ExitStack,
    faults: Faults,
    *,
    separator: str | None = None,
    clean: Callable[[str], str] | None = None,
    form: str | None = None,
    stream: BufferedReader | None = None,
    pipes: bool = False,
) -> Source | None:
    """The rows of a file, which stays open as long as ``opened``; None, and a fault, where it has no rows.

    ``separator``: of CSV, by default a comma, a tab in a file called .tsv. ``clean``: what becomes of the names of
    columns. ``form``: the format, by default the one that the name gives. ``stream``: the bytes, if they are open
    already; ``path`` is then what messages call it. ``pipes``: whether a file that can be read only once is accepted.
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
    separator = separator or ("\t" if form == "tsv" else ",")
    if len(separator) != 1 or separator in '"\r\n':
        wanted = "must be one character, and no quote or line break"
        faults.add(path, f"{setting('separator')}={quoted(separator)} {wanted}")
        return None
    file = stream or open_bytes(path, zipped, opened, faults)
    if file is None:
        return None
    if form in TEXT_FORMATS and (said := other_format(file)):
        faults.add(path, said)
        return None
    facts = os.fstat(file.fileno())
    size = facts.st_size if stat.S_ISREG(facts.st_mode) and not zipped else None
    return OPENERS[form](Given(path, file, size, separator, clean, faults))
