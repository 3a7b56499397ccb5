"""Cross entropy over the sentiments, with the interface of FocalLoss, and the losses that detect aspects."""

import logging
import math
from collections.abc import Callable
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from .focal import FocalLoss, focal_term
from .labels import IGNORE

log = logging.getLogger(__name__)


class CrossEntropyLoss(FocalLoss):
    """Cross entropy, which is focal loss with gamma 0: same settings, shapes and errors as FocalLoss.

    Equals ``torch.nn.CrossEntropyLoss``, with weight=alpha and normalization="weight" where there are class weights,
    label smoothing included; unlike it, it is 0 and not NaN when all targets are ignored, takes one alpha per aspect,
    and by default divides by the number of targets (``valid``). ``gamma`` is there for sweeps over both losses
    (``loss=focal,ce loss.gamma=0,2``): it changes nothing, and a warning says so when it is not 0.
    """

    def __init__(
        self,
        *,
        gamma: float = 0.0,
        alpha: list[float] | list[list[float]] | None = None,
        normalization: Literal["valid", "weight"] = "valid",
        label_smoothing: float = 0.0,
        ignore_index: int = IGNORE,
    ) -> None:
        if gamma != 0:
            log.warning("Cross entropy has no gamma: loss.gamma=%s is ignored", gamma)
        super().__init__(
            gamma=0.0,
            alpha=alpha,
            normalization=normalization,
            label_smoothing=label_smoothing,
            ignore_index=ignore_index,
        )

    def extra_repr(self) -> str:
        return ", ".join(self._beside_gamma())


def binary_cross_entropy(logits: Tensor, targets: Tensor, *, weight: Tensor | None = None) -> Tensor:
    """Mean of ``-log p_t``, p the sigmoid of the logit: logits float [B, A], targets 0 or 1 [B, A] -> scalar.

    ``weight`` [B, A] multiplies each term of the mean. 16-bit logits are computed, and returned, in float32. Raises
    ValueError for shapes that differ or integer logits.
    """
    return F.binary_cross_entropy_with_logits(*_prepared(logits, targets), weight=weight)


def binary_focal_loss(
    logits: Tensor,
    targets: Tensor,
    *,
    gamma: float = 2.0,
    alpha: float | None = None,
    weight: Tensor | None = None,
) -> Tensor:
    """Mean of ``-alpha_t (1 - p_t)^gamma log p_t``, p the sigmoid of the logit (Lin et al. 2017, eq. 5).

    Shapes, dtypes, ``weight`` and errors as in ``binary_cross_entropy``. alpha_t is ``alpha`` for a 1 and ``1 - alpha``
    for a 0, as in torchvision's ``sigmoid_focal_loss``; None means all alike. Raises ValueError for gamma or alpha out
    of range.
    """
    _check_range(math.inf, gamma=gamma)
    z, y = _prepared(logits, targets)
    loss = focal_term(z * (2 * y - 1), gamma)  # p_t = sigmoid(z) for a 1, sigmoid(-z) for a 0
    if alpha is not None:
        _check_range(1, alpha=alpha)
        loss = loss * (alpha * y + (1 - alpha) * (1 - y))
    return (loss if weight is None else loss * weight).mean()


def asymmetric_loss(
    logits: Tensor,
    targets: Tensor,
    *,
    gamma_positive: float = 1.0,
    gamma_negative: float = 4.0,
    margin: float = 0.05,
    weight: Tensor | None = None,
) -> Tensor:
    """Focal loss that spares easy negatives more than positives (Ridnik et al. 2021, https://arxiv.org/abs/2009.14119).

    Mean of ``-(1 - p)^gamma_positive log p`` for a 1 and ``-p_m^gamma_negative log(1 - p_m)`` for a 0, where p is the
    sigmoid of the logit and ``p_m = max(p - margin, 0)``: negatives below the margin cost nothing. Gradients flow
    through both factors. Shapes, dtypes, ``weight`` and errors as in ``binary_cross_entropy``; defaults as in the
    authors' code.
    """
    _check_range(math.inf, gamma_positive=gamma_positive, gamma_negative=gamma_negative)
    _check_range(1, margin=margin)
    z, y = _prepared(logits, targets)
    if margin == 0:
        negative = focal_term(-z, gamma_negative)  # 1 - p can round to 0
    else:  # p_m stays above 0, where the slope of x ** gamma is infinite for gamma < 1
        p = (z.sigmoid() - margin).clamp_min(torch.finfo(z.dtype).tiny)
        negative = -(p**gamma_negative) * torch.log1p(-p)
    loss = torch.where(y > 0, focal_term(z, gamma_positive), negative)
    return (loss if weight is None else loss * weight).mean()


