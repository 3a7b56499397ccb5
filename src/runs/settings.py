"""The settings of runs and how they differ: every comparison of settings is made here.

A checkpoint holds the settings that its run began with (:func:`shared`), ``summary.json`` those of a finished run.
"""

import re
from collections.abc import Mapping, Sequence
from reprlib import Repr
from typing import Any

from ..labels import SENTIMENTS

COPIES = ("trainer.callbacks", "trainer.logger")  # lists made from the groups `callbacks` and `logger`
# these change no model: where a run resumes, how it is evaluated; data.cache is in runs of before 0.2 only
HARMLESS = ("ckpt_path", "data.eval_batch_size", "data.cache")
MOVED = re.compile(r"(callbacks\..+|trainer\.strategy)\._target_")  # classes move from one version to the next
OURS = re.compile(r"(?:src|visobert_absa)\..*\.(\w+)")  # a class of this project, whichever module holds it
# a run can go on from another one only if both share SHARED; below these keys, FREE may still differ
SHARED = (
    "data",
    "task",
    "model",
    "loss",
    "pretraining",
    "seed",
    "init_from",
    "teacher",
    "trainer.accumulate_grad_batches",
    "trainer.devices",
    "trainer.strategy",
    "trainer.limit_train_batches",
)
WHOLE = "data.values"  # a mapping that is one setting
FREE = ("data.test", "model.compile")
# settings that earlier runs do not have, and what they were then in effect
ADDED = {"data.sentiments": list(SENTIMENTS), "data.unlabelled": "keep", "trainer.num_nodes": 1}
ADDED |= {"model.teacher_weight": 0.5, "model.teacher_temperature": 2.0, "model.rare_aspects": 0.0}
NOISE = ("stripped", "partly", "typing", "telex", "teencode", "stretched", "emoji", "tones")
ADDED |= {f"data.noise.{kind}": 0.0 for kind in NOISE}
MOST_TOLD = 10  # differences in words


def known_settings(summary: Mapping[str, Any]) -> dict[str, Any]:
    """A run's configuration as ``{"loss.gamma": 2.0, ...}``, with the hashes of its training and validation files.

    The run's own folder is replaced by RUN, so that two runs do not differ in it.
    """
    config = summary["config"]
    folder = str(config.get("trainer", {}).get("default_root_dir") or "")
    settings = {key: _without(value, folder) for key, value in _flat(config).items() if not _harmless(key)}
    splits = summary["data"]["splits"]
    files = {f"{name} file": splits[name]["sha256"][:12] for name in ("train", "val") if name in splits}
    return {"thresholds": "tuned"} | settings | _of_encoder(summary.get("encoder", {})) | files


def _of_encoder(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Which encoder, under the settings that name it, and a hash of its weights if they were pre-trained."""
    given = dict(facts.get("settings") or {"encoder": facts.get("name"), "pretrained": facts.get("pretrained")})
    given.pop("compile", None)  # changes no model
    if given.get("pretrained"):
        given.pop("size", None)  # is what it is
    known = {f"model.{key}": value for key, value in _flat(given).items() if value is not None}
    return known | ({"encoder content": facts["sha256"]} if facts.get("sha256") else {})


def shared(config: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a configuration, ``{"loss.gamma": 2.0, ...}``, that a run must share to go on from another one.

    Plain values, as a checkpoint may hold them. ``config`` should keep ``${...}`` unresolved, as what it resolves to
    may differ between equal settings.
    """
    within = tuple(f"{name}." for name in SHARED)
    flat = {k: v for k, v in _flat(config).items() if k in SHARED or k.startswith(within)}
    return {k: v for k, v in flat.items() if not _harmless(k) and not k.startswith(FREE)}


def differing(runs: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """``{key: [value of each run]}`` for the settings that are not the same in all; None where a run has none.

    Settings may be nested. Classes of this project are the same wherever they have moved to. A setting that follows
    another of the same name, as ``data.seed`` follows ``seed``, is left out.
    """
    values = dict(_differing(runs, ""))
    return {
        k: v for k, v in values.items() if not any(k.endswith("." + other) and v == values[other] for other in values)
    }


def differences(was: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """The differences between earlier settings and those given now, in words: MOST_TOLD of them, then their number.

    Number and length are bounded, because a file from elsewhere may hold any number of keys and lists of any length.
    """
    found = [f"{short(key)} was {short(a)}, is {short(b)}" for key, (a, b) in differing([was, now]).items()]
    more = [f"and {len(found) - MOST_TOLD:,} more settings differ"] * (len(found) > MOST_TOLD)
    return found[:MOST_TOLD] + more


def short(value: object) -> str:
    """A value on one line of at most 80 characters, however long or deep it is."""
    shorten = Repr()
    shorten.maxstring = shorten.maxother = 80
    text = str(value) if isinstance(value, str | int | float | Exception) else shorten.repr(value)
    return text.split("\n")[0][:80]


def _differing(trees: Sequence[Mapping[str, Any]], above: str) -> list[tuple[str, list[Any]]]:
    """The leaves that differ. A key is entered only if all trees have a tree there: the shallowest sets the depth."""
    found: list[tuple[str, list[Any]]] = []
    for name in dict.fromkeys(name for tree in trees for name in tree):
        key = f"{above}{name}"
        values: list[Any] = [tree.get(name, ADDED.get(key)) for tree in trees]
        if all(isinstance(value, Mapping) for value in values) and key != WHOLE:
            found += _differing(values, f"{key}.")
        elif any(_plain(value) != _plain(values[0]) for value in values[1:]):
            found.append((key, values))
    return found


def _plain(value: object) -> object:
    """The value to compare: a class of this project by its name alone, because classes move between modules."""
    if isinstance(value, Mapping):
        return {str(key): item for key, item in value.items()}  # JSON has no numbers as keys
    ours = OURS.fullmatch(value) if isinstance(value, str) else None
    return ours[1] if ours else value


def _harmless(key: str) -> bool:
    return key.startswith(COPIES + HARMLESS) or MOVED.fullmatch(key) is not None


def _flat(tree: Mapping[str, Any], above: str = "") -> dict[str, Any]:
    leaves: dict[str, Any] = {}
    for key, value in tree.items():
        within = isinstance(value, Mapping) and f"{above}{key}" != WHOLE
        leaves |= _flat(value, f"{above}{key}.") if within else {f"{above}{key}": value}
    return leaves


def _without(value: object, folder: str) -> object:
    return value.replace(folder, "RUN") if folder and isinstance(value, str) else value
