"""Calibration: temperatures fitted on validation predictions, and how well probabilities match what is right."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..labels import IGNORE, Labels
from ..runs.summary import Temperatures
from .predictions import Predictions, sigmoid

BINS = 15  # of a reliability diagram, as in Guo et al. 2017
COLDEST, HOTTEST = 0.05, 20.0  # bounds of a temperature: perfectly separated validation pairs would ask for 0


@dataclass(frozen=True)
class Calibration:
    """Temperatures that logits are divided by before they become probabilities (Guo et al. 2017, section 4.2).

    Below 1 they sharpen (focal loss leaves models under-confident), above 1 they soften. ``mentioned`` is None for task
    ``sentiment``. They change no decision: the most probable sentiment stays the same, and detection compares
    uncalibrated probabilities with its thresholds; :meth:`threshold` converts such a threshold to a calibrated one.
    """

    sentiment: float = 1.0
    mentioned: float | None = 1.0

    def probabilities(self, predictions: Predictions) -> tuple[np.ndarray | None, np.ndarray]:
        """Calibrated p(mentioned), float64 [N, A] or None, and p(sentiment | mentioned), float64 [N, A, C]."""
        mentioned = None
        if predictions.mentioned_logits is not None:
            mentioned = sigmoid(predictions.mentioned_logits / (self.mentioned or 1.0))
        return mentioned, softmax(predictions.sentiment_logits / self.sentiment)

    def threshold(self, uncalibrated: np.ndarray) -> np.ndarray:
        """Thresholds (in (0, 1), any shape) on calibrated probabilities that decide as ``uncalibrated`` ones do."""
        return sigmoid((np.log(uncalibrated) - np.log1p(-uncalibrated)) / (self.mentioned or 1.0))

    def to_dict(self) -> Temperatures:
        """Plain numbers, for a checkpoint or JSON: ``{"sentiment": T, "mentioned": T or None}``."""
        return {"sentiment": self.sentiment, "mentioned": self.mentioned}

    @classmethod
    def from_dict(cls, values: Temperatures) -> "Calibration":
        sentiment, mentioned = values["sentiment"], values["mentioned"]
        return cls(float(sentiment or 1.0), None if mentioned is None else float(mentioned))


def fit_calibration(predictions: Predictions, labels: Labels) -> Calibration:
    """The temperatures of least negative log-likelihood on the predictions of a **validation** split.

    The sentiment temperature is fitted on gold pairs, the detection temperature on every review and aspect; each is 1
    where the split has no gold to fit to.
    """
    logits, gold = _gold_pairs(predictions, labels)
    target = np.take_along_axis(logits, gold[:, None], -1)[:, 0]

    def sentiment_slope(beta: float) -> float:
        return float(((softmax(beta * logits) * logits).sum(-1) - target).mean())

    mentioned = None
    if (scores := predictions.mentioned_logits) is not None:

        def mentioned_slope(beta: float) -> float:
            return float(((sigmoid(beta * scores) - predictions.mentioned) * scores).mean())

        mentioned = _temperature(mentioned_slope) if predictions.mentioned.any() else 1.0
    return Calibration(_temperature(sentiment_slope) if len(gold) else 1.0, mentioned)


def reliability(predictions: Predictions, labels: Labels, calibration: Calibration) -> dict[str, dict[str, Any]]:
    """Per head ``ece``, ``brier`` and ``bins``, with the temperatures of ``calibration`` (``Calibration()`` for none).

    ``sentiment``: probability of the predicted sentiment against whether it is right, on gold pairs. ``mentioned``:
    probability of a mention against whether gold has it, on every review and aspect.
    """
    mentioned, _ = calibration.probabilities(predictions)
    logits, gold = _gold_pairs(predictions, labels)
    probabilities = softmax(logits / calibration.sentiment)  # [pairs, C]
    right = probabilities.argmax(-1) == gold
    heads = {"sentiment": _reliability(probabilities.max(-1), right, brier(probabilities, gold))}
    if mentioned is not None:
        squared = float(((mentioned - predictions.mentioned) ** 2).mean())
        heads["mentioned"] = _reliability(mentioned.ravel(), predictions.mentioned.ravel(), squared)
    return heads


def ece(confidence: np.ndarray, right: np.ndarray, bins: int = BINS) -> float:
    """Expected calibration error (Guo et al. 2017, equation 3): mean over bins of \\|confidence - accuracy\\|.

    ``confidence`` float [M] in [0, 1], ``right`` bool [M]; bins of equal width, weighted by their size; 0 for M = 0.
    """
    rows = reliability_bins(confidence, right, bins)
    return float(sum(row["n"] * abs(row["confidence"] - row["right"]) for row in rows) / max(1, len(confidence)))


def brier(probabilities: np.ndarray, gold: np.ndarray) -> float:
    """Brier score (Brier 1950): mean over cases of the squared distance to the truth, 0 to 2; 0 without cases.

    ``probabilities`` float [M, C], ``gold`` int [M]. Of two classes, half of it is scikit-learn's brier_score_loss.
    """
    squared = (probabilities - np.eye(probabilities.shape[-1])[gold]) ** 2
    return float(squared.sum() / max(1, len(gold)))


def reliability_bins(confidence: np.ndarray, right: np.ndarray, bins: int = BINS) -> list[dict[str, Any]]:
    """The bins that are not empty, for a diagram: ``low``, ``high``, ``n``, mean ``confidence``, share ``right``.

    ``confidence`` float [M] in [0, 1], ``right`` bool [M]. A bin excludes ``low`` and includes ``high``, as in Guo et
    al. 2017; the first includes 0 too.
    """
    index = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)
    n = np.bincount(index, minlength=bins)
    sums = np.bincount(index, confidence, bins), np.bincount(index, right, bins)
    return [
        {
            "low": b / bins,
            "high": (b + 1) / bins,
            "n": int(n[b]),
            "confidence": float(sums[0][b] / n[b]),
            "right": float(sums[1][b] / n[b]),
        }
        for b in np.flatnonzero(n)
    ]


def softmax(logits: np.ndarray) -> np.ndarray:
    """Softmax over the last dimension, without overflow: float [..., C] -> the same shape and dtype."""
    exponentials = np.exp(logits - logits.max(-1, keepdims=True))
    normalised: np.ndarray = exponentials / exponentials.sum(-1, keepdims=True)
    return normalised


def _gold_pairs(predictions: Predictions, labels: Labels) -> tuple[np.ndarray, np.ndarray]:
    """Logits float64 [M, C] and gold sentiment int64 [M] of the pairs that sentiment metrics count."""
    known = (predictions.sentiment != IGNORE) & np.array(labels.carries_sentiment)
    return predictions.sentiment_logits[known], predictions.sentiment[known]


def _reliability(confidence: np.ndarray, right: np.ndarray, brier_score: float) -> dict[str, Any]:
    return {"ece": ece(confidence, right), "brier": brier_score, "bins": reliability_bins(confidence, right)}


def _temperature(slope: Callable[[float], float]) -> float:
    """Where the slope of the negative log-likelihood by ``beta = 1 / temperature`` is zero.

    The likelihood is convex in beta, so its slope rises: halving the interval finds the one minimum, on any machine.
    """
    low, high = np.log(1 / HOTTEST), np.log(1 / COLDEST)
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (low, middle) if slope(np.exp(middle)) > 0 else (middle, high)
    return float(np.exp(-low))
