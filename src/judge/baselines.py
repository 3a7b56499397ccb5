"""Baselines that a model has to beat: constant answers, and tf-idf with logistic regression."""

import contextlib
import hashlib
import inspect
import json
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..answers.predictions import Predictions
from ..answers.thresholds import tune_thresholds
from ..data.files import in_folder
from ..data.nfc import composed
from ..data.splits import Splits, read_splits
from ..errors import UserError
from ..labels import Labels
from ..runs.machine import write_whole
from ..runs.run import Run
from ..runs.summary import Summary

RECIPE = {"words": (1, 2), "characters": (2, 5), "C": 4.0, "version": 2}  # part of the cache's key
SURE = 20.0  # -SURE is the lowest log-probability, that of a class absent from training


READING = tuple(inspect.signature(read_splits).parameters)  # names of the data settings that say what is read


class Predicted(NamedTuple):
    """What a model or a baseline predicts for each review."""

    detected: np.ndarray  # bool [N, A]
    sentiment: np.ndarray  # int64 [N, A], of every aspect, detected or not


def constant_answers(predictions: Predictions, class_counts: np.ndarray) -> dict[str, Predicted]:
    """Baselines that do not look at the text, by name; ``class_counts`` int64 [A, C] are the **training** split's.

    ``all mentioned`` predicts each aspect's most frequent sentiment in training (the most frequent of all aspects, if
    it has none there). For task ``sentiment``, whose aspects are given, this is the only baseline, named ``most
    frequent sentiment``.
    """
    said = np.where(class_counts.any(1), class_counts.argmax(1), class_counts.sum(0).argmax())
    said = np.broadcast_to(said, predictions.mentioned.shape)
    if predictions.mentioned_logits is None:
        return {"most frequent sentiment": Predicted(predictions.mentioned, said)}
    every = np.ones_like(predictions.mentioned)
    return {"all absent": Predicted(~every, said), "all mentioned": Predicted(every, said)}


def tfidf_answer(
    run: Run, summary: Summary, labels: Labels, predictions: Predictions, more: Predictions | None = None
) -> Predicted:
    """The answer of tf-idf with logistic regression, trained on the run's training split.

    ``more`` are the predictions with further reviews after them: the answer is then that of all, which costs no second
    training.

    Thresholds are tuned on the run's validation split as a model's are. The answer is kept in ``RUN/baselines/``; a
    damaged file there is made again. Raises UserError if the data files are gone or changed, or share no words.
    """
    asked = predictions if more is None else more
    if (kept := _read(_cache(run, summary, asked), asked.sentiment_logits.shape)) is not None:
        return kept
    splits = splits_of(summary, labels)
    try:
        answer = answer_by_tfidf(splits, labels, asked)
    except ValueError as error:  # texts without a single word in common
        raise UserError(f"tf-idf found nothing to learn ({error})") from error
    for kept_of in [asked] if more is None else [asked, predictions]:
        _write(_cache(run, summary, kept_of), Predicted(*(part[: len(kept_of.texts)] for part in answer)))
    return answer


def answer_by_tfidf(splits: Splits, labels: Labels, predictions: Predictions) -> Predicted:
    """Train on ``splits.train``, tune on ``splits.val``, answer for the texts of ``predictions``.

    Raises ValueError if the training texts have no words in common.
    """
    val, test = predictions_by_tfidf(splits, labels, predictions)
    said = test.sentiment_said()
    if predictions.mentioned_logits is None:
        return Predicted(predictions.mentioned, said)
    cuts = 0.5 if val is None else tune_thresholds(val, labels).array
    return Predicted(test.detected(cuts), said)


