"""Lines of a stream of any length, with their place in it and a way back."""

import zlib
from collections import deque
from typing import BinaryIO

LIMIT = 16 * 2**20  # bytes of a line or of a record, so that no file can fill the memory
LINES = 2**16  # of a record, as a short line takes a hundred times its bytes in memory
BOM = b"\xef\xbb\xbf"


class TooLong(Exception):
    """A line, or the lines since :meth:`Lines.mark`, are longer than :data:`LIMIT`, or more than :data:`LINES`."""


class Damaged(Exception):
    """The stream cannot be read any further: a damaged gzip file, or a disk that fails."""


class Lines:
    """Iterates over decoded lines, ends included. ``offset`` (bytes) and ``number`` are those of the next line.

    A line ends with a line feed. Bytes that are not UTF-8 come as lone surrogates (``surrogateescape``), and the first
    of them since the mark is kept in ``bad``, so that only the row that holds them is refused. A line that is too long
    is skipped, and raises TooLong. Raises Damaged where the stream breaks off.
    """

    def __init__(self, file: BinaryIO, encoding: str = "UTF-8") -> None:
        self.encoding = encoding  # of the file from which UTF-8 was made, for messages
        self.offset, self.number = 0, 1
        self.bad: int | None = None
        self._file = file
        self._ahead: deque[tuple[bytes | None, int]] = deque()  # lines to be read again: None for too long; bytes
        self._taken: list[tuple[bytes | None, int]] = []  # since the mark
        self._held = 0  # bytes of these
        self._broken: Damaged | None = None

    def __iter__(self) -> "Lines":
        return self

    def __next__(self) -> str:
        line = self._ahead.popleft() if self._ahead else self._read()
        raw, size = line
        if not size:
            raise StopIteration
        at_start = self.offset == 0
        self._taken.append(line)
        self._held += size
        self.offset += size
        self.number += 1
        if raw is None or self._held > LIMIT or len(self._taken) > LINES:
            raise TooLong
        if at_start:
            raw = raw.removeprefix(BOM)
        try:
            return raw.decode()
        except UnicodeDecodeError as error:
            if self.bad is None:
                self.bad = raw[error.start]
            return raw.decode(errors="surrogateescape")

    @property
    def blank(self) -> bool:
        """Whether the lines since the mark hold nothing but white space."""
        return all(raw is not None and not raw.strip() for raw, _ in self._taken)

    @property
    def taken(self) -> str:
        """The lines since the mark, without the lines that are too long."""
        return b"".join(raw for raw, _ in self._taken if raw is not None).decode(errors="surrogateescape")

    def mark(self) -> None:
        """A record begins here: :meth:`back` can go no further."""
        self._taken.clear()
        self._held, self.bad = 0, None

    def back(self, keep: int = 0) -> None:
        """Make the lines since the mark be read again, except the first ``keep``."""
        again = self._taken[keep:]
        self._ahead.extendleft(reversed(again))
        self.offset -= sum(size for _, size in again)
        self.number -= len(again)
        self.mark()

    def seek(self, offset: int, number: int) -> None:
        """Go on at a place that the attributes ``offset`` and ``number`` gave earlier."""
        self._file.seek(offset)
        self.offset, self.number = offset, number
        self._ahead.clear()
        self.mark()

    def _read(self) -> tuple[bytes | None, int]:
        if self._broken:
            raise self._broken
        try:
            raw = self._file.readline(LIMIT + 1)
            size = len(raw)
            if size <= LIMIT:
                return raw, size
            while raw and not raw.endswith(b"\n"):
                raw = self._file.readline(LIMIT)
                size += len(raw)
        except (OSError, EOFError, zlib.error) as error:  # gzip raises any of them for a damaged file
            self._broken = Damaged(str(error))
            raise self._broken from error
        return None, size
