"""SemEval's XML: ``sentence`` elements with a ``text`` and ``Opinions`` (2015, 2016) or aspect categories (2014).

https://alt.qcri.org/semeval2016/task5/ : ``<Opinion category="FOOD#QUALITY" polarity="positive"/>``; 2014 has
``<aspectCategory category="food" polarity="positive"/>``, and ``aspectTerm`` with a ``term``, which is read where a
sentence has no category.
"""

import zlib
from collections import deque
from collections.abc import Collection, Iterator
from typing import Any

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import DefusedXMLParser, ParseError

from ..lines import LIMIT
from ..rows import Given, Place, Row

XML_CHUNK = 1 << 16
OPINIONS = {"Opinion": "category", "aspectCategory": "category", "aspectTerm": "term"}  # element -> its attribute


class _Sentences:
    """What the parser calls: gathers the sentences that are complete."""

    def __init__(self) -> None:
        self.line = 0  # where the parser is; kept up by its owner
        self.root = ""
        self.found: list[Row] = []
        self._cells: dict[str, Any] | None = None
        self._begun = 0
        self._text: list[str] | None = None
        self._said: dict[str, list[list[str]]] = {}

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        self.root = self.root or tag
        if tag == "sentence":
            self._cells, self._begun, self._said = {"id": attributes.get("id", ""), "text": ""}, self.line, {}
        elif tag == "text" and self._cells is not None:
            self._text = []
        elif tag in OPINIONS and self._cells is not None:
            pair = [attributes.get(OPINIONS[tag], ""), attributes.get("polarity", "mentioned")]
            self._said.setdefault(OPINIONS[tag], []).append(pair)

    def data(self, text: str) -> None:
        if self._text is not None:
            self._text.append(text)

    def end(self, tag: str) -> None:
        if tag == "text" and self._cells is not None and self._text is not None:
            self._cells["text"] = "".join(self._text)
            self._text = None
        elif tag == "sentence" and self._cells is not None:
            labels = self._said.get("category") or self._said.get("term") or []
            self.found.append(Row(self._begun, self._cells | {"labels": labels}))
            self._cells = None

    def close(self) -> None:
        """For the parser."""


class _Source:
    """A :class:`src.data.rows.Source` over XML, parsed as it is read. A place is a number of rows."""

    binary: Collection[str] = ()
    header = True
    size: int | None = None
    columns = ["id", "text", "labels"]
    layout: str | None = "semeval"

    def __init__(self, given: Given) -> None:
        self.name, self.notes, self._file = given.name, given.notes, given.file
        self.place, self._from = Place(0, 1), 0
        self._ahead: deque[Row] = deque()
        self.target = _Sentences()
        self._reading = self._read()
        if first := next(self._reading, None):
            self._ahead.append(first)

    def seek(self, place: Place) -> None:
        self._from = place.offset

    def rows(self) -> Iterator[Row]:
        number = 0
        while row := self._ahead.popleft() if self._ahead else next(self._reading, None):
            number += 1
            if number > self._from or row.rest == "lost":
                self.place = Place(number, row.line)
                yield row

    def _read(self) -> Iterator[Row]:
        target = self.target
        parser = DefusedXMLParser(target=target, forbid_dtd=False)
        since = 0  # bytes
        try:
            while raw := self._file.read(XML_CHUNK):
                since += len(raw)
                for part in raw.splitlines(keepends=True) if b"\n" in raw else [raw]:
                    target.line = parser.parser.CurrentLineNumber
                    parser.feed(part)
                if target.found:
                    yield from target.found
                    target.found, since = [], 0
                if since > LIMIT:
                    fault = f"one sentence is longer than {LIMIT // 2**20} MiB"
                    yield Row(parser.parser.CurrentLineNumber, fault=fault, rest="lost")
                    return
            parser.close()
        except ParseError as error:
            yield from target.found
            line, column = error.position
            fault = f"not valid XML: {str(error).partition(':')[0]} at column {column + 1}"
            yield Row(line, fault=f"damaged from this row on: {fault}", rest="lost")
        except DefusedXmlException:
            yield Row(
                parser.parser.CurrentLineNumber, fault="the XML declares entities, which are not read", rest="lost"
            )
        except (OSError, EOFError, zlib.error) as error:
            yield Row(parser.parser.CurrentLineNumber, fault=f"damaged from this row on: {error}", rest="lost")


def open_semeval(given: Given) -> _Source | None:
    """A source with a row for each sentence. None, and a fault, for a file without sentences."""
    source = _Source(given)
    first = source._ahead[0] if source._ahead else None
    if first is None or (first.fault and not source.target.found):
        root = f"the root is <{source.target.root}>" if source.target.root else "the file is empty"
        if first is not None:
            nothing = not source.target.root and "no element found" in first.fault
            given.faults.add(given.name, "the file is empty" if nothing else first.fault, 0 if nothing else first.line)
        else:
            given.faults.add(given.name, f"no <sentence> in it, as SemEval's files have them; {root}")
        return None
    return source
