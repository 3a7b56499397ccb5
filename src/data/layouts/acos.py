"""Lines ``text####[['term', 'category', 'sentiment', 'opinion'], ...]``: ASQP and its kin (https://github.com/IsakZhang/ABSA-QUAD).

The aspect is the category; where that is a bare attribute (``general``), it is ``term#attribute``.
"""

import re
from collections.abc import Iterator

from ..lines import Lines
from ..rows import Row
from .vlsp import Each

LABELS_BEGIN = re.compile(r"####\s*\[")


def is_acos(head: str) -> bool:
    """Whether a file that begins so has this layout, as its first line shows."""
    first = next((line for line in head.splitlines() if line.strip()), "")
    return LABELS_BEGIN.search(first) is not None


def read_acos(lines: Lines, each: Each, head: str) -> Iterator[Row]:
    """A row for each line; its cell ``labels`` is the list as text, which :mod:`src.data.layouts.lists` reads."""
    for line, text in each():
        if isinstance(text, Row):
            yield text
        elif (mark := LABELS_BEGIN.search(text)) and (labels := text[mark.end() - 1 :].rstrip()).endswith("]"):
            yield Row(line, {"id": str(line), "text": text[: mark.start()].rstrip(), "labels": labels})
        elif text.strip():
            yield Row(line, fault="the line has no #### between the text and the list of its labels")
