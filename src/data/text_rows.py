"""Rows of CSV, TSV, JSONL and plain text files of any length, a record at a time.

A record that cannot be read is a row with a fault; reading goes on after it.
"""

import csv
import json
import re
from collections.abc import Callable, Iterator
from functools import partial
from io import BufferedReader
from typing import Any, NamedTuple

from ..errors import quoted
from ..spelling import set_to
from .lines import LIMIT, LINES, Damaged, Lines, TooLong
from .rows import Given, Place, Row, tell_repeated

DEPTH = 100  # of the values of a JSONL row
HEAD = 100  # rows of a JSONL file whose keys are its columns
TOO_LONG = f"longer than {LIMIT // 2**20} MiB"


class TextSource:
    """A :class:`src.data.rows.Source` over lines."""

    binary = ()

    def __init__(
        self,
        given: Given,
        lines: Lines,
        columns: list[str],
        rows: Callable[[], Iterator[Row]],
        header: bool = True,
    ) -> None:
        self.name, self.size, self.columns, self.rows, self.header = given.name, given.size, columns, rows, header
        self._lines = lines

    @property
    def place(self) -> Place:
        return Place(self._lines.offset, self._lines.number)

    def seek(self, place: Place) -> None:
        self._lines.seek(*place)


def sniff(file: BufferedReader) -> str:
    """``jsonl`` where a stream begins as a JSON object does, else ``txt``."""
    return "jsonl" if re.match(rb'(\xef\xbb\xbf)?\s*\{\s*("|\})', file.peek(64)) else "txt"


# --- plain text and JSONL --------------------------------------------------------------------------------------------


def open_plain(given: Given) -> TextSource:
    """Every line a row with the one column ``text``."""
    lines = Lines(given.file)
    return TextSource(given, lines, ["text"], partial(_plain, lines))


def open_jsonl(given: Given) -> TextSource | None:
    """Every line a row, blank ones left out; names are cleaned at every depth."""
    lines = Lines(given.file)
    decode = json.JSONDecoder(object_pairs_hook=partial(_unique, given.clean)).decode
    columns: dict[str, None] = {}
    rows = 0
    lines.mark()
    for _ in range(HEAD):  # which are then read again
        try:
            text = next(lines)
        except (StopIteration, Damaged):
            break
        except TooLong:
            rows += 1
            break
        if not text.isspace():
            rows += 1
            cells = _object(text, decode)
            columns.update({} if isinstance(cells, str) else dict.fromkeys(cells))
    else:
        rows += 1  # there may be more
    lines.back()
    if not rows:
        given.faults.add(given.name, "the file is empty")
        return None
    return TextSource(given, lines, list(columns), partial(_jsonl, lines, decode), header=False)


def _plain(lines: Lines) -> Iterator[Row]:
    for line, text in _each(lines):
        yield text if isinstance(text, Row) else Row(line, {"text": text.removesuffix("\n").removesuffix("\r")})


def _jsonl(lines: Lines, decode: Callable[[str], Any]) -> Iterator[Row]:
    for line, text in _each(lines):
        if isinstance(text, Row):
            yield text
        elif not text.isspace():
            cells = _object(text, decode)
            yield Row(line, fault=cells) if isinstance(cells, str) else Row(line, cells)


def _each(lines: Lines) -> Iterator[tuple[int, str | Row]]:
    """Every line with its number, or the row that says why it cannot be read."""
    while True:
        lines.mark()
        line = lines.number
        try:
            text = next(lines)
        except StopIteration:
            return
        except TooLong:
            yield line, Row(line, fault=f"the line is {TOO_LONG}")
        except Damaged as error:
            yield line, _damaged(line, error)
            return
        else:
            yield line, _not_utf8(line, lines) or text


def _object(text: str, decode: Callable[[str], Any]) -> dict[str, Any] | str:
    """A JSON object, or what is wrong with the text."""
    try:
        row = decode(text)
        if text.count("[") + text.count("{") > DEPTH and _deeper(row, DEPTH):
            # than what is written again without fail, whoever calls
            return f"objects and lists stand in each other more than {DEPTH} deep"
        if "\\ud" in text or "\\uD" in text:  # only an escape can smuggle half a character into UTF-8
            json.dumps(row, ensure_ascii=False).encode()
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


