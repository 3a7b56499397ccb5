#!/usr/bin/env python3
"""Prediction speed of this project, in one process: predict_speed.py RUN_OR_BUNDLE CSV [--rows 192]

Measures the whole way from texts to answers: tokenising, the model, thresholds, calibration. Prints one JSON object.
"""

import argparse
import csv
import json
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import numpy as np

from src.ship.predictor import load


def main() -> None:
    """Measure and print."""
    p = argparse.ArgumentParser()
    p.add_argument("model")
    p.add_argument("csv", type=Path)
    p.add_argument("--rows", type=int, default=192, help="0: all of them")
    p.add_argument("--column", default="data")
    a = p.parse_args()
    began = time.perf_counter()
    predictor = load(a.model)
    start_up = time.perf_counter() - began
    with a.csv.open(encoding="utf-8-sig", newline="") as file:
        texts = [row[a.column] for row in csv.DictReader(file) if row[a.column]]
    if a.rows:
        chosen = np.random.RandomState(0).choice(len(texts), a.rows, replace=a.rows > len(texts))
        texts = [texts[i] for i in chosen]
    predictor.predict(texts[:8])
    began = time.perf_counter()
    predictor.predict(texts)
    seconds = time.perf_counter() - began
    print(json.dumps({"reviews_per_second": len(texts) / seconds, "seconds_to_first_step": start_up}))


if __name__ == "__main__":
    main()
