"""The figures (metrics) from counts of predictions and gold labels, in numpy, so that a run is judged without torch.

Counts are sums over reviews, so the figures depend neither on batches, padding and order nor on the number of ranks;
no figure is an average of batch values. The absent class is never counted as a class. A macro figure is the mean over
what occurs, so a perfect model has 1.0 in every figure, whatever the labels hold; :func:`left_out` names the rest.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from ..labels import IGNORE, Labels
from .predictions import Predictions

DETECTION = ("pair_f1", "aspect_f1_micro", "aspect_f1_macro")
SENTIMENT = ("sentiment_f1", "sentiment_f1_per_aspect", "sentiment_accuracy")
FIGURES = {"absa": DETECTION + SENTIMENT, "sentiment": SENTIMENT}
"""Names of the figures that each task gives; logged as ``val/NAME`` and ``test/NAME``."""
JOINT = ("pair_f1_per_aspect", "pair_f1_macro")  # of task absa, in evaluations only: see joint_figures
LOSS = "val/loss"  # what ``monitor`` may name instead of a figure: less is better

REASON = "neither gold nor prediction has it"  # why a macro figure leaves something out
REASONS = {"sentiment_f1_per_aspect": "gold has no sentiment there"}  # of the figures with another reason


@dataclass
class Counts:
    """Sums over reviews; leading dimensions (bootstrap draws) broadcast through :func:`figures`."""

    mentioned_hit: Any  # [A] reviews that mention the aspect and in which it is detected
    mentioned_said: Any  # [A] reviews in which it is detected
    mentioned_gold: Any  # [A] reviews that mention it
    confusion: Any  # [A, C, C] gold sentiment x predicted sentiment, gold aspects given
    pair_said: Any  # [A, C] (aspect, sentiment) pairs predicted end to end, with detected aspects; see tally
    pair_hit: Any  # [A, C] those of the predicted pairs that are right


def tally(mentioned_said: Any, sentiment_said: Any, mentioned: Any, sentiment: Any, classes: Any) -> Counts:
    """What each review adds to the counts: bool [N, ...], of the arrays' own kind (numpy or torch).

    ``mentioned_said`` bool [N, A], ``sentiment_said`` int64 [N, A], ``mentioned`` bool [N, A], ``sentiment`` int64
    [N, A] with IGNORE, ``classes`` the numbers 0..C-1. A pair predicted of an aspect that gold mentions without a
    sentiment is neither right nor wrong, so it is not counted.
    """
    said_hot = sentiment_said[..., None] == classes  # [N, A, C]
    gold_hot = sentiment[..., None] == classes  # [N, A, C], all False where ignored
    pairs = said_hot & (mentioned_said & countable(mentioned, sentiment))[..., None]
    return Counts(
        mentioned_hit=mentioned_said & mentioned,
        mentioned_said=mentioned_said,
        mentioned_gold=mentioned,
        confusion=gold_hot[..., :, None] & said_hot[..., None, :],
        pair_said=pairs,
        pair_hit=pairs & gold_hot,
    )


def countable(mentioned: Any, sentiment: Any) -> Any:
    """Where gold says whether a pair is right, of gold ``mentioned`` bool and ``sentiment`` int with IGNORE: bool.

    Gold does not say it where it mentions the aspect without a sentiment.
    """
    return ~(mentioned & (sentiment == IGNORE))


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

    ``pair_f1`` and the sentiment figures leave out aspects that carry no sentiment in the data set. Macro figures are
    means over what occurs in gold or prediction, as scikit-learn's over labels; ``sentiment_f1_per_aspect`` takes of
    each aspect the sentiments it has in gold. A figure with no gold and no prediction at all is 1: nothing is wrong.
    """
    carries = np.array(labels.carries_sentiment)
    confusion = counts.confusion[..., carries, :, :]
    pooled = confusion.sum(-3)  # [C, C]
    hit, said, gold = diagonal(pooled), pooled.sum(-2), pooled.sum(-1)  # [C]
    in_gold = confusion.sum(-1) > 0  # [A, C] sentiments that an aspect has in gold
    per_sentiment = f1(diagonal(confusion), confusion.sum(-2), confusion.sum(-1))  # [A, C]
    values = {
        "sentiment_f1": mean_where(f1(hit, said, gold), said + gold > 0),
        "sentiment_f1_per_aspect": mean_where(mean_where(per_sentiment, in_gold), in_gold.any(-1)),
        "sentiment_accuracy": ratio(hit.sum(-1), gold.sum(-1), nothing=1.0),
    }
    if task == "absa":
        hit, said, gold = counts.mentioned_hit, counts.mentioned_said, counts.mentioned_gold
        values["pair_f1"] = f1(
            counts.pair_hit[..., carries, :].sum((-1, -2)),
            counts.pair_said[..., carries, :].sum((-1, -2)),
            confusion.sum((-1, -2, -3)),
            nothing=1.0,
        )
        values["aspect_f1_micro"] = f1(hit.sum(-1), said.sum(-1), gold.sum(-1), nothing=1.0)
        values["aspect_f1_macro"] = mean_where(f1(hit, said, gold), said + gold > 0)
    return {name: values[name] for name in FIGURES[task]}


