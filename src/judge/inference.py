"""Predictions of a run's best checkpoint: for a labelled file, and for texts as a bundle of it would answer them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..answers.calibration import Calibration
from ..answers.decisions import Decisions
from ..answers.explanation import Explanation
from ..answers.predictions import Predictions
from ..answers.thresholds import Thresholds
from ..data.reviews import Reviews, read_reviews
from ..errors import UserError
from ..labels import C, Labels
from ..lit_module import AspectSentimentModule
from ..model.encoder import bytes_of
from ..model.torch_files import DamagedFile
from ..runs.run import Run
from ..runs.summary import Summary
from ..tokens.batching import Batches, BatchPlan, TokenisedSplit
from ..tokens.tokenizer import PAD_ID, check_texts, composed, encode, from_json, spans
from ..training.checkpoint import AtomicCheckpointIO


def predict_file(run: Run, file: str | Path, batch_size: int = 64) -> Predictions:
    """Read ``file`` the way the run's training files were read, and predict it on the processor, in float32.

    Raises UserError for faults of the file, aspects the run does not know, and a run without its best checkpoint.
    """
    data = run.read_summary()["config"]["data"]
    columns = ("text_column", "label_column", "ignore_columns", "separator")
    reviews, _ = read_reviews(file, aspects=run.labels.aspects, **{name: data[name] for name in columns})
    module = load_best(run)
    tokenizer = from_json(module.tokenizer_json or "", data["max_length"])
    ids, offsets = encode(tokenizer, reviews.texts)
    pad_id = module.classifier.encoder.config.pad_token_id
    split = TokenisedSplit(ids, offsets, reviews.mentioned, reviews.sentiment, PAD_ID if pad_id is None else pad_id)
    plan = BatchPlan(split.lengths, batch_size=batch_size, mode="sequential")
    with torch.inference_mode():
        return assemble([module.predict_step(batch, 0) for batch in Batches(split, plan)], reviews)


def assemble(batches: Sequence[dict[str, Tensor]], reviews: Reviews) -> Predictions:
    """What ``predict_step`` gave for the batches of a split, put into the order of its reviews."""
    order = np.argsort(np.concatenate([batch["row"].numpy() for batch in batches]))
    logits = {
        head: np.concatenate([batch[head].numpy() for batch in batches])[order] for head in batches[0] if head != "row"
    }
    sentiment = reviews.sentiment.astype(np.int64)
    return Predictions(
        reviews.ids, reviews.texts, reviews.mentioned, sentiment, logits["sentiment"], logits.get("mentioned")
    )


def load_best(run: Run) -> AspectSentimentModule:
    """The run's best checkpoint, ready to predict on the processor. Raises UserError if there is none, or no whole one.

    A file from elsewhere may claim any size of itself: what it claims is held against the file before it takes memory.
    """
    if not run.best.is_file():
        raise UserError(f"{run.folder}: holds no checkpoints/best.ckpt")
    settings = AtomicCheckpointIO().load_checkpoint(run.best).get("hyper_parameters", {})
    try:
        claimed = bytes_of(settings["encoder_config"], lambda: AspectSentimentModule(**settings))
    except Exception as error:  # settings that are anything
        raise DamagedFile(f"{run.best}: describes no model of this project ({type(error).__name__})") from error
    if claimed > run.best.stat().st_size:
        raise DamagedFile(f"{run.best}: describes a model of {claimed:,} bytes, and has not so many")
    module: AspectSentimentModule = AspectSentimentModule.load_from_checkpoint(
        run.best, map_location="cpu", weights_only=True
    )
    return module.eval()


class RunPredictor:
    """As :class:`src.ship.predictor.Predictor`, over torch, on the processor, in float32."""

    def __init__(self, summary: Summary, labels: Labels, module: AspectSentimentModule) -> None:
        self.info, self.labels, self.task = summary, labels, module.task
        self.max_length: int = summary["config"]["data"]["max_length"]
        self.module = module
        self.decisions = Decisions(
            labels,
            module.task,
            Thresholds.from_dict(summary["thresholds"]).array,
            Calibration.from_dict(summary["calibration"]),
        )
        self._tokenizer = from_json(module.tokenizer_json or "", self.max_length)

    @classmethod
    def load(cls, folder: str | Path, threads: int | None = None) -> "RunPredictor":
        """Read a finished run. Raises UserError when it is none, or has lost its best checkpoint."""
        run = Run(folder)
        summary = run.read_summary()
        if threads:
            torch.set_num_threads(threads)
        return cls(summary, run.labels, load_best(run))

    def predict(self, texts: Sequence[str], *, all_aspects: bool = False) -> list[dict[str, Any]]:
        """As :meth:`src.ship.predictor.Predictor.predict`."""
        return self.decisions.answers(*self.logits(texts), all_aspects=all_aspects)

    def logits(self, texts: Sequence[str]) -> tuple[np.ndarray | None, np.ndarray]:
        """As :meth:`src.ship.predictor.Predictor.logits`."""
        check_texts(texts)
        ids, offsets = encode(self._tokenizer, texts, compact=False)
        a = len(self.labels.aspects)
        sentiment = np.zeros((len(texts), a, C), np.float32)
        mentioned = np.zeros((len(texts), a), np.float32) if self.task == "absa" else None
        with torch.inference_mode():
            for i in range(len(texts)):  # one at a time, as a bundle does: what comes along cannot change an answer
                row = torch.from_numpy(ids[None, offsets[i] : offsets[i + 1]].astype(np.int64))
                out = self.module(row, torch.ones_like(row))
                sentiment[i] = out["sentiment"][0].numpy()
                if mentioned is not None:
                    mentioned[i] = out["mentioned"][0].numpy()
        return mentioned, sentiment

    def explanation(self, text: str) -> Explanation:
        """As :meth:`src.ship.predictor.Predictor.explanation`."""
        return Explanation(composed(text), spans(self._tokenizer, text), self.decisions)
