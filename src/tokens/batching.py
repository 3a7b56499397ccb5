"""Which reviews go together into a batch, in which order, on which rank.

Reviews are short and uneven (mean 35 to 44 tokens, p99 about 128): batches of like lengths need 1.05 to 1.1 times the
real tokens, random ones 2.6 to 3.2 times. The order is a pure function of (lengths, sizes, seed, epoch, rank), so the
same run gives the same batches whatever else drew random numbers, and a resumed run can go on in the middle.
"""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from ..labels import Batch
from .noisy import NoisyTexts
from .packing import pack
from .windows import Windowed

STEPS = 50  # fewest optimizer steps of an epoch: below it the batch size is halved, to 8 at the least
BUCKET = 4  # tokens; lengths within one step count as equal, so that reviews of like length mix from epoch to epoch


def batch_size_for(reviews: int) -> int:
    """Reviews of a training batch where the user names no number: 32, or 16 or 8 where an epoch has few steps.

    440 reviews in batches of 32 are 14 steps an epoch, in which a pre-trained encoder learns next to nothing.
    """
    return next((size for size in (32, 16) if reviews >= STEPS * size), 8)


def auto_epochs(reviews: int) -> int:
    """Epochs of ``trainer.max_epochs=auto``: 7 from 4,000 reviews on, for fewer more, by the root of their number.

    Twice as many epochs for a quarter of the reviews, 40 at most. Measured in benchmarks/quality.md.
    """
    return min(40, max(7, round(5 * math.sqrt(8000 / reviews))))


