"""The package: ``src`` in a checkout, ``visobert_absa`` where it is installed; both names give the same modules.

What other people's programs may import from it stands in ``PUBLIC`` (docs/python.md has examples). These names and
their arguments stay; all else may change. A name is imported when it is first used, so that ``import visobert_absa``
takes no time and ``load`` no torch.

An installed top-level ``src`` would collide with every other project's ``src``, so a wheel holds this folder as
``visobert_absa``. In a checkout the programs, their YAML files and a user's own code import ``src``, which needs no
install and which mypy and editors follow. With an editable install a process can import both names: the finder below
then gives the second name the modules that were imported under the first, so that no class and no lock exists twice.
Imports within the package are relative.
"""

import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import find_spec, spec_from_loader
from os.path import realpath
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .answers.predictor import Predictor
    from .errors import UserError
    from .focal import FocalLoss, focal_loss
    from .ship.predictor import load

PUBLIC = {  # a name, and the module that defines it
    "load": "ship.predictor",
    "Predictor": "answers.predictor",
    "focal_loss": "focal",  # brings torch, as the next does
    "FocalLoss": "focal",
    "UserError": "errors",
}
__all__ = ["FocalLoss", "Predictor", "UserError", "focal_loss", "load"]


class SecondName(MetaPathFinder, Loader):
    """Imports ``second.x`` as the module ``first.x``; ``first`` is this package's own name."""

    def __init__(self, first: str, second: str) -> None:
        self.first, self.second = first, second

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """The spec of a module of this package; None for other packages, and for another project's ``src``."""
        top, dot, below = name.partition(".")
        if top != self.second or (dot and sys.modules.get(top) is not sys.modules[self.first]):
            return None
        if name == "src" and self._elsewhere(name):
            return None
        own = find_spec(self.first + dot + below)
        return own and spec_from_loader(name, self, is_package=own.submodule_search_locations is not None)

    def _elsewhere(self, name: str) -> bool:
        """Whether an import without this finder would find another project's package of that name."""
        found = (finder.find_spec(name, None) for finder in sys.meta_path if finder is not self)
        spec = next((spec for spec in found if spec is not None), None)
        return spec is not None and realpath(spec.origin or "") != realpath(__file__)

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        module = import_module(self.first + spec.name[len(self.second) :])
        spec.loader_state = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        assert module.__spec__ is not None
        module.__spec__ = module.__spec__.loader_state  # importlib has put the second name's spec there


_second = "visobert_absa" if __name__ == "src" else "src"
if _second not in sys.modules:  # else the second name is another copy, such as an older wheel's
    sys.meta_path.insert(0, SecondName(__name__, _second))


def __getattr__(name: str) -> Any:
    if name not in PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = globals()[name] = getattr(import_module(f".{PUBLIC[name]}", __name__), name)
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *PUBLIC})
