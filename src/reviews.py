"""Reviews out of a file: texts, and for every aspect whether it is mentioned and with which sentiment.

Two layouts, told apart by the columns. Braces: a column ``label`` or ``labels`` holds ``{CAMERA#Positive};{OTHERS};``
(in JSONL also an object, ``{"Camera": "positive", "Others": null}``). Wide: every column that is not the text, an id or
ignored is an aspect; a blank cell is "not mentioned", the cell ``mentioned`` is "mentioned without a sentiment".
"""

import re
from array import array
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import combinations
from pathlib import Path
from typing import NamedTuple

import numpy as np

from src.errors import UserError
from src.labels import IGNORE, SENTIMENTS, C
from src.tables import Faults, Table, clean_name, did_you_mean, listed, open_table, quoted

TEXT_COLUMNS = ("data", "text", "review", "comment", "content", "sentence")
LABEL_COLUMNS = ("label", "labels")
ID_COLUMNS = ("id", "index", "", "unnamed: 0", "__index_level_0__")  # the last three: the index as pandas saves it
IGNORED_COLUMNS = ("n_star", "date_time")  # of UIT-ViSFD

MENTIONED, BLANK, BAD = C, C + 1, C + 2  # what a cell can say beside a sentiment
SPOKEN = tuple(name.capitalize() for name in SENTIMENTS)
CODES = {name: code for code, name in enumerate(SENTIMENTS)} | {"mentioned": MENTIONED, "": BLANK}
BRACES = re.compile(r"\s*\{([^{}#;]+)(?:#([^{}#;]+))?\}\s*")


@dataclass
class Reviews:
    """One split in plain arrays: ``N`` reviews that have a text and at least one label, in the order of the file.

    ``lines`` are those where the rows begin, counted from 1 (Parquet: the row's number); ``ids`` are the file's, or the
    lines. ``mentioned`` is bool [N, A], ``sentiment`` int8 [N, A] with 0..2 or IGNORE. ``without_text`` and
    ``without_label`` are the lines of rows that were left out; a row that lacks both is in both.
    """

    path: str
    sha256: str
    texts: list[str]
    ids: list[str]
    lines: list[int]
    mentioned: np.ndarray
    sentiment: np.ndarray
    without_text: list[int] = field(default_factory=list)
    without_label: list[int] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.texts)

    @property
    def dropped(self) -> int:
        """Rows that were left out."""
        return len({*self.without_text, *self.without_label})

    @property
    def rows(self) -> int:
        """Rows that were read, those left out included."""
        return len(self) + self.dropped

    @property
    def class_counts(self) -> np.ndarray:
        """Pairs of every aspect and sentiment, int64 [A, C]."""
        return np.stack([(self.sentiment == c).sum(axis=0, dtype=np.int64) for c in range(C)], axis=1)

    @property
    def mention_counts(self) -> np.ndarray:
        """Reviews that mention each aspect, int64 [A]."""
        return np.asarray(self.mentioned.sum(axis=0, dtype=np.int64))

    def take(self, rows: np.ndarray) -> "Reviews":
        """The reviews at the positions ``rows``, int [M]. What was left out at reading stays behind."""
        texts, ids, lines = self.texts, self.ids, self.lines
        return Reviews(
            self.path,
            self.sha256,
            [texts[i] for i in rows],
            [ids[i] for i in rows],
            [lines[i] for i in rows],
            self.mentioned[rows],
            self.sentiment[rows],
        )


class Columns(NamedTuple):
    """What the user says of a file's columns; None is "told from their names"."""

    aspects: Sequence[str] | None = None
    text_column: str | None = None
    label_column: str | None = None
    ignore_columns: Sequence[str] = ()
    separator: str | None = None


def read_reviews(
    path: str | Path,
    *,
    aspects: Sequence[str] | None = None,
    text_column: str | None = None,
    label_column: str | None = None,
    ignore_columns: Sequence[str] = (),
    separator: str | None = None,
) -> tuple[Reviews, tuple[str, ...]]:
    """Read one file; returns its reviews and its aspects, in the order of the arrays' columns.

    Without ``aspects`` they are those of the file: in the order of its header, or sorted where no header names them
    (braces, JSONL). Raises UserError with every fault of the file.
    """
    faults = Faults()
    columns = Columns(aspects, text_column, label_column, ignore_columns, separator)
    loaded = load_reviews(path, columns, faults)
    faults.raise_if_any()
    assert loaded is not None
    return loaded


