"""VLSP 2018's shared task on aspects, as its organisers publish it (https://vlsp.org.vn/vlsp2018/eval/sa).

A review is a line ``#1``, its text, and a line ``{ROOMS#CLEANLINESS, negative}, {HOTEL#PRICES, positive}``.
"""

import re
from collections.abc import Callable, Iterator
from typing import Any

from ..lines import Lines
from ..rows import Row

NUMBER_LINE = re.compile(r"\s*#\s*(\d+)\s*")
LABEL_LINE = re.compile(r"\s*\{[^{},]+,[^{}]+\}[\s,;]*(?:\{[^{}]+\}[\s,;]*)*")
Each = Callable[[], Iterator[tuple[int, str | Row]]]


def is_vlsp(head: str) -> bool:
    """Whether a file that begins so has this layout: first a number, then, somewhere, labels."""
    lines = [line for line in head.splitlines() if line.strip()]
    return bool(lines and NUMBER_LINE.fullmatch(lines[0]) and any(LABEL_LINE.fullmatch(line) for line in lines[2:]))


def read_vlsp(lines: Lines, each: Each, head: str) -> Iterator[Row]:
    """A row for each review; its cell ``labels`` is the line of labels, which :mod:`src.data.layouts.braces` reads."""
    begun: tuple[int, str] | None = None
    held: list[str] = []
    fault = ""
    for line, text in each():
        if isinstance(text, Row):
            if text.rest == "lost" or begun is None:
                yield text
                if text.rest == "lost":
                    return
            fault = fault or text.fault
        elif number := NUMBER_LINE.fullmatch(text):
            if begun is None:
                begun, held, fault = (line, number[1]), [], ""
            else:
                lines.back()  # the row is given before the next one is begun, so that reading can go on there
                yield _row(*begun, held, fault)
                begun = None
        elif begun is not None:
            held.append(text)
        elif text.strip():
            yield Row(line, fault="a review begins with a line such as #1")
    if begun is not None:
        yield _row(*begun, held, fault)


def _row(line: int, name: str, held: list[str], fault: str) -> Row:
    if fault:
        return Row(line, fault=fault)
    said = [text for text in held if text.strip()]
    labels = said.pop() if len(said) > 1 and said[-1].lstrip().startswith("{") else ""
    cells: dict[str, Any] = {"id": name, "text": "\n".join(said), "labels": labels}
    return Row(line, cells)
