"""Batches without their padding: the tokens of all reviews in one row, padded only inside attention, if at all.

Everything in an encoder but attention works token by token, so padding can be left out of it. Attention must not look
from one review into the next: it pads for itself, or is told the bounds of the reviews (:mod:`src.attention`).
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

STEP = 64  # tokens; packed rows are whole multiples, as every length of its own costs a processor a fifth of its speed


class Packing(NamedTuple):
    """Where the ``N`` tokens of a packed row stand in the padded grid [B, T].

    The reviews come one after the other, then some cells of padding that make ``N`` a multiple of :data:`STEP`: at
    least one where the grid holds any, at most as many as it holds.
    """

    cells: Tensor  # int64 [N], cells of the flattened grid
    back: Tensor  # int64 [B * T], the place in the packed row of each cell; that of some padding for the cells left out
    positions: Tensor  # int64 [N], 1 for the first token of a review, 0 for padding
    bounds: Tensor  # int32 [B + 1 or B + 2], where each review begins, and the end; the padding counts as a review
    mask: Tensor  # float32 [B, 1, 1, T], 0 for a token and the least number for padding: added to attention's logits
    width: int  # T
    longest: int  # tokens of the longest stretch between bounds

    @property
    def first(self) -> Tensor:
        """Where each review's first token stands in the packed row, int32 [B]."""
        return self.bounds[: self.mask.size(0)]

    def moved(self, move: Callable[[Tensor], Tensor]) -> "Packing":
        """The same, with every tensor as ``move`` returns it."""
        index = (move(self.cells), move(self.back), move(self.positions), move(self.bounds))
        return Packing(*index, move(self.mask), self.width, self.longest)


def pack(lengths: np.ndarray, width: int) -> Packing:
    """The packing of reviews with ``lengths`` int [B] tokens in a grid of ``width`` columns."""
    lengths = lengths.astype(np.int64)
    grid = np.arange(width) < lengths[:, None]  # [B, T]
    tokens, rest = np.flatnonzero(grid), np.flatnonzero(~grid)
    padding = rest[: STEP - len(tokens) % STEP]  # a whole step where the tokens fill theirs: one cell must be there
    cells = np.concatenate([tokens, padding])
    back = np.full(grid.size, len(cells) - 1)
    back[cells] = np.arange(len(cells))
    column = np.broadcast_to(np.arange(1, width + 1), grid.shape)
    positions = np.concatenate([column[grid], np.zeros(len(padding), np.int64)])
    pieces = [*lengths, len(padding)] if len(padding) else lengths
    bounds = np.concatenate([[0], np.cumsum(pieces)]).astype(np.int32)
    mask = np.where(grid, np.float32(0), np.finfo(np.float32).min)[:, None, None]
    t = torch.from_numpy
    return Packing(t(cells), t(back), t(positions), t(bounds), t(mask), width, int(np.max(pieces)))


def pad(x: Tensor, packing: Packing) -> Tensor:
    """Packed [N, ...] -> grid [B, T, ...]. Cells of padding hold what some padding of the packed row holds."""
    grid: Tensor = _Gather.apply(x, packing.back, packing.cells)  # type: ignore[no-untyped-call]
    return grid.view(-1, packing.width, *x.shape[1:])


def unpad(x: Tensor, packing: Packing) -> Tensor:
    """Grid [B, T, ...] -> packed [N, ...]."""
    packed: Tensor = _Gather.apply(x.flatten(0, 1), packing.cells, packing.back)  # type: ignore[no-untyped-call]
    return packed


class _Gather(torch.autograd.Function):
    """Rows of ``x`` by ``index``; ``back`` gathers the gradient, where torch would add it up row by row.

    Each row is taken once, but for padding, and no gradient reaches padding: its states are used by nothing but itself,
    as attention masks it. So gathering is exact.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, index: Tensor, back: Tensor) -> Tensor:
        ctx.save_for_backward(back)
        return x.index_select(0, index)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        (back,) = ctx.saved_tensors
        return gradients[0].index_select(0, back), None, None
