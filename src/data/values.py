"""What a cell of a label column says: a sentiment, "mentioned", "not mentioned", or something that has to be explained.

Words that everybody writes alike are known. Numbers are not: in one public file 2 is negative, in the next it is "not
mentioned". So a number means nothing until ``data.values`` says what it means.
"""

import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ..errors import Faults, UserError, did_you_mean, listed, quoted
from ..labels import SENTIMENTS, sentiments_of
from ..spelling import pasted, set_to, setting, value
from .nfc import composed

MENTIONED, BLANK, SEVERAL, NUMBER, BAD = 100, 101, 102, 103, 104  # what a cell can say beside a sentiment, 0..C-1

SYNONYMS = {  # of the sentiments that have these names
    "positive": ("pos", "tích cực"),
    "negative": ("neg", "tiêu cực"),
    "neutral": ("neu", "trung tính", "trung lập"),
}
BLANKS = ("", "nan", "none", "null", "<na>", "na", "n/a", "#n/a", "-", "không", "no aspect")
SAID = "mentioned"
NUMERIC = re.compile(r"[+-]?\d{1,15}(?:\.\d{1,15})?")
BETWEEN = re.compile(r"[,;|/+&]")  # what may stand between several sentiments in one cell
AROUND = " \t\r\n[](){}"
LONG = 1_000  # letters or items, from which on a cell is not taken apart
ROOM = 1 << 14  # different cells that are remembered with their meaning
Meanings = Mapping[Any, Any] | str | None  # data.values as a mapping, or as the text "0=,1=positive"


class Values:
    """The meaning of cells under the settings ``data.sentiments``, ``data.values`` and ``data.several``.

    One object serves all files of a command: it gathers the numbers that nobody explained, so that one question asks
    about all of them (:meth:`ask`). Raises UserError with all that is wrong with the settings.
    """

    def __init__(
        self, sentiments: Sequence[str] = SENTIMENTS, values: Meanings = None, several: str | None = None
    ) -> None:
        listing = isinstance(sentiments, Sequence) and not isinstance(sentiments, str)
        names = [composed(n) if isinstance(n, str) else n for n in sentiments] if listing else sentiments
        try:
            self.sentiments = sentiments_of(names)
        except ValueError as error:
            raise UserError(f"{setting('sentiments')}: {error}") from None
        self.spoken = tuple(name[:1].upper() + name[1:] for name in self.sentiments)  # as messages show them
        known = dict.fromkeys(BLANKS, BLANK) | {SAID: MENTIONED}
        for code, name in enumerate(self.sentiments):
            known |= {key_of(word): code for word in SYNONYMS.get(name.casefold(), ())}
        self._known = known | {key_of(name): code for code, name in enumerate(self.sentiments)}
        faults: list[str] = []
        self.several = None if several is None else self._class(several, "several", faults)
        given = self._explained(parsed(values), faults)
        if faults:
            raise UserError(faults)
        self._given = dict(given)
        self._known |= given
        self._met: dict[str, int] = {}
        self._asked: dict[
            str, tuple[Counter[str], Counter[str], dict[str, None]]
        ] = {}  # file -> numbers, words, columns

    def __call__(self, cell: object) -> int:
        """The sentiment's number, 0..C-1, or MENTIONED, BLANK, SEVERAL, NUMBER (not explained) or BAD."""
        if not isinstance(cell, str):
            return self._code(cell)
        code = self._met.get(cell)
        if code is None:
            code = self._code(cell)
            if len(self._met) < ROOM and len(cell) < 100:
                self._met[cell] = code
        return code

    def name(self, code: int) -> str:
        """A sentiment's name, or ``mentioned``."""
        return self.sentiments[code] if code < len(self.sentiments) else SAID

    def unexplained(self, cell: object) -> Iterator[str]:
        """The numbers in a cell that :meth:`__call__` called NUMBER, as they are counted."""
        for part in _parts(cell) or (cell,):
            if (key := key_of(part)) not in self._known and (_is_number(key) or isinstance(part, bool)):
                yield key

    def _code(self, cell: object) -> int:
        if cell is None or (isinstance(cell, float) and math.isnan(cell)):
            return BLANK
        cell = cell.strip() if isinstance(cell, str) else cell
        if isinstance(cell, str | list | tuple) and len(cell) > LONG:
            return BAD
        if isinstance(cell, str | bool | int | float):
            key = key_of(cell)
            if (code := self._known.get(key)) is not None:
                return code
            if _is_number(key) or isinstance(cell, bool):
                return NUMBER
        parts = _parts(cell)
        if parts is None:
            return BAD
        codes = {self._code(part) for part in parts}
        if len(codes) < 2:
            return codes.pop() if codes else BLANK
        return max(max(codes & {NUMBER, BAD}, default=0), BAD if BLANK in codes else SEVERAL)

    # --- the settings ------------------------------------------------------------------------------------------------

    def _explained(self, given: Mapping[Any, Any], faults: list[str]) -> dict[str, int]:
        found: dict[str, int] = {}
        for word, meaning in given.items():
            key = key_of(word)
            code = BLANK if meaning is None else self._class(meaning, f"values: {word}", faults)
            if code is not None and found.setdefault(key, code) != code:
                faults.append(f"{setting('values')}: {quoted(key)} is there twice, with two meanings")
        return found

    def _class(self, meaning: object, where: str, faults: list[str]) -> int | None:
        code = self._known.get(key_of(meaning)) if isinstance(meaning, str | int | float) else None
        choices = (*self.sentiments, SAID, *["null"] * where.startswith("values"))
        if code is None or (code == BLANK and where == "several"):
            name, _, key = where.partition(": ")
            told = (
                f"{setting(name)}: {quoted(key)} is to mean {quoted(meaning)}, which"
                if key
                else (f"{setting(name)}={quoted(meaning)}")
            )
            remedy = f"; more sentiments: {setting('sentiments')}" * bool(key)
            faults.append(f"{told} is not one of {listed(choices)}{did_you_mean(str(meaning), choices)}{remedy}")
        return code

    # --- numbers that nobody explained -------------------------------------------------------------------------------

    def note(self, file: str, numbers: Counter[str], words: Counter[str], columns: Sequence[str]) -> None:
        """Remember, for :meth:`ask`, the unexplained ``numbers`` of a file and what its other cells say."""
        self._asked[file] = numbers, words, dict.fromkeys(columns)

    def asks(self, file: str) -> bool:
        """Whether a file has numbers that :meth:`ask` asks about."""
        return file in self._asked

    def ask(self, faults: Faults) -> None:
        """Record one fault that asks for the meaning of all numbers that :meth:`note` was told of, if there are any."""
        if not self._asked:
            return
        numbers, words, columns = Counter[str](), Counter[str](), dict[str, None]()
        for more_numbers, more_words, more_columns in self._asked.values():
            numbers += more_numbers
            words += more_words
            columns |= dict.fromkeys(more_columns)
        ordered = sorted(numbers, key=_rank)
        told = ", ".join(f"{key} ({numbers[key]:,} times)" for key in ordered[:20]) + ", ..." * (len(ordered) > 20)
        beside = ", ".join(f"{word} ({count:,})" for word, count in words.most_common())
        where = (
            f"the column{'s' * (len(columns) > 1)} {listed(tuple(columns))}"
            if len(columns) < 4
            else (f"{len(columns)} columns")
        )
        example = explaining({**self._given_words(), **self._example(ordered[:20])})
        meanings = f"{', '.join(self.sentiments)}, null for not mentioned, or {SAID}"
        faults.add(
            ", ".join(self._asked),
            f"{where} hold{'s' * (len(columns) == 1)} numbers that may mean anything: {told}"
            f"{f', beside {beside}' if beside else ''}; say what each means ({meanings}), for example {example}",
        )

    def _given_words(self) -> dict[str, str | None]:
        return {key: None if code == BLANK else self.name(code) for key, code in self._given.items()}

    def _example(self, keys: Sequence[str]) -> dict[str, str | None]:
        """A mapping that shows how the answer is written; which number means what is the user's to say."""
        if self.sentiments == SENTIMENTS and {"-1", "1"} <= set(keys) <= {"-1", "0", "1", "2"}:
            usual = {"-1": "negative", "0": "neutral", "1": "positive", "2": None}
            return {key: usual[key] for key in keys}
        left = [name for code, name in enumerate(self.sentiments) if code not in self._given.values()]
        names: list[str | None] = [None, *left] if "0" in keys else [*left]
        names += [None] * (len(keys) - len(names))
        return dict(zip(keys, names, strict=False))


