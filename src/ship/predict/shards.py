"""``absa predict --shard 3/16``: one of so many parts of a file, for commands that run beside each other.

The parts are cut at places in the file: at its bytes, in Parquet at its rows, in a packed file at the bytes that are
packed. A row belongs to the part in which it begins. Every command finds the same cuts without a word to the others,
each row is in one part, and the parts in their order are the file.
"""

import re
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from ...data.rows import Place, Row, Source, with_text
from ...errors import Faults
from .arguments import is_stream, name_of

SHARD = re.compile(r"\s*([0-9]{1,9})\s*/\s*([0-9]{1,9})\s*")


class Shard(NamedTuple):
    """Part ``number``, counted from 1, of ``of`` parts."""

    number: int
    of: int

    def __str__(self) -> str:
        return f"{self.number}/{self.of}"


def shard_of(given: str | None, file: str, faults: Faults) -> Shard | None:
    """What ``--shard`` says; None, and a fault if it was given, where that is no part of ``file``."""
    if given is None:
        return None
    found = SHARD.fullmatch(given)
    if found is None:
        faults.add(f"--shard {given}", "expected NUMBER/OF, such as 3/16 for the third of 16 parts")
        return None
    shard = Shard(int(found[1]), int(found[2]))
    if shard.of == 0:
        faults.add(f"--shard {given}", "expected one part or more, such as 1/16")
    elif not 1 <= shard.number <= shard.of:
        faults.add(f"--shard {given}", f"parts are counted from 1: 1/{shard.of} to {shard.of}/{shard.of}")
    elif is_stream(file):
        once = f"each part reads the input for itself, and {name_of(file)} can be read only once; give a file"
        faults.add(f"--shard {given}", once)
    else:
        return shard
    return None


class Part:
    """The :class:`src.data.rows.Source` of the rows of one shard; they keep the lines that they have in the file.

    ``again`` opens the same file anew: it is read once to its end where only that tells how much there is. Of a file
    whose places are rows (``by_rows``: Parquet) nothing before the part is read, of any other everything.
    """

    def __init__(self, source: Source, shard: Shard, again: Callable[[], Source], by_rows: bool) -> None:
        self.name, self.columns, self.header = source.name, source.columns, source.header
        self.binary, self.layout, self.notes = source.binary, source.layout, source.notes
        self._source, self._again = source, again
        whole = source.size if source.size is not None else _end(again())
        self._begin = whole * (shard.number - 1) // shard.of
        self._end = whole * shard.number // shard.of
        self._last = shard.number == shard.of  # its rows go on to the end, whatever size was told
        self.size: int | None = self._end
        if by_rows:
            source.seek(Place(self._begin, self._begin + 1))

    @property
    def place(self) -> Place:
        return self._source.place

    def seek(self, place: Place) -> None:
        self._source.seek(place)

    def rows(self) -> Iterator[Row]:
        rows = self._source.rows()
        while self._last or self.place.offset < self._end:
            begins = self.place.offset
            row = next(rows, None)
            if row is None:
                return
            if begins >= self._begin:
                yield row

    def cells(self, column: str) -> Iterator[dict[str, Any]]:
        """The cells of every row of the file that has a text in ``column``: what its columns and their types are."""
        rows = (with_text(row, column) for row in self._again().rows())
        return (row.cells for row in rows if not row.fault)


def _end(source: Source) -> int:
    for _ in source.rows():
        pass
    return source.place.offset
