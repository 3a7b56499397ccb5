"""The figures, from counts accumulated over a whole split.

Counts are sums over reviews, so the figures depend neither on batches, padding and order nor on the number of ranks;
no figure is an average of batch values. The absent class is never counted as a class.
"""

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torchmetrics import Metric

from src.labels import IGNORE, SENTIMENTS, C, Labels
from src.predictions import Predictions

DETECTION = ("pair_f1", "aspect_f1_micro", "aspect_f1_macro")
SENTIMENT = ("sentiment_f1", "sentiment_f1_per_aspect", "sentiment_accuracy")
FIGURES = {"absa": DETECTION + SENTIMENT, "sentiment": SENTIMENT}
"""Names of the figures that each task gives; logged as ``val/NAME`` and ``test/NAME``."""


@dataclass
class Counts:
    """Sums over reviews; leading dimensions (bootstrap draws) broadcast through :func:`figures`."""

    mentioned_hit: Any  # [A] aspects mentioned and detected
    mentioned_said: Any  # [A] detected
    mentioned_gold: Any  # [A] mentioned
    confusion: Any  # [A, C, C] gold sentiment x predicted sentiment, gold aspects given
    pair_said: Any  # [A, C] (aspect, sentiment) pairs predicted end to end, with detected aspects
    pair_hit: Any  # [A, C] of them right


def count(mentioned_said: Tensor, sentiment_said: Tensor, mentioned: Tensor, sentiment: Tensor) -> Counts:
    """Counts of some reviews, on the device of the inputs.

    ``mentioned_said`` bool [N, A], ``sentiment_said`` int64 [N, A], ``mentioned`` bool [N, A], ``sentiment`` int64
    [N, A] with IGNORE -> int64 counts.
    """
    gold = sentiment != IGNORE
    classes = torch.arange(C, device=sentiment.device)
    said_hot = sentiment_said.unsqueeze(-1) == classes  # [N, A, C]
    gold_hot = sentiment.unsqueeze(-1) == classes  # [N, A, C], all False where ignored
    pairs = said_hot & mentioned_said.unsqueeze(-1)
    return Counts(
        mentioned_hit=(mentioned_said & mentioned).sum(0),
        mentioned_said=mentioned_said.sum(0),
        mentioned_gold=mentioned.sum(0),
        confusion=(gold_hot.unsqueeze(-1) & said_hot.unsqueeze(-2) & gold[..., None, None]).sum(0),
        pair_said=pairs.sum(0),
        pair_hit=(pairs & gold_hot).sum(0),
    )


def evaluate(predictions: Predictions, threshold: float | np.ndarray = 0.5) -> Counts:
    """Counts of predictions at a detection threshold (one, or [A]), as int64 numpy arrays."""
    arrays = (predictions.detected(threshold), predictions.sentiment_said(), predictions.mentioned, predictions.sentiment)
    return to_numpy(count(*map(torch.from_numpy, arrays)))


