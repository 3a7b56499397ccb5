"""Compute what the report shows of a run, as plain data for its template."""

import csv
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..answers.calibration import softmax
from ..answers.explanation import shades
from ..answers.figures import LOSS
from ..answers.predictions import Predictions
from ..data.findings import TOLD
from ..labels import IGNORE, Labels
from ..runs.summary import Summary
from .contracts import Evaluation
from .html import json_block, pieces, printable
from .judgement import AT_HALF, MODEL
from .languages import Said, say
from .mistakes import KINDS, Mistake
from .slices import LEAST_REVIEWS

SHOWN_BYTES = 1_500_000  # of mistakes with their texts, so that the page stays below 2 MB
SUSPECT_LETTERS = 300  # of a text in the list of suspected label errors; the CSV has all of it
SHOWN_LETTERS = 2000  # of a review


def headline(e: Evaluation) -> list[dict[str, Any]]:
    """Every figure of the model with its interval and, of all answers that have one, the same figure."""
    figures, intervals = e["all"]["figures"], e["all"]["intervals"]
    rows = []
    for name, value in figures[MODEL].items():
        every = {other: figures[other][name] for other in e["answers"] if other != MODEL}
        others = {other: number for other, number in every.items() if number is not None}
        rivals = {other: number for other, number in others.items() if other != AT_HALF}
        best = max(rivals, key=rivals.__getitem__, default=None)
        rows.append({"figure": name, "value": value, "interval": intervals[name], "others": others, "best_rival": best})
    return rows


def part_said(name: str) -> Said:
    """The name of a part of the reviews in both languages, such as "2 to 22 words"."""
    numbers = dict(zip("ab", map(int, re.findall(r"\d+", name)), strict=False))
    holes = iter(numbers)
    return say(re.sub(r"\d+", lambda _: f"{{{next(holes)}}}", name), **numbers)


def worst_said(e: Evaluation) -> Said | None:
    """The part of the reviews that the model does worst on, in a sentence; None where too few are large enough."""
    part, figure = e["worst"], next(iter(e["all"]["figures"][MODEL]))
    if part is None:
        return None
    low, high = part["intervals"][figure]
    return say(
        "The model does worst on the reviews of the part “{part}”: {figure} {value} ({low} to {high}, {n} reviews). "
        "Parts of fewer than {least} reviews do not count.",
        part=part_said(part["name"]),
        figure=say("<code>{name}</code>", name=figure),
        value=part["figures"][figure] or 0.0,
        low=low,
        high=high,
        n=part["reviews"],
        least=LEAST_REVIEWS,
    )


def curves(predictions: Predictions, labels: Labels, e: Evaluation) -> list[dict[str, Any]]:
    """Precision-recall curves: of each aspect's detection, or, for task ``sentiment``, of each sentiment."""
    if predictions.mentioned_logits is None:
        known = (predictions.sentiment != IGNORE) & np.array(labels.carries_sentiment)
        scores, gold = softmax(predictions.sentiment_logits[known]), predictions.sentiment[known]
        return [_curve(name, scores[:, c], gold == c) for c, name in enumerate(labels.sentiments)]
    found = []
    for a, aspect in enumerate(labels.aspects):
        curve = _curve(aspect, predictions.mentioned_logits[:, a], predictions.mentioned[:, a])
        for point, answer in (("chosen", MODEL), ("half", AT_HALF)):
            row = e["per_aspect"][answer][a]
            curve[point] = (row["precision"], row["recall"]) if row["predicted"] else None
        found.append(curve | {"threshold": e["thresholds"]["per_aspect"][a]})
    return found


def _curve(name: str, scores: np.ndarray, gold: np.ndarray) -> dict[str, Any]:
    curve: dict[str, Any] = {"name": name, "n": int(gold.sum()), "chosen": None, "half": None, "threshold": None}
    if gold.any():
        points = precision_recall(scores, gold)
        curve["points"], curve["average_precision"] = thinned(*points), average_precision(*points)
    return curve


def learning(folder: Path, summary: Summary, task: str) -> dict[str, Any] | None:
    """Losses and validation figures over epochs, the best epoch and those where training was resumed."""
    found = learning_curves(folder)
    series = found["series"]
    losses = {name: series[f"{name}/loss"] for name in ("train", "val") if f"{name}/loss" in series}
    names = ("pair_f1", "aspect_f1_macro", "sentiment_f1") if task == "absa" else ("sentiment_f1", "sentiment_accuracy")
    figures = {name: series[f"val/{name}"] for name in names if f"val/{name}" in series}
    watched = series.get(summary.get("monitor", ""), {})
    extreme = min if summary.get("monitor") == LOSS else max
    best = extreme(sorted(watched), key=watched.__getitem__) if watched else None
    if best is not None and not math.isclose(watched[best], summary.get("best", math.nan), abs_tol=0.01):
        best = None  # the best epoch was trained in another folder, whose curves are not here
    return {"losses": losses, "figures": figures, "best": best, **found} if losses or figures else None


