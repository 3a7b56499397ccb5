"""The protocols under which figures on UIT-ViSFD were published, so that this project's can be compared with them."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..answers.figures import Counts, f1, ratio
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

    Macro figures are means over classes, the F1 too; a class with neither gold nor prediction counts 0, as in
    scikit-learn with ``zero_division=0``. Pairs are those of aspects that carry sentiments.
    """
    kept = np.array([a not in protocol.without for a in labels.aspects])
    pairs = kept & np.array(labels.carries_sentiment)
    gold_pairs = counts.confusion.sum(-1)  # [A, C]
    sets = {
        "aspect": [x[..., kept] for x in (counts.mentioned_hit, counts.mentioned_said, counts.mentioned_gold)],
        "pair": [x[..., pairs, :].reshape(*x.shape[:-2], -1) for x in (counts.pair_hit, counts.pair_said, gold_pairs)],
    }
    values = {}
    for name, (hit, said, gold) in sets.items():
        if protocol.average == "micro":
            hit, said, gold = hit.sum(-1, keepdims=True), said.sum(-1, keepdims=True), gold.sum(-1, keepdims=True)
        values[f"{name}_precision"] = ratio(hit, said).mean(-1)
        values[f"{name}_recall"] = ratio(hit, gold).mean(-1)
        values[f"{name}_f1"] = f1(hit, said, gold).mean(-1)
    return values
