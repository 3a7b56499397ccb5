"""Training, validation and test splits: read together, and what relates them: repeats, leaks, fractions of one file."""

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from hashlib import blake2b
from itertools import combinations
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from src.errors import UserError
from src.labels import SENTIMENTS, C, Labels
from src.reviews import Columns, Reviews, load_reviews
from src.tables import Faults, did_you_mean, listed, quoted

EXAMPLES = 5  # lines told of each finding
TOLD = {
    "without_text": "rows without text, left out",
    "without_label": "rows without any label, left out",
    "repeated": "rows that repeat an earlier text",
    "conflicting": "texts labelled in more than one way",
    "not_nfc": "texts that are not NFC (composed for the tokenizer)",
    "removed": "rows that left training, as val or test hold their text",
}
WIDTHS = (10, 10, 10, 11, 12)  # of the columns of numbers in the table of counts
ROLES = {"train": 0, "training": 0, "val": 1, "valid": 1, "validation": 1, "dev": 1, "test": 2}
OTHER = 3
Leaks = Literal["warn", "drop", "error"]


@dataclass
class SplitFindings:
    """What was seen in one split. Numbers of rows or texts; ``first_lines`` says where the first few of each are."""

    path: str
    sha256: str
    rows: int
    reviews: int  # that are left
    without_text: int = 0
    without_label: int = 0
    repeated: int = 0  # rows whose text an earlier row of the split has
    conflicting: int = 0  # texts whose rows do not all have the same labels
    not_nfc: int = 0
    removed: int = 0  # rows that left training because val or test hold their text
    first_lines: dict[str, list[int]] = field(default_factory=dict)


@dataclass
class Leak:
    """Rows of a split whose text an earlier split has; ``first_lines`` are (line there, line here) of the first few."""

    rows: int
    first_lines: list[tuple[int, int]]


@dataclass
class Findings:
    """What the check of all splits found, as plain data. ``leaks`` has keys such as ``train->test``.

    Texts are equal if they are so in NFC with blanks collapsed; case counts. Counted before ``leaks=drop`` acts, but
    for ``reviews`` and ``removed``.
    """

    splits: dict[str, SplitFindings]
    leaks: dict[str, Leak]
    notes: list[str]

    def to_dict(self) -> dict[str, Any]:
        """Dicts, lists, numbers and strings, for JSON."""
        return asdict(self)

    def lines(self) -> list[str]:
        """The report, line by line; what there is none of is not mentioned."""
        lines = []
        for name, split in self.splits.items():
            lines.append(f"{name} ({split.path}): rows {split.rows:,}, reviews {split.reviews:,}")
            for kind, words in TOLD.items():
                if count := getattr(split, kind):
                    lines.append(f"  {words}: {count:,}{_where(split.first_lines.get(kind, []), count)}")
        for pair, leak in self.leaks.items():
            source, _, target = pair.partition("->")
            if leak.rows:
                same = [f"{here} = {there}" for there, here in leak.first_lines]
                lines.append(f"rows of {target} whose text {source} has too: {leak.rows:,}{_where(same, leak.rows)}")
        return lines + self.notes


def _where(lines: Sequence[object], count: int) -> str:
    if not lines:
        return ""
    more = ", ..." * (count > len(lines))
    return f" (line {', '.join(map(str, lines))}{more})"


@dataclass
class Splits:
    """The reviews of a data set, read with one list of aspects. ``val`` and ``test`` may be missing."""

    labels: Labels
    train: Reviews
    val: Reviews | None
    test: Reviews | None
    findings: Findings


