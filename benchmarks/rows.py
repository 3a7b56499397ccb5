"""Choose the reviews of a benchmark: every way gets the same ones."""

import csv
from pathlib import Path

import numpy as np


def sample_rows(source: Path, count: int, target: Path) -> Path:
    """Copy ``count`` rows with text to ``target``: those that pandas' ``sample(count, random_state=0)`` chooses."""
    with source.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file)
        rows = [row for row in reader if row["data"]]
    chosen = np.random.RandomState(0).choice(len(rows), count, replace=count > len(rows))
    with target.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows[i] for i in chosen)
    return target
