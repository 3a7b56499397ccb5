"""How many reviews say what: the shares among a model's answers, corrected for the errors that validation shows.

A model that misses half of what is bad about prices reports half of it. Of one aspect each review is in one state: one
of the sentiments, or not mentioned. Validation says how often a review in state g is answered s, P(s | g). If that
holds for the answers too, the shares q of the answers and the true shares t obey q = P' t. Solved for t this is the
adjusted count (Forman 2008, "Quantifying counts and costs via classification"; King and Lu 2008 for several classes).
The exact solution can leave [0, 1], and multiplies the noise in P: for a good model it is worse than no correction.
So t is the most probable one under a prior, found by the fixed-point rule of Saerens, Latinne and Decaestecker 2002
with pseudo-counts: the prior are the shares in validation, which weigh a tenth of the answers (:data:`WEIGHT`). And of
the step from the plain share only what exceeds its own noise is taken (the positive part of James and Stein 1961).
``benchmarks/shares.py`` measures both, on groups with other shares than validation's.
"""

import numpy as np

from ..labels import IGNORE, Labels
from .predictions import Predictions

PRIOR = 20.0  # validation reviews that the errors of all aspects count as, in each row of an aspect's table
WEIGHT = 0.1  # of the shares in validation
ROUNDS = 60  # of the fixed-point rule, which then moves by less than a thousandth
SHARE_DRAWS = 500


def validation_table(predictions: Predictions, labels: Labels, thresholds: np.ndarray) -> np.ndarray:
    """How often a review in one state was answered with another: int64 [A, C + 1, C + 1], gold x answer.

    The last state is "not mentioned". An aspect that carries no sentiment has "mentioned" in the first state. Mentions
    whose sentiment gold does not say are left out.
    """
    carries = np.array(labels.carries_sentiment)
    classes = len(labels.sentiments)
    said = np.where(carries, predictions.sentiment_said(), 0)
    answer = np.where(predictions.detected(thresholds), said, classes)
    gold = np.where(carries, predictions.sentiment, 0)
    counted = ~(predictions.mentioned & (gold == IGNORE))
    gold = np.where(predictions.mentioned, gold, classes)
    table = np.zeros((len(carries), classes + 1, classes + 1), np.int64)
    for a in range(len(carries)):
        np.add.at(table[a], (gold[counted[:, a], a], answer[counted[:, a], a]), 1)
    return table


def rates(table: np.ndarray) -> np.ndarray:
    """P(answer | gold), float64 [..., A, K, K], of tables [..., A, K, K].

    A row of few reviews is drawn towards the row of all aspects together: it counts as if :data:`PRIOR` more reviews
    had been answered as those of all aspects were.
    """
    pooled = table.sum(-3, keepdims=True) + 1e-3 * np.eye(table.shape[-1])
    pooled = pooled / pooled.sum(-1, keepdims=True)
    found: np.ndarray = (table + PRIOR * pooled) / (table.sum(-1, keepdims=True) + PRIOR)
    return found


def corrected(counts: np.ndarray, table: np.ndarray, rounds: int = ROUNDS) -> np.ndarray:
    """The most probable true shares, float64 [..., A, K], of answers ``counts`` [..., A, K].

    ``table`` [..., A, K, K] is that of validation, gold x answer. Without answers the shares are those of validation.
    """
    total = counts.sum(-1, keepdims=True)
    gold = table.sum(-1) + 0.5
    before = gold / gold.sum(-1, keepdims=True)
    chances, shares = rates(table), np.asarray(before)
    seen = np.where(total > 0, counts / np.maximum(total, 1), np.matmul(before[..., None, :], chances)[..., 0, :])
    for _ in range(rounds):
        expected = np.matmul(shares[..., None, :], chances)[..., 0, :]
        update = shares * np.matmul(chances, (seen / np.maximum(expected, 1e-12))[..., None])[..., 0]
        shares = (1 - WEIGHT) * update + WEIGHT * before
    return shares


def corrected_with_draws(
    counts: np.ndarray, table: np.ndarray, draws: int = SHARE_DRAWS, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Corrected shares, float64 [A, K], and bootstrap draws of the full correction, float64 [D, A, K].

    ``counts`` int [A, K] are the answers, ``table`` int [A, K, K] that of validation. Each draw takes as many answers
    and as many validation reviews with replacement (of one aspect each review is one cell, so their counts are
    multinomial): the interval covers both, as the correction is known from validation only.
    """
    rng = np.random.default_rng(seed)
    aspects, k = counts.shape
    answers = np.stack([_multinomial(rng, counts[a], draws) for a in range(aspects)], 1)
    tables = np.stack([_multinomial(rng, table[a].ravel(), draws) for a in range(aspects)], 1)
    found, drawn = corrected(counts, table), corrected(answers, tables.reshape(draws, aspects, k, k))
    plain = counts / np.maximum(counts.sum(-1, keepdims=True), 1)
    step, noise = found - plain, drawn.var(0).sum(-1, keepdims=True)
    kept = np.maximum(0, 1 - noise / np.maximum((step**2).sum(-1, keepdims=True), 1e-12))
    return np.where(counts.sum(-1, keepdims=True) > 0, plain + kept * step, found), drawn


def _multinomial(rng: np.random.Generator, counts: np.ndarray, draws: int) -> np.ndarray:
    total = int(counts.sum())
    if not total:
        return np.zeros((draws, len(counts)), np.int64)
    return rng.multinomial(total, counts / total, draws)