def read_splits(
    train: str | Path,
    val: str | Path | float | None = None,
    test: str | Path | float | None = None,
    *,
    aspects: Sequence[str] | None = None,
    text_column: str | None = None,
    label_column: str | None = None,
    ignore_columns: Sequence[str] = (),
    separator: str | None = None,
    leaks: Leaks = "warn",
    split_seed: int = 0,
) -> Splits:
    """Read the splits of a data set; the aspects of ``train`` hold for all, unless ``aspects`` are given.

    ``val`` and ``test`` are files, or fractions (0 to 1) of the reviews of ``train``: chosen by text and ``split_seed``
    whatever the order of the rows, equal texts together, exact in size as far as equal texts allow. ``leaks`` says what
    becomes of texts that training shares with val or test: "warn" counts them, "drop" takes their rows out of training,
    "error" refuses. Raises UserError with every fault of every file.
    """
    if leaks not in get_args(Leaks):
        hint = did_you_mean(str(leaks), get_args(Leaks))
        raise UserError(f"data.leaks={quoted(leaks)} is not one of {listed(get_args(Leaks))}{hint}")
    others = {name: source for name, source in (("val", val), ("test", test)) if source is not None}
    files = {name: source for name, source in others.items() if not isinstance(source, int | float)}
    fractions = {name: float(source) for name, source in others.items() if isinstance(source, int | float)}
    for name, share in fractions.items():
        if not 0 < share < 1:
            raise UserError(f"data.{name}={others[name]} is neither a file nor a fraction between 0 and 1")
    columns = Columns(aspects, text_column, label_column, ignore_columns, separator)
    splits, names = _load({"train": train, **files}, columns)
    keys = {name: text_keys(reviews.texts) for name, reviews in splits.items()}
    if fractions:
        whole, whole_keys = splits["train"], keys["train"]
        for name, rows in _parts(whole, whole_keys, fractions, split_seed).items():
            splits[name] = _training(whole, rows) if name == "train" else whole.take(rows)
            keys[name] = whole_keys[rows]
    splits = {name: splits[name] for name in ("train", "val", "test") if name in splits}
    findings = _findings(splits, keys)
    if leaks == "error":
        _refuse_leaks(splits, keys)
    if leaks == "drop":
        splits["train"] = _without_leaks(splits["train"], keys, findings)
    labels = _labels(names, splits["train"])
    findings.notes = _notes(labels, splits)
    return Splits(labels, splits["train"], splits.get("val"), splits.get("test"), findings)


def check_files(files: Sequence[str], **columns: Any) -> str:
    """The report on some files, and a table of counts for each; ``columns`` are the options of ``read_reviews``.

    The training file, whose aspects hold for all, is the one that has "train" in its name, else the first whose name
    does not say val, dev or test, else the first. Raises UserError with every fault of every file.
    """
    if not files:
        raise UserError("name a file to check")
    roles = {file: _role(file) for file in dict.fromkeys(files)}
    if 0 not in roles.values():
        roles[next((file for file, role in roles.items() if role == OTHER), files[0])] = 0
    ordered = sorted(roles, key=roles.__getitem__)
    names = [Path(file).name for file in ordered]
    if len(set(names)) < len(names):
        names = ordered
    splits, aspects = _load(dict(zip(names, ordered, strict=True)), Columns(**columns))
    labels = _labels(aspects, splits[names[0]])
    findings = _findings(splits, {name: text_keys(reviews.texts) for name, reviews in splits.items()})
    findings.notes = _notes(labels, splits)
    tables = [f"\n{name}\n{counts_table(labels, reviews)}" for name, reviews in splits.items()]
    return "\n".join([*findings.lines(), *tables])


def counts_table(labels: Labels, reviews: Reviews) -> str:
    """Pairs by aspect and sentiment, mentions, and the share of reviews that mention the aspect; 80 columns at most."""
    counts, mentions = reviews.class_counts, reviews.mention_counts
    rows: list[list[str]] = [["aspect", *SENTIMENTS, "mentioned", "of reviews"]]
    for i, aspect in enumerate(labels.aspects):
        pairs = [f"{n:,}" for n in counts[i]] if labels.carries_sentiment[i] else ["-"] * C
        rows.append([aspect, *pairs, f"{mentions[i]:,}", _percent(mentions[i], len(reviews))])
    totals = counts.sum(axis=0)
    rows.append(["all", *(f"{n:,}" for n in totals), f"{mentions.sum():,}", ""])
    rows.append(["share", *(_percent(n, totals.sum()) for n in totals), "", ""])
    width = min(max(len(name) for name, *_ in rows), 25)
    lines = []
    for name, *cells in rows:
        name = name if len(name) <= width else name[: width - 1] + "…"
        lines.append(f"{name:<{width}}" + "".join(f"{cell:>{w}}" for cell, w in zip(cells, WIDTHS, strict=True)))
    return "\n".join(line.rstrip() for line in lines)


