"""Runs beside each other on one test set: who is better, by how much, whether chance would do it, and where."""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..answers.figures import FIGURES, Counts, figures, left_out, told_left_out, total
from ..data.findings import text_keys
from ..errors import UserError, did_you_mean, quoted
from ..labels import IGNORE, Labels
from .candidates import Candidate, find_runs, read_candidate, refuse_other_tests, validated
from .contracts import Compared, Comparison, Difference
from .intervals import DRAWS, bootstrap, difference, holm
from .judgement import SEED
from .leaks import UNKNOWN, without_trained
from .naming import belongs, differing_as_typed, row_name, settle_encoders, typed_keys
from .text import comparison_text

SHOWN = 10  # reviews printed of each kind of change


def compare_runs(folders: Sequence[str | Path], by: str | None = None) -> str:
    """The leaderboard of some runs, or of a multirun's folder, best first; ready to print.

    Raises UserError as :func:`comparison`.
    """
    result, candidates = _compare(folders, by)
    changes = _told(result, candidates) if len(result["rows"]) == 2 else []
    return comparison_text(result, by, changes)


def comparison(folders: Sequence[str | Path], by: str | None = None, draws: int = DRAWS) -> Comparison:
    """Compare runs on their common test set; those that differ in nothing but ``by`` (``seed``) make one row.

    Each folder is a run, or holds runs at any depth. ``by`` is a setting or a group (``loss``). Rows are in the order
    of validation, so that test has no say in which comes first. A difference is that of two rows' means on test; its
    interval and p-value cover reviews and seeds (:func:`src.judge.intervals.difference`), and ``p_holm`` is corrected
    for the number of rows. Raises UserError for folders without runs, other test sets or aspects, and an unknown
    ``by``.
    """
    return _compare(folders, by, draws)[0]


def _compare(
    folders: Sequence[str | Path], by: str | None = None, draws: int = DRAWS
) -> tuple[Comparison, list[Candidate]]:
    found, unfinished = find_runs(folders)
    candidates = [read_candidate(folder) for folder in found]
    refuse_other_tests(candidates)
    settle_encoders([c.settings for c in candidates])
    labels = candidates[0].labels
    task = "absa" if all(c.predictions.mentioned_logits is not None for c in candidates) else "sentiment"
    ranking = FIGURES[task][0]

    groups = _groups(candidates, by)
    typed = set().union(*(typed_keys(c.summary) for c in candidates))
    differs = differing_as_typed([c.settings for c in candidates], [c.choices for c in candidates], typed)
    sums = [total(c.each) for c in candidates]
    singles = [figures(counts, labels, task) for counts in sums]
    drawn = [figures(counts, labels, task) for counts in bootstrap([c.each for c in candidates], draws, SEED)]
    validation, reason = validated(candidates, ranking)
    rank = validation or [float(s[ranking]) for s in singles]
    order = sorted(
        groups, key=lambda members: (-np.mean([rank[i] for i in members]), str(candidates[members[0]].folder))
    )
    notes = [f"Not finished, left out: {', '.join(map(str, unfinished))}"] if unfinished else []
    if reason and len(order) > 1:
        notes.append(f"Ranked by test, as {reason}: the first row is flattered.")
    trained, untold = _trained(candidates)
    notes += untold
    kept = [without_trained(c.each, trained, labels, task)["figures"] for c in candidates]

    names = _names([c.folder for c in candidates])
    first = order[0]
    rows: list[Compared] = []
    for members in order:
        settings = {k: v[members[0]] for k, v in differs.items() if by is None or not belongs(k, by)}
        row: Compared = {
            "name": row_name(settings) or ", ".join(names[i] for i in members),
            "runs": [str(candidates[i].folder) for i in members],
            "settings": settings,
            "validation": float(np.mean([validation[i] for i in members])) if validation else None,
            "figures": {k: _mean(singles, members, k) for k in FIGURES[task]},
            "unseen": {k: _mean(kept, members, k) for k in kept[0]},
            "sd": {k: _deviation([float(singles[i][k]) for i in members]) for k in FIGURES[task]},
            "difference": None,
            "changes": None,
        }
        if members is not first:
            row["difference"] = {k: _difference(singles, drawn, members, first, k) for k in FIGURES[task]}
            there, here = _mostly_right(candidates, first), _mostly_right(candidates, members)
            lost, gained = np.flatnonzero(there & ~here), np.flatnonzero(here & ~there)
            row["changes"] = {"lost": lost.tolist(), "gained": gained.tolist()}
        rows.append(row)
    _correct(rows)
    result: Comparison = {
        "reviews": len(trained),
        "trained_on": int(trained.sum()),
        "task": task,
        "figure": ranking,
        "ranked_by": "validation" if validation else "test",
        "rows": rows,
        "differs": differs,
        "folders": [str(c.folder) for c in candidates],
        "notes": _notes(names, sums, labels, task) + notes,
    }
    return result, candidates


