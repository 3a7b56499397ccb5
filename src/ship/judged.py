"""Judge a bundle on a labelled file: the figures of what was shipped, int8 weights and all, without torch."""

from collections.abc import Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import numpy as np

from ..answers.calibration import Calibration
from ..answers.predictions import Predictions
from ..answers.thresholds import Thresholds
from ..data.findings import compare, text_keys
from ..data.reviews import Columns, read_reviews
from ..data.stars import stars_of
from ..errors import UserError
from ..judge.judgement import Judgement, Tuned, judged
from ..judge.leaks import UNKNOWN, read_keys
from ..judge.protocols import protocol_named
from ..judge.robustness import InNoise, answers_in_noise, noisy_reviews
from ..judge.text import evaluation_text
from ..spelling import command
from .bundle import SEEN, read_whole
from .predictor import load_bundle

READ_BY = tuple(name for name in Columns._fields if name not in ("aspects", "sentiments"))
"""Settings by which a run read its files; a bundle keeps them, and has the aspects and sentiments in its labels."""


def evaluate_bundle(
    folder: str | Path, file: str | Path | None, protocol: str | None = None, in_noise: bool = False, **given: Any
) -> str:
    """The tables for a bundle's answers to a labelled ``file``, read as its run read its own; ready to print.

    ``given`` are fields of :class:`src.data.reviews.Columns` that are other than in training. Raises UserError without
    a file, for faults of the file, aspects that the bundle does not know, what is no whole bundle, and if ``protocol``
    is unknown or for other data.
    """
    if file is None:
        again = command("absa", ["evaluate", str(folder), "labelled.csv"])
        raise UserError(f"{folder}: a bundle holds no test split; name a labelled file: {again}")
    predictor = load_bundle(folder)
    info, labels = predictor.info, predictor.labels
    if protocol is not None:
        protocol_named(protocol, labels)
    told = {name: value for name, value in info.get("reading", {}).items() if name in READ_BY} | given
    reviews, _ = read_reviews(file, **told, aspects=labels.aspects, sentiments=labels.sentiments)
    name = Path(file).name
    findings = compare({name: reviews}, {name: text_keys(reviews.texts)}).lines()

    def answering(texts: Sequence[str]) -> tuple[np.ndarray | None, np.ndarray]:
        return predictor.logits([text.encode("utf-8", "replace").decode() for text in texts])

    mentioned, sentiment = answering(reviews.texts)
    gold = reviews.mentioned, reviews.sentiment.astype(np.int64)
    predictions = Predictions(reviews.ids, reviews.texts, *gold, sentiment, mentioned, reviews.lines.tolist())
    notes = [f"Weights: {info['precision']}."]
    keys = None
    try:
        keys = read_keys(read_whole(folder)[1][SEEN])
    except (KeyError, ValueError, EOFError):
        notes.append(f"{UNKNOWN}this bundle keeps no hashes of its training texts; export it again.")
    tuned = Tuned(Thresholds.from_dict(info["thresholds"]), Calibration.from_dict(info["calibration"]), [])
    counts = np.array(info["class_counts"]) if "class_counts" in info else None
    by = Judgement(str(folder), labels, tuned, counts, None, keys, notes)
    stars = stars_of(str(file), reviews.lines.tolist(), told)
    noised = None
    if in_noise:
        noise = noisy_reviews(reviews.texts)
        noised = InNoise(noise, Future())
        noised.answers.set_result(answers_in_noise(noise, answering))
    shown = judged(by, predictions, str(file), stars=stars, in_noise=noised)
    return "\n\n".join(["\n".join(findings), evaluation_text(shown, protocol)])
