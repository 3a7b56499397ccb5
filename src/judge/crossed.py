"""Cross-predictions: what models say of each review that they were not trained on.

The reviews are dealt into folds, equal texts into the same fold. For each fold the small encoder of ``assets/mini`` is
trained on the other folds, in this process and without a folder, and predicts the fold; tf-idf with logistic regression
does the same in seconds, and the two opinions are averaged.
"""

import logging
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

import lightning.pytorch as L
import numpy as np
import torch
from tqdm import tqdm

from ..answers.calibration import fit_calibration
from ..answers.predictions import Predictions
from ..data.findings import Findings, digests, text_keys
from ..data.reviews import Reviews
from ..data.splits import Splits
from ..focal import FocalLoss
from ..labels import Labels
from ..lit_module import AspectSentimentModule
from ..model.encoder import load_encoder
from ..tokens.batching import Batches, BatchPlan, TokenisedSplit, batch_size_for
from ..tokens.tokenizer import encode
from ..training.devices import attention_for
from ..training.progress import quiet
from .baselines import predictions_by_tfidf
from .inference import assemble

log = logging.getLogger(__name__)
STEPS_OF_A_FOLD = 600  # optimizer steps of a fold at least: 600 reviews are read ten times
EPOCHS_OF_A_FOLD = 3, 15  # epochs
TRAINED_WITH = {"pooling": "label", "detection_weight": 1.0, "encoder_lr": 3e-4, "head_lr": 3e-3, "warmup": 0.06}


def folds_of(reviews: Reviews, folds: int, seed: int) -> np.ndarray:
    """The fold of each review, int64 [N]: by a hash of its text and ``seed``, whatever the order of the rows.

    Equal texts are in one fold, so that no model has seen the text that it is asked about.
    """
    keys, of = np.unique(text_keys(reviews.texts), return_inverse=True)
    order = np.argsort(digests((key.tobytes() for key in keys), seed))
    fold = np.empty(len(keys), np.int64)
    fold[order] = np.arange(len(keys)) % folds
    return fold[of]


def cross_predict(
    reviews: Reviews, labels: Labels, folds: int = 5, seed: int = 0, epochs: int | None = None
) -> Predictions:
    """What the small encoder and tf-idf say on average of every review, each trained without it.

    ``epochs`` of a training of the encoder follow from the number of reviews unless they are given. The same ``seed``
    gives the same predictions on one machine.
    """
    fold = folds_of(reviews, folds, seed)
    opinions = [by_encoder(reviews, labels, fold, seed, epochs)]
    try:
        opinions.append(by_tfidf(reviews, labels, fold))
    except ValueError as error:  # texts without a word in common
        log.warning(f"The small encoder alone is asked: tf-idf found nothing to learn ({error})")
    return averaged(opinions, labels)