def text_keys(texts: Sequence[str]) -> np.ndarray:
    """A number for each text, uint64 [N], equal for equal texts: NFC, blanks collapsed, case kept.

    The same on every machine. That any two of a million different texts get one number has a probability of 3e-8.
    """
    plain = (" ".join(unicodedata.normalize("NFC", text).split()) for text in texts)
    return _digests(text.encode() for text in plain)


# --- reading ---------------------------------------------------------------------------------------------------------


def _load(files: Mapping[str, str | Path], columns: Columns) -> tuple[dict[str, Reviews], tuple[str, ...]]:
    """The reviews of all files; the first gives the aspects, unless they are declared."""
    faults = Faults()
    splits = {}
    aspects: tuple[str, ...] = ()
    for i, (name, path) in enumerate(files.items()):
        loaded = load_reviews(path, columns, faults)
        if loaded is None:
            continue
        splits[name], found = loaded
        if i == 0 and found:
            aspects = found
            columns = columns._replace(aspects=found)
    faults.raise_if_any()
    return splits, aspects


def _role(file: str) -> int:
    words = re.split("[^a-z]+", Path(file).stem.lower())
    return next((ROLES[word] for word in words if word in ROLES), OTHER)


def _labels(aspects: tuple[str, ...], train: Reviews) -> Labels:
    silent = (train.mention_counts > 0) & (train.class_counts.sum(axis=1) == 0)
    return Labels(aspects, tuple(name for name, is_silent in zip(aspects, silent, strict=True) if is_silent))


# --- what relates the splits -----------------------------------------------------------------------------------------


def _findings(splits: Mapping[str, Reviews], keys: Mapping[str, np.ndarray]) -> Findings:
    leaks = {}
    for source, target in combinations(splits, 2):
        there, here = _shared(keys[source], keys[target])
        lines = splits[source].lines, splits[target].lines
        first = [(lines[0][i], lines[1][j]) for i, j in zip(there[:EXAMPLES], here[:EXAMPLES], strict=True)]
        leaks[f"{source}->{target}"] = Leak(len(here), first)
    return Findings({name: _split_findings(splits[name], keys[name]) for name in splits}, leaks, [])


def _split_findings(reviews: Reviews, keys: np.ndarray) -> SplitFindings:
    _, first, group = np.unique(keys, return_index=True, return_inverse=True)
    repeated = np.flatnonzero(first[group] != np.arange(len(keys)))
    differs = (reviews.sentiment[repeated] != reviews.sentiment[first[group[repeated]]]).any(axis=1)
    differs |= (reviews.mentioned[repeated] != reviews.mentioned[first[group[repeated]]]).any(axis=1)
    conflicting = np.unique(group[repeated[differs]])
    not_nfc = [i for i, text in enumerate(reviews.texts) if not unicodedata.is_normalized("NFC", text)]
    rows: dict[str, Any] = {"repeated": repeated, "not_nfc": not_nfc}
    rows["conflicting"] = np.flatnonzero(np.isin(group, conflicting))
    lines = {"without_text": reviews.without_text, "without_label": reviews.without_label}
    lines |= {kind: [reviews.lines[i] for i in where[:EXAMPLES]] for kind, where in rows.items()}
    return SplitFindings(
        path=reviews.path,
        sha256=reviews.sha256,
        rows=reviews.rows,
        reviews=len(reviews),
        without_text=len(reviews.without_text),
        without_label=len(reviews.without_label),
        repeated=len(repeated),
        conflicting=len(conflicting),
        not_nfc=len(not_nfc),
        first_lines={kind: where[:EXAMPLES] for kind, where in lines.items() if where},
    )


def _notes(labels: Labels, splits: Mapping[str, Reviews]) -> list[str]:
    """What training lacks, and what that leaves out of the other splits."""
    name, train = next(iter(splits.items()))
    unseen = [aspect for aspect, n in zip(labels.aspects, train.mention_counts, strict=True) if not n]
    notes = [f"{name} never mentions {listed(unseen)}"] if unseen else []
    totals = train.class_counts.sum(axis=0)
    notes += [f"{name} has no {sentiment} pair" for sentiment, n in zip(SENTIMENTS, totals, strict=True) if not n]
    for other, reviews in splits.items():
        lost = reviews.class_counts.sum(axis=1)[[not carries for carries in labels.carries_sentiment]].sum()
        if lost:
            aspects = listed(labels.without_sentiment)
            notes.append(
                f"pairs of {other} left out of its figures, as {name} has no sentiment for {aspects}: {lost:,}"
            )
    return notes


