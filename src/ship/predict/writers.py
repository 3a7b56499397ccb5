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
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

from ...judge.mistakes import harmless
from ...labels import Labels

OUTPUT_FORMATS = ("jsonl", "csv", "parquet")
MENTIONED_CELL = "mentioned"  # in a table: mentioned without a sentiment, as in training's tables


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


def free_name(name: str, taken: Collection[str]) -> str:
    """``name``, or the first of ``name_2``, ``name_3``, ... that is not taken."""
    number, free = 2, name
    while free in taken:
        free, number = f"{name}_{number}", number + 1
    return free


class Table:
    """The answers' columns of a table, named apart from the columns ``taken``. ``fields``: name and type of each."""

    def __init__(self, labels: Labels, task: str, all_aspects: bool, taken: Collection[str]) -> None:
        names: dict[str, None] = dict.fromkeys(taken)
        self.fields: list[tuple[str, type]] = []
        self._aspects: list[str] = []
        self._all: list[tuple[str, list[str]]] = []

        def add(name: str, kind: type) -> None:
            free = free_name(name, names)
            names[free] = None
            self.fields.append((free, kind))

        for name in ("line", "windows", "cut"):
            add(name, int)
        for aspect, carries in zip(labels.aspects, labels.carries_sentiment, strict=True):
            if carries or task == "absa":
                self._aspects.append(aspect)
                add(f"{aspect}_sentiment", str)
                add(f"{aspect}_confidence", float)
        for aspect, carries in zip(labels.aspects, labels.carries_sentiment, strict=True):
            columns = ["mentioned"] * (task == "absa") + list(labels.sentiments) * carries
            if all_aspects and columns:
                self._all.append((aspect, columns))
                for column in columns:
                    add(f"{aspect}_{column}", float)

    def cells(self, line: int, answer: dict[str, Any]) -> list[Any]:
        """The values of an answer, one for each of ``fields``."""
        row: list[Any] = [line, answer.get("windows", 1), answer.get("cut", 0)]
        for aspect in self._aspects:
            said = answer["aspects"].get(aspect)
            row += (None, None) if said is None else (said["sentiment"] or MENTIONED_CELL, said["confidence"])
        for aspect, columns in self._all:
            row += (answer["all"][aspect][column] for column in columns)
        return row


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


def column_types(path: Path) -> dict[str, type]:
    """The columns of a partial file whose input had no header, in order of appearance, with the type of each."""
    kinds: dict[str, set[type]] = {}
    for _, cells, _ in partial_rows(path):
        for name, value in cells.items():
            found = kinds.setdefault(name, set())
            if value is not None:
                found.add(str if isinstance(value, int) and abs(value) >= 2**63 else type(value))
    return {name: _common(found) for name, found in kinds.items()}


def _common(kinds: set[type]) -> type:
    if len(kinds) == 1 and (only := next(iter(kinds))) in (bool, int, float):
        return only
    return float if kinds == {int, float} else str


def as_text(value: object) -> str | None:
    """A value in a column of texts: texts and None as they are, others as JSON."""
    return value if value is None or isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _finite(value: object) -> object:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    return [_finite(item) for item in value] if isinstance(value, list) else value
