"""What a file of ``absa predict`` says, row by row, and the groups that its columns make of the rows."""

import json
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..data.dates import PERIODS, are_dates, periods
from ..data.rows import Source
from ..errors import UserError, did_you_mean, listed, quoted
from ..labels import Labels
from ..spelling import pasted

SUFFIX = "_sentiment"  # of an aspect's column, as absa predict writes it
NO_DATE, EMPTY_CELL = "no date", "(blank)"
MOST_GROUPS = 200


def what_rows_say(source: Source, rows: Sequence[dict[str, Any]], path: str) -> tuple[list[str], list[dict[str, str]]]:
    """The aspects of the file, and what each row says of them: aspect -> sentiment, or ``mentioned``."""
    if not source.header:
        says = []
        for row in rows:
            told = row.get("aspects")
            if not isinstance(told, dict):
                raise UserError(f'{path}: a row has no "aspects"; expected what absa predict writes')
            says.append({a: (one or {}).get("sentiment") or "mentioned" for a, one in told.items()})
        return sorted({a for row in says for a in row}), says
    aspects = [c.removesuffix(SUFFIX) for c in source.columns if c.endswith(SUFFIX)]
    aspects = [a for a in aspects if f"{a}_confidence" in source.columns]
    if not aspects:
        raise UserError(
            f"{path}: no column ASPECT{SUFFIX} beside ASPECT_confidence among {listed(source.columns)}; "
            "expected a file that absa predict wrote"
        )
    return aspects, [{a: row[a + SUFFIX] for a in aspects if row.get(a + SUFFIX)} for row in rows]


def labels_in(
    aspects: Sequence[str], says: Sequence[dict[str, str]], table: tuple[Labels, np.ndarray] | None, path: str
) -> Labels:
    """The labels of the model; without one those that the file names. UserError for aspects the model lacks."""
    if table is not None:
        if other := sorted(set(aspects) - set(table[0].aspects)):
            raise UserError(f"{path}: the model does not know {listed(other)}; --model names another model's folder")
        return table[0]
    words = list(dict.fromkeys(word for row in says for word in row.values() if word != "mentioned"))
    usual = [name for name in ("positive", "negative", "neutral") if name in words]
    names = tuple(usual + sorted(set(words) - set(usual)))
    without = {a for a in aspects if {row[a] for row in says if a in row} == {"mentioned"}}
    if not 2 <= len(names) <= 10:
        names = ("positive", "negative", "neutral")
    return Labels(tuple(aspects), tuple(a for a in aspects if a in without), names)


def states_of(aspects: Sequence[str], says: Sequence[dict[str, str]], labels: Labels, path: str) -> np.ndarray:
    """The state of each aspect in each review, int64 [N, A]: a sentiment, 0 for mentioned, C for not mentioned."""
    place = {a: i for i, a in enumerate(labels.aspects)}
    number = {name: i for i, name in enumerate(labels.sentiments)} | {"mentioned": 0}
    state = np.full((len(says), len(place)), len(labels.sentiments))
    for i, row in enumerate(says):
        for aspect, word in row.items():
            if word not in number:
                raise UserError(f"{path}: {quoted(word)} of {aspect} is none of {', '.join(labels.sentiments)}")
            state[i, place[aspect]] = number[word]
    return state


def rows_by_group(
    rows: Sequence[dict[str, Any]], columns: Sequence[str], by: str | None, every: str | None, path: str
) -> tuple[dict[str, list[int]], str, list[str]]:
    """The rows of each group by its name, what the groups are, and notes."""
    if by is None:
        return {}, "", []
    if by in PERIODS and by not in columns:
        if every is not None:
            again = pasted(["--by", "COLUMN", "--every", every])
            raise UserError(f"--by {by}: --every asks for a column of dates; name it: {again}")
        dated = [c for c in columns if c != "line" and are_dates(row.get(c) for row in rows[:1000])]
        if len(dated) != 1:
            found = f"the columns of dates are {listed(dated)}" if dated else f"none of {listed(columns)} holds dates"
            again = pasted(["--by", "COLUMN", "--every", by])
            raise UserError(f"{path}: a {by} is asked for, and {found}; name the column: {again}")
        by, every = dated[0], by
    if by not in columns:
        raise UserError(
            f"{path}: there is no column {quoted(by)} (--by) among {listed(columns)}{did_you_mean(by, tuple(columns))}"
        )
    cells = [row.get(by) for row in rows]
    notes = []
    if every is None:
        texts = [cell if isinstance(cell, str | None) else json.dumps(cell) for cell in cells]
        named = [text or EMPTY_CELL for text in texts]
    else:
        told = periods(cells, every)
        if not any(told):
            raise UserError(f"{path}: no cell of {quoted(by)} is a date, such as 2025-02-14 or 14/02/2025")
        if missing := sum(one is None for one in told):
            notes.append(f"{missing:,} of {len(rows):,} rows have no date in {quoted(by)}: they stand as {NO_DATE!r}.")
        named = [one or NO_DATE for one in told]
    groups: dict[str, list[int]] = {}
    for i, name in enumerate(named):
        groups.setdefault(name, []).append(i)
    if len(groups) > MOST_GROUPS:
        dates = "; dates are grouped with --every month" if every is None else ""
        raise UserError(f"{path}: {quoted(by)} has {len(groups):,} values, {MOST_GROUPS} at most are groups{dates}")
    ordered = {name: groups[name] for name in sorted(groups, key=lambda n: (n in (NO_DATE, EMPTY_CELL), n))}
    return ordered, f"{by} by {every}" if every else by, notes
