"""Dates in cells, as the week, the month or the year that they fall into."""

import re
from collections.abc import Iterable, Sequence
from datetime import date

PERIODS = ("week", "month", "year")
YEAR_FIRST = re.compile(r"\s*(\d{4})[-/.](\d{1,2})(?:[-/.](\d{1,2}))?(?!\d)")
YEAR_LAST = re.compile(r"\s*(\d{1,2})[-/.](\d{1,2})[-/.](\d{4})(?!\d)")


def periods(cells: Sequence[object], every: str) -> list[str | None]:
    """The period of each cell: ``2025-W07`` (of ISO 8601), ``2025-02`` or ``2025``; None for a cell that is no date.

    A year first is read as in ISO 8601, with or without a time; a year last with the day before the month, as in
    Vietnamese, unless a date of the column has no such month and all of them have one in its first number. A week
    needs the day.
    """
    month_first = _month_first(cells)
    return [_period(str(cell), every, month_first) if cell is not None else None for cell in cells]


def are_dates(cells: Iterable[object]) -> bool:
    """Whether more than half of the cells are dates."""
    found = [_period(str(cell), "year", False) is not None for cell in cells if cell not in (None, "")]
    return sum(found) * 2 > len(found)


def _month_first(cells: Sequence[object]) -> bool:
    found = [(int(m[1]), int(m[2])) for cell in cells if (m := YEAR_LAST.match(str(cell)))]
    return any(second > 12 for _, second in found) and all(first <= 12 for first, _ in found)


def _period(cell: str, every: str, month_first: bool) -> str | None:
    if match := YEAR_FIRST.match(cell):
        year, month, day = int(match[1]), int(match[2]), int(match[3] or 0)
    elif match := YEAR_LAST.match(cell):
        first, second, year = int(match[1]), int(match[2]), int(match[3])
        day, month = (second, first) if month_first else (first, second)
    else:
        return None
    try:
        found = date(year, month, day or 1)
    except ValueError:
        return None
    if every == "week":
        return f"{found.isocalendar().year}-W{found.isocalendar().week:02}" if day else None
    return f"{found:%Y-%m}" if every == "month" else f"{found.year}"
