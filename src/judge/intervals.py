"""Intervals and p-values: over reviews by a seeded bootstrap (Efron 1979), over seeds too by two-way variances."""

from collections.abc import Sequence
from dataclasses import fields

import numpy as np
from scipy.special import stdtr, stdtrit

from ..answers.figures import Counts, diagonal, f1, mean_where
from ..labels import Labels

DRAWS = 1000
LEVEL = 0.95
DRAWN_CELLS = 8_000_000  # of a matrix of how often each draw has each review, at most: 64 MB


def bootstrap(each: Sequence[Counts], draws: int = DRAWS, seed: int = 0) -> list[Counts]:
    """Counts over ``draws`` samples with replacement of the same reviews for all of ``each``: float32 [draws, ...].

    ``each`` holds per-review counts [N, ...] (:func:`src.answers.figures.per_review`) of one or several runs. Reviews
    with equal counts are grouped, and the groups are sorted, so the draws do not depend on the order of the reviews.
    """
    flat = [getattr(counts, f.name).reshape(len(counts.mentioned_hit), -1) for counts in each for f in fields(Counts)]
    kinds, size = _distinct(np.concatenate(flat, 1).astype(np.uint8))
    kinds = kinds.astype(np.float32)  # sums of up to 16 million reviews stay exact
    rng = np.random.default_rng(seed)
    step = max(1, DRAWN_CELLS // len(kinds))
    parts = [min(step, draws - start) for start in range(0, draws, step)]
    sums = np.concatenate(
        [rng.multinomial(size.sum(), size / size.sum(), part).astype(np.float32) @ kinds for part in parts]
    )
    columns = np.split(sums, np.cumsum([part.shape[1] for part in flat])[:-1], axis=1)
    shaped = iter(columns)
    return [
        Counts(**{f.name: next(shaped).reshape(draws, *getattr(counts, f.name).shape[1:]) for f in fields(Counts)})
        for counts in each
    ]


def interval(values: np.ndarray, level: float = LEVEL) -> tuple[float, float]:
    """Percentile interval (low, high) of ``values``, float [draws]."""
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def aspect_intervals(draw: Counts, labels: Labels, task: str) -> list[dict[str, list[float]]]:
    """Intervals of each aspect's figures from bootstrap counts [draws, A, ...]: figure -> [low, high], per aspect.

    A draw without what a figure is of (no mention and no detection, say) does not count; a figure that hardly any draw
    has gets no interval.
    """
    pairs_gold = draw.confusion.sum((-1, -2))
    in_gold = draw.confusion.sum(-1) > 0  # [draws, A, C]
    per_sentiment = f1(diagonal(draw.confusion), draw.confusion.sum(-2), draw.confusion.sum(-1))
    values = {"sentiment_f1": np.where(in_gold.any(-1), mean_where(per_sentiment, in_gold), np.nan)}
    if task == "absa":
        values["f1"] = f1(draw.mentioned_hit, draw.mentioned_said, draw.mentioned_gold, nothing=np.nan)
        values["pair_f1"] = f1(draw.pair_hit.sum(-1), draw.pair_said.sum(-1), pairs_gold, nothing=np.nan)
    rows: list[dict[str, list[float]]] = []
    for a, carries in enumerate(labels.carries_sentiment):
        kept = {name: of[:, a][~np.isnan(of[:, a])] for name, of in values.items() if name == "f1" or carries}
        rows.append({name: list(interval(some)) for name, some in kept.items() if 2 * len(some) > len(draw.pair_said)})
    return rows


def p_value(difference: float, values: np.ndarray) -> float:
    """Two-sided p-value of a paired ``difference``, from its bootstrap ``values``, float [draws].

    It is the share of draws at least as far from the difference as the difference is from 0. The difference itself
    counts as a draw, so the p-value is never 0 (Berg-Kirkpatrick et al. 2012, section 2.1, both sides).
    """
    strays = np.abs(values - difference) >= abs(difference) - 1e-12
    return float((1 + strays.sum()) / (1 + len(values)))


def difference(
    ours: np.ndarray, theirs: np.ndarray, our_draws: np.ndarray, their_draws: np.ndarray
) -> tuple[float, float, float]:
    """(low, high, p) of the difference of two settings' means of a figure, over other reviews **and other seeds**.

    ``ours`` float [K] and ``theirs`` float [L] hold the figure of each run (one a seed), all on the same reviews; the
    draws float [K, draws] and [L, draws] are the same runs' figures on the same bootstrap samples of the reviews.
    With one run on both sides the seeds' part is unknown: interval and p are those of the reviews alone.

    Seeds and reviews are crossed within a setting as readers and cases are in radiology, and the variance is taken
    apart as there (Obuchowski & Rockette 1995; Hillis 2007). Of two runs of one setting the bootstrap's covariance is
    what they share; ``own``, a run's variance beyond that, is the chance of one seed on these reviews. The variance
    between the runs of a setting estimates ``own`` and the seeds' effect together, and is taken as no smaller than
    ``own``, which the reviews tell much better. What two settings do not share over reviews comes on top. Student's t
    with Satterthwaite's degrees of freedom; both settings are taken to vary alike over seeds.
    """
    k, n = len(ours), len(ours) + len(theirs)
    value = float(ours.mean() - theirs.mean())
    if n == 2:
        draws = our_draws[0] - their_draws[0]
        return *interval(draws), p_value(value, draws)
    covariance = np.cov(np.concatenate([our_draws, their_draws]))
    sides = [(ours, covariance[:k, :k]), (theirs, covariance[k:, k:])]
    squares = sum(float(((values - values.mean()) ** 2).sum()) for values, _ in sides)
    # of each side with several runs: the sum over runs of a run's variance beyond what it shares with the others
    alone = sum(
        float(np.trace(c) - (c.sum() - np.trace(c)) / (len(c) - 1)) * (len(c) - 1) / len(c)
        for _, c in sides
        if len(c) > 1
    )
    freedom = float(n - 2)
    own = max(0.0, alone / freedom)
    of_seeds = max(squares / freedom, own) * (1 / k + 1 / (n - k))
    shared = [_shared(c, own) for _, c in sides]
    of_settings = max(0.0, sum(shared) - 2 * float(covariance[:k, k:].mean()))
    variance = of_seeds + of_settings
    if not variance:
        return value, value, float(not value)
    freedom = freedom * (variance / of_seeds) ** 2 if of_seeds else np.inf
    reach = float(-stdtrit(min(freedom, 1e9), (1 - LEVEL) / 2)) * variance**0.5
    p = 2 * float(stdtr(min(freedom, 1e9), -abs(value) / variance**0.5))
    return value - reach, value + reach, p


def _shared(covariance: np.ndarray, own: float) -> float:
    """The covariance that two runs of one setting share, from that of its runs [K, K]; of one run, less its ``own``."""
    k = len(covariance)
    diagonal = float(np.trace(covariance))
    return (float(covariance.sum()) - diagonal) / (k * (k - 1)) if k > 1 else diagonal - own


def holm(p_values: Sequence[float]) -> list[float]:
    """p-values corrected for their number (Holm 1979), in the order given."""
    order = sorted(range(len(p_values)), key=lambda i: p_values[i])
    corrected, highest = [0.0] * len(p_values), 0.0
    for rank, i in enumerate(order):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[i]))
        corrected[i] = highest
    return corrected


def _distinct(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The distinct rows, sorted, and how often each occurs. uint8 [N, D] -> uint8 [K, D], int64 [K]."""
    packed = np.ascontiguousarray(np.packbits(rows, axis=1))
    keys = packed.view(np.dtype((np.void, packed.shape[1]))).ravel()  # rows as single values sort 50 times faster
    _, first, size = np.unique(keys, return_index=True, return_counts=True)
    return rows[first], size
