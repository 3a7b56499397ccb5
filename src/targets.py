"""Which classes a configuration may name: this project's, torch's and Lightning's own, and nothing they import.

A configuration may come from elsewhere, and what it names is called with the arguments that it gives.
"""

import importlib
import inspect
from collections.abc import Iterator
from typing import Any

ALLOWED = ("src", "torch", "lightning")
FUNCTIONS = ("src.devices.ddp", "src.devices.fsdp")  # all else that may be named is a class
TARGET = "_target_"


def target_faults(config: Any, key: str = "") -> list[str]:
    """What is wrong with the names anywhere in a configuration: one line for each that may not be called."""
    return [
        f"{place}={name}: {found}"
        for place, name in _targets(config, key)
        if isinstance(found := find_class(name), str)
    ]


def find_class(name: Any) -> Any:
    """The class of that full name, or why not, as str. What is not allowed is not imported to find out.

    ``torch.os.system`` begins with torch and is not torch's: a class must have been defined where it is allowed too.
    """
    if not isinstance(name, str) or not all(part.isidentifier() for part in name.split(".")) or "." not in name:
        return "expected the full name of a class"
    if name.split(".")[0] not in ALLOWED:
        return f"refused: a configuration may name classes of {', '.join(ALLOWED[:-1])} and {ALLOWED[-1]} alone"
    module, _, last = name.rpartition(".")
    try:
        made = getattr(importlib.import_module(module), last)
    except (ImportError, AttributeError) as error:
        return f"cannot be imported ({error})"
    if not (inspect.isclass(made) or name in FUNCTIONS) or made.__module__.split(".")[0] not in ALLOWED:
        return f"refused: this is no class that {name.split('.')[0]} defines"
    return made


def _targets(value: Any, key: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        if TARGET in value:
            yield f"{key}{TARGET}", value[TARGET]
        for name, part in value.items():
            yield from _targets(part, f"{key}{name}.")
    elif isinstance(value, list):
        for i, part in enumerate(value):
            yield from _targets(part, f"{key}{i}.")
