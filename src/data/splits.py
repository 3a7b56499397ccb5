"""Training, validation and test splits: files read with one list of aspects, fractions of one file, leaks dropped."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, get_args

import numpy as np

from ..errors import Faults, UserError, did_you_mean, listed, quoted
from ..labels import SENTIMENTS, Labels
from .findings import Findings, compare, digests, notes_on, shared_keys, text_keys
from .joined import one_split
from .reviews import Columns, Reviews, Unlabelled, leaving_out, load_reviews
from .values import Meanings

Leaks = Literal["warn", "drop", "error"]
Files = str | Path | Sequence[str]  # of one split


@dataclass
class Splits:
    """The reviews of a data set, read with one list of aspects. ``val`` and ``test`` may be missing."""

    labels: Labels
    train: Reviews
    val: Reviews | None
    test: Reviews | None
    findings: Findings


def read_splits(
    train: Files,
    val: Files | float | None = None,
    test: Files | float | None = None,
    *,
    aspects: Sequence[str] | None = None,
    text_column: str | None = None,
    label_column: str | None = None,
    ignore_columns: Sequence[str] = (),
    separator: str | None = None,
    sentiments: Sequence[str] = SENTIMENTS,
    values: Meanings = None,
    several: str | None = None,
    unlabelled: Unlabelled = "keep",
    encoding: str | None = None,
    sheet: str | None = None,
    layout: str | None = None,
    leaks: Leaks = "warn",
    split_seed: int = 0,
) -> Splits:
    """Read the splits of a data set; the aspects of ``train`` hold for all, unless ``aspects`` are given.

    A split is a file or several, which count as one. ``val`` and ``test`` may also be
    fractions (0 to 1) of the reviews of ``train``: chosen by text and ``split_seed``
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
    cells = sentiments, values, several, unlabelled
    columns = Columns(aspects, text_column, label_column, ignore_columns, separator, *cells, encoding, sheet, layout)
    splits, names = load_files({"train": train, **files}, columns)
    keys = {name: text_keys(reviews.texts) for name, reviews in splits.items()}
    if fractions:
        whole, whole_keys = splits["train"], keys["train"]
        for name, rows in _parts(whole, whole_keys, fractions, split_seed).items():
            splits[name] = _training(whole, rows) if name == "train" else whole.take(rows)
            keys[name] = whole_keys[rows]
    splits = {name: splits[name] for name in ("train", "val", "test") if name in splits}
    findings = compare(splits, keys)
    if leaks == "error":
        _refuse_leaks(splits, keys)
    if leaks == "drop":
        splits["train"] = _without_leaks(splits["train"], keys, findings)
    labels = labels_of(names, splits["train"])
    findings.notes = notes_on(labels, splits)
    return Splits(labels, splits["train"], splits.get("val"), splits.get("test"), findings)


# --- reading ---------------------------------------------------------------------------------------------------------


def load_files(files: Mapping[str, Files], columns: Columns) -> tuple[dict[str, Reviews], tuple[str, ...]]:
    """The reviews of all files and their aspects, which the first file gives unless ``columns`` declares them.

    Raises UserError with every fault of every file.
    """
    faults = Faults()
    values = columns.meanings()
    splits = {}
    aspects: tuple[str, ...] = ()
    for i, (name, path) in enumerate(files.items()):
        paths = [path] if isinstance(path, str | Path) else list(path)
        if not paths:
            faults.add(name, "an empty list of files; a file or a list of them is expected")
        parts = [load_reviews(each, columns, faults, values, in_part=len(paths) > 1) for each in paths]
        if not (read := [part for part in parts if part is not None]):
            continue
        splits[name], found = one_split(read)
        if i == 0 and found:
            aspects = found
            columns = columns._replace(aspects=found)
    values.ask(faults)
    faults.raise_if_any(leaving_out(faults, columns))
    return splits, aspects


def labels_of(aspects: tuple[str, ...], train: Reviews) -> Labels:
    """Labels over ``aspects``; those that training mentions, but never with a sentiment, are ``without_sentiment``."""
    silent = (train.mention_counts > 0) & (train.class_counts.sum(axis=1) == 0)
    named = tuple(name for name, is_silent in zip(aspects, silent, strict=True) if is_silent)
    return Labels(aspects, named, train.sentiments)


# --- leaks and fractions ---------------------------------------------------------------------------------------------


def _refuse_leaks(splits: Mapping[str, Reviews], keys: Mapping[str, np.ndarray]) -> None:
    faults = Faults()
    train = splits["train"]
    for name, reviews in splits.items():
        if name != "train":
            for i, j in zip(*shared_keys(keys["train"], keys[name]), strict=True):
                there, here = train.file_and_line(int(train.lines[i])), reviews.file_and_line(int(reviews.lines[j]))
                faults.add(here[0], f"this text is in {there[0]}:{there[1]} too", here[1])
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
    """The training split taken from a file: rows that were left out at reading stay in its counts."""
    counted = ("without_text", "without_label", "several", "blanks", "read_as")
    return replace(whole.take(rows), **{name: getattr(whole, name) for name in counted})


def _parts(reviews: Reviews, keys: np.ndarray, fractions: Mapping[str, float], seed: int) -> dict[str, np.ndarray]:
    """The rows of training and of each fraction, int64 [M]. Raises UserError for a part that would be empty.

    Test is chosen first, so that the size of val does not change it.
    """
    asked = " and ".join(f"data.{name}={share}" for name, share in fractions.items())
    room = {name: round(fractions[name] * len(reviews)) for name in ("test", "val") if name in fractions}
    for name, size in room.items():
        if not size:
            raise UserError(f"data.{name}={fractions[name]} of the {len(reviews):,} reviews of {reviews.path} is none")
    if sum(room.values()) >= len(reviews):
        leave = "leaves" if len(room) == 1 else "leave"
        raise UserError(f"{asked} {leave} nothing of {reviews.path} to train on")
    texts, text_of, sizes = np.unique(keys, return_inverse=True, return_counts=True)
    order = np.argsort(digests((key.tobytes() for key in texts), seed))
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
