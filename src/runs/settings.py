"""What runs were set to, and in what they differ."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

COPIES = ("trainer.callbacks", "trainer.logger")  # lists made from the groups `callbacks` and `logger`
# going on from a checkpoint or in other batches is no other model; runs of before 0.2 have data.cache
HARMLESS = ("ckpt_path", "data.eval_batch_size", "data.cache")
MOVED = re.compile(r"(callbacks\..+|trainer\.strategy)\._target_")  # modules move from one version to the next


def known_settings(summary: Mapping[str, Any]) -> dict[str, Any]:
    """A run's configuration as ``{"loss.gamma": 2.0, ...}``, with the hashes of its training and validation files.

    The run's own folder is written RUN, so that it is no difference.
    """
    config = summary["config"]
    folder = str(config.get("trainer", {}).get("default_root_dir") or "")
    flat = ((key, value) for key, value in _flat(config) if not key.startswith(COPIES + HARMLESS))
    settings = {key: _without(value, folder) for key, value in flat if not MOVED.fullmatch(key)}
    splits = summary["data"]["splits"]
    return settings | {f"{name} file": splits[name]["sha256"][:12] for name in ("train", "val") if name in splits}


def differing(runs: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """``{key: [value of each run]}`` for the settings that are not the same in all; None where a run has none.

    A setting that follows another of the same name, as ``data.seed`` follows ``seed``, is left out.
    """
    keys = dict.fromkeys(key for run in runs for key in run)
    values = {key: [run.get(key) for run in runs] for key in keys}
    values = {key: v for key, v in values.items() if any(x != v[0] for x in v)}
    return {
        k: v for k, v in values.items() if not any(k.endswith("." + other) and v == values[other] for other in values)
    }


def _flat(tree: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    leaves: list[tuple[str, Any]] = []
    for key, value in tree.items():
        nested = isinstance(value, Mapping)
        leaves += _flat(value, f"{prefix}{key}.") if nested else [(f"{prefix}{key}", value)]
    return leaves


def _without(value: Any, folder: str) -> Any:
    return value.replace(folder, "RUN") if folder and isinstance(value, str) else value
