"""Oddities in the splits of a data set: repeats, contradictions, leaks between splits; as data and in words."""

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from hashlib import blake2b
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import listed, quoted
from ..labels import Labels
from ..spelling import set_to
from .nfc import composed
from .reviews import Reviews
from .values import BLANKS, key_of

EXAMPLES = 5  # first lines that are given for each finding
TOLD = {
    "without_text": "rows without text, left out",
    "without_label": "rows without any label, left out",
    "wordless": 'texts that are a word for "nothing", such as nan (kept)',
    "silent": "reviews that mention no aspect",
    "several": "aspects of a review with several sentiments, which count as data.several says",
    "repeated": "rows that repeat an earlier text",
    "conflicting": "texts labelled in more than one way",
    "not_nfc": "texts that are not NFC (composed for the tokenizer)",
    "removed": "rows that left training, as val or test hold their text",
}


@dataclass
class SplitFindings:
    """What was found in one split: numbers of rows or texts; ``first_lines`` gives the first few lines of each kind."""

    path: str
    sha256: str
    rows: int
    reviews: int  # kept
    without_text: int = 0
    without_label: int = 0
    wordless: int = 0  # texts such as "nan", "null" or "n/a"
    silent: int = 0  # reviews that mention no aspect, kept
    several: int = 0  # aspects of a review with several sentiments
    repeated: int = 0  # rows whose text an earlier row of the split has
    conflicting: int = 0  # texts whose rows do not all have the same labels
    not_nfc: int = 0
    removed: int = 0  # rows that left training because val or test hold their text
    first_lines: dict[str, list[int | str]] = field(default_factory=dict)
    blanks: dict[str, int] = field(default_factory=dict)  # words read as "not mentioned", and how often
    read_as: list[str] = field(default_factory=list)  # the layout, and what each column was taken for


@dataclass
class Leak:
    """Rows of a split whose text an earlier split has; ``first_lines``: (line in the earlier split, line in this)."""

    rows: int
    first_lines: list[tuple[int | str, int | str]]


@dataclass
class Findings:
    """What the check of all splits found, as plain data. ``leaks`` has keys such as ``train->test``.

    Texts are equal if their NFC forms with blanks collapsed are; case counts. All numbers but ``reviews`` and
    ``removed`` are counted before ``leaks=drop`` removes rows.
    """

    splits: dict[str, SplitFindings]
    leaks: dict[str, Leak]
    notes: list[str]

    def to_dict(self) -> dict[str, Any]:
        """Dicts, lists, numbers and strings, for JSON."""
        return asdict(self)

    def lines(self) -> list[str]:
        """The report, line by line; findings with the count 0 are left out."""
        lines = []
        for name, split in self.splits.items():
            reviews = f"{split.reviews:,} review{'s' * (split.reviews != 1)}"
            of_rows = f" of {split.rows:,} rows" * (split.reviews != split.rows)
            lines.append(f"{name}: {reviews}{of_rows} ({_from_here(split.path)})")
            lines += [f"  {told}" for told in split.read_as]
            for kind, words in TOLD.items():
                if count := getattr(split, kind):
                    lines.append(f"  {words}: {count:,}{_where(split.first_lines.get(kind, []), count)}")
            if split.blanks:
                found = [f"{quoted(word)} {count:,}" for word, count in split.blanks.items()]
                more = ", ..." * (len(found) > 10)
                lines.append(f'  cells that were read as "not mentioned": {", ".join(found[:10])}{more}')
        for pair, leak in self.leaks.items():
            source, _, target = pair.partition("->")
            if leak.rows:
                same = [f"{here} = {there}" for there, here in leak.first_lines]
                lines.append(f"rows of {target} whose text {source} has too: {leak.rows:,}{_where(same, leak.rows)}")
        return lines + self.notes


def _from_here(path: str) -> str:
    """The path, or the paths, relative to the working directory if they lie below it."""
    here = f"{Path.cwd()}{os.sep}"
    return ", ".join(file.removeprefix(here) for file in path.split(", "))


def _where(lines: Sequence[object], count: int) -> str:
    if not lines:
        return ""
    more = ", ..." * (count > len(lines))
    return f" (line {', '.join(map(str, lines))}{more})"


def compare(splits: Mapping[str, Reviews], keys: Mapping[str, np.ndarray]) -> Findings:
    """All findings but the notes. ``keys`` are the :func:`text_keys` of each split, uint64 [N].

    A leak is counted from each split to every later one, in the order of ``splits``.
    """
    leaks = {}
    for source, target in combinations(splits, 2):
        there, here = shared_keys(keys[source], keys[target])
        first = (_places(splits[source], there), _places(splits[target], here))
        leaks[f"{source}->{target}"] = Leak(len(here), list(zip(*first, strict=True)))
    return Findings({name: _split_findings(splits[name], keys[name]) for name in splits}, leaks, [])


