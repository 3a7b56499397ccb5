"""Run a program's job from Python, as in a notebook, instead of from the command line.

The job finds the same as on the command line: Hydra's configuration, the run's folder with ``.hydra/`` and the log, and
the overrides in ``sys.argv``, from which resume commands are printed and the other processes of ddp are started.
Afterwards all of it is restored, so that the next call in the same process starts clean.
"""

import gc
import logging
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from ..errors import UserError
from ..runs.folder import alone_in
from ..runs.overrides import as_typed, explained
from ..spelling import override

STOPPED = 130  # the exit status of a job that was interrupted, or ended by SIGTERM, and has saved where it was


class Stopped(KeyboardInterrupt):
    """A job was interrupted and has saved a checkpoint. The message is the call that goes on from it."""

    def _render_traceback_(self) -> list[str]:
        return [str(self)]  # IPython shows this in place of a traceback


def call(job: Callable[[DictConfig], Any], overrides: Sequence[str], program: Path) -> Path:
    """Run the ``job`` of ``program`` with ``overrides`` as on its command line; return the run's folder.

    Raises UserError for a user's mistake, :class:`Stopped` if an interrupt or SIGTERM left a checkpoint to go on from,
    and whatever else the job raises.
    """
    if isinstance(overrides, str) or not all(isinstance(o, str) for o in overrides):
        raise UserError(f"expected a list of overrides, such as ['loss=focal', 'seed=1'], got {overrides!r}")
    if options := [o for o in overrides if o.startswith("-")]:
        raise UserError(f"{' '.join(options)}: only the command line has options; a call from Python takes key=value")
    overrides = as_typed(overrides)
    folders: list[Path] = []  # holds the job's folder once the job has begun

    def told(config: DictConfig) -> UserError | None:
        folders.append(Path(HydraConfig.get().runtime.output_dir))
        try:
            with alone_in(folders[0], config):
                job(config)
        except UserError as error:
            return type(error)(error.faults)  # a new error: a notebook keeps the objects in the last traceback
        return None

    conf = str(program.parent / "conf")
    with _typed(program, overrides), _logging(), initialize_config_dir(conf, program.stem, version_base="1.3"):
        hydra: Any = GlobalHydra.instance().hydra
        try:
            wrong = hydra.run("config", told, [*overrides, "hydra.mode=RUN"]).return_value
        except (SystemExit, KeyboardInterrupt) as end:
            wrong = _reason(end, overrides, folders)
        except (HydraException, OmegaConfBaseException) as error:
            if folders:
                raise
            wrong = UserError(explained(error, "config", overrides))
    gc.collect()  # the trainer and its progress bar, which are reference cycles
    if wrong is not None:
        raise wrong
    return folders[0]


def _reason(end: Any, overrides: Sequence[str], folders: Sequence[Path]) -> BaseException:
    """The exception to raise where the command line would end with a status: a mistake, or how to go on."""
    why = end.__context__ if isinstance(end, SystemExit) else end
    if isinstance(why, UserError):
        return type(why)(why.faults)
    if not isinstance(why, KeyboardInterrupt) and end.code != STOPPED:
        return RuntimeError(f"the job ended with status {end.code}")
    if not folders or not (folders[0] / "checkpoints" / "last.ckpt").exists():
        return KeyboardInterrupt("stopped before there was anything to save")
    kept = [o for o in overrides if not o.startswith(("ckpt_path=", "hydra.run.dir="))]
    again = [*kept, override("hydra.run.dir", str(folders[0])), "ckpt_path=last"]
    return Stopped(f"Stopped; {folders[0]} holds what was saved. To go on: train({again!r})")


@contextmanager
def _typed(program: Path, overrides: Sequence[str]) -> Iterator[None]:
    before = sys.argv
    sys.argv = [str(program), *overrides]
    try:
        yield
    finally:
        sys.argv = before


@contextmanager
def _logging() -> Iterator[None]:
    """Remove Hydra's log handlers afterwards, so that later lines do not go into the run's ``train.log``."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    try:
        yield
    finally:
        for handler in root.handlers:
            if handler not in handlers:
                handler.close()
        root.handlers[:] = handlers
        root.setLevel(level)
