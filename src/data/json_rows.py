"""Rows of JSON files of any length: an object a line, an array of objects, or objects over many lines."""

import codecs
import json
import re
from collections import deque
from collections.abc import Callable, Collection, Iterator
from functools import partial
from typing import Any

from .files import HEAD
from .json_values import TOO_DEEP, fit, json_object, unique
from .layouts import label_studio
from .lines import LIMIT, Damaged, Lines, TooLong
from .rows import Given, Place, Row, Source
from .text_rows import TOO_LONG, TextSource, damaged, each, not_utf8

FIRST_ROWS = 100  # the keys of so many first rows are the columns
JSON_CHUNK = 1 << 16
ARRAY = re.compile(r"\s*\[\s*(?:\{|\]\s*$)")
UNREAD = re.compile("[\udc80-\udcff]")
BETWEEN_VALUES = re.compile(r"[ \t\r\n]*")


def open_json(given: Given) -> Source | None:
    """A source with a row for each object; names are cleaned at every depth. None, and a fault, for an empty file.

    Whether the objects stand in an array, over many lines or one on each line is told from the first of them. In the
    export of Label Studio each task is a row (:mod:`src.data.layouts.label_studio`).
    """
    head = given.file.peek(HEAD)[:HEAD].decode(errors="replace").removeprefix("\ufeff")
    pairs, before = partial(unique, given.clean), len(given.faults)
    in_array = ARRAY.match(head) is not None
    source = _Objects(given, pairs, in_array) if in_array or _over_many_lines(head) else _open_lines(given, pairs)
    if source is None or len(given.faults) > before:
        return None
    if not source.columns:
        return source
    return label_studio.flat(source) if label_studio.is_export(source.columns) else source


def _over_many_lines(head: str) -> bool:
    first = head.lstrip().partition("\n")[0].rstrip()
    if not first.startswith("{") or first.endswith("}"):
        return False
    if first == "{":
        return True
    try:
        return json.JSONDecoder().raw_decode(head.lstrip())[1] > len(first)
    except (ValueError, RecursionError):
        return False


def _open_lines(given: Given, pairs: Callable[[list[tuple[str, Any]]], dict[str, Any]]) -> TextSource | None:
    lines = Lines(given.file, given.encoding)
    decode = json.JSONDecoder(object_pairs_hook=pairs).decode
    columns: dict[str, None] = {}
    rows = 0
    lines.mark()
    for _ in range(FIRST_ROWS):  # back() makes these lines be read again
        try:
            text = next(lines)
        except StopIteration:
            break
        except (TooLong, Damaged):
            rows += 1
            break
        if not text.isspace():
            rows += 1
            cells = json_object(text, decode) if lines.bad is None else ""
            columns.update({} if isinstance(cells, str) else dict.fromkeys(cells))
        lines.bad = None
    else:
        rows += 1  # there may be more
    lines.back()
    if not rows:
        given.faults.add(given.name, "the file is empty")
        return None
    return TextSource(given, lines, list(columns), partial(_jsonl, lines, decode), header=False)


def _jsonl(lines: Lines, decode: Callable[[str], Any]) -> Iterator[Row]:
    for line, text in each(lines):
        if isinstance(text, Row):
            yield text
        elif text and not text.isspace():
            cells = json_object(text, decode)
            yield Row(line, fault=cells) if isinstance(cells, str) else Row(line, cells)