def predictions_by_tfidf(
    splits: Splits, labels: Labels, predictions: Predictions
) -> tuple[Predictions | None, Predictions]:
    """tf-idf's predictions for ``splits.val``, None without it, and for ``predictions``; errors as answer_by_tfidf."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.pipeline import FeatureUnion

    train, val = splits.train, splits.val
    few = len(train) < 100  # with little data, n-grams of a single review are worth keeping
    vectors = FeatureUnion(
        [
            ("words", TfidfVectorizer(ngram_range=RECIPE["words"], min_df=1 if few else 2, sublinear_tf=True)),
            (
                "characters",
                TfidfVectorizer(
                    analyzer="char_wb", ngram_range=RECIPE["characters"], min_df=1 if few else 3, sublinear_tf=True
                ),
            ),
        ]
    )
    texts = {"val": val.texts if val else [], "test": predictions.texts}
    x = vectors.fit_transform(_composed(train.texts))
    others = vectors.transform(_composed([*texts["val"], *texts["test"]]))
    split = len(texts["val"])
    classes, each = len(labels.sentiments), range(len(labels.aspects))
    sentiment = np.stack([_scores(x, train.sentiment[:, a], classes, others) for a in each], 1)
    logits = None
    if predictions.mentioned_logits is not None:
        mentioned = np.stack([_scores(x, train.mentioned[:, a].astype(int), 2, others) for a in each], 1)
        logits = mentioned[..., 1] - mentioned[..., 0]  # of two classes: the log-odds
    first, then = (None, None) if logits is None else (logits[:split], logits[split:])
    test = Predictions([], [], predictions.mentioned, predictions.sentiment, sentiment[split:], then)
    if val is None:
        return None, test
    return Predictions([], [], val.mentioned, val.sentiment.astype(np.int64), sentiment[:split], first), test


def _scores(x: Any, target: np.ndarray, classes: int, others: Any) -> np.ndarray:
    """Log-probabilities of the classes for ``others``, float64 [M, classes]; targets below 0 are left out."""
    from sklearn.linear_model import LogisticRegression

    known = np.flatnonzero(target >= 0)
    seen = np.unique(target[known])
    scores = np.full((others.shape[0], classes), -SURE)
    if len(seen) > 1:
        model = LogisticRegression(C=RECIPE["C"], class_weight="balanced", max_iter=300)
        scores[:, seen] = model.fit(x[known], target[known]).predict_log_proba(others)
    else:
        scores[:, seen] = 0.0
    return np.maximum(scores, -SURE)


def _composed(texts: Sequence[str]) -> list[str]:
    return [composed(text) for text in texts]


# --- the run's data, again -------------------------------------------------------------------------------------------


def splits_of(summary: Summary, labels: Labels) -> Splits:
    """The run's splits, read again. Raises UserError unless they are what the run was trained on."""
    settings = {k: v for k, v in summary["config"]["data"].items() if k in READING}
    folder = summary["config"]["data"].get("dir")
    files = {name: in_folder(settings.get(name), folder) for name in ("train", "val", "test")}
    settings.setdefault("unlabelled", "drop")  # as training was before the setting was there
    splits = read_splits(**settings | files)
    told = {name: split["sha256"] for name, split in summary["data"]["splits"].items()}
    found = {name: split.sha256 for name, split in splits.findings.splits.items()}
    if changed := [splits.findings.splits[name].path for name in found if found[name] != told.get(name)]:
        raise UserError(f"changed since the training: {', '.join(changed)}")
    if splits.labels != labels:
        raise UserError("the files of the training give other aspects now")
    return splits


def _cache(run: Run, summary: Summary, predictions: Predictions) -> Path:
    return run.folder / "baselines" / f"tfidf-{_key(summary, predictions)}.npz"


def _key(summary: Summary, predictions: Predictions) -> str:
    """A hash of all that the answer depends on: training and validation data, settings of the data, texts, recipe."""
    known = {
        "files": {name: split["sha256"] for name, split in summary["data"]["splits"].items()},
        "settings": {k: v for k, v in summary["config"]["data"].items() if k in READING},
        "labels": summary["labels"],
        "detect": predictions.mentioned_logits is not None,
        "texts": predictions.texts,
        "recipe": RECIPE,
    }
    return hashlib.sha256(json.dumps(known, sort_keys=True, default=str).encode()).hexdigest()[:16]


def _read(cache: Path, shape: tuple[int, ...]) -> Predicted | None:
    try:
        with np.load(cache, allow_pickle=False) as arrays:
            answer = Predicted(arrays["detected"].astype(bool), arrays["sentiment"].astype(np.int64))
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None
    *of_answer, classes = shape
    right = all(array.shape == tuple(of_answer) for array in answer)
    right = right and bool(((answer.sentiment >= 0) & (answer.sentiment < classes)).all())
    return answer if right else None


def _write(cache: Path, answer: Predicted) -> None:
    detected, sentiment = answer.detected, answer.sentiment.astype(np.int8)
    with contextlib.suppress(OSError):  # a run on a disk that is full or cannot be written is judged all the same
        cache.parent.mkdir(parents=True, exist_ok=True)
        write_whole(cache, lambda file: np.savez_compressed(file, detected=detected, sentiment=sentiment))
