"""Folders of the machine that trained, taken out of what leaves it: they name its user and say where data lie."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

PART = r"[^\s/\\'\"`,;:*?<>|(){}\[\]]+"
# the folders of an absolute path within a text: not of an address (https://...) and not of a relative path
FOLDERS = re.compile(
    rf"(?:(?<![\w:/.~)\]}}])|(?<=file://))/(?:{PART}/)+(?={PART})|(?<!\w)[A-Za-z]:[\\/](?:{PART}[\\/])*(?={PART})"
    rf"|(?<![\w\\])\\\\(?:{PART}\\)+(?={PART})"
)


def without_places(*known: Any) -> Callable[[Any], Any]:
    """A function that cuts absolute paths down to their last part, in texts and in dicts and lists of texts.

    ``known`` may be settings: a path that is the whole of a value there is found in texts even if it holds blanks.
    """
    home, here = str(Path.home()), str(Path.cwd())
    whole = {text for text in _texts([*known, home, here]) if _last(text)}
    ordered = sorted(whole, key=len, reverse=True)

    def cut(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: cut(item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [cut(item) for item in value]
        if not isinstance(value, str):
            return value
        for path in ordered:
            if path in value:
                last = _last(path).replace("\\", r"\\")
                value = re.sub(re.escape(path) + r"(?=[/\\]|\W|$)", last, value)
        return FOLDERS.sub("", value)

    return cut


def _texts(value: Any) -> Iterator[str]:
    """All texts, and of texts such as ``data.dir=/home/an/x`` what follows the first equals sign."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list | tuple):
        for item in value:
            yield from _texts(item)
    elif isinstance(value, str):
        yield value
        yield value.partition("=")[2].strip("'\"")


def _last(text: str) -> str:
    """The last part of an absolute path; an empty text for anything else."""
    for kind in (PurePosixPath, PureWindowsPath):
        path = kind(text)
        if path.is_absolute() and len(path.parts) > 2 and "\n" not in text:
            return path.name
    return ""