def _unique(clean: Callable[[str], str] | None, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    row = {clean(key): value for key, value in pairs} if clean else dict(pairs)
    if len(row) < len(pairs):
        for key, value in pairs:
            if row[clean(key) if clean else key] != value:
                raise ValueError(f"the key {quoted(key)} is there twice with different values")
    return row


# --- CSV -------------------------------------------------------------------------------------------------------------


def open_csv(given: Given) -> TextSource | None:
    """A header, then a row for every record that is not blank."""
    lines = Lines(given.file)
    line, names = next(_records(lines, given.separator), (0, []))
    if isinstance(names, Row):
        given.faults.add(given.name, f"the header cannot be read: {names.fault}", line)
        return None
    if not names:
        given.faults.add(given.name, "the file is empty")
        return None
    if len(names) == 1:
        hints = {";": f"semicolon? Set {set_to('separator', ';')}", "\t": "tab? Call the file .tsv"}
        for other, hint in hints.items():
            if other in names[0]:
                single = f"the header is a single column, {quoted(names[0])}; is the separator a {hint}"
                given.faults.add(given.name, single, line)
                return None
    columns = [given.clean(name) for name in names] if given.clean else names
    tell_repeated(columns, given.name, given.faults, line)
    return TextSource(given, lines, columns, partial(_csv, lines, given.separator, columns))


def _csv(lines: Lines, separator: str, columns: list[str]) -> Iterator[Row]:
    count = len(columns)
    for line, cells in _records(lines, separator):
        if isinstance(cells, Row):
            yield cells
        elif len(cells) == count:
            yield Row(line, dict(zip(columns, cells, strict=True)))
        else:
            fault = f"the row has {len(cells)} cell{'s' * (len(cells) > 1)}, the header has {count}"
            if len(cells) > count:
                fault += "; a text that holds a separator needs double quotes"
            yield Row(line, fault=fault)


class _Failed(NamedTuple):
    """A record that went wrong in line ``last``, in or behind the cell that begins in line ``cell``."""

    error: Exception
    cell: int
    last: int


def _records(lines: Lines, separator: str) -> Iterator[tuple[int, list[str] | Row]]:
    """Records that are not blank, or the row that says what is wrong, each with the line where it begins.

    After a record that is wrong, reading goes on with the line after its first: a stray quote swallows no good rows.
    Its lines end within quotes, so a record that begins in one of them and leaves a cell open goes wrong where it did.
    That is known without reading them once more, or the time would grow with the square of the lines.
    """
    csv.field_size_limit(max(csv.field_size_limit(), LIMIT))
    parse = partial(csv.reader, delimiter=separator, strict=True)
    reader, failed = parse(lines), _Failed(TooLong(), 0, 0)
    while True:
        lines.mark()
        line = lines.number
        try:
            cells = next(reader if line >= failed.last else parse([next(lines)]))
        except StopIteration:
            return
        except Damaged as error:
            yield line, _damaged(line, error)
            return
        except (csv.Error, TooLong) as error:
            if line < failed.last and "end of data" in str(error):
                failed = failed._replace(cell=max(line, failed.cell))
            elif line < failed.last:
                yield line, Row(line, fault=_wording(_Failed(error, line, line), line), rest="doubtful")
                continue
            else:
                before = 0 if isinstance(error, TooLong) else _lines_before_bad_cell(lines.taken, separator)
                failed = _Failed(error, line + before, lines.number - 1)
                lines.back(keep=1)
                reader = parse(lines)
            yield line, Row(line, fault=_wording(failed, line), rest="doubtful")
        else:
            if lines.bad is not None:
                yield line, _not_utf8(line, lines) or cells
            elif len(cells) > 1 or (cells and not lines.blank):  # "" in quotes is a row, if an empty one
                yield line, cells


def _wording(failed: _Failed, line: int) -> str:
    error = str(failed.error)
    if isinstance(failed.error, TooLong):
        return f"the row is {TOO_LONG}, or than {LINES:,} lines; is a closing quote missing?"
    if "new-line" in error:
        return "a carriage return stands outside quotes; lines end with a line feed"
    cell = f"the quoted cell that begins {f'in line {failed.cell}' if failed.cell > line else 'here'}"
    if "end of data" in error:
        return f"{cell} is never closed"
    return f'{cell} goes on after its closing quote; a quote inside a quoted text is written twice ("")'


def _lines_before_bad_cell(text: str, separator: str) -> int:
    """How many line ends precede the first cell whose quotes are wrong, in text that begins with a record."""
    stop = re.escape(separator)
    cell = re.compile(rf'(?:"[^"]*+(?:""[^"]*+)*+"|(?!")[^\r\n{stop}]*+)(?:{stop}|\r\n?|\n)')
    position = 0
    while match := cell.match(text, position):
        position = match.end()
    return text.count("\n", 0, position)


# --- what ends a row, or all of them ---------------------------------------------------------------------------------


def _not_utf8(line: int, lines: Lines) -> Row | None:
    """The row in place of lines that hold bytes which are not UTF-8."""
    if lines.bad is None:
        return None
    bad = f"first bad byte: 0x{lines.bad:02x}"
    return Row(line, fault=f"the bytes are not UTF-8 ({bad}); save the file as UTF-8", rest="doubtful")


def _damaged(line: int, error: Damaged) -> Row:
    return Row(line, fault=f"damaged from this row on: {error}", rest="lost")
