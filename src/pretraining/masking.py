"""Which tokens a masked language model has to guess: whole words, other ones in every epoch."""

import re
from typing import NamedTuple

import torch
from tokenizers import Tokenizer
from torch import Tensor

from ..errors import UserError
from ..labels import IGNORE
from ..tokens.tokenizer import MASK

MASKED, RANDOM = 0.8, 0.1  # of the chosen tokens; the rest stays as it is (Devlin et al. 2019, section 3.1)
MASKS = (MASK, "[MASK]")


class Vocabulary(NamedTuple):
    """What masking has to know of a tokenizer's tokens."""

    begins: Tensor  # bool [V], whether a token begins a word, and every token without a letter or a digit
    special: Tensor  # bool [V], tokens that no text holds: they are never guessed
    mask_id: int
    ordinary: Tensor  # int64 [M], ids that may stand in for another token

    def moved(self, device: torch.device) -> "Vocabulary":
        begins, special, ordinary = (x.to(device) for x in (self.begins, self.special, self.ordinary))
        return Vocabulary(begins, special, self.mask_id, ordinary)


def mask_of(tokenizer: Tokenizer, name: str) -> str:
    """The mask token of a tokenizer of the RoBERTa or BERT family. Raises UserError, about ``name``, without one."""
    found = next((token for token in MASKS if tokenizer.token_to_id(token) is not None), None)
    if found is None:
        raise UserError(f"{name}: its tokenizer has none of {', '.join(MASKS)}, so no word can be hidden")
    return found


def vocabulary_of(tokenizer: Tokenizer, mask: str) -> Vocabulary:
    """The vocabulary of a tokenizer whose mask token is ``mask``.

    Words are told by the mark of the tokenizer's kind: ``▁`` or ``Ġ`` before a word, ``##`` before what goes on with
    one. Raises ValueError if the tokenizer does not know the mask token.
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
            return marks != ("Ġ",)  # a comma is no part of the word before it; a byte, also as a sign, may be one
        return name.startswith(marks) if marks else not name.startswith("##")

    flags = torch.tensor([i not in names or begins(names[i]) for i in range(count)])
    never = torch.tensor([i not in names or i in special for i in range(count)])
    return Vocabulary(flags, never, mask_id, torch.nonzero(~never).squeeze(1))


def mask_words(
    ids: Tensor, vocabulary: Vocabulary, share: float, generator: torch.Generator | None = None
) -> tuple[Tensor, Tensor]:
    """Choose about ``share`` of the words, each with all its tokens.

    ``ids`` int64 [B, T] -> (ids with the chosen tokens hidden int64 [B, T], what stood there int64 [B, T] with
    :data:`src.labels.IGNORE` where nothing is to be guessed).
    """
    words = vocabulary.begins[ids].cumsum(1).clamp(max=ids.size(1)) - 1  # number of the word within its row
    draw, kind = (torch.rand(ids.shape, generator=generator, device=ids.device) for _ in range(2))
    chosen = (draw.gather(1, words.clamp(min=0)) < share) & ~vocabulary.special[ids]
    at = torch.randint(len(vocabulary.ordinary), ids.shape, generator=generator, device=ids.device)
    shown = torch.where(kind < MASKED, vocabulary.mask_id, ids)
    shown = torch.where(kind >= 1 - RANDOM, vocabulary.ordinary[at], shown)
    return torch.where(chosen, shown, ids), torch.where(chosen, ids, IGNORE)
