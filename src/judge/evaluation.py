"""Judge a run by its predictions: every figure, its interval, and the same figure of every baseline."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..answers.calibration import Calibration, fit_calibration, reliability
from ..answers.figures import SENTIMENT, Counts, f1, figures, per_aspect, tally, total
from ..answers.predictions import Predictions, read_predictions
from ..answers.thresholds import Thresholds, tune_thresholds
from ..errors import UserError
from ..labels import NEUTRAL, C, Labels
from ..runs.run import Run
from ..runs.summary import Summary
from .baselines import Answer, constant_answers, tfidf_answer
from .contracts import Evaluation, Measured, Numbers, ProtocolFigures, Section
from .intervals import DRAWS, LEVEL, bootstrap, interval
from .leaks import keys_of, seen
from .protocols import PROTOCOLS, fits, protocol_figures, protocol_named
from .text import evaluation_text

SEED = 0  # of the bootstrap
MODEL, AT_HALF, TFIDF = "model", "model at 0.5", "tf-idf"
SILENT = {"all absent": (*SENTIMENT, "neutral_f1")}  # figures that are not defined for a baseline


class Decisions(NamedTuple):
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
    split = "test" if "test" in summary["figures"] else "val"
    path = run.predictions(split) if file is None else Path(file)
    return evaluate_predictions(run, read_predictions(path, run.labels), split if file is None else str(file), protocol)


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

    def tfidf() -> Answer:
        return tfidf_answer(run, summary, labels, predictions)

    counts = np.array(summary["class_counts"])
    return judged(Judgement(str(run.folder), labels, decisions, counts, tfidf, keys, notes), predictions, split, draws)


class Judgement(NamedTuple):
    """Whose predictions are judged, and by what."""

    name: str
    labels: Labels
    decisions: Decisions
    class_counts: np.ndarray | None  # int64 [A, C] of training
    tfidf: Callable[[], Answer] | None
    training_texts: np.ndarray | None  # keys, uint64 [K]
    notes: list[str]


def judged(by: Judgement, predictions: Predictions, split: str, draws: int = DRAWS) -> Evaluation:
    """Judge predictions, of a run or of a bundle. Raises UserError where they hold no labels to judge by."""
    labels, decisions, notes = by.labels, by.decisions, list(by.notes)
    if not predictions.mentioned.any():
        raise UserError(f"{by.name}: {split} holds no labels, so there is nothing to judge by")
    task = "sentiment" if predictions.mentioned_logits is None else "absa"
    said = predictions.sentiment_said()
    answers = {MODEL: Answer(predictions.detected(decisions.thresholds.array), said)}
    if task == "absa":
        answers[AT_HALF] = Answer(predictions.detected(0.5), said)
    if by.tfidf is not None:
        try:
            answers[TFIDF] = by.tfidf()
        except UserError as error:
            notes.append(f"No {TFIDF} baseline, as the data of the training cannot be read again: {error}")
    if by.class_counts is not None:
        answers |= constant_answers(predictions, by.class_counts)

    each = {
        name: tally(*answer, predictions.mentioned, predictions.sentiment, np.arange(C))
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
        measured = _judged(lambda counts: section_figures(counts, labels, task), some, drawn)
        return {"reviews": int(rows.sum()), **measured}

    gold, model = sums[MODEL].mentioned_gold, sums[MODEL]
    carries = np.array(labels.carries_sentiment)
    return {
        "run": by.name,
        "task": task,
        "split": split,
        "reviews": len(predictions.texts),
        "pairs": int(model.confusion[carries].sum()),
        "aspects": list(labels.aspects),
        "without_sentiment": list(labels.without_sentiment),
        "answers": list(answers),
        "all": section(~nothing),
        "mixed": section(_mixed(predictions, labels)),
        "unseen": section(~known if known is not None and known.any() else nothing),
        "trained_on": None if known is None else int(known.sum()),
        "per_aspect": _aspect_rows(sums, labels, task, decisions.thresholds),
        "confusion": model.confusion[carries].sum(0).tolist(),
        "empty": [a for a, n in zip(labels.aspects, gold + model.mentioned_said, strict=True) if not n],
        "thresholds": decisions.thresholds.to_dict(),
        "calibration": {
            "temperatures": decisions.calibration.to_dict(),
            "before": reliability(predictions, labels, Calibration()),
            "after": reliability(predictions, labels, decisions.calibration),
        },
        "protocols": _protocols(sums, draw, labels) if task == "absa" and fits(labels) else {},
        "bootstrap": {"draws": draws, "level": LEVEL, "seed": SEED},
        "notes": notes,
    }


def decide(run: Run, summary: Summary, labels: Labels) -> Decisions:
    """Thresholds and temperatures of a run: from its summary, else tuned on its validation predictions.

    A run with neither gets thresholds of 0.5 and no calibration, which a note says.
    """
    if "thresholds" in summary and "calibration" in summary:
        stored = Thresholds.from_dict(summary["thresholds"]), Calibration.from_dict(summary["calibration"])
        return Decisions(*stored, [])
    if run.predictions("val").exists():
        validation = read_predictions(run.predictions("val"), labels)
        return Decisions(tune_thresholds(validation, labels), fit_calibration(validation, labels), [])
    note = "No validation predictions: thresholds are 0.5, and confidences are not calibrated."
    return Decisions(Thresholds.constant(0.5, len(labels.aspects)), Calibration(), [note])


def section_figures(counts: Counts, labels: Labels, task: str) -> dict[str, Any]:
    """The figures of ``counts`` and ``neutral_f1``, the F1 of neutral on gold pairs; each float, or float [draws]."""
    pooled = counts.confusion[..., labels.carries_sentiment, :, :].sum(-3)
    hit, said, gold = pooled[..., NEUTRAL, NEUTRAL], pooled[..., :, NEUTRAL].sum(-1), pooled[..., NEUTRAL, :].sum(-1)
    return figures(counts, labels, task) | {"neutral_f1": f1(hit, said, gold)}


def _judged(measure: Callable[[Counts], dict[str, Any]], sums: dict[str, Counts], draw: Counts | None) -> Measured:
    """Figures of every answer, and the intervals of the model's."""
    if draw is None:
        return {"figures": {}, "intervals": {}}
    values: dict[str, Numbers] = {
        name: {k: None if k in SILENT.get(name, ()) else float(v) for k, v in measure(counts).items()}
        for name, counts in sums.items()
    }
    return {"figures": values, "intervals": {k: list(interval(v)) for k, v in measure(draw).items()}}


