"""Rows of CSV, TSV, JSONL and plain text files of any length, a record at a time.

As training reads such files (``src/data/tables.py``), but that a row which cannot be read is not the end of the file.
"""

import csv
import json
import re
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO

from ..errors import Faults, quoted
from .lines import LIMIT, LINES, Lines, TooLong
from .rows import Place, Row, row_of, text_column_of

DEPTH = 100  # of the values of a JSONL row
HEAD = 100  # rows of a JSONL file whose keys say which one is the text
TOO_LONG = f"longer than {LIMIT // 2**20} MiB"
OTHER_FORMATS = {  # first bytes -> what they mean, and what to do
    b"\x1f\x8b": "this is gzip; unpack it: gunzip -c FILE | absa predict MODEL - --input-format csv -o OUT",
    b"PK\x03\x04": "this is a zip or an Excel file; save the sheet as CSV (UTF-8)",
    b"PAR1": "this is Parquet; call it .parquet, or give --input-format parquet",
    b"\xff\xfe": "this is UTF-16; save the file as UTF-8",
    b"\xfe\xff": "this is UTF-16; save the file as UTF-8",
}


class TextSource:
    """A :class:`src.data.rows.Source` over lines."""

    def __init__(
        self, lines: Lines, size: int | None, columns: list[str] | None, rows: Callable[[], Iterator[Row]]
    ) -> None:
        self.columns, self.size, self.rows = columns, size, rows
        self._lines = lines

    @property
    def place(self) -> Place:
        return Place(self._lines.offset, self._lines.number)

    def seek(self, place: Place) -> None:
        self._lines.seek(*place)


def open_text(
    file: BinaryIO, size: int | None, name: str, form: str, text_column: str | None, separator: str, faults: Faults
) -> TextSource | None:
    """A source over a buffered file (``form``: csv, tsv, jsonl or txt); None if ``faults`` say why there is none."""
    head = _peek(file)
    if said := next((said for start, said in OTHER_FORMATS.items() if head.startswith(start)), None):
        faults.add(name, said)
        return None
    lines = Lines(file)
    if form == "txt":
        return TextSource(lines, size, ["text"], lambda: _plain(lines))
    if form == "jsonl":
        key = text_column_of(_keys(lines), text_column, name, faults)
        return None if key is None else TextSource(lines, size, None, lambda: _jsonl(lines, key))
    columns = _header(lines, separator, name, faults)
    column = None if columns is None else text_column_of(columns, text_column, name, faults)
    if columns is None or column is None:
        return None
    return TextSource(lines, size, columns, lambda: _csv(lines, separator, columns, column))


def sniff(file: BinaryIO) -> str:
    """``jsonl`` where a stream begins as a JSON object does, else ``txt``."""
    return "jsonl" if re.match(rb'(\xef\xbb\xbf)?\s*\{\s*("|\})', _peek(file)) else "txt"


def _peek(file: BinaryIO) -> bytes:
    start: bytes = file.peek(64)  # type: ignore[attr-defined]  # of a buffered reader
    return start


# --- plain text and JSONL --------------------------------------------------------------------------------------------


def _plain(lines: Lines) -> Iterator[Row]:
    for row in _each(lines):
        yield row if row.fault else row_of(row.line, {"text": row.text}, "text")


def _jsonl(lines: Lines, key: str) -> Iterator[Row]:
    for row in _each(lines):
        if row.fault:
            yield row
        elif row.text and not row.text.isspace():
            cells = _object(row.text)
            yield Row(row.line, fault=cells) if isinstance(cells, str) else row_of(row.line, cells, key)


def _each(lines: Lines) -> Iterator[Row]:
    """Lines without their ends."""
    while True:
        lines.mark()
        line = lines.number
        try:
            text = next(lines).removesuffix("\n").removesuffix("\r")
        except StopIteration:
            return
        except TooLong:
            yield Row(line, fault=f"the line is {TOO_LONG}")
        else:
            fault = _not_utf8([text])
            yield Row(line, text="" if fault else text, fault=fault)


def _keys(lines: Lines) -> list[str]:
    """The keys of the first rows of a JSONL file, which is then read from where it was."""
    seen: dict[str, None] = {}
    lines.mark()
    for _ in range(HEAD):
        try:
            cells = _object(next(lines))
        except (StopIteration, TooLong):
            break
        seen.update({} if isinstance(cells, str) else dict.fromkeys(cells))
    lines.back()
    return list(seen)


