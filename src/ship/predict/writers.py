"""Write answers as JSON lines, one object a row, or as a table with columns for every aspect.

JSONL: the row's own columns, then ``line`` (where the row stands in the input), ``aspects`` and, if asked for, ``all``,
as :meth:`src.answers.decisions.Decisions.answers` gives them.

CSV and Parquet: the row's own columns, ``line``, ``windows`` (in how many parts a long text was read, else 1), ``cut``
(how many tokens at its end were not read, mostly 0), then for every aspect ``Battery_sentiment`` (positive, negative,
neutral, or what the model's sentiments are called; ``mentioned`` for an aspect that carries no sentiment; empty where
the review does not mention it) and ``Battery_confidence``; if asked for, ``Battery_mentioned`` and, for every
sentiment, ``Battery_positive`` and so on: the probabilities.

The input's columns keep their names. If an answer's column has the name of one of them, it gets ``_2``.
"""

import csv
import io
import json
import math
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

from ...answers.table import as_text, free_name, harmless

OUTPUT_FORMATS = ("jsonl", "csv", "parquet")


def json_line(line: int, cells: dict[str, Any], answer: dict[str, Any]) -> str:
    """A line of a JSONL file: the row's cells, then ``line`` and the answer, renamed where a cell has that name."""
    row = dict(cells)
    for name, value in {"line": line, **answer}.items():
        row[free_name(name, cells)] = value
    return dumps(row)


def dumps(value: object) -> str:
    """JSON on one line, in which a number that JSON lacks (NaN, infinity) is null."""
    try:
        return json.dumps(value, ensure_ascii=False, allow_nan=False)
    except ValueError:
        return json.dumps(_finite(value), ensure_ascii=False, allow_nan=False)


def write_csv(out: BinaryIO, columns: list[str], rows: Iterable[list[Any]], safe_cells: bool = False) -> None:
    """Write a CSV file for spreadsheets: UTF-8 with a byte order mark, without which Excel garbles Vietnamese.

    Values that are no text are written as JSON; a missing value leaves its cell empty. With ``safe_cells`` a text that
    a spreadsheet would run as a formula gets a ``'`` before it. That changes ids and texts ("-5", "@shop", "=))"), and
    whoever reads the file with a program would no longer find them in the input, so it is not done unasked.
    """
    told = (lambda value: harmless(value) if isinstance(value, str) else as_text(value)) if safe_cells else as_text
    file = io.TextIOWrapper(out, encoding="utf-8-sig", newline="")
    writer = csv.writer(file)
    writer.writerow(map(told, columns))
    writer.writerows(map(told, row) for row in rows)
    file.detach()  # flushes, and leaves ``out`` open


def partial_rows(path: Path) -> Iterator[tuple[int, dict[str, Any], dict[str, Any]]]:
    """Line, cells and answer of every row in a partial file, from which a table is made."""
    with path.open(encoding="utf-8", newline="\n") as file:
        for text in file:
            line, cells, answer = json.loads(text)
            yield line, cells, answer


def column_types(rows: Iterable[dict[str, Any]]) -> dict[str, type]:
    """The columns of rows whose input has no header, in order of appearance, with the type of each."""
    kinds: dict[str, set[type]] = {}
    for cells in rows:
        for name, value in cells.items():
            found = kinds.setdefault(name, set())
            if value is not None and value == value and value not in (math.inf, -math.inf):  # JSON lacks these
                found.add(str if isinstance(value, int) and abs(value) >= 2**63 else type(value))
    return {name: _common(found) for name, found in kinds.items()}


def _common(kinds: set[type]) -> type:
    if len(kinds) == 1 and (only := next(iter(kinds))) in (bool, int, float):
        return only
    return float if kinds == {int, float} else str


def _finite(value: object) -> object:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    return [_finite(item) for item in value] if isinstance(value, list) else value
