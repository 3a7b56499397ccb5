"""Several files as one split."""

import hashlib
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import listed
from ..labels import IGNORE
from .reviews import FILE, Reviews
from .texts import Texts


def one_split(parts: Sequence[tuple[Reviews, tuple[str, ...]]]) -> tuple[Reviews, tuple[str, ...]]:
    """The reviews of several files as one split, one file after the other, and the aspects of all of them in order.

    Its hash is made of the hashes of the files. The reviews of a file that lacks an aspect do not mention it.
    """
    aspects = tuple(dict.fromkeys(name for _, names in parts for name in names))
    every = [reviews for reviews, _ in parts]
    if len(every) == 1:
        return parts[0]
    texts, ids = Texts(text for reviews in every for text in reviews.texts), None
    if any(reviews.names is not None for reviews in every):
        ids = Texts(name for reviews in every for name in reviews.ids)
    mentioned = np.zeros((len(texts), len(aspects)), dtype=bool)
    sentiment = np.full((len(texts), len(aspects)), IGNORE, dtype=np.int8)
    start, blanks, told = 0, Counter[str](), []
    for reviews, names in parts:
        rows, columns = slice(start, start := start + len(reviews)), [aspects.index(name) for name in names]
        mentioned[rows, columns], sentiment[rows, columns] = reviews.mentioned, reviews.sentiment
        blanks.update(reviews.blanks)
        lacks = [name for name in aspects if name not in names]
        told.append(f"{Path(reviews.path).name}: {len(reviews):,} reviews")
        told += [f"  {line}" for line in reviews.read_as]
        told += [f"  knows nothing of {listed(lacks)}: not mentioned in it"] * bool(lacks)
    lines: dict[str, Any] = {
        name: np.concatenate([getattr(reviews, name) + i * FILE for i, reviews in enumerate(every)])
        for name in ("lines", "without_text", "without_label", "several")
    }
    digest = joined_hash([reviews.sha256 for reviews in every])
    files = tuple(reviews.path for reviews in every)
    whole: dict[str, Any] = {
        "blanks": dict(blanks.most_common()),
        "sentiments": every[0].sentiments,
        "read_as": tuple(told),
        "files": files,
    }
    kept: dict[str, Any] = {"texts": texts, "names": ids, "mentioned": mentioned, "sentiment": sentiment}
    return Reviews(path=", ".join(files), sha256=digest, **kept, **lines, **whole), aspects


def joined_hash(hashes: Sequence[str]) -> str:
    """The hash of a split of files that have these SHA-256 sums: one file's own, or one of all in order."""
    return hashes[0] if len(hashes) == 1 else hashlib.sha256("\n".join(hashes).encode()).hexdigest()
