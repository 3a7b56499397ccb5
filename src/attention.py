"""Self-attention in plain matrix products, for training on a processor.

There, on short reviews, the fused kernel's backward pass is several times slower than the two products; and this one
drops attention weights by :func:`src.dropout.dropout`. transformers knows it by the name :data:`PLAIN`.
"""

from typing import Any

import torch
from torch import Tensor
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.masking_utils import eager_mask

from src.dropout import dropout as drop

PLAIN = "plain"


def plain_attention(
    module: Any,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    **_: Any,
) -> tuple[Tensor, None]:
    """``query``, ``key``, ``value`` float [B, heads, T, d], additive mask [B, 1, T, T] -> float [B, T, heads, d]."""
    weights = query * (query.size(-1) ** -0.5 if scaling is None else scaling) @ key.transpose(2, 3)
    if attention_mask is not None:
        weights = weights + attention_mask
    weights = drop(torch.softmax(weights, -1), dropout, module.training)
    return (weights @ value).transpose(1, 2).contiguous(), None


AttentionInterface.register(PLAIN, plain_attention)
AttentionMaskInterface.register(PLAIN, eager_mask)
