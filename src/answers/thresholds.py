"""Detection thresholds, tuned on validation predictions: one for all aspects, and one for each, shrunk towards it."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..labels import Labels
from ..runs.summary import Cuts
from .figures import countable, f1
from .predictions import Predictions, sigmoid

PRIOR_POSITIVES = 10.0
"""An aspect with this many validation mentions stands half-way between its own best cut and the global one.

UIT-ViSFD's STORAGE has 14, its others 120 to 690. Of a dozen mentions, one moves F1 by some 4 points, so that the best
cut is mostly chance; of hundreds it is not, and the weight is 0.92 and more.
"""
RANGE = 10.0  # largest |logit| of a threshold: probabilities 0.00005 to 0.99995, which float32 still tells apart


@dataclass(frozen=True)
class Thresholds:
    """An aspect is detected where its **uncalibrated** probability, ``sigmoid(logit)``, exceeds its threshold.

    ``global_`` is the best single threshold for all aspects; ``per_aspect`` has one for each, in the labels' order.
    """

    global_: float
    per_aspect: tuple[float, ...]

    @property
    def array(self) -> np.ndarray:
        """float64 [A], as :meth:`src.answers.predictions.Predictions.detected` takes it."""
        return np.array(self.per_aspect, float)

    def to_dict(self) -> Cuts:
        """Plain numbers, for a checkpoint or JSON: ``{"global": t, "per_aspect": [A numbers]}``."""
        return {"global": self.global_, "per_aspect": list(self.per_aspect)}

    @classmethod
    def from_dict(cls, values: Cuts) -> "Thresholds":
        return cls(float(values["global"]), tuple(map(float, values["per_aspect"])))

    @classmethod
    def constant(cls, value: float, aspects: int) -> "Thresholds":
        """The same threshold for every aspect."""
        return cls(value, (value,) * aspects)


def tune_thresholds(predictions: Predictions, labels: Labels, prior_positives: float = PRIOR_POSITIVES) -> Thresholds:
    """Thresholds for the predictions of a **validation** split; 0.5 throughout for task ``sentiment``.

    The global one maximises ``pair_f1`` over every cut between two logits. That of an aspect maximises its detection
    F1, then is shrunk towards the global one, in logits, by the weight n / (n + ``prior_positives``) for n mentions.
    It is kept only where it lowers neither the aspect's F1 nor, with the global one at all other aspects, ``pair_f1``;
    so on this split ``pair_f1(per aspect) >= pair_f1(global) >= pair_f1(0.5)``, and ``aspect_f1_macro`` is never below
    that of the global threshold. Of equally good cuts the one nearest to 0.5 is taken.
    """
    a = len(labels.aspects)
    logits = predictions.mentioned_logits
    if logits is None:
        return Thresholds.constant(0.5, a)
    right = predictions.sentiment_said() == predictions.sentiment  # bool [N, A]; an ignored sentiment is never right
    carries = np.array(labels.carries_sentiment)
    gold_pairs = int((predictions.sentiment[:, carries] >= 0).sum())

    counted = countable(predictions.mentioned, predictions.sentiment)  # bool [N, A]: where gold says if a pair is right
    global_ = best_cut(logits, right, predictions.mentioned, predictions.sentiment, labels)
    hit, said = _Cuts(logits[counted & carries], right[counted & carries]).at(global_)
    pair_f1 = float(f1(hit, said, gold_pairs))

    chosen = np.full(a, global_)
    for i in range(a):
        mentions = int(predictions.mentioned[:, i].sum())
        detection = _Cuts(logits[:, i], predictions.mentioned[:, i])
        pairs = _Cuts(logits[counted[:, i], i], right[counted[:, i], i])
        weight = mentions / (mentions + prior_positives)
        cut = weight * detection.best(mentions) + (1 - weight) * global_
        lower_f1 = detection.f1(cut, mentions) < detection.f1(global_, mentions)
        # F = 2 hit / (said + gold) does not fall if 2 more_hit >= F more_said, nor under the sum of such changes
        more_hit, more_said = np.subtract(pairs.at(cut), pairs.at(global_))
        if not lower_f1 and (not carries[i] or 2 * more_hit >= pair_f1 * more_said):
            chosen[i] = cut
    return Thresholds(float(sigmoid(np.array(global_))), tuple(map(float, sigmoid(chosen))))


def best_cut(
    logits: np.ndarray, right: np.ndarray, mentioned: np.ndarray, sentiment: np.ndarray, labels: Labels
) -> float:
    """The one logit for all aspects whose cut gives the highest ``pair_f1``; of equal cuts the one nearest to 0.

    Detection ``logits`` float [N, A]; ``right`` bool [N, A], whether the predicted sentiment is the gold one, False
    where there is no gold; gold ``mentioned`` bool and ``sentiment`` int with IGNORE, [N, A]. Aspects that carry no
    sentiment do not count, nor mentions without one.
    """
    counted = countable(mentioned, sentiment) & np.array(labels.carries_sentiment)
    return _Cuts(logits[counted], right[counted]).best(int((sentiment[counted] >= 0).sum()))


class _Cuts:
    """Detection at any cut of ``scores`` (logits, any shape), with ``positive`` (bool, same shape) as the gold."""

    def __init__(self, scores: np.ndarray, positive: np.ndarray) -> None:
        order = np.argsort(scores, axis=None, kind="stable")
        self.scores = scores.ravel()[order]  # ascending
        self.above = np.append(np.cumsum(positive.ravel()[order][::-1])[::-1], 0)  # positives from a position on

    def at(self, cut: Any) -> tuple[Any, Any]:
        """How many positives and how many scores lie above ``cut``, a number or an array."""
        position = np.searchsorted(self.scores, cut, side="right")
        return self.above[position], len(self.scores) - position

    def f1(self, cut: Any, gold: int) -> Any:
        return f1(*self.at(cut), gold)

    def best(self, gold: int) -> float:
        """The cut with the highest F1; of equal cuts the one nearest to 0, which is a probability of 0.5."""
        distinct = np.unique(self.scores)
        if not len(distinct):
            return 0.0
        cuts = np.concatenate([[0.0, distinct[0] - 1], (distinct[1:] + distinct[:-1]) / 2])
        cuts = cuts[np.abs(cuts) <= RANGE]
        return float(cuts[np.lexsort((cuts, np.abs(cuts), -self.f1(cuts, gold)))[0]])