def _split_findings(reviews: Reviews, keys: np.ndarray) -> SplitFindings:
    _, first, group = np.unique(keys, return_index=True, return_inverse=True)
    repeated = np.flatnonzero(first[group] != np.arange(len(keys)))
    differs = (reviews.sentiment[repeated] != reviews.sentiment[first[group[repeated]]]).any(axis=1)
    differs |= (reviews.mentioned[repeated] != reviews.mentioned[first[group[repeated]]]).any(axis=1)
    conflicting = np.unique(group[repeated[differs]])
    is_nfc = (text.isascii() or composed(text) == text for text in reviews.texts)
    not_nfc = np.flatnonzero(~np.fromiter(is_nfc, bool, len(reviews)))
    rows = {"repeated": repeated, "not_nfc": not_nfc}
    rows["conflicting"] = np.flatnonzero(np.isin(group, conflicting))
    lines = {"without_text": reviews.without_text, "without_label": reviews.without_label, "several": reviews.several}
    rows["silent"] = reviews.silent
    nothing = (len(text) < 10 and key_of(text) in BLANKS for text in reviews.texts)
    rows["wordless"] = np.flatnonzero(np.fromiter(nothing, bool, len(reviews)))
    lines |= {kind: reviews.lines[where[:EXAMPLES]] for kind, where in rows.items()}
    return SplitFindings(
        path=reviews.path,
        sha256=reviews.sha256,
        rows=reviews.rows,
        reviews=len(reviews),
        without_text=len(reviews.without_text),
        without_label=len(reviews.without_label),
        wordless=len(rows["wordless"]),
        silent=len(reviews.silent),
        several=len(reviews.several),
        repeated=len(repeated),
        conflicting=len(conflicting),
        not_nfc=len(not_nfc),
        first_lines={
            kind: [reviews.place(line) for line in where[:EXAMPLES].tolist()]
            for kind, where in lines.items()
            if len(where)
        },
        blanks=reviews.blanks,
        read_as=list(reviews.read_as),
    )


def _places(reviews: Reviews, rows: np.ndarray) -> list[int | str]:
    return [reviews.place(line) for line in reviews.lines[rows[:EXAMPLES]].tolist()]


def notes_on(labels: Labels, splits: Mapping[str, Reviews]) -> list[str]:
    """Sentences on what the first split, training, lacks, and on the pairs that metrics leave out for that reason."""
    name, train = next(iter(splits.items()))
    unseen = [aspect for aspect, n in zip(labels.aspects, train.mention_counts, strict=True) if not n]
    notes = [f"{name} never mentions {listed(unseen)}"] if unseen else []
    totals = train.class_counts.sum(axis=0)
    notes += [
        f"{name} has no {sentiment} pair" for sentiment, n in zip(labels.sentiments, totals, strict=True) if not n
    ]
    for other, reviews in splits.items():
        if len(reviews.silent) * 2 > len(reviews):
            count = f"{len(reviews.silent):,} of {len(reviews):,} reviews of {other} mention no aspect"
            drop = set_to("unlabelled", "drop")
            notes.append(f"WARNING: {count}; if they are not labelled yet, {drop} leaves them out")
    for other, reviews in splits.items():
        lost = reviews.class_counts.sum(axis=1)[[not carries for carries in labels.carries_sentiment]].sum()
        if lost:
            aspects = listed(labels.without_sentiment)
            notes.append(
                f"pairs of {other} left out of its figures, as {name} has no sentiment for {aspects}: {lost:,}"
            )
    return notes


def shared_keys(source: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where keys of ``target`` (uint64 [N]) are also in ``source`` (uint64 [K], K > 0): two arrays int64 [M].

    The second holds every such position in ``target``, the first the key's first position in ``source``.
    """
    known, first = np.unique(source, return_index=True)
    place = np.minimum(np.searchsorted(known, target), len(known) - 1)
    here = np.flatnonzero(known[place] == target)
    return first[place[here]], here


def text_keys(texts: Iterable[str]) -> np.ndarray:
    """A number for each text, uint64 [N], equal for equal texts: NFC, blanks collapsed, case kept.

    The same on every machine. The probability that any two of a million different texts share a number is 3e-8.
    """
    plain = (" ".join(composed(text).split()) for text in texts)
    return digests(text.encode() for text in plain)


def digests(blobs: Iterable[bytes], seed: int = 0) -> np.ndarray:
    """64 bits of BLAKE2 of each, uint64 [N]: a hash that stays the same from process to process."""
    key, found = str(seed).encode(), bytearray()
    for blob in blobs:
        found += blake2b(blob, digest_size=8, key=key).digest()
    return np.frombuffer(found, dtype="<u8")
