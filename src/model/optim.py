"""Which parameters learn at which rate, and how the rates change over the steps."""

import math
from collections.abc import Callable
from typing import Any

from torch import nn

from .classifier import AspectClassifier


def parameter_groups(
    classifier: AspectClassifier, encoder_lr: float, head_lr: float, weight_decay: float
) -> list[dict[str, Any]]:
    """AdamW's groups: encoder and head each at its own rate, no decay on biases and norms (all vectors are either)."""
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in classifier.named_parameters():
        lr = encoder_lr if name.startswith("encoder.") else head_lr
        decays = parameter.ndim > 1
        groups.setdefault((lr, weight_decay if decays else 0.0), []).append(parameter)
    return [{"params": members, "lr": lr, "weight_decay": decay} for (lr, decay), members in groups.items()]


def learning_rate_factor(schedule: str, total_steps: int, warmup: float) -> Callable[[int], float]:
    """Step -> factor on the learning rate: linear warm-up, then cosine or linear to 0 at ``total_steps``.

    No step has a rate of 0, so a run of one step learns too.
    """
    warm = int(warmup * total_steps)

    def factor(step: int) -> float:
        if step < warm:
            return (step + 1) / (warm + 1)
        if schedule == "constant" or total_steps <= warm:
            return 1.0
        progress = min(1.0, (step - warm) / (total_steps - warm))
        return 0.5 * (1 + math.cos(math.pi * progress)) if schedule == "cosine" else 1 - progress

    return factor
