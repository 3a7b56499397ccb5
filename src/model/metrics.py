"""The metrics of an epoch: predictions are gathered over batches and ranks, then judged over all reviews at once."""

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torchmetrics import Metric

from ..answers.figures import DETECTION, evaluate, figures
from ..answers.predictions import Predictions, sigmoid
from ..answers.thresholds import best_cut
from ..labels import Labels

UNTUNED = "_untuned"
"""Ends the name of a detection figure at the module's own threshold; without it, the figure is at the best cut."""


class AspectFigures(Metric):
    """Keeps the detection logits and the predicted sentiments of each review; ``compute`` gives the figures.

    Early in training a model may rank well while all its probabilities are below a fixed threshold, and then every
    figure there is 0. With ``cut=True`` the detection figures are therefore taken at the one threshold, for all
    aspects, with the highest ``pair_f1`` on these reviews; the figures at ``threshold`` are added under names that end
    in :data:`UNTUNED`. The reviews of all ranks are joined before anything is counted, so the figures depend neither on
    batches nor on ranks.
    """

    full_state_update = False

    def __init__(self, labels: Labels, task: str, threshold: float = 0.5, cut: bool = False) -> None:
        super().__init__()
        self.labels, self.task, self.threshold, self.cut = labels, task, threshold, cut
        for name in ("mentioned_logits", "predicted", "mentioned", "sentiment"):
            self.add_state(name, default=[], dist_reduce_fx="cat")
        self._begin()

    def reset(self) -> None:
        """Forget every review."""
        super().reset()
        self._begin()

    def _begin(self) -> None:
        """Give each state an empty vector of its dtype, which a rank without reviews sends to the others."""
        for state, dtype in zip(self._states(), (torch.float32, torch.int8, torch.int8, torch.int8), strict=True):
            state.append(torch.zeros(0, dtype=dtype, device=self.device))

    def update(self, mentioned_logits: Tensor | None, predicted: Tensor, mentioned: Tensor, sentiment: Tensor) -> None:
        """Add reviews.

        ``mentioned_logits`` float [B, A], None for task ``sentiment``; ``predicted`` int64 [B, A], a sentiment for each
        aspect; gold ``mentioned`` bool [B, A] and ``sentiment`` int64 [B, A] with IGNORE.
        """
        logits = mentioned_logits if mentioned_logits is not None else torch.zeros(mentioned.shape)
        added = (logits.float(), predicted.to(torch.int8), mentioned.to(torch.int8), sentiment.to(torch.int8))
        for state, values in zip(self._states(), added, strict=True):
            state.append(values.flatten().to(self.device))

    def compute(self) -> dict[str, float]:
        """Metric name -> value; every value is 0 if there are no reviews."""
        a = len(self.labels.aspects)
        logits, predicted, mentioned, sentiment = (_array(state).reshape(-1, a) for state in self._states())
        detection = logits if self.task == "absa" else None
        said = np.eye(len(self.labels.sentiments))[predicted]  # [N, A, C]
        reviews = Predictions([], [], mentioned.astype(bool), sentiment, said, detection)

        def at(threshold: float) -> dict[str, float]:
            values = figures(evaluate(reviews, threshold), self.labels, self.task)
            return {name: float(value) if len(mentioned) else 0.0 for name, value in values.items()}

        values = at(self.threshold)
        if reviews.mentioned_logits is None or not self.cut:
            return values
        cut = best_cut(reviews.mentioned_logits, predicted == sentiment, reviews.mentioned, sentiment, self.labels)
        tuned = at(float(sigmoid(np.array(cut))))
        return tuned | {f"{name}{UNTUNED}": values[name] for name in DETECTION}

    def _states(self) -> tuple[Any, ...]:
        return self.mentioned_logits, self.predicted, self.mentioned, self.sentiment


def _array(state: list[Tensor] | Tensor) -> np.ndarray:
    """A state as one numpy vector: a list of batches, or what the ranks' lists were joined to."""
    whole = torch.cat(state) if isinstance(state, list) and state else torch.as_tensor(state)
    return whole.cpu().numpy()
