"""Labels that look wrong, ranked: of each (review, aspect) how unlikely its label is to a model that never saw it.

A label is ranked by the normalised margin of confident learning (Northcutt, Jiang and Chuang 2021, "Confident Learning:
Estimating Uncertainty in Dataset Labels", section 3.2): how far the likelier answer is ahead of the label. Margins of
different kinds do not compare, so each kind is ranked by itself, and the kinds take turns. Its counts are those of
equation 1: another class reaches its threshold, the mean probability that the cells labelled so have for it.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ..answers.calibration import Calibration, fit_calibration
from ..answers.predictions import Predictions
from ..labels import IGNORE, Labels
from .mistakes import INVENTED, KINDS, MISSED, WRONG

ABSENT, PRESENT = "not mentioned", "mentioned"
TURNS = {MISSED: 1, INVENTED: 1, WRONG: 2}  # whether an aspect is mentioned is disputed more often than a sentiment
CONFIDENT = 0.9  # below this a disagreement is no evidence against a label, however rare its class
HARDLY_THERE = 0.3  # probability of a mention below which its sentiment is no question


class Suspect(NamedTuple):
    """A label that may be wrong."""

    review: int  # position in the predictions
    aspect: int
    kind: str  # of KINDS: what the label would be if the model were right
    given: str  # the label, in words
    likelier: str  # the model's answer, in words
    confidence: float  # calibrated probability of that answer
    label_confidence: float  # calibrated probability of the label
    sure: bool  # that answer reaches its threshold and CONFIDENT


def rank_suspects(predictions: Predictions, labels: Labels, calibration: Calibration | None = None) -> list[Suspect]:
    """Every label that the model contradicts, the most suspicious first, from predictions by models that never saw it.

    A kind is ranked by how far its answer is ahead of the label, and the kinds take turns (:data:`TURNS`), so that none
    crowds out another. A mention whose sentiment is not known is judged as a mention. Task ``sentiment`` has only
    ``wrong sentiment``. Without ``calibration`` the temperatures are fitted to these labels.
    """
    calibration = calibration or fit_calibration(predictions, labels)
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

    def add(
        kind: str, lead: float, i: int, a: int, given: str, likelier: str, p: float, of_label: float, usual: float
    ) -> None:
        sure = bool(p >= max(CONFIDENT, usual))
        found[kind].append((lead, Suspect(i, a, kind, given, likelier, float(p), float(of_label), sure)))

    def named(i: int, a: int, c: int, is_known: bool) -> str:
        return names[c] if is_known else PRESENT

    wrong = known & (of_other > of_label) & (p >= HARDLY_THERE)
    for i, a in np.argwhere(wrong).tolist():
        c, g = int(other[i, a]), int(label[i, a])
        lead = float(of_other[i, a] - of_label[i, a])
        add(WRONG, lead, i, a, names[g], names[c], of_other[i, a], of_label[i, a], usual[c])
    if mentioned is not None:
        present = _usual(p, gold)
        absent = _usual(1 - p, ~gold)
        best = sentiments.argmax(-1)
        for i, a in np.argwhere(~gold & (p > 0.5)).tolist():
            likelier = named(i, a, int(best[i, a]), carries[a])
            add(MISSED, float(p[i, a]), i, a, ABSENT, likelier, p[i, a], 1 - p[i, a], present[a])
        for i, a in np.argwhere(gold & (p < 0.5) & ~wrong).tolist():
            given = named(i, a, int(label[i, a]), bool(known[i, a]))
            add(INVENTED, float(1 - p[i, a]), i, a, given, ABSENT, 1 - p[i, a], p[i, a], absent[a])
    queues = [[s for _, s in sorted(found[kind], key=lambda pair: (-pair[0], pair[1][:2]))] for kind in KINDS]
    return in_turns(queues, [TURNS[kind] for kind in KINDS])


def in_turns(queues: Sequence[Sequence[Suspect]], turns: Sequence[int]) -> list[Suspect]:
    """The queues merged, each in its own order: of any first part a queue has the share that its turns are of all."""
    placed = [
        ((rank + 0.5) / turn, number, one)
        for number, (queue, turn) in enumerate(zip(queues, turns, strict=True))
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
    return [
        float(sentiments[..., c][mask].mean()) if mask.any() else 1.0 for c, mask in zip(classes, masks, strict=True)
    ]
