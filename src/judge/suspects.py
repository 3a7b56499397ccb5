"""Labels that look wrong, ranked: of each (review, aspect) how unlikely its label is to a model that never saw it.

The rules are those of confident learning (Northcutt, Jiang and Chuang 2021, "Confident Learning: Estimating
Uncertainty in Dataset Labels"): each class has a threshold, the mean probability that the cells labelled so have for
it (equation 2), and a label is counted as an error of a kind where another class reaches its threshold (equation 1).
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ..answers.calibration import fit_calibration
from ..answers.predictions import Predictions
from ..labels import IGNORE, Labels
from .mistakes import INVENTED, KINDS, MISSED, WRONG

ABSENT, PRESENT = "not mentioned", "mentioned"


class Suspect(NamedTuple):
    """A label that may be wrong."""

    review: int  # position in the predictions
    aspect: int
    kind: str  # of KINDS: what the label would be if the model were right
    given: str  # the label, in words
    likelier: str  # the model's answer, in words
    confidence: float  # calibrated probability of that answer
    label_confidence: float  # calibrated probability of the label


class Ranked(NamedTuple):
    """The suspects, the most suspicious first, and how many errors of each kind of KINDS are to be expected."""

    suspects: list[Suspect]
    expected: dict[str, int]


def rank_suspects(predictions: Predictions, labels: Labels) -> Ranked:
    """Every label that the model contradicts, from predictions by models that did not train on it.

    A kind is ranked by how far its answer is ahead of the label. Kinds take turns in the proportion of the errors that
    are to be expected of each, so that none crowds out another. Cells without an own answer (a mention whose sentiment
    is not known) are judged as mentions. Task ``sentiment`` has only ``wrong sentiment``.
    """
    calibration = fit_calibration(predictions, labels)
    mentioned, sentiments = calibration.probabilities(predictions)
    carries = np.array(labels.carries_sentiment)
    gold, said = predictions.mentioned, predictions.sentiment
    known = gold & (said != IGNORE) & carries
    label = np.where(known, said, 0)
    of_label = np.take_along_axis(sentiments, label[..., None], -1)[..., 0]
    others = sentiments.copy()
    np.put_along_axis(others, label[..., None], -1.0, -1)
    other, of_other = others.argmax(-1), others.max(-1)
    p = np.ones(gold.shape) if mentioned is None else mentioned

    found: dict[str, list[tuple[float, Suspect]]] = {kind: [] for kind in KINDS}
    usual = _usual_sentiment(sentiments, said, known)
    names = labels.sentiments

    def add(kind: str, lead: float, i: int, a: int, given: str, likelier: str, *confidence: float) -> None:
        found[kind].append((lead, Suspect(i, a, kind, given, likelier, *map(float, confidence))))

    def named(i: int, a: int, c: int, is_known: bool) -> str:
        return names[c] if is_known else PRESENT

    expected = dict.fromkeys(KINDS, 0)
    for i, a in np.argwhere(known & (of_other > of_label) & (p >= 0.5)).tolist():
        c, g = int(other[i, a]), int(label[i, a])
        lead = float(of_other[i, a] - of_label[i, a])
        add(WRONG, lead, i, a, names[g], names[c], p[i, a] * of_other[i, a], p[i, a] * of_label[i, a])
        expected[WRONG] += bool(of_other[i, a] >= usual[c])
    if mentioned is not None:
        present = _usual(p, gold)
        absent = _usual(1 - p, ~gold)
        best = sentiments.argmax(-1)
        for i, a in np.argwhere(~gold & (p > 0.5)).tolist():
            add(MISSED, float(p[i, a]), i, a, ABSENT, named(i, a, int(best[i, a]), carries[a]), p[i, a], 1 - p[i, a])
            expected[MISSED] += bool(p[i, a] >= present[a])
        for i, a in np.argwhere(gold & (p < 0.5)).tolist():
            given = named(i, a, int(label[i, a]), bool(known[i, a]))
            add(INVENTED, float(1 - p[i, a]), i, a, given, ABSENT, 1 - p[i, a], p[i, a])
            expected[INVENTED] += bool(1 - p[i, a] >= absent[a])
    queues = [[s for _, s in sorted(found[kind], key=lambda pair: (-pair[0], pair[1][:2]))] for kind in KINDS]
    return Ranked(in_turns(queues, [expected[kind] for kind in KINDS]), expected)


def in_turns(queues: Sequence[Sequence[Suspect]], weights: Sequence[int]) -> list[Suspect]:
    """The queues merged, each in its own order, and of each so many at a time as its weight says.

    Of any first part of the result, a queue has the share that its weight is of all weights, as long as it lasts; a
    weight counts as one at least.
    """
    placed = [
        ((rank + 0.5) / max(1, weight), number, one)
        for number, (queue, weight) in enumerate(zip(queues, weights, strict=True))
        for rank, one in enumerate(queue)
    ]
    return [one for *_, one in sorted(placed, key=lambda place: place[:2])]


def _usual(p: np.ndarray, where: np.ndarray) -> np.ndarray:
    """The mean of ``p`` [N, A] over the reviews in ``where`` bool [N, A], per aspect, float [A]; 1 without any."""
    counts = where.sum(0)
    means: np.ndarray = np.where(counts > 0, (p * where).sum(0) / np.maximum(counts, 1), 1.0)
    return means


def _usual_sentiment(sentiments: np.ndarray, said: np.ndarray, known: np.ndarray) -> list[float]:
    classes = range(sentiments.shape[-1])
    masks = [known & (said == c) for c in classes]
    return [float(sentiments[..., c][mask].mean()) if mask.any() else 1.0 for c, mask in zip(classes, masks, strict=True)]
