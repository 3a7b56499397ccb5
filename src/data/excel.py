"""Excel files (.xlsx): the rows of one sheet, read one after the other by openpyxl."""

import copy
import datetime
import re
import zipfile
from collections.abc import Collection, Iterator
from itertools import islice
from typing import Any
from xml.etree.ElementTree import ParseError

from defusedxml.common import DefusedXmlException
from openpyxl import load_workbook
from openpyxl.utils.exceptions import InvalidFileException

from ..errors import did_you_mean, listed, quoted
from ..spelling import set_to, setting
from .lines import LIMIT
from .rows import Given, Place, Row, tell_repeated

UNPACKED = 256 * 2**20  # bytes of all parts of a file, far more than a sheet of reviews has
MOST_COLUMNS, MOST_ROWS = 16_384, 2**20  # of a sheet, as Excel has it
ESCAPED = re.compile(
    "_x(00[01][0-9A-Fa-f]|005[Ff]|[Ff]{3}[EeFf])_"
)  # how Excel writes control characters, and such a text itself
BROKEN = (zipfile.BadZipFile, InvalidFileException, ParseError, KeyError, ValueError, TypeError, IndexError, OSError)


class ExcelSource:
    """A :class:`src.data.rows.Source` over a sheet. Lines and places are the sheet's rows; cells come as text."""

    header = True
    binary: Collection[str] = ()
    size: int | None = None
    layout: str | None = None

    def __init__(self, given: Given, sheet: Any, columns: list[str], line: int) -> None:
        self.name, self.notes, self.columns = given.name, given.notes, columns
        self._sheet, self._next = sheet, line + 1

    @property
    def place(self) -> Place:
        return Place(self._next - 1, self._next)

    def seek(self, place: Place) -> None:
        self._next = place.line

    def rows(self) -> Iterator[Row]:
        count = len(self.columns)
        try:
            for cells in self._sheet.iter_rows(min_row=self._next, values_only=True):
                line = self._next
                if line > MOST_ROWS:
                    yield Row(line, fault=f"a sheet has {MOST_ROWS:,} rows at most", rest="lost")
                    return
                self._next += 1
                texts = [_text(cell) for cell in cells]
                while texts and not texts[-1]:
                    texts.pop()
                if len(texts) > count:
                    beyond = f"{quoted(texts[-1])} stands in a column without name; name it in the header"
                    yield Row(line, fault=beyond)
                elif sum(map(len, texts)) > LIMIT:
                    yield Row(line, fault=f"the row is longer than {LIMIT // 2**20} MiB")
                elif texts:
                    texts += [""] * (count - len(texts))
                    yield Row(line, dict(zip(self.columns, texts, strict=True)))
        except DefusedXmlException:
            yield Row(self._next, fault="damaged from this row on: its XML declares entities", rest="lost")
        except (*BROKEN, EOFError) as error:
            yield Row(self._next, fault=f"damaged from this row on: {_short(error)}", rest="lost")


def open_excel(given: Given) -> ExcelSource | None:
    """A source over the sheet ``given.sheet``, by default the first with rows; its first row is the header.

    None, and a fault, for a stream, for what is no Excel file, and for one that would unpack to more than
    :data:`UNPACKED` bytes, whatever it says of itself.
    """
    if not given.file.seekable():
        given.faults.add(given.name, "an Excel file cannot be read from a stream; give a file")
        return None
    try:
        if not _fits(given):
            return None
        given.file.seek(0)
        book = load_workbook(given.file, read_only=True, data_only=True)
        sheets = {sheet.title: sheet for sheet in book.worksheets}
        if given.sheet is not None and given.sheet not in sheets:
            among = f"among {listed(tuple(sheets))}{did_you_mean(given.sheet, tuple(sheets))}"
            given.faults.add(given.name, f"there is no sheet {quoted(given.sheet)} ({setting('sheet')}) {among}")
            return None
        heads = {title: _head(sheet) for title, sheet in sheets.items() if given.sheet in (None, title)}
        filled = {title: head for title, head in heads.items() if head is not None}
    except DefusedXmlException:
        given.faults.add(given.name, "not an Excel file (.xlsx): its XML declares entities")
        return None
    except BROKEN as error:
        given.faults.add(given.name, f"not an Excel file (.xlsx): {_short(error)}")
        return None
    if not filled:
        given.faults.add(given.name, "the file is empty")
        return None
    title, (line, names) = next(iter(filled.items()))
    if len(filled) > 1:
        other = set_to("sheet", list(filled)[1])
        given.notes.append(f"the sheet {quoted(title)} of {listed(tuple(sheets))}; {other} takes another")
    columns = [given.clean(name) for name in names] if given.clean else names
    tell_repeated(columns, given.name, given.faults, line)
    return ExcelSource(given, sheets[title], columns, line)


def _head(sheet: Any) -> tuple[int, list[str]] | None:
    """The first row that is not empty, as texts, and its number; None for an empty sheet."""
    sheet.reset_dimensions()  # what the file says of them is often wrong
    for line, cells in enumerate(islice(sheet.iter_rows(values_only=True), 1000), 1):
        names = [_text(cell) for cell in cells[:MOST_COLUMNS]]
        while names and not names[-1].strip():
            names.pop()
        if names:
            return line, names
    return None


def _fits(given: Given) -> bool:
    """Whether the parts of the packed file have a size that can be read, found out by unpacking them piece by piece."""
    left = UNPACKED
    with zipfile.ZipFile(given.file) as packed:
        for part in packed.infolist():
            honest = copy.copy(part)
            honest.file_size, honest.CRC = left + 1, None  # type: ignore[assignment]  # what it says is not believed
            with packed.open(honest) as file:
                while left >= 0 and (piece := file.read(1 << 20)):
                    left -= len(piece)
            if left < 0:
                much = f"{UNPACKED // 2**20} MiB"
                given.faults.add(
                    given.name, f"this Excel file unpacks to more than {much}; save the sheet as CSV (UTF-8)"
                )
                return False
        if "xl/workbook.xml" not in packed.namelist():
            given.faults.add(given.name, "this is a zip, and no Excel file is in it")
            return False
    return True


def _text(cell: object) -> str:
    """A cell as CSV would have it."""
    if cell is None:
        return ""
    if isinstance(cell, str):
        return ESCAPED.sub(lambda m: chr(int(m[1], 16)), cell) if "_x" in cell else cell
    if isinstance(cell, bool):
        return str(cell).lower()
    if isinstance(cell, float) and cell.is_integer() and abs(cell) < 2**53:
        return str(int(cell))
    return cell.isoformat() if isinstance(cell, datetime.date | datetime.time) else str(cell)


def _short(error: Exception) -> str:
    return str(error).splitlines()[0][:200] if str(error) else type(error).__name__
