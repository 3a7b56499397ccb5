"""Reviews read from a file: texts, and for every aspect whether it is mentioned and with which sentiment.

:mod:`src.data.columns` tells which column is what, and :mod:`src.data.values` what a cell says. A blank cell is "not
mentioned", the cell ``mentioned`` is "mentioned without a sentiment".
"""

from array import array
from collections import Counter, deque
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

import numpy as np

from ..errors import Faults, UserError, did_you_mean, listed, quoted
from ..labels import SENTIMENTS
from ..spelling import added_to, setting
from .annotations import Annotations
from .columns import layout_of
from .files import CHANGED, hash_of, is_there
from .formats import open_rows
from .layouts.names import OF_FILES
from .rows import clean_name, first_rows, good_rows, is_blank, no_text
from .texts import Texts
from .values import Meanings, Values

FILE = 1 << 40  # a line of the second file of a split is this much larger than it is in the file, and so on
SPARE = 30  # columns that are no aspects, up to which one command that leaves them out is printed


@dataclass
class Reviews:
    """One split in plain arrays: ``N`` reviews that have a text, in the order of the file.

    ``lines`` [N] are the lines where the rows begin, counted from 1 (Parquet: the row's number); ``names`` are the ids
    in the file, if it has any. ``mentioned`` is bool [N, A], ``sentiment`` int8 [N, A] with 0..C-1 or IGNORE.
    ``without_text`` and ``without_label`` are the lines of rows that were left out; a row that lacks both is in both.
    (A row without labels is a review that mentions none, but for ``unlabelled=drop`` and tasks that nobody annotated.)
    ``several`` has a line for each aspect of a review to which :attr:`Columns.several` gave its class. All lines are
    int64. ``blanks`` are the words that were read as "not mentioned", with how often. ``read_as`` says which column was
    taken for what. Of a split of several files, ``path`` names all; :meth:`place` tells them apart again.
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
    read_as: tuple[str, ...] = ()
    files: tuple[str, ...] = ()  # of a split of several files

    def __len__(self) -> int:
        return len(self.texts)

    @property
    def ids(self) -> Texts:
        """What a review is called: the file's id, else its line."""
        return Texts(str(self.place(line)) for line in self.lines.tolist()) if self.names is None else self.names

    def place(self, line: int) -> int | str:
        """One of the ``lines`` as it is told: the line, after the name of its file where the split has several."""
        return f"{Path(self.files[line // FILE]).name}:{line % FILE}" if self.files else line

    def file_and_line(self, line: int) -> tuple[str, int]:
        """The path of the file in which one of the ``lines`` stands, and the line in that file."""
        return (self.files[line // FILE], line % FILE) if self.files else (self.path, line)

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
            files=self.files,
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
    encoding: str | None = None
    sheet: str | None = None
    layout: str | None = None

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
    path: str | Path, columns: Columns, faults: Faults, values: Values, in_part: bool = False
) -> tuple[Reviews, tuple[str, ...]] | None:
    """:func:`read_reviews` of one file among several: its faults go to ``faults``, the other rows are returned.

    ``in_part``: whether a wide table may lack columns of ``columns.aspects``, as one of several files of a split may.
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
        given = {name: getattr(columns, name) for name in ("separator", "encoding", "sheet")}
        fixed = columns.layout if columns.layout in OF_FILES else None
        source = open_rows(path, opened, faults, layout=fixed, clean=clean_name, **given)
        rows = good_rows(source, faults) if source else iter(())
        if source and not source.columns:
            deque(rows, maxlen=0)  # no row can be read: this records why
        head = first_rows(rows) if source and len(faults) == before else []
        if source is None or not (source.columns or len(faults) == before):
            return None
        layout = layout_of(source, columns, [cells for _, cells in head], values, faults)
        if layout is None:
            return None
        rows = layout.gathered(chain(head, rows)) if layout.gathered else chain(head, rows)
        labels = Annotations(source, layout, declared, faults, values, in_part)
        texts, names = Texts(), None if layout.id is None else Texts()
        lines, without_text, without_label = array("q"), array("q"), array("q")
        for line, cells in rows:
            said = labels.read(line, cells)
            drop = columns.unlabelled == "drop" or (layout.annotated is not None and not layout.annotated(cells))
            text: Any = cells.get(layout.text)
            if is_blank(text):
                without_text.append(line)
            elif fault := no_text(text, layout.text):
                faults.add(path, fault, line)
            elif said or (said is not None and not drop):
                texts.append(text)
                if layout.id is not None and names is not None:
                    name = cells.get(layout.id)
                    names.append(str(line if name in (None, "") else name))
                lines.append(line)
                labels.keep(said)
            if said == {} and drop:
                without_label.append(line)
    found, mentioned, sentiment = labels.finish()
    counted = np.asarray(without_text), np.asarray(without_label), np.asarray(labels.several, np.int64)
    known = labels.blank_words(), values.sentiments, (layout.told, *source.notes)
    reviews = Reviews(path, sha256, texts, names, np.asarray(lines), mentioned, sentiment, *counted, *known)
    if hash_of(path, faults) != sha256:  # the hash must name the bytes that were read
        faults.add(path, CHANGED)
    elif not mentioned.any() and len(faults) == before and not values.asks(path):
        none = f"none of the {reviews.rows:,} rows has both a text and a label"
        if layout.annotated is not None and len(reviews.without_label) == reviews.rows:
            none = f"none of the {reviews.rows:,} tasks is annotated; export them from Label Studio once they are"
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


def _declared(aspects: Sequence[str]) -> tuple[str, ...]:
    names = tuple(clean_name(name) for name in aspects)
    if not names:
        raise UserError(f"{setting('aspects')} is empty; leave it out to take the aspects of the file")
    if twice := [name for name, count in Counter(names).items() if count > 1]:
        raise UserError([f"{setting('aspects')} lists {quoted(name)} twice" for name in twice])
    return names
