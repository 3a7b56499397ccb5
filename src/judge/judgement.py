"""Predictions judged, of a run or of a bundle: every figure, its interval, and the same figure of every baseline."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from ..answers.calibration import Calibration, reliability
from ..answers.figures import (
    FIGURES,
    SENTIMENT,
    Counts,
    f1,
    figures,
    joint_figures,
    joint_left_out,
    left_out,
    per_aspect,
    tally,
    total,
)
from ..answers.predictions import Predictions
from ..answers.thresholds import Thresholds
from ..errors import UserError
from ..labels import Labels
from .baselines import Predicted, constant_answers
from .contracts import Evaluation, Measured, Numbers, ProtocolFigures, Section, Slice
from .intervals import DRAWS, LEVEL, aspect_intervals, bootstrap, interval
from .leaks import seen
from .protocols import PROTOCOLS, is_visfd, protocol_figures, protocol_left_out
from .robustness import InNoise, all_noisy, robustness
from .slices import slices, worst_slice

SEED = 0  # of the bootstrap
MODEL, AT_HALF, TFIDF = "model", "model at 0.5", "tf-idf"
SILENT = {"all absent": (*SENTIMENT, "neutral_f1")}  # figures that are not defined for a baseline


class Tuned(NamedTuple):
    """How a run's logits become decisions and confidences; both come from its validation split alone."""

    thresholds: Thresholds
    calibration: Calibration
    notes: list[str]


class Judgement(NamedTuple):
    """Whose predictions are judged, and by what."""

    name: str
    labels: Labels
    decisions: Tuned
    class_counts: np.ndarray | None  # int64 [A, C] of training
    tfidf: Callable[[Predictions | None], Predicted] | None  # for the predictions, or more reviews: see tfidf_answer
    training_texts: np.ndarray | None  # keys, uint64 [K]
    notes: list[str]


def judged(
    by: Judgement,
    predictions: Predictions,
    split: str,
    draws: int = DRAWS,
    stars: np.ndarray | None = None,
    in_noise: InNoise | None = None,
) -> Evaluation:
    """Judge predictions, of a run or of a bundle. Raises UserError where they hold no labels to judge by.

    ``stars`` float [N]: of each review, NaN for none. ``in_noise``: the same reviews in noise, and the model's answers.
    """
    labels, decisions, notes = by.labels, by.decisions, list(by.notes)
    if not predictions.mentioned.any():
        raise UserError(f"{by.name}: {split} holds no labels, so there is nothing to judge by")
    task = "sentiment" if predictions.mentioned_logits is None else "absa"
    said = predictions.sentiment_said()
    answers = {MODEL: Predicted(predictions.detected(decisions.thresholds.array), said)}
    if task == "absa":
        answers[AT_HALF] = Predicted(predictions.detected(0.5), said)
    theirs = None  # tf-idf's answers, those in noise after the others
    if by.tfidf is not None:
        try:
            theirs = by.tfidf(all_noisy(predictions, in_noise.reviews) if in_noise else None)
            answers[TFIDF] = Predicted(*(part[: len(said)] for part in theirs))
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

    parts = [_slice(*one, each, labels, task, draws) for one in slices(predictions, stars)]

    def section(rows: np.ndarray) -> Section:
        few = {name: _take(counts, rows) for name, counts in each.items()}
        drawn = draw if rows.all() else bootstrap([few[MODEL]], draws, SEED)[0] if rows.any() else None
        some = {name: total(counts) for name, counts in few.items()}
        neutral, named = _neutral(some[MODEL], labels), left_out(some[MODEL], labels, task)
        named |= joint_left_out(some[MODEL], labels) if task == "absa" else {}
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
        "slices": parts,
        "worst": worst_slice(parts, FIGURES[task][0]),
        "robustness": in_noise
        and robustness(predictions, in_noise, decisions.thresholds.array, theirs, labels, draws, SEED),
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


def section_figures(counts: Counts, labels: Labels, task: str, neutral: int | None) -> dict[str, Any]:
    """The figures of ``counts``, each a float, or float [draws]; of task ``absa`` the joint ones as well.

    ``neutral`` is the number of that sentiment; where it is given there is also ``neutral_f1``, its F1 on gold pairs.
    """
    values = figures(counts, labels, task)
    if task == "absa":
        values = {FIGURES[task][0]: values[FIGURES[task][0]]} | joint_figures(counts, labels) | values
    if neutral is None:
        return values
    pooled = counts.confusion[..., labels.carries_sentiment, :, :].sum(-3)
    hit, said, gold = pooled[..., neutral, neutral], pooled[..., :, neutral].sum(-1), pooled[..., neutral, :].sum(-1)
    return values | {"neutral_f1": f1(hit, said, gold, nothing=1.0)}


def _slice(
    by: str, name: str, rows: np.ndarray, each: dict[str, Counts], labels: Labels, task: str, draws: int
) -> Slice:
    """The figures of ``rows``, bool [N], from what each review adds to the counts of each answer."""
    few = _take(each[MODEL], rows)
    values = figures(total(few), labels, task)
    drawn = figures(bootstrap([few], draws, SEED)[0], labels, task)
    known = {"aspect_f1_micro", "aspect_f1_macro"} if not few.confusion[:, labels.carries_sentiment].any() else values
    rival = None
    if TFIDF in each and FIGURES[task][0] in known:
        rival = float(figures(total(_take(each[TFIDF], rows)), labels, task)[FIGURES[task][0]])
    return {
        "by": by,
        "name": name,
        "reviews": int(rows.sum()),
        "figures": {k: float(v) if k in known else None for k, v in values.items()},
        "intervals": {k: list(interval(v)) for k, v in drawn.items() if k in known and rows.sum() > 1},
        "tfidf": rival,
    }


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
