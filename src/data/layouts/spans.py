"""Labels of spans: UIT-ViSD4SA (https://github.com/kimkim00/UIT-ViSD4SA), doccano's and Label Studio's spans.

``[0, 24, "PIN#POSITIVE"]``, ``{"start_offset": 0, "end_offset": 24, "label": "PIN#POSITIVE"}`` and
``{"start": 0, "end": 24, "labels": ["PIN#POSITIVE"]}``. What counts is the label, not the place.
"""

from typing import Any

PLACES = {"start", "start_offset", "from"}


def label(item: Any) -> list[Any] | None:
    """The labels of a span; None for what is no span."""
    if isinstance(item, list | tuple):
        texts = [part for part in item if isinstance(part, str)]
        places = [part for part in item if isinstance(part, int) and not isinstance(part, bool)]
        return texts[-1:] if len(places) == 2 and texts and len(item) == 2 + len(texts) else None
    if isinstance(item, dict) and item.keys() & PLACES:
        found = item.get("labels", item.get("label"))
        return found if isinstance(found, list) else None if found is None else [found]
    return None


def is_spans(cell: object) -> bool:
    """Whether a cell is a list of spans."""
    return isinstance(cell, list) and bool(cell) and all(label(item) is not None for item in cell)
