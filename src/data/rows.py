"""What a row is, whatever file it comes from, and which of its cells is the text."""

from collections.abc import Callable, Collection, Iterator
from functools import lru_cache
from io import BufferedReader
from typing import Any, Literal, NamedTuple, Protocol

from ..errors import Faults, did_you_mean, kind_of, listed, quoted
from ..spelling import setting
from .nfc import composed

TEXT_COLUMNS = ("data", "text", "review", "comment", "content", "sentence")


class Place(NamedTuple):
    """Where the next row begins: ``offset`` in bytes (Parquet: rows), ``line`` from 1 on (Parquet: the row)."""

    offset: int
    line: int


class Row(NamedTuple):
    """A row as it stands in the file, with the line where it begins. With a ``fault`` it has neither cells nor text.

    ``text`` is there once :func:`with_text` has looked for it. ``rest`` says what a fault makes of the rows after it:
    "doubtful" if they may suffer from the same mistake (a stray quote, another encoding), "lost" if there are none.
    """

    line: int
    cells: dict[str, Any] = {}  # all rows with a fault share this one, so nobody may write to it
    text: str = ""
    fault: str = ""
    rest: Literal["good", "doubtful", "lost"] = "good"


class Source(Protocol):
    """A file that is being read. ``rows`` can be walked once; ``place`` is where the row after the last one begins.

    ``columns`` are the names in the header; where ``header`` is false (JSONL), they are the keys of the first rows. The
    columns in ``binary`` hold bytes, whose cells come as hexadecimal text. ``size`` is in the unit of the place's
    offset, None if it is not known (a stream, a packed file).
    """

    name: str  # of the file, as messages call it
    columns: list[str]
    header: bool
    binary: Collection[str]
    size: int | None

    @property
    def place(self) -> Place: ...

    def rows(self) -> Iterator[Row]:
        """Every row from the place on, rows with a fault included."""
        ...

    def seek(self, place: Place) -> None:
        """Go on at a place that ``place`` gave earlier; to be called before any row is taken."""
        ...


class Given(NamedTuple):
    """What a format's opener gets. It returns a Source, or None for a file without rows, whose faults it records."""

    name: str  # the file's path, or what messages call a stream
    file: BufferedReader  # its bytes, unpacked
    size: int | None
    separator: str
    clean: Callable[[str], str] | None  # what becomes of the names of columns; None leaves them as they are
    faults: Faults


@lru_cache(maxsize=4096)
def clean_name(name: str) -> str:
    """A column's or an aspect's name as it is compared: NFC, no surrounding blanks."""
    return composed(name).strip()


def tell_repeated(columns: list[str], name: str, faults: Faults, line: int = 0) -> None:
    """Record a fault for every column that has the name of an earlier one."""
    first: dict[str, int] = {}
    for i, column in enumerate(columns, 1):
        if (earlier := first.setdefault(column, i)) != i:
            faults.add(name, f"columns {earlier} and {i} are both called {quoted(column)}", line)


def column_called(wanted: str, option: str, source: Source, faults: Faults) -> str | None:
    """The column that the user's ``option`` calls ``wanted``; None if there is none, which is then a fault."""
    found = {clean_name(column): column for column in reversed(source.columns)}.get(clean_name(wanted))
    if found is None:
        among = f"among {listed(source.columns)}{did_you_mean(wanted, tuple(source.columns))}"
        faults.add(source.name, f"there is no column {quoted(wanted)} ({setting(option)}) {among}")
    return found


def text_column_of(source: Source, wanted: str | None, faults: Faults, ignored: Collection[str] = ()) -> str | None:
    """The column of texts: the one ``wanted``, else by its name; None if there is none, which is then a fault."""
    if not source.columns:
        why = next((f" (line {row.line}: {row.fault})" for row in source.rows() if row.fault), "")
        faults.add(source.name, f"holds no row that can be read{why}; is it in another format?")
        return None
    if wanted is not None:
        found = column_called(wanted, "text_column", source, faults)
    else:
        cleaned = {clean_name(column): column for column in reversed(source.columns)}
        lower = {name.lower(): column for name, column in cleaned.items() if name not in ignored}
        found = next((lower[name] for name in TEXT_COLUMNS if name in lower), None)
        if found is None:
            names = f"(one of {', '.join(TEXT_COLUMNS)}); name it with {setting('text_column')}"
            faults.add(source.name, f"no column of texts among {listed(source.columns)} {names}")
    if found in source.binary:
        faults.add(source.name, f"the column {quoted(found)} holds bytes, texts are expected")
        return None
    return found


def is_blank(cell: object) -> bool:
    """Whether a cell holds nothing, or nothing but white space."""
    return cell is None or (isinstance(cell, str) and (not cell or cell.isspace()))


def no_text(cell: object, column: str) -> str:
    """Why a cell is no text; an empty text if it is one, even a blank one."""
    return "" if isinstance(cell, str) else f"{quoted(column)} holds {kind_of(cell)}, a text is expected"


def with_text(row: Row, column: str) -> Row:
    """The row with its text, or with the reason why it has none."""
    if row.fault:
        return row
    line, cells, *_ = row
    if column not in cells:
        return Row(line, fault=f"there is no {quoted(column)}")
    text = cells[column]
    if is_blank(text):
        return Row(line, fault="the text is empty")
    fault = no_text(text, column)
    return Row(line, fault=fault) if fault else Row(line, cells, text)
