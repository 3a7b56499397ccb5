"""A finished run's folder without a training: data files, predictions of a made-up model, summary."""

import csv
import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np

from src.answers.predictions import Predictions, write_predictions
from src.labels import IGNORE, SENTIMENTS, Labels

C = len(SENTIMENTS)

LABELS = Labels(("Battery", "Camera", "Price", "OTHERS"), ("OTHERS",))
A = len(LABELS.aspects)
SIZES = {"train": 240, "val": 80, "test": 120}
NOUNS = ("pin", "camera", "giá", "khác")
WORDS = (("tốt", "đẹp"), ("kém", "tệ"), ("tạm", "thường"))


def gold(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """mentioned bool [n, A], sentiment int64 [n, A]; every review mentions something."""
    rng = np.random.default_rng(seed)
    mentioned = rng.random((n, A)) < [0.5, 0.4, 0.15, 0.1]
    mentioned[~mentioned.any(1), 0] = True
    sentiment = np.where(mentioned, rng.choice(C, (n, A), p=[0.5, 0.35, 0.15]), IGNORE)
    sentiment[:, 3] = IGNORE
    return mentioned, sentiment


def texts(mentioned: np.ndarray, sentiment: np.ndarray, seed: int) -> list[str]:
    rng = np.random.default_rng(seed)
    said = []
    for i, row in enumerate(mentioned):
        parts = [f"{NOUNS[a]} {rng.choice(WORDS[sentiment[i, a]]) if a < 3 else ''}" for a in np.flatnonzero(row)]
        said.append(f"{', '.join(parts)} số {i}")
    return said


def predicted(split: str, quality: float = 1.5, seed: int = 0, task: str = "absa") -> Predictions:
    """Predictions of a model; the gold labels depend on the split only."""
    order = list(SIZES).index(split)
    mentioned, sentiment = gold(SIZES[split], order)
    rng = np.random.default_rng([seed, order])
    return Predictions(
        [str(i + 2) for i in range(SIZES[split])],
        texts(mentioned, sentiment, order),
        mentioned,
        sentiment,
        rng.normal(0, 1, (*mentioned.shape, C)) + quality * (sentiment[..., None] == np.arange(C)),
        rng.normal(0, 1, mentioned.shape) + quality * (2 * mentioned - 1) - 0.7 if task == "absa" else None,
    )


def make_run(folder: Path, quality: float = 1.5, seed: int = 0, task: str = "absa", **config: Any) -> Path:
    """Write the folder of a run and, beside it in ``data/``, the files that it was trained on."""
    data = folder.parent / "data"
    data.mkdir(parents=True, exist_ok=True)
    splits, counts = {}, np.zeros((A, C), int)
    for name in SIZES:
        p = predicted(name, quality, seed, task)
        path = data / f"{name}.csv"
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["text", *LABELS.aspects])
            for text, m, s in zip(p.texts, p.mentioned, p.sentiment, strict=True):
                writer.writerow([text, *(_cell(m[a], s[a]) for a in range(A))])
        splits[name] = {"path": str(path), "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
        if name == "train":
            counts = np.stack([(p.sentiment == c).sum(0) for c in range(C)], 1)
        else:
            write_predictions(folder / "predictions" / f"{name}.jsonl", p, LABELS)
    summary = {
        "task": task,
        "labels": {"aspects": list(LABELS.aspects), "without_sentiment": list(LABELS.without_sentiment)},
        "monitor": "val/pair_f1",
        "figures": {"val": {}, "test": {}},
        "threshold": 0.5,
        "class_counts": counts.tolist(),
        "data": {"splits": splits},
        "config": {
            "data": {"dir": str(data), **{name: f"{name}.csv" for name in SIZES}, "batch_size": 32, "seed": seed},
            "loss": {"gamma": 2.0, "alpha": "auto"},
            "trainer": {"default_root_dir": str(folder), "callbacks": [{"dirpath": f"{folder}/checkpoints"}]},
            "callbacks": {"best": {"dirpath": f"{folder}/checkpoints"}},
            "seed": seed,
        },
    }
    summary["config"] |= config
    (folder / "summary.json").write_text(json.dumps(summary))
    return folder


def change_summary(folder: Path, **values: Any) -> None:
    path = folder / "summary.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def _cell(mentioned: bool, sentiment: int) -> str:
    if not mentioned:
        return ""
    return "mentioned" if sentiment == IGNORE else SENTIMENTS[sentiment]
