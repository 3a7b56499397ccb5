"""How far a long command is: one line on a terminal, renewed twice a second; nothing anywhere else."""

import sys
import time

EVERY = 0.5  # seconds


class Meter:
    """``size`` and ``begun``: the input's size and where in it this command began; ``rows``: those before it."""

    def __init__(self, size: int | None, begun: int, rows: int = 0) -> None:
        self._size, self._begun, self._rows_before = size, begun, rows
        self._on = sys.stderr.isatty()
        self.start()

    def start(self) -> None:
        """Count seconds from now on."""
        self._start = self._shown = time.monotonic()

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._start

    def show(self, rows: int, place: int) -> None:
        """``rows`` in all and the place after them."""
        now = time.monotonic()
        if not self._on or now - self._shown < EVERY:
            return
        self._shown = now
        parts = [f"{rows:,} rows", f"{(rows - self._rows_before) / self.seconds:,.0f} rows/s"]
        if self._size and place > self._begun:
            left = self.seconds * (self._size - place) / (place - self._begun)
            parts += [f"{100 * place / self._size:.0f} %", f"{duration(left)} left"]
        print("\r\x1b[K" + "   ".join(parts), end="", file=sys.stderr, flush=True)

    def say(self, text: str) -> None:
        """A line in place of the numbers, until they are shown again."""
        if self._on:
            print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)

    def clear(self) -> None:
        """Leave the line to whatever comes next."""
        self.say("")


def duration(seconds: float) -> str:
    """``8 s``, ``3 min 20 s``, ``2 h 5 min``."""
    seconds = round(seconds)
    if seconds < 60:
        return f"{seconds} s"
    if seconds < 3600:
        return f"{seconds // 60} min {seconds % 60} s"
    return f"{seconds // 3600} h {seconds % 3600 // 60} min"
