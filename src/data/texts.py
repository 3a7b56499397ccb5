"""Many strings in one block of memory, for data sets of a million reviews."""

from array import array
from collections.abc import Iterable, Iterator, Sequence
from typing import overload

import numpy as np


class Texts(Sequence[str]):
    """A sequence of strings that keeps them as UTF-8, one after the other: 12 bytes a string on top of its letters.

    A list of ``str`` takes 60 to 80 bytes a string, and two to four a letter outside Latin-1. Equal to any list, tuple
    or Texts of equal strings; grows by ``append``; :meth:`take` shares the block, so that a selection copies no letter.
    """

    def __init__(self, texts: Iterable[str] = ()) -> None:
        self._block = bytearray()
        self._starts, self._sizes = array("q"), array("I")  # bytes
        for text in texts:
            self.append(text)

    def append(self, text: str) -> None:
        encoded = text.encode()
        self._starts.append(len(self._block))
        self._sizes.append(len(encoded))
        self._block += encoded

    def take(self, rows: np.ndarray) -> "Texts":
        """The strings at the positions ``rows``, int [M]."""
        taken = Texts()
        taken._block = self._block
        taken._starts.frombytes(np.asarray(self._starts)[rows].tobytes())
        taken._sizes.frombytes(np.asarray(self._sizes)[rows].tobytes())
        return taken

    def __len__(self) -> int:
        return len(self._starts)

    def __iter__(self) -> Iterator[str]:
        block = self._block
        for start, size in zip(self._starts, self._sizes, strict=True):
            yield block[start : start + size].decode()

    @overload
    def __getitem__(self, where: int) -> str: ...
    @overload
    def __getitem__(self, where: slice) -> list[str]: ...
    def __getitem__(self, where: int | slice) -> str | list[str]:
        if isinstance(where, slice):
            return [self[i] for i in range(len(self))[where]]
        start = self._starts[where]
        return self._block[start : start + self._sizes[where]].decode()

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Texts | list | tuple):
            return NotImplemented
        return len(self) == len(other) and all(a == b for a, b in zip(self, other, strict=True))

    def __repr__(self) -> str:
        return f"Texts({self[:]!r})"
