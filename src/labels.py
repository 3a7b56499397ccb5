"""Aspects, sentiments and batches: the one place where a name meets an id.

Shapes, everywhere in this project: ``B`` reviews, ``T`` tokens, ``A`` aspects, ``C`` sentiments, ``H`` hidden.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NotRequired, TypedDict

if TYPE_CHECKING:
    from torch import Tensor

SENTIMENTS = ("positive", "negative", "neutral")
POSITIVE, NEGATIVE, NEUTRAL = range(3)
C = len(SENTIMENTS)

IGNORE = -100
"""Sentiment target of an aspect that is not mentioned, or mentioned without a sentiment."""


class Batch(TypedDict):
    """What a loader yields and the model takes."""

    input_ids: "Tensor"  # int64 [B, T], padded on the right
    attention_mask: "Tensor"  # int64 [B, T], 1 = token, 0 = padding
    mentioned: "Tensor"  # float32 [B, A], 1.0 = the review talks about the aspect
    sentiment: "Tensor"  # int64 [B, A], 0..C-1 or IGNORE
    row: "Tensor"  # int64 [B], the review's position in its split
    packing: NotRequired[Any]  # a src.tokens.packing.Packing; the key is absent in padded batches
    repeated: NotRequired[bool]  # another rank counts this batch; it only evens out the steps


@dataclass(frozen=True)
class Labels:
    """The aspects of a data set.

    ``aspects`` in their fixed order; ``without_sentiment`` names those that are mentioned but never carry a sentiment
    (UIT-ViSFD's OTHERS): they are detected, and left out of every figure (metric) over sentiments. Raises ValueError
    for no aspect, for one listed twice, and for a name in ``without_sentiment`` that is not an aspect.
    """

    aspects: tuple[str, ...]
    without_sentiment: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.aspects:
            raise ValueError("a data set needs at least one aspect")
        if len(set(self.aspects)) != len(self.aspects):
            raise ValueError(f"an aspect is listed twice: {list(self.aspects)}")
        if unknown := set(self.without_sentiment) - set(self.aspects):
            raise ValueError(f"without_sentiment names aspects that are not in the list: {sorted(unknown)}")

    @property
    def carries_sentiment(self) -> list[bool]:
        """A bool per aspect, in order: whether the aspect ever carries a sentiment in this data set."""
        without = set(self.without_sentiment)
        return [a not in without for a in self.aspects]
