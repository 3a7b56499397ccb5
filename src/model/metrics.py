"""The figures during training: counts accumulated over batches and ranks, on the device."""

from dataclasses import fields

import numpy as np
import torch
from torch import Tensor
from torchmetrics import Metric

from ..answers.figures import Counts, figures, tally, total
from ..labels import C, Labels


def count(mentioned_said: Tensor, sentiment_said: Tensor, mentioned: Tensor, sentiment: Tensor) -> Counts:
    """Counts of some reviews, on the device of the inputs.

    ``mentioned_said`` bool [N, A], ``sentiment_said`` int64 [N, A], ``mentioned`` bool [N, A], ``sentiment`` int64
    [N, A] with IGNORE -> int64 counts.
    """
    classes = torch.arange(C, device=sentiment.device)
    return total(tally(mentioned_said, sentiment_said, mentioned, sentiment, classes))


def to_numpy(counts: Counts) -> Counts:
    """The same counts as int64 numpy arrays."""
    return Counts(**{f.name: np.asarray(getattr(counts, f.name).cpu()) for f in fields(Counts)})


class AspectFigures(Metric):
    """Accumulates :class:`Counts` over batches and ranks; ``compute`` gives :func:`figures`."""

    full_state_update = False

    def __init__(self, labels: Labels, task: str) -> None:
        super().__init__()
        self.labels, self.task = labels, task
        a = len(labels.aspects)
        shapes = {"confusion": (a, C, C), "pair_said": (a, C), "pair_hit": (a, C)}
        for field in fields(Counts):
            zeros = torch.zeros(shapes.get(field.name, (a,)), dtype=torch.int64)
            self.add_state(field.name, default=zeros, dist_reduce_fx="sum")

    def update(self, mentioned_said: Tensor, sentiment_said: Tensor, mentioned: Tensor, sentiment: Tensor) -> None:
        """Shapes as in :func:`count`."""
        new = count(mentioned_said, sentiment_said, mentioned, sentiment)
        for field in fields(Counts):
            setattr(self, field.name, getattr(self, field.name) + getattr(new, field.name))

    def compute(self) -> dict[str, float]:
        counts = Counts(**{f.name: getattr(self, f.name) for f in fields(Counts)})
        return {k: float(v) for k, v in figures(to_numpy(counts), self.labels, self.task).items()}
