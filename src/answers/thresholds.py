"""Detection thresholds, tuned on validation predictions: one for each aspect, drawn to 0.5 if reviews are few."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import did_you_mean, quoted
from ..labels import Labels
from ..runs.summary import Cuts
from .figures import countable, f1
from .predictions import Predictions, sigmoid

PRIOR_MENTIONS = 10.0  # mentions with which the cut on a resample stands half-way between its best and the one cut
DOUBT_PAIRS = 300.0  # gold pairs with which a doubtful one cut stands half-way between its mean and 0.5
DOUBT_MENTIONS = 10.0  # mentions with which a doubtful aspect's stands half-way between its mean and the one cut
RESAMPLES = 15
RESAMPLED = 5_000_000  # logits of all resamples, at most: seconds; of so many reviews the mean of three is no chance
TUNED = "tuned"  # the setting `thresholds` that is no number
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


def thresholds_faults(setting: Any) -> list[str]:
    """What is wrong with the setting ``thresholds``: a line, or none."""
    number = isinstance(setting, int | float) and not isinstance(setting, bool)
    if setting == TUNED or (number and 0 < setting < 1):
        return []
    hint = did_you_mean(str(setting), (TUNED,))
    return [f"thresholds={quoted(setting)}: expected tuned, or a probability between 0 and 1 such as 0.5{hint}"]


def choose_thresholds(setting: str | float, predictions: Predictions, labels: Labels) -> Thresholds:
    """The thresholds that the setting ``thresholds`` asks for: tuned on validation ``predictions``, or one number."""
    if setting == TUNED:
        return tune_thresholds(predictions, labels)
    return Thresholds.constant(float(setting), len(labels.aspects))


def best_single(predictions: Predictions, labels: Labels) -> float:
    """The one threshold for all aspects with the highest ``pair_f1`` on these predictions; 0.5 without logits."""
    if predictions.mentioned_logits is None:
        return 0.5
    right = predictions.sentiment_said() == predictions.sentiment
    gold = predictions.mentioned, predictions.sentiment
    return float(sigmoid(np.array(best_cut(predictions.mentioned_logits, right, *gold, labels))))


def tune_thresholds(predictions: Predictions, labels: Labels) -> Thresholds:
    """Thresholds for the predictions of a **validation** split; 0.5 throughout for task ``sentiment``.

    On a resample of the reviews the one cut maximises ``pair_f1`` over every cut between two logits. An aspect's cut
    maximises its detection F1, and is drawn to the one cut by n / (n + :data:`PRIOR_MENTIONS`) for n mentions; it is
    kept where it lowers neither the aspect's F1 nor ``pair_f1`` there. What counts is the mean over :data:`RESAMPLES`
    resamples (bagging, Breiman 1996): the best cut of few reviews is mostly chance, and the mean of many is less so.
    The mean of the one cut is drawn to 0, which is a probability of 0.5, by n / (n + :data:`DOUBT_PAIRS`) for n gold
    pairs, and an aspect's distance from it by n / (n + :data:`DOUBT_MENTIONS`); or by 1 - 2 variance / mean^2 if that
    is more, as where all resamples agree (James & Stein 1961). Measured in ``benchmarks/thresholds.md``.
    """
    a, logits = len(labels.aspects), predictions.mentioned_logits
    if logits is None:
        return Thresholds.constant(0.5, a)
    right = predictions.sentiment_said() == predictions.sentiment  # bool [N, A]; an ignored sentiment is never right
    columns = np.concatenate([logits, predictions.mentioned, right, predictions.sentiment], 1)
    order = np.lexsort(columns.T)  # so that the resamples do not depend on the order of the reviews
    arrays = [x[order] for x in (logits, predictions.mentioned, right, predictions.sentiment)]
    rng, n = np.random.default_rng(0), len(logits)
    resamples = int(np.clip(RESAMPLED // logits.size, 3, RESAMPLES))
    cuts = []
    for rows in rng.integers(0, n, (resamples, n)):
        some, mentioned, hit, sentiment = (x[rows] for x in arrays)
        cuts.append(_cuts_on(some, mentioned, hit, sentiment, labels))
    pairs, mentions = (arrays[3][:, labels.carries_sentiment] >= 0).sum(), predictions.mentioned.sum(0)
    one = _held(np.array([one for one, _ in cuts]), pairs, DOUBT_PAIRS)
    beside = _held(np.array([each - one for one, each in cuts]), mentions, DOUBT_MENTIONS)
    return Thresholds(float(sigmoid(one)), tuple(map(float, sigmoid(one + beside))))


def _held(values: np.ndarray, count: Any, doubt: float) -> Any:
    """The mean over resamples, [R] or [R, A], drawn to 0 unless they agree or ``count`` is large beside ``doubt``."""
    mean, variance = values.mean(0), values.var(0, ddof=1)
    agreed = 1 - 2 * variance / np.where(mean == 0, 1, mean**2)
    return mean * np.maximum(count / (count + doubt), agreed)


def _cuts_on(
    logits: np.ndarray, mentioned: np.ndarray, right: np.ndarray, sentiment: np.ndarray, labels: Labels
) -> tuple[float, np.ndarray]:
    """The one cut, and that of each aspect, float [A], as logits: see :func:`tune_thresholds`. Arrays are [N, A]."""
    carries = np.array(labels.carries_sentiment)
    counted = countable(mentioned, sentiment)  # bool [N, A]: where gold says if a pair is right
    gold_pairs = int((sentiment[:, carries] >= 0).sum())
    together = _Cuts(logits[counted & carries], right[counted & carries])
    one = together.best(gold_pairs)
    pair_f1 = float(f1(*together.at(one), gold_pairs))
    chosen = np.full(logits.shape[1], one)
    for i in range(logits.shape[1]):
        mentions = int(mentioned[:, i].sum())
        detection = _Cuts(logits[:, i], mentioned[:, i])
        pairs = _Cuts(logits[counted[:, i], i], right[counted[:, i], i])
        weight = mentions / (mentions + PRIOR_MENTIONS)
        cut = weight * detection.best(mentions) + (1 - weight) * one
        lower_f1 = detection.f1(cut, mentions) < detection.f1(one, mentions)
        # F = 2 hit / (said + gold) does not fall if 2 more_hit >= F more_said, nor under the sum of such changes
        more_hit, more_said = np.subtract(pairs.at(cut), pairs.at(one))
        if not lower_f1 and (not carries[i] or 2 * more_hit >= pair_f1 * more_said):
            chosen[i] = cut
    return one, chosen


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