def _notes(names: list[str], sums: list[Counts], labels: Labels, task: str) -> list[str]:
    """What the macro figures of the runs leave out: one sentence for all runs that leave out the same."""
    runs: dict[str, list[str]] = {}
    for name, counts in zip(names, sums, strict=True):
        for told in told_left_out(left_out(counts, labels, task)):
            runs.setdefault(told, []).append(name)
    return [told if len(of) == len(names) else f"{', '.join(of)}: {told}" for told, of in runs.items()]


def _groups(candidates: list[Candidate], by: str | None) -> list[list[int]]:
    """For each row the positions of its runs: runs that differ in nothing but ``by``, or one run if that is None.

    Raises UserError if no run has the setting or group ``by``.
    """
    if by is None:
        return [[i] for i in range(len(candidates))]
    known = sorted({key for c in candidates for key in (*c.settings, *c.choices)})
    if not any(belongs(key, by) for key in known):
        raise UserError(f"--by {quoted(by)} is no setting or group of these runs{did_you_mean(by, tuple(known))}")
    groups: dict[str, list[int]] = {}
    for i, c in enumerate(candidates):
        rest = {k: v for k, v in c.settings.items() if not belongs(k, by)}
        groups.setdefault(json.dumps(rest, sort_keys=True, default=str), []).append(i)
    return list(groups.values())


def _trained(candidates: list[Candidate]) -> tuple[np.ndarray, list[str]]:
    """bool [N]: the reviews whose text any of the runs was trained on; a note if that is not known of some."""
    keys = text_keys(candidates[0].predictions.texts)
    known = [c.trained for c in candidates if c.trained is not None]
    note = f"{UNKNOWN}{len(candidates) - len(known):,} of the runs kept no hashes of their training texts."
    trained: np.ndarray = np.any([np.isin(keys, of) for of in known] or [np.zeros(len(keys), bool)], axis=0)
    return trained, [note] * (len(known) < len(candidates))


# --- rows ------------------------------------------------------------------------------------------------------------


def _mean(values: Sequence[Mapping[str, Any]], members: list[int], figure: str) -> float:
    return float(np.mean([values[i][figure] for i in members]))


def _deviation(values: list[float]) -> float | None:
    return float(np.std(values, ddof=1)) if len(values) > 1 else None


def _difference(
    singles: list[dict[str, Any]], drawn: list[dict[str, Any]], members: list[int], first: list[int], figure: str
) -> Difference:
    ours, theirs = (np.array([float(singles[i][figure]) for i in rows]) for rows in (members, first))
    draws = (np.array([drawn[i][figure] for i in rows]) for rows in (members, first))
    low, high, p = difference(ours, theirs, *draws)
    return {"value": float(ours.mean() - theirs.mean()), "low": low, "high": high, "p": p, "p_holm": p}


def _correct(rows: list[Compared]) -> None:
    """Set ``p_holm`` of every difference."""
    others = [row["difference"] for row in rows if row["difference"] is not None]
    for figure in others[0] if others else ():
        for row, p in zip(others, holm([row[figure]["p"] for row in others]), strict=True):
            row[figure]["p_holm"] = p


def _mostly_right(candidates: list[Candidate], members: list[int]) -> np.ndarray:
    """bool [N]: reviews that more than half of the runs have right."""
    right: np.ndarray = np.mean([candidates[i].right for i in members], axis=0) > 0.5
    return right


def _names(folders: list[Path]) -> list[str]:
    if len(folders) == 1:
        return [folders[0].name]
    above = os.path.commonpath([f.resolve() for f in folders])
    return [str(f.resolve().relative_to(above)) for f in folders]


def _told(result: Comparison, candidates: list[Candidate]) -> list[tuple[str, list[str]]]:
    """The reviews that changed between two rows, in words: title, then a line each of the first SHOWN."""
    best, other = result["rows"]
    runs = [[c for c in candidates if str(c.folder) in row["runs"]] for row in (best, other)]
    reviews, labels = candidates[0].predictions, candidates[0].labels
    changes: Mapping[str, list[int]] = dict(other["changes"] or {})  # type: ignore[arg-type]
    titles = {
        "lost": f"Right in {best['name']}, wrong in {other['name']}",
        "gained": f"Right in {other['name']}, wrong in {best['name']}",
    }
    told = []
    for kind, title in titles.items():
        rows = changes[kind]
        lines = []
        for i in rows[:SHOWN]:
            wrong = next(c for c in runs[kind == "lost"] if not c.right[i])
            gold = _pairs(labels, reviews.mentioned[i], reviews.sentiment[i])
            said = _pairs(labels, wrong.detected[i], wrong.predictions.sentiment_said()[i])
            text = quoted(reviews.texts[i], 100)
            lines.append(f"{reviews.ids[i]}: {text}\n    gold {gold}\n    said {said}")
        told.append((f"{title}: {len(rows):,}", lines + ["..."] * (len(rows) > SHOWN)))
    return told


def _pairs(labels: Labels, mentioned: np.ndarray, sentiment: np.ndarray) -> str:
    words = []
    for j in np.flatnonzero(mentioned):
        plain = sentiment[j] == IGNORE or not labels.carries_sentiment[j]
        words.append(labels.aspects[j] if plain else f"{labels.aspects[j]} {labels.sentiments[sentiment[j]]}")
    return ", ".join(words) or "nothing"
