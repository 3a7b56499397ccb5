"""Which reviews go together into a batch, in which order, on which rank.

Reviews are short and uneven (mean 35 to 44 tokens, p99 about 128): batches of like lengths need 1.05 to 1.1 times the
real tokens, random ones 2.6 to 3.2 times. The order is a pure function of (lengths, sizes, seed, epoch, rank), so the
same run gives the same batches whatever else drew random numbers, and a resumed run can go on in the middle.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any, Literal

import numpy as np
import torch

from src.labels import Batch

BUCKET = 4  # tokens; lengths within one step count as equal, so that like reviews still mix from epoch to epoch


@dataclass(frozen=True)
class BatchPlan:
    """How one split is cut into batches.

    ``lengths`` int [N] tokens per review. Either ``batch_size`` reviews a batch, or as many as fit into
    ``tokens_per_batch`` (width x reviews, padding included). ``mode``: ``bucketed`` (like lengths together, batches
    shuffled), ``random`` (shuffled reviews), ``sequential`` (by length, never shuffled; each review once: evaluation).
    The number of batches is the same in every epoch and on every rank of ``bucketed`` and ``random``.
    """

    lengths: np.ndarray
    batch_size: int = 32
    tokens_per_batch: int | None = None
    mode: Literal["bucketed", "random", "sequential"] = "bucketed"
    seed: int = 0
    rank: int = 0
    world_size: int = 1

    def batches(self, epoch: int) -> list[np.ndarray]:
        """The rows of each batch of this rank, in order: int32 arrays."""
        order = np.arange(len(self.lengths), dtype=np.int32)
        if self.mode == "sequential":
            return self._cut(_longest_first(order, self._steps))[self.rank :: self.world_size]
        rng = np.random.default_rng([self.seed, epoch])
        rng.shuffle(order)
        if self.mode == "bucketed":
            order = _longest_first(order, self._steps)
        batches = self._cut(order)
        # Neighbours go to different ranks at the same step: like lengths, so no rank waits for a longer batch. The
        # last step is filled from the start: every rank must take the same number of steps.
        groups = -(-len(batches) // self.world_size)
        dealt = [batches[i % len(batches)] for i in range(groups * self.world_size)]
        return [dealt[g * self.world_size + self.rank] for g in rng.permutation(groups)]

    def __len__(self) -> int:
        """Batches of this rank in one epoch."""
        total = len(self._bounds) - 1
        return (
            len(range(self.rank, total, self.world_size)) if self.mode == "sequential" else -(-total // self.world_size)
        )

    @cached_property
    def _bounds(self) -> list[int]:
        """Where batches begin and end in the ordered reviews; independent of how ties were shuffled."""
        n = len(self.lengths)
        if self.tokens_per_batch is None:
            return [*range(0, n, self.batch_size), n]
        if self.mode == "random":  # any review may be the longest of its batch
            return [*range(0, n, max(1, self.tokens_per_batch // int(self._steps.max()))), n]
        widths = -np.sort(-self._steps)
        bounds = [0]
        while bounds[-1] < n:
            bounds.append(min(bounds[-1] + max(1, self.tokens_per_batch // int(widths[bounds[-1]])), n))
        return bounds

    def _cut(self, order: np.ndarray) -> list[np.ndarray]:
        return [order[start:end] for start, end in pairwise(self._bounds)]

    @cached_property
    def _steps(self) -> np.ndarray:
        """Lengths rounded up to whole steps."""
        rounded: np.ndarray = -(-np.maximum(self.lengths, 1) // BUCKET) * BUCKET
        return rounded


def _longest_first(order: np.ndarray, steps: np.ndarray) -> np.ndarray:
    """``order``, sorted by steps; stable, so that reviews of one length step stay as they were shuffled."""
    return order[np.argsort(-steps[order], kind="stable")]


@dataclass(frozen=True)
class TokenisedSplit:
    """One split as flat arrays: review ``i`` is ``ids[offsets[i]:offsets[i + 1]]``."""

    ids: np.ndarray  # uint16 [sum of lengths]; int32 where the vocabulary has ids of 2^16 and more
    offsets: np.ndarray  # int64 [N + 1]
    mentioned: np.ndarray  # bool [N, A]
    sentiment: np.ndarray  # int8 [N, A], 0..C-1 or IGNORE
    pad_id: int

    @cached_property
    def lengths(self) -> np.ndarray:
        """Tokens per review, int32 [N]."""
        return np.diff(self.offsets).astype(np.int32)

    def batch(self, rows: np.ndarray) -> Batch:
        """The reviews at ``rows`` (int [B]), padded on the right to the longest of them."""
        starts, lengths = self.offsets[rows], self.offsets[rows + 1] - self.offsets[rows]
        mask = np.arange(lengths.max()) < lengths[:, None]
        input_ids = np.full(mask.shape, self.pad_id, np.int64)
        within = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        input_ids[mask] = self.ids[np.repeat(starts, lengths) + within]
        return {
            "input_ids": torch.from_numpy(input_ids),
            "attention_mask": torch.from_numpy(mask.astype(np.int64)),
            "mentioned": torch.from_numpy(self.mentioned[rows].astype(np.float32)),
            "sentiment": torch.from_numpy(self.sentiment[rows].astype(np.int64)),
            "row": torch.from_numpy(rows.astype(np.int64)),
        }


class Batches:
    """The loader: batches of a split in the plan's order, from any position on.

    Lightning calls ``set_epoch`` through ``sampler`` before each epoch, and saves and restores the position through
    ``state_dict``, so a run that was stopped within an epoch goes on with the batch it had not yet seen. A plain
    iterable, because a DataLoader's workers and per-review calls cost more than these batches do.
    """

    def __init__(self, split: TokenisedSplit, plan: BatchPlan) -> None:
        self.split, self.plan = split, plan
        self.sampler = self.batch_sampler = self  # where Lightning looks for set_epoch
        self._epoch = 0
        self._done = 0  # batches handed out in this epoch
        self._resume_at = 0
        self.tokens = 0  # real tokens handed out so far

    def set_epoch(self, epoch: int) -> None:
        if epoch != self._epoch:  # a position restored from the end of another epoch is not this one's
            self._resume_at = 0
        self._epoch = epoch

    def __len__(self) -> int:
        return len(self.plan)

    def __iter__(self) -> Iterator[Batch]:
        start, self._resume_at = self._resume_at, 0
        self._done = start
        for rows in self.plan.batches(self._epoch)[start:]:
            self._done += 1
            self.tokens += int(self.split.lengths[rows].sum())
            yield self.split.batch(rows)

    def state_dict(self) -> dict[str, Any]:
        return {"epoch": self._epoch, "done": self._done}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._epoch, self._resume_at = state["epoch"], state["done"]


def padding_share(lengths: np.ndarray, batches: Sequence[np.ndarray]) -> float:
    """Tokens computed per real token: 1.0 is no padding."""
    computed = sum(len(rows) * int(lengths[rows].max()) for rows in batches)
    return computed / max(1, int(sum(lengths[rows].sum() for rows in batches)))
