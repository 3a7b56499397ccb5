"""Lightning, without what a run does not use."""

import sys
from importlib import import_module
from types import ModuleType
from typing import Any

SIGNAL = "scipy.signal"


def import_lightning() -> None:
    """Import Lightning without ``scipy.signal``: half a second of the five that all imports of a run take.

    Lightning imports torchmetrics, which imports ``scipy.signal`` to give it ``hamming``, a name that it had long ago,
    where it lacks it. A module that has this name, and gets any other from the real one, stands in for it meanwhile.
    """
    if "lightning" in sys.modules or SIGNAL in sys.modules:
        return
    stand_in: Any = ModuleType(SIGNAL)

    def from_the_real_one(name: str) -> Any:
        if name.startswith("__") and name != "__path__":  # asked of every module by those who look through all of them
            raise AttributeError(name)
        if sys.modules.get(SIGNAL) is stand_in:
            del sys.modules[SIGNAL]
        return getattr(import_module(SIGNAL), name)

    stand_in.hamming, stand_in.__getattr__ = None, from_the_real_one
    sys.modules[SIGNAL] = stand_in
    try:
        import lightning.pytorch  # noqa: F401
    finally:
        if sys.modules.get(SIGNAL) is stand_in:
            del sys.modules[SIGNAL]
