"""The stars that came with reviews, read from their file again: they are no label, and nothing but judging asks."""

import math
import re
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import Any

import numpy as np

from ..errors import Faults, UserError
from .files import hash_of
from .formats import open_rows
from .rows import clean_name, plain_name

STAR_COLUMNS = ("n star", "n stars", "star", "stars", "rating", "ratings", "star rating", "so sao", "sao")  # plain_name
MOST_STARS = 10
_CELL = re.compile(r"(\d+(?:[.,]\d+)?)\s*(?:sao|stars?|[*★⭐]|/\s*5)?", re.IGNORECASE)  # "4", "4.0", "4 sao"


def stars_of(file: str, lines: Sequence[int], told: Mapping[str, Any], sha256: str | None = None) -> np.ndarray | None:
    """The stars of the reviews that begin in ``lines`` of a file: float64 [N], NaN where a review has none.

    ``told`` may hold ``separator``, ``encoding`` and ``sheet``. None where the file has no such column, or something
    else than whole numbers in it, where it cannot be read, and where its hash is not ``sha256``.
    """
    found: dict[int, float] = {}
    try:
        with ExitStack() as opened:
            if sha256 is not None and hash_of(file, Faults()) != sha256:
                return None
            given: dict[str, Any] = {name: told.get(name) for name in ("separator", "encoding", "sheet")}
            source = open_rows(file, opened, Faults(), clean=clean_name, **given)
            named = {plain_name(column): column for column in reversed(source.columns)} if source else {}
            column = next((named[name] for name in STAR_COLUMNS if name in named), None)
            if source is None or column is None:
                return None
            found = {row.line: _number(row.cells.get(column)) for row in source.rows()}
    except (UserError, OSError, ValueError):
        return None
    stars = np.array([found.get(line, math.nan) for line in lines])
    known = stars[~np.isnan(stars)]
    return stars if len(known) and (known == np.round(known)).all() else None


def _number(cell: object) -> float:
    """What a cell says, from 0 to :data:`MOST_STARS`; NaN for all else."""
    told = str(cell).strip().replace("\ufe0f", "")
    match = _CELL.fullmatch(told)
    value = float(match[1].replace(",", ".")) if match else len(told) if told and set(told) <= set("★⭐") else math.nan
    return value if 0 <= value <= MOST_STARS else math.nan
