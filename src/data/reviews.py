"""Reviews read from a file: texts, and for every aspect whether it is mentioned and with which sentiment.

Two layouts, told apart by the columns. Braces: a column ``label`` or ``labels`` holds ``{CAMERA#Positive};{OTHERS};``
(in JSONL also an object, ``{"Camera": "positive", "Others": "mentioned"}``). Wide: every column that is not the text,
an id or ignored is an aspect; a blank cell is "not mentioned", the cell ``mentioned`` is "mentioned without a
sentiment". :mod:`src.data.values` knows what a cell says.
"""

from array import array
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

import numpy as np

from ..errors import Faults, UserError, did_you_mean, listed, quoted
from ..labels import SENTIMENTS
from ..spelling import added_to, setting
from .annotations import Annotations
from .files import CHANGED, hash_of, is_there
from .formats import open_rows
from .rows import Source, clean_name, column_called, is_blank, no_text, text_column_of
from .texts import Texts
from .values import Meanings, Values

LABEL_COLUMNS = ("label", "labels")
ID_COLUMNS = ("id", "index", "", "unnamed: 0", "__index_level_0__")  # the last three: the index as pandas saves it
IGNORED_COLUMNS = ("n_star", "date_time")  # of UIT-ViSFD
SPARE = 30  # columns that are no aspects, up to which one command that leaves them out is printed


@dataclass
class Reviews:
    """One split in plain arrays: ``N`` reviews that have a text, in the order of the file.

    ``lines`` [N] are the lines where the rows begin, counted from 1 (Parquet: the row's number); ``names`` are the ids
    in the file, if it has any. ``mentioned`` is bool [N, A], ``sentiment`` int8 [N, A] with 0..C-1 or IGNORE.
    ``without_text`` and ``without_label`` are the lines of rows that were left out; a row that lacks both is in both
    (``without_label`` is empty unless ``unlabelled=drop``: else a row without labels is a review that mentions none).
    ``several`` has a line for each aspect of a review to which :attr:`Columns.several` gave its class. All lines are
    int64. ``blanks`` are the words that were read as "not mentioned", with how often.
    """

    path: str
    sha256: str
    texts: Texts
    names: Texts | None
    lines: np.ndarray
    mentioned: np.ndarray
    sentiment: np.ndarray
    without_text: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    without_label: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    several: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    blanks: dict[str, int] = field(default_factory=dict)
    sentiments: tuple[str, ...] = SENTIMENTS

    def __len__(self) -> int:
        return len(self.texts)

    @property
    def ids(self) -> Texts:
        """What a review is called: the file's id, else its line."""
        return Texts(map(str, self.lines.tolist())) if self.names is None else self.names

    @property
    def dropped(self) -> int:
        """Rows that were left out."""
        return len(np.union1d(self.without_text, self.without_label))

    @property
    def rows(self) -> int:
        """Rows that were read, those left out included."""
        return len(self) + self.dropped

    @property
    def silent(self) -> np.ndarray:
        """The positions of the reviews that mention no aspect, int64 [M]."""
        return np.flatnonzero(~self.mentioned.any(axis=1))

    @property
    def class_counts(self) -> np.ndarray:
        """The number of pairs of every aspect and sentiment, int64 [A, C]."""
        each = [(self.sentiment == c).sum(axis=0, dtype=np.int64) for c in range(len(self.sentiments))]
        return np.stack(each, axis=1)

    @property
    def mention_counts(self) -> np.ndarray:
        """The number of reviews that mention each aspect, int64 [A]."""
        return np.asarray(self.mentioned.sum(axis=0, dtype=np.int64))

    def take(self, rows: np.ndarray) -> "Reviews":
        """The reviews at the positions ``rows``, int [M]; what counts rows that were left out or cells is empty."""
        return Reviews(
            self.path,
            self.sha256,
            self.texts.take(rows),
            None if self.names is None else self.names.take(rows),
            self.lines[rows],
            self.mentioned[rows],
            self.sentiment[rows],
            sentiments=self.sentiments,
        )


Unlabelled = Literal["keep", "drop"]


class Columns(NamedTuple):
    """What the user says of a file's columns and cells; what is None follows from the names of the columns.

    ``sentiments``, ``values`` and ``several`` say what a cell means (:class:`src.data.values.Values`); ``unlabelled``
    what a row without labels is: a review that mentions nothing (keep), or one that nobody has labelled yet (drop).
    """

    aspects: Sequence[str] | None = None
    text_column: str | None = None
    label_column: str | None = None
    ignore_columns: Sequence[str] = ()
    separator: str | None = None
    sentiments: Sequence[str] = SENTIMENTS
    values: Meanings = None
    several: str | None = None
    unlabelled: Unlabelled = "keep"

    def meanings(self) -> Values:
        """What a cell means. Raises UserError with all that is wrong with these settings."""
        if self.unlabelled not in get_args(Unlabelled):
            choices = get_args(Unlabelled)
            hint = did_you_mean(str(self.unlabelled), choices)
            raise UserError(f"{setting('unlabelled')}={quoted(self.unlabelled)} is not one of {listed(choices)}{hint}")
        return Values(self.sentiments, self.values, self.several)


def read_reviews(path: str | Path, **columns: Any) -> tuple[Reviews, tuple[str, ...]]:
    """Read one file; returns its reviews and its aspects, in the order of the arrays' columns.

    ``columns`` are the fields of :class:`Columns`. Without ``aspects`` they are those of the file: in the order of its
    header, or sorted where no header names them (braces, JSONL). Raises UserError with every fault of the file, or for
    ``aspects`` that are empty or listed twice.
    """
    faults = Faults()
    given = Columns(**columns)
    values = given.meanings()
    loaded = load_reviews(path, given, faults, values)
    values.ask(faults)
    faults.raise_if_any(leaving_out(faults, given))
    assert loaded is not None
    return loaded


