"""Checks data read from a file against the TypedDict that declares its contents."""

from collections.abc import Mapping
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints, is_typeddict

WORDS = {str: "a text", int: "an integer", float: "a number", bool: "true or false", NoneType: "null"}


def faults_of(value: object, kind: Any, at: str = "") -> list[str]:
    """A message for each part of ``value``, read from JSON, that is missing or of another type than ``kind`` says.

    ``kind`` is a TypedDict, or a type within one: list, dict, a union, Literal, a plain type, Any. Further keys are
    allowed. A NaN is a number. ``at`` is the path to ``value``. An empty list means that ``value`` fits.
    """
    args = get_args(kind)
    if kind is Any:
        return []
    if get_origin(kind) in (Union, UnionType):
        fits = any(not faults_of(value, one, at) for one in args)
        return [] if fits else [_expected(" or ".join(map(_named, args)), value, at)]
    if get_origin(kind) is Literal:
        return [] if value in args else [_expected(" or ".join(map(repr, args)), value, at)]
    if get_origin(kind) is list:
        if not isinstance(value, list):
            return [_expected("a list", value, at)]
        return [fault for i, one in enumerate(value) for fault in faults_of(one, args[0], f"{at}[{i}]")]
    if get_origin(kind) is dict or is_typeddict(kind):
        if not isinstance(value, Mapping):
            return [_expected("an object", value, at)]
        above = f"{at}." if at else ""
        hints = get_type_hints(kind) if is_typeddict(kind) else dict.fromkeys(value, args[1] if args else Any)
        missing = sorted(getattr(kind, "__required_keys__", frozenset()) - value.keys())
        found = [f"{above}{key} is missing" for key in missing]
        return found + [f for k, hint in hints.items() if k in value for f in faults_of(value[k], hint, f"{above}{k}")]
    wanted = (int, float) if kind is float else kind
    fits = isinstance(value, wanted) and (kind is bool or not isinstance(value, bool))
    return [] if fits else [_expected(_named(kind), value, at)]


def _named(kind: Any) -> str:
    return WORDS.get(kind, "a list" if get_origin(kind) is list else "an object")


def _expected(what: str, value: object, at: str) -> str:
    shown = WORDS.get(type(value), "a list" if isinstance(value, list) else "an object")
    return f"{at + ' ' if at else ''}is {shown}, expected {what}"
