"""Predictions of a run's best checkpoint: for a labelled file, and for texts as a bundle of it would answer them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor
from tqdm import tqdm

from ..answers.predictions import Predictions
from ..answers.predictor import Model, Predictor
from ..answers.windows import join
from ..data.findings import compare, text_keys
from ..data.reviews import Columns, Reviews, read_reviews
from ..errors import UserError
from ..labels import IGNORE
from ..lit_module import AspectSentimentModule
from ..model.encoder import pad_id_of
from ..model.torch_files import DamagedFile
from ..runs.run import Run
from ..tokens.batching import Batches, BatchPlan, TokenisedSplit
from ..tokens.tokenizer import from_json
from ..tokens.windows import encode_whole
from ..training.checkpoint import load_module
from ..training.progress import watched
from .robustness import HeadLogits, LogitsOf


def predict_labelled(run: Run, file: str | Path, batch_size: int = 64, **given: Any) -> tuple[Predictions, list[str]]:
    """Read ``file`` the way the run's training files were read, and predict it on the processor, in float32.

    ``given`` are fields of :class:`src.data.reviews.Columns` that are other than in training. Also returns what is
    remarkable in the file, line by line: rows that were left out, repeats and so on. Raises UserError for faults of the
    file, aspects the run does not know, and a run without its best checkpoint.
    """
    data = run.read_summary()["config"]["data"]
    labels = run.labels
    told = {name: data[name] for name in Columns._fields if name in data} | given
    told |= {"aspects": labels.aspects, "sentiments": labels.sentiments}
    reviews, _ = read_reviews(file, **told)
    name = Path(file).name
    findings = compare({name: reviews}, {name: text_keys(reviews.texts)}).lines()
    mentioned, sentiment = answering_of(run, batch_size)(reviews.texts)
    return _predictions(reviews, mentioned, sentiment), findings


def answering_of(run: Run, batch_size: int = 64, device: str = "cpu", shown: str | None = None) -> LogitsOf:
    """What the run's best checkpoint answers to texts, in float32, in batches of like lengths.

    ``shown`` is the title of a progress bar. Raises UserError for a run without its best checkpoint.
    """
    labels, module = run.labels, load_best(run).to(device)
    tokenizer = tokenizer_of(run, module, run.read_summary()["config"]["data"]["max_length"])
    pad_id = pad_id_of(module.classifier.encoder.config)

    def answer(texts: Sequence[str]) -> HeadLogits:
        read = encode_whole(tokenizer, texts)
        shape = len(texts), len(labels.aspects)
        split = TokenisedSplit.of(read, np.zeros(shape, bool), np.full(shape, IGNORE, np.int8), pad_id)
        batches = Batches(split, BatchPlan(split.lengths, batch_size=batch_size, mode="sequential"), device)
        with torch.inference_mode():
            followed = tqdm(batches, desc=shown, disable=shown is None or not watched(), leave=False)
            said = [module.predict_step(batch, 0) for batch in followed]
        return _joined([{name: values.cpu() for name, values in batch.items()} for batch in said], read.first)

    return answer


def assemble(batches: Sequence[dict[str, Tensor]], first: np.ndarray, reviews: Reviews) -> Predictions:
    """Join what ``predict_step`` returned for the batches of a split, in the order of ``reviews``.

    Each batch has ``row`` int64 [B], the windows' positions, and logits ``sentiment`` float32 [B, A, C] and, for task
    ``absa``, ``mentioned`` float32 [B, A]. ``first`` int64 [N + 1] says which windows each review has.
    """
    return _predictions(reviews, *_joined(batches, first))


def _joined(batches: Sequence[dict[str, Tensor]], first: np.ndarray) -> tuple[np.ndarray | None, np.ndarray]:
    order = np.argsort(np.concatenate([batch["row"].numpy() for batch in batches]))
    logits = {
        head: np.concatenate([batch[head].numpy() for batch in batches])[order] for head in batches[0] if head != "row"
    }
    return join(first, logits.get("mentioned"), logits["sentiment"])


def _predictions(reviews: Reviews, mentioned: np.ndarray | None, sentiment: np.ndarray) -> Predictions:
    gold = reviews.mentioned, reviews.sentiment.astype(np.int64)
    return Predictions(reviews.ids, reviews.texts, *gold, sentiment, mentioned, reviews.lines.tolist())


def load_best(run: Run) -> AspectSentimentModule:
    """The run's best checkpoint, ready to predict on the processor. Raises UserError if there is no whole one."""
    if not run.best.is_file():
        raise UserError(f"{run.folder}: holds no checkpoints/best.ckpt")
    return load_module(run.best)


def tokenizer_of(run: Run, module: AspectSentimentModule, max_length: int) -> Tokenizer:
    """The tokenizer that the run's best checkpoint carries. Raises DamagedFile if it carries none."""
    try:
        if not isinstance(module.tokenizer_json, str):
            raise UserError("there is none")
        return from_json(module.tokenizer_json, max_length)
    except UserError as error:
        raise DamagedFile(f"{run.best}: carries no tokenizer, so no text can be read with it ({error})") from error


def load_run(folder: str | Path, threads: int | None = None) -> Predictor:
    """A finished run's predictor, over torch, on the processor, in float32; ``threads`` are torch's, for each review.

    Raises UserError when the folder is not that of a finished run, or has lost its best checkpoint.
    """
    run = Run(folder)
    summary = run.read_summary()
    if threads:
        torch.set_num_threads(threads)
    labels, module = run.labels, load_best(run)
    max_length = summary["config"]["data"]["max_length"]
    tokenizer = tokenizer_of(run, module, max_length)
    return Predictor({**summary, "task": module.task}, labels, max_length, tokenizer, over_torch(module), threads=1)


def over_torch(module: AspectSentimentModule) -> Model:
    """The module as the function that a Predictor calls, on the processor: ids, mask int64 [B, T] -> head -> logits.

    The logits are float32, ``sentiment`` [B, A, C] and, for task ``absa``, ``mentioned`` [B, A].
    """

    def model(ids: np.ndarray, mask: np.ndarray) -> dict[str, np.ndarray]:
        with torch.inference_mode():
            out = module(torch.from_numpy(ids), torch.from_numpy(mask))
        return {head: logits.numpy() for head, logits in out.items()}

    return model
