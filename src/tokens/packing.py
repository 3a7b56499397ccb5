"""Batches without their padding: the tokens of all reviews in one row, padded only inside attention, if at all.

Everything in an encoder but attention works token by token, so padding can be left out of it. Attention must not look
from one review into the next: it pads for itself, or is told the bounds of the reviews (:mod:`src.model.attention`). On
a processor it pads in tiles of like lengths: its cost grows with the square of the width.
"""

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

STEP = 64  # tokens; rows are multiples of it, because rows of ever new lengths cost a processor a fifth of its speed
TILE_REVIEWS, TILE_WIDTH = 4, 8  # tiles are whole multiples of both, so that few shapes occur
TILE_COST = 32_768  # cells of attention that cost as much time as one more tile
MASKED_OUT = np.finfo(np.float32).min


class Grid(NamedTuple):
    """Where the ``N`` positions of a packed row stand in padded tiles [B1, T1], [B2, T2], ..., of ``S`` cells in all.

    One tile holds all reviews padded to the longest of them, or several hold the first B1 reviews, the next B2, ...
    """

    # int64 [N], for each position of the packed row its index into the flattened tiles; padding positions share cells
    # when there are too few
    cells: Tensor
    back: Tensor  # int64 [S], for each cell its position in the row; cells without one point at a padding position
    masks: tuple[Tensor, ...]  # float32 [Bi, 1, 1, Ti], added to attention's logits: 0 for a token, else MASKED_OUT
    shapes: tuple[tuple[int, int], ...]  # Bi, Ti

    def moved(self, move: Callable[[Tensor], Tensor]) -> "Grid":
        """The same grid, with every tensor as ``move`` returns it, such as a copy on a GPU."""
        return Grid(move(self.cells), move(self.back), tuple(map(move, self.masks)), self.shapes)


class Packing(NamedTuple):
    """Where the reviews of a batch [B, T] stand in its packed row of ``N`` positions, and the row in padded tiles.

    The row holds the reviews one after the other, then padding that makes ``N`` a multiple of :data:`STEP`: at least
    one position if the batch has padding, and no more positions than the batch has padding.
    """

    grid: Grid  # the batch as one tile
    tiles: Grid  # in tiles of like lengths, where that is less work for attention; else ``grid`` again
    positions: Tensor  # int64 [N], 1 for the first token of a review, 0 for padding
    bounds: Tensor  # int32 [B + 1 or B + 2], where each review begins, and the end; the padding counts as a review
    longest: int  # tokens of the longest stretch between bounds

    @property
    def first(self) -> Tensor:
        """Where each review's first token stands in the packed row, int32 [B]."""
        return self.bounds[: self.grid.shapes[0][0]]

    def moved(self, move: Callable[[Tensor], Tensor]) -> "Packing":
        """The same packing, with every tensor as ``move`` returns it."""
        grid = self.grid.moved(move)
        tiles = grid if self.tiles is self.grid else self.tiles.moved(move)
        return Packing(grid, tiles, move(self.positions), move(self.bounds), self.longest)


def pack(lengths: np.ndarray, width: int, tiled: bool = False) -> Packing:
    """The packing of reviews with ``lengths`` int [B] tokens in a batch of ``width`` columns.

    ``tiled``: also cut it into tiles where the lengths differ enough (see :func:`tile_bounds`).
    """
    lengths = lengths.astype(np.int64)
    cells, tokens = len(lengths) * width, int(lengths.sum())
    rest = min(cells - tokens, STEP - tokens % STEP)  # a whole step where the tokens fill theirs: one must exist
    places = np.arange(1, tokens + 1) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    positions = np.concatenate([places, np.zeros(rest, np.int64)])
    pieces = [*lengths, rest] if rest else lengths
    bounds = np.concatenate([[0], np.cumsum(pieces)]).astype(np.int32)
    grid = _grid([lengths], [width], rest)
    cuts = [lengths[a:b] for a, b in pairwise(tile_bounds(lengths))] if tiled else [lengths]
    widths = [_whole(int(cut.max()), TILE_WIDTH) for cut in cuts]
    widths[-1] = _whole(int(cuts[-1].max()) + 1, TILE_WIDTH)  # + 1: the tiles need a padding cell
    tiles = _grid(cuts, widths, rest) if len(cuts) > 1 else grid
    return Packing(grid, tiles, torch.from_numpy(positions), torch.from_numpy(bounds), int(np.max(pieces)))


