"""A column of 0 and 1 for each aspect, ``Pin``, and beside it its sentiment, ``Pin_sentiment``.

The layout of tables that were made for two classifiers, one that detects and one that judges. The flag decides: a
sentiment beside a 0 is a filler, and a 1 without a sentiment is "mentioned".
"""

from collections.abc import Mapping, Sequence

from ...errors import quoted

SUFFIXES = ("_sentiment", "_polarity", " sentiment", "_cảm xúc", "_cam_xuc")
YES, NO = {"1", "1.0", "true", "yes", "x", "có"}, {"0", "0.0", "false", "no", "", "nan", "none", "null", "không"}


def columns(names: Sequence[str]) -> dict[str, str]:
    """The column of the sentiment of each column of flags, by the names."""
    lower = {name.casefold(): name for name in names}
    found = ((name, lower.get(name.casefold() + end)) for name in names for end in SUFFIXES)
    return {name: beside for name, beside in found if beside is not None}


def is_flag(cell: object) -> bool:
    """Whether a cell says yes or no."""
    return _word(cell) in YES | NO


def said(aspect: str, cells: Mapping[str, object], beside: str) -> object:
    """The cell of an aspect in one row; None for "not mentioned". Raises ValueError."""
    word = _word(cells.get(aspect))
    if word in NO:
        return None
    if word not in YES:
        raise ValueError(
            f"the column {quoted(aspect)} holds {quoted(cells[aspect])}; 1 or 0 is expected beside {quoted(beside)}"
        )
    cell = cells.get(beside)
    return "mentioned" if _word(cell) in NO else cell


def _word(cell: object) -> str:
    return "" if cell is None else str(cell).strip().casefold()
