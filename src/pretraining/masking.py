"""Choose the tokens that a masked language model has to predict: whole words, others in every epoch."""

import re
from typing import NamedTuple

import torch
from tokenizers import Tokenizer
from torch import Tensor

from ..errors import UserError
from ..labels import IGNORE
from ..tokens.tokenizer import MASK

MASKED, RANDOM = 0.8, 0.1  # shares of the chosen tokens; the rest stays as it is (Devlin et al. 2019, section 3.1)
MASKS = (MASK, "[MASK]")


class Vocabulary(NamedTuple):
    """What masking has to know about a tokenizer's V tokens."""

    begins: Tensor  # bool [V], True if a token begins a word, or has no letter and no digit
    special: Tensor  # bool [V], tokens that occur in no text: they are never masked
    mask_id: int
    ordinary: Tensor  # int64 [M], ids of the tokens that may replace a masked one

    def moved(self, device: torch.device) -> "Vocabulary":
        begins, special, ordinary = (x.to(device) for x in (self.begins, self.special, self.ordinary))
        return Vocabulary(begins, special, self.mask_id, ordinary)


def mask_of(tokenizer: Tokenizer, name: str) -> str:
    """The mask token of a tokenizer of the RoBERTa or BERT family. Raises UserError, about ``name``, if it has none."""
    found = next((token for token in MASKS if tokenizer.token_to_id(token) is not None), None)
    if found is None:
        raise UserError(f"{name}: its tokenizer has none of {', '.join(MASKS)}, so no word can be hidden")
    return found


def vocabulary_of(tokenizer: Tokenizer, mask: str) -> Vocabulary:
    """The vocabulary of a tokenizer whose mask token is ``mask``.

    Where a word begins is seen from the marks of the tokenizer's kind: ``▁`` or ``Ġ`` before the first token of a word,
    or ``##`` before each further token of it. Raises ValueError if the tokenizer does not know the mask token.
    """
    mask_id = tokenizer.token_to_id(mask)
    if mask_id is None:
        raise ValueError(f"the tokenizer has no token {mask!r}")
    names = {i: name for name, i in tokenizer.get_vocab(with_added_tokens=True).items()}
    special = {i for i, token in tokenizer.get_added_tokens_decoder().items() if token.special}
    count = max(names) + 1
    marks = tuple(m for m in ("▁", "Ġ") if any(name.startswith(m) for name in names.values()))

    def begins(name: str) -> bool:
        if not re.search(r"\w", name.lstrip("▁Ġ#").replace("_", "")) and not name.startswith("<0x"):
            # a comma is no part of the word before it; but a byte-level tokenizer's sign may be a byte of a letter
            return marks != ("Ġ",)
        return name.startswith(marks) if marks else not name.startswith("##")

    flags = torch.tensor([i not in names or begins(names[i]) for i in range(count)])
    never = torch.tensor([i not in names or i in special for i in range(count)])
    return Vocabulary(flags, never, mask_id, torch.nonzero(~never).squeeze(1))


def mask_words(
    ids: Tensor, vocabulary: Vocabulary, share: float, generator: torch.Generator | None = None
) -> tuple[Tensor, Tensor]:
    """Mask about ``share`` of the words, each with all its tokens.

    ``ids`` int64 [B, T] -> the ids with the chosen tokens masked, int64 [B, T]; and the targets, int64 [B, T]: the
    original ids of the chosen tokens, :data:`src.labels.IGNORE` everywhere else.
    """
    words = vocabulary.begins[ids].cumsum(1).clamp(max=ids.size(1)) - 1  # number of the word within its row
    draw, kind = (torch.rand(ids.shape, generator=generator, device=ids.device) for _ in range(2))
    chosen = (draw.gather(1, words.clamp(min=0)) < share) & ~vocabulary.special[ids]
    at = torch.randint(len(vocabulary.ordinary), ids.shape, generator=generator, device=ids.device)
    shown = torch.where(kind < MASKED, vocabulary.mask_id, ids)
    shown = torch.where(kind >= 1 - RANDOM, vocabulary.ordinary[at], shown)
    return torch.where(chosen, shown, ids), torch.where(chosen, ids, IGNORE)
