"""Labels as lists and objects, in JSON or as text in a cell: what ``json.dumps`` and ``str`` of a Python value write.

``{"Pin": "positive"}``, ``[["Pin", "positive"]]``, ``[{"aspect": "Pin", "sentiment": "positive"}]``,
``["Pin#positive"]``, ``{"positive": ["Pin"]}``, and the lists of four of :mod:`src.data.layouts.acos`.
"""

import ast
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ...errors import kind_of, quoted
from ...labels import SENTIMENTS
from ..rows import clean_name
from ..values import SYNONYMS
from . import spans

ASPECT_KEYS = ("category", "aspect_category", "aspect", "entity", "name", "target", "term", "topic", "khía cạnh")
SENTIMENT_KEYS = ("sentiment", "polarity", "label", "value", "opinion_polarity", "cảm xúc")
KEYS = frozenset({*ASPECT_KEYS, *SENTIMENT_KEYS, ""})
MOST_LETTERS, DEEPEST = 1 << 20, 100  # letters of a cell, brackets in each other
SENTIMENT_WORDS = {*SENTIMENTS, "conflict", "mentioned", *(word for words in SYNONYMS.values() for word in words)}
LONGEST_FIRST = sorted(SENTIMENT_WORDS, key=len, reverse=True)
BEFORE_SENTIMENT = ("::", *":|/_,-")  # or white space
NO_COMMA = re.compile(r"""(['"])\s+(['"])""")  # how numpy writes a list of texts
NESTED = re.compile(r"[^()\[\]{}]")


def is_list(cell: object) -> bool:
    """Whether a cell holds labels in this way."""
    if isinstance(cell, str):
        text = cell.strip()
        if not (text.startswith(("[", "(", "{")) and text.endswith(("]", ")", "}"))):
            return False
    try:
        return bool(list_pairs(cell)) or cell in ({}, [])
    except ValueError:
        return False


def parsed_cell(text: str) -> Any:
    """The value that a text is written as, in JSON or in Python. Raises ValueError."""
    if len(text) > MOST_LETTERS:
        raise ValueError(f"a cell of labels has {len(text):,} letters, {MOST_LETTERS:,} at most are read")
    deepest = depth = 0
    for bracket in NESTED.sub("", text):
        depth += 1 if bracket in "([{" else -1
        deepest = max(deepest, depth)
    if deepest > DEEPEST:
        raise ValueError(f"lists stand in each other more than {DEEPEST} deep")
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        pass
    try:
        return ast.literal_eval(NO_COMMA.sub(r"\1, \2", text.strip()))
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        raise ValueError(f"neither JSON nor a list of Python: {quoted(text.strip())}") from None


def is_plain(cell: dict[str, object]) -> bool:
    """Whether an object is nothing but aspects with their sentiments as texts, as nearly all are."""
    return KEYS.isdisjoint(cell) and all(type(said) is str for said in cell.values())


def list_pairs(cell: object) -> list[tuple[str, object]]:
    """Aspect and cell (a sentiment, or a list of them) of each label. Raises ValueError."""
    value = parsed_cell(cell) if isinstance(cell, str) else cell
    if isinstance(value, dict):
        return list(_of_object(value))
    if not isinstance(value, list | tuple):
        raise ValueError(f"a list of labels is expected, this is {kind_of(value)}")
    return [pair for item in value for pair in _of_item(item)]


def _of_object(value: Mapping[Any, Any]) -> Iterator[tuple[str, object]]:
    aspect = _first(value, ASPECT_KEYS)
    if aspect is not None and _first(value, SENTIMENT_KEYS) is not None and not _is_sentiment(value[aspect]):
        yield _named(value[aspect]), value[_first(value, [key for key in SENTIMENT_KEYS if key != aspect]) or aspect]
    elif value and all(_is_sentiment(key) and isinstance(names, list) for key, names in value.items()):
        yield from ((_named(name), key) for key, names in value.items() for name in names)
    else:
        for key, said in value.items():
            if isinstance(said, dict):
                sentiment = _first(said, SENTIMENT_KEYS)
                if sentiment is None:
                    raise ValueError(f"{quoted(key)} holds an object without a sentiment; {_shown(said)}")
                said = said[sentiment]
            yield _named(key), said


def _of_item(item: Any) -> Iterator[tuple[str, object]]:
    if isinstance(item, str):
        yield _of_text(item)
    elif (label := spans.label(item)) is not None:
        yield from (_of_text(each) for each in label)
    elif isinstance(item, dict):
        aspect = _first(item, ASPECT_KEYS)
        alone = len(item) == 1 and not item.keys() & spans.PLACES and (aspect is None or _is_sentiment(item[aspect]))
        if not alone and (aspect is None or _first(item, SENTIMENT_KEYS) is None):
            raise ValueError(f"a label needs an aspect and a sentiment; {_shown(item)}")
        yield from _of_object(item)
    elif isinstance(item, list | tuple) and item and isinstance(item[0], str):
        yield from _of_list(item)
    else:
        raise ValueError(f'a label is expected, such as ["Pin", "positive"]; {_shown(item)}')


def _of_list(item: Sequence[Any]) -> Iterator[tuple[str, object]]:
    if len(item) == 1:
        yield _of_text(item[0])
    elif len(item) == 2:
        yield _named(item[0]), item[1]
    elif isinstance(item[1], str):  # term, category, sentiment, opinion
        category = item[1].strip()
        bare = category and "#" not in category and " " not in category
        yield _named(f"{item[0].strip()}#{category}" if bare else category), item[2]
    else:
        raise ValueError(f"a label of {len(item)} parts is term, category, sentiment, ...; {_shown(item)}")


def _of_text(text: Any) -> tuple[str, object]:
    if not isinstance(text, str):
        raise ValueError(f'a label is expected, such as "Pin#positive"; {_shown(text)}')
    inner = text.strip().removeprefix("{").removesuffix("}")
    name, sign, said = inner.rpartition("#")
    if sign:
        return _named(name), said
    if pair := _at_end(inner.strip()):
        return pair
    if _is_sentiment(inner):
        raise ValueError(f'{quoted(text)} is a sentiment without an aspect; "Pin#positive" is expected')
    return _named(inner), "mentioned"


def _at_end(text: str) -> tuple[str, str] | None:
    """Aspect and sentiment of ``Pin - positive``, ``Pin_positive`` and the like."""
    for word in LONGEST_FIRST:
        if text[-len(word) :].casefold() == word:
            before = text[: -len(word)]
            name = before.rstrip()
            sign = next((sign for sign in BEFORE_SENTIMENT if name.endswith(sign)), "")
            name = name.removesuffix(sign).rstrip()
            if name and (sign or before[-1].isspace()):
                return _named(name), text[-len(word) :]
    return None


def _named(name: Any) -> str:
    aspect = clean_name(name) if isinstance(name, str) else str(name) if isinstance(name, int) else ""
    if not aspect:
        raise ValueError(f"a label has no aspect: {quoted(name)}")
    return aspect


def _first(value: Mapping[Any, Any], keys: Sequence[str]) -> str | None:
    return next((key for key in keys if key in value), None)


def _is_sentiment(name: object) -> bool:
    return isinstance(name, str) and name.strip().casefold() in SENTIMENT_WORDS


def _shown(value: object) -> str:
    return f"found {quoted(value)}"
