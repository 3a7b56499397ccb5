"""From logits to the answer for a review: decisions and calibrated probabilities, in numpy."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..labels import IGNORE, Labels
from .calibration import Calibration
from .predictions import Predictions

PROBABILITY_DECIMALS = 4  # of a probability in an answer


@dataclass(frozen=True)
class Decisions:
    """What turns logits into answers: labels, detection thresholds float64 [A], temperatures chosen on validation.

    The logits pass through :class:`src.answers.predictions.Predictions`, as the logits of training do, so that a
    bundle, a run and the files in a run's folder decide alike.
    """

    labels: Labels
    task: str
    thresholds: np.ndarray
    calibration: Calibration

    def answers(
        self, mentioned_logits: np.ndarray | None, sentiment_logits: np.ndarray, *, all_aspects: bool = False
    ) -> list[dict[str, Any]]:
        """One answer per review, from ``mentioned`` [N, A] (None for task ``sentiment``) and ``sentiment`` [N, A, C].

        ``{"aspects": {"Battery": {"sentiment": "positive", "confidence": 0.91, "mentioned": 0.97}}}`` holds the
        mentioned aspects, in the order of the labels; ``confidence`` is the probability that the pair is right,
        p(mentioned) x p(sentiment | mentioned). An aspect that never carries a sentiment has ``"sentiment": null`` and
        p(mentioned). Task ``sentiment`` has every aspect that carries one, without ``mentioned``, and p(sentiment).
        ``all_aspects`` adds ``"all"``: every aspect's probabilities (null for sentiments it never carries).
        """
        logits = self.predictions(mentioned_logits, sentiment_logits)
        found, said = logits.detected(self.thresholds), logits.sentiment_said()
        if mentioned_logits is None:
            found = found & np.array(self.labels.carries_sentiment)
        mentioned, sentiment = self.calibration.probabilities(logits)
        confidence = np.round(self._confidence(mentioned, sentiment, said), PROBABILITY_DECIMALS).tolist()
        shown = None if mentioned is None else np.round(mentioned, PROBABILITY_DECIMALS).tolist()
        names = self.labels.sentiments
        named = [list(names) if carries else [None] * len(names) for carries in self.labels.carries_sentiment]  # [A][C]
        answers: list[dict[str, Any]] = [{"aspects": {}} for _ in range(len(sentiment))]
        rows, columns = np.nonzero(found)
        for i, a, c in zip(rows.tolist(), columns.tolist(), said[rows, columns].tolist(), strict=True):
            answer = {"sentiment": named[a][c], "confidence": confidence[i][a]}
            if shown is not None:
                answer["mentioned"] = shown[i][a]
            answers[i]["aspects"][self.labels.aspects[a]] = answer
        if all_aspects:
            for i, row in enumerate(np.round(sentiment, PROBABILITY_DECIMALS).tolist()):
                answers[i]["all"] = {
                    aspect: ({} if shown is None else {"mentioned": shown[i][a]})
                    | {name: row[a][c] if named[a][c] else None for c, name in enumerate(names)}
                    for a, aspect in enumerate(self.labels.aspects)
                }
        return answers

    def log_confidence(
        self, mentioned_logits: np.ndarray | None, sentiment_logits: np.ndarray, said: np.ndarray
    ) -> np.ndarray:
        """Log-probability, float64 [N, A], of each aspect with its sentiment in ``said``, int64 [A] or [N, A]."""
        logits = self.predictions(mentioned_logits, sentiment_logits)
        confidence = self._confidence(*self.calibration.probabilities(logits), said)
        log: np.ndarray = np.log(np.maximum(confidence, np.finfo(float).tiny))
        return log

    def predictions(self, mentioned_logits: np.ndarray | None, sentiment_logits: np.ndarray) -> Predictions:
        """Logits [N, A] and [N, A, C] without gold labels; for task ``sentiment`` every aspect counts as mentioned."""
        shape = sentiment_logits.shape[:2]
        none: list[str] = []
        return Predictions(none, none, np.ones(shape, bool), np.full(shape, IGNORE), sentiment_logits, mentioned_logits)

    def _confidence(self, mentioned: np.ndarray | None, sentiment: np.ndarray, said: np.ndarray) -> np.ndarray:
        said = np.broadcast_to(said, sentiment.shape[:2])
        of_pair: np.ndarray = np.take_along_axis(sentiment, said[..., None], -1)[..., 0]
        if mentioned is None:
            return of_pair
        return mentioned * np.where(self.labels.carries_sentiment, of_pair, 1.0)
