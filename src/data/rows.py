"""Rows that are to be answered, whatever file they come from: with their text, or the reason why they have none."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from ..errors import Faults, did_you_mean, kind_of, listed, quoted
from .reviews import TEXT_COLUMNS
from .tables import clean_name

FORMATS = ("csv", "tsv", "jsonl", "parquet", "txt")


class Place(NamedTuple):
    """Where the next row begins: ``offset`` in bytes (Parquet: rows), ``line`` from 1 on (Parquet: the row)."""

    offset: int
    line: int


@dataclass(frozen=True)
class Row:
    """A row as it stands in the file. With a ``fault`` it holds neither text nor cells."""

    line: int
    cells: dict[str, Any] = field(default_factory=dict)
    text: str = ""
    fault: str = ""


class Source(Protocol):
    """A file that is being read. ``columns`` are its header's; None where it has none (JSONL).

    ``rows`` can be walked once; ``place`` is that after the row it gave last; ``size`` is in the unit of the place's
    offset, None for a stream.
    """

    columns: list[str] | None
    size: int | None

    @property
    def place(self) -> Place: ...

    def rows(self) -> Iterator[Row]:
        """Every row from the place on."""
        ...

    def seek(self, place: Place) -> None:
        """Go on at a place that was told earlier, before any row was taken."""
        ...


def text_column_of(columns: list[str], chosen: str | None, name: str, faults: Faults) -> str | None:
    """The column of texts, as training's reader finds it; None if ``faults`` say why there is none."""
    if not columns:
        faults.add(name, "holds no row that can be read; is it in another format?")
        return None
    cleaned = {clean_name(column): column for column in reversed(columns)}
    if chosen is not None:
        if clean_name(chosen) not in cleaned:
            hint = did_you_mean(chosen, tuple(columns))
            faults.add(name, f"there is no column {quoted(chosen)} (--text-column) among {listed(columns)}{hint}")
        return cleaned.get(clean_name(chosen))
    lower = {column.lower(): original for column, original in cleaned.items()}
    found = next((lower[column] for column in TEXT_COLUMNS if column in lower), None)
    if found is None:
        known = f"(one of {', '.join(TEXT_COLUMNS)}); name it with --text-column"
        faults.add(name, f"no column of texts among {listed(columns)} {known}")
    return found


def row_of(line: int, cells: dict[str, Any], column: str) -> Row:
    """The row, with its text or with the reason why it has none."""
    if column not in cells:
        return Row(line, fault=f"there is no {quoted(column)}")
    text = cells[column]
    if text is None or (isinstance(text, str) and (not text or text.isspace())):
        return Row(line, fault="the text is empty")
    if not isinstance(text, str):
        return Row(line, fault=f"{quoted(column)} holds {kind_of(text)}, a text is expected")
    return Row(line, cells, text)