def joint_figures(counts: Counts, labels: Labels) -> dict[str, Any]:
    """``pair_f1`` averaged otherwise, as papers report it, of task ``absa``: float64 scalars, or [draws].

    ``pair_f1_per_aspect`` is the mean over aspects of each aspect's own ``pair_f1``, ``pair_f1_macro`` the mean over
    (aspect, sentiment) classes; both over what occurs in gold or prediction, as scikit-learn's macro F1 over labels.
    """
    hit, said, gold = _pair_classes(counts, labels)
    whole = [x.sum(-1) for x in (hit, said, gold)]  # [A]
    flat = [x.reshape(*x.shape[:-2], -1) for x in (hit, said, gold)]  # [A * C]
    named = zip(JOINT, (whole, flat), strict=True)
    return {name: mean_where(f1(*of), of[1] + of[2] > 0) for name, of in named}


def joint_left_out(counts: Counts, labels: Labels) -> dict[str, list[str]]:
    """Figure of :func:`joint_figures` -> the aspects, or aspects with a sentiment, that do not occur; no draws."""
    _, said, gold = _pair_classes(counts, labels)
    occurs = said + gold > 0  # [A, C]
    aspects = [a for a in labels.aspects if a not in labels.without_sentiment]
    classes = [f"{a} {c}" for a in aspects for c in labels.sentiments]
    named = {
        JOINT[0]: [a for a, here in zip(aspects, occurs.any(-1), strict=True) if not here],
        JOINT[1]: [pair for pair, here in zip(classes, occurs.ravel(), strict=True) if not here],
    }
    return {figure: names for figure, names in named.items() if names}


def _pair_classes(counts: Counts, labels: Labels) -> tuple[Any, Any, Any]:
    """Hits, predictions and gold of the pairs whose aspects carry sentiments: [..., A, C] each."""
    carries = np.array(labels.carries_sentiment)
    gold = counts.confusion.sum(-1)
    return tuple(x[..., carries, :] for x in (counts.pair_hit, counts.pair_said, gold))


def left_out(counts: Counts, labels: Labels, task: str) -> dict[str, list[str]]:
    """Macro figure -> the aspects or sentiments that do not occur, so that its mean leaves them out.

    ``counts`` come without draws. Figures that leave nothing out are not in it.
    """
    carries = np.array(labels.carries_sentiment)
    confusion = counts.confusion[carries]
    occurs = confusion.sum((0, 1)) + confusion.sum((0, 2)) > 0  # [C]
    named = {
        "sentiment_f1": [name for name, here in zip(labels.sentiments, occurs, strict=True) if not here],
        "sentiment_f1_per_aspect": _without(labels, ~carries | counts.confusion.any((-1, -2))),
    }
    if task == "absa":
        found = _without(labels, counts.mentioned_said + counts.mentioned_gold > 0)
        named = {"aspect_f1_macro": found} | named
    return {figure: names for figure, names in named.items() if names}


