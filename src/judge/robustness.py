"""The same reviews, judged in every kind of noise (:mod:`src.judge.noise`): what a model keeps of its figures there.

Thresholds and temperatures stay those of clean validation, since nobody knows in advance how a review is typed. Only
reviews that a kind of noise changes are answered again.
"""

import contextlib
import math
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any, NamedTuple

import numpy as np

from ..answers.figures import FIGURES, Counts, figures, tally, total
from ..answers.predictions import Predictions
from ..labels import Labels
from .baselines import Predicted
from .contracts import Noised, Robustness
from .intervals import bootstrap, interval
from .noise import NOISES, changed_by, noisy

HeadLogits = tuple[
    np.ndarray | None, np.ndarray
]  # mentioned float [N, A], None for task sentiment; sentiment [N, A, C]
LogitsOf = Callable[[Sequence[str]], HeadLogits]  # of texts

SENTENCE = "Máy đẹp, pin trâu, nhân viên thoả đáng nhưng camera hơi kém, không mua nữa 😍"
ALWAYS = "without diacritics"  # how many people type: a report without it would say nothing of noise
REVIEWS_AT_ONCE = 128  # reviews between two looks at the clock


class OutOfTime(Exception):
    """The answers would take longer than there is time."""


class Changed(NamedTuple):
    """Reviews in a kind of noise: which of them it changes, and their texts then."""

    rows: np.ndarray  # int64 [M]
    texts: list[str]


class InNoise(NamedTuple):
    """The reviews in noise, and what a model answers to them, once it has: tf-idf is trained meanwhile."""

    reviews: dict[str, Changed]  # by kind
    answers: Future[dict[str, HeadLogits]]  # by kind, without those for which there was no time


def noisy_reviews(texts: Sequence[str], seed: int = 0) -> dict[str, Changed]:
    """The reviews that each kind of noise changes, by kind."""
    changed = {kind: changed_by(kind, texts, seed) for kind in NOISES}
    return {kind: Changed(np.array(list(of), np.int64), list(of.values())) for kind, of in changed.items()}


def all_noisy(predictions: Predictions, noise: dict[str, Changed]) -> Predictions:
    """The reviews followed by those of every kind of noise, with the logits of the former: to be answered by tf-idf."""
    rows = np.concatenate([np.arange(len(predictions.texts)), *(one.rows for one in noise.values())])
    texts = [*predictions.texts, *(text for one in noise.values() for text in one.texts)]
    p, heads = predictions, predictions.mentioned_logits
    logits = None if heads is None else heads[rows]
    return Predictions([], texts, p.mentioned[rows], p.sentiment[rows], p.sentiment_logits[rows], logits)


def until(end: float, answering: LogitsOf) -> LogitsOf:
    """``answering`` in chunks, which raises OutOfTime as soon as the texts asked for would not be done by ``end``.

    ``end`` is a value of ``time.monotonic``; what is left is reckoned at the speed of what was done.
    """

    def answer(texts: Sequence[str]) -> HeadLogits:
        started, parts = time.monotonic(), []
        for start in range(0, len(texts), REVIEWS_AT_ONCE):
            parts.append(answering(texts[start : start + REVIEWS_AT_ONCE]))
            now, done = time.monotonic(), min(start + REVIEWS_AT_ONCE, len(texts))
            if now + (now - started) * (len(texts) - done) / done > end:
                raise OutOfTime
        mentioned = [part[0] for part in parts if part[0] is not None]
        return np.concatenate(mentioned) if mentioned else None, np.concatenate([part[1] for part in parts])

    return answer


def answers_in_noise(noise: dict[str, Changed], answering: LogitsOf, end: float = math.inf) -> dict[str, HeadLogits]:
    """The logits of the reviews that each kind of noise changes; without the kinds that would not be done by ``end``.

    :data:`ALWAYS` is answered however long it takes. ``end`` as in :func:`until`.
    """
    found: dict[str, HeadLogits] = {}
    for kind, changed in noise.items():
        asked = answering if kind == ALWAYS or end == math.inf else until(end, answering)
        with contextlib.suppress(OutOfTime):
            found[kind] = asked(changed.texts) if changed.texts else (None, np.zeros(0))
    return found


def robustness(
    predictions: Predictions,
    in_noise: InNoise,
    threshold: np.ndarray,
    tfidf: Predicted | None,
    labels: Labels,
    draws: int,
    seed: int,
) -> Robustness:
    """The figures in each kind of noise that was answered; the others are named as skipped.

    ``threshold`` float [A]; ``tfidf`` answers :func:`all_noisy`'s reviews.
    """
    task = "sentiment" if predictions.mentioned_logits is None else "absa"
    figure, gold = FIGURES[task][0], (predictions.mentioned, predictions.sentiment, predictions.classes)
    clean = tally(predictions.detected(threshold), predictions.sentiment_said(), *gold)
    measured: list[Noised] = []
    at, noise, answers = len(predictions.texts), in_noise.reviews, in_noise.answers.result()

    def figures_of(counts: Counts) -> dict[str, Any]:
        return figures(counts, labels, task)

    for kind, (rows, texts) in noise.items():
        rival = None if tfidf is None else [part[at : at + len(rows)] for part in tfidf]
        at += len(rows)
        if kind not in answers:
            continue
        noised = _with_logits(predictions, rows, *answers[kind]) if texts else predictions
        each = tally(noised.detected(threshold), noised.sentiment_said(), *gold)
        before, after = (figures_of(draw) for draw in bootstrap([clean, each], draws, seed))
        values = {name: float(value) for name, value in figures_of(total(each)).items()}
        other = None
        if tfidf is not None and rival is not None:
            found, said = (part[: len(predictions.texts)].copy() for part in tfidf)
            found[rows], said[rows] = rival
            other = float(figures_of(total(tally(found, said, *gold)))[figure])
        measured.append(
            {
                "kind": kind,
                "example": _example(kind, seed),
                "changed": len(rows),
                "figures": values,
                "intervals": {name: list(interval(value)) for name, value in after.items()},
                "difference": values[figure] - float(figures_of(total(clean))[figure]),
                "difference_interval": list(interval(after[figure] - before[figure])),
                "tfidf": other,
            }
        )
    return {"figure": figure, "seed": seed, "kinds": measured, "skipped": [k for k in noise if k not in answers]}


def _example(kind: str, seed: int) -> str:
    """The example in this noise, with the first seed from ``seed`` on that changes it."""
    tried = (noisy(kind, SENTENCE, seed + i) for i in range(100))
    return next((text for text in tried if text != SENTENCE), SENTENCE)


def _with_logits(
    predictions: Predictions, rows: np.ndarray, mentioned: np.ndarray | None, sentiment: np.ndarray
) -> Predictions:
    """The predictions with other logits for ``rows``, int64 [M]."""
    p, of_sentiment = predictions, predictions.sentiment_logits.copy()
    of_sentiment[rows] = sentiment
    heads = None if p.mentioned_logits is None else p.mentioned_logits.copy()
    if heads is not None and mentioned is not None:
        heads[rows] = mentioned
    return Predictions(p.ids, p.texts, p.mentioned, p.sentiment, of_sentiment, heads)