def key_of(cell: object) -> str:
    """A cell as it is compared: NFC, any case, single blanks; 1, "1", "01" and 1.0 are one number."""
    if isinstance(cell, bool):
        return str(cell).lower()
    if isinstance(cell, str):
        cell = " ".join(composed(cell).casefold().split()).replace("−", "-")
        if not NUMERIC.fullmatch(cell):
            return cell
    try:
        number = float(cell)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        return str(cell)
    return str(int(number)) if number.is_integer() else repr(number)


def parsed(values: Meanings) -> Mapping[Any, Any]:
    """``data.values`` as a mapping; the text ``0=,1=positive`` is one too. Raises UserError for what is neither."""
    if values is None:
        return {}
    if isinstance(values, Mapping):
        return values
    pairs = [pair.partition("=") for pair in str(values).split(",") if pair.strip()] if isinstance(values, str) else []
    if not pairs or not all(sign for _, sign, _ in pairs):
        told = "0=,1=positive,2=negative (nothing after the sign: not mentioned)"
        raise UserError(f"{set_to('values', str(values))}: expected one meaning for each value, such as {told}")
    found: dict[str, str | None] = {}
    for word, _, meaning in pairs:
        if found.setdefault(key_of(word), meaning.strip() or None) != (meaning.strip() or None):
            raise UserError(f"{setting('values')}: {quoted(key_of(word))} is there twice, with two meanings")
    return found


def explaining(meanings: Mapping[str, str | None]) -> str:
    """What one types to explain values: ``'data.values={0: null, 1: positive}'``, or the option of ``absa check``."""
    text = ",".join(f"{key}={name or ''}" for key, name in meanings.items())
    if setting("values").startswith("-") or not all(re.fullmatch(r"[\w./+-]+", key, re.ASCII) for key in meanings):
        return set_to("values", text)
    return pasted(["data.values={" + ", ".join(f"{key}: {value(name)}" for key, name in meanings.items()) + "}"])


def _parts(cell: object) -> list[Any] | None:
    """What a cell lists (a list, or text such as ``[-1, 1]``): plain values; None for another cell."""
    if isinstance(cell, list | tuple):
        plain = all(part is None or isinstance(part, str | int | float) for part in cell)
        return [part for part in cell if part is not None and part != ""] if plain else None
    if not isinstance(cell, str):
        return None
    inner = cell.strip(AROUND)
    if not inner:
        return [] if cell.strip() else None
    if inner == cell.strip() and not BETWEEN.search(inner):
        return None
    return [part for word in BETWEEN.split(inner) if (part := word.strip(f"{AROUND}'\""))] or None


def _is_number(key: str) -> bool:
    return NUMERIC.fullmatch(key) is not None


def _rank(key: str) -> tuple[float, str]:
    return (float(key), key) if _is_number(key) else (math.inf, key)
