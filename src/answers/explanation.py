"""What each word of a text contributes to its answers: how far their probability falls without the word."""

import re
from bisect import bisect_right
from collections.abc import Sequence
from typing import Any

import numpy as np

from .decisions import Decisions

STRONGEST = 4  # shades for each sign of a word's weight
BEYOND = 1_000  # characters after the last token that are kept, because they may decide where it ends


def shades(drops: np.ndarray) -> list[int]:
    """The words' weights, float [W], as integers from -4 to 4; the strongest word of the text gets 4 or -4.

    The report and the service's page colour words by them. Weights below 0.1 throughout are scaled as if one were 0.1.
    """
    most = np.abs(drops).max(initial=0.1)
    return [int(v) for v in np.rint(STRONGEST * drops / most)]


class Explanation:
    """``texts`` are the model's inputs: the text (in NFC), then the text without each word that the model reads.

    ``tokens`` gives where each token that the model reads begins and ends in the text. A word without a token (one of
    control characters, or beyond the last token) is not left out, so there is at most one more text than tokens. The
    shortened texts end soon after the last token, so that words which the model never read do not move in and change
    the weight of the word that is left out.
    """

    def __init__(self, text: str, tokens: Sequence[tuple[int, int]], decisions: Decisions) -> None:
        self._text, self._decisions = text, decisions
        self._words = [match.span() for match in re.finditer(r"\S+", text)]
        starts = [start for start, _ in self._words]
        # a token that is not blank belongs to the word in which it ends
        self._read = sorted({bisect_right(starts, b - 1) - 1 for a, b in tokens if a < b})
        near = [self._words[i] for i in self._read]
        end = max((b for _, b in tokens), default=0)
        seen = text[: min(near[-1][1], end + BEYOND)] if near else ""
        self.texts = [text, *(seen[:a] + seen[b:] for a, b in near)]

    def answer(self, mentioned: np.ndarray | None, sentiment: np.ndarray) -> dict[str, Any]:
        """From the logits of ``texts``, [N, A] (None for the task "sentiment") and [N, A, C].

        ``{"text": NFC form, "words": [{"start", "end"}], "weights": {aspect: [a number per word]}, "shades": {aspect:
        [-4 to 4 per word]}}``, for the mentioned aspects: a weight is how far an answer's log-probability falls when
        the word is left out; see :func:`shades`. Words are separated by white space; a word that the model does not
        read weighs 0.
        """
        drops = self.drops(mentioned, sentiment)
        answer = self._decisions.answers(None if mentioned is None else mentioned[:1], sentiment[:1])[0]
        names = enumerate(self._decisions.labels.aspects)
        mine = {name: drops[:, i] for i, name in names if name in answer["aspects"]}
        return {
            "text": self._text,
            "words": [{"start": a, "end": b} for a, b in self._words],
            "weights": {name: np.round(weights, 4).tolist() for name, weights in mine.items()},
            "shades": {name: shades(weights) for name, weights in mine.items()},
        }

    def drops(self, mentioned: np.ndarray | None, sentiment: np.ndarray) -> np.ndarray:
        """Float64 [W, A]: how far each aspect's log-probability falls without the word, mentioned or not.

        The logits are those of ``texts``, as for :meth:`answer`.
        """
        said = self._decisions.predictions(mentioned, sentiment).sentiment_said()[0]
        log = self._decisions.log_confidence(mentioned, sentiment, said)  # [1 + words read, A]
        drops = np.zeros((len(self._words), log.shape[1]))
        drops[self._read] = log[0] - log[1:]
        return drops
