"""A cell of labels, whichever way it is written: the one place that tells the ways apart."""

from collections.abc import Callable

from ...errors import kind_of, quoted
from . import braces, colon, lists, spans

FORMS: dict[str, Callable[[object], list[tuple[str, object]]]] = {
    "braces": lambda cell: braces.braces_pairs(_text(cell)),
    "colon": lambda cell: colon.colon_pairs(_text(cell)),
    "pairs": lists.list_pairs,
    "spans": lists.list_pairs,
}


EMPTY = ("", "[]", "{}", "()")


def form(cell: object) -> str | None:
    """How the labels in a cell are written; None for a blank cell and for one that holds no labels."""
    if isinstance(cell, str):
        if braces.is_braces(cell):
            return "braces"
        if lists.is_list(cell):
            return "spans" if spans.is_spans(lists.parsed_cell(cell)) else "pairs"
        return "colon" if colon.is_colon(cell) else None
    if isinstance(cell, list | dict):
        return "spans" if spans.is_spans(cell) else "pairs" if lists.is_list(cell) else None
    return None


def is_empty(cell: object) -> bool:
    """Whether a cell of labels says that nothing is mentioned."""
    return cell is None or cell == [] or cell == {} or (isinstance(cell, str) and cell.strip(" \t\r\n;") in EMPTY)


def pairs(cell: object, wanted: str | None = None) -> list[tuple[str, object]]:
    """Aspect and cell of each label, written in the way ``wanted`` or in any. Raises ValueError."""
    if isinstance(cell, str):
        if not cell or cell.isspace():
            return []
        if wanted is None and len(cell) > 2 and braces.is_braces(cell):  # by far the most frequent one
            return braces.braces_pairs(cell)
    elif cell is None:
        return []
    elif not isinstance(cell, list | dict):
        raise ValueError(f"{kind_of(cell)} is no label; {{CAMERA#Positive}}; is expected")
    if is_empty(cell):
        return []
    if wanted in FORMS:
        return FORMS[wanted](cell)
    if not isinstance(cell, str) or cell.lstrip().startswith(("[", "(", "{")):
        return lists.list_pairs(cell)
    return colon.colon_pairs(cell) if ":" in cell else braces.braces_pairs(cell)


def _text(cell: object) -> str:
    if not isinstance(cell, str):
        raise ValueError(f"{quoted(cell)} is no text of labels")
    return cell
