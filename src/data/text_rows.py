"""Rows of JSONL and plain text files of any length, a line at a time; a bad line is a row with a fault."""

import json
import re
from collections.abc import Callable, Collection, Iterator
from functools import partial
from io import BufferedReader
from typing import Any

from ..errors import quoted
from .lines import LIMIT, Damaged, Lines, TooLong
from .rows import Given, Place, Row

DEPTH = 100  # deepest nesting of a JSONL row: writing a deeper one again could exceed Python's recursion limit
HEAD = 100  # the keys of so many first rows are the columns of a JSONL file
TOO_LONG = f"longer than {LIMIT // 2**20} MiB"


class TextSource:
    """A :class:`src.data.rows.Source` whose rows are read from lines of text."""

    binary: Collection[str] = ()

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


def not_utf8(line: int, lines: Lines) -> Row | None:
    """The row in place of lines that hold bytes which are not UTF-8; None if all bytes since the mark are."""
    if lines.bad is None:
        return None
    bad = f"first bad byte: 0x{lines.bad:02x}"
    return Row(line, fault=f"the bytes are not UTF-8 ({bad}); save the file as UTF-8", rest="doubtful")


def damaged(line: int, error: Damaged) -> Row:
    """The row that stands for this row and all later ones, which can no longer be read."""
    return Row(line, fault=f"damaged from this row on: {error}", rest="lost")


def open_plain(given: Given) -> TextSource:
    """A source in which every line is a row with the one column ``text``."""
    lines = Lines(given.file)
    return TextSource(given, lines, ["text"], partial(_plain, lines))


def open_jsonl(given: Given) -> TextSource | None:
    """A source in which every line that is not blank is a row; names are cleaned at every depth.

    None, and a fault, for an empty file.
    """
    lines = Lines(given.file)
    decode = json.JSONDecoder(object_pairs_hook=partial(_unique, given.clean)).decode
    columns: dict[str, None] = {}
    rows = 0
    lines.mark()
    for _ in range(HEAD):  # back() makes these lines be read again
        try:
            text = next(lines)
        except StopIteration:
            break
        except (TooLong, Damaged):
            rows += 1
            break
        if not text.isspace():
            rows += 1
            cells = _object(text, decode) if lines.bad is None else ""
            columns.update({} if isinstance(cells, str) else dict.fromkeys(cells))
        lines.bad = None
    else:
        rows += 1  # there may be more
    lines.back()
    if not rows:
        given.faults.add(given.name, "the file is empty")
        return None
    return TextSource(given, lines, list(columns), partial(_jsonl, lines, decode), header=False)


def _plain(lines: Lines) -> Iterator[Row]:
    for line, text in _each(lines):
        yield text if isinstance(text, Row) else Row(line, {"text": text})


def _jsonl(lines: Lines, decode: Callable[[str], Any]) -> Iterator[Row]:
    for line, text in _each(lines):
        if isinstance(text, Row):
            yield text
        elif text and not text.isspace():
            cells = _object(text, decode)
            yield Row(line, fault=cells) if isinstance(cells, str) else Row(line, cells)


def _each(lines: Lines) -> Iterator[tuple[int, str | Row]]:
    """Every line without its end, with its number, or the row that says why it cannot be read."""
    while True:
        lines.mark()
        line = lines.number
        try:
            text = next(lines).removesuffix("\n").removesuffix("\r")
        except StopIteration:
            return
        except TooLong:
            yield line, Row(line, fault=f"the line is {TOO_LONG}")
        except Damaged as error:
            yield line, damaged(line, error)
            return
        else:
            yield line, not_utf8(line, lines) or text


def _object(text: str, decode: Callable[[str], Any]) -> dict[str, Any] | str:
    """A JSON object, or what is wrong with the text."""
    try:
        row = decode(text)
        if text.count("[") + text.count("{") > DEPTH and _deeper(row, DEPTH):
            return f"objects and lists stand in each other more than {DEPTH} deep"
        if "\\ud" in text or "\\uD" in text:  # in valid UTF-8 only an escape can hold half a character
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
