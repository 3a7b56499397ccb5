"""Judge a run by its predictions: every figure, its interval, and the same figure of every baseline."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..answers.calibration import Calibration, fit_calibration, reliability
from ..answers.figures import SENTIMENT, Counts, f1, figures, left_out, per_aspect, tally, total
from ..answers.predictions import Predictions, read_predictions
from ..answers.thresholds import Thresholds, tune_thresholds
from ..errors import UserError
from ..labels import Labels
from ..runs.run import Run
from ..runs.summary import Summary
from .baselines import Predicted, constant_answers, tfidf_answer
from .contracts import Evaluation, Measured, Numbers, ProtocolFigures, Section
from .intervals import DRAWS, LEVEL, aspect_intervals, bootstrap, interval
from .leaks import keys_of, seen
from .protocols import PROTOCOLS, is_visfd, protocol_figures, protocol_left_out, protocol_named
from .text import evaluation_text

SEED = 0  # of the bootstrap
MODEL, AT_HALF, TFIDF = "model", "model at 0.5", "tf-idf"
SILENT = {"all absent": (*SENTIMENT, "neutral_f1")}  # figures that are not defined for a baseline


class Tuned(NamedTuple):
    """How a run's logits become decisions and confidences; both come from its validation split alone."""

    thresholds: Thresholds
    calibration: Calibration
    notes: list[str]


def evaluate_run(folder: str | Path, file: str | Path | None = None, protocol: str | None = None) -> str:
    """The tables for a run's test predictions, or for another predictions ``file`` of the run; ready to print.

    A run without a test split is judged on validation, which a note says. Raises UserError if the folder is no finished
    run, if the predictions are missing or have other aspects or no labels, and if ``protocol`` is unknown or for other
    data.
    """
    run = Run(folder)
    summary = run.read_summary()
    split = shown_split(summary)
    path = run.predictions(split) if file is None else Path(file)
    return evaluate_predictions(run, read_predictions(path, run.labels), split if file is None else str(file), protocol)


def shown_split(summary: Summary) -> str:
    """The split that a run is judged on: ``test``, or ``val`` where it has no test split."""
    return "test" if "test" in summary["figures"] else "val"


def evaluate_predictions(run: Run, predictions: Predictions, split: str, protocol: str | None = None) -> str:
    """The tables for any predictions of a run's model; ``split`` names them. Raises UserError as evaluate_run."""
    if protocol is not None:
        protocol_named(protocol, run.labels)
    return evaluation_text(evaluation(run, predictions, split), protocol)


def evaluation(run: Run, predictions: Predictions, split: str = "test", draws: int = DRAWS) -> Evaluation:
    """Judge predictions of a run's model. Raises UserError where they hold no labels to judge by."""
    summary, labels = run.read_summary(), run.labels
    decisions = decide(run, summary, labels)
    keys, unknown = keys_of(run, summary, labels)
    notes = [*decisions.notes, *([unknown] if unknown else [])]
    if split == "val":
        notes.append("Validation chose the checkpoint, thresholds and temperatures: these figures flatter the model.")

    def tfidf() -> Predicted:
        return tfidf_answer(run, summary, labels, predictions)

    counts = np.array(summary["class_counts"])
    return judged(Judgement(str(run.folder), labels, decisions, counts, tfidf, keys, notes), predictions, split, draws)


class Judgement(NamedTuple):
    """Whose predictions are judged, and by what."""

    name: str
    labels: Labels
    decisions: Tuned
    class_counts: np.ndarray | None  # int64 [A, C] of training
    tfidf: Callable[[], Predicted] | None
    training_texts: np.ndarray | None  # keys, uint64 [K]
    notes: list[str]


