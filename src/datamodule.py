"""From files of reviews to batches of token ids, with the counts that the loss and the schedule are made from."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

import lightning.pytorch as L
import numpy as np
from tokenizers import Tokenizer

from .data.files import in_folder
from .data.findings import Findings
from .data.noise import Noise
from .data.reviews import Columns, Reviews
from .data.splits import Splits, read_splits
from .errors import UserError
from .labels import SENTIMENTS, Labels
from .tokens.batching import Batches, BatchPlan, TokenisedSplit, batch_size_for
from .tokens.noisy import NoisyTexts
from .tokens.tokenizer import encode
from .tokens.windows import beyond, windowed


class AspectDataModule(L.LightningDataModule):
    """Reads the splits, checks them, tokenises them once, and yields :class:`src.labels.Batch`.

    ``train``, ``val`` and ``test`` are files or lists of files (below ``dir`` if that is given); ``val`` and ``test``
    may also be fractions of the training file, or None for "no such split". The file settings are those of
    :func:`src.data.splits.read_splits`. ``absent="neutral"`` trains unmentioned aspects as neutral, the way the
    original scripts did; metrics and class counts never count them so. ``packed`` leaves the padding out of training
    where the encoder allows it. ``noise`` has chances of :class:`src.data.noise.Noise`, for the training split alone.
    ``batch_size="auto"`` follows from the number of training reviews. The files are read
    on first use, which raises UserError with every fault of the files at once.
    """

    def __init__(
        self,
        train: str | Sequence[str],
        val: str | Sequence[str] | float | None = None,
        test: str | Sequence[str] | float | None = None,
        dir: str | None = None,
        aspects: Sequence[str] | None = None,
        text_column: str | None = None,
        label_column: str | None = None,
        ignore_columns: Sequence[str] = (),
        separator: str | None = None,
        sentiments: Sequence[str] = SENTIMENTS,
        values: Mapping[Any, Any] | str | None = None,
        several: str | None = None,
        unlabelled: Literal["keep", "drop"] = "keep",
        encoding: str | None = None,
        sheet: str | None = None,
        layout: str | None = None,
        leaks: Literal["warn", "drop", "error"] = "warn",
        split_seed: int = 0,
        absent: Literal["mask", "neutral"] = "mask",
        max_length: int = 256,
        batching: Literal["bucketed", "random"] = "bucketed",
        batch_size: int | Literal["auto"] = 32,
        tokens_per_batch: int | None = None,
        eval_batch_size: int = 64,
        packed: bool = False,
        noise: Mapping[str, float] | None = None,
        seed: int = 0,
        tokenizer: Tokenizer | None = None,
        pad_id: int = 1,
    ) -> None:
        super().__init__()
        self.absent, self.max_length = absent, max_length
        self.batching, self._batch_size, self.tokens_per_batch = batching, batch_size, tokens_per_batch
        self.eval_batch_size, self.seed = eval_batch_size, seed
        self.packed, self.noise = packed, Noise(**noise or {})
        self.tokenizer, self.pad_id = tokenizer, pad_id
        self.teacher: np.ndarray | None = None  # float16 [N, A, C + 1]: see src.judge.teacher
        self.device = "cpu"  # where the batches are made
        self.rank, self.world_size = 0, 1  # of the processes, which take the batches in turn
        self._files = {
            "train": in_folder(train, dir),
            "val": in_folder(val, dir),
            "test": in_folder(test, dir),
            "aspects": aspects,
            "text_column": text_column,
            "label_column": label_column,
            "ignore_columns": ignore_columns,
            "separator": separator,
            "sentiments": sentiments,
            "values": values,
            "several": several,
            "unlabelled": unlabelled,
            "encoding": encoding,
            "sheet": sheet,
            "layout": layout,
            "leaks": leaks,
            "split_seed": split_seed,
        }
        self._splits: Splits | None = None
        self._tokenised: dict[str, TokenisedSplit] = {}

    # --- what was read -----------------------------------------------------------------------------------------------

    @property
    def splits(self) -> Splits:
        """The reviews, read on first use. Raises UserError as :func:`src.data.splits.read_splits` does."""
        if self._splits is None:
            self._splits = read_splits(**self._files)  # type: ignore[arg-type]
        return self._splits

    @property
    def labels(self) -> Labels:
        return self.splits.labels

    @property
    def findings(self) -> Findings:
        """What the check of the files found: drops, repeats, leaks."""
        return self.splits.findings

    @property
    def class_counts(self) -> np.ndarray:
        """Labelled pairs per aspect and sentiment in training, int64 [A, C]; unmentioned aspects do not count."""
        return self.splits.train.class_counts

    @property
    def mention_counts(self) -> np.ndarray:
        """Reviews of the training split that mention each aspect, int64 [A]."""
        return self.splits.train.mention_counts

    @property
    def batch_size(self) -> int:
        """Reviews of a training batch; ``auto`` follows from the number of training reviews."""
        return batch_size_for(len(self.splits.train)) if self._batch_size == "auto" else self._batch_size

    def reviews(self, split: str) -> Reviews | None:
        """The reviews of ``train``, ``val`` or ``test``; None where there is no such split."""
        reviews: Reviews | None = getattr(self.splits, split)
        return reviews

    def optimizer_steps(self, epochs: int, accumulate: int = 1, limit: int | float = 1.0) -> int:
        """Those of training: see :meth:`src.tokens.batching.BatchPlan.optimizer_steps`."""
        return self._plan("train").optimizer_steps(epochs, accumulate, limit)

    # --- Lightning ---------------------------------------------------------------------------------------------------

    def setup(self, stage: str | None = None) -> None:
        for name in ("train", "val", "test"):
            self.tokenised(name)

    def tokenised(self, split: str) -> TokenisedSplit | None:
        """The token ids of a split, made on first use; None without such a split. RuntimeError without a tokenizer."""
        reviews = self.reviews(split)
        if reviews is None:
            return None
        if split not in self._tokenised:
            if self.tokenizer is None:
                raise RuntimeError("AspectDataModule needs a tokenizer before it can make batches")
            ids, offsets = encode(self.tokenizer, reviews.texts)
            sentiment = reviews.sentiment
            if split == "train" and self.absent == "neutral":
                neutral = self.labels.sentiments.index("neutral")
                sentiment = np.where(reviews.mentioned, sentiment, np.int8(neutral))
            self._tokenised[split] = TokenisedSplit(ids, offsets, reviews.mentioned, sentiment, self.pad_id)
        return self._tokenised[split]

    def train_dataloader(self) -> Batches:
        return self._loader("train")

    def val_dataloader(self) -> Batches | list[Batches]:
        return self._loader("val") if self.reviews("val") is not None else []

    def test_dataloader(self) -> Batches | list[Batches]:
        return self._loader("test") if self.reviews("test") is not None else []

    def predict_loader(self, split: str) -> tuple[Batches, np.ndarray]:
        """Batches that hold every window of a split once, the longest first; ``row`` gives a window's position.

        The array, int64 [N + 1], has the first window of each review; short reviews are one window. Raises RuntimeError
        where there is no such split.
        """
        cut, reviews = self._need(split), self.reviews(split)
        assert reviews is not None and self.tokenizer is not None
        read = windowed(self.tokenizer, reviews.texts, cut.ids, cut.offsets)
        whole = TokenisedSplit.of(read, cut.mentioned, cut.sentiment, cut.pad_id)
        plan = BatchPlan(whole.lengths, batch_size=self.eval_batch_size, mode="sequential")
        return Batches(whole, plan, self.device), read.first

    def beyond(self, split: str) -> np.ndarray:
        """How many tokens of each review of a split are cut off at ``max_length``, int64 [N]; [0] without a split.

        Training and the figures of an epoch leave them out; predictions are made of the whole review.
        """
        tokenised, reviews = self.tokenised(split), self.reviews(split)
        if tokenised is None or reviews is None or self.tokenizer is None:
            return np.zeros(0, np.int64)
        return beyond(self.tokenizer, reviews.texts, tokenised.offsets)

    def _loader(self, split: str) -> Batches:
        packed = self.packed and split == "train"  # metrics come from padded batches on every device
        teacher = self.teacher if split == "train" else None
        noisy, reviews = None, self.reviews(split)
        if self.noise and split == "train" and reviews is not None and self.tokenizer is not None:
            noisy = NoisyTexts(reviews.texts, self.tokenizer, self.noise)
        return Batches(self._need(split), self._plan(split), self.device, packed, noisy, teacher)

    def _plan(self, split: str) -> BatchPlan:
        plan = BatchPlan(self._need(split).lengths, rank=self.rank, world_size=self.world_size)
        if split != "train":
            return replace(plan, batch_size=self.eval_batch_size, mode="sequential")
        plan = replace(plan, batch_size=self.batch_size, tokens_per_batch=self.tokens_per_batch)
        return replace(plan, mode=self.batching, seed=self.seed)

    def _need(self, split: str) -> TokenisedSplit:
        tokenised = self.tokenised(split)
        if tokenised is None:
            raise RuntimeError(f"there is no {split} split")
        return tokenised


def meaning_faults(settings: Mapping[str, Any]) -> tuple[Sequence[str], list[str]]:
    """The sentiments of the group ``data``, and the faults of its settings that say what a cell means."""
    told = {key: settings[key] for key in ("sentiments", "values", "several") if key in settings}
    try:
        sentiments = Columns(**told).meanings().sentiments
    except UserError as error:
        return SENTIMENTS, error.faults
    lacking = settings.get("absent") == "neutral" and "neutral" not in sentiments
    named = f"data.absent=neutral: the sentiments are {', '.join(sentiments)}; data.absent=mask goes with all"
    return sentiments, [named] * lacking
