"""The protocols under which figures on UIT-ViSFD were published, so that this project's can be compared with them."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..answers.figures import Counts, f1, mean_where, ratio
from ..errors import UserError, did_you_mean, listed, quoted
from ..labels import Labels

VISFD = frozenset(
    [
        "SCREEN",
        "CAMERA",
        "FEATURES",
        "BATTERY",
        "PERFORMANCE",
        "STORAGE",
        "DESIGN",
        "PRICE",
        "GENERAL",
        "SER&ACC",
        "OTHERS",
    ],
)


@dataclass(frozen=True)
class Protocol:
    """How figures are averaged, over which aspects, and who published them. ``published`` holds F1 by figure."""

    words: str
    without: frozenset[str] = frozenset()  # aspects that are left out
    average: str = "micro"
    published: dict[str, float] = field(default_factory=dict)
    source: str = ""


PROTOCOLS = {
    "visfd-paper": Protocol(
        "macro over the 11 aspects, and over the (aspect, sentiment) classes",
        average="macro",
        published={"aspect_f1": 0.8448, "pair_f1": 0.6306},
        source="Bi-LSTM with fastText, Luc Phan et al. 2021",
    ),
    "visfd-9": Protocol("micro over 9 aspects, without GENERAL and OTHERS", without=frozenset({"GENERAL", "OTHERS"})),
}


def protocol_named(name: str, labels: Labels) -> Protocol:
    """The protocol ``name``. Raises UserError if there is none, or if the aspects are not UIT-ViSFD's."""
    if name not in PROTOCOLS:
        raise UserError(
            f"--protocol {quoted(name)} is not one of {listed(tuple(PROTOCOLS))}{did_you_mean(name, tuple(PROTOCOLS))}"
        )
    if not is_visfd(labels):
        raise UserError(
            f"--protocol {name} is for UIT-ViSFD's {len(VISFD)} aspects; these are {listed(labels.aspects)}"
        )
    return PROTOCOLS[name]


def is_visfd(labels: Labels) -> bool:
    """Whether these are the aspects of UIT-ViSFD, which all protocols are for."""
    return set(labels.aspects) == VISFD


def protocol_figures(counts: Counts, labels: Labels, protocol: Protocol) -> dict[str, Any]:
    """``aspect_*`` and ``pair_*`` precision, recall and F1 (float, or [draws]) with **detected** aspects.

    Macro figures are means over the classes that occur in gold or prediction, the F1 too, as in scikit-learn with
    ``zero_division=0``. Pairs are those of aspects that carry sentiments.
    """
    values = {}
    for name, (hit, said, gold) in _classes(counts, labels, protocol).items():
        if protocol.average == "micro":
            hit, said, gold = hit.sum(-1, keepdims=True), said.sum(-1, keepdims=True), gold.sum(-1, keepdims=True)
        occurs = said + gold > 0
        values[f"{name}_precision"] = mean_where(ratio(hit, said), occurs)
        values[f"{name}_recall"] = mean_where(ratio(hit, gold), occurs)
        values[f"{name}_f1"] = mean_where(f1(hit, said, gold), occurs)
    return values


def protocol_left_out(counts: Counts, labels: Labels, protocol: Protocol) -> dict[str, list[str]]:
    """Macro figure -> the aspects, or aspects with a sentiment, that do not occur. ``counts`` come without draws."""
    if protocol.average == "micro":
        return {}
    kept = [a for a in labels.aspects if a not in protocol.without]
    names = {
        "aspect_f1": kept,
        "pair_f1": [f"{a} {c}" for a in kept if a not in labels.without_sentiment for c in labels.sentiments],
    }
    named = {}
    for name, (_, said, gold) in _classes(counts, labels, protocol).items():
        occurs = said + gold > 0
        named[f"{name}_f1"] = [one for one, here in zip(names[f"{name}_f1"], occurs, strict=True) if not here]
    return {figure: missing for figure, missing in named.items() if missing}


def _classes(counts: Counts, labels: Labels, protocol: Protocol) -> dict[str, list[Any]]:
    """What is averaged over, ``aspect`` and ``pair``: hits, predictions and gold of each class, [..., classes]."""
    kept = np.array([a not in protocol.without for a in labels.aspects])
    pairs = kept & np.array(labels.carries_sentiment)
    gold_pairs = counts.confusion.sum(-1)  # [A, C]
    return {
        "aspect": [x[..., kept] for x in (counts.mentioned_hit, counts.mentioned_said, counts.mentioned_gold)],
        "pair": [x[..., pairs, :].reshape(*x.shape[:-2], -1) for x in (counts.pair_hit, counts.pair_said, gold_pairs)],
    }
