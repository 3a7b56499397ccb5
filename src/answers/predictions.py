"""The predictions file: what a model said of each review, from which every figure can be computed again.

One JSON object a line (:class:`Line`), in the order of the data file::

    {"id": "17", "text": "...", "gold": {"Camera": "positive", "OTHERS": null},
     "predicted": {"Camera": "positive"}, "mentioned_logits": [A numbers], "sentiment_logits": [[C numbers] x A]}

``null`` is "mentioned, without a sentiment"; lists follow the run's order of aspects and of sentiments. Task
``sentiment`` has no ``mentioned_logits``.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, TypedDict

import numpy as np

from ..errors import UserError
from ..labels import IGNORE, Labels
from ..runs.contract import faults_of
from ..runs.machine import write_whole

DECIMALS = 5  # of a logit, in the file and in every figure: both are computed from the same numbers


class Detection(TypedDict, total=False):
    """The further keys of a line: for task ``absa``, and where the line in the data file is known."""

    mentioned_logits: list[float]  # [A]
    line: int  # of the data file, where the row begins


class Line(Detection):
    """A line of the file; the aspects in ``gold`` and ``predicted`` are the mentioned ones."""

    id: str
    text: str
    gold: dict[str, str | None]  # aspect -> sentiment
    predicted: dict[str, str | None]
    sentiment_logits: list[list[float]]  # [A][C]


@dataclass
class Predictions:
    """Gold labels and logits of one split, in the order of its file."""

    ids: Sequence[str]
    texts: Sequence[str]
    mentioned: np.ndarray  # bool [N, A], gold
    sentiment: np.ndarray  # int64 [N, A], gold, 0..C-1 or IGNORE
    sentiment_logits: np.ndarray  # float64 [N, A, C]
    mentioned_logits: np.ndarray | None  # float64 [N, A]; None for task "sentiment"
    lines: Sequence[int] | None = None  # of the data file; None if they were not kept

    def __post_init__(self) -> None:
        self.sentiment_logits = np.round(self.sentiment_logits.astype(np.float64), DECIMALS)
        if self.mentioned_logits is not None:
            self.mentioned_logits = np.round(self.mentioned_logits.astype(np.float64), DECIMALS)

    @property
    def classes(self) -> np.ndarray:
        """The numbers of the sentiments, int64 [C]."""
        return np.arange(self.sentiment_logits.shape[-1])

    def detected(self, threshold: float | np.ndarray = 0.5) -> np.ndarray:
        """bool [N, A]: probability above ``threshold`` (one, or [A]); for task ``sentiment`` the gold mentions."""
        if self.mentioned_logits is None:
            return self.mentioned
        said: np.ndarray = sigmoid(self.mentioned_logits) > threshold
        return said

    def sentiment_said(self) -> np.ndarray:
        """int64 [N, A]: the predicted sentiment of every aspect, mentioned or not."""
        said: np.ndarray = self.sentiment_logits.argmax(-1)
        return said


def write_predictions(
    path: Path, predictions: Predictions, labels: Labels, threshold: float | np.ndarray = 0.5
) -> None:
    """Write the file in one step, so that a reader never sees half of it. ``threshold``: one, or float [A].

    Raises OSError.
    """
    found, said = predictions.detected(threshold), predictions.sentiment_said()
    carries = np.array(labels.carries_sentiment)

    def write(file: BinaryIO) -> None:
        for i, (id_, text) in enumerate(zip(predictions.ids, predictions.texts, strict=True)):
            logits = predictions.mentioned_logits
            detection: Detection = {} if predictions.lines is None else {"line": int(predictions.lines[i])}
            if logits is not None:
                detection["mentioned_logits"] = logits[i].tolist()
            row: Line = {
                "id": id_,
                "text": text,
                "gold": _named(labels, predictions.mentioned[i], predictions.sentiment[i]),
                "predicted": _named(labels, found[i], np.where(carries, said[i], IGNORE)),
                **detection,
                "sentiment_logits": predictions.sentiment_logits[i].tolist(),
            }
            file.write((json.dumps(row, ensure_ascii=False) + "\n").encode("utf-8", "replace"))

    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, write)


def read_predictions(path: Path, labels: Labels) -> Predictions:
    """Read the file back. Raises UserError, with the line, when it is not such a file or has other aspects."""
    ids, texts, mentioned, sentiment, sentiment_logits, mentioned_logits = [], [], [], [], [], []
    places: list[int] = []
    a, place = len(labels.aspects), {name: j for j, name in enumerate(labels.aspects)}
    try:
        lines = path.read_text(encoding="utf-8").rstrip("\n").split("\n")  # not splitlines: a text may hold U+2028
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); was the run finished?") from error
    for number, line in enumerate(lines, 1):
        try:
            row: Line = json.loads(line)
            if faults := faults_of(row, Line):
                raise ValueError("; ".join(faults[:5]))
            gold_mentioned, gold_sentiment = np.zeros(a, bool), np.full(a, IGNORE)
            for aspect, name in row["gold"].items():
                j = place[aspect]
                gold_mentioned[j] = True
                if name is not None:
                    gold_sentiment[j] = labels.sentiments.index(name)
            logits = np.array(row["sentiment_logits"], float).reshape(a, len(labels.sentiments))
            if "mentioned_logits" in row:
                mentioned_logits.append(np.array(row["mentioned_logits"], float).reshape(a))
            ids.append(str(row["id"]))
            if "line" in row:
                places.append(row["line"])
            texts.append(str(row["text"]))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise UserError(f"{path}:{number}: not a prediction over these {a} aspects ({error})") from error
        mentioned.append(gold_mentioned)
        sentiment.append(gold_sentiment)
        sentiment_logits.append(logits)
    if not ids:
        raise UserError(f"{path}: holds no predictions")
    return Predictions(
        ids,
        texts,
        np.array(mentioned),
        np.array(sentiment),
        np.array(sentiment_logits),
        np.array(mentioned_logits) if mentioned_logits else None,
        places if len(places) == len(ids) else None,
    )


def sigmoid(x: np.ndarray) -> np.ndarray:
    """1 / (1 + exp(-x)) without overflow: float of any shape -> the same shape and dtype."""
    positive: np.ndarray = 0.5 * (1 + np.tanh(0.5 * x))
    return positive


def _named(labels: Labels, mentioned: np.ndarray, sentiment: np.ndarray) -> dict[str, str | None]:
    return {
        labels.aspects[j]: labels.sentiments[sentiment[j]] if sentiment[j] != IGNORE else None
        for j in np.flatnonzero(mentioned)
    }
