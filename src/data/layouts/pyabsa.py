"""Three lines for each aspect: the text with ``$T$`` in the aspect's place, the aspect, the sentiment.

The layout of PyABSA's data for classification (https://github.com/yangheng95/PyABSA) and of LCF-ABSA before it. Triples
of one text that follow each other are one review. Where every text begins with ``$T$``, as where aspects are categories
that stand in no text, ``$T$`` is no part of the text.
"""

import re
from collections.abc import Iterator

from ..lines import Lines
from ..rows import Row
from .vlsp import Each

HOLE = "$T$"
MOST_GROWTH = 10  # times its length that a text may become with the aspect in each hole
BEFORE = re.compile(r"\s*\$T\$\s*[,:;|.-]?\s*")


def is_pyabsa(head: str) -> bool:
    """Whether a file that begins so has this layout: the first line has a hole, the two after it have none."""
    lines = [line for line in head.splitlines() if line.strip()][:3]
    return len(lines) == 3 and [HOLE in line for line in lines] == [True, False, False]


def read_pyabsa(lines: Lines, each: Each, head: str) -> Iterator[Row]:
    """A row for each review; its cell ``labels`` is a list of pairs, aspect and sentiment."""
    patterns = [line for line in head.splitlines() if HOLE in line]
    before = len(patterns) > 1 and all(BEFORE.match(pattern) for pattern in patterns)
    begun: Row | None = None
    held: list[tuple[int, str]] = []
    for line, text in each():
        if isinstance(text, Row) or (text.strip() and (HOLE in text) != (not held)):
            if begun is not None:
                lines.back()  # this line is told after the review before it
                yield begun
                begun, held = None, []
                continue
            yield text if isinstance(text, Row) else Row(line, fault=_wrong(held))
            held = []
        elif text.strip():
            held.append((line, text.strip()))
        if len(held) < 3:
            continue
        (first, pattern), (_, aspect), (_, sentiment) = held
        held = []
        if pattern.count(HOLE) * len(aspect) > MOST_GROWTH * (len(pattern) + len(aspect)):
            yield Row(first, fault=f"the text holds {HOLE} {pattern.count(HOLE):,} times, once is expected")
            continue
        match = BEFORE.match(pattern) if before else None
        whole = pattern[match.end() :] if match else pattern.replace(HOLE, aspect)
        if begun is not None and begun.cells["text"] == whole:
            begun.cells["labels"].append([aspect, sentiment])
            continue
        if begun is not None:
            yield begun
        begun = Row(first, {"id": str(first), "text": whole, "labels": [[aspect, sentiment]]})
    if begun is not None:
        yield begun
    if held:
        yield Row(held[0][0], fault=_wrong(held))


def _wrong(held: list[tuple[int, str]]) -> str:
    expected = ("a text with $T$", "an aspect", "a sentiment")[len(held) % 3]
    return f"three lines stand together: a text with $T$, the aspect, the sentiment; here {expected} is missing"