class _Objects:
    """A :class:`src.data.rows.Source` over the items of one array, or over objects one after the other.

    Text is read until an object is whole, up to :data:`src.data.lines.LIMIT`. After a text that is no JSON nothing says
    where the next object begins, so that all later ones are lost.
    """

    binary: Collection[str] = ()
    header = False
    layout: str | None = None

    def __init__(self, given: Given, pairs: Callable[[list[tuple[str, Any]]], dict[str, Any]], in_array: bool) -> None:
        self.name, self.size, self.notes, self._encoding = given.name, given.size, given.notes, given.encoding
        self._file, self._in_array = given.file, in_array
        self._decode = json.JSONDecoder(object_pairs_hook=pairs).raw_decode
        self._begin(Place(0, 1))
        self._reading = self._read()
        self._ahead: deque[tuple[Row, Place]] = deque()
        columns: dict[str, None] = {}
        size = 0
        for row in self._reading:
            self._ahead.append((row, self._end))
            columns.update(dict.fromkeys(row.cells))
            size = self._end.offset
            if len(self._ahead) == FIRST_ROWS or size > LIMIT:
                break
        self.columns, self._place = list(columns), Place(0, 1)
        if not self._ahead:
            given.faults.add(given.name, "the array is empty")

    @property
    def place(self) -> Place:
        return self._place

    def seek(self, place: Place) -> None:
        self._file.seek(place.offset)
        self._ahead.clear()
        self._begin(place)
        self._place = place
        self._reading = self._read()

    def rows(self) -> Iterator[Row]:
        while self._ahead:
            row, self._place = self._ahead.popleft()
            yield row
        for row in self._reading:
            self._place = self._end
            yield row

    def _begin(self, place: Place) -> None:
        self._end = place  # of what was read
        self._text, self._at, self._whole = "", 0, False
        self._decoder = codecs.getincrementaldecoder("utf-8")("surrogateescape")

    def _more(self) -> bool:
        """Read more text, as much as there is already; False at the end. Raises Damaged."""
        if self._whole:
            return False
        try:
            raw = self._file.read(max(JSON_CHUNK, len(self._text) - self._at))
        except Exception as error:  # gzip raises zlib.error, EOFError or OSError
            raise Damaged(str(error)) from error
        self._whole = not raw
        self._text = self._text[self._at :] + self._decoder.decode(raw, self._whole)
        self._at = 0
        return True

    def _take(self, end: int) -> None:
        """Move on to ``end``, an index into the text."""
        taken = self._text[self._at : end]
        offset = self._end.offset + len(taken.encode("utf-8", "surrogateescape"))
        self._end, self._at = Place(offset, self._end.line + taken.count("\n")), end

    def _blank(self) -> str:
        """Move over white space; the letter after it, empty at the end of the file."""
        while True:
            match = BETWEEN_VALUES.match(self._text, self._at)
            assert match is not None
            self._take(match.end())
            if self._at < len(self._text):
                return self._text[self._at]
            if not self._more():
                return ""

    def _read(self) -> Iterator[Row]:
        try:
            if self._end.offset == 0 and self._blank() == "\ufeff":
                self._take(self._at + 1)
            if self._end.offset <= 3 and self._in_array:
                self._blank()
                self._take(self._at + 1)
                if self._blank() == "]":
                    return
            while letter := self._blank():
                line = self._end.line
                row = self._object(line)
                if row.rest == "lost":
                    yield row
                    return
                letter = self._blank()
                if self._in_array and letter == ",":
                    self._take(self._at + 1)
                yield row
                if self._in_array and letter != ",":
                    yield from self._after(letter)
                    return
            if self._in_array:
                yield from self._after("")
        except Damaged as error:
            yield damaged(self._end.line, error)

    def _after(self, letter: str) -> Iterator[Row]:
        """What is wrong after the last item of an array, if anything is."""
        line = self._end.line
        if letter == "]":
            self._take(self._at + 1)
            if self._blank():
                yield Row(line, fault="not valid JSON: something follows the end of the array", rest="lost")
        else:
            wrong = "a comma is missing between two objects" if letter else "the file ends before the array does"
            yield Row(line, fault=f"not valid JSON: {wrong}; was it cut off?", rest="lost")

    def _object(self, line: int) -> Row:
        while True:
            try:
                value, end = self._decode(self._text, self._at)
                break
            except json.JSONDecodeError as error:
                if len(self._text) - self._at > LIMIT:
                    return Row(line, fault=f"the object is {TOO_LONG}, or not valid JSON", rest="lost")
                if not self._more():
                    at = self._text.count("\n", self._at, error.pos) + line
                    return Row(line, fault=f"not valid JSON: {error.msg} in line {at}", rest="lost")
            except (ValueError, RecursionError) as error:
                fault = TOO_DEEP if isinstance(error, RecursionError) else f"not valid JSON: {error}"
                try:
                    _, end = json.JSONDecoder().raw_decode(self._text, self._at)
                except (ValueError, RecursionError):
                    return Row(line, fault=fault, rest="lost")
                self._take(end)
                return Row(line, fault=fault)
        text = self._text[self._at : end]
        self._take(end)
        if not text.isascii() and (bad := UNREAD.search(text)):
            return Row(line, fault=not_utf8(self._encoding, ord(bad[0]) - 0xDC00), rest="doubtful")
        cells = fit(value, text)
        return Row(line, fault=cells) if isinstance(cells, str) else Row(line, cells)