def rare_weights(shares: Tensor, power: float) -> Tensor:
    """How much a mention of each aspect counts: (mean share / its share) ^ ``power``, from 1 to :data:`HEAVIEST`.

    ``shares`` float [A]: which share of the reviews mentions each aspect; an aspect that none mentions has weight 1.
    Returns float32 [A]. ``power`` 1 is the inverse frequency, 0.5 its root (as Mahajan et al. 2018 sample rare labels).
    """
    weights = (shares.mean() / shares) ** power
    return torch.where(shares > 0, weights, 1.0).clamp(1.0, HEAVIEST).float()


HEAVIEST = 10.0  # a mention's weight: with more, single reviews of an aspect that has ten would steer the encoder
DETECTION_LOSSES: dict[str, Callable[..., Tensor]] = {
    "bce": binary_cross_entropy,
    "focal": binary_focal_loss,
    "asymmetric": asymmetric_loss,
}


def _prepared(logits: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Both tensors in the dtype of the computation: 16-bit floats as float32, float64 as it is."""
    if not logits.is_floating_point() or logits.shape != targets.shape:
        given = f"logits are {logits.dtype} {tuple(logits.shape)}, targets have shape {tuple(targets.shape)}"
        raise ValueError(f"{given}: expected floats and equal shapes")
    dtype = torch.promote_types(logits.dtype, torch.float32)
    return logits.to(dtype), targets.to(dtype)


def _check_range(end: float, **settings: float) -> None:
    for name, value in settings.items():
        if not 0 <= value <= end or value == math.inf:
            raise ValueError(f"{name}={value}: expected a finite number from 0 to {end}")


def divergence(one: dict[str, Tensor], other: dict[str, Tensor], labelled: Tensor) -> Tensor:
    """R-Drop's symmetric Kullback-Leibler divergence of two outputs for the same reviews: a float32 scalar, in nats.

    ``one`` and ``other`` hold float logits: ``sentiment`` [B, A, C], averaged over the ``labelled`` pairs (bool
    [B, A]), plus, where the key is there, ``mentioned`` [B, A], averaged over all. (KL(p, q) + KL(q, p)) / 2 is half
    the sum of (p - q)(log p - log q). Liang et al. 2021, equation 2.
    """
    p, q = (x["sentiment"].float().log_softmax(-1) for x in (one, other))
    apart = ((p.exp() - q.exp()) * (p - q)).sum(-1) / 2
    total = torch.where(labelled, apart, 0.0).sum() / labelled.sum().clamp(min=1)
    if "mentioned" in one:
        a, b = one["mentioned"].float(), other["mentioned"].float()
        total = total + ((a.sigmoid() - b.sigmoid()) * (a - b)).mean() / 2  # a - b sums both classes
    return total


def distillation(
    logits: dict[str, Tensor], teacher: dict[str, Tensor], pairs: Tensor, temperature: float = 2.0
) -> dict[str, Tensor]:
    """How far the teacher's distributions are from the student's, a float32 scalar in nats for each head.

    Both dicts hold float logits: ``sentiment`` [B, A, C] and, for task ``absa``, ``mentioned`` [B, A]. With ``t`` the
    temperature, the term of a pair is ``t^2 KL(softmax(teacher / t), softmax(logits / t))`` (Hinton et al. 2015,
    section 2: t^2 keeps the gradients at the size of those of the labels). ``sentiment`` sums it weighted by ``pairs``,
    float [B, A] in [0, 1], and divides by the sum of the weights, 1 at the least; ``mentioned`` is the mean over all
    aspects of the same divergence of the two sigmoids. No gradient reaches the teacher.
    """
    teacher = {head: given.detach() for head, given in teacher.items()}
    counted = (pairs > 0).unsqueeze(-1)  # what a pair that does not count holds, even NaN, reaches no gradient
    q, p = (
        torch.where(counted, of["sentiment"].float() / temperature, 0.0).log_softmax(-1) for of in (teacher, logits)
    )
    apart = (q.exp() * (q - p)).sum(-1) * pairs
    losses = {"sentiment": temperature**2 * apart.sum() / pairs.sum().clamp(min=1)}
    if "mentioned" in logits:
        y, z = (of["mentioned"].float() / temperature for of in (teacher, logits))
        share = y.sigmoid()
        apart = share * (F.logsigmoid(y) - F.logsigmoid(z)) + (1 - share) * (F.logsigmoid(-y) - F.logsigmoid(-z))
        losses["mentioned"] = temperature**2 * apart.mean()
    return losses
