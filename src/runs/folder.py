"""A run's folder before anything is written into it: free of other runs, writable, with room for the checkpoints."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf

from ..errors import NoRoom, UserError, refuse
from ..spelling import override, pasted
from .machine import Lock, Taken, free_space, is_full, largest_file, write_whole

CHECKPOINTS = ("best.ckpt", "last.ckpt", "previous.ckpt")  # and one more while it is written
RUN_FILES = ("summary.json", "checkpoints/last.ckpt", "checkpoints/previous.ckpt")
SETTINGS = ".hydra"  # as Hydra calls it
USES = {  # by the setting that names a folder: what it is for, and what shows that it has been used for that
    "hydra.run.dir": ("a run", RUN_FILES),
    "hydra.sweep.dir": ("a sweep", ("multirun.yaml",)),
    "sweep.dir": ("a search", ("study.db",)),
}
OTHER_FILES = 20_000_000  # bytes for predictions, metrics and the log
FIRST_FILES = 1_000_000  # bytes for settings, a lock and a study, which are written before check_room knows the model
_held: dict[Path, Lock] = {}  # locks of this process


class OneRunAFolder(Callback):
    """Hydra's hook before it makes the folder, so that a run that may not write there leaves no settings there."""

    def on_run_start(self, config: DictConfig, **kwargs: object) -> None:
        """Ends the process with status 2 and one message where the folder is another run's or cannot be written."""
        folder = Path(str(config.hydra.run.dir))
        try:
            if is_first_process():
                claim(folder, fresh=not goes_on(config.ckpt_path, folder))
        except UserError as error:
            refuse(error)  # by SystemExit: Hydra turns any other exception into a warning


def goes_on(checkpoint: str | None, folder: Path) -> bool:
    """Whether a run with this ``ckpt_path`` resumes the run in ``folder``: "last", or a checkpoint of that folder."""
    if checkpoint in (None, "last"):
        return checkpoint == "last"
    return Path(str(checkpoint)).resolve().parent == (folder / "checkpoints").resolve()


@contextmanager
def alone_in(folder: str | Path, config: DictConfig | None = None, fresh: bool = False) -> Iterator[None]:
    """Hold a folder's lock while a run writes there; write the settings ``config`` if no run has begun there.

    The settings of a run that has begun stay until this one is known to resume it: see :meth:`Run.begin`. Raises
    UserError as :func:`claim` does, and NoRoom when the disk fills up meanwhile.
    """
    path = Path(folder)
    try:
        if is_first_process():
            claim(path, fresh)  # for a single run OneRunAFolder has done it already
            begun = (path / SETTINGS).is_dir() and any((path / name).exists() for name in RUN_FILES)
            if config is not None and not begun:
                write_settings(path, config)
        yield
    except OSError as error:
        if not is_full(error):
            raise
        where = f"{error.filename}: " if error.filename else ""
        again = pasted([override("hydra.run.dir", path), "ckpt_path=last"])
        said = f"{where}cannot be written: {error.strerror}. Make room; {again} then goes on with this run"
        raise NoRoom(said) from error
    finally:
        release(path)


def write_settings(folder: Path, config: DictConfig) -> None:
    """Write ``.hydra/`` as Hydra would. Hydra writes before a run is accepted, so ``hydra.output_subdir`` is null."""
    hydra = HydraConfig.instance().cfg
    (folder / SETTINGS).mkdir(parents=True, exist_ok=True)
    for name, part in {"config": config, "hydra": hydra, "overrides": HydraConfig.get().overrides.task}.items():
        write_whole(folder / SETTINGS / f"{name}.yaml", OmegaConf.to_yaml(part))


def is_first_process() -> bool:
    """Whether this is the process that writes: the only one, or rank 0 of several."""
    return all(os.environ.get(name, "0") == "0" for name in ("RANK", "LOCAL_RANK", "SLURM_PROCID"))


