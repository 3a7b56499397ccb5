"""The committed sample is what its script writes, is clean and complete, and keeps some phrases for the test."""

import csv
import importlib
import re
import subprocess
import sys
import unicodedata
from collections import Counter
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[1] / "data" / "sample"
SIZES = {"train": 440, "validation": 80, "test": 80}
ASPECTS = (
    "Battery",
    "Camera",
    "Performance",
    "Display",
    "Design",
    "Packaging",
    "Price",
    "Shop_Service",
    "Shipping",
    "General",
    "Others",
)
SENTIMENTS = ("Positive", "Negative", "Neutral")


def read(split: str) -> list[dict[str, str]]:
    with (FOLDER / f"{split}.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def pair_counts(split: str) -> Counter[tuple[str, str]]:
    return Counter((aspect, row[aspect]) for row in read(split) for aspect in ASPECTS if row[aspect])


@pytest.fixture(scope="module")
def script():
    sys.path.insert(0, str(FOLDER))
    try:
        yield importlib.import_module("make_sample")
    finally:
        sys.path.remove(str(FOLDER))
        for name in ("make_sample", "phrases"):
            sys.modules.pop(name, None)


def test_script_writes_the_committed_bytes(tmp_path):
    subprocess.run([sys.executable, "-B", str(FOLDER / "make_sample.py"), str(tmp_path)], check=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["test.csv", "train.csv", "validation.csv"]
    for split in SIZES:
        name = f"{split}.csv"
        assert (tmp_path / name).read_bytes() == (FOLDER / name).read_bytes(), f"run {FOLDER / 'make_sample.py'}"


@pytest.mark.parametrize("split", SIZES)
def test_table_is_clean(split):
    raw = (FOLDER / f"{split}.csv").read_bytes()
    assert not raw.startswith(b"\xef\xbb\xbf")
    assert b"\r" not in raw
    rows = read(split)
    assert len(rows) == SIZES[split]
    assert list(rows[0]) == ["data", *ASPECTS]
    for row in rows:
        assert {row[aspect] for aspect in ASPECTS} <= {*SENTIMENTS, ""}
        assert 1 <= sum(bool(row[aspect]) for aspect in ASPECTS) <= 6
        assert row["data"] == row["data"].strip() != ""
        assert not re.search(r"[{}]", row["data"]), "a slot was left open"
        assert unicodedata.is_normalized("NFC", row["data"])


def test_no_text_stands_twice():
    texts = [row["data"].casefold() for split in SIZES for row in read(split)]
    assert len(set(texts)) == len(texts) == sum(SIZES.values())


def test_every_class_can_be_learned_and_every_aspect_is_judged():
    counts = pair_counts("train")
    assert {(a, s): counts[a, s] for a in ASPECTS for s in SENTIMENTS if counts[a, s] < 5} == {}
    for split in ("validation", "test"):
        assert {aspect for aspect, _ in pair_counts(split)} == set(ASPECTS)


def test_sample_shows_how_people_write():
    rows = [row for split in SIZES for row in read(split)]
    texts = [row["data"] for row in rows]
    lengths = [len(text.split()) for text in texts]
    assert 27 <= sum(lengths) / len(lengths) <= 40
    assert min(lengths) <= 3
    assert max(lengths) >= 100
    mixed = sum(len({row[aspect] for aspect in ASPECTS} - {""}) > 1 for row in rows)
    assert 0.05 <= mixed / len(rows) <= 0.15
    for wanted in (lambda t: "\n" in t, str.isupper, str.isascii, lambda t: '"' in t, lambda t: "😍" in t):
        assert any(map(wanted, texts))


def fold(text: str, script) -> str:
    """Undo what the script does to a phrase: marks, case, punctuation, drawn-out letters, chat spellings."""

    def plain(part: str) -> str:
        part = script.without_marks(part.lower())
        return re.sub(r"(.)\1+", r"\1", " ".join(re.findall(r"[^\W_]+", part)))

    spelled_out = {plain(short): plain(word) for word, spellings in script.TEENCODE.items() for short in spellings}
    return " ".join(spelled_out.get(word, word) for word in plain(text).split())


def contains(phrase: str, script) -> re.Pattern[str]:
    """Finds the folded phrase in a folded text, whatever stands in its slots."""
    pieces = (re.escape(fold(piece, script)) for piece in re.split(r"\{\w\}", phrase))
    return re.compile(r"\b" + r".{1,25}?".join(rf" ?{piece} ?" if piece else "" for piece in pieces).strip(" ?"))


def test_held_out_phrases_are_not_in_train(script):
    folded = {split: [fold(row["data"], script) for row in read(split)] for split in SIZES}
    pools, total = script.pools(), sum(len(stock) for stocks in script.PHRASES.values() for stock in stocks)
    held = {split: [p for _, unseen in pools[split].values() for p in unseen] for split in SIZES}
    assert held["train"] == []
    assert not set(held["validation"]) & set(held["test"])
    assert 0.15 <= len(held["validation"] + held["test"]) / total <= 0.22
    for split, others in {"validation": ("train", "test"), "test": ("train", "validation")}.items():
        patterns = {phrase: contains(phrase, script) for phrase in held[split]}
        leaked = {p for p, pattern in patterns.items() for o in others for t in folded[o] if pattern.search(t)}
        assert leaked == set()
        used = sum(any(pattern.search(text) for pattern in patterns.values()) for text in folded[split])
        assert used >= 0.3 * SIZES[split], "the search above would find nothing anyway"
