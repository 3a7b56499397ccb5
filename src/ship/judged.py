"""Judge a bundle on a labelled file: the figures of what was shipped, int8 weights and all, without torch."""

from pathlib import Path

import numpy as np

from ..answers.calibration import Calibration
from ..answers.predictions import Predictions
from ..answers.thresholds import Thresholds
from ..data.reviews import read_reviews
from ..errors import UserError
from ..judge.evaluation import Decisions, Judgement, judged
from ..judge.leaks import UNKNOWN, read_keys
from ..judge.protocols import protocol_named
from ..judge.text import evaluation_text
from ..spelling import pasted
from .bundle import SEEN, read_whole
from .predictor import load_bundle

READING = ("text_column", "label_column", "ignore_columns", "separator")  # settings by which the run read its files


def evaluate_bundle(folder: str | Path, file: str | Path | None, protocol: str | None = None) -> str:
    """The tables for a bundle's answers to a labelled ``file``, read as its run read its own; ready to print.

    Raises UserError without a file, for faults of the file, aspects that the bundle does not know, what is no whole
    bundle, and if ``protocol`` is unknown or for other data.
    """
    if file is None:
        again = pasted(["absa", "evaluate", str(folder), "labelled.csv"])
        raise UserError(f"{folder}: a bundle holds no test split; name a labelled file: {again}")
    predictor = load_bundle(folder)
    info, labels = predictor.info, predictor.labels
    if protocol is not None:
        protocol_named(protocol, labels)
    reading = {k: v for k, v in info.get("reading", {}).items() if k in READING and v is not None}
    reviews, _ = read_reviews(file, aspects=labels.aspects, **reading)
    texts = [text.encode("utf-8", "replace").decode() for text in reviews.texts]
    mentioned, sentiment = predictor.logits(texts)
    gold = reviews.mentioned, reviews.sentiment.astype(np.int64)
    predictions = Predictions(reviews.ids, reviews.texts, *gold, sentiment, mentioned)
    content = read_whole(folder)[1].get(SEEN)
    decisions = Decisions(
        Thresholds.from_dict(info["thresholds"]),
        Calibration.from_dict(info["calibration"]),
        [f"Weights: {info['precision']}."],
    )
    unknown = [] if content else [f"{UNKNOWN}this bundle keeps no hashes of its training texts; export it again."]
    keys = read_keys(content) if content else None
    counts = np.array(info["class_counts"]) if "class_counts" in info else None
    by = Judgement(str(folder), labels, decisions, counts, None, keys, [*decisions.notes, *unknown])
    return evaluation_text(judged(by, predictions, str(file)), protocol)