def tile_bounds(lengths: np.ndarray) -> list[int]:
    """Where to cut a batch into tiles, so that attention pads reviews to the longest of their tile, not of the batch.

    ``lengths`` int [B], the longest first (else nothing is gained). A tile ends where its padding would cost more time
    than another tile, so the total is at most about twice the least possible. Returns each tile's first row, then B.
    """
    blocks = np.maximum.reduceat(lengths, np.arange(0, len(lengths), TILE_REVIEWS))
    squares = [_whole(int(longest), TILE_WIDTH) ** 2 for longest in blocks]
    bounds, padding = [0], 0
    for i, square in enumerate(squares):
        padding += TILE_REVIEWS * (squares[bounds[-1] // TILE_REVIEWS] - square)
        if padding > TILE_COST:
            bounds.append(TILE_REVIEWS * i)
            padding = 0
    return [*bounds, len(lengths)]


def _whole(n: int, step: int) -> int:
    """``n`` rounded up to whole steps."""
    return -(-n // step) * step


def _grid(lengths: Sequence[np.ndarray], widths: Sequence[int], rest: int) -> Grid:
    """The grid of a row of reviews with ``lengths`` (int [Bi] tokens for each tile) and ``rest`` padding positions."""
    real = [np.arange(width) < n[:, None] for n, width in zip(lengths, widths, strict=True)]  # [Bi, Ti]
    flat = np.concatenate([tile.ravel() for tile in real])
    cells = np.concatenate([np.flatnonzero(flat), np.resize(np.flatnonzero(~flat), rest)])
    back = np.full(len(flat), len(cells) - 1)
    back[cells] = np.arange(len(cells))
    masks = tuple(torch.from_numpy(np.where(tile, np.float32(0), MASKED_OUT)[:, None, None]) for tile in real)
    shapes = tuple((len(tile), tile.shape[1]) for tile in real)
    return Grid(torch.from_numpy(cells), torch.from_numpy(back), masks, shapes)


def pad(x: Tensor, grid: Grid) -> list[Tensor]:
    """Row [N, ...] -> each tile [Bi, Ti, ...], same dtype. Padding cells hold the values of a padding position."""
    cells: Tensor = _Gather.apply(x, grid.back, grid.cells)  # type: ignore[no-untyped-call]
    parts = torch.split(cells, [rows * width for rows, width in grid.shapes])
    return [part.view(*shape, *x.shape[1:]) for part, shape in zip(parts, grid.shapes, strict=True)]


def unpad(tiles: Sequence[Tensor], grid: Grid) -> Tensor:
    """Each tile [Bi, Ti, ...] -> row [N, ...], same dtype."""
    parts = [tile.flatten(0, 1) for tile in tiles]
    cells = parts[0] if len(parts) == 1 else torch.cat(parts)
    row: Tensor = _Gather.apply(cells, grid.cells, grid.back)  # type: ignore[no-untyped-call]
    return row


class _Gather(torch.autograd.Function):
    """Rows of ``x`` by ``index``. The gradient is gathered by ``back``; torch would add it up row by row, more slowly.

    Gathering is exact: ``index`` takes every token's row once, and padding rows, which it may repeat or leave out, get
    no gradient, because attention masks them. ``index`` and ``back`` must therefore map padding to padding.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, index: Tensor, back: Tensor) -> Tensor:
        ctx.save_for_backward(back)
        return x.index_select(0, index)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        (back,) = ctx.saved_tensors
        return gradients[0].index_select(0, back), None, None