def _protocols(sums: dict[str, Counts], draw: Counts, labels: Labels) -> dict[str, ProtocolFigures]:
    judged: dict[str, ProtocolFigures] = {}
    for name, protocol in PROTOCOLS.items():
        measured = _judged(lambda counts, p=protocol: protocol_figures(counts, labels, p), sums, draw)  # type: ignore[misc]
        judged[name] = {
            "words": protocol.words,
            "published": dict(protocol.published),
            "source": protocol.source,
            **measured,
        }
    return judged


def _aspect_rows(
    sums: dict[str, Counts], labels: Labels, task: str, thresholds: Thresholds
) -> dict[str, list[dict[str, Any]]]:
    rows = {name: per_aspect(counts, labels, task) for name, counts in sums.items() if name not in SILENT}
    for name in rows:
        for a, row in enumerate(rows[name]):
            row["confusion"] = sums[name].confusion[a].tolist()
            if name == MODEL and task == "absa":
                row["threshold"] = thresholds.per_aspect[a]
    return rows


def _mixed(predictions: Predictions, labels: Labels) -> np.ndarray:
    """bool [N]: reviews with gold pairs of more than one sentiment."""
    kinds = [(predictions.sentiment == c)[:, labels.carries_sentiment].any(1) for c in range(C)]
    mixed: np.ndarray = np.sum(kinds, axis=0) > 1
    return mixed


def _take(counts: Counts, rows: np.ndarray) -> Counts:
    return Counts(**{name: values[rows] for name, values in vars(counts).items()})
