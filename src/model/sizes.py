"""How large a model would be that a configuration describes, found out before it takes memory or time."""

import re
from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.nn.modules.module import register_module_parameter_registration_hook

MOST = 10**9  # of a number in a configuration
REPEATS = re.compile(r"layer(?!.?norm)|depth|repeat|block(?!.?size$)")  # names of numbers of equal parts in a row
MOST_REPEATS = 1_000
PARTS = 20_000  # weights, biases and the like of an encoder; XLM-R XXL has 800


def bytes_of(config: dict[str, Any], build: Callable[[], nn.Module]) -> int:
    """Bytes of the weights of the module that ``build`` makes of ``config``, counted without taking memory for them.

    Raises ValueError for a size beyond any encoder's, and whatever ``build`` raises. Building ends at PARTS parts,
    whatever the setting is called that repeats them.
    """
    check_numbers(config)
    parts = 0

    def count(module: nn.Module, name: str, weights: nn.Parameter) -> None:
        nonlocal parts
        parts += 1
        if parts > PARTS:
            raise ValueError(f"more than {PARTS:,} parts, and no encoder has so many")

    counting = register_module_parameter_registration_hook(count)
    try:
        with torch.device("meta"):
            return sum(t.numel() * t.element_size() for t in build().state_dict().values())
    finally:
        counting.remove()


def check_numbers(value: Any, name: str = "", depth: int = 0) -> None:
    """Raise ValueError for a number beyond any encoder's, at any depth and in lists; ``name`` is the setting's."""
    if isinstance(value, dict | list | tuple):
        if depth > 20:
            raise ValueError("settings within settings without end")
        named = value.items() if isinstance(value, dict) else ((name, item) for item in value)
        for key, item in named:
            check_numbers(item, str(key), depth + 1)
    elif isinstance(value, int) and abs(value) > (most := MOST_REPEATS if REPEATS.search(name) else MOST):
        raise ValueError(f"{name[:60]} is beyond any encoder's: {most:,} at most")
