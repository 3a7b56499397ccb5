"""A long table: a row for each aspect of a review, as pandas' ``melt`` and ``explode`` write it.

``sentence,aspect,sentiment``: the rows of one review have its text, and its id if there is one. A row whose aspect is
blank is a review that mentions nothing.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

PAIRS = "\0pairs"  # no column has this name
ASPECT_NAMES = (
    *(
        "aspect",
        "aspect category",
        "aspects",
        "category",
        "aspect term",
        "entity",
        "topic",
        "attribute",
        "term",
        "target",
    ),
    *("span", "khia canh", "thuoc tinh", "danh muc"),
)
SENTIMENT_NAMES = (
    *("sentiment", "polarity", "sentiment polarity", "sentiments", "label", "labels", "opinion", "class"),
    *("cam xuc", "nhan", "sac thai", "thai do", "phan cuc"),
)


def pair_of(cells: Mapping[str, object], aspect: str, sentiment: str) -> list[tuple[str, object]]:
    """The pair of a row; none where the aspect is blank."""
    name = cells.get(aspect)
    text = "" if name is None else str(name).strip()
    return [(text, cells.get(sentiment))] if text else []


def by_review(
    rows: Iterable[tuple[int, dict[str, Any]]], text: str, name: str | None, aspect: str, sentiment: str
) -> Iterator[tuple[int, dict[str, Any]]]:
    """One row for each review, with the line of its first row and all its pairs in the cell ``PAIRS``.

    Rows belong together by the ids in the column ``name`` where these repeat and every id has one text; else by text.
    """
    held = list(rows)
    by_id = name is not None and _ids_name_reviews(held, text, name)
    found: dict[object, tuple[int, dict[str, Any]]] = {}
    for line, cells in held:
        key: object = cells.get(name if by_id and name is not None else text)
        if not isinstance(key, str | int) or key == "":
            key = (line,)  # a row without text, which is told later
        _, review = found.setdefault(key, (line, {**cells, PAIRS: []}))
        review[PAIRS] += pair_of(cells, aspect, sentiment)
    yield from found.values()


def _ids_name_reviews(rows: Sequence[tuple[int, dict[str, Any]]], text: str, name: str) -> bool:
    texts: dict[object, object] = {}
    for _, cells in rows:
        key = cells.get(name)
        if not isinstance(key, str | int) or key == "" or texts.setdefault(key, cells.get(text)) != cells.get(text):
            return False
    return len(texts) < len(rows)
