"""Compute an encoder's last layer for the first token alone, when the pooling reads no other token.

Only the layer's keys and values need all tokens. In an encoder of twelve layers this saves the work of nearly one
layer, in training and in prediction, and changes no logit.
"""

from functools import partial
from typing import Any

import torch
from torch import Tensor
from transformers.models.bert.modeling_bert import BertLayer
from transformers.models.camembert.modeling_camembert import CamembertLayer
from transformers.models.roberta.modeling_roberta import RobertaLayer
from transformers.models.xlm_roberta.modeling_xlm_roberta import XLMRobertaLayer

from ..tokens.packing import Packing, pad
from .attention import plain_attention


def keep_first_token(encoder: Any) -> None:
    """Change ``encoder`` in place: its last hidden states become [B, 1, H]. Weights keep their names.

    An encoder outside BERT's family is left unchanged.
    """
    layers = getattr(getattr(encoder, "encoder", None), "layer", None)
    if layers is not None and isinstance(layers[-1], BertLayer | CamembertLayer | RobertaLayer | XLMRobertaLayer):
        layers[-1].forward = partial(_first_token, layers[-1])  # type: ignore[method-assign]
        encoder.first_token_only = True


def _first_token(
    layer: Any, hidden: Tensor, attention_mask: Tensor | None = None, *_: Any, packing: Packing | None = None, **__: Any
) -> Tensor:
    """The layer's ``forward``: hidden states [B, T, H], or packed [1, N, H] -> the first tokens' [B, 1, H]."""
    own = layer.attention.self
    first = hidden[:, :1] if packing is None else hidden[0, packing.first].unsqueeze(1)  # [B, 1, H]
    query = own.query(first).unflatten(-1, (-1, own.attention_head_size)).transpose(1, 2)  # [B, heads, 1, d]
    key, value = (
        (x if packing is None else pad(x.squeeze(0), packing.grid)[0])
        .unflatten(-1, (-1, own.attention_head_size))
        .transpose(1, 2)
        for x in (own.key(hidden), own.value(hidden))
    )  # [B, heads, T, d]
    mask = None if attention_mask is None else _added(attention_mask[:, :, :1], query.dtype)
    context = plain_attention(own, query, key, value, mask, own.scaling, own.dropout.p)[0]
    said: Tensor = layer.feed_forward_chunk(layer.attention.output(context.flatten(2), first))
    return said


def _added(mask: Tensor, dtype: torch.dtype) -> Tensor:
    """Additive mask: a float mask as it is; a boolean one (True = token) as 0 and the lowest float."""
    if mask.dtype != torch.bool:
        return mask
    return torch.zeros_like(mask, dtype=dtype).masked_fill(~mask, torch.finfo(dtype).min)
