"""What a row is, whatever file it comes from, and which of its cells is the text."""

from collections.abc import Callable, Collection, Iterator
from functools import lru_cache
from io import BufferedReader
from typing import Any, Literal, NamedTuple, Protocol

from ..errors import Faults, did_you_mean, kind_of, listed, quoted
from ..spelling import set_to, setting
from .nfc import composed, without_marks

TEXT_COLUMNS = (  # as plain_name writes them; the first that is there is taken
    *("data", "text", "review", "comment", "content", "sentence"),
    *("noi dung", "binh luan", "nhan xet", "van ban", "cau", "phan hoi", "y kien", "danh gia"),
    *("review text", "comment text", "review content", "review body", "content text", "raw text", "full text"),
    *("texts", "reviews", "comments", "sentences", "feedback", "body", "message"),
)
TOLD_BY = 100, 1 << 20  # rows, and letters of them, by which the layout is told


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
    layout: str | None  # of the labels, where the format of the file fixes it
    notes: list[str]  # what was told from the file's content, such as the separator

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
    separator: str | None  # of CSV; None: told from the header
    clean: Callable[[str], str] | None  # what becomes of the names of columns; None leaves them as they are
    faults: Faults
    form: str  # the format, as the file's name or the user says
    encoding: str  # of the file, as messages call it
    sheet: str | None  # of an Excel file
    layout: str | None  # of the labels, as the user says
    notes: list[str]  # the opener adds what it found out by itself


@lru_cache(maxsize=4096)
def clean_name(name: str) -> str:
    """A column's or an aspect's name as it is compared: NFC, no surrounding blanks."""
    return composed(name).strip()


@lru_cache(maxsize=4096)
def plain_name(name: str) -> str:
    """A column's name as usual names are written here: lower case, no marks on letters, blanks for ``_`` and ``-``."""
    return without_marks(clean_name(name).casefold()).replace("_", " ").replace("-", " ")


def text_candidates(columns: Collection[str]) -> list[str]:
    """The columns with a usual name for texts, the one that is taken first."""
    named = {plain_name(column): column for column in reversed(list(columns))}
    return [named[name] for name in TEXT_COLUMNS if name in named]


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
        there = text_candidates([column for column in source.columns if clean_name(column) not in ignored])
        found = there[0] if there else None
        if found is None:
            names = f"(one of {', '.join(TEXT_COLUMNS[:6])}); name it with {setting('text_column')}"
            sign = next((sign for sign in "|^~:" if len(source.columns) == 1 and sign in source.columns[0]), None)
            names += f"; is the separator {sign}? Set {set_to('separator', sign)}" if sign else ""
            faults.add(source.name, f"no column of texts among {listed(source.columns)} {names}")
        elif (there := [column for column in there if column == found or plain_name(column) != "comments"])[1:]:
            others = f"also there: {listed(there[1:])}; {set_to('text_column', there[1])} takes another"
            source.notes.append(f"the texts are those of {quoted(found)} ({others})")
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


def good_rows(source: Source, faults: Faults) -> Iterator[tuple[int, dict[str, Any]]]:
    """Line and cells of the rows without a fault; the faults are recorded.

    Stops after a stray quote or bytes of another encoding, because the rows that follow cannot be trusted.
    """
    for row in source.rows():
        if not row.fault:
            yield row.line, row.cells
            continue
        faults.add(source.name, row.fault, row.line)
        if row.rest == "doubtful":
            return


def first_rows(rows: Iterator[tuple[int, dict[str, Any]]]) -> list[tuple[int, dict[str, Any]]]:
    """The first rows, fewer where they are long."""
    head, letters = [], 0
    for row in rows:
        head.append(row)
        letters += sum(len(cell) for cell in row[1].values() if isinstance(cell, str))
        if len(head) == TOLD_BY[0] or letters > TOLD_BY[1]:
            break
    return head
