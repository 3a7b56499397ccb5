"""The row in which a spreadsheet shows a record of a CSV file: a line is not a row where a text holds line ends."""

import csv
from contextlib import ExitStack
from io import TextIOWrapper

import numpy as np

from ..errors import Faults
from .files import named_format, open_bytes
from .lines import BOM, LIMIT

TRIED = (",", "\t", ";", "|")


def sheet_rows(path: str, lines: np.ndarray) -> np.ndarray:
    """The rows, int64 [N], counted from 1 with the header, of the records that begin in ``lines``, int64 [N].

    The separator is the one with which every line of ``lines`` begins a record. Where none does, and in formats that
    no spreadsheet reads as text, a row is its line.
    """
    form, zipped = named_format(path)
    if form in ("csv", "tsv"):
        for separator in TRIED[::-1] if form == "tsv" else TRIED:
            starts = _starts(path, zipped, separator)
            rows = np.searchsorted(starts, lines)
            if len(starts) and (starts[np.minimum(rows, len(starts) - 1)] == lines).all():
                return rows.astype(np.int64) + 1
    return np.asarray(lines, np.int64)


def _starts(path: str, zipped: bool, separator: str) -> np.ndarray:
    """The lines, int64 [M], where records begin, the header and blank lines among them."""
    csv.field_size_limit(max(csv.field_size_limit(), LIMIT))
    starts = [1]
    with ExitStack() as opened:
        file = open_bytes(path, zipped, opened, Faults())
        if file is None:
            return np.zeros(0, np.int64)
        if file.peek(3).startswith(BOM):
            file.read(3)
        # any encoding that extends ASCII will do, as only separators, quotes and line ends are looked at
        reader = csv.reader(TextIOWrapper(file, encoding="latin-1", newline="\n"), delimiter=separator)
        try:
            starts += [reader.line_num + 1 for _ in reader]
        except csv.Error:
            return np.zeros(0, np.int64)
    return np.array(starts[:-1], np.int64)
