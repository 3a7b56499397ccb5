"""What the queue's threads do with texts: a text of one window gets its logits, a longer one its windows first."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from ...answers.predictor import Predictor
from ...answers.windows import join, with_windows

Logits = tuple[np.ndarray | None, np.ndarray]  # of one window: mentioned [1, A], None for task sentiment; [1, A, C]


class Long(NamedTuple):
    """A text of several windows, each of which takes its own turn in the queue; ``cut`` tokens are in none of them."""

    windows: list[str]
    cut: int


def logits(predictor: Predictor, texts: Sequence[str]) -> list[Logits]:
    """The logits of each text; all of them are texts of one window."""
    return _apart(*predictor.logits(texts))


def read(predictor: Predictor, texts: Sequence[str]) -> list[Logits | Long]:
    """The logits of each text, or its windows if it has several; few letters may be many tokens."""
    short, mentioned, sentiment = predictor.logits_of_short(texts)
    found = iter(_apart(mentioned, sentiment))
    return [next(found) if one else Long(*predictor.windows(text)) for one, text in zip(short, texts, strict=True)]


def answers(
    predictor: Predictor, texts: Sequence[Logits | Long], windows: Sequence[Logits], all_aspects: bool
) -> list[dict[str, Any]]:
    """An answer for each text that was read, as of :meth:`Predictor.predict`; ``windows`` are of all long ones."""
    rest = iter(windows)
    parts = [[next(rest) for _ in text.windows] if isinstance(text, Long) else [text] for text in texts]
    first = np.concatenate([[0], np.cumsum([len(several) for several in parts])])
    cut = np.array([text.cut if isinstance(text, Long) else 0 for text in texts])
    joined = join(first, *stacked([part for several in parts for part in several]))
    return with_windows(predictor.decisions.answers(*joined, all_aspects=all_aspects), first, cut)


def _apart(mentioned: np.ndarray | None, sentiment: np.ndarray) -> list[Logits]:
    rows = [slice(i, i + 1) for i in range(len(sentiment))]
    return [(None if mentioned is None else mentioned[row], sentiment[row]) for row in rows]


def stacked(parts: Sequence[Logits]) -> Logits:
    """Logits of single windows, joined: ``mentioned`` [N, A] (None for task ``sentiment``), ``sentiment`` [N, A, C]."""
    mentioned = [part for part, _ in parts if part is not None]
    return np.concatenate(mentioned) if mentioned else None, np.concatenate([part for _, part in parts])