def _shared(source: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The positions of the keys that both have, int [M] each: their first in ``source``, all of them in ``target``."""
    known, first = np.unique(source, return_index=True)
    place = np.minimum(np.searchsorted(known, target), len(known) - 1)
    here = np.flatnonzero(known[place] == target)
    return first[place[here]], here


def _refuse_leaks(splits: Mapping[str, Reviews], keys: Mapping[str, np.ndarray]) -> None:
    faults = Faults()
    train = splits["train"]
    for name, reviews in splits.items():
        if name != "train":
            for i, j in zip(*_shared(keys["train"], keys[name]), strict=True):
                faults.add(reviews.path, f"this text is in {train.path}:{train.lines[i]} too", reviews.lines[j])
    if len(faults):
        remedy = "data.leaks=drop takes them out of training, data.leaks=warn leaves them"
        faults.add(train.path, f"rows of val or test whose text training has too: {len(faults):,}; {remedy}")
    faults.raise_if_any()


def _without_leaks(train: Reviews, keys: Mapping[str, np.ndarray], findings: Findings) -> Reviews:
    held = [key for name, key in keys.items() if name != "train"]
    stay = np.flatnonzero(~np.isin(keys["train"], np.concatenate([keys["train"][:0], *held])))
    if not len(stay):
        raise UserError(f"{train.path}: data.leaks=drop leaves nothing to train on: val and test hold every text of it")
    found = findings.splits["train"]
    found.removed, found.reviews = len(train) - len(stay), len(stay)
    return _training(train, stay)


def _training(whole: Reviews, rows: np.ndarray) -> Reviews:
    """The training split taken from a file: the rows that were left out at reading are told of it."""
    return replace(whole.take(rows), without_text=whole.without_text, without_label=whole.without_label)


def _parts(reviews: Reviews, keys: np.ndarray, fractions: Mapping[str, float], seed: int) -> dict[str, np.ndarray]:
    """The rows of training and of each fraction, int [M]. Test is chosen first: the size of val does not change it."""
    asked = " and ".join(f"data.{name}={share}" for name, share in fractions.items())
    room = {name: round(fractions[name] * len(reviews)) for name in ("test", "val") if name in fractions}
    for name, size in room.items():
        if not size:
            raise UserError(f"data.{name}={fractions[name]} of the {len(reviews):,} reviews of {reviews.path} is none")
    if sum(room.values()) >= len(reviews):
        leave = "leaves" if len(room) == 1 else "leave"
        raise UserError(f"{asked} {leave} nothing of {reviews.path} to train on")
    texts, text_of, sizes = np.unique(keys, return_inverse=True, return_counts=True)
    order = np.argsort(_digests((key.tobytes() for key in texts), seed))
    names = ["train", *room]
    part = np.zeros(len(texts), dtype=np.int8)  # index into names
    for i in order:
        for name in room:
            if sizes[i] <= room[name]:
                room[name] -= int(sizes[i])
                part[i] = names.index(name)
                break
    parts = {name: np.flatnonzero(part[text_of] == i) for i, name in enumerate(names)}
    for name, rows in parts.items():
        if not len(rows):
            few = f"of the {len(reviews):,} reviews of {reviews.path} is none: equal texts stay together"
            raise UserError(f"data.{name}={fractions[name]} {few}")
    return parts


def _digests(blobs: Iterable[bytes], seed: int = 0) -> np.ndarray:
    """64 bits of BLAKE2 of each, uint64 [N]: a hash that stays the same from process to process."""
    key = str(seed).encode()
    return np.frombuffer(b"".join(blake2b(blob, digest_size=8, key=key).digest() for blob in blobs), dtype="<u8")


def _percent(part: int, whole: int) -> str:
    return f"{100 * part / max(whole, 1):.1f} %"
