"""The errors of a model, one by one."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ..answers.calibration import Calibration
from ..answers.predictions import Predictions
from ..labels import IGNORE, Labels

MISSED, INVENTED, WRONG = "missed", "invented", "wrong sentiment"
KINDS = (MISSED, INVENTED, WRONG)


class Mistake(NamedTuple):
    """One aspect of one review that the model got wrong."""

    row: int  # of the review
    aspect: int
    kind: str  # of KINDS
    gold: str  # the label, in words
    said: str  # the model's answer, in words
    confidence: float  # calibrated probability of the model's answer
    gold_confidence: float  # calibrated probability of the label


def find_mistakes(
    predictions: Predictions, labels: Labels, calibration: Calibration, thresholds: np.ndarray
) -> list[Mistake]:
    """Every mistake at the detection ``thresholds`` [A] (uncalibrated), the most confident first.

    ``missed``: mentioned, not detected. ``invented``: detected, not mentioned. ``wrong sentiment``: detected, with
    another sentiment than the label's; for task ``sentiment`` the only kind.
    """
    found, said = predictions.detected(thresholds), predictions.sentiment_said()
    mentioned, sentiments = calibration.probabilities(predictions)
    carries = np.array(labels.carries_sentiment)
    gold, known = predictions.mentioned, (predictions.sentiment != IGNORE) & carries
    mistakes, names = [], labels.sentiments

    def name(i: int, a: int, sentiment: np.ndarray) -> str:
        return names[sentiment[i, a]] if carries[a] and sentiment[i, a] != IGNORE else "mentioned"

    if mentioned is not None:
        for i, a in np.argwhere(gold & ~found).tolist():
            p = float(1 - mentioned[i, a])
            label = name(i, a, predictions.sentiment)
            mistakes.append(Mistake(i, a, MISSED, label, "not mentioned", p, 1 - p))
        for i, a in np.argwhere(found & ~gold).tolist():
            p = float(mentioned[i, a])
            mistakes.append(Mistake(i, a, INVENTED, "not mentioned", name(i, a, said), p, 1 - p))
    for i, a in np.argwhere(gold & found & known & (said != predictions.sentiment)).tolist():
        answer, label_id = int(said[i, a]), int(predictions.sentiment[i, a])
        p = float(sentiments[i, a, answer])
        rest = float(sentiments[i, a, label_id])
        mistakes.append(Mistake(i, a, WRONG, names[label_id], names[answer], p, rest))
    return sorted(mistakes, key=lambda m: (-m.confidence, m.row, m.aspect))


def taking_turns(mistakes: Sequence[Mistake]) -> list[int]:
    """Positions of the mistakes: first of every aspect and kind its most confident one, then the second of each, ..."""
    seen: dict[tuple[int, str], int] = {}
    turns = []
    for m in mistakes:
        turns.append(seen.get((m.aspect, m.kind), 0))
        seen[m.aspect, m.kind] = turns[-1] + 1
    return sorted(range(len(mistakes)), key=lambda i: (turns[i], i))
