"""What each word of a text contributes to its answers: how far their probability falls without the word."""

import re
from bisect import bisect_right
from collections.abc import Sequence
from typing import Any

import numpy as np

from .decisions import Decisions
from .windows import join, with_windows

CALLS = 256  # texts that a long text's explanation asks the model about, beside its windows
STRONGEST = 4  # shades for each sign of a word's weight
TAIL = 1_000  # characters after the last token that are kept, because they may decide where it ends


def shades(drops: np.ndarray) -> list[int]:
    """The words' weights, float [W], as integers from -4 to 4; the strongest word of the text gets 4 or -4.

    The report and the service's page colour words by them. Weights below 0.1 throughout are scaled as if one were 0.1.
    """
    most = np.abs(drops).max(initial=0.1)
    return [int(v) for v in np.rint(STRONGEST * drops / most)]


class Explanation:
    """``texts`` are the model's inputs: the text (in NFC), then the text without each word that the model reads.

    A text of several ``windows`` (where each begins and ends; default: one, the whole text) stands there window by
    window, then each window without some of its words: neighbours are left out together, and weigh the same, so that
    there are at most :data:`CALLS` of these. ``cut`` is the number of tokens after the last window.

    ``tokens`` gives where each token that the model reads begins and ends in the text. A word without a token (one of
    control characters, or beyond the last token) is not left out, so there is at most one more text than tokens. The
    shortened texts end soon after the last token, so that words which the model never read do not move in and change
    the weight of the word that is left out.
    """

    def __init__(
        self,
        text: str,
        tokens: Sequence[tuple[int, int]],
        decisions: Decisions,
        windows: Sequence[tuple[int, int]] | None = None,
        cut: int = 0,
    ) -> None:
        self._text, self._decisions, self._cut = text, decisions, cut
        self._words = [match.span() for match in re.finditer(r"\S+", text)]
        starts = [start for start, _ in self._words]
        # a token that is not blank belongs to the word in which it ends
        read = sorted({bisect_right(starts, b - 1) - 1 for a, b in tokens if a < b})
        near = [self._words[i] for i in read]
        self._windows = list(windows or [(0, len(text))])
        self._left_out: list[tuple[int, list[int]]] = []  # for each shortened text its window, and the words' numbers
        if len(self._windows) == 1:
            end = max((b for _, b in tokens), default=0)
            seen = text[: min(near[-1][1], end + TAIL)] if near else ""
            self._left_out = [(0, [i]) for i in read]
            self.texts = [text, *(seen[:a] + seen[b:] for a, b in near)]
            return
        self.texts = [text[a:b] for a, b in self._windows]
        together = -(-len(read) // (CALLS - len(self._windows)))
        for w, (start, stop) in enumerate(self._windows):
            inside = [i for i in read if self._words[i][0] < stop and self._words[i][1] > start]
            for k in range(0, len(inside), together):
                words = inside[k : k + together]
                a, b = max(start, self._words[words[0]][0]), min(stop, self._words[words[-1]][1])
                self._left_out.append((w, words))
                self.texts.append(text[start:a] + text[b:stop])

    def answer(self, mentioned: np.ndarray | None, sentiment: np.ndarray) -> dict[str, Any]:
        """From the logits of ``texts``, [N, A] (None for the task "sentiment") and [N, A, C].

        ``{"text": NFC form, "words": [{"start", "end"}], "weights": {aspect: [a number per word]}, "shades": {aspect:
        [-4 to 4 per word]}}``, for the mentioned aspects: a weight is how far an answer's log-probability falls when
        the word is left out; see :func:`shades`. Words are separated by white space; a word that the model does not
        read weighs 0.
        """
        drops = self.drops(mentioned, sentiment)
        n = len(self._windows)
        first = np.array([0, n])
        whole = join(first, None if mentioned is None else mentioned[:n], sentiment[:n])
        answer = with_windows(self._decisions.answers(*whole), first, np.array([self._cut]))[0]
        names = enumerate(self._decisions.labels.aspects)
        mine = {name: drops[:, i] for i, name in names if name in answer["aspects"]}
        return {
            "text": self._text,
            "words": [{"start": a, "end": b} for a, b in self._words],
            "weights": {name: np.round(weights, 4).tolist() for name, weights in mine.items()},
            "shades": {name: shades(weights) for name, weights in mine.items()},
            **{name: answer[name] for name in ("windows", "cut") if name in answer},
        }

    def drops(self, mentioned: np.ndarray | None, sentiment: np.ndarray) -> np.ndarray:
        """Float64 [W, A]: how far each aspect's log-probability falls without the word, mentioned or not.

        The logits are those of ``texts``, as for :meth:`answer`.
        """
        mentioned, sentiment = self._joined(mentioned, sentiment)
        said = self._decisions.predictions(mentioned, sentiment).sentiment_said()[0]
        log = self._decisions.log_confidence(mentioned, sentiment, said)  # [1 + shortened texts, A]
        drops = np.zeros((len(self._words), log.shape[1]))
        for (_, words), drop in zip(self._left_out, log[0] - log[1:], strict=True):
            drops[words] = drop
        return drops

    def _joined(self, mentioned: np.ndarray | None, sentiment: np.ndarray) -> tuple[np.ndarray | None, np.ndarray]:
        """Logits of the whole text, then of the whole text without the words left out: [1 + shortened texts, ...]."""
        n = len(self._windows)
        if n == 1:
            return mentioned, sentiment
        places = np.tile(np.arange(n), (1 + len(self._left_out), 1))  # which of ``texts`` stands for each window
        for i, (window, _) in enumerate(self._left_out):
            places[1 + i, window] = n + i
        of = None if mentioned is None else mentioned[places.ravel()]
        return join(np.arange(0, places.size + 1, n), of, sentiment[places.ravel()])
