"""Parts of the judged reviews: by length, marks, number of aspects and stars; which of them a model does worst on."""

from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np

from ..answers.predictions import Predictions
from .contracts import Slice
from .noise import noisy

LEAST_REVIEWS = 50  # reviews of a part that may be called the worst one: below it a figure is mostly chance
MANY_ASPECTS = 5  # this many and more are one part


def slices(predictions: Predictions, stars: np.ndarray | None) -> Iterator[tuple[str, str, np.ndarray]]:
    """What reviews are parted by, the name of the part, and its reviews, bool [N]; parts without a review are left out.

    Length is in words between blanks, parted at its quartiles. ``stars`` float [N], NaN where a review has none.
    """
    length = np.array([len(text.split()) for text in predictions.texts])
    edges = np.unique(np.quantile(length, [0, 0.25, 0.5, 0.75, 1]).round().astype(int))
    edges[0] -= 1
    for low, high in pairwise(edges.tolist()):
        yield from _part("length", f"{low + 1} to {high} words", (length > low) & (length <= high))
    plain = np.array([noisy("without diacritics", text) == text for text in predictions.texts])
    yield from _part("diacritics", "with diacritics", ~plain)
    yield from _part("diacritics", "without diacritics", plain)
    aspects = predictions.mentioned.sum(1)
    for n in range(MANY_ASPECTS):
        yield from _part("aspects", "1 aspect" if n == 1 else f"{n} aspects", aspects == n)
    yield from _part("aspects", f"{MANY_ASPECTS} aspects and more", aspects >= MANY_ASPECTS)
    if stars is not None:
        for n in np.unique(stars[~np.isnan(stars)]).astype(int).tolist():
            yield from _part("stars", "1 star" if n == 1 else f"{n} stars", stars == n)


def worst_slice(parts: Sequence[Slice], figure: str) -> Slice | None:
    """The part with the model's lowest ``figure``, of those with :data:`LEAST_REVIEWS`; None of fewer than two."""
    large = [part for part in parts if part["reviews"] >= LEAST_REVIEWS and part["figures"].get(figure) is not None]
    return min(large, key=lambda part: part["figures"][figure] or 0.0) if len(large) > 1 else None


def _part(by: str, name: str, rows: np.ndarray) -> Iterator[tuple[str, str, np.ndarray]]:
    if rows.any():
        yield by, name, rows
