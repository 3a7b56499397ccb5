"""Aspects, sentiments and batches: the one place where a name meets an id.

Shapes, everywhere in this project: ``B`` reviews, ``T`` tokens, ``A`` aspects, ``C`` sentiments, ``H`` hidden.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NotRequired, TypedDict

if TYPE_CHECKING:
    from torch import Tensor

SENTIMENTS = ("positive", "negative", "neutral")
"""The sentiments of a data set that names no others (``data.sentiments``), in the order of every array over them."""
# words with a meaning of their own in data files, answers and tables of figures
RESERVED = ("mentioned", "none", "null", "sentiment", "confidence", "aspect", "predicted", "precision", "recall", "f1")

IGNORE = -100
"""Sentiment target of an aspect that is not mentioned, or mentioned without a sentiment."""


class Batch(TypedDict):
    """What a loader yields and the model takes."""

    input_ids: "Tensor"  # int64 [B, T], padded on the right
    attention_mask: "Tensor"  # int64 [B, T], 1 = token, 0 = padding
    mentioned: "Tensor"  # float32 [B, A], 1.0 = the review talks about the aspect
    sentiment: "Tensor"  # int64 [B, A], 0..C-1 or IGNORE
    row: "Tensor"  # int64 [B], the review's position in its split
    teacher: NotRequired["Tensor"]  # float32 [B, A, C + 1], in training only: sentiment logits, then that of a mention
    packing: NotRequired[Any]  # a src.tokens.packing.Packing; the key is absent in padded batches
    repeated: NotRequired[bool]  # another rank counts this batch; it only evens out the steps


@dataclass(frozen=True)
class Labels:
    """The aspects and the sentiments of a data set, both in their fixed order.

    ``without_sentiment`` names the aspects that are mentioned but never carry a sentiment (UIT-ViSFD's OTHERS): they
    are detected, and left out of every figure (metric) over sentiments. Raises ValueError for no aspect, for one listed
    twice, for a name in ``without_sentiment`` that is not an aspect, and for sentiments as :func:`sentiments_of` does.
    """

    aspects: tuple[str, ...]
    without_sentiment: tuple[str, ...] = ()
    sentiments: tuple[str, ...] = SENTIMENTS

    def __post_init__(self) -> None:
        if not self.aspects:
            raise ValueError("a data set needs at least one aspect")
        if len(set(self.aspects)) != len(self.aspects):
            raise ValueError(f"an aspect is listed twice: {list(self.aspects)}")
        if unknown := set(self.without_sentiment) - set(self.aspects):
            raise ValueError(f"without_sentiment names aspects that are not in the list: {sorted(unknown)}")
        sentiments_of(self.sentiments)

    def lists(self) -> dict[str, list[str]]:
        """The three fields as lists, as checkpoints and ``summary.json`` hold them."""
        return {name: list(getattr(self, name)) for name in ("aspects", "without_sentiment", "sentiments")}

    @property
    def carries_sentiment(self) -> list[bool]:
        """A bool per aspect, in order: whether the aspect ever carries a sentiment in this data set."""
        without = set(self.without_sentiment)
        return [a not in without for a in self.aspects]


def sentiments_of(names: Sequence[object]) -> tuple[str, ...]:
    """The names, with single blanks. Raises ValueError unless they are two to ten different, printable names."""
    if isinstance(names, str) or not isinstance(names, Sequence) or not 2 <= len(names) <= 10:
        raise ValueError(f"two to ten names are expected, such as [positive,negative]; got {names}")
    found = tuple(" ".join(str(name).split()) for name in names)
    for name, given in zip(found, names, strict=True):
        is_name = isinstance(given, str | int) and not isinstance(given, bool) and name.isprintable()
        if not is_name or not 0 < len(name) <= 40:
            raise ValueError(f"{given!r} is no name: a word or a few are expected, 40 letters at most")
        if name.casefold() in RESERVED:
            raise ValueError(f"{name!r} has a meaning of its own, so no sentiment can have this name")
    if len({name.casefold() for name in found}) < len(found):
        raise ValueError(f"a name is listed twice: {', '.join(found)}")
    return found
