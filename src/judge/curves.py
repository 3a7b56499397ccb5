"""Precision over recall, and figures over epochs: the numbers behind the curves."""

import csv
import math
from pathlib import Path
from typing import Any

import numpy as np


def precision_recall(scores: np.ndarray, gold: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(precision, recall), float64 [K], one for every way to cut ``scores`` [N], from the highest cut down.

    ``gold`` bool [N] with at least one True.
    """
    order = np.argsort(-scores, kind="stable")
    last = np.append(np.flatnonzero(np.diff(scores[order])), len(scores) - 1)  # equal scores are cut together
    hit = np.cumsum(gold[order])[last]
    return hit / (last + 1), hit / gold.sum()


def average_precision(precision: np.ndarray, recall: np.ndarray) -> float:
    """The area as a sum of steps, sum over k of (R_k - R_{k-1}) P_k, as scikit-learn's average_precision_score."""
    return float((np.diff(recall, prepend=0.0) * precision).sum())


def thinned(precision: np.ndarray, recall: np.ndarray, most: int = 120) -> tuple[np.ndarray, np.ndarray]:
    """At most about ``most`` points of a curve, evenly spread along it, both ends kept."""
    if len(recall) <= most:
        return precision, recall
    way = np.concatenate([[0.0], np.cumsum(np.hypot(np.diff(precision), np.diff(recall)))])
    keep = np.unique(np.searchsorted(way, np.linspace(0, way[-1], most)).clip(max=len(way) - 1))
    return precision[keep], recall[keep]


def learning_curves(folder: Path) -> dict[str, Any]:
    """``{"series": {column: {epoch: value}}, "resumed": [epochs]}`` from RUN/metrics.csv and those of before a resume.

    Epochs count from 1. An epoch that a resumed training ran again counts as it ran last.
    """
    earlier = sorted(
        folder.glob("metrics.*.csv"), key=lambda p: int(p.suffixes[0][1:]) if p.suffixes[0][1:].isdigit() else 0
    )
    series: dict[str, dict[int, float]] = {}
    resumed: list[int] = []
    for number, path in enumerate([*earlier, folder / "metrics.csv"]):
        if not path.exists():
            continue
        first = None
        with path.open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                try:
                    epoch = int(float(row["epoch"])) + 1
                except (KeyError, TypeError, ValueError):
                    continue
                if first is None:
                    first = epoch
                    if epoch == 1:  # begun anew in this folder: what came before is another training
                        series.clear()
                        resumed.clear()
                for column, cell in row.items():
                    if column and "/" in column and (value := _finite(cell)) is not None:
                        series.setdefault(column, {})[epoch] = value
        if number and first is not None and first > 1:
            resumed.append(first)
    return {"series": series, "resumed": resumed}


def _finite(cell: str | None) -> float | None:
    try:
        value = float(cell or "")
    except ValueError:
        return None
    return value if math.isfinite(value) else None