def by_encoder(
    reviews: Reviews, labels: Labels, fold: np.ndarray, seed: int = 0, epochs: int | None = None, max_length: int = 256
) -> Predictions:
    """Cross-predictions of the small encoder over the folds, int64 [N], on the processor, in float32."""
    cut = _tokenised(reviews, labels, max_length)
    folds = np.unique(fold).tolist()
    if epochs is None:
        epochs = epochs_for(len(reviews) * (len(folds) - 1) // len(folds))
    parts = []
    with _calm(), tqdm(total=len(folds) * epochs, unit="epoch", desc="cross-predictions", leave=False) as shown:
        for i in folds:
            train, held = np.flatnonzero(fold != i), np.flatnonzero(fold == i)
            parts += _predicted(cut, train, held, labels, epochs, seed + i, max_length, shown.update)
    return assemble(parts, np.arange(len(reviews) + 1), reviews)


def by_tfidf(reviews: Reviews, labels: Labels, fold: np.ndarray) -> Predictions:
    """Cross-predictions of tf-idf and logistic regression over the folds, int64 [N]. ValueError: no words in common."""
    gold = reviews.mentioned, reviews.sentiment.astype(np.int64)
    sentiment = np.zeros((*reviews.mentioned.shape, len(labels.sentiments)))
    zeros = np.zeros(reviews.mentioned.shape)
    whole = Predictions(reviews.ids, reviews.texts, *gold, sentiment, zeros)
    assert whole.mentioned_logits is not None
    for i in np.unique(fold):
        held, train = np.flatnonzero(fold == i), reviews.take(np.flatnonzero(fold != i))
        mentioned, sentiments = (array[held] for array in gold)
        texts = list(reviews.texts.take(held))
        asked = Predictions([], texts, mentioned, sentiments, sentiment[held], zeros[held])
        _, said = predictions_by_tfidf(Splits(labels, train, None, None, Findings({}, {}, [])), labels, asked)
        whole.sentiment_logits[held], whole.mentioned_logits[held] = said.sentiment_logits, said.mentioned_logits
    return whole


def averaged(opinions: Sequence[Predictions], labels: Labels) -> Predictions:
    """The mean of the models' calibrated probabilities, as logits."""
    each = [fit_calibration(one, labels).probabilities(one) for one in opinions]
    mentioned = np.mean([m for m, _ in each if m is not None], 0).clip(1e-6, 1 - 1e-6)
    sentiment = np.mean([s for _, s in each], 0).clip(1e-6)
    odds = np.log(mentioned / (1 - mentioned))
    return replace(opinions[0], sentiment_logits=np.log(sentiment), mentioned_logits=odds)


def epochs_for(reviews: int) -> int:
    """Epochs of a training on so many reviews: enough for :data:`STEPS_OF_A_FOLD` steps, within the bounds."""
    steps = -(-reviews // batch_size_for(reviews))
    return min(EPOCHS_OF_A_FOLD[1], max(EPOCHS_OF_A_FOLD[0], math.ceil(STEPS_OF_A_FOLD / steps)))


def _tokenised(reviews: Reviews, labels: Labels, max_length: int) -> TokenisedSplit:
    encoder = load_encoder("mini", [], pooling=str(TRAINED_WITH["pooling"]), max_length=max_length)
    ids, offsets = encode(encoder.tokenizer, reviews.texts)
    return TokenisedSplit(ids, offsets, reviews.mentioned, reviews.sentiment, encoder.pad_id)


def _predicted(
    cut: TokenisedSplit,
    train: np.ndarray,
    held: np.ndarray,
    labels: Labels,
    epochs: int,
    seed: int,
    max_length: int,
    told: Callable[[], object],
) -> list[dict[str, torch.Tensor]]:
    """Train on the positions ``train`` of a split; what ``predict_step`` returns for the positions ``held``."""
    L.seed_everything(seed, verbose=False)
    encoder = load_encoder("mini", [], pooling=str(TRAINED_WITH["pooling"]), max_length=max_length)
    encoder.module.set_attn_implementation(attention_for("cpu", encoder.module))
    shown = _taken(cut, train)
    size = batch_size_for(len(train))
    loader = Batches(shown, BatchPlan(shown.lengths, batch_size=size, seed=seed), packed=encoder.packs)
    module = AspectSentimentModule(
        labels.aspects,
        without_sentiment=labels.without_sentiment,
        sentiments=labels.sentiments,
        encoder_config=encoder.config,
        encoder=encoder.module,
        loss=FocalLoss(gamma=0.0),
        total_steps=epochs * len(loader),
        mention_shares=shown.mentioned.mean(0).tolist(),
        **TRAINED_WITH,  # type: ignore[arg-type]
    )
    trainer = L.Trainer(
        accelerator="cpu",
        devices=1,
        max_epochs=epochs,
        gradient_clip_val=1.0,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
        callbacks=[_Told(told)],
    )
    trainer.fit(module, loader)
    module.eval()
    asked = _taken(cut, held)
    batches = Batches(asked, BatchPlan(asked.lengths, batch_size=64, mode="sequential"))
    with torch.inference_mode():
        said = [module.predict_step(batch, 0) for batch in batches]
    return [{**part, "row": torch.from_numpy(held)[part["row"]]} for part in said]


class _Told(L.Callback):
    """Calls a function at the end of each epoch."""

    def __init__(self, told: Callable[[], object]) -> None:
        self.told = told

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.told()


def _taken(split: TokenisedSplit, rows: np.ndarray) -> TokenisedSplit:
    """The reviews of a split at the positions ``rows``, int64 [M]."""
    parts = [split.ids[split.offsets[i] : split.offsets[i + 1]] for i in rows]
    offsets = np.concatenate([[0], np.cumsum(split.lengths[rows], dtype=np.int64)])
    return TokenisedSplit(np.concatenate(parts), offsets, split.mentioned[rows], split.sentiment[rows], split.pad_id)


@contextmanager
def _calm() -> Iterator[None]:
    """Keep Lightning from talking about each of the trainings."""
    quiet()
    lightning = logging.getLogger("lightning.pytorch")
    level = lightning.level
    lightning.setLevel(logging.ERROR)
    try:
        yield
    finally:
        lightning.setLevel(level)
