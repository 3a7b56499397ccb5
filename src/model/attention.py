"""Two attention functions for short reviews, packed or padded, registered with transformers under their names.

:data:`PLAIN`, for a processor, uses matrix products, because the backward pass of the fused kernel is several times
slower there on short reviews; it drops attention weights by :func:`src.model.dropout.dropout`. :data:`VARLEN`, for a
GPU, uses the kernel that takes packed rows as they are (torch's ``varlen_attn``) if the GPU has it and no attention
weights are dropped, else the fused kernel over a padded grid.
"""

from collections.abc import Callable
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import eager_mask, sdpa_mask

from ..tokens.packing import Grid, Packing, pad, unpad
from .dropout import dropout as drop

varlen_attn: Any = None
if find_spec("torch.nn.attention.varlen"):  # torch 2.10 and newer
    varlen_attn = import_module("torch.nn.attention.varlen").varlen_attn

PLAIN, VARLEN = "plain", "varlen"


def packed_states(encoder: Any, input_ids: Tensor, packing: Packing) -> Tensor:
    """Last hidden states [B, T, H] of a RoBERTa-like encoder for int64 [B, T], computed on the packed row.

    [B, 1, H] where the encoder keeps the first token alone (:mod:`src.model.last_layer`).

    The states at padding positions are undefined. Raises ValueError for an encoder with another attention: it would
    attend from one review of the packed row to the next, and no error would show it.
    """
    if encoder.config._attn_implementation not in (PLAIN, VARLEN):
        raise ValueError(f"attention {encoder.config._attn_implementation!r} does not know packed rows")
    output = encoder(
        input_ids=input_ids.flatten()[packing.grid.cells].unsqueeze(0),
        position_ids=(packing.positions + encoder.config.pad_token_id).unsqueeze(0),
        attention_mask=packing.grid.masks[0],  # transformers passes a mask of four dimensions on unchanged
        packing=packing,
    )
    states: Tensor = output.last_hidden_state
    return states if getattr(encoder, "first_token_only", False) else pad(states.squeeze(0), packing.grid)[0]


def plain_attention(
    module: Any,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    packing: Packing | None = None,
    **_: Any,
) -> tuple[Tensor, None]:
    """``query``, ``key``, ``value`` float [B, heads, T, d], additive mask [B, 1, 1 or T, T] -> float [B, T, heads, d].

    With ``packing`` they are [1, heads, N, d], and the result is [1, N, heads, d].
    """
    scale = query.size(-1) ** -0.5 if scaling is None else scaling
    drops = partial(drop, p=dropout, training=module.training)
    if packing is None:
        return _weigh(query, key, value, attention_mask, scale, drops).contiguous(), None
    # torch.compile gets the single grid: it would compile the function again for every number of tiles
    grid = packing.grid if torch.compiler.is_compiling() else packing.tiles
    tiles = zip(*(_tiles(x, grid) for x in (query, key, value)), grid.masks, strict=True)
    said = [_weigh(q, k, v, mask, scale, drops) for q, k, v, mask in tiles]
    return unpad(said, grid).unsqueeze(0), None


def _weigh(
    query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, scale: float, drops: Callable[[Tensor], Tensor]
) -> Tensor:
    """``query``, ``key``, ``value`` [B, heads, T, d], additive mask [B, 1, 1 or T, T] -> [B, T, heads, d]."""
    weights = query * scale @ key.transpose(2, 3)
    # the softmax runs in float32 in every precision: bfloat16 would round the weights, and takes twice as long here
    weights = weights.float() if mask is None else weights + mask.float()
    return (drops(torch.softmax(weights, -1).to(value.dtype)) @ value).transpose(1, 2)


def varlen_attention(
    module: Any,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    packing: Packing | None = None,
    **given: Any,
) -> tuple[Tensor, None]:
    """Shapes as in :func:`plain_attention`.

    The kernel for packed rows cannot drop attention weights, so it serves evaluation, and training if ``dropout`` is 0.
    """
    if packing is None:
        out, _ = sdpa_attention_forward(module, query, key, value, attention_mask, dropout, scaling, **given)
        return out, None
    rate = dropout if module.training else 0.0
    if rate == 0.0 and takes_packed(query):
        rows = (x.squeeze(0).transpose(0, 1) for x in (query, key, value))  # [N, heads, d]
        bounds, longest = (packing.bounds,) * 2, (packing.longest,) * 2
        return varlen_attn(*rows, *bounds, *longest, scale=scaling).unsqueeze(0), None
    query, key, value = (x for (x,) in (_tiles(x, packing.grid) for x in (query, key, value)))
    mask = None if attention_mask is None else attention_mask.to(query.dtype)
    out = F.scaled_dot_product_attention(query, key, value, mask, rate, scale=scaling)
    return unpad([out.transpose(1, 2)], packing.grid).unsqueeze(0), None


def takes_packed(query: Tensor) -> bool:
    """Whether flash attention takes ``query`` [..., d]: 16-bit floats, Ampere or newer, d a multiple of 8 up to 256."""
    if varlen_attn is None or query.device.type != "cuda" or query.dtype not in (torch.bfloat16, torch.float16):
        return False
    if query.size(-1) % 8 or query.size(-1) > 256:
        return False
    return torch.version.hip is None and torch.cuda.get_device_capability(query.device) >= (8, 0)


def _tiles(x: Tensor, grid: Grid) -> list[Tensor]:
    """A packed row [1, heads, N, d] -> its tiles, each [B, heads, T, d]."""
    return [tile.transpose(1, 2) for tile in pad(x.squeeze(0).transpose(0, 1), grid)]


AttentionInterface.register(PLAIN, plain_attention)
AttentionMaskInterface.register(PLAIN, eager_mask)
AttentionInterface.register(VARLEN, varlen_attention)
AttentionMaskInterface.register(VARLEN, sdpa_mask)
