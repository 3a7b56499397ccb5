"""Which classes a configuration may name, and which values fit their annotations.

It may name classes that this project, torch and Lightning define, not those that they import.

A configuration may come from a stranger, and Hydra calls the classes that it names with the arguments that it gives.
Only the parts of torch and Lightning that a training is made of are allowed: other parts have classes that start
programs.

The environment variable ABSA_TARGETS lets in modules of the user's own, names with commas between. No file can set it,
because only the user can decide to trust a module.
"""

import importlib
import inspect
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from hydra.core.hydra_config import HydraConfig

from ..errors import UserError

OWN = "ABSA_TARGETS"
ALLOWED = ("src", "visobert_absa", "torch.nn", "torch.optim", "lightning.pytorch")
# all else that may be named is a class
ALLOWED_FUNCTIONS = ("src.training.devices.ddp", "visobert_absa.training.devices.ddp")
TARGET = "_target_"


def target_faults(config: object, key: str = "", allowed: tuple[str, ...] = ALLOWED) -> list[str]:
    """Faults of the targets anywhere in a configuration, one line for each that may not be called.

    Raises UserError as :func:`own_modules` does.
    """
    return [
        f"{place}={name}: {found}"
        for place, name in _targets(config, key)
        if isinstance(found := find_class(name, allowed), str)
    ]


def own_modules() -> tuple[str, ...]:
    """The modules in ABSA_TARGETS. Raises UserError if a file set the variable, which Hydra's job.env_set can do."""
    names = tuple(name for part in os.environ.get(OWN, "").split(",") if (name := part.strip()))
    if names and HydraConfig.initialized() and OWN in HydraConfig.get().job.env_set:
        raise UserError(
            f"hydra.job.env_set.{OWN}: refused: this variable is set where the command is typed, in no file"
        )
    return names


def find_class(name: object, allowed: tuple[str, ...] = ALLOWED) -> Any:
    """The class of the full name ``name``, or a str that says why not. A name that is not allowed is never imported.

    The class must also be defined in an allowed package: ``torch.os.system`` begins with torch but is os's. The user's
    own modules are looked for in the working directory too. Raises UserError as :func:`own_modules` does.
    """
    if not isinstance(name, str) or not all(part.isidentifier() for part in name.split(".")) or "." not in name:
        return "expected the full name of a class"
    own = own_modules()
    allowed = (*allowed, *own)
    if not _within(name, allowed):
        known = f"{', '.join(allowed[:-1])} and {allowed[-1]}"
        return f"refused: a configuration may name classes of {known} alone{_how_to_let_in(name)}"
    if _within(name, own) and str(Path.cwd()) not in sys.path:
        sys.path.append(str(Path.cwd()))  # last, so that no file here shadows an installed module
    module, _, last = name.rpartition(".")
    try:
        made = getattr(importlib.import_module(module), last)
    except (ImportError, AttributeError) as error:
        return f"cannot be imported ({error})"
    if not (inspect.isclass(made) or name in ALLOWED_FUNCTIONS) or not _within(made.__module__, allowed):
        return f"refused: this is no class that {name.split('.')[0]} defines"
    return made


# --- annotations -----------------------------------------------------------------------------------------------------


def hints(made: Any) -> dict[str, Any]:
    """The annotations of a class's constructor or of a function; none where they cannot be resolved."""
    try:
        return get_type_hints(made.__init__ if inspect.isclass(made) else made)
    except (NameError, TypeError):  # a library's annotations that cannot be resolved are not checked
        return {}


def fits(value: object, hint: Any) -> bool:
    """Whether a plain value may be passed where ``hint`` is declared; what cannot be judged passes."""
    origin = get_origin(hint)
    if origin in (Union, UnionType):
        return any(fits(value, option) for option in get_args(hint))
    if origin is Literal:
        return value in get_args(hint)
    if hint is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    if hint in (bool, str):
        return isinstance(value, hint)
    if hint is type(None):
        return value is None
    if inspect.isclass(origin) and issubclass(origin, Sequence):
        return isinstance(value, list | tuple)
    return True


def words(hint: Any) -> str:
    """An annotation as a user reads it."""
    if get_origin(hint) in (Union, UnionType):
        return " or ".join(dict.fromkeys(words(option) for option in get_args(hint)))
    if get_origin(hint) is Literal:
        return ", ".join(map(str, get_args(hint)))
    plain = {int: "an integer", float: "a number", bool: "true or false", str: "text", type(None): "null"}
    return plain.get(hint, "a list" if get_origin(hint) else str(hint))


def as_yaml(value: object) -> str:
    """A value as it stands in a YAML file."""
    return "null" if value is None else str(value)


def _how_to_let_in(name: str) -> str:
    """What to type to let in a module that lies in the working directory or beside the programs; else empty."""
    module, here = name.split(".")[0], Path.cwd()
    if not any((place / f"{module}.py").is_file() for place in (here, Path(__file__).parents[2])):
        return ""
    return f"; if you trust {module}.py, set {OWN}={module} in the environment"


def _within(name: str, packages: tuple[str, ...]) -> bool:
    return any(name == package or name.startswith(f"{package}.") for package in packages)


def _targets(value: object, key: str) -> Iterator[tuple[str, object]]:
    if isinstance(value, dict):
        if TARGET in value:
            yield f"{key}{TARGET}", value[TARGET]
        for name, part in value.items():
            yield from _targets(part, f"{key}{name}.")
    elif isinstance(value, list):
        for i, part in enumerate(value):
            yield from _targets(part, f"{key}{i}.")
