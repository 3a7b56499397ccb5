"""How settings and commands are typed, so that whatever a message prints can be pasted.

A value passes two readers: Hydra's grammar, which takes a few ASCII characters without quotes, and the shell. Values
from the data and from the disk (columns, separators, folders) therefore go through this module into every message.
"""

import os
import re
import shlex
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any

POWERSHELL = os.name == "nt"  # the shell that commands are written for; else a POSIX shell
# Texts that Hydra's grammar takes without quotes. A backslash needs none only where it escapes nothing.
BARE = re.compile(r"(?:[A-Za-z0-9_/.%@?|+*:-]|\\(?=[A-Za-z0-9_.]))+")
# Texts that it reads as a number, a truth value or null; such a text needs quotes to stay a text.
TYPED = re.compile(
    r"[+-]?(?:(?:\d[\d_]*\.?[\d_]*|\.\d[\d_]*)(?:e[+-]?\d[\d_]*)?|inf|nan)|true|false|null", re.IGNORECASE
)
SHELL_BARE = re.compile(r"[\w/.:\\=+%-]+")  # words that PowerShell takes without quotes
SHELL_QUOTES = re.compile("(['‘’‚‛])")  # PowerShell ends a quoted word at any of them
PROGRAMS = ("train.py", "pretrain.py", "search.py")
_as_options: ContextVar[bool] = ContextVar("as_options", default=False)


def quoted_value(text: str) -> str:
    """A text between quotes, as Hydra's grammar reads it back.

    For PowerShell the quotes are single ones where possible, because Windows PowerShell 5 drops double quotes when it
    starts a program.
    """
    first, other = ("'", '"') if POWERSHELL else ('"', "'")
    quote = other if first in text and other not in text else first
    # Hydra reads backslashes as escapes only before a quote, so only those are doubled
    return quote + re.sub(rf"(\\*)({quote}|\Z)", lambda m: m[1] * 2 + (f"\\{quote}" if m[2] else ""), text) + quote


def value(given: Any) -> str:
    """A plain value as Hydra's grammar reads it back: a text stays a text, and ``${`` in it is no interpolation."""
    if given is None or isinstance(given, bool):
        return {None: "null", True: "true", False: "false"}[given]
    if isinstance(given, int | float):
        return repr(given)
    if isinstance(given, list | tuple):
        return "[" + ",".join(map(value, given)) + "]"
    text = str(given)
    if BARE.fullmatch(text) and not TYPED.fullmatch(text):
        return text
    return quoted_value(re.sub(r"(\\*)\$\{", lambda m: m[1] * 2 + r"\${", text))


def override(key: str, given: Any) -> str:
    """``key=value`` as Hydra's grammar reads it back; for a shell it still goes through :func:`pasted`."""
    return f"{key}={value(given)}"


def pasted(words: Sequence[str]) -> str:
    """One line that a shell splits into ``words`` again: PowerShell on Windows, else a POSIX shell."""
    return " ".join(map(_for_powershell, words)) if POWERSHELL else shlex.join(words)


def _for_powershell(word: str) -> str:
    dashed = word.startswith("-") and ("." in word or ":" in word)  # PowerShell splits such a word there
    if SHELL_BARE.fullmatch(word) and not dashed:
        return word
    return "'" + SHELL_QUOTES.sub(r"\1\1", word) + "'"


def command(program: str, words: Sequence[str] = (), here: bool = True) -> str:
    """The line that starts ``program`` (``train.py``, ``absa``) with these words.

    Interpreter and program are named as they were for this process. Not ``here``: as on any machine, for files that
    are handed on.
    """
    line = pasted([*(_started(program) if here else ["absa"] if program == "absa" else ["python", program]), *words])
    return f"& {line}" if line.startswith("'") and POWERSHELL else line  # else PowerShell reads a text, no program


def _started(program: str) -> list[str]:
    if program == "absa":
        beside = Path(sys.executable).with_name("absa.exe" if os.name == "nt" else "absa")
        return ["absa" if shutil.which("absa") or not beside.exists() else _short(str(beside))]
    started, typed = sys.argv[0], sys.orig_argv[1:]
    options = typed[: typed.index(started)] if started in typed else []  # such as -X utf8
    path = str(Path(started).with_name(program)) if Path(started).name in PROGRAMS else program
    return [_short(sys.orig_argv[0] or sys.executable or "python"), *options, from_here(path)]


