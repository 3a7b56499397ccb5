"""Texts without labels -> batches of token ids in which some words are masked."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import lightning.pytorch as L
import numpy as np
import torch
from tokenizers import Tokenizer

from ..data.corpus import Corpus, read_corpus
from ..data.noise import Noise
from ..data.texts import Texts
from ..tokens.batching import Batches, BatchPlan, TokenisedSplit
from ..tokens.noisy import NoisyTexts
from ..tokens.tokenizer import encode
from .masking import Vocabulary, mask_of, mask_words, vocabulary_of


class MaskedBatches(Batches):
    """:class:`src.tokens.batching.Batches` with words masked in ``input_ids``, and with ``targets``.

    ``targets``, int64 [B, T], holds the original ids of masked tokens and :data:`src.labels.IGNORE` everywhere else.

    Which words are masked depends on the seed, the epoch and the batch's place in the epoch, so a resumed run masks the
    same words; with ``fixed`` the same words are masked in every epoch (validation).
    """

    def __init__(
        self, split: TokenisedSplit, plan: BatchPlan, vocabulary: Vocabulary, share: float, fixed: bool, **settings: Any
    ) -> None:
        super().__init__(split, plan, **settings)
        self._vocabulary, self._share, self._fixed = vocabulary.moved(self.device), share, fixed

    def batch(self, rows: np.ndarray) -> Any:
        batch: Any = super().batch(rows)
        place = [self.plan.seed, 0 if self._fixed else self._epoch + 1, self._done, self.plan.rank]
        seed = int(np.random.default_rng(place).integers(2**63))
        generator = torch.Generator(self.device).manual_seed(seed)
        batch["input_ids"], batch["targets"] = mask_words(batch["input_ids"], self._vocabulary, self._share, generator)
        return batch


class PretrainingData(L.LightningDataModule):
    """Reads ``texts`` (files of :func:`src.data.corpus.read_corpus`) and yields masked batches.

    ``mask`` is the share of words that is masked; a batch holds ``tokens_per_batch`` tokens, padding included. Texts
    of more than ``max_length`` tokens are cut. ``noise`` has chances of :class:`src.data.noise.Noise`, for training
    alone. Raises UserError with every fault of the files at once.
    """

    def __init__(
        self,
        texts: str | Sequence[str],
        text_column: str | None = None,
        separator: str | None = None,
        encoding: str | None = None,
        sheet: str | None = None,
        val: float = 0.01,
        mask: float = 0.3,
        max_length: int = 128,
        tokens_per_batch: int = 4096,
        packed: bool = True,
        seed: int = 0,
        noise: Mapping[str, float] | None = None,
    ) -> None:
        super().__init__()
        self.noise = Noise(**noise or {})
        self.mask, self.max_length, self.tokens_per_batch = mask, max_length, tokens_per_batch
        self.packed, self.seed, self.device = packed, seed, "cpu"
        self.tokenizer: Tokenizer | None = None
        self.pad_id = 1
        self.corpus: Corpus = read_corpus(texts, text_column, separator, val, encoding, sheet)
        self._splits: dict[str, TokenisedSplit] = {}

    def tokenised(self, split: str) -> TokenisedSplit:
        """The token ids of ``train`` or ``val``, made on first use. Raises RuntimeError if no tokenizer is set yet."""
        if split not in self._splits:
            if self.tokenizer is None:
                raise RuntimeError("PretrainingData needs a tokenizer before it can make batches")
            texts: Texts = getattr(self.corpus, split)
            ids, offsets = encode(self.tokenizer, texts)
            none = np.empty((len(texts), 0))  # no aspects, so no labels
            self._splits[split] = TokenisedSplit(ids, offsets, none.astype(bool), none.astype(np.int8), self.pad_id)
        return self._splits[split]

    def optimizer_steps(self, epochs: int, accumulate: int = 1, limit: int | float = 1.0) -> int:
        """Those of training: see :meth:`src.tokens.batching.BatchPlan.optimizer_steps`."""
        return self._plan("train").optimizer_steps(epochs, accumulate, limit)

    def train_dataloader(self) -> MaskedBatches:
        return self._loader("train")

    def val_dataloader(self) -> MaskedBatches:
        return self._loader("val")

    def _plan(self, split: str) -> BatchPlan:
        plan = BatchPlan(self.tokenised(split).lengths, tokens_per_batch=self.tokens_per_batch, seed=self.seed)
        return plan if split == "train" else replace(plan, mode="sequential")

    def _loader(self, split: str) -> MaskedBatches:
        if self.tokenizer is None:
            raise RuntimeError("PretrainingData needs a tokenizer before it can make batches")
        noisy = NoisyTexts(self.corpus.train, self.tokenizer, self.noise) if self.noise and split == "train" else None
        return MaskedBatches(
            self.tokenised(split),
            self._plan(split),
            vocabulary_of(self.tokenizer, mask_of(self.tokenizer, "the encoder")),
            self.mask,
            fixed=split == "val",
            device=self.device,
            packed=self.packed,
            noisy=noisy,
        )
