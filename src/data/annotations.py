"""The labels of a table: cells and columns are checked one by one and gathered into arrays over aspects."""

from array import array
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

import numpy as np

from ..errors import Faults, did_you_mean, listed, quoted
from ..labels import IGNORE
from ..spelling import set_list, set_to, setting
from .columns import Layout
from .rows import Source
from .values import BLANK, MENTIONED, NUMBER, SAID, SEVERAL, Values, explaining, key_of

NUMBERS = 20  # a column with more different numbers than this holds no labels
MOST_WORDS = 10_000  # different unknown words of a file that are counted
OFTEN = 3  # cells with one unknown word, from which on the word is told once for all of them
CELLS, SPARSE = 2**28, 256  # of aspects by reviews that every file may have, and times its rows and labels: bytes twice
AT_ONCE = 1 << 16  # rows turned into arrays at once, as their indices take many times their own memory


class Annotations:
    """The labels in the rows of one file: checked row by row, gathered into arrays.

    ``layout`` says which columns are what, and gives aspect and cell of all that a row says.
    """

    def __init__(
        self,
        source: Source,
        layout: Layout,
        declared: tuple[str, ...] | None,
        faults: Faults,
        values: Values | None = None,
        in_part: bool = False,
    ) -> None:
        self.path, self.header, self.faults = source.name, source.header, faults
        self.values = values or Values()
        self.layout, self.label, self.declared = layout, layout.label, declared
        self.seen = dict.fromkeys(source.columns)  # columns: without a header, every row may bring more
        self.in_part = in_part  # whether columns of declared aspects may be missing
        self.place = {name: i for i, name in enumerate(declared or ())}  # aspect -> column, by first appearance
        self.well_said: set[str] = set()
        self.unknown = 0  # labels of aspects that are not declared
        self.bad: defaultdict[str, list[tuple[int, object]]] = defaultdict(list)  # aspect -> first bad cells
        self.bad_counts: Counter[str] = Counter()
        self.bad_words: Counter[str] = Counter()
        self.named: dict[str, None] = {}  # aspects that a row names and does not mention
        self.numbers: defaultdict[str, Counter[str]] = defaultdict(Counter)  # aspect -> numbers nobody explained
        self.beside: Counter[int] = Counter()  # codes in the rows of such numbers
        self.blanks: Counter[str] = Counter()  # words for "not mentioned"
        self.several: list[int] = []  # for each aspect of a review with several sentiments, its line
        self.pairs, self.columns, self.codes = array("I"), array("I"), array("b")  # pairs of a row; then pair by pair

    def read(self, line: int, cells: Mapping[str, object]) -> dict[str, int] | None:
        """What a row says: aspect -> sentiment or MENTIONED, empty for no aspect. None, and a fault, if it is wrong."""
        if not self.header and not cells.keys() <= self.seen.keys():
            self.seen.update(dict.fromkeys(cells))
        try:
            pairs = self.layout.pairs(cells)
        except ValueError as error:
            self.faults.add(self.path, str(error), line)
            return None
        return self.read_pairs(line, pairs)

    def read_pairs(self, line: int, pairs: Sequence[tuple[str, object]]) -> dict[str, int] | None:
        """:meth:`read` of a review whose aspects and cells are known."""
        said: dict[str, int] = {}
        right, numbers, several = True, False, False
        values, declared, place = self.values, self.declared, self.place
        for aspect, cell in pairs:
            code = values(cell)
            if declared is not None and aspect not in place:
                if self.label is None:  # in the wide layout it is one fault of the column
                    right = right and code == BLANK
                    continue
                right = False
                self.unknown += 1
                if self.unknown > Faults.SHOWN:  # a hint takes milliseconds, and there may be any number of them
                    self.faults.add_untold(1)
                    continue
                unknown = f"aspect {quoted(aspect)} is not one of {listed(declared)}"
                self.faults.add(self.path, unknown + did_you_mean(aspect, declared), line)
            elif code <= MENTIONED or code == SEVERAL:
                if said.setdefault(aspect, code) != code or code == SEVERAL:
                    said[aspect], several = SEVERAL, True
            elif code == BLANK:
                self.named[aspect] = None
                if cell not in ("", None):
                    self.blanks[cell if isinstance(cell, str) else key_of(cell)] += 1
            elif code == NUMBER:
                numbers = True
                if len(self.numbers[aspect]) <= 10 * NUMBERS:
                    self.numbers[aspect].update(values.unexplained(cell))
            else:
                right = False
                self.bad_counts[aspect] += 1
                if self.bad_counts[aspect] <= Faults.SHOWN:
                    self.bad[aspect].append((line, cell))
                word = _word(cell)
                if word in self.bad_words or len(self.bad_words) < MOST_WORDS:
                    self.bad_words[word] += 1
        self.well_said.update(said)
        if numbers:
            self.beside.update(said.values())
            return None
        if several:
            self.several += [line] * sum(code == SEVERAL for code in said.values())
            if values.several is None:
                return None
            said = {aspect: values.several if code == SEVERAL else code for aspect, code in said.items()}
        return said if right else None

    def keep(self, said: Mapping[str, int]) -> None:
        """Append what :meth:`read` returned as the next row of the arrays."""
        place = self.place
        self.pairs.append(len(said))
        self.columns.extend([place.setdefault(aspect, len(place)) for aspect in said])
        self.codes.extend(said.values())

    def finish(self) -> tuple[tuple[str, ...], np.ndarray, np.ndarray]:
        """The aspects, ``mentioned`` bool [N, A] and ``sentiment`` int8 [N, A]; records faults of whole columns."""
        aspects = self._aspects()
        self._tell_numbers()
        self._tell_bad_cells()
        self._tell_several()
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
            sentiment[rows, order[columns[these]]] = np.where(codes[these] < MENTIONED, codes[these], np.int8(IGNORE))
        return aspects, mentioned, sentiment

    def blank_words(self) -> dict[str, int]:
        """The words that were read as "not mentioned", with how often, the most frequent first."""
        found: Counter[str] = Counter()
        for word, count in self.blanks.items():
            found[key_of(word)[:100]] += count
        return {word: count for word, count in found.most_common() if word}

    def _aspects(self) -> tuple[str, ...]:
        wide = self.label is None
        columns = [name for name in self.seen if wide and name not in self.layout.others]
        if self.declared is None:
            names = columns if wide and self.header else sorted({*columns, *self.place, *self.named})
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
            self.faults.add(self.path, told + did_you_mean(name, self.declared))
        self.faults.spare |= dict.fromkeys(unknown)
        seen = tuple(self.seen)
        named = wide and self.header and not self.in_part
        missing = [name for name in self.declared if named and name not in self.seen]
        for name in missing[: Faults.SHOWN]:
            told = f"there is no column for the aspect {quoted(name)} among {listed(seen)}"
            self.faults.add(self.path, told + did_you_mean(name, seen))
        self.faults.add_untold(sum(max(0, len(names) - Faults.SHOWN) for names in (unknown, missing)))
        return self.declared

    def _tell_numbers(self) -> None:
        """Columns of numbers only are no labels where other columns hold words; all other numbers are asked about."""
        words = self.well_said if self.label is None else set(self.numbers)
        mixed = {number for aspect in words for number in self.numbers.get(aspect, ())}
        asked: Counter[str] = Counter()
        columns = []
        for aspect in sorted(self.numbers, key=list({**self.seen, **self.numbers}).index):
            found = self.numbers[aspect]
            alone = self.label is None and aspect not in words
            if alone and (len(found) > NUMBERS or (words and not found.keys() <= mixed)):
                self._tell_no_labels(aspect, list(found))
            else:
                asked += found
                columns.append(aspect)
        if asked:
            beside = self.beside + Counter(self.codes)
            told = {self.values.name(code): count for code, count in beside.items() if code != SEVERAL}
            self.values.note(self.path, asked, Counter(told), columns)

    def _tell_no_labels(self, column: str, found: Sequence[object]) -> None:
        shown = ", ".join(list(dict.fromkeys(map(quoted, found)))[:3])
        holds = f"the column {quoted(column)} holds no sentiment but {shown}"
        self.faults.add(self.path, f"{holds}; {listed(self.values.spoken)} are expected")
        self.faults.spare[column] = None

    def _tell_bad_cells(self) -> None:
        spoken = self.values.spoken
        expected = f"is not one of {listed(spoken)}"
        often = {word for word, count in self.bad_words.items() if count >= OFTEN and not did_you_mean(word, spoken)}
        told: set[str] = set()
        for aspect, cells in self.bad.items():
            hints = [did_you_mean(str(cell), spoken) for _, cell in cells]
            if self.label is None and aspect not in self.well_said and not any(hints):
                self._tell_no_labels(aspect, [cell for _, cell in cells])
                continue
            for (line, cell), hint in zip(cells, hints, strict=True):
                word = _word(cell)
                if word not in often:
                    self.faults.add(self.path, f"aspect {quoted(aspect)}: {quoted(cell)} {expected}{hint}", line)
                elif word not in told:
                    told.add(word)
                    self._tell_word(word, line)
            unshown = self.bad_counts[aspect] - len(cells)
            self.faults.add_untold(0 if often else unshown)

    def _tell_word(self, word: str, line: int) -> None:
        said = f"{quoted(word)}, in {self.bad_words[word]:,} cells, is not one of {listed(self.values.spoken)}"
        more = set_list("sentiments", [*self.values.sentiments, word])
        self.faults.add(self.path, f"{said}; {more} adds it, {explaining({word: SAID})} says what it means", line)

    def _tell_several(self) -> None:
        if not self.several or self.values.several is not None:
            return
        lines = ", ".join(map(str, list(dict.fromkeys(self.several))[:5])) + ", ..." * (len(set(self.several)) > 5)
        count = len(self.several)
        pairs = f"{count:,} aspect{'s' * (count > 1)} of a review ha{'ve' if count > 1 else 's'} several sentiments"
        counted = f"{setting('several')}={'|'.join(self.values.sentiments)} says what they count as"
        silent = f"{set_to('several', SAID)} keeps them without a sentiment"
        self.faults.add(self.path, f"{pairs} (line {lines}); {silent}, {counted}")


def _word(cell: object) -> str:
    """An unknown cell as it is counted."""
    return key_of(cell[:100] if isinstance(cell, str) else cell)[:100]
