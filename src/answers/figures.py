"""The figures (metrics) from counts of predictions and gold labels, in numpy, so that a run is judged without torch.

Counts are sums over reviews, so the figures depend neither on batches, padding and order nor on the number of ranks;
no figure is an average of batch values. The absent class is never counted as a class.
"""

from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from ..labels import Labels
from .predictions import Predictions

DETECTION = ("pair_f1", "aspect_f1_micro", "aspect_f1_macro")
SENTIMENT = ("sentiment_f1", "sentiment_f1_per_aspect", "sentiment_accuracy")
FIGURES = {"absa": DETECTION + SENTIMENT, "sentiment": SENTIMENT}
"""Names of the figures that each task gives; logged as ``val/NAME`` and ``test/NAME``."""


@dataclass
class Counts:
    """Sums over reviews; leading dimensions (bootstrap draws) broadcast through :func:`figures`."""

    mentioned_hit: Any  # [A] reviews that mention the aspect and in which it is detected
    mentioned_said: Any  # [A] reviews in which it is detected
    mentioned_gold: Any  # [A] reviews that mention it
    confusion: Any  # [A, C, C] gold sentiment x predicted sentiment, gold aspects given
    pair_said: Any  # [A, C] (aspect, sentiment) pairs predicted end to end, with detected aspects
    pair_hit: Any  # [A, C] those of the predicted pairs that are right


def tally(mentioned_said: Any, sentiment_said: Any, mentioned: Any, sentiment: Any, classes: Any) -> Counts:
    """What each review adds to the counts: bool [N, ...], of the arrays' own kind (numpy or torch).

    ``mentioned_said`` bool [N, A], ``sentiment_said`` int64 [N, A], ``mentioned`` bool [N, A], ``sentiment`` int64
    [N, A] with IGNORE, ``classes`` the numbers 0..C-1.
    """
    said_hot = sentiment_said[..., None] == classes  # [N, A, C]
    gold_hot = sentiment[..., None] == classes  # [N, A, C], all False where ignored
    pairs = said_hot & mentioned_said[..., None]
    return Counts(
        mentioned_hit=mentioned_said & mentioned,
        mentioned_said=mentioned_said,
        mentioned_gold=mentioned,
        confusion=gold_hot[..., :, None] & said_hot[..., None, :],
        pair_said=pairs,
        pair_hit=pairs & gold_hot,
    )


def total(counts: Counts) -> Counts:
    """The sum over the first dimension, the reviews: bool [N, ...] -> int64 [...]."""
    return Counts(**{f.name: getattr(counts, f.name).sum(0) for f in fields(Counts)})


def per_review(predictions: Predictions, threshold: float | np.ndarray = 0.5) -> Counts:
    """What each review adds to the counts at a detection threshold (one, or [A]): bool [N, ...]."""
    found, said = predictions.detected(threshold), predictions.sentiment_said()
    return tally(found, said, predictions.mentioned, predictions.sentiment, predictions.classes)


def evaluate(predictions: Predictions, threshold: float | np.ndarray = 0.5) -> Counts:
    """Counts of predictions at a detection threshold (one, or float [A]), as int64 numpy arrays."""
    return total(per_review(predictions, threshold))


def figures(counts: Counts, labels: Labels, task: str) -> dict[str, Any]:
    """The figures of :data:`FIGURES` for ``task`` from numpy counts: float64 scalars, or [draws] for [draws, ...] ones.

    ``pair_f1`` and the sentiment figures leave out aspects that carry no sentiment in the data set. An F1 with no gold
    and no prediction is 0, as in scikit-learn with ``zero_division=0``.
    """
    carries = np.array(labels.carries_sentiment)
    confusion = counts.confusion[..., carries, :, :]
    pooled = confusion.sum(-3)  # [C, C]
    in_gold = confusion.sum(-1) > 0  # [A, C] sentiments that an aspect has in gold
    per_sentiment = f1(diagonal(confusion), confusion.sum(-2), confusion.sum(-1))  # [A, C]
    of_aspect = ratio((per_sentiment * in_gold).sum(-1), in_gold.sum(-1))  # [A]
    seen = in_gold.any(-1)
    values = {
        "sentiment_f1": f1(diagonal(pooled), pooled.sum(-2), pooled.sum(-1)).mean(-1),
        "sentiment_f1_per_aspect": ratio((of_aspect * seen).sum(-1), seen.sum(-1)),
        "sentiment_accuracy": ratio(diagonal(pooled).sum(-1), pooled.sum((-1, -2))),
    }
    if task == "absa":
        hit, said, gold = counts.mentioned_hit, counts.mentioned_said, counts.mentioned_gold
        values["pair_f1"] = f1(
            counts.pair_hit[..., carries, :].sum((-1, -2)),
            counts.pair_said[..., carries, :].sum((-1, -2)),
            confusion.sum((-1, -2, -3)),
        )
        values["aspect_f1_micro"] = f1(hit.sum(-1), said.sum(-1), gold.sum(-1))
        values["aspect_f1_macro"] = f1(hit, said, gold).mean(-1)
    return {name: values[name] for name in FIGURES[task]}


def per_aspect(counts: Counts, labels: Labels, task: str) -> list[dict[str, Any]]:
    """One row per aspect: support, detection precision, recall and F1, pair F1, sentiment accuracy and F1.

    ``counts`` come without draws. Pair F1 is None for an aspect that carries no sentiment; sentiment accuracy and F1
    are None where gold has no sentiment for it.
    """
    rows = []
    for a, (aspect, carries) in enumerate(zip(labels.aspects, labels.carries_sentiment, strict=True)):
        confusion = counts.confusion[a]
        row: dict[str, Any] = {"aspect": aspect, "mentioned": int(counts.mentioned_gold[a])}
        row |= dict(zip(labels.sentiments, map(int, confusion.sum(-1)), strict=True))
        if task == "absa":
            hit, said, gold = counts.mentioned_hit[a], counts.mentioned_said[a], counts.mentioned_gold[a]
            row["predicted"] = int(said)
            row["precision"], row["recall"] = float(ratio(hit, said)), float(ratio(hit, gold))
            row["f1"] = float(f1(hit, said, gold))
            pairs = (counts.pair_hit[a].sum(), counts.pair_said[a].sum(), confusion.sum())
            row["pair_f1"] = float(f1(*pairs)) if carries else None
        known = confusion.sum(-1) > 0
        scores = f1(diagonal(confusion), confusion.sum(-2), confusion.sum(-1))
        row["sentiment_accuracy"] = float(ratio(diagonal(confusion).sum(), confusion.sum())) if known.any() else None
        row["sentiment_f1"] = float(scores[known].mean()) if known.any() else None
        rows.append(row)
    return rows


def f1(hit: Any, said: Any, gold: Any) -> Any:
    """F1 = 2 hit / (predicted + gold), float64, elementwise over counts that broadcast; 0 where both are 0."""
    return ratio(2 * np.asarray(hit), np.asarray(said) + np.asarray(gold))


def diagonal(matrix: Any) -> Any:
    """The diagonal of the last two dimensions: [..., C, C] -> [..., C]."""
    return np.diagonal(matrix, axis1=-2, axis2=-1)


def ratio(part: Any, whole: Any) -> Any:
    """part / whole, float64, elementwise over arrays that broadcast; 0 where whole is 0."""
    part, whole = np.asarray(part, float), np.asarray(whole, float)
    return np.divide(part, whole, out=np.zeros(np.broadcast_shapes(part.shape, whole.shape)), where=whole != 0)