def claim(folder: Path, fresh: bool = False, key: str = "hydra.run.dir") -> None:
    """Make ``folder``, which ``key`` names, and lock it until :func:`release` or the process's end, a kill included.

    Raises UserError if the folder cannot be written, if another process holds it, if it is to be ``fresh`` and holds a
    run, or as :func:`make` does.
    """
    folder = folder.resolve()
    if folder in _held:
        return
    make(folder, key)
    try:
        lock = Lock(folder / ".lock")
    except OSError as error:
        raise UserError(f"{folder}: cannot be written ({error.strerror}); give another {key}") from error
    except Taken as other:
        raise UserError(
            f"{folder}: another run is writing there ({other}); wait for it, or give another {key}"
        ) from None
    if fresh and (there := [name for name in RUN_FILES if (folder / name).exists()]):
        lock.free()
        raise UserError(
            f"{folder}: holds a run already ({there[0]}), which a new one would overwrite; ckpt_path=last goes on with "
            "it, another hydra.run.dir starts beside it"
        )
    _held[folder] = lock


def make(folder: Path, key: str) -> None:
    """Make ``folder``, which ``key`` names.

    Raises UserError if it cannot be made or is already used for another of :data:`USES`, NoRoom on a full disk.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for other, (kind, files) in USES.items():
            if other != key and (there := [name for name in files if (folder / name).exists()]):
                raise UserError(f"{folder}: holds {kind} ({there[0]}), not {USES[key][0]}; give another {key}")
    except OSError as error:
        raise UserError(f"{folder}: cannot be written ({error.strerror}); give another {key}") from error
    if (free := free_space(folder)) is not None and free < FIRST_FILES:
        raise NoRoom(f"{folder}: {_size(free)} free. Make room, or give another {key}")


def release(folder: Path) -> None:
    """Free the folder's lock, so that others may write there. Does nothing for a folder that was not claimed."""
    if (lock := _held.pop(folder.resolve(), None)) is not None:
        lock.free()


def check_room(folder: Path, module: Any) -> None:
    """Raise NoRoom, with all faults at once, unless the run's checkpoints and other files fit below ``folder``.

    ``module`` is the LightningModule. Checkpoints of an earlier part of the run count as room: they are replaced.
    """
    checkpoint, checkpoints = checkpoint_size(module), folder / "checkpoints"
    faults = [fault for place in (folder, checkpoints, folder / "predictions") for fault in _not_writable(place)]
    there = sum((checkpoints / name).stat().st_size for name in CHECKPOINTS if (checkpoints / name).is_file())
    need, free = (len(CHECKPOINTS) + 1) * checkpoint + OTHER_FILES - there, free_space(folder)
    if free is not None and free < need:
        faults.append(
            f"{folder}: {_size(free)} free, and the run may write {_size(need)}: {', '.join(CHECKPOINTS)} and the one "
            f"being written, {_size(checkpoint)} each. Make room, or set hydra.run.dir to a folder on another disk"
        )
    if (most := largest_file()) is not None and most < checkpoint:
        faults.append(f"{folder}: a checkpoint takes {_size(checkpoint)}, and no file may have more than {_size(most)}"
                      " here; see `ulimit -f`")  # fmt: skip
    if faults:
        raise NoRoom(faults)


def checkpoint_size(module: Any) -> int:
    """Bytes of a training checkpoint: the weights, and Adam's two averages of those that are trained."""
    weights: int = sum(t.numel() * t.element_size() for t in module.state_dict().values())
    trained: int = sum(p.numel() for p in module.parameters() if p.requires_grad)
    return weights + 8 * trained + len(module.tokenizer_json or "")


def _not_writable(folder: Path) -> list[str]:
    probe = folder / f".{os.getpid()}.probe"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe.write_bytes(b"\0")
        probe.unlink()
    except OSError as error:
        return [f"{folder}: cannot be written ({error.strerror})"]
    return []


def _size(count: int) -> str:
    return f"{count / 1e9:,.2f} GB" if count >= 1e8 else f"{count / 1e6:,.2f} MB"