def load_reviews(path: str | Path, columns: Columns, faults: Faults) -> tuple[Reviews, tuple[str, ...]] | None:
    """:func:`read_reviews` of one file among several: what is wrong goes to ``faults``, the rest is returned."""
    declared = None if columns.aspects is None else _declared(columns.aspects)
    before = len(faults)
    table = open_table(path, faults, columns.separator)
    layout = _layout(table, columns, faults) if table else None
    if table is None or layout is None:
        return None
    labels = _Labels(table, layout, declared, faults)
    texts: list[str] = []
    ids: list[str] = []
    lines: list[int] = []
    without_text, without_label = [], []
    for line, cells in table.rows:
        said = labels.read(line, cells)
        text = cells.get(layout.text)
        if text is None or (isinstance(text, str) and (not text or text.isspace())):
            without_text.append(line)
        elif not isinstance(text, str):
            faults.add(table.path, f"{quoted(layout.text)} holds {_kind(text)}, a text is expected", line)
        elif said:
            name = None if layout.id is None else cells.get(layout.id)
            texts.append(text)
            ids.append(str(line if name in (None, "") else name))
            lines.append(line)
            labels.keep(said)
        if not said:
            without_label.append(line)
    names, mentioned, sentiment = labels.finish()
    reviews = Reviews(table.path, table.sha256, texts, ids, lines, mentioned, sentiment, without_text, without_label)
    if not texts and len(faults) == before:
        faults.add(table.path, f"none of the {reviews.rows:,} rows has both a text and a label")
    return reviews, names


# --- columns ---------------------------------------------------------------------------------------------------------


class _Layout(NamedTuple):
    """Which column is what. ``label`` is None in the wide layout; there, all columns but ``others`` are aspects."""

    text: str
    id: str | None
    label: str | None
    others: frozenset[str]


def _layout(table: Table, columns: Columns, faults: Faults) -> _Layout | None:
    ignored = {clean_name(name) for name in columns.ignore_columns}
    by_name = {name.lower(): name for name in reversed(table.columns) if name not in ignored}
    among = f"among {listed(table.columns)}"
    before = len(faults)

    def choose(names: Iterable[str], chosen: str | None = None, option: str = "") -> str | None:
        if chosen is None:
            return next((by_name[name] for name in names if name in by_name), None)
        if clean_name(chosen) not in table.columns:
            hint = did_you_mean(chosen, tuple(table.columns))
            faults.add(table.path, f"there is no column {quoted(chosen)} (data.{option}) {among}{hint}")
        return clean_name(chosen)

    text = choose(TEXT_COLUMNS, columns.text_column, "text_column")
    label = choose(LABEL_COLUMNS, columns.label_column, "label_column")
    if text is None:
        names = f"(one of {', '.join(TEXT_COLUMNS)}); name it with data.text_column"
        faults.add(table.path, f"no column of texts {among} {names}")
        return None
    others = frozenset({text, *ignored} | {by_name[n] for n in (*ID_COLUMNS, *IGNORED_COLUMNS) if n in by_name})
    if label is None and others.issuperset(table.columns):
        faults.add(table.path, f"no column of aspects nor of labels {among}")
    return _Layout(text, choose(ID_COLUMNS), label, others) if len(faults) == before else None


def _declared(aspects: Sequence[str]) -> tuple[str, ...]:
    names = tuple(clean_name(name) for name in aspects)
    if not names:
        raise UserError("data.aspects is empty; leave it out to take the aspects of the file")
    if twice := [name for name, count in Counter(names).items() if count > 1]:
        raise UserError([f"data.aspects lists {quoted(name)} twice" for name in twice])
    return names


# --- labels ----------------------------------------------------------------------------------------------------------