def figures(counts: Counts, labels: Labels, task: str) -> dict[str, Any]:
    """The figures of :data:`FIGURES` for ``task``, each float or [draws], from numpy counts.

    ``pair_f1`` and the sentiment figures leave out aspects that carry no sentiment in the data set. An F1 with no gold
    and no prediction is 0, as in scikit-learn with ``zero_division=0``.
    """
    carries = np.array(labels.carries_sentiment)
    confusion = counts.confusion[..., carries, :, :]
    pooled = confusion.sum(-3)  # [C, C]
    in_gold = confusion.sum(-1) > 0  # [A, C] sentiments that an aspect has in gold
    per_sentiment = f1(_diagonal(confusion), confusion.sum(-2), confusion.sum(-1))  # [A, C]
    of_aspect = _ratio((per_sentiment * in_gold).sum(-1), in_gold.sum(-1))  # [A]
    seen = in_gold.any(-1)
    values = {
        "sentiment_f1": f1(_diagonal(pooled), pooled.sum(-2), pooled.sum(-1)).mean(-1),
        "sentiment_f1_per_aspect": _ratio((of_aspect * seen).sum(-1), seen.sum(-1)),
        "sentiment_accuracy": _ratio(_diagonal(pooled).sum(-1), pooled.sum((-1, -2))),
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
    """One row per aspect: support, detection precision, recall and F1, pair F1, sentiment accuracy and F1."""
    rows = []
    for a, (aspect, carries) in enumerate(zip(labels.aspects, labels.carries_sentiment, strict=True)):
        confusion = counts.confusion[a]
        row: dict[str, Any] = {"aspect": aspect, "mentioned": int(counts.mentioned_gold[a])}
        row |= dict(zip(SENTIMENTS, map(int, confusion.sum(-1)), strict=True))
        if task == "absa":
            hit, said, gold = counts.mentioned_hit[a], counts.mentioned_said[a], counts.mentioned_gold[a]
            row["predicted"] = int(said)
            row["precision"], row["recall"] = float(_ratio(hit, said)), float(_ratio(hit, gold))
            row["f1"] = float(f1(hit, said, gold))
            pairs = (counts.pair_hit[a].sum(), counts.pair_said[a].sum(), confusion.sum())
            row["pair_f1"] = float(f1(*pairs)) if carries else None
        known = confusion.sum(-1) > 0
        scores = f1(_diagonal(confusion), confusion.sum(-2), confusion.sum(-1))
        row["sentiment_accuracy"] = float(_ratio(_diagonal(confusion).sum(), confusion.sum())) if known.any() else None
        row["sentiment_f1"] = float(scores[known].mean()) if known.any() else None
        rows.append(row)
    return rows


def f1(hit: Any, said: Any, gold: Any) -> Any:
    """F1 = 2 hit / (said + gold); 0 where nothing was said and nothing was there."""
    return _ratio(2 * np.asarray(hit), np.asarray(said) + np.asarray(gold))


def to_numpy(counts: Counts) -> Counts:
    """The same counts as int64 numpy arrays."""
    return Counts(**{f.name: np.asarray(getattr(counts, f.name).cpu()) for f in fields(Counts)})


class AspectFigures(Metric):
    """Accumulates :class:`Counts` over batches and ranks; ``compute`` gives :func:`figures`."""

    full_state_update = False

    def __init__(self, labels: Labels, task: str) -> None:
        super().__init__()
        self.labels, self.task = labels, task
        a = len(labels.aspects)
        shapes = {"confusion": (a, C, C), "pair_said": (a, C), "pair_hit": (a, C)}
        for field in fields(Counts):
            zeros = torch.zeros(shapes.get(field.name, (a,)), dtype=torch.int64)
            self.add_state(field.name, default=zeros, dist_reduce_fx="sum")

    def update(self, mentioned_said: Tensor, sentiment_said: Tensor, mentioned: Tensor, sentiment: Tensor) -> None:
        """Shapes as in :func:`count`."""
        new = count(mentioned_said, sentiment_said, mentioned, sentiment)
        for field in fields(Counts):
            setattr(self, field.name, getattr(self, field.name) + getattr(new, field.name))

    def compute(self) -> dict[str, float]:
        counts = Counts(**{f.name: getattr(self, f.name) for f in fields(Counts)})
        return {k: float(v) for k, v in figures(to_numpy(counts), self.labels, self.task).items()}


def _diagonal(matrix: Any) -> Any:
    return np.diagonal(matrix, axis1=-2, axis2=-1)


def _ratio(part: Any, whole: Any) -> Any:
    """part / whole; 0 where whole is 0."""
    part, whole = np.asarray(part, float), np.asarray(whole, float)
    return np.divide(part, whole, out=np.zeros(np.broadcast_shapes(part.shape, whole.shape)), where=whole != 0)
