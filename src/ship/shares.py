"""``absa summary``: how often each aspect is praised or blamed in a file of answers, whole and by any column."""

import csv
import io
import json
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..answers.predictions import read_predictions
from ..answers.shares import corrected_with_draws, validation_table
from ..answers.thresholds import Thresholds
from ..data.dates import PERIODS, are_dates, periods
from ..data.formats import open_rows
from ..data.rows import Source
from ..errors import Faults, UserError, did_you_mean, listed, quoted
from ..judge.intervals import interval
from ..judge.mistakes import harmless
from ..labels import Labels
from ..runs.machine import told_as, write_whole
from ..runs.run import Run
from .bundle import INFO, declared_labels, read_whole

SUFFIX = "_sentiment"  # of an aspect's column, as absa predict writes it
ALL, NO_DATE, BLANK = "all", "no date", "(blank)"
MOST_GROUPS = 200


class Group(NamedTuple):
    """The answers for some reviews: how often each aspect is in each state, int64 [A, C + 1], the last "not mentioned".

    ``corrected`` float64 [A, C + 1] are the shares of the reviews, ``draws`` float64 [D, A, C + 1] their bootstrap;
    both are None without a model's table of errors.
    """

    name: str
    counts: np.ndarray
    corrected: np.ndarray | None
    draws: np.ndarray | None


class Summarised(NamedTuple):
    """What a file of answers says, by group."""

    labels: Labels
    groups: list[Group]  # the first is all reviews
    by: str  # what the other groups are, in words; empty without any
    notes: list[str]


def summarise(
    answers: str, model: str | None = None, by: str | None = None, every: str | None = None, out: str | None = None
) -> str:
    """Write the table (CSV) and the page (HTML) of the shares in a file of ``absa predict``; returns what to print.

    ``model`` is the run or the bundle that gave the answers: its errors on validation correct the shares. ``by`` names
    a column, whose values are the groups, or with ``every`` the dates that are grouped; ``by="month"`` (week, year)
    without such a column takes the only column of dates. Raises UserError with all that is wrong.
    """
    from .shares_page import page, printed

    path = Path(out or f"{answers.removesuffix('.gz')}.summary.html")
    if path.suffix.lower() != ".html":
        raise UserError(f"{path}: expected a name that ends in .html; the table is written beside it as .csv")
    table = None if model is None else error_table(model)
    found = read_shares(answers, table, by, every)
    with told_as(path, "give the command again"):
        write_whole(path.with_suffix(".csv"), "\ufeff" + table_of(found))
        write_whole(path, page(found, Path(answers).name))
    return "\n".join([printed(found), f"{path.with_suffix('.csv')}", f"{path}"])


def error_table(model: str) -> tuple[Labels, np.ndarray]:
    """The labels of a run or a bundle, and its table of validation, int64 [A, C + 1, C + 1]. Raises UserError."""
    if not (Path(model) / INFO).is_file():
        run = Run(model)
        summary, labels = run.read_summary(), run.labels
        if summary["task"] != "absa":
            raise UserError(
                f"{model}: task {summary['task']}, which does not say what is mentioned: nothing to correct"
            )
        thresholds = Thresholds.from_dict(summary["thresholds"]).array if "thresholds" in summary else np.array(0.5)
        return labels, validation_table(read_predictions(run.predictions("val"), labels), labels, thresholds)
    info, _ = read_whole(model)
    labels = declared_labels(info)
    shape = (len(labels.aspects), len(labels.sentiments) + 1, len(labels.sentiments) + 1)
    try:
        table = np.array(info["validation"], np.int64)
    except (KeyError, ValueError, TypeError, OverflowError):
        table = np.zeros(0, np.int64)
    if table.shape != shape or (table < 0).any():
        told = "holds no counts of its answers on validation, as bundles of older versions or task sentiment"
        raise UserError(f"{model}: {told}; export the run again, or give its folder with --model RUN")
    return labels, table


def read_shares(
    answers: str, table: tuple[Labels, np.ndarray] | None, by: str | None = None, every: str | None = None
) -> Summarised:
    """Count a file of answers by group and correct the shares by a model's ``table``. Raises UserError."""
    if every is not None and by is None:
        raise UserError(f"--every {every} groups dates: name their column with --by COLUMN")
    faults = Faults()
    with ExitStack() as opened:
        source = open_rows(answers, opened, faults)
        rows = [] if source is None else [row.cells for row in source.rows() if not row.fault]
        faults.raise_if_any()
        assert source is not None
        if not rows:
            raise UserError(f"{answers}: holds no answers")
        aspects, says = _states(source, rows, answers)
        columns = list(dict.fromkeys(key for row in rows[:100] for key in row)) if not source.header else source.columns
    labels = _labels(aspects, says, table, answers)
    state = _numbers(aspects, says, labels, answers)
    groups, told, notes = _groups(rows, columns, by, every, answers)
    k = len(labels.sentiments) + 1
    whole = Group(ALL, _counts(state, np.arange(len(rows)), k), None, None)
    found = [whole, *(Group(name, _counts(state, np.array(at), k), None, None) for name, at in groups.items())]
    if table is not None:
        found = [Group(g.name, g.counts, *corrected_with_draws(g.counts, table[1])) for g in found]
        notes.append(
            f"Corrected for the errors on {int(table[1][0].sum()):,} validation reviews, as far as the model errs here "
            "as it does there: on other products or other sources it may not."
        )
    else:
        notes.append("Not corrected for the model's errors; --model RUN_OR_BUNDLE corrects them.")
    return Summarised(labels, found, told, notes)