@dataclass(frozen=True)
class BatchPlan:
    """How one split is cut into batches.

    ``lengths`` int [N] tokens per review. Either ``batch_size`` reviews a batch, or as many as fit into
    ``tokens_per_batch`` (width x reviews, padding included). ``mode``: ``bucketed`` (like lengths together, batches
    shuffled), ``random`` (shuffled reviews), ``sequential`` (by length, never shuffled; each review once: evaluation).
    The number of batches is the same in every epoch and on every rank: where the ranks do not divide it, the last step
    repeats some batches. Metrics count only the first ``own`` batches of a ``sequential`` plan: the rest are repeats.
    """

    lengths: np.ndarray
    batch_size: int = 32
    tokens_per_batch: int | None = None
    mode: Literal["bucketed", "random", "sequential"] = "bucketed"
    seed: int = 0
    rank: int = 0
    world_size: int = 1

    def batches(self, epoch: int) -> list[np.ndarray]:
        """The rows of each batch of this rank, in order: int32 [B] each."""
        order = np.arange(len(self.lengths), dtype=np.int32)
        if self.mode == "sequential":
            return self._deal(self._cut(_longest_first(order, self._steps)), range(self._groups))
        rng = np.random.default_rng([self.seed, epoch])
        rng.shuffle(order)
        if self.mode == "bucketed":
            order = _longest_first(order, self._steps)
        return self._deal(self._cut(order), rng.permutation(self._groups))

    def __len__(self) -> int:
        """Batches of this rank in one epoch."""
        return self._groups

    def optimizer_steps(self, epochs: int, accumulate: int, limit: int | float) -> int:
        """Optimizer steps of ``epochs`` epochs, ``accumulate`` batches a step.

        ``limit`` is Lightning's ``limit_train_batches``: an integer is batches per epoch, a float a fraction of them.
        As in Lightning, the last batches of an epoch make a step of their own if they are fewer than ``accumulate``.
        """
        batches = min(limit, len(self)) if isinstance(limit, int) else int(limit * len(self))
        return epochs * -(-batches // accumulate)

    @property
    def own(self) -> int:
        """How many of this rank's batches no other rank has: with one rank, all of them."""
        return len(range(self.rank, len(self._bounds) - 1, self.world_size))

    @property
    def _groups(self) -> int:
        """Steps of an epoch: one batch for each rank."""
        return -(-(len(self._bounds) - 1) // self.world_size)

    def _deal(self, batches: list[np.ndarray], groups: Iterable[int]) -> list[np.ndarray]:
        """This rank's batch of each group.

        Neighbouring batches go to different ranks at the same step: their lengths are alike, so no rank waits for a
        longer batch. The last group is filled with the first batches, because a rank with fewer steps would leave the
        others waiting for it.
        """
        return [batches[(g * self.world_size + self.rank) % len(batches)] for g in groups]

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

    @classmethod
    def of(cls, read: Windowed, mentioned: np.ndarray, sentiment: np.ndarray, pad_id: int) -> "TokenisedSplit":
        """The windows of reviews with these labels, each with its review's: for predicting, not for training."""
        of = np.repeat(np.arange(len(mentioned)), np.diff(read.first))
        return cls(read.ids, read.offsets, mentioned[of], sentiment[of], pad_id)

    @cached_property
    def lengths(self) -> np.ndarray:
        """Tokens per review, int32 [N]."""
        return np.diff(self.offsets).astype(np.int32)

    @cached_property
    def longest(self) -> int:
        """Tokens of the longest review."""
        return int(self.lengths.max())

    def batch(self, rows: np.ndarray) -> Batch:
        """The reviews at ``rows`` (int [B]), padded on the right to the longest of them."""
        return Batches(self, BatchPlan(self.lengths)).batch(rows)


class Batches:
    """The loader: batches of a split in the plan's order, from any position on.

    Lightning calls ``set_epoch`` through ``sampler`` before each epoch, and saves and restores the position through
    ``state_dict``, so a run that was stopped within an epoch goes on with the first batch it had not seen. A plain
    iterable, because a DataLoader's workers and per-review calls cost more than these batches do. The split lies on
    ``device``; ``packed`` adds each batch's :class:`src.tokens.packing.Packing`, ``teacher`` (float [N, A, C + 1]) its
    reviews' rows of that. With ``noisy``, reviews are read as it changes them, others in every epoch.
    """

    def __init__(
        self,
        split: TokenisedSplit,
        plan: BatchPlan,
        device: str = "cpu",
        packed: bool = False,
        noisy: NoisyTexts | None = None,
        teacher: np.ndarray | None = None,
    ) -> None:
        self.split, self.plan, self.packed, self._noisy = split, plan, packed, noisy
        self.device = torch.device(device)
        # few of torch's operations take uint16: the bits are kept as int16, and each batch masks them to 0..65535
        ids = split.ids.view(np.int16) if split.ids.dtype == np.uint16 else split.ids
        self._bits = np.iinfo(split.ids.dtype).max
        arrays = (ids, split.mentioned, split.sentiment)
        self._ids, self._mentioned, self._sentiment = (torch.from_numpy(x).to(self.device) for x in arrays)
        self._teacher = None if teacher is None else torch.from_numpy(teacher).to(self.device)
        self.sampler = self.batch_sampler = self  # where Lightning looks for set_epoch
        self._epoch = 0
        self._done = 0  # batches handed out in this epoch
        self._resume_at = 0
        self.tokens = 0  # real tokens handed out so far

    def set_epoch(self, epoch: int) -> None:
        if epoch != self._epoch:  # a restored position holds only in the epoch that it was saved in
            self._resume_at = 0
        self._epoch = epoch

    def __len__(self) -> int:
        return len(self.plan)

    def __iter__(self) -> Iterator[Batch]:
        start, self._resume_at = self._resume_at, 0
        self._done = start
        for rows in self.plan.batches(self._epoch)[start:]:
            self._done += 1
            batch = self.batch(rows)
            if self.plan.mode == "sequential" and self._done > self.plan.own:
                batch["repeated"] = True
            yield batch

    def batch(self, rows: np.ndarray) -> Batch:
        """The reviews at ``rows`` (int [B]), padded on the right.

        Only indices go to the device, and the tokens of reviews that noise has changed.
        """
        starts, lengths = self.split.offsets[rows], self.split.lengths[rows]
        changed = self._noisy.ids(rows, self.plan.seed, self._epoch) if self._noisy is not None else {}
        for i, ids in changed.items():
            starts[i], lengths[i] = 0, len(ids)
        # few shapes occur: whole steps, but no wider than the longest review
        width = min(-(-int(lengths.max()) // BUCKET) * BUCKET, max(self.split.longest, int(lengths.max())))
        real = np.arange(width) < lengths[:, None]
        places = np.where(real, starts[:, None] + np.arange(width), 0)
        self.tokens += int(lengths.sum())
        at, mask, row = (self._copy(torch.from_numpy(x)) for x in (places, real, rows.astype(np.int64)))
        input_ids = torch.where(mask, self._ids[at].long() & self._bits, self.split.pad_id)
        if changed:
            typed = np.full((len(changed), width), self.split.pad_id)
            for k, ids in enumerate(changed.values()):
                typed[k, : len(ids)] = ids
            input_ids[self._copy(torch.tensor(list(changed)))] = self._copy(torch.from_numpy(typed))
        batch: Batch = {
            "input_ids": input_ids,
            "attention_mask": mask.long(),
            "mentioned": self._mentioned[row].float(),
            "sentiment": self._sentiment[row].long(),
            "row": row,
        }
        if self._teacher is not None:
            batch["teacher"] = self._teacher[row].float()
        if self.packed:
            batch["packing"] = pack(lengths, width, tiled=self.device.type == "cpu").moved(self._copy)
        return batch

    def _copy(self, tensor: Tensor) -> Tensor:
        """The tensor on the device; pinned memory lets the copy start while a GPU still does earlier work."""
        cuda = self.device.type == "cuda"
        return (tensor.pin_memory() if cuda else tensor).to(self.device, non_blocking=cuda)

    def state_dict(self) -> dict[str, Any]:
        return {"epoch": self._epoch, "done": self._done}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._epoch, self._resume_at = state["epoch"], state["done"]