def findings(summary: Summary) -> dict[str, Any]:
    """What the data check found, per split and between splits; kinds of findings without a case are left out."""
    data: Mapping[str, Any] = summary["data"]
    splits = []
    for name, split in data.get("splits", {}).items():
        first = split.get("first_lines", {})
        odd = [(words, split[kind], first.get(kind, [])) for kind, words in TOLD.items() if split.get(kind)]
        splits.append({"name": name, "odd": odd, **{k: split.get(k) for k in ("path", "sha256", "reviews", "rows")}})
    leaks = [(*pair.split("->"), leak["rows"]) for pair, leak in data.get("leaks", {}).items() if leak["rows"]]
    return {"splits": splits, "leaks": leaks, "notes": data.get("notes", [])}


def fitting(mistakes: Sequence[Mistake], predictions: Predictions) -> list[Mistake]:
    """The first of the mistakes, as many as the page has room for."""
    room, seen, kept = SHOWN_BYTES, set(), []
    for m in mistakes:
        if m.row not in seen:
            seen.add(m.row)
            room -= len(json_block(_review(predictions, m.row)).encode()) + 50
        room -= 120 + 3 * len(predictions.texts[m.row][:SHOWN_LETTERS].split())
        if room < 0:
            break
        kept.append(m)
    return kept


def error_data(
    mistakes: Sequence[Mistake], predictions: Predictions, labels: Labels, weights: Mapping[int, np.ndarray]
) -> dict[str, Any]:
    """The mistakes as the page's script reads them: each review once, as words, and a shade of -4 to 4 for each word.

    ``weights`` has float64 [words] by the position of a mistake; a mistake without them gets no shades.
    """
    place: dict[int, int] = {}
    reviews: list[dict[str, Any]] = []
    errors = []
    for i, m in enumerate(mistakes):
        if m.row not in place:
            place[m.row] = len(reviews)
            reviews.append(_review(predictions, m.row))
        review = reviews[place[m.row]]
        error: dict[str, Any] = {"r": place[m.row], "a": m.aspect, "k": KINDS.index(m.kind), "g": m.gold, "s": m.said}
        error |= {"c": shown_confidence(m)} | ({"q": 1} if m.suspect else {})
        if i in weights:
            error["x"] = shades(weights[i])[: len(review["w"])]
        errors.append(error)
    return {"aspects": list(map(printable, labels.aspects)), "kinds": KINDS, "reviews": reviews, "errors": errors}


def suspect(m: Mistake, predictions: Predictions, labels: Labels) -> dict[str, Any]:
    """A row of the list of suspected label errors."""
    text = predictions.texts[m.row]
    return m._asdict() | {
        "confidence": shown_confidence(m),
        "id": predictions.ids[m.row],
        "line": None if predictions.lines is None else predictions.lines[m.row],
        "aspect": labels.aspects[m.aspect],
        "text": text if len(text) <= SUSPECT_LETTERS else text[:SUSPECT_LETTERS] + " …",
    }


def shown_confidence(m: Mistake) -> float:
    """The confidence as it is shown wherever it stands: rounded once, to four digits, as in the CSV."""
    return round(m.confidence, 4)


def _review(predictions: Predictions, row: int) -> dict[str, Any]:
    text = predictions.texts[row]
    shown = text[:SHOWN_LETTERS]
    more = {"cut": len(text) - len(shown)} if len(text) > len(shown) else {}
    if predictions.lines is not None:
        more["line"] = predictions.lines[row]
    return {"id": printable(predictions.ids[row]), "w": [printable(word) for word in pieces(shown)], **more}


def precision_recall(scores: np.ndarray, gold: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(precision, recall), float64 [K] each: K distinct thresholds on ``scores`` float [N], from the highest down.

    ``gold`` bool [N] with at least one True.
    """
    order = np.argsort(-scores, kind="stable")
    last = np.append(np.flatnonzero(np.diff(scores[order])), len(scores) - 1)  # equal scores are cut together
    hit = np.cumsum(gold[order])[last]
    return hit / (last + 1), hit / gold.sum()


def average_precision(precision: np.ndarray, recall: np.ndarray) -> float:
    """The area under a curve, float64 [K] each, as scikit-learn has it: sum over k of (R_k - R_{k-1}) P_k."""
    return float((np.diff(recall, prepend=0.0) * precision).sum())


def thinned(precision: np.ndarray, recall: np.ndarray, most: int = 120) -> tuple[np.ndarray, np.ndarray]:
    """A curve float64 [K] reduced to some ``most`` points, evenly spread along it; both ends are kept."""
    if len(recall) <= most:
        return precision, recall
    way = np.concatenate([[0.0], np.cumsum(np.hypot(np.diff(precision), np.diff(recall)))])
    keep = np.unique(np.searchsorted(way, np.linspace(0, way[-1], most)).clip(max=len(way) - 1))
    return precision[keep], recall[keep]


def learning_curves(folder: Path) -> dict[str, Any]:
    """``{"series": {column: {epoch: value}}, "resumed": [epochs]}`` from RUN/metrics.csv and, resumed, metrics.N.csv.

    Epochs count from 1. Of an epoch that a resumed training ran again, the last values count.
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
                    if epoch == 1:  # training began anew in this folder: earlier files are of another one
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
