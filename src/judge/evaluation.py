"""Judge a run by its predictions, at the thresholds and temperatures of its validation split."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from ..answers.calibration import Calibration, fit_calibration
from ..answers.predictions import Predictions, read_predictions
from ..answers.thresholds import Thresholds, tune_thresholds
from ..data.stars import stars_of
from ..labels import Labels
from ..runs.run import Run
from ..runs.summary import Summary
from .baselines import Predicted, tfidf_answer
from .contracts import Evaluation
from .intervals import DRAWS
from .judgement import Judgement, Tuned, judged
from .leaks import keys_of
from .protocols import protocol_named
from .robustness import InNoise, answers_in_noise, noisy_reviews
from .text import evaluation_text


def evaluate_run(
    folder: str | Path, file: str | Path | None = None, protocol: str | None = None, in_noise: bool = False
) -> str:
    """The tables for a run's test predictions, or for another predictions ``file`` of the run; ready to print.

    ``in_noise``: its best checkpoint also answers the same reviews in noise, which takes longer than all the rest.

    A run without a test split is judged on validation, which a note says. Raises UserError if the folder is no finished
    run, if the predictions are missing or have other aspects or no labels, and if ``protocol`` is unknown or for other
    data.
    """
    run = Run(folder)
    summary = run.read_summary()
    split = shown_split(summary)
    path = run.predictions(split) if file is None else Path(file)
    predictions = read_predictions(path, run.labels)
    return evaluate_predictions(run, predictions, split if file is None else str(file), protocol, in_noise=in_noise)


def shown_split(summary: Summary) -> str:
    """The split that a run is judged on: ``test``, or ``val`` where it has no test split."""
    return "test" if "test" in summary["figures"] else "val"


def evaluate_predictions(
    run: Run,
    predictions: Predictions,
    split: str,
    protocol: str | None = None,
    told: Mapping[str, Any] | None = None,
    in_noise: bool = False,
) -> str:
    """The tables for any predictions of a run's model; ``split`` names them. Raises UserError as evaluate_run.

    ``told`` is how their file is read where that differs from the run's own.
    """
    if protocol is not None:
        protocol_named(protocol, run.labels)
    if not in_noise:
        return evaluation_text(evaluation(run, predictions, split, told=told), protocol)
    from .inference import answering_of  # imports torch

    noise, answering = noisy_reviews(predictions.texts), answering_of(run)
    with ThreadPoolExecutor(1) as beside:
        noised = InNoise(noise, beside.submit(answers_in_noise, noise, answering))
        return evaluation_text(evaluation(run, predictions, split, told=told, in_noise=noised), protocol)


def evaluation(
    run: Run,
    predictions: Predictions,
    split: str = "test",
    draws: int = DRAWS,
    told: Mapping[str, Any] | None = None,
    in_noise: InNoise | None = None,
) -> Evaluation:
    """Judge predictions of a run's model, and what it answers ``in_noise``. ``told`` as in evaluate_predictions.

    Raises UserError where they hold no labels to judge by.
    """
    summary, labels = run.read_summary(), run.labels
    decisions = decide(run, summary, labels)
    keys, unknown = keys_of(run, summary, labels)
    notes = [*decisions.notes, *([unknown] if unknown else [])]
    if split == "val":
        notes.append("Validation chose the checkpoint, thresholds and temperatures: these figures flatter the model.")

    def tfidf(more: Predictions | None) -> Predicted:
        return tfidf_answer(run, summary, labels, predictions, more)

    by = Judgement(str(run.folder), labels, decisions, np.array(summary["class_counts"]), tfidf, keys, notes)
    kept = summary["data"]["splits"].get(split)
    file, sha256 = (kept["path"], kept["sha256"]) if kept else (split, None)
    reading = summary["config"]["data"] | (told or {})
    stars = stars_of(file, predictions.lines, reading, sha256) if predictions.lines else None
    return judged(by, predictions, split, draws, stars, in_noise)


def decide(run: Run, summary: Summary, labels: Labels) -> Tuned:
    """Thresholds and temperatures of a run: from its summary, else tuned on its validation predictions.

    A run with neither gets thresholds of 0.5 and no calibration, which a note says. Raises UserError where the
    validation predictions cannot be read.
    """
    if "thresholds" in summary and "calibration" in summary:
        stored = Thresholds.from_dict(summary["thresholds"]), Calibration.from_dict(summary["calibration"])
        return Tuned(*stored, [])
    if run.predictions("val").exists():
        validation = read_predictions(run.predictions("val"), labels)
        return Tuned(tune_thresholds(validation, labels), fit_calibration(validation, labels), [])
    note = "No validation predictions: thresholds are 0.5, and confidences are not calibrated."
    return Tuned(Thresholds.constant(0.5, len(labels.aspects)), Calibration(), [note])
