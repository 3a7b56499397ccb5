"""The runs to compare: found in folders, read, and refused unless they were judged on one test set."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from ..answers.figures import Counts, per_review
from ..answers.predictions import Predictions, read_predictions
from ..errors import UserError
from ..labels import IGNORE, Labels
from ..runs.run import Run
from ..runs.settings import known_settings
from ..runs.summary import Summary
from .evaluation import decide
from .leaks import keys_of
from .naming import choices_of


@dataclass
class Candidate:
    """A run, its settings, and its predictions for each test review."""

    folder: Path
    summary: Summary
    labels: Labels
    settings: dict[str, Any]
    choices: dict[str, str]  # group of conf/ -> the choice
    predictions: Predictions
    detected: np.ndarray  # bool [N, A]
    each: Counts  # per review
    trained: np.ndarray | None  # keys of its training texts, where they are known

    @cached_property
    def right(self) -> np.ndarray:
        """bool [N]: reviews with exactly the gold aspects, and the gold sentiment on every pair."""
        p, carries = self.predictions, np.array(self.labels.carries_sentiment)
        sentiments = (p.sentiment_said() == p.sentiment) | (p.sentiment == IGNORE) | ~carries
        right: np.ndarray = ((self.detected == p.mentioned) & sentiments).all(1)
        return right


def find_runs(folders: Sequence[str | Path]) -> tuple[list[Path], list[Path]]:
    """Find the folders of finished runs, ordered by their numbers, and of unfinished ones, at any depth.

    Raises UserError naming every given folder that holds no finished run.
    """
    found: dict[Path, Path] = {}  # by real path: a run named twice is one
    unfinished: list[Path] = []
    faults = []
    for folder in map(Path, folders):
        there = _below(folder, unfinished) if folder.is_dir() else []
        if not there:
            faults.append(f"{folder}: {'holds no finished run' if folder.is_dir() else 'there is no such folder'}")
        found |= {path.resolve(): path for path in there}
    if faults:
        raise UserError(faults)
    return list(found.values()), unfinished


def _below(folder: Path, unfinished: list[Path]) -> list[Path]:
    if (folder / "summary.json").exists():
        return [folder]
    if (folder / ".hydra").is_dir() or (folder / "train.log").exists():
        unfinished.append(folder)
        return []
    inside = sorted((f for f in folder.iterdir() if f.is_dir()), key=lambda f: (len(f.name), f.name))
    return [run for child in inside if not child.name.startswith(".") for run in _below(child, unfinished)]


def read_candidate(folder: Path) -> Candidate:
    """Read a run, deciding at its own thresholds. Raises UserError for a run without test predictions."""
    run = Run(folder)
    summary, labels = run.read_summary(), run.labels
    if "test" not in summary["figures"]:
        raise UserError(f"{folder}: was trained without a test split, so there is nothing to compare")
    predictions = read_predictions(run.predictions("test"), labels)
    thresholds = decide(run, summary, labels).thresholds.array
    return Candidate(
        folder,
        summary,
        labels,
        known_settings(summary),
        choices_of(summary, folder),
        predictions,
        predictions.detected(thresholds),
        per_review(predictions, thresholds),
        keys_of(run, summary, labels)[0],
    )


def validated(candidates: Sequence[Candidate], figure: str) -> tuple[list[float] | None, str | None]:
    """The figure of each run on validation; None, and the reason, where the runs cannot be ranked by it.

    It is the monitored figure as training computed it, if the runs went by ``figure``, else that of the summary.
    """
    summaries = [c.summary for c in candidates]
    splits: list[Any] = [s["data"]["splits"] for s in summaries]
    files = {found.get("val", {}).get("sha256") for found in splits}
    if len(files) > 1:
        return None, "they were validated on different files"
    if all(s["monitor"] == f"val/{figure}" and "best" in s for s in summaries):
        return [s["best"] for s in summaries], None
    values = [s["figures"]["val"].get(figure) if "val" in s["figures"] else None for s in summaries]
    known = [v for v in values if v is not None]
    return (known, None) if len(known) == len(values) else (None, f"some have no {figure} on validation")


def refuse_other_tests(candidates: list[Candidate]) -> None:
    """Raise UserError naming every run whose aspects, test file, test reviews or gold labels are not the first's."""
    first, faults = candidates[0], []
    for c in candidates[1:]:
        ours, theirs = c.predictions, first.predictions
        file, other = (x.summary["data"]["splits"]["test"]["sha256"] for x in (c, first))
        if c.labels != first.labels:
            faults.append(f"{c.folder}: other aspects than {first.folder}")
        elif file != other:
            faults.append(f"{c.folder}: another test file than {first.folder} (sha256 {file[:12]}, not {other[:12]})")
        elif ours.texts != theirs.texts or not (
            np.array_equal(ours.mentioned, theirs.mentioned) and np.array_equal(ours.sentiment, theirs.sentiment)
        ):
            faults.append(f"{c.folder}: other test reviews or labels than {first.folder}, though from the same file")
    if faults:
        raise UserError([*faults, "runs compare on one test set only"])
