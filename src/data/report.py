"""The printed report on data files: what ``absa check`` says of them, with counts."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..errors import UserError
from ..labels import Labels
from ..spelling import table
from .findings import compare, notes_on, text_keys
from .reviews import Columns, Reviews
from .splits import labels_of, load_files

ROLES = {"train": 0, "training": 0, "val": 1, "valid": 1, "validation": 1, "dev": 1, "test": 2}
OTHER = 3


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
    splits, aspects = load_files(dict(zip(names, ordered, strict=True)), Columns(**columns))
    labels = labels_of(aspects, splits[names[0]])
    findings = compare(splits, {name: text_keys(reviews.texts) for name, reviews in splits.items()})
    findings.notes = notes_on(labels, splits)
    tables = [f"\n{name}\n{counts_table(labels, reviews)}" for name, reviews in splits.items()]
    return "\n".join([*findings.lines(), *tables])


def counts_table(labels: Labels, reviews: Reviews) -> str:
    """Pairs by aspect and sentiment, mentions, and the share of reviews that mention the aspect; 80 columns at most."""
    counts, mentions, carries = reviews.class_counts, reviews.mention_counts, labels.carries_sentiment
    rows: list[list[str]] = [["aspect", *labels.sentiments, "mentioned", "of reviews"]]
    for i, aspect in enumerate(labels.aspects):
        pairs = [f"{n:,}" for n in counts[i]] if carries[i] else ["-"] * len(labels.sentiments)
        rows.append([aspect, *pairs, f"{mentions[i]:,}", _percent(mentions[i], len(reviews))])
    totals = counts.sum(axis=0)
    rows.append(["all", *(f"{n:,}" for n in totals), f"{mentions.sum():,}", ""])
    rows.append(["share", *(_percent(n, totals.sum()) for n in totals), "", ""])
    return table(rows, widest=25)


def _role(file: str) -> int:
    words = re.split("[^a-z]+", Path(file).stem.lower())
    return next((ROLES[word] for word in words if word in ROLES), OTHER)


def _percent(part: int, whole: int) -> str:
    return f"{100 * part / max(whole, 1):.1f} %"
