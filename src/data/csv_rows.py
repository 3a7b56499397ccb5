"""Rows of CSV and TSV files of any length, a record at a time; a bad record is a row with a fault."""

import csv
import re
from collections.abc import Iterator
from functools import partial
from typing import NamedTuple

from ..errors import quoted
from ..spelling import set_to
from .lines import LIMIT, LINES, Damaged, Lines, TooLong
from .rows import TEXT_COLUMNS, Given, Row, plain_name, tell_repeated
from .text_rows import TOO_LONG, TextSource, damaged, unreadable

TEXT_NAMES = frozenset(TEXT_COLUMNS)
SEPARATORS = {",": "comma", ";": "semicolon", "\t": "tab"}  # separators that a header shows
SEP = re.compile(r'sep=([^"\r\n])\r?\n', re.IGNORECASE)


def open_csv(given: Given) -> TextSource | None:
    """A source whose first record is the header and every later record that is not blank a row.

    The separator is told from the header where it is not given; Excel's line ``sep=;`` before the header is none.
    Columns at the end that have neither a name nor a cell are left out. None, and a fault, for a file without a header.
    """
    lines = Lines(given.file, given.encoding)
    separator = _separator(given, lines)
    line, names = next(_records(lines, separator), (0, []))
    if isinstance(names, Row):
        given.faults.add(given.name, f"the header cannot be read: {names.fault}", line)
        return None
    if not names:
        given.faults.add(given.name, "the file is empty")
        return None
    if len(names) == 1 and given.separator is not None:
        for other, kind in SEPARATORS.items():
            if other != separator and other in names[0]:
                single = f"the header is a single column, {quoted(names[0])}; is the separator a {kind}"
                given.faults.add(given.name, f"{single}? Set {set_to('separator', other)}, or leave it out", line)
                return None
    columns = [given.clean(name) for name in names] if given.clean else names
    named = len(columns)
    while named > 1 and not columns[named - 1].strip():
        named -= 1
    if unnamed := len(columns) - named:
        many = f"{unnamed} columns" if unnamed > 1 else "a column"
        given.notes.append(f"{many} without name and cells at the end left out")
    tell_repeated(columns[:named], given.name, given.faults, line)
    return TextSource(given, lines, columns[:named], partial(_csv, lines, separator, columns, named))


def _separator(given: Given, lines: Lines) -> str:
    """The separator that is given, or told from the header; the lines then begin with the header."""
    usual = "\t" if given.form == "tsv" else ","
    lines.mark()
    try:
        first = next(lines, "")
    except (TooLong, Damaged):
        first = ""
    if match := SEP.fullmatch(first):
        told = given.separator or match[1]
        given.notes.append(f"the separator is {_named(told)}, as the line {quoted(first.strip())} says")
        lines.mark()
        return told
    lines.back()
    if given.separator is not None:
        return given.separator
    split = {usual: _header(first, usual)} | {one: _header(first, one) for one in SEPARATORS}
    several = [one for one, names in split.items() if len(names) > 1]
    if usual in several and not TEXT_NAMES.isdisjoint(split[usual]):
        return usual
    with_text = [one for one in several if not TEXT_NAMES.isdisjoint(split[one])]
    fitting = with_text if len(with_text) == 1 else several
    if usual in fitting or len(fitting) != 1:
        return usual
    given.notes.append(f"the separator is {_named(fitting[0])}, as the header shows")
    return fitting[0]


def _header(first: str, separator: str) -> list[str]:
    try:
        return [plain_name(name) for name in next(csv.reader([first], delimiter=separator), [])]
    except csv.Error:
        return []


def _named(separator: str) -> str:
    return f"a {SEPARATORS[separator]}" if separator in SEPARATORS else quoted(separator)


def _csv(lines: Lines, separator: str, columns: list[str], named: int) -> Iterator[Row]:
    count = len(columns)
    wide = columns[:named]
    for line, cells in _records(lines, separator):
        if isinstance(cells, Row):
            yield cells
        elif len(cells) == count:
            if named < count:
                if extra := next((cell for cell in cells[named:] if cell and not cell.isspace()), ""):
                    yield Row(line, fault=f"{quoted(extra)} stands in a column without name; name it in the header")
                    continue
                cells = cells[:named]
            yield Row(line, dict(zip(wide, cells, strict=True)))
        else:
            fault = f"the row has {len(cells)} cell{'s' * (len(cells) > 1)}, the header has {count}"
            if len(cells) > count:
                fault += "; a text that holds a separator needs double quotes"
            yield Row(line, fault=fault)


class _Failed(NamedTuple):
    """A record whose reading failed in line ``last``, in or after the cell that begins in line ``cell``."""

    error: Exception
    cell: int
    last: int


def _records(lines: Lines, separator: str) -> Iterator[tuple[int, list[str] | Row]]:
    """Records that are not blank, or the row that says what is wrong, each with the line where it begins.

    After a wrong record, reading goes on with the line after its first line, so that a stray quote swallows no good
    rows. A record that begins in a line of the wrong one and leaves a cell open would read to the same place and fail
    there too. So each of these lines is parsed alone: reading on from each would take time quadratic in their number.
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
            yield line, damaged(line, error)
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
                yield line, unreadable(line, lines) or cells
            elif len(cells) > 1 or (cells and not lines.blank):  # a line of two quotes is a row with an empty cell
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
