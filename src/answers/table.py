"""The answers as columns of a table, beside the columns of the input: in CSV, in Parquet, in Arrow's batches.

The input's columns keep their names. If an answer's column has the name of one of them, it gets ``_2``.
"""

import json
from collections.abc import Callable, Collection
from typing import Any

from ..labels import Labels

MENTIONED_CELL = "mentioned"  # in a table: mentioned without a sentiment, as in training's tables
# what a cell begins with that a spreadsheet would run (OWASP, "CSV injection"), the full-width forms too
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


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


MakeTable = Callable[[Collection[str]], Table]  # called with the names of the input's columns


def free_name(name: str, taken: Collection[str]) -> str:
    """``name``, or the first of ``name_2``, ``name_3``, ... that is not taken."""
    number, free = 2, name
    while free in taken:
        free, number = f"{name}_{number}", number + 1
    return free


def as_text(value: object) -> str | None:
    """A value in a column of texts: texts and None as they are, others as JSON."""
    return value if value is None or isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def harmless(cell: str) -> str:
    """``cell``, with ``'`` before it if a spreadsheet could take it for a formula."""
    cell = cell.replace("\0", "\ufffd")
    first = cell.lstrip(" \u00a0\u200b\ufeff")  # blanks that a spreadsheet may drop
    return f"'{cell}" if first.startswith(FORMULA) else cell
