"""Intervals and p-values by a seeded bootstrap over reviews (Efron 1979), computed as a matrix product."""

from collections.abc import Sequence
from dataclasses import fields

import numpy as np

from ..answers.figures import Counts, diagonal, f1, mean_where
from ..labels import Labels

DRAWS = 1000
LEVEL = 0.95
CELLS = 8_000_000  # of a matrix of how often each draw has each review, at most: 64 MB


def bootstrap(each: Sequence[Counts], draws: int = DRAWS, seed: int = 0) -> list[Counts]:
    """Counts over ``draws`` samples with replacement of the same reviews for all of ``each``: float32 [draws, ...].

    ``each`` holds per-review counts [N, ...] (:func:`src.answers.figures.per_review`) of one or several runs. Reviews
    with equal counts are grouped, and the groups are sorted, so the draws do not depend on the order of the reviews.
    """
    flat = [getattr(counts, f.name).reshape(len(counts.mentioned_hit), -1) for counts in each for f in fields(Counts)]
    kinds, size = _distinct(np.concatenate(flat, 1).astype(np.uint8))
    kinds = kinds.astype(np.float32)  # sums of up to 16 million reviews stay exact
    rng = np.random.default_rng(seed)
    step = max(1, CELLS // len(kinds))
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


def _distinct(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The distinct rows, sorted, and how often each occurs. uint8 [N, D] -> uint8 [K, D], int64 [K]."""
    packed = np.ascontiguousarray(np.packbits(rows, axis=1))
    keys = packed.view(np.dtype((np.void, packed.shape[1]))).ravel()  # rows as single values sort 50 times faster
    _, first, size = np.unique(keys, return_index=True, return_counts=True)
    return rows[first], size