def _object(text: str) -> dict[str, Any] | str:
    """A JSON object, or what is wrong with the text."""
    try:
        row = _DECODE(text)
        if _deeper(row, DEPTH):  # than what is written again without fail, whoever calls
            return f"objects and lists stand in each other more than {DEPTH} deep"
        if "\\ud" in text.lower():
            json.dumps(row, ensure_ascii=False).encode()  # half a character in an escape
    except UnicodeEncodeError:
        return "the text holds half of a character (a lone surrogate); was an emoji cut?"
    except json.JSONDecodeError as error:
        return f"not valid JSON: {error.msg} at column {error.colno}"
    except (ValueError, RecursionError) as error:
        return f"not valid JSON: {error}"
    return row if isinstance(row, dict) else f"one JSON object a line is expected, this is a {type(row).__name__}"


def _deeper(value: Any, limit: int) -> bool:
    level = [value]
    for _ in range(limit + 1):
        level = [item for item in level if isinstance(item, dict | list)]
        if not level:
            return False
        level = [each for item in level for each in (item.values() if isinstance(item, dict) else item)]
    return True


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    row = dict(pairs)
    if len(row) < len(pairs):
        for key, value in pairs:
            if row[key] != value:
                raise ValueError(f"the key {quoted(key)} is there twice with different values")
    return row


_DECODE = json.JSONDecoder(object_pairs_hook=_unique).decode


# --- CSV -------------------------------------------------------------------------------------------------------------


def _header(lines: Lines, separator: str, name: str, faults: Faults) -> list[str] | None:
    line, columns = next(_records(lines, separator), (0, []))
    if isinstance(columns, str) or _not_utf8(columns):
        said = columns if isinstance(columns, str) else _not_utf8(columns)
        faults.add(name, f"the header cannot be read: {said}", line)
        return None
    if not columns:
        faults.add(name, "the file is empty")
        return None
    if len(columns) == 1:
        for other, hint in {";": "--separator ';'", "\t": "--input-format tsv"}.items():
            if other in columns[0]:
                faults.add(name, f"the header is a single column, {quoted(columns[0])}; try {hint}", line)
                return None
    for i, column in enumerate(columns):
        if column in columns[:i]:
            faults.add(name, f"columns {columns.index(column) + 1} and {i + 1} are both called {quoted(column)}", line)
    return columns


def _csv(lines: Lines, separator: str, columns: list[str], column: str) -> Iterator[Row]:
    for line, cells in _records(lines, separator):
        if isinstance(cells, str):
            yield Row(line, fault=cells)
        elif len(cells) != len(columns):
            fault = f"the row has {len(cells)} cell{'s' * (len(cells) > 1)}, the header has {len(columns)}"
            if len(cells) > len(columns):
                fault += "; a text that holds a separator needs double quotes"
            yield Row(line, fault=fault)
        elif fault := _not_utf8(cells):
            yield Row(line, fault=fault)
        else:
            yield row_of(line, dict(zip(columns, cells, strict=True)), column)


def _records(lines: Lines, separator: str) -> Iterator[tuple[int, list[str] | str]]:
    """Records that are not blank, or what is wrong with them, each with the line where it begins.

    After a record that is wrong, reading goes on with the line after its first: a stray quote swallows no good rows.
    """
    csv.field_size_limit(max(csv.field_size_limit(), LIMIT))
    reader = csv.reader(lines, delimiter=separator, strict=True)
    while True:
        lines.mark()
        line = lines.number
        try:
            cells = next(reader)
        except StopIteration:
            return
        except (csv.Error, TooLong) as error:
            lines.back(keep=1)
            reader = csv.reader(lines, delimiter=separator, strict=True)
            yield line, _wording(error)
        else:
            if len(cells) > 1 or (cells and not lines.blank):  # "" in quotes is a row, if an empty one
                yield line, cells


def _wording(error: Exception) -> str:
    if isinstance(error, TooLong):
        return f"the row is {TOO_LONG}, or than {LINES:,} lines; is a closing quote missing?"
    if "end of data" in str(error):
        return "a quoted cell is never closed"
    if "new-line" in str(error):
        return "a carriage return stands outside quotes"
    return 'a quoted cell goes on after its closing quote; a quote inside a quoted text is written twice ("")'


def _not_utf8(cells: list[str]) -> str:
    """Why cells that hold bytes which are not UTF-8 are refused, or nothing."""
    try:
        "".join(cells).encode()
    except UnicodeEncodeError as error:
        return f"the bytes are not UTF-8 (first bad byte: 0x{ord(error.object[error.start]) - 0xDC00:02x})"
    return ""
