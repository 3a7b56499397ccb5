"""The progress of a long command: tqdm's line on a terminal; if standard error is no terminal, nothing."""

import sys
import time
from shutil import get_terminal_size
from typing import Any

from tqdm import tqdm

EVERY = 0.5  # seconds between updates of the line


class Meter:
    """``size`` is the input's size (None if unknown), ``begun`` the place in it where this command begins.

    ``rows`` is the number of rows that an earlier command did.
    """

    def __init__(self, size: int | None, begun: int, rows: int = 0) -> None:
        self._size, self._begun, self._rows_before = size, begun, rows
        self._bar: Any = None
        self.start()

    def start(self) -> None:
        """Begin to count the seconds, anew if called again: loading the model is not part of the speed."""
        self._start = time.monotonic()
        if self._bar is not None:
            self._bar.close()
        self._bar = tqdm(
            total=self._size,
            initial=self._begun,
            bar_format="{desc}",
            disable=None,  # tqdm disables itself if standard error is no terminal
            file=sys.stderr,
            leave=False,
            mininterval=EVERY,
            miniters=0,
            ncols=get_terminal_size().columns
            - 1,  # given, as tqdm shows nothing on a terminal that does not know its size
            nrows=2,
        )

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._start

    def show(self, rows: int, place: int) -> None:
        """Show ``rows``, the number of rows in all, and ``place``, the place in the input after them."""
        speed = (rows - self._rows_before) / max(self.seconds, 1e-9)
        self._bar.bar_format = "{desc}  {percentage:.0f}% |{bar}| {remaining} left" if self._size else "{desc}"
        self._bar.set_description_str(f"{rows:,} rows  {speed:,.0f} rows/s", refresh=False)
        self._bar.update(place - self._bar.n)

    def say(self, text: str) -> None:
        """Show ``text`` in place of the numbers, until the next ``show``."""
        self._bar.bar_format = "{desc}"
        self._bar.set_description_str(text)

    def clear(self) -> None:
        """Clear the line for other output, until the next ``show``."""
        self._bar.clear()

    def close(self) -> None:
        """Clear the line and end."""
        self._bar.close()


def duration(seconds: float) -> str:
    """Seconds in words: ``8 s``, ``3 min 20 s``, ``2 h 5 min``."""
    seconds = round(seconds)
    if seconds < 60:
        return f"{seconds} s"
    if seconds < 3600:
        return f"{seconds // 60} min {seconds % 60} s"
    return f"{seconds // 3600} h {seconds % 3600 // 60} min"
