"""``absa summary``: how often each aspect is praised or blamed in a file of answers, whole and by any column."""

import csv
import io
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any, NamedTuple

import numpy as np

from ..answers.predictions import read_predictions
from ..answers.shares import corrected_with_draws, validation_table
from ..answers.table import harmless
from ..answers.thresholds import Thresholds
from ..data.formats import open_rows
from ..errors import Faults, UserError, listed
from ..judge.intervals import interval
from ..labels import Labels
from ..runs.run import Run
from .answers_file import labels_in, rows_by_group, states_of, what_rows_say
from .bundle import INFO, declared_labels, read_whole
from .fetch import fetch

ALL_REVIEWS = "all"  # the name of the group of all reviews


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


def error_table(model: str) -> tuple[Labels, np.ndarray]:
    """The labels of a run or a bundle, and its table of validation, int64 [A, C + 1, C + 1].

    ``model`` may be the name of a bundle on the hub. Raises UserError.
    """
    folder, commit = fetch(model)
    if not (folder / INFO).is_file():
        run = Run(folder)
        summary, labels = run.read_summary(), run.labels
        if summary["task"] != "absa":
            raise UserError(
                f"{model}: task {summary['task']}, which does not say what is mentioned: nothing to correct"
            )
        thresholds = Thresholds.from_dict(summary["thresholds"]).array if "thresholds" in summary else np.array(0.5)
        return labels, validation_table(read_predictions(run.predictions("val"), labels), labels, thresholds)
    info, _ = read_whole(folder, card=commit is None)
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
        aspects, says = what_rows_say(source, rows, answers)
        columns = list(dict.fromkeys(key for row in rows[:100] for key in row)) if not source.header else source.columns
    left_out: list[str] = []
    if table is not None and source.header:  # a line of JSON names what it mentions alone
        table, left_out = _of_columns(table, aspects)
    labels = labels_in(aspects, says, table, answers)
    state = states_of(aspects, says, labels, answers)
    groups, told, notes = rows_by_group(rows, columns, by, every, answers)
    k = len(labels.sentiments) + 1
    whole = Group(ALL_REVIEWS, _counts(state, np.arange(len(rows)), k), None, None)
    found = [whole, *(Group(name, _counts(state, np.array(at), k), None, None) for name, at in groups.items())]
    if left_out:
        notes.append(f"Left out, as the file has no columns for them: {listed(left_out)}.")
    if table is not None:
        found = [Group(g.name, g.counts, *corrected_with_draws(g.counts, table[1])) for g in found]
        notes.append(
            f"Corrected for the errors on {int(table[1][0].sum()):,} validation reviews, as far as the model errs here "
            "as it does there: on other products or other sources it may not."
        )
    else:
        notes.append("Not corrected for the model's errors; --model RUN_OR_BUNDLE corrects them.")
    return Summarised(labels, found, told, notes)


def _of_columns(
    table: tuple[Labels, np.ndarray], aspects: Sequence[str]
) -> tuple[tuple[Labels, np.ndarray], list[str]]:
    """The labels and the table of errors of the ``aspects`` alone, and the model's other aspects."""
    labels, counts = table
    kept = [a for a, name in enumerate(labels.aspects) if name in aspects]
    names = tuple(labels.aspects[a] for a in kept)
    without = tuple(name for name in labels.without_sentiment if name in names)
    left_out = [name for name in labels.aspects if name not in names]
    return (Labels(names, without, labels.sentiments), counts[kept]), left_out


def figures_of(group: Group, a: int, labels: Labels) -> list[dict[str, Any]]:
    """The rows of one aspect in one group, one for each sentiment and one for all mentions.

    ``share`` is that of the mentions (of the reviews for all mentions); ``corrected`` and its interval ``low``,
    ``high`` are None without a correction, and for the sentiments of an aspect that no review mentions.
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
        unsaid = i >= 0 and not mentions  # the corrected share would be that of validation alone
        if group.corrected is not None and group.draws is not None and not unsaid:
            low, high = interval(_share(group.draws[:, a], i))
            value = float(_share(group.corrected[a], i))
            row |= {"corrected": value, "low": min(low, value), "high": max(high, value)}
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


def _counts(state: np.ndarray, rows: np.ndarray, k: int) -> np.ndarray:
    return np.stack([np.bincount(state[rows, a], minlength=k) for a in range(state.shape[1])])


def _share(states: np.ndarray, i: int) -> np.ndarray:
    """The share of state ``i`` among the mentions, of [..., C + 1]; for -1 that of the mentions."""
    mentioned = states[..., :-1].sum(-1)
    share: np.ndarray = mentioned if i < 0 else states[..., i] / np.maximum(mentioned, 1e-12)
    return share
