"""Text in any encoding as a stream of UTF-8 whose lines end with a line feed."""

import codecs
import re
from io import BufferedReader, RawIOBase

MARKS = {  # what a file may begin with -> the encoding that it names; the longer marks first
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
    codecs.BOM_UTF8: None,
}
RECODED = 1 << 16
codecs.register_error("absa-escape", lambda error: _escaped(error))


def marked(head: bytes) -> tuple[bool, str | None]:
    """Whether a file begins with a byte order mark, and the encoding that the mark names; None is UTF-8."""
    return next(((True, encoding) for mark, encoding in MARKS.items() if head.startswith(mark)), (False, None))


def known_encoding(name: str) -> str | None:
    """The name of an encoding of text as Python calls it; None for a name that is none."""
    try:
        codec = codecs.lookup(name)
    except (LookupError, ValueError):
        return None
    return codec.name if codec._is_text_encoding else None


def lacks_its_mark(head: bytes) -> str | None:
    """The encoding of what looks like UTF-16 without a mark: every second byte of much of it is zero."""
    little, big = head[1:400:2].count(0), head[0:400:2].count(0)
    if 3 * max(little, big) < len(head[:400:2]) or len(head) < 8:
        return None
    return "utf-16-le" if little > big else "utf-16-be"


def ends_lines_with_cr(head: bytes) -> bool:
    """Whether a UTF-8 text has carriage returns and no line feed, as old Excels for Mac write it."""
    return b"\n" not in head and re.search(rb"\r.", head, re.DOTALL) is not None


def recoded(file: BufferedReader, encoding: str | None, cr: bool = False) -> BufferedReader:
    """The stream of ``file``, decoded by ``encoding`` (None: UTF-8), as UTF-8; ``cr``: carriage returns end lines.

    A byte that the encoding does not have becomes one that UTF-8 does not have, so that the row with it is refused.
    """
    return BufferedReader(_Recoded(file, encoding or "utf-8", cr), RECODED)


class _Recoded(RawIOBase):
    def __init__(self, file: BufferedReader, encoding: str, cr: bool) -> None:
        self._file, self._cr = file, cr
        self._make = codecs.getincrementaldecoder(encoding)
        self._begin()

    def _begin(self) -> None:
        self._decoder, self._ready, self._offset, self._ended = self._make("absa-escape"), b"", 0, False

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return self._file.seekable()

    def fileno(self) -> int:
        return self._file.fileno()

    def tell(self) -> int:
        return self._offset

    def seek(self, offset: int, whence: int = 0) -> int:
        """Go to an offset from the start; everything before it is read again, as in a packed file."""
        if offset < self._offset:
            self._file.seek(0)
            self._begin()
        while self._offset < offset and self.read(min(RECODED, offset - self._offset)):
            pass
        return self._offset

    def readinto(self, buffer: "bytearray | memoryview") -> int:  # type: ignore[override]
        while not self._ready and not self._ended:
            raw = self._file.read1(RECODED)
            text = self._decoder.decode(raw, not raw)
            self._ended = not raw
            if self._cr:
                text = text.replace("\r", "\n")  # of "\r\n" it makes a blank line, which is no row
            self._ready = text.encode("utf-8", "surrogateescape")
        taken = self._ready[: len(buffer)]
        self._ready = self._ready[len(taken) :]
        buffer[: len(taken)] = taken
        self._offset += len(taken)
        return len(taken)


def _escaped(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeDecodeError):
        raise error
    byte = error.object[error.start]
    return chr(0xDC00 + byte if byte >= 0x80 else 0xDCFF), error.end
