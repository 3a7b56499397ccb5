"""After the last epoch: tune the best checkpoint's thresholds and temperatures, write its predictions and figures."""

import logging
import math
from pathlib import Path
from typing import Any

import lightning.pytorch as L

from ..answers.calibration import fit_calibration
from ..answers.figures import LOSS, evaluate, figures, judged_by, left_out, per_aspect, per_review, tally, total
from ..answers.predictions import Predictions, write_predictions
from ..answers.thresholds import best_single, choose_thresholds
from ..datamodule import AspectDataModule
from ..errors import UserError
from ..lit_module import AspectSentimentModule
from ..runs.run import Run
from ..runs.summary import Judged
from ..training.checkpoint import AtomicCheckpointIO, amend_checkpoint
from ..training.summary import aspect_table, figures_table, nothing_learned
from .baselines import constant_answers
from .inference import assemble
from .leaks import leak_sentence, read_keys, seen, without_trained, write_keys

log = logging.getLogger(__name__)
HARDLY = 0.01  # a model that is no more than this above a constant answer has learned nothing


def judge_best(
    settings: dict[str, Any],
    data: AspectDataModule,
    module: AspectSentimentModule,
    trainer: L.Trainer,
    run: Run,
    monitor: str,
) -> Judged:
    """Predict validation and test with the best checkpoint; write, print and return the figures.

    Detection thresholds (unless the setting ``thresholds`` is a number) and temperatures are chosen on validation,
    before test is looked at; the checkpoint keeps them. The run keeps a hash of every training text.
    ``best`` is the monitored figure, taken as in training: on validation, at the one threshold that is best; where
    the loss is monitored, the lowest that training saw. Raises UserError if there is no best checkpoint.
    """
    if not run.best.is_file():  # it was damaged when the run went on, and no epoch was left to make another
        raise UserError(f"{run.best}: there is none, and no epoch was left to make one; raise trainer.max_epochs")
    labels, task = data.labels, settings["task"]["name"]
    figure = judged_by(task, monitor)
    write_keys(run.training_texts, data.splits.train.texts)
    keys = read_keys(run.training_texts.read_bytes()) if run.training_texts.is_file() else None
    predictions = predict(trainer, module, data, "val", run.best)
    thresholds = choose_thresholds(settings["thresholds"], predictions, labels)
    calibration = fit_calibration(predictions, labels)
    amend_checkpoint(run.best, {"thresholds": thresholds.to_dict(), "calibration": calibration.to_dict()})
    reached = float(figures(evaluate(predictions, best_single(predictions, labels)), labels, task)[figure])
    judged: Judged = {
        "best": _lowest_loss(trainer) if monitor == LOSS else reached,
        "figures": {},
        "figures_untuned": {},
        "left_out": {},
        "per_aspect": {},
        "confusion": {},
        "thresholds": thresholds.to_dict(),
        "calibration": calibration.to_dict(),
        "trained_on": {},
    }
    constant = _constant(predictions, data, task, figure)
    for split in ("val", "test"):
        if data.reviews(split) is None:
            continue
        if split == "test":
            predictions = predict(trainer, module, data, split, run.best)
        write_predictions(run.predictions(split), predictions, labels, thresholds.array)
        for found, cut in ((judged["figures"], thresholds.array), (judged["figures_untuned"], module.threshold)):
            found[split] = {k: float(v) for k, v in figures(evaluate(predictions, cut), labels, task).items()}
        each = per_review(predictions, thresholds.array)
        counts = total(each)
        judged["left_out"][split] = left_out(counts, labels, task)
        judged["confusion"][split] = counts.confusion[labels.carries_sentiment].sum(0).tolist()
        judged["per_aspect"][split] = per_aspect(counts, labels, task)
        if (known := seen(keys, predictions.texts)) is not None:
            judged["trained_on"][split] = without_trained(each, known, labels, task)
    shown = "test" if "test" in judged["figures"] else "val"
    log.info(f"\nBest checkpoint, {shown} split, per aspect:\n{aspect_table(judged['per_aspect'][shown], task)}")
    log.info(f"\n{figures_table(judged, module.threshold, task)}\n")
    for split, those in judged["trained_on"].items():
        said = leak_sentence(those["reviews"], len(data.reviews(split) or ()), f"the {split} split's")
        log.log(logging.WARNING if those["reviews"] else logging.INFO, said)
    if reached < constant + HARDLY:
        log.warning(nothing_learned(f"val/{figure}", reached, constant))
    return judged


def _lowest_loss(trainer: L.Trainer) -> float:
    kept: Any = [c for c in trainer.checkpoint_callbacks if getattr(c, "monitor", None) == LOSS]
    scores = [callback.best_model_score for callback in kept]
    return math.nan if not scores or scores[0] is None else float(scores[0])


def _constant(predictions: Predictions, data: AspectDataModule, task: str, figure: str) -> float:
    """The highest value of the figure among the constant answers."""
    gold = predictions.mentioned, predictions.sentiment
    answers = constant_answers(predictions, data.class_counts).values()
    counts = [total(tally(a.detected, a.sentiment, *gold, predictions.classes)) for a in answers]
    return max(float(figures(c, data.labels, task)[figure]) for c in counts)


def predict(
    trainer: L.Trainer, module: AspectSentimentModule, data: AspectDataModule, split: str, checkpoint: Path
) -> Predictions:
    """The checkpoint's logits for every review of a split, in the order of its file.

    They are computed in float32 in every precision of training: bfloat16 rounds differently in other batches, and a
    bundle computes in float32 too.
    """
    reviews = data.reviews(split)
    exact = L.Trainer(
        accelerator=trainer.accelerator,
        devices=1,
        precision="32-true",
        plugins=[AtomicCheckpointIO()],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    loader, first = data.predict_loader(split)
    batches: Any = exact.predict(module, loader, ckpt_path=checkpoint, weights_only=True)
    assert reviews is not None
    return assemble(batches, first, reviews)
