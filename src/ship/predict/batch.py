"""Answer the rows of a file of any length, in the file's order and in constant memory."""

import re
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any, TypeVar

from ...data.rows import Place, Row, Source, with_text
from ...errors import UserError, shown
from .journal import Journal, State
from .progress import Meter
from .writers import dumps, json_line

if TYPE_CHECKING:
    from ...answers.predictor import Predictor

CHUNK_ROWS, CHUNK_CHARACTERS = 64, 2**20  # a chunk ends at either; the characters of all its cells count
AHEAD = 2  # chunks in work: while one chunk is written, the rows of the next keep the cores busy
SAVE = 2.0  # seconds between journals
# in UTF-8: the controls that JSON allows in a text, and a terminal acts on
UTF8_CONTROLS = re.compile(rb"\x7f|\xc2[\x80-\x9f]")
In = TypeVar("In")
Out = TypeVar("Out")


@dataclass(frozen=True)
class Chunk:
    """Rows that are answered together, and the place in the input after them."""

    rows: list[Row]
    place: Place


@dataclass(frozen=True)
class Done:
    """The results of a chunk: the bytes to write to both files, its faulty rows, and the number of rows answered."""

    answers: bytes
    errors: bytes
    faults: list[Row]
    rows: int
    place: Place


def answered(
    source: Source, column: str, predictor: "Predictor", form: str, all_aspects: bool, keep_cells: bool = True
) -> Iterator[Done]:
    """Answer the rows of the source, from its place on, and yield the results chunk by chunk, in order.

    ``column`` is the column of the texts. For ``form`` jsonl the bytes are lines of the output; for any other format
    each line is a row for the table that is made at the end: ``[line, cells, answer]``.
    """

    def work(chunk: Chunk) -> Done:
        good = [row for row in chunk.rows if not row.fault]
        faults = [row for row in chunk.rows if row.fault]
        lines = []
        for row, answer in zip(good, predictor.predict([r.text for r in good], all_aspects=all_aspects), strict=True):
            if form == "jsonl":
                lines.append(json_line(row.line, row.cells, answer))
            else:
                lines.append(dumps([row.line, row.cells if keep_cells else {}, answer]))
        errors = [dumps({"line": row.line, "reason": row.fault}) for row in faults]
        return Done(_joined(lines), _joined(errors), faults, len(good), chunk.place)

    return in_order(work, chunks(source, column))


def chunks(source: Source, column: str) -> Iterator[Chunk]:
    """The rows in chunks of :data:`CHUNK_ROWS`, fewer if they are long; the last chunk may be empty."""
    rows: list[Row] = []
    size = 0
    for row in source.rows():
        row = with_text(row, column)
        rows.append(row)
        size += weight(row.cells)
        if len(rows) == CHUNK_ROWS or size >= CHUNK_CHARACTERS:
            yield Chunk(rows, source.place)
            rows, size = [], 0
    yield Chunk(rows, source.place)


def weight(value: object) -> int:
    """About how many characters a cell, or a row of cells, takes when it is written."""
    if isinstance(value, str):
        return len(value)
    if isinstance(value, dict):
        return sum(len(key) + weight(item) for key, item in value.items())
    return sum(map(weight, value)) if isinstance(value, list) else 8


def in_order(work: Callable[[In], Out], items: Iterable[In]) -> Iterator[Out]:
    """``map(work, items)``, with :data:`AHEAD` threads; results come in the order of the items."""
    pool = ThreadPoolExecutor(AHEAD)
    waiting: deque[Future[Out]] = deque()
    try:
        for item in items:
            waiting.append(pool.submit(work, item))
            if len(waiting) > AHEAD:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def to_stream(done: Iterable[Done], name: str, meter: Meter) -> State:
    """Write lines to standard output, and the reasons of faulty rows to standard error.

    Raises UserError if standard output cannot be written, BrokenPipeError if its reader has gone.
    """
    rows = errors = 0
    place = Place(0, 1)
    out: Any = getattr(sys.stdout.buffer, "raw", sys.stdout.buffer)  # only ``raw`` of a Windows console takes UTF-8
    for piece in done:
        rest = memoryview(UTF8_CONTROLS.sub(lambda found: f"\\u{ord(found[0].decode()):04x}".encode(), piece.answers))
        try:
            while rest:
                rest = rest[out.write(rest) :]
        except BrokenPipeError:
            raise
        except OSError as error:
            raise UserError(f"standard output cannot be written ({error.strerror})") from error
        for row in piece.faults:
            meter.clear()
            print(shown(f"{name}:{row.line}: {row.fault}"), file=sys.stderr)
        rows, errors, place = rows + piece.rows, errors + len(piece.faults), piece.place
        meter.show(rows + errors, place.offset)
    return State(place, rows, errors)


def to_journal(done: Iterable[Done], journal: Journal, meter: Meter) -> None:
    """Write to the partial files; save the journal every :data:`SAVE` seconds, at the end, and on Ctrl-C.

    Raises UserError if a file cannot be written.
    """
    saved = time.monotonic()
    try:
        for piece in done:
            journal.append(piece.answers, piece.errors, piece.rows, len(piece.faults), piece.place)
            meter.show(journal.state.rows + journal.state.errors, piece.place.offset)
            if time.monotonic() - saved > SAVE:
                journal.save()
                saved = time.monotonic()
    except KeyboardInterrupt:
        journal.save()
        raise
    journal.save(complete=True)


def _joined(lines: list[str]) -> bytes:
    return "".join(chain.from_iterable((line, "\n") for line in lines)).encode()