def _short(executable: str) -> str:
    """A program's file as one types it: its name where the shell finds it by that, else its path."""
    name = Path(executable).name
    if os.path.normcase(shutil.which(name) or "") == os.path.normcase(executable):
        return name
    path = from_here(executable)
    return f".{os.sep}{path}" if path == name != executable else path  # a bare name would be looked for on PATH


def from_here(path: str | Path) -> str:
    """A path, from the working directory on if it lies within."""
    path, here = str(path), Path.cwd()
    return str(Path(path).relative_to(here)) if Path(path).is_relative_to(here) else path


# --- tables for a terminal -----------------------------------------------------------------------------------------


def table(rows: Sequence[Sequence[str]], left: int = 1, widest: int = 40) -> str:
    """Rows of cells, the first row the headings, as columns: the first ``left`` aligned left, the others right.

    A cell on the left has at most ``widest`` letters. Names come from data files, so letters that a terminal would act
    on, such as escape sequences, are printed as their escaped form.
    """
    told = [[_cut(visible(c), widest) if i < left else visible(c) for i, c in enumerate(row)] for row in rows]
    widths = [max(map(len, column)) for column in zip(*told, strict=True)]
    return "\n".join(
        "  ".join(
            c.ljust(w) if i < left else c.rjust(w) for i, (c, w) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in told
    )


def cell(value: str | float | None, digits: int = 3) -> str:
    """A value as a table shows it: ``-`` for None, floats with ``digits`` decimals, integers as ``1,234``."""
    if value is None or isinstance(value, str):
        return value or "-"
    return f"{value:.{digits}f}" if isinstance(value, float) else f"{value:,}"


def visible(text: str) -> str:
    """A text whose unprintable letters (escapes, line breaks) are written as in Python source: ``\\x1b``."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def _cut(text: str, widest: int) -> str:
    return text if len(text) <= widest else text[: widest - 1] + "…"


# --- settings of the data ------------------------------------------------------------------------------------------


@contextmanager
def as_options() -> Iterator[None]:
    """Within this context :func:`setting` names the options of ``absa check``, which has no Hydra settings."""
    before = _as_options.set(True)
    try:
        yield
    finally:
        _as_options.reset(before)


def setting(name: str) -> str:
    """A data setting under the name that the reader of the message types: ``data.text_column`` or ``--text-column``."""
    return "--" + name.replace("_", "-") if _as_options.get() else f"data.{name}"


def set_to(name: str, text: str) -> str:
    """What one types to set a setting of the data: ``'data.separator=";"'`` or ``--separator ';'``."""
    if _as_options.get():
        return pasted([f"{setting(name)}={text}"] if text.startswith("-") else [setting(name), text])
    return pasted([override(setting(name), text)])


def set_list(name: str, words: Sequence[str]) -> str:
    """What one types to set a setting that is a list: ``'data.sentiments=[a,b]'`` or ``--sentiments a b``."""
    return pasted([setting(name), *words] if _as_options.get() else [override(setting(name), list(words))])


def added_to(name: str, texts: Sequence[str], there: Sequence[str]) -> str:
    """What one types to add to a list that holds ``there``: an option adds to the list, an override replaces it."""
    if _as_options.get():
        return " ".join(set_to(name, text) for text in texts)
    return pasted([override(setting(name), [*there, *texts])])


def one_by_one(words: Sequence[str], options: Sequence[str], is_file: Callable[[str], bool]) -> list[str]:
    """A command line on which ``--aspects A B a.csv`` has become ``--aspects=A --aspects=B a.csv``.

    Each of ``options`` takes the next word, and those after it up to a file or another option.
    """
    typed: list[str] = []
    option, first = "", False
    for word, after in zip(words, [*words[1:], "-"], strict=True):
        listing = [name for name in options if len(word) > 2 and name.startswith(word)]
        if listing and not after.startswith("-"):
            option, first = listing[0], True
        elif option and not word.startswith("-") and (first or not is_file(word)):
            typed.append(f"{option}={word}")
            first = False
        else:
            typed.append(word)
            option = ""
    return typed
