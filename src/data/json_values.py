"""One JSON value: an object that can be written again, or what is wrong with it."""

import json
from collections.abc import Callable
from typing import Any

from ..errors import kind_of, quoted

MOST_DEPTH = 100  # deepest nesting of a row: writing a deeper one again could exceed Python's recursion limit
TOO_DEEP = f"objects and lists stand in each other more than {MOST_DEPTH} deep"


def json_object(text: str, decode: Callable[[str], Any]) -> dict[str, Any] | str:
    """A JSON object, or what is wrong with the text."""
    try:
        return fit(decode(text), text)
    except json.JSONDecodeError as error:
        return f"not valid JSON: {error.msg} at column {error.colno}"
    except ValueError as error:
        return f"not valid JSON: {error}"
    except RecursionError:
        return TOO_DEEP


def fit(row: Any, text: str) -> dict[str, Any] | str:
    """An object that can be written as JSON again, or what is wrong with it; ``text`` is what it was read from."""
    if text.count("[") + text.count("{") > MOST_DEPTH and _deeper(row, MOST_DEPTH):
        return TOO_DEEP
    if "\\ud" in text or "\\uD" in text:  # in valid UTF-8 only an escape can hold half a character
        try:
            json.dumps(row, ensure_ascii=False).encode()
        except UnicodeEncodeError:
            return "the text holds half of a character (a lone surrogate); was an emoji cut?"
    if isinstance(row, dict):
        return row
    return f"one JSON object a line is expected, this is {'a text' if isinstance(row, str) else kind_of(row)}"


def _deeper(value: Any, limit: int) -> bool:
    level = [value]
    for _ in range(limit + 1):
        level = [item for item in level if isinstance(item, dict | list)]
        if not level:
            return False
        level = [each for item in level for each in (item.values() if isinstance(item, dict) else item)]
    return True


def unique(clean: Callable[[str], str] | None, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object of ``pairs``, its names cleaned. Raises ValueError for a name with two values."""
    row = {clean(key): value for key, value in pairs} if clean else dict(pairs)
    if len(row) < len(pairs):
        for key, value in pairs:
            if row[clean(key) if clean else key] != value:
                raise ValueError(f"the key {quoted(key)} is there twice with different values")
    return row