def told_left_out(named: Mapping[str, Sequence[str]], where: str = "") -> list[str]:
    """A sentence for each figure of :func:`left_out`; ``where`` follows the figure, such as " on val"."""
    return [
        f"Left out of {figure}{where}, as {REASONS.get(figure, REASON)}: {', '.join(names)}"
        for figure, names in named.items()
    ]


def _without(labels: Labels, occurs: Any) -> list[str]:
    return [aspect for aspect, here in zip(labels.aspects, occurs, strict=True) if not here]


def per_aspect(counts: Counts, labels: Labels, task: str) -> list[dict[str, Any]]:
    """One row per aspect: support, detection precision, recall and F1, pair F1, sentiment accuracy and F1.

    ``counts`` come without draws. Precision, recall and F1 are None for an aspect that neither gold nor prediction has,
    pair F1 likewise and for an aspect that carries no sentiment, sentiment accuracy and F1 where gold has no sentiment.
    """
    rows = []
    for a, (aspect, carries) in enumerate(zip(labels.aspects, labels.carries_sentiment, strict=True)):
        confusion = counts.confusion[a]
        row: dict[str, Any] = {"aspect": aspect, "mentioned": int(counts.mentioned_gold[a])}
        row |= dict(zip(labels.sentiments, map(int, confusion.sum(-1)), strict=True))
        if task == "absa":
            hit, said, gold = counts.mentioned_hit[a], counts.mentioned_said[a], counts.mentioned_gold[a]
            row["predicted"] = int(said)
            measured = {"precision": ratio(hit, said), "recall": ratio(hit, gold), "f1": f1(hit, said, gold)}
            row |= {name: float(value) if said + gold else None for name, value in measured.items()}
            pairs = (counts.pair_hit[a].sum(), counts.pair_said[a].sum(), confusion.sum())
            row["pair_f1"] = float(f1(*pairs)) if carries and pairs[1] + pairs[2] else None
        known = confusion.sum(-1) > 0
        scores = f1(diagonal(confusion), confusion.sum(-2), confusion.sum(-1))
        row["sentiment_accuracy"] = float(ratio(diagonal(confusion).sum(), confusion.sum())) if known.any() else None
        row["sentiment_f1"] = float(scores[known].mean()) if known.any() else None
        rows.append(row)
    return rows


def f1(hit: Any, said: Any, gold: Any, nothing: float = 0.0) -> Any:
    """F1 = 2 hit / (predicted + gold), float64, elementwise over counts that broadcast; ``nothing`` where both are 0.

    ``nothing`` is the ``zero_division`` of scikit-learn.
    """
    return ratio(2 * np.asarray(hit), np.asarray(said) + np.asarray(gold), nothing)


def mean_where(values: Any, occurs: Any) -> Any:
    """The mean over the last dimension of the ``values`` that occur, float64: [..., K] -> [...]; 1 where none does."""
    return ratio((values * occurs).sum(-1), occurs.sum(-1), nothing=1.0)


def diagonal(matrix: Any) -> Any:
    """The diagonal of the last two dimensions: [..., C, C] -> [..., C]."""
    return np.diagonal(matrix, axis1=-2, axis2=-1)


def ratio(part: Any, whole: Any, nothing: float = 0.0) -> Any:
    """part / whole, float64, elementwise over arrays that broadcast; ``nothing`` where whole is 0."""
    part, whole = np.asarray(part, float), np.asarray(whole, float)
    return np.divide(part, whole, out=np.full(np.broadcast_shapes(part.shape, whole.shape), nothing), where=whole != 0)


def judged_by(task: str, monitor: str) -> str:
    """The figure that judges a run with this ``monitor``: that one, or the task's first where a loss is monitored."""
    return FIGURES[task][0] if monitor == LOSS else monitor.removeprefix("val/")