def figures_of(group: Group, a: int, labels: Labels) -> list[dict[str, Any]]:
    """The rows of one aspect in one group, one for each sentiment and one for all mentions.

    ``share`` is that of the mentions (of the reviews for all mentions); ``corrected`` and its interval ``low``,
    ``high`` are None without a correction.
    """
    names = labels.sentiments if labels.carries_sentiment[a] else ()
    counts = group.counts[a]
    reviews, mentions = int(counts.sum()), int(counts[:-1].sum())
    rows = []
    for i, name in [*enumerate(names), (-1, "mentioned")]:
        n = mentions if i < 0 else int(counts[i])
        whole = reviews if i < 0 else mentions
        row: dict[str, Any] = {"said": name, "count": n, "share": n / whole if whole else None}
        row |= {"corrected": None, "low": None, "high": None}
        if group.corrected is not None and group.draws is not None:
            low, high = interval(_share(group.draws[:, a], i))
            row |= {"corrected": float(_share(group.corrected[a], i)), "low": low, "high": high}
        rows.append(row)
    return rows


def table_of(found: Summarised) -> str:
    """The shares as CSV for a spreadsheet: a row for each group, aspect and sentiment."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    numbers = ["count", "share", "corrected", "low", "high"]
    writer.writerow(["group", "reviews", "aspect", "sentiment", *numbers])
    for group in found.groups:
        for a, aspect in enumerate(found.labels.aspects):
            for row in figures_of(group, a, found.labels):
                cells = ["" if row[n] is None else row[n] if n == "count" else f"{row[n]:.4f}" for n in numbers]
                who = [harmless(group.name), int(group.counts[a].sum()), harmless(aspect)]
                writer.writerow([*who, row["said"], *cells])
    return out.getvalue()


# --- reading ---------------------------------------------------------------------------------------------------------


def _states(source: Source, rows: Sequence[dict[str, Any]], path: str) -> tuple[list[str], list[dict[str, str]]]:
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


def _labels(
    aspects: Sequence[str], says: Sequence[dict[str, str]], table: tuple[Labels, np.ndarray] | None, path: str
) -> Labels:
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


def _numbers(aspects: Sequence[str], says: Sequence[dict[str, str]], labels: Labels, path: str) -> np.ndarray:
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


def _counts(state: np.ndarray, rows: np.ndarray, k: int) -> np.ndarray:
    return np.stack([np.bincount(state[rows, a], minlength=k) for a in range(state.shape[1])])


def _groups(
    rows: Sequence[dict[str, Any]], columns: Sequence[str], by: str | None, every: str | None, path: str
) -> tuple[dict[str, list[int]], str, list[str]]:
    """The rows of each group by its name, what the groups are, and notes."""
    if by is None:
        return {}, "", []
    if by in PERIODS and by not in columns:
        if every is not None:
            raise UserError(f"--by {by} --every {every}: name the column of dates, --by COLUMN --every {every}")
        dated = [c for c in columns if c != "line" and are_dates(row.get(c) for row in rows[:1000])]
        if len(dated) != 1:
            found = f"the columns of dates are {listed(dated)}" if dated else f"none of {listed(columns)} holds dates"
            raise UserError(f"{path}: --by {by}: {found}; name the column: --by COLUMN --every {by}")
        by, every = dated[0], by
    if by not in columns:
        raise UserError(
            f"{path}: there is no column {quoted(by)} (--by) among {listed(columns)}{did_you_mean(by, tuple(columns))}"
        )
    cells = [row.get(by) for row in rows]
    notes = []
    if every is None:
        named = [
            BLANK if cell in (None, "") else str(cell) if isinstance(cell, str) else json.dumps(cell) for cell in cells
        ]
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
    ordered = {name: groups[name] for name in sorted(groups, key=lambda n: (n in (NO_DATE, BLANK), n))}
    return ordered, f"{by} by {every}" if every else by, notes


def _share(states: np.ndarray, i: int) -> np.ndarray:
    """The share of state ``i`` among the mentions, of [..., C + 1]; for -1 that of the mentions."""
    mentioned = states[..., :-1].sum(-1)
    share: np.ndarray = mentioned if i < 0 else states[..., i] / np.maximum(mentioned, 1e-12)
    return share
