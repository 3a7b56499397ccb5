"""Focal loss (Lin et al. 2017, https://arxiv.org/abs/1708.02002) over the sentiments, and its class weights alpha."""

import math
from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .errors import UserError, did_you_mean
from .labels import IGNORE, SENTIMENTS


def focal_loss(
    logits: Tensor,
    targets: Tensor,
    *,
    gamma: float = 2.0,
    alpha: Tensor | Sequence[float] | Sequence[Sequence[float]] | None = None,
    ignore_index: int = IGNORE,
    reduction: Literal["none", "sum", "mean"] = "mean",
    normalization: Literal["valid", "weight"] = "valid",
    label_smoothing: float = 0.0,
) -> Tensor:
    """Focal loss ``-alpha_t (1 - p_t)^gamma log p_t`` over the softmax of the last dimension (eq. 5).

    ``logits`` float [..., C], ``targets`` int64 [...], ``alpha`` float [C], or [A, C] for logits [..., A, C], or
    such lists. Returns a scalar, or [...] with 0 where ignored for ``none``; 16-bit logits are computed, and
    returned, in float32. The mean divides by the number of targets not ignored (``valid``) or by the sum of their
    alpha_t (``weight``, as torch does); where all are ignored it is 0 with zero gradients. Ignored logits, NaN and
    inf too, change nothing. gamma 0 without alpha is ``F.cross_entropy`` to the last bit. Label smoothing eps is
    the soft-target form ``sum_c y_c alpha_c (1 - p_c)^gamma (-log p_c)`` with ``y = (1 - eps) onehot + eps / C``.
    Raises ValueError for shapes, dtypes and settings; tensor values are not checked, because every step would wait
    for the GPU to read them.
    """
    _check_settings(gamma, label_smoothing, normalization, reduction)
    if alpha is not None and not isinstance(alpha, Tensor):
        alpha = _as_weights(alpha).to(logits.device)
    _check_tensors(logits, targets, alpha)
    valid = (targets != ignore_index).unsqueeze(-1)  # [..., 1]
    precise = logits.to(torch.promote_types(logits.dtype, torch.float32))  # a half as float32, float64 as it is
    z = torch.where(valid, precise, 0.0)  # [..., C], masked before anything is computed: no ignored NaN in the graph
    t = torch.where(valid, targets.unsqueeze(-1), 0)  # [..., 1]
    weights = None if alpha is None else alpha.to(z.dtype).expand_as(z)  # [..., C]
    loss = _of_targets(z, t, gamma, weights)  # [..., 1]
    if label_smoothing:
        each = [_of_targets(z, torch.full_like(t, c), gamma, weights) for c in range(z.shape[-1])]
        loss = (1 - label_smoothing) * loss + label_smoothing * torch.stack(each).mean(0)
    loss = torch.where(valid, loss, 0.0).squeeze(-1)
    if reduction == "none":
        return loss
    total = loss.sum()
    if gamma == 0 and weights is None and not label_smoothing:
        flat = z.reshape(-1, z.shape[-1])  # the same sum in the order of torch, for the last bit
        total = F.cross_entropy(flat, targets.flatten(), ignore_index=ignore_index, reduction="sum")
    if reduction == "sum":
        return total
    count = mean_over(targets, alpha if normalization == "weight" else None, ignore_index)
    return total / torch.where(count > 0, count, 1).to(total.dtype)


def mean_over(targets: Tensor, alpha: Tensor | None = None, ignore_index: int = IGNORE) -> Tensor:
    """The divisor of a mean, a scalar: how many ``targets`` (int64 [...]) are not ignored, or their sum of weights.

    ``alpha`` float [C], or [A, C] for targets [..., A]; without it the count is int64.
    """
    valid = targets != ignore_index
    if alpha is None:
        return valid.sum()
    weights = alpha.expand(*targets.shape, alpha.shape[-1])
    return (weights.gather(-1, torch.where(valid, targets, 0).unsqueeze(-1)).squeeze(-1) * valid).sum()


