"""Join what a model says of a long review's windows (:mod:`src.tokens.windows`) to one answer, in numpy.

An aspect is mentioned if one window says so. Its sentiment is that of the windows that say so, weighted by how much.
"""

from typing import Any

import numpy as np

from .calibration import softmax

LEAST = 0.5  # a window counts towards the sentiment if its probability of a mention is this share of the highest


def join(
    first: np.ndarray, mentioned: np.ndarray | None, sentiment: np.ndarray
) -> tuple[np.ndarray | None, np.ndarray]:
    """Logits of the texts, from those of their windows: ``mentioned`` [N, A] (or None) and ``sentiment`` [N, A, C].

    ``first`` int64 [N + 1]: text ``i`` has the windows ``first[i]`` to ``first[i + 1]`` of ``mentioned`` [W, A] (None
    for task ``sentiment``) and ``sentiment`` [W, A, C]. A text of one window keeps its logits, bit for bit.
    """
    if len(first) - 1 == len(sentiment):
        return mentioned, sentiment
    said = None if mentioned is None else mentioned[first[:-1]]
    of_text = sentiment[first[:-1]]
    for i in np.flatnonzero(np.diff(first) > 1):
        here = slice(first[i], first[i + 1])
        of_text[i] = _sentiment(None if mentioned is None else mentioned[here], sentiment[here])
        if said is not None and mentioned is not None:
            said[i] = mentioned[here].max(0)
    return said, of_text


def with_windows(answers: list[dict[str, Any]], first: np.ndarray, cut: np.ndarray) -> list[dict[str, Any]]:
    """``answers`` with ``windows``, where a text was read in more than one, and ``cut``, its tokens that were not read.

    ``first`` int64 [N + 1] and ``cut`` int64 [N] as in :class:`src.tokens.windows.Windowed`.
    """
    for answer, windows, left in zip(answers, np.diff(first).tolist(), cut.tolist(), strict=True):
        if windows > 1:
            answer["windows"] = windows
        if left:
            answer["cut"] = left
    return answers


def _sentiment(mentioned: np.ndarray | None, sentiment: np.ndarray) -> np.ndarray:
    """Logits [A, C] of one text, whose softmax is the weighted mean of its windows': [W, A] or None, [W, A, C].

    A window weighs as its probability of a mention, and nothing below :data:`LEAST` of the highest. Task ``sentiment``
    has no such probability: a window then weighs as its answer is more probable than chance.
    """
    p = softmax(sentiment.astype(np.float64))
    if mentioned is None:
        weights = p.max(-1) - 1 / p.shape[-1] + 1e-9  # [W, A]
    else:
        log = -np.logaddexp(0, -mentioned.astype(np.float64))  # of the probability, so that none is 0
        share = np.exp(log - log.max(0))
        weights = share * (share >= LEAST)
    mean = (weights[..., None] * p).sum(0) / weights.sum(0)[..., None]
    logits: np.ndarray = np.log(np.maximum(mean, np.finfo(float).tiny))
    return logits
