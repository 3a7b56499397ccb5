"""Token ids of the training reviews that noise changes in an epoch; the other reviews stay as they were tokenised."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from tokenizers import Tokenizer

from ..data.noise import Noise
from .beginning import beginning


@dataclass(frozen=True)
class NoisyTexts:
    """The texts of a split, N of them, their tokenizer, and what may happen to them."""

    texts: Sequence[str]
    tokenizer: Tokenizer
    noise: Noise

    def ids(self, rows: np.ndarray, seed: int, epoch: int) -> dict[int, list[int]]:
        """The ids of those of ``rows`` (int [B]) that are changed in this epoch, by their place in ``rows``.

        They follow from the seed, the epoch and the row alone, whatever was drawn before.
        """
        read = {i: self.noise(self.texts[row], seed, epoch, row) for i, row in enumerate(rows.tolist())}
        changed = {i: text for i, text in read.items() if text is not None}
        texts = [beginning(self.tokenizer, text) for text in changed.values()]
        return dict(zip(changed, (e.ids for e in self.tokenizer.encode_batch_fast(texts)), strict=True))
