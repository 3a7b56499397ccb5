"""The labels of a table: cells and columns are checked one by one and gathered into arrays over aspects."""

import re
from array import array
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from functools import lru_cache

import numpy as np

from ..errors import Faults, did_you_mean, kind_of, listed, quoted
from ..labels import IGNORE, SENTIMENTS, C
from ..spelling import added_to
from .rows import Source, clean_name

MENTIONED, BLANK, BAD = C, C + 1, C + 2  # what a cell can say beside a sentiment
SPOKEN = tuple(name.capitalize() for name in SENTIMENTS)
CODES = {name: code for code, name in enumerate(SENTIMENTS)} | {"mentioned": MENTIONED, "": BLANK}
CELLS, SPARSE = 2**28, 256  # of aspects by reviews that every file may have, and times its rows and labels: bytes twice
AT_ONCE = 1 << 16  # rows turned into arrays at once, as their indices take many times their own memory
BRACES = re.compile(r"\s*\{([^{}#;]+)(?:#([^{}#;]+))?\}\s*")


class Annotations:
    """The labels in the rows of one file: checked row by row, gathered into arrays.

    ``label`` is the column of braces; None is the wide layout, where all columns but ``others`` are aspects.
    """

    def __init__(
        self,
        source: Source,
        label: str | None,
        others: frozenset[str],
        declared: tuple[str, ...] | None,
        faults: Faults,
        ignored: Sequence[str] = (),
    ) -> None:
        self.path, self.header, self.faults = source.name, source.header, faults
        self.label, self.others, self.declared = label, others, declared
        self.seen = dict.fromkeys(source.columns)  # columns: without a header, every row may bring more
        self.ignored = ignored  # as given, for messages
        self.place = {name: i for i, name in enumerate(declared or ())}  # aspect -> column, by first appearance
        self.well_said: set[str] = set()
        self.unknown = 0  # labels of aspects that are not declared
        self.bad: defaultdict[str, list[tuple[int, object]]] = defaultdict(list)  # aspect -> first bad cells
        self.bad_counts: Counter[str] = Counter()
        self.pairs, self.columns, self.codes = array("I"), array("I"), array("b")  # pairs of a row; then pair by pair

    def read(self, line: int, cells: Mapping[str, object]) -> dict[str, int]:
        """What a row says: aspect -> sentiment or MENTIONED; empty, and a fault, if any of it is wrong."""
        wide, declared = self.label is None, self.declared
        if not self.header and not cells.keys() <= self.seen.keys():
            self.seen.update(dict.fromkeys(cells))
        if self.label is None:
            others = self.others
            pairs = [(name, cell) for name, cell in cells.items() if cell not in ("", None) and name not in others]
        else:
            try:
                pairs = _pairs(cells.get(self.label), self.label, not self.header)
            except ValueError as error:
                self.faults.add(self.path, str(error), line)
                return {}
        said: dict[str, int] = {}
        right = True
        for aspect, cell in pairs:
            code = _code(cell) if isinstance(cell, str) else BAD
            if wide and code == BLANK:
                continue
            if declared is not None and aspect not in self.place:
                right = False
                if wide:  # there it is one fault of the column
                    continue
                self.unknown += 1
                if self.unknown > Faults.SHOWN:  # a hint takes milliseconds, and there may be any number of them
                    self.faults.add_untold(1)
                    continue
                unknown = f"aspect {quoted(aspect)} is not one of {listed(declared)}"
                self.faults.add(self.path, unknown + did_you_mean(aspect, declared), line)
            elif code >= BLANK:
                right = False
                self.bad_counts[aspect] += 1
                if self.bad_counts[aspect] <= Faults.SHOWN:
                    self.bad[aspect].append((line, cell))
            elif said.setdefault(aspect, code) != code:
                right = False
                both = " and as ".join((*SENTIMENTS, "mentioned")[c] for c in (said[aspect], code))
                self.faults.add(self.path, f"aspect {quoted(aspect)} is there twice, as {both}", line)
        self.well_said.update(said)
        return said if right else {}

    def keep(self, said: Mapping[str, int]) -> None:
        """Append what :meth:`read` returned as the next row of the arrays."""
        place = self.place
        self.pairs.append(len(said))
        self.columns.extend([place.setdefault(aspect, len(place)) for aspect in said])
        self.codes.extend(said.values())

    def finish(self) -> tuple[tuple[str, ...], np.ndarray, np.ndarray]:
        """The aspects, ``mentioned`` bool [N, A] and ``sentiment`` int8 [N, A]; records faults of whole columns."""
        aspects = self._aspects()
        self._tell_bad_cells()
        column = {name: i for i, name in enumerate(aspects)}
        order = np.array([column[name] for name in self.place], dtype=np.int64)
        pairs, columns, codes = np.asarray(self.pairs), np.asarray(self.columns), np.asarray(self.codes)
        said = len(pairs) + len(columns)
        if len(pairs) * len(aspects) > max(CELLS, SPARSE * said):
            sparse = f"{len(aspects):,} aspects in {len(pairs):,} reviews, and {len(columns):,} labels in all"
            self.faults.add(self.path, f"{sparse}: so many aspects are hardly meant; is it the right column?")
            pairs = columns = codes = np.zeros(0, np.int64)
        mentioned = np.zeros((len(pairs), len(aspects)), dtype=bool)
        sentiment = np.full((len(pairs), len(aspects)), IGNORE, dtype=np.int8)
        done = 0  # pairs
        for start in range(0, len(pairs), AT_ONCE):
            counts = pairs[start : start + AT_ONCE]
            rows = np.repeat(np.arange(start, start + len(counts)), counts)
            these = slice(done, done := done + len(rows))
            mentioned[rows, order[columns[these]]] = True
            sentiment[rows, order[columns[these]]] = np.where(codes[these] < C, codes[these], np.int8(IGNORE))
        return aspects, mentioned, sentiment

    def _aspects(self) -> tuple[str, ...]:
        wide = self.label is None
        columns = [name for name in self.seen if wide and name not in self.others]
        if self.declared is None:
            names = columns if wide and self.header else sorted({*columns, *self.place})
            folded: dict[str, str] = {}
            for b in names:
                a = folded.setdefault(b.casefold(), b)
                if a != b:
                    alike = "differ in case only; write them alike"
                    self.faults.add(self.path, f"the aspects {quoted(a)} and {quoted(b)} {alike}")
            return tuple(names)
        unknown = [name for name in columns if name not in self.place]
        for name in unknown[: Faults.SHOWN]:
            told = f"the column {quoted(name)} is not one of the aspects {listed(self.declared)}"
            remedy = f"{did_you_mean(name, self.declared)}; {self._ignoring(name)} leaves it out"
            self.faults.add(self.path, told + remedy)
        seen = tuple(self.seen)
        missing = [name for name in self.declared if wide and self.header and name not in self.seen]
        for name in missing[: Faults.SHOWN]:
            told = f"there is no column for the aspect {quoted(name)} among {listed(seen)}"
            self.faults.add(self.path, told + did_you_mean(name, seen))
        self.faults.add_untold(sum(max(0, len(names) - Faults.SHOWN) for names in (unknown, missing)))
        return self.declared

    def _ignoring(self, column: str) -> str:
        return added_to("ignore_columns", column, self.ignored)

    def _tell_bad_cells(self) -> None:
        expected = f"is not one of {listed(SPOKEN)}"
        for aspect, cells in self.bad.items():
            hints = [did_you_mean(str(cell), SPOKEN) for _, cell in cells]
            if self.label is None and aspect not in self.well_said and not any(hints):
                found = ", ".join(list(dict.fromkeys(quoted(cell) for _, cell in cells))[:3])
                column = f"the column {quoted(aspect)} holds no sentiment but {found}"
                remedy = f"if it is no aspect, {self._ignoring(aspect)} leaves it out"
                self.faults.add(self.path, f"{column}; {listed(SPOKEN)} are expected, and {remedy}")
                continue
            for (line, cell), hint in zip(cells, hints, strict=True):
                self.faults.add(self.path, f"aspect {quoted(aspect)}: {quoted(cell)} {expected}{hint}", line)
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
    raise ValueError(f"{quoted(column)} holds {kind_of(cell)}; {expected}")


@lru_cache(maxsize=4096)
def _code(cell: str) -> int:
    return CODES.get(cell.strip().lower(), BAD)


@lru_cache(maxsize=4096)
def _brace(part: str) -> tuple[str, str]:
    match = BRACES.fullmatch(part)
    if not match:
        raise ValueError(f"malformed label at {quoted(part.strip())}; {{ASPECT#Sentiment}};{{ASPECT}}; is expected")
    return clean_name(match[1]), match[2] or "mentioned"