def focal_term(margin: Tensor, gamma: float) -> Tensor:
    """``(1 - p)^gamma (-log p)`` with ``p = sigmoid(margin)``: float of any shape -> the same shape and dtype."""
    # in logarithms: 1 - p rounds to 0 for a confident p, and there x ** gamma has an infinite slope for gamma < 1
    return -torch.exp(gamma * F.logsigmoid(-margin)) * F.logsigmoid(margin)


def _of_targets(z: Tensor, t: Tensor, gamma: float, weights: Tensor | None) -> Tensor:
    """Loss [..., 1] of targets ``t`` [..., 1], none ignored, under logits ``z`` and ``weights``, both [..., C]."""
    if gamma == 0:
        loss = -F.log_softmax(z, -1).gather(-1, t)
    else:
        others = z.scatter(-1, t, -math.inf).logsumexp(-1, keepdim=True)
        loss = focal_term(z.gather(-1, t) - others, gamma)  # p_t = sigmoid(z_t - others)
    return loss if weights is None else loss * weights.gather(-1, t)  # alpha multiplies the loss, not p_t


def _check_tensors(logits: Tensor, targets: Tensor, alpha: Tensor | None) -> None:
    shape = tuple(logits.shape)
    if not logits.is_floating_point() or targets.dtype != torch.int64:
        raise ValueError(f"logits are {logits.dtype}, targets {targets.dtype}: expected floats and torch.int64")
    if not shape or shape[-1] < 2:
        raise ValueError(f"logits have shape {shape}: expected [..., C] with C of at least 2 classes")
    if tuple(targets.shape) != shape[:-1]:
        raise ValueError(f"targets have shape {tuple(targets.shape)}: expected {shape[:-1]} for logits {shape}")
    if alpha is not None and tuple(alpha.shape) not in (shape[-1:], shape[-2:]):
        raise ValueError(f"alpha has shape {tuple(alpha.shape)}: expected {shape[-1:]} or {shape[-2:]}")


def _check_settings(gamma: object, label_smoothing: object, normalization: str, reduction: str = "mean") -> None:
    if not isinstance(gamma, int | float) or not 0 <= gamma < math.inf:
        raise ValueError(f"gamma={gamma!r}: expected a finite number, at least 0")
    if not isinstance(label_smoothing, int | float) or not 0 <= label_smoothing < 1:
        raise ValueError(f"label_smoothing={label_smoothing!r}: expected a number in [0, 1)")
    if normalization not in ("valid", "weight"):
        raise ValueError(f"normalization={normalization!r}: expected valid or weight")
    if reduction not in ("none", "sum", "mean"):
        raise ValueError(f"reduction={reduction!r}: expected none, sum or mean")


class FocalLoss(nn.Module):
    """``focal_loss`` with its settings: logits float [..., C], targets int64 [...] -> their mean, a scalar.

    ``alpha``: C numbers, A lists of C numbers, or None for equal weights. It stays out of the state dict, so that a
    checkpoint loads under any loss. Raises ValueError for a setting out of range.
    """

    alpha: Tensor | None

    def __init__(
        self,
        *,
        gamma: float = 2.0,
        alpha: list[float] | list[list[float]] | None = None,
        normalization: Literal["valid", "weight"] = "valid",
        label_smoothing: float = 0.0,
        ignore_index: int = IGNORE,
    ) -> None:
        super().__init__()
        _check_settings(gamma, label_smoothing, normalization)
        self.gamma, self.label_smoothing = float(gamma), float(label_smoothing)
        self.normalization, self.ignore_index = normalization, ignore_index
        self.register_buffer("alpha", None if alpha is None else _as_weights(alpha).float(), persistent=False)

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        return focal_loss(
            logits,
            targets,
            gamma=self.gamma,
            alpha=self.alpha,
            ignore_index=self.ignore_index,
            normalization=self.normalization,
            label_smoothing=self.label_smoothing,
        )

    def weight(self, targets: Tensor) -> Tensor:
        """The weight of the mean over ``targets`` (int64 [...]) in a mean over several batches, a scalar."""
        return mean_over(targets, self.alpha if self.normalization == "weight" else None, self.ignore_index)

    def extra_repr(self) -> str:
        return ", ".join([f"gamma={self.gamma:g}", *self._beside_gamma()])

    def _beside_gamma(self) -> list[str]:
        """The settings but gamma, in words: weights per aspect as their range, the others only where not default."""
        if self.alpha is None or self.alpha.ndim == 1:
            told = ["alpha=" + ("None" if self.alpha is None else f"[{', '.join(f'{w:.4f}' for w in self.alpha)}]")]
        else:
            rows, columns = self.alpha.shape
            told = [f"alpha={rows} x {columns} weights from {self.alpha.min():.4f} to {self.alpha.max():.4f}"]
        told += [f"normalization={self.normalization}"] * (self.normalization != "valid")
        return told + [f"label_smoothing={self.label_smoothing:g}"] * (self.label_smoothing > 0)