def judged(by: Judgement, predictions: Predictions, split: str, draws: int = DRAWS) -> Evaluation:
    """Judge predictions, of a run or of a bundle. Raises UserError where they hold no labels to judge by."""
    labels, decisions, notes = by.labels, by.decisions, list(by.notes)
    if not predictions.mentioned.any():
        raise UserError(f"{by.name}: {split} holds no labels, so there is nothing to judge by")
    task = "sentiment" if predictions.mentioned_logits is None else "absa"
    said = predictions.sentiment_said()
    answers = {MODEL: Predicted(predictions.detected(decisions.thresholds.array), said)}
    if task == "absa":
        answers[AT_HALF] = Predicted(predictions.detected(0.5), said)
    if by.tfidf is not None:
        try:
            answers[TFIDF] = by.tfidf()
        except UserError as error:
            notes.append(f"No {TFIDF} baseline, as the data of the training cannot be read again: {error}")
    if by.class_counts is not None:
        answers |= constant_answers(predictions, by.class_counts)

    each = {
        name: tally(*answer, predictions.mentioned, predictions.sentiment, predictions.classes)
        for name, answer in answers.items()
    }
    sums = {name: total(counts) for name, counts in each.items()}
    draw = bootstrap([each[MODEL]], draws, SEED)[0]
    known = seen(by.training_texts, predictions.texts)
    nothing = np.zeros(len(predictions.texts), bool)

    def section(rows: np.ndarray) -> Section:
        few = {name: _take(counts, rows) for name, counts in each.items()}
        drawn = draw if rows.all() else bootstrap([few[MODEL]], draws, SEED)[0] if rows.any() else None
        some = {name: total(counts) for name, counts in few.items()}
        neutral, named = _neutral(some[MODEL], labels), left_out(some[MODEL], labels, task)
        measured = _judged(lambda counts: section_figures(counts, labels, task, neutral), some, drawn, named)
        return {"reviews": int(rows.sum()), **measured}

    model = sums[MODEL]
    carries = np.array(labels.carries_sentiment)
    return {
        "run": by.name,
        "task": task,
        "split": split,
        "reviews": len(predictions.texts),
        "silent": int((~predictions.mentioned.any(axis=1)).sum()),
        "pairs": int(model.confusion[carries].sum()),
        "aspects": list(labels.aspects),
        "without_sentiment": list(labels.without_sentiment),
        "sentiments": list(labels.sentiments),
        "answers": list(answers),
        "all": section(~nothing),
        "mixed": section(_mixed(predictions, labels)),
        "unseen": section(~known if known is not None and known.any() else nothing),
        "trained_on": None if known is None else int(known.sum()),
        "per_aspect": _aspect_rows(sums, draw, labels, task, decisions.thresholds),
        "confusion": model.confusion[carries].sum(0).tolist(),
        "thresholds": decisions.thresholds.to_dict(),
        "calibration": {
            "temperatures": decisions.calibration.to_dict(),
            "before": reliability(predictions, labels, Calibration()),
            "after": reliability(predictions, labels, decisions.calibration),
        },
        "protocols": _protocols(sums, draw, labels) if task == "absa" and is_visfd(labels) else {},
        "bootstrap": {"draws": draws, "level": LEVEL, "seed": SEED},
        "notes": notes,
    }


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


def section_figures(counts: Counts, labels: Labels, task: str, neutral: int | None) -> dict[str, Any]:
    """The figures of ``counts``, each a float, or float [draws].

    ``neutral`` is the number of that sentiment; where it is given there is also ``neutral_f1``, its F1 on gold pairs.
    """
    if neutral is None:
        return figures(counts, labels, task)
    pooled = counts.confusion[..., labels.carries_sentiment, :, :].sum(-3)
    hit, said, gold = pooled[..., neutral, neutral], pooled[..., :, neutral].sum(-1), pooled[..., neutral, :].sum(-1)
    return figures(counts, labels, task) | {"neutral_f1": f1(hit, said, gold, nothing=1.0)}


def _neutral(counts: Counts, labels: Labels) -> int | None:
    """The number of the sentiment ``neutral``; None where the data set or this gold has none."""
    if "neutral" not in labels.sentiments:
        return None
    c = labels.sentiments.index("neutral")
    return c if counts.confusion[labels.carries_sentiment][:, c].any() else None


def _judged(
    measure: Callable[[Counts], dict[str, Any]],
    sums: dict[str, Counts],
    draw: Counts | None,
    left_out: dict[str, list[str]],
) -> Measured:
    """Figures of every answer, and the intervals of the model's; ``left_out`` is that of the model."""
    if draw is None:
        return {"figures": {}, "intervals": {}, "left_out": {}}
    values: dict[str, Numbers] = {
        name: {k: None if k in SILENT.get(name, ()) else float(v) for k, v in measure(counts).items()}
        for name, counts in sums.items()
    }
    intervals = {k: list(interval(v)) for k, v in measure(draw).items()}
    return {"figures": values, "intervals": intervals, "left_out": left_out}


def _protocols(sums: dict[str, Counts], draw: Counts, labels: Labels) -> dict[str, ProtocolFigures]:
    judged: dict[str, ProtocolFigures] = {}
    for name, protocol in PROTOCOLS.items():
        named = protocol_left_out(sums[MODEL], labels, protocol)
        measured = _judged(lambda counts, p=protocol: protocol_figures(counts, labels, p), sums, draw, named)  # type: ignore[misc]
        judged[name] = {
            "words": protocol.words,
            "published": dict(protocol.published),
            "source": protocol.source,
            **measured,
        }
    return judged


def _aspect_rows(
    sums: dict[str, Counts], draw: Counts, labels: Labels, task: str, thresholds: Thresholds
) -> dict[str, list[dict[str, Any]]]:
    """A row per aspect for every answer; those of the model have ``intervals``, from its bootstrap counts ``draw``."""
    rows = {name: per_aspect(counts, labels, task) for name, counts in sums.items() if name not in SILENT}
    for row, found in zip(rows[MODEL], aspect_intervals(draw, labels, task), strict=True):
        row["intervals"] = found
    for name in rows:
        for a, row in enumerate(rows[name]):
            row["confusion"] = sums[name].confusion[a].tolist()
            if name == MODEL and task == "absa":
                row["threshold"] = thresholds.per_aspect[a]
    return rows


def _mixed(predictions: Predictions, labels: Labels) -> np.ndarray:
    """bool [N]: reviews with gold pairs of more than one sentiment."""
    kinds = [(predictions.sentiment == c)[:, labels.carries_sentiment].any(1) for c in predictions.classes]
    mixed: np.ndarray = np.sum(kinds, axis=0) > 1
    return mixed


def _take(counts: Counts, rows: np.ndarray) -> Counts:
    return Counts(**{name: values[rows] for name, values in vars(counts).items()})
