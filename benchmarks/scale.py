#!/usr/bin/env python3
"""Cost against the number of reviews: seconds and memory of every stage before training, and of a whole start.

    python benchmarks/scale.py                              1 k to 1 M reviews: some six minutes on two cores
    python benchmarks/scale.py --rows 1000 10000            a first look

The reviews are those of the sample again and again, each with a running number behind its text so that no two are
equal. Each size has two processes of its own: one takes the stages one by one (its memory is the peak so far, not that
of the stage alone), the other is `train.py` with a tiny encoder until its fifth step. Prints a Markdown table, and
writes ``--out`` (JSON) and, where matplotlib is installed, the plot beside it.
"""

import argparse
import csv
import itertools
import json
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
SAMPLE = ROOT / "data" / "sample"
sys.path.insert(0, str(ROOT))

STAGES = ("read", "check", "train tokenizer", "tokenise", "store", "load", "batch")
TINY = ("hidden_size=32", "layers=1", "heads=2", "intermediate_size=64")


def write_rows(target: Path, count: int) -> Path:
    """A CSV file of ``count`` different reviews with a text and a label, made from the sample's."""
    with (SAMPLE / "train.csv").open(encoding="utf-8", newline="") as file:
        header, *rows = csv.reader(file)
    rows = [row for row in rows if row[0].strip() and any(row[1:])]
    with target.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        writer.writerows([f"{row[0]} {i}", *row[1:]] for i, row in zip(range(count), itertools.cycle(rows)))
    return target


def stages(file: Path) -> dict[str, Any]:
    """Seconds of each stage, MiB at most until its end; as data modules take them, in the same order."""
    from src.batching import Batches, BatchPlan, TokenisedSplit
    from src.findings import compare, text_keys
    from src.reviews import read_reviews
    from src.token_cache import read_ids, write_ids
    from src.tokenizer import encode, train_tokenizer

    seconds: dict[str, float] = {}
    mib = {"start": peak()}

    def timed(stage: str, work: Callable[[], Any]) -> Any:
        began = time.perf_counter()
        result = work()
        seconds[stage], mib[stage] = time.perf_counter() - began, peak()
        return result

    reviews, _ = timed("read", lambda: read_reviews(file))
    timed("check", lambda: compare({"train": reviews}, {"train": text_keys(reviews.texts)}))
    tokenizer = timed("train tokenizer", lambda: train_tokenizer(reviews.texts, 8000, 256))
    ids, offsets = timed("tokenise", lambda: encode(tokenizer, reviews.texts))
    stored = file.with_suffix(".npz")
    timed("store", lambda: write_ids(stored, ids, offsets))
    timed("load", lambda: read_ids(stored, len(reviews)))
    split = TokenisedSplit(ids, offsets, reviews.mentioned, reviews.sentiment, 1)
    timed("batch", lambda: sum(1 for _ in Batches(split, BatchPlan(split.lengths))))
    return {"rows": len(reviews), "seconds": seconds, "mib": mib}


def peak() -> float:
    """MiB that this process has held at most."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