def load_reviews(
    path: str | Path, columns: Columns, faults: Faults, values: Values
) -> tuple[Reviews, tuple[str, ...]] | None:
    """:func:`read_reviews` of one file among several: its faults go to ``faults``, the other rows are returned.

    ``values`` are the ``meanings`` of ``columns``, and remember the numbers to :meth:`~src.data.values.Values.ask` for.
    None where the file cannot be read or its columns cannot be told apart. Raises UserError only for
    ``columns.aspects`` that are empty or listed twice.
    """
    path, before = str(path), len(faults)
    declared = None if columns.aspects is None else _declared(columns.aspects)
    sha256 = hash_of(path, faults) if is_there(path, faults) else None
    if sha256 is None:
        return None
    with ExitStack() as opened:
        source = open_rows(path, opened, faults, separator=columns.separator, clean=clean_name)
        rows = good(source, faults) if source else iter(())
        if source and not source.columns:
            deque(rows, maxlen=0)  # no row can be read: this records why
        layout = _layout(source, columns, faults) if source and (source.columns or len(faults) == before) else None
        if source is None or layout is None:
            return None
        labels = Annotations(source, layout.label, layout.others, declared, faults, values)
        texts, names = Texts(), None if layout.id is None else Texts()
        lines, without_text, without_label = array("q"), array("q"), array("q")
        for line, cells in rows:
            said = labels.read(line, cells)
            text: Any = cells.get(layout.text)
            if is_blank(text):
                without_text.append(line)
            elif fault := no_text(text, layout.text):
                faults.add(path, fault, line)
            elif said or (said is not None and columns.unlabelled == "keep"):
                texts.append(text)
                if layout.id is not None and names is not None:
                    name = cells.get(layout.id)
                    names.append(str(line if name in (None, "") else name))
                lines.append(line)
                labels.keep(said)
            if said == {} and columns.unlabelled == "drop":
                without_label.append(line)
    found, mentioned, sentiment = labels.finish()
    counted = np.asarray(without_text), np.asarray(without_label), np.asarray(labels.several, np.int64)
    known = labels.blank_words(), values.sentiments
    reviews = Reviews(path, sha256, texts, names, np.asarray(lines), mentioned, sentiment, *counted, *known)
    if hash_of(path, faults) != sha256:  # the hash must name the bytes that were read
        faults.add(path, CHANGED)
    elif not mentioned.any() and len(faults) == before and not values.asks(path):
        none = f"none of the {reviews.rows:,} rows has both a text and a label"
        faults.add(path, none if reviews.rows else "the file has a header and no rows")
    return reviews, found


def leaving_out(faults: Faults, columns: Columns) -> str:
    """One line that leaves out every column, of all files, that is at fault as an aspect; empty if there is none."""
    if not faults.spare:
        return ""
    if len(faults.spare) > SPARE:
        most = f"more than {SPARE} that {setting('ignore_columns')} could name here"
        return (
            f"{len(faults.spare):,} columns are no aspects, {most}; keep the text and the aspects' columns in the file"
        )
    all_ = added_to("ignore_columns", list(faults.spare), columns.ignore_columns)
    return f"What is no aspect is left out by {all_}"


def good(source: Source, faults: Faults) -> Iterator[tuple[int, dict[str, Any]]]:
    """Line and cells of the rows without a fault; the faults are recorded.

    Stops after a stray quote or bytes of another encoding, because the rows that follow cannot be trusted.
    """
    for row in source.rows():
        if not row.fault:
            yield row.line, row.cells
            continue
        faults.add(source.name, row.fault, row.line)
        if row.rest == "doubtful":
            return


# --- columns ---------------------------------------------------------------------------------------------------------


class _Layout(NamedTuple):
    """Which column is what. ``label`` is None in the wide layout; there, all columns but ``others`` are aspects."""

    text: str
    id: str | None
    label: str | None
    others: frozenset[str]


def _layout(source: Source, columns: Columns, faults: Faults) -> _Layout | None:
    ignored = {clean_name(name) for name in columns.ignore_columns}
    by_name = {name.lower(): name for name in reversed(source.columns) if name not in ignored}
    among = f"among {listed(source.columns)}"
    before = len(faults)

    def choose(names: Iterable[str]) -> str | None:
        return next((by_name[name] for name in names if name in by_name), None)

    text = text_column_of(source, columns.text_column, faults, ignored)
    label = choose(LABEL_COLUMNS)
    if columns.label_column is not None:
        label = column_called(columns.label_column, "label_column", source, faults)
    if text is None:
        return None
    others = frozenset({text, *ignored} | {by_name[n] for n in (*ID_COLUMNS, *IGNORED_COLUMNS) if n in by_name})
    if label is None and len(faults) == before and others.issuperset(source.columns):
        faults.add(source.name, f"no column of aspects nor of labels {among}")
    return _Layout(text, choose(ID_COLUMNS), label, others) if len(faults) == before else None


def _declared(aspects: Sequence[str]) -> tuple[str, ...]:
    names = tuple(clean_name(name) for name in aspects)
    if not names:
        raise UserError(f"{setting('aspects')} is empty; leave it out to take the aspects of the file")
    if twice := [name for name, count in Counter(names).items() if count > 1]:
        raise UserError([f"{setting('aspects')} lists {quoted(name)} twice" for name in twice])
    return names
