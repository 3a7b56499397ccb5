"""Rows of text files of any length, a line at a time; a bad line is a row with a fault."""

import re
from collections.abc import Callable, Collection, Iterator
from functools import partial
from io import BufferedReader

from ..spelling import set_to
from .files import HEAD
from .layouts import acos, pyabsa, vlsp
from .lines import LIMIT, Damaged, Lines, TooLong
from .rows import Given, Place, Row

TOO_LONG = f"longer than {LIMIT // 2**20} MiB"
LABELLED = {
    "vlsp": (vlsp.is_vlsp, vlsp.read_vlsp),
    "acos": (acos.is_acos, acos.read_acos),
    "pyabsa": (pyabsa.is_pyabsa, pyabsa.read_pyabsa),
}  # layouts that plain text may have


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
        layout: str | None = None,
    ) -> None:
        self.name, self.size, self.columns, self.rows, self.header = given.name, given.size, columns, rows, header
        self.layout, self.notes = layout, given.notes
        self._lines = lines

    @property
    def place(self) -> Place:
        return Place(self._lines.offset, self._lines.number)

    def seek(self, place: Place) -> None:
        self._lines.seek(*place)


def sniff(file: BufferedReader) -> str:
    """``jsonl`` where a stream begins as a JSON object or an array of them does, else ``txt``."""
    return "jsonl" if re.match(rb'(\xef\xbb\xbf)?\s*(\[\s*)?\{\s*("|\})', file.peek(64)) else "txt"


def not_utf8(encoding: str, byte: int) -> str:
    """The fault of a row that holds a byte which its encoding does not have."""
    bad = f"first bad byte: 0x{byte:02x}" if encoding == "UTF-8" else "a byte has no meaning in it"
    remedy = f"save the file as UTF-8, or say which encoding it has, such as {set_to('encoding', 'cp1258')}"
    return f"the bytes are not {encoding} ({bad}); {remedy}"


def unreadable(line: int, lines: Lines) -> Row | None:
    """The row in place of lines that hold bytes which are not UTF-8; None if all bytes since the mark are."""
    if lines.bad is None:
        return None
    return Row(line, fault=not_utf8(lines.encoding, lines.bad), rest="doubtful")


def damaged(line: int, error: object) -> Row:
    """The row that stands for this row and all later ones, which can no longer be read."""
    return Row(line, fault=f"damaged from this row on: {error}", rest="lost")


def open_text(given: Given) -> TextSource | None:
    """A source in which every line is a row with the one column ``text``.

    Where the first lines are those of a layout with labels (:data:`LABELLED`), or ``given.layout`` names one, every
    review is a row with the columns ``id``, ``text`` and ``labels``. A file called ``.raw`` has to be one of these:
    None, and a fault, if it is not.
    """
    head = given.file.peek(HEAD)[:HEAD].decode(errors="replace").removeprefix("\ufeff")
    lines = Lines(given.file, given.encoding)
    for name, (looks, read) in LABELLED.items():
        if name == given.layout or (given.layout is None and looks(head)):
            reading = partial(read, lines, partial(each, lines), head)
            return TextSource(given, lines, ["id", "text", "labels"], reading, layout=name)
    if given.form == "raw":
        given.faults.add(given.name, "a .raw file has three lines for each aspect (PyABSA), which these are not")
        return None
    return TextSource(given, lines, ["text"], partial(_plain, lines), layout=None)


def _plain(lines: Lines) -> Iterator[Row]:
    for line, text in each(lines):
        yield text if isinstance(text, Row) else Row(line, {"text": text})


def each(lines: Lines) -> Iterator[tuple[int, str | Row]]:
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
            yield line, unreadable(line, lines) or text
