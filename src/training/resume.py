"""What a run goes on from: which checkpoint, whether it is whole, and whether it belongs to these settings."""

import logging
import shutil
import time
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import torch
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from ..data.noise import Noise
from ..errors import UserError
from ..labels import SENTIMENTS
from ..model.optim import learning_rate_factor
from ..model.torch_files import DamagedFile, check_archive
from ..runs.machine import link, replace, write_whole
from ..runs.settings import differences, shared, short
from ..spelling import override, pasted
from .checkpoint import PREVIOUS, AtomicCheckpointIO
from .ranks import rank

log = logging.getLogger(__name__)


def find_checkpoint(asked: str | None, config: DictConfig, folder: Path) -> Path | None:
    """The file that ``ckpt_path`` (``asked``) means for a run that writes into ``folder``; None for a new run.

    Raises UserError as :func:`find_last`.
    """
    if asked != "last":
        return None if asked is None else Path(asked)
    mode = "sweep" if HydraConfig.get().mode == RunMode.MULTIRUN else "run"
    pattern = OmegaConf.to_container(HydraConfig.instance().cfg, resolve=False)["hydra"][mode]["dir"]  # type: ignore
    return find_last(config, folder, outputs_below(pattern))


def go_on_from(path: Path, module: Any, folder: Path, epochs: int) -> Path:
    """Check that ``module`` can go on from ``path``, bring its files to ``folder``, return the checkpoint to load.

    If ``path`` is damaged, that is the checkpoint before it. Raises UserError if neither is whole, and if the whole one
    has other settings or more epochs.
    """
    path, checkpoint = open_checkpoint(path)
    check_resume(path, checkpoint, module, epochs)
    if not rank():
        take_over(path, folder)
    return path


def find_last(config: DictConfig, folder: Path, root: Path) -> Path:
    """The checkpoint that ``ckpt_path=last`` means: that of ``folder``, the run's own, if it has one.

    Else that of the newest run below ``root`` that has the settings of ``config``, compared before they are resolved.
    Raises UserError if there is none; the message names the settings in which the newest run differs.
    """
    if (own := _checkpoint_in(folder)) is not None:
        return own
    found = [(f, _checkpoint_in(f)) for f in {path.parent for path in root.glob("**/checkpoints")}]
    runs = sorted(((c.stat().st_mtime, f, c) for f, c in found if c is not None), reverse=True)
    now: dict[str, Any] = shared_settings(config)
    told: list[list[str]] = []
    for newer, (written, run, checkpoint) in enumerate(runs):
        try:
            told.append(differences(_settings_of(run, checkpoint), now))
        except Exception as error:  # the file may hold anything: no YAML, no text, other keys
            told.append([f"its .hydra/config.yaml cannot be read ({short(error)})"])
        if not told[-1]:
            besides = f"; {newer} newer have other settings" if newer else ""
            at = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(written))
            log.info(f"ckpt_path=last: the newest run with these settings, {checkpoint} of {at}{besides}")
            return checkpoint
    if not runs:
        raise UserError(f"ckpt_path=last: no run below {root} has a checkpoint; start one without ckpt_path")
    raise UserError(
        f"ckpt_path=last: none of {len(runs)} runs below {root} has these settings. The newest, {runs[0][1]}: "
        f"{'; '.join(told[0][:5])}. "
        f"Give its settings, or the checkpoint itself: {pasted([override('ckpt_path', runs[0][2])])}"
    )


def shared_settings(config: Any) -> dict[str, Any]:
    """The settings of a configuration that a run must share to go on from another one, unresolved."""
    return shared(OmegaConf.to_container(config))  # type: ignore[arg-type]


def outputs_below(pattern: str) -> Path:
    """The folder that all runs of a pattern such as ``outputs/${now:...}/...`` share; without ``${``, the pattern."""
    same, differs, _ = pattern.partition("${")
    return Path(same).parent if differs and not same.endswith("/") else Path(same)


def open_checkpoint(path: Path) -> tuple[Path, dict[str, Any]]:
    """The path and content of a whole checkpoint: ``path``, or the one before it if ``path`` is damaged or missing.

    Logs a warning if it takes the one before. Raises UserError if neither is whole.
    """
    faults: list[str] = []
    before = [path.with_name(PREVIOUS[path.name])] if path.name in PREVIOUS else []
    for candidate in (path, *before):
        try:
            checkpoint = AtomicCheckpointIO().load_checkpoint(candidate)
            numbers = (checkpoint["global_step"], _epochs(checkpoint), checkpoint["hyper_parameters"]["total_steps"])
            if not all(isinstance(n, int) for n in numbers) or not isinstance(checkpoint["origin"], dict):
                raise TypeError("its step and epoch are no numbers")
        except UserError as error:
            faults += error.faults
        except Exception as error:  # a file of unknown content may raise anything
            faults.append(f"{candidate}: not a checkpoint of this project ({type(error).__name__}: {short(error)})")
        else:
            if faults:
                log.warning(f"{faults[0]}\n  Going on from the checkpoint before it, {candidate}")
            return candidate, checkpoint
    raise UserError([f"ckpt_path={fault}" for fault in faults])


