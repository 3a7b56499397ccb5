"""The loss that a configuration names: its class weights, its making, and how it describes itself."""

import inspect
import logging
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from hydra.utils import instantiate
from torch import nn

from ..errors import UserError
from ..focal import FocalLoss, resolve_alpha
from ..labels import SENTIMENTS
from .targets import find_class

log = logging.getLogger(__name__)
Alpha = float | list[float] | list[list[float]] | None  # class weights in numbers


def loss_faults(settings: Mapping[str, Any], sentiments: Sequence[str] = SENTIMENTS) -> list[str]:
    """Faults of the group ``loss`` beside its arguments: a class that is no torch module, weights not readable."""
    made, alpha = find_class(settings.get("_target_")), settings.get("alpha")
    faults = []
    if not isinstance(made, str) and not (inspect.isclass(made) and issubclass(made, nn.Module)):
        faults.append(f"loss._target_={settings['_target_']}: expected a class of torch.nn.Module")
    rows = len(alpha) if isinstance(alpha, list) and alpha and isinstance(alpha[0], list) else 1
    try:  # the data's counts are not known yet; counts of 1 check the form alone
        alpha_of(settings, [[1] * len(sentiments)] * rows, sentiments)
    except UserError as error:
        faults += error.faults
    return faults


def takes_alpha(settings: Mapping[str, Any]) -> bool:
    """Whether the class that ``settings`` (group ``loss``) name has class weights, an argument ``alpha``."""
    made = find_class(settings.get("_target_"))
    return not isinstance(made, str) and "alpha" in inspect.signature(made).parameters


def is_focal(settings: Mapping[str, Any]) -> bool:
    """Whether ``settings`` name this project's focal loss or cross entropy, whose settings have known ranges."""
    made = find_class(settings.get("_target_"))
    return inspect.isclass(made) and issubclass(made, FocalLoss)


def alpha_of(settings: Mapping[str, Any], class_counts: Any, sentiments: Sequence[str] = SENTIMENTS) -> Alpha:
    """The setting ``loss.alpha`` in numbers, given the training split's counts int64 [A, C]; None for no weights.

    None too for a loss that takes no alpha. A single number is passed on to a loss that is not this project's, because
    torchvision's focal loss takes one. A sentiment that training lacks weighs 1, which is logged. Raises UserError as
    :func:`resolve_alpha` does.
    """
    alpha = settings.get("alpha")
    if not takes_alpha(settings):
        return None
    if isinstance(alpha, int | float) and not is_focal(settings):
        return alpha
    totals = np.asarray(class_counts).sum(0).tolist()
    if alpha in ("auto", "per_aspect") and 0 in totals:
        lacking = ", ".join(name for name, n in zip(sentiments, totals, strict=True) if not n)
        log.info(f"loss.alpha={alpha}: no training pair is {lacking}, so the weight of that class is 1")
    return resolve_alpha(alpha, class_counts, sentiments)


def with_alpha(settings: Mapping[str, Any], alpha: Alpha) -> dict[str, Any]:
    """The settings that the loss is made with: ``alpha`` in numbers where one is set and the loss takes it."""
    rest = {key: value for key, value in settings.items() if key != "alpha"}
    return rest | ({"alpha": alpha} if "alpha" in settings and takes_alpha(settings) else {})


def make_loss(settings: Mapping[str, Any], alpha: Alpha) -> nn.Module:
    """The loss of checked ``settings``, with class weights ``alpha`` of :func:`alpha_of`; warns if it ignores them."""
    if not takes_alpha(settings) and settings.get("alpha") not in (None, "null", "equal"):
        name = settings["_target_"].rpartition(".")[2]
        log.warning(f"{name} takes no class weights: loss.alpha={settings['alpha']} is ignored")
    loss: nn.Module = instantiate(with_alpha(settings, alpha))
    return loss


def description(loss: nn.Module, settings: Mapping[str, Any]) -> str:
    """``FocalLoss(gamma=2, alpha=[...])``, in the loss's own words (``extra_repr``), else by its settings."""
    own = loss.extra_repr() or ", ".join(f"{k}={v}" for k, v in settings.items() if k not in ("_target_", "alpha"))
    asked = settings.get("alpha")
    told = f", alpha {asked}" if isinstance(asked, str) and takes_alpha(settings) else ""
    return f"{type(loss).__name__}({' '.join(own.split())}){told}"


def loss_facts(settings: dict[str, Any], loss: nn.Module, alpha: Alpha) -> dict[str, Any]:
    """The loss for ``summary.json``: its settings, alpha in numbers and as configured, and its own description."""
    asked = {"alpha_setting": settings.get("alpha")} if takes_alpha(settings) else {}
    return {**with_alpha(settings, alpha), **asked, "description": description(loss, settings)}
