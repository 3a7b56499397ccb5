"""Where judged reviews stand in the files of their split: the file, the row that a spreadsheet shows, the line."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..answers.predictions import Predictions
from ..data.files import hash_of, in_folder
from ..data.joined import joined_hash
from ..data.reviews import FILE
from ..data.sheet_rows import sheet_rows
from ..errors import Faults
from ..runs.summary import Summary


class Location(NamedTuple):
    """A review's place; ``row`` is None where the file is not there any more or has changed."""

    file: str = ""  # its name, without folders
    row: int | None = None
    line: int | None = None

    def told(self, name: str) -> dict[str, int]:
        """The row, or else the line, by that name, for the review called ``name``; nothing if that says as much."""
        known = {"row": self.row} if self.row is not None else {"line": self.line}
        return {key: number for key, number in known.items() if number is not None and str(number) != name}


def places_of(summary: Summary, split: str, predictions: Predictions) -> list[Location]:
    """The places of the reviews of a run's split, of which these are the predictions."""
    if not (lines := predictions.lines):
        return [Location()] * len(predictions.texts)
    facts = summary["data"]["splits"][split]
    files = [facts["path"]]
    if any(line >= FILE for line in lines):
        data: dict[str, Any] = summary["config"]["data"]
        given = data[split] if isinstance(data[split], list) else data["train"]  # a share of the training files
        files = [str(in_folder(file, data.get("dir"))) for file in given]
    number, line = np.divmod(np.asarray(lines, np.int64), FILE)
    rows: list[int | None] = [None] * len(line)
    if _unchanged(files, facts["sha256"]):
        for i, file in enumerate(files):
            here = np.flatnonzero(number == i)
            for position, row in zip(here.tolist(), sheet_rows(file, line[here]).tolist(), strict=True):
                rows[position] = row
    names = [Path(file).name for file in files]
    return [Location(names[n], row, at) for n, row, at in zip(number.tolist(), rows, line.tolist(), strict=True)]


def _unchanged(files: Sequence[str], sha256: str) -> bool:
    return joined_hash([hash_of(file, Faults()) or "" for file in files]) == sha256
