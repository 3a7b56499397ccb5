"""The errors of a model, one by one, and those that look like errors of the labels."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..answers.calibration import Calibration
from ..answers.predictions import Predictions
from ..answers.table import harmless
from ..labels import IGNORE, Labels
from ..runs.machine import write_whole

MISSED, INVENTED, WRONG = "missed", "invented", "wrong sentiment"
KINDS = (MISSED, INVENTED, WRONG)
CONFIDENT = 0.9  # below this a disagreement is no evidence against a label, however rare its class


class Mistake(NamedTuple):
    """One aspect of one review that the model got wrong."""

    row: int  # of the review
    aspect: int
    kind: str  # of KINDS
    gold: str  # the label, in words
    said: str  # the model's answer, in words
    confidence: float  # calibrated probability of the model's answer
    gold_confidence: float  # calibrated probability of the label
    suspect: bool  # the label itself may be wrong


def find_mistakes(
    predictions: Predictions, labels: Labels, calibration: Calibration, thresholds: np.ndarray
) -> list[Mistake]:
    """Every mistake at the detection ``thresholds`` [A] (uncalibrated), the most confident first.

    ``missed``: mentioned, not detected. ``invented``: detected, not mentioned. ``wrong sentiment``: detected, with
    another sentiment than the label's; for task ``sentiment`` the only kind.

    ``suspect`` follows confident learning (Northcutt, Jiang and Chuang 2021, equation 2): the probability of the
    model's answer reaches the mean probability of that answer where it is the label, and :data:`CONFIDENT`.
    """
    found, said = predictions.detected(thresholds), predictions.sentiment_said()
    mentioned, sentiments = calibration.probabilities(predictions)
    carries = np.array(labels.carries_sentiment)
    gold, known = predictions.mentioned, (predictions.sentiment != IGNORE) & carries
    usual = [_mean(sentiments[..., c][known & (predictions.sentiment == c)]) for c in predictions.classes]
    mistakes, names = [], labels.sentiments

    def name(i: int, a: int, sentiment: np.ndarray) -> str:
        return names[sentiment[i, a]] if carries[a] and sentiment[i, a] != IGNORE else "mentioned"

    if mentioned is not None:
        present = [_mean(mentioned[:, a][gold[:, a]]) for a in range(len(carries))]
        absent = [_mean(1 - mentioned[:, a][~gold[:, a]]) for a in range(len(carries))]
        for i, a in np.argwhere(gold & ~found).tolist():
            p = float(1 - mentioned[i, a])
            suspect = p >= max(CONFIDENT, absent[a])
            label = name(i, a, predictions.sentiment)
            mistakes.append(Mistake(i, a, MISSED, label, "not mentioned", p, 1 - p, suspect))
        for i, a in np.argwhere(found & ~gold).tolist():
            p = float(mentioned[i, a])
            suspect = p >= max(CONFIDENT, present[a])
            mistakes.append(Mistake(i, a, INVENTED, "not mentioned", name(i, a, said), p, 1 - p, suspect))
    for i, a in np.argwhere(gold & found & known & (said != predictions.sentiment)).tolist():
        answer, label_id = int(said[i, a]), int(predictions.sentiment[i, a])
        p = float(sentiments[i, a, answer])
        rest = float(sentiments[i, a, label_id])
        suspect = p >= max(CONFIDENT, usual[answer])
        mistakes.append(Mistake(i, a, WRONG, names[label_id], names[answer], p, rest, suspect))
    return sorted(mistakes, key=lambda m: (-m.confidence, m.row, m.aspect))


def taking_turns(mistakes: Sequence[Mistake]) -> list[int]:
    """Positions of the mistakes: first of every aspect and kind its most confident one, then the second of each, ..."""
    seen: dict[tuple[int, str], int] = {}
    turns = []
    for m in mistakes:
        turns.append(seen.get((m.aspect, m.kind), 0))
        seen[m.aspect, m.kind] = turns[-1] + 1
    return sorted(range(len(mistakes)), key=lambda i: (turns[i], i))


def write_suspects(path: Path, mistakes: Sequence[Mistake], predictions: Predictions, labels: Labels) -> int:
    """Write the suspected label errors as CSV for a spreadsheet, the least likely label first; return their number.

    ``id`` and ``line`` are those of the data file. The column ``verdict`` is left empty for whoever reviews the labels.
    """
    suspects = ranked_suspects(mistakes)
    table = io.StringIO()
    writer = csv.writer(table, quoting=csv.QUOTE_ALL, lineterminator="\r\n")
    writer.writerow(
        ["id", "line", "aspect", "kind", "label", "model", "confidence", "label_confidence", "verdict", "text"]
    )
    for m in suspects:
        aspect, text = labels.aspects[m.aspect], predictions.texts[m.row]
        line = "" if predictions.lines is None else predictions.lines[m.row]
        cells = [aspect, m.kind, m.gold, m.said]
        numbers = [f"{m.confidence:.4f}", f"{m.gold_confidence:.4f}", ""]
        writer.writerow([harmless(predictions.ids[m.row]), line, *map(harmless, cells), *numbers, harmless(text)])
    write_whole(path, "\ufeff" + table.getvalue())  # without a byte order mark spreadsheets assume the local encoding
    return len(suspects)


def ranked_suspects(mistakes: Sequence[Mistake]) -> list[Mistake]:
    """The suspected label errors, the least likely label first."""
    return sorted((m for m in mistakes if m.suspect), key=lambda m: (m.gold_confidence, m.row, m.aspect))


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if len(values) else 1.0