def inverse_frequency(counts: object) -> list[float] | list[list[float]]:
    """Class weights ``N / (C n_c)`` from the training split's counts: int [C] -> C floats, [A, C] -> A lists of C.

    C is the number of sentiments that the split has; one that it lacks, whose inverse frequency would be infinite,
    gets 1.0. Per aspect, N and n_c are the aspect's own. A sentiment it lacks gets its weight over all aspects: no
    training target reads that cell (label smoothing and validation do), and unlike additive smoothing this stays
    bounded and leaves the other cells exact. An aspect without any sentiment gets 1.0. ``counts`` is an array, a tensor
    or lists. Raises ValueError for counts of another shape.
    """
    table = torch.as_tensor(counts)
    if table.ndim not in (1, 2) or table.shape[-1] < 2:
        raise ValueError(f"counts have shape {tuple(table.shape)}: expected [C] or [A, C], C of at least 2 sentiments")
    overall: list[int] = table.reshape(-1, table.shape[-1]).sum(0).tolist()
    there = sum(n > 0 for n in overall)
    pooled = [sum(overall) / (there * n) if n else 1.0 for n in overall]
    if table.ndim == 1:
        return pooled
    rows: list[list[int]] = table.tolist()
    return [
        [sum(row) / (there * n) if n else w if any(row) else 1.0 for n, w in zip(row, pooled, strict=True)]
        for row in rows
    ]


def resolve_alpha(
    alpha: object, class_counts: object, sentiments: Sequence[str] = SENTIMENTS
) -> list[float] | list[list[float]] | None:
    """The config's ``loss.alpha`` as plain numbers, given the training split's counts int64 [A, C].

    ``auto`` is inverse frequency over all aspects, ``per_aspect`` within each, ``equal`` or null no weights; C numbers,
    or A lists of them, stay what they are. Raises UserError, which names ``sentiments``, for anything else.
    """
    counts = torch.as_tensor(class_counts)
    classes = len(sentiments)
    if alpha in (None, "null", "equal"):
        return None
    if alpha in ("auto", "per_aspect"):
        return inverse_frequency(counts.sum(0) if alpha == "auto" else counts)
    if isinstance(alpha, str):
        choices = ("auto", "per_aspect", "equal", "null")
        guess = did_you_mean(alpha, choices)
        raise UserError(f"loss.alpha={alpha}: not one of {', '.join(choices)}, nor a list of {classes} numbers{guess}")
    try:
        weights = _as_weights(alpha)
    except ValueError as fault:
        raise UserError(f"loss.{fault}") from None
    if weights.shape not in ((classes,), counts.shape):
        needed = f"{len(counts)} aspects of " * (weights.ndim - 1) + f"{classes} sentiments ({', '.join(sentiments)})"
        raise UserError(f"loss.alpha={alpha}: {' lists of '.join(map(str, weights.shape))} numbers for {needed}")
    return list(weights.tolist())


def _as_weights(alpha: object) -> Tensor:
    """C numbers or A lists of them as float64 [C] or [A, C]. Raises ValueError for others, negative or all 0."""
    try:
        weights = torch.tensor(alpha, dtype=torch.float64)
    except (TypeError, ValueError):
        weights = torch.empty(0)
    if weights.ndim not in (1, 2) or not weights.numel():
        raise ValueError(f"alpha={alpha}: expected numbers, one per sentiment, or such a list per aspect")
    if not (weights.isfinite() & (weights >= 0)).all() or not weights.any():
        raise ValueError(f"alpha={alpha}: expected finite numbers, none below 0 and at least one above")
    return weights
