"""A user's mistakes: the exceptions for them, and how messages print values, lists of names and suggestions."""

import difflib
import json
import logging
import os
import re
import sys
from collections.abc import Sequence
from functools import lru_cache
from typing import NoReturn

# what a terminal acts on, or what turns a line around: all controls but tab and line feed, marks of direction
CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")


def shown(text: object) -> str:
    """A text for a terminal: what the terminal would act on, such as escape sequences, is written as in Python source.

    Names, texts and paths come from other people's files. Line feeds and tabs stay.
    """
    return CONTROLS.sub(lambda found: found[0].encode("unicode_escape").decode(), str(text))


def print_lines(*lines: object) -> None:
    """Print lines to standard output, in the one way that every program prints what files may hold."""
    print(*(coloured(shown(line)) for line in lines), sep="\n", flush=True)


class Shown(logging.Formatter):
    """Log lines as :func:`shown` writes them."""

    def format(self, record: logging.LogRecord) -> str:
        return shown(super().format(record))


class Coloured(Shown):
    """Log lines for the screen: warnings in colour, too; ``conf/config.yaml`` names it."""

    def format(self, record: logging.LogRecord) -> str:
        return coloured(super().format(record))


class UserError(Exception):
    """A mistake in a file, a setting or a command: printed as it is, exit status 2.

    Carries every fault that was found, one line each, so that all can be mended in one go. A bug is any other
    exception and keeps its traceback.
    """

    def __init__(self, faults: str | Sequence[str]) -> None:
        self.faults = [faults] if isinstance(faults, str) else list(faults)
        super().__init__("\n".join(self.faults))

    def _render_traceback_(self) -> list[str]:
        return [f"error: {self}"]  # IPython shows this in place of a traceback


class NoRoom(UserError):
    """The disk is full or cannot be written. A sweep stops there, because its next run would most likely fail too."""


def coloured(text: str) -> str:
    """``text``, its lines that begin with WARNING in yellow where standard output shows colours.

    That is a terminal; NO_COLOR turns it off (https://no-color.org). The old console of Windows would print the codes.
    """
    watched = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
    shows = "WT_SESSION" in os.environ if os.name == "nt" else os.environ.get("TERM", "dumb") != "dumb"
    return re.sub(r"^WARNING.*$", "\x1b[33m\\g<0>\x1b[0m", text, flags=re.M) if watched and shows else text


def tell(error: object) -> None:
    """Print a user's mistake, in the one way that every program does."""
    print(shown(f"error: {error}"), file=sys.stderr)


def refuse(error: object) -> NoReturn:
    """Print a user's mistake and end with exit status 2. Raises SystemExit, which shows no traceback."""
    tell(error)
    raise SystemExit(2) from None


class Faults:
    """The faults of all files that one command reads, gathered so that one message names them all."""

    SHOWN = 20

    def __init__(self) -> None:
        self._found: list[tuple[str, int, str]] = []
        self._untold = 0
        self.spare: dict[str, None] = {}  # columns of any of the files that the user may want to leave out

    def __len__(self) -> int:
        return len(self._found) + self._untold

    def add(self, path: str, message: str, line: int = 0) -> None:
        """Record a fault at a line of a file, or of the whole file (line 0)."""
        self._found.append((path, line, message))

    def add_untold(self, count: int) -> None:
        """Count further faults without their messages: SHOWN like them are recorded, and no more are printed."""
        self._untold += count

    def raise_if_any(self, remedy: str = "") -> None:
        """Raise UserError if there are faults: those of whole files first, then by file and line, SHOWN at most.

        ``remedy`` is a last line, for what mends several of them at once.
        """
        if not self._found:
            return
        order = {path: i for i, path in enumerate(dict.fromkeys(path for path, _, _ in self._found))}
        found = sorted(self._found, key=lambda fault: (fault[1] > 0, order[fault[0]], fault[1]))
        told = [f"{path}:{line}: {message}" if line else f"{path}: {message}" for path, line, message in found]
        more = len(self) - min(len(told), self.SHOWN)
        raise UserError(told[: self.SHOWN] + ([f"... and {more:,} more"] if more else []) + [remedy] * bool(remedy))


def quoted(value: object, limit: int = 60) -> str:
    """A value as an error message shows it: on one line, in double quotes, not too long."""
    text = str(value)
    return json.dumps(text if len(text) <= limit else text[: limit - 1] + "…", ensure_ascii=False)


def listed(names: Sequence[str], limit: int = 15) -> str:
    """Names as an error message shows them: on one line, not too many."""
    shown = [name if name.isprintable() and 0 < len(name) <= 60 else quoted(name) for name in names[:limit]]
    return ", ".join([*shown, *["..."] * (len(names) > limit)])


@lru_cache(maxsize=1024)
def did_you_mean(word: str, names: tuple[str, ...]) -> str:
    """``; did you mean "Positive"?`` where one of the names is close to the word, else an empty text."""
    lower = {name.lower(): name for name in names[:1000]}  # each takes microseconds
    close = difflib.get_close_matches(word.strip().lower()[:100], lower, 1)
    return f"; did you mean {quoted(lower[close[0]])}?" if close else ""


def kind_of(value: object) -> str:
    """A cell that is not a text, as an error message names it: a list, dict or bytes by type, others by value."""
    return f"a {type(value).__name__}" if isinstance(value, list | dict | bytes) else str(value)
