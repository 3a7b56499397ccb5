"""Check plain values against type annotations, and word the annotations for messages."""

import inspect
import typing
from collections.abc import Sequence
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin


def hints(made: Any) -> dict[str, Any]:
    """The annotations of a class's constructor or of a function; none where they cannot be resolved."""
    try:
        return typing.get_type_hints(made.__init__ if inspect.isclass(made) else made)
    except (NameError, TypeError):  # a library's annotations that cannot be resolved are not checked
        return {}


def fits(value: Any, hint: Any) -> bool:
    """Whether a plain value may be passed where ``hint`` is declared; what cannot be judged passes."""
    origin = get_origin(hint)
    if origin in (Union, UnionType):
        return any(fits(value, option) for option in get_args(hint))
    if origin is Literal:
        return value in get_args(hint)
    if hint is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    if hint in (bool, str):
        return isinstance(value, hint)
    if hint is type(None):
        return value is None
    if inspect.isclass(origin) and issubclass(origin, Sequence):
        return isinstance(value, list | tuple)
    return True


def words(hint: Any) -> str:
    """An annotation as a user reads it."""
    if get_origin(hint) in (Union, UnionType):
        return " or ".join(dict.fromkeys(words(option) for option in get_args(hint)))
    if get_origin(hint) is Literal:
        return ", ".join(map(str, get_args(hint)))
    plain = {int: "an integer", float: "a number", bool: "true or false", str: "text", type(None): "null"}
    return plain.get(hint, "a list" if get_origin(hint) else str(hint))


def shown(value: Any) -> str:
    """A value as it stands in a YAML file."""
    return "null" if value is None else str(value)
