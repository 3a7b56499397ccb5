"""The optimizer of every training here: its parameter groups, its schedule over the steps, and clipping."""

import math
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import nn

BASE_RATE, BASE_WIDTH = 5e-5, 768  # of a pre-trained base encoder: benchmarks/quality.md


def adamw(
    groups: list[dict[str, Any]],
    precision: str | None,
    schedule: str,
    total_steps: int,
    warmup: float,
    betas: tuple[float, float] = (0.9, 0.999),
) -> dict[str, Any]:
    """What ``configure_optimizers`` returns: AdamW over ``groups``, whose rates follow the schedule step by step.

    ``precision`` is the trainer's. The number of steps is given: asking the trainer for it makes Lightning lose a
    loader's position on resume.
    """
    # with a gradient scaler (16-mixed) the fused step unscales after the clipping, which would clip scaled gradients
    optimizer = torch.optim.AdamW(groups, betas=betas, fused=precision != "16-mixed")
    factor = learning_rate_factor(schedule, total_steps, warmup)
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
    return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}


def clip(parameters: Iterable[nn.Parameter], value: float | None, algorithm: str | None) -> None:
    """Clip gradients in place: their common norm (``algorithm`` norm or None), or each element (value), to ``value``.

    A ``value`` of 0 or None clips nothing. For ``configure_gradient_clipping``: Lightning itself refuses to clip with a
    fused optimizer, scaler or not.
    """
    if value and str(algorithm or "norm").endswith("value"):
        torch.nn.utils.clip_grad_value_(parameters, value)
    elif value:
        torch.nn.utils.clip_grad_norm_(parameters, value)


def encoder_rate(setting: float | str, width: int) -> float:
    """The encoder's learning rate: the number ``setting``, or for ``auto`` 5e-5 at 768 wide, 1e-4 at 384 wide.

    AdamW's rate for hidden matrices goes with 1 / width (Yang et al. 2022, https://arxiv.org/abs/2203.03466, table 3).
    """
    return BASE_RATE * BASE_WIDTH / width if isinstance(setting, str) else setting


def parameter_groups(model: nn.Module, encoder_lr: float, head_lr: float, weight_decay: float) -> list[dict[str, Any]]:
    """AdamW's groups: ``encoder.*`` and the rest at their own rates, no decay on biases and norms (all vectors)."""
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
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