def check_resume(path: Path, checkpoint: dict[str, Any], module: Any, epochs: int | None = None) -> None:
    """Raise UserError if the checkpoint differs in a setting that a run must keep, or has more than ``epochs`` epochs.

    More epochs are allowed: the schedule is then stretched over all of them, which is logged.
    """
    before_it_was_noted: dict[str, object] = {"packed": False, "processes": 1, "r_drop": 0.0, "averaged": None}
    before_it_was_noted |= {"sentiments": list(SENTIMENTS), "reviews without an aspect": 0, "init_from": None}
    before_it_was_noted |= {"noise": asdict(Noise()), "teacher_weight": 0.5, "teacher_temperature": 2.0}
    before_it_was_noted |= {"rare_aspects": 0.0}
    earlier = before_it_was_noted | checkpoint["hyper_parameters"] | checkpoint["origin"]
    now = dict(module.hparams) | module.origin
    keys = [key for key in now if key not in ("total_steps", "threshold", "settings")]
    told = differences(*({key: facts.get(key) for key in keys} for facts in (earlier, now)))
    faults = [f"ckpt_path={path}: {text}" for text in told]
    if any(text.startswith("reviews without an aspect") for text in told):
        faults.append("data.unlabelled=drop leaves out the reviews that mention no aspect, as every run once did")
    if checkpoint["tokenizer"] != module.tokenizer_json:
        faults.append(f"ckpt_path={path}: the tokenizer is another one; was it made from other texts?")
    if faults:
        raise UserError([*faults, "A run goes on with what it began with; start a new one without ckpt_path."])
    done = _epochs(checkpoint)
    if epochs is not None and done > epochs:
        raise UserError(f"trainer.max_epochs={epochs}: {path} has {done} epochs behind it; set {done} or more")
    if earlier["total_steps"] != now["total_steps"]:
        step, name, warmup = checkpoint["global_step"], now["schedule"], now["warmup"]
        old, new = (learning_rate_factor(name, x["total_steps"], warmup)(step) for x in (earlier, now))
        log.info(
            f"The schedule ({name}) was laid out for {earlier['total_steps']:,} steps and is now stretched over "
            f"{now['total_steps']:,}: after step {step:,} the rates go from {old:.3f} to {new:.3f} of the full ones, "
            "so this is not the run that so many epochs from the start would have been"
        )


def take_over(checkpoint: Path, folder: Path) -> None:
    """Bring ``checkpoint``, as ``last.ckpt``, and the ``best.ckpt`` beside it to ``folder``, where the run goes on.

    A run that has nothing left to train, or is killed before its first save, then has both files too.
    If ``folder`` is the checkpoint's own, damaged files in it are renamed to ``*.damaged``: otherwise the next save
    would keep a damaged ``last.ckpt`` as ``previous.ckpt``, in place of the whole one.
    """
    here = checkpoint.resolve().parent
    for name in ("best.ckpt", *(PREVIOUS if here == folder.resolve() else ())):
        try:
            if (here / name).is_file():
                check_archive(here / name)
        except DamagedFile as error:
            if name == "best.ckpt":
                log.warning(f"{error}\n  The best of the epochs so far is lost; it will be the best of those to come")
            if here == folder.resolve():
                replace(here / name, here / f"{name}.damaged")
        else:
            if here != folder.resolve() and (here / name).is_file():
                _link_or_copy(here / name, folder / name)
    if here != folder.resolve():
        _link_or_copy(checkpoint.resolve(), folder / "last.ckpt")


def _epochs(checkpoint: dict[str, Any]) -> int:
    """The number of epochs that are done."""
    done: int = checkpoint["loops"]["fit_loop"]["epoch_progress"]["current"]["processed"]
    return done


def _checkpoint_in(run: Path) -> Path | None:
    """The last checkpoint of a run's folder; None if it has none."""
    paths = [run / "checkpoints" / name for pair in PREVIOUS.items() for name in pair]
    return next((path for path in paths if path.is_file()), None)


def _settings_of(run: Path, checkpoint: Path) -> dict[str, Any]:
    """The run's settings: from its checkpoint, or from ``.hydra/`` if that is damaged or too old to hold them."""
    try:
        origin = torch.load(checkpoint, map_location="cpu", weights_only=True, mmap=True)["origin"]
        return dict(origin["settings"])
    except Exception:  # open_checkpoint tells the file's fault if the run goes on from it
        return shared_settings(OmegaConf.load(run / ".hydra" / "config.yaml"))


def _link_or_copy(source: Path, target: Path) -> None:
    """Make ``target`` a link to ``source``, or a copy. A link is safe: checkpoints are replaced, never written into."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if not link(source, target):
        with source.open("rb") as file:
            write_whole(target, partial(shutil.copyfileobj, file), target.with_name(f".{target.name}.partial"))