class _Labels:
    """What the rows of one table say of the aspects: judged one by one, gathered into arrays."""

    def __init__(self, table: Table, layout: _Layout, declared: tuple[str, ...] | None, faults: Faults) -> None:
        self.table, self.layout, self.declared, self.faults = table, layout, declared, faults
        self.place = {name: i for i, name in enumerate(declared or ())}  # aspect -> column, by first appearance
        self.well_said: set[str] = set()
        self.bad: defaultdict[str, list[tuple[int, object]]] = defaultdict(list)  # aspect -> its first bad cells
        self.bad_counts: Counter[str] = Counter()
        self.pairs, self.columns, self.codes = array("q"), array("q"), array("b")  # pairs of a row; then pair by pair

    def read(self, line: int, cells: Mapping[str, object]) -> dict[str, int]:
        """What a row says: aspect -> sentiment or MENTIONED; nothing if some of it is wrong, which is then a fault."""
        wide, declared = self.layout.label is None, self.declared
        if self.layout.label is None:
            others = self.layout.others
            pairs = [(name, cell) for name, cell in cells.items() if cell not in ("", None) and name not in others]
        else:
            try:
                pairs = _pairs(cells.get(self.layout.label), self.layout.label, not self.table.header)
            except ValueError as error:
                self.faults.add(self.table.path, str(error), line)
                return {}
        said: dict[str, int] = {}
        right = True
        for aspect, cell in pairs:
            code = _code(cell) if isinstance(cell, str) else BAD
            if wide and code == BLANK:
                continue
            if declared is not None and aspect not in self.place:
                right = False
                if not wide:  # in the wide layout it is told once, of the column
                    unknown = f"aspect {quoted(aspect)} is not one of {listed(declared)}"
                    self.faults.add(self.table.path, unknown + did_you_mean(aspect, declared), line)
            elif code >= BLANK:
                right = False
                self.bad_counts[aspect] += 1
                if self.bad_counts[aspect] <= Faults.SHOWN:
                    self.bad[aspect].append((line, cell))
            elif said.setdefault(aspect, code) != code:
                right = False
                both = " and as ".join((*SENTIMENTS, "mentioned")[c] for c in (said[aspect], code))
                self.faults.add(self.table.path, f"aspect {quoted(aspect)} is there twice, as {both}", line)
        self.well_said.update(said)
        return said if right else {}

    def keep(self, said: Mapping[str, int]) -> None:
        """Make what was read the next row of the arrays."""
        place = self.place
        self.pairs.append(len(said))
        self.columns.extend([place.setdefault(aspect, len(place)) for aspect in said])
        self.codes.extend(said.values())

    def finish(self) -> tuple[tuple[str, ...], np.ndarray, np.ndarray]:
        """The aspects, ``mentioned`` bool [N, A] and ``sentiment`` int8 [N, A]; faults of whole columns are told."""
        aspects = self._aspects()
        self._tell_bad_cells()
        order = np.array([aspects.index(name) for name in self.place], dtype=np.int64)
        rows = np.repeat(np.arange(len(self.pairs)), self.pairs)
        columns, codes = order[np.asarray(self.columns)], np.asarray(self.codes)
        mentioned = np.zeros((len(self.pairs), len(aspects)), dtype=bool)
        sentiment = np.full((len(self.pairs), len(aspects)), IGNORE, dtype=np.int8)
        mentioned[rows, columns] = True
        sentiment[rows, columns] = np.where(codes < C, codes, np.int8(IGNORE))
        return aspects, mentioned, sentiment

    def _aspects(self) -> tuple[str, ...]:
        table, wide = self.table, self.layout.label is None
        columns = list(dict.fromkeys(name for name in table.columns if wide and name not in self.layout.others))
        if self.declared is None:
            names = columns if wide and table.header else sorted({*columns, *self.place})
            for a, b in combinations(names, 2):
                if a.casefold() == b.casefold():
                    alike = "differ in case only; write them alike"
                    self.faults.add(table.path, f"the aspects {quoted(a)} and {quoted(b)} {alike}")
            return tuple(names)
        for name in columns:
            if name not in self.place:
                unknown = f"the column {quoted(name)} is not one of the aspects {listed(self.declared)}"
                remedy = f"{did_you_mean(name, self.declared)}; data.ignore_columns=[{listed([name])}] leaves it out"
                self.faults.add(table.path, unknown + remedy)
        for name in self.declared:
            if wide and table.header and name not in table.columns:
                missing = f"there is no column for the aspect {quoted(name)} among {listed(table.columns)}"
                self.faults.add(table.path, missing + did_you_mean(name, tuple(table.columns)))
        return self.declared

    def _tell_bad_cells(self) -> None:
        expected = f"is not one of {listed(SPOKEN)}"
        for aspect, cells in self.bad.items():
            hints = [did_you_mean(str(cell), SPOKEN) for _, cell in cells]
            if self.layout.label is None and aspect not in self.well_said and not any(hints):
                found = ", ".join(list(dict.fromkeys(quoted(cell) for _, cell in cells))[:3])
                column = f"the column {quoted(aspect)} holds no sentiment but {found}"
                remedy = f"if it is no aspect, data.ignore_columns=[{listed([aspect])}] leaves it out"
                self.faults.add(self.table.path, f"{column}; {listed(SPOKEN)} are expected, and {remedy}")
                continue
            for (line, cell), hint in zip(cells, hints, strict=True):
                self.faults.add(self.table.path, f"aspect {quoted(aspect)}: {quoted(cell)} {expected}{hint}", line)
            self.faults.add_untold(self.bad_counts[aspect] - len(cells))


def _pairs(cell: object, column: str, objects: bool) -> list[tuple[str, object]]:
    if cell is None:
        return []
    if isinstance(cell, str):
        return [_brace(part) for part in cell.split(";") if part and not part.isspace()]
    # Only JSONL leaves keys out. In Parquet, null would not tell "mentioned" from "not mentioned".
    if objects and isinstance(cell, dict):
        return [(name, "mentioned" if said is None else said) for name, said in cell.items()]
    expected = '{"Camera": "positive"} or ' * objects + "{CAMERA#Positive}; is expected"
    raise ValueError(f"{quoted(column)} holds {_kind(cell)}; {expected}")


@lru_cache(maxsize=4096)
def _code(cell: str) -> int:
    return CODES.get(cell.strip().lower(), BAD)


@lru_cache(maxsize=4096)
def _brace(part: str) -> tuple[str, str]:
    match = BRACES.fullmatch(part)
    if not match:
        raise ValueError(f"malformed label at {quoted(part.strip())}; {{ASPECT#Sentiment}};{{ASPECT}}; is expected")
    return clean_name(match[1]), match[2] or "mentioned"


def _kind(value: object) -> str:
    return f"a {type(value).__name__}" if isinstance(value, list | dict | bytes) else str(value)
