"""Checkpoint files that are whole or absent, hold all random state, and a stop that loses nothing."""

import os
import random
import shutil
import signal
import tempfile
from pathlib import Path
from typing import Any

import lightning.pytorch as L
import numpy as np
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.plugins.io import TorchCheckpointIO

from src.errors import UserError
from src.ranks import gathered, rank, total


class AtomicCheckpointIO(TorchCheckpointIO):
    """Writes beside the target, flushes to the disk, then renames: a kill leaves the old file or the new one.

    Lightning's own stages the file in ``$TMPDIR`` and moves it, which is not atomic across file systems, and never
    flushes. Loading takes tensors and plain values only (``weights_only``), so a file cannot run code.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any | None = None) -> None:
        target = Path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
        try:
            with os.fdopen(handle, "wb") as file:
                torch.save(checkpoint, file)
                file.flush()
                os.fsync(file.fileno())
            os.chmod(name, 0o644)
            os.replace(name, target)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
        folder = os.open(target.parent, os.O_RDONLY)
        try:
            os.fsync(folder)  # the rename itself must reach the disk
        finally:
            os.close(folder)

    def load_checkpoint(self, path: Any, map_location: Any | None = None, weights_only: bool | None = None) -> Any:
        return torch.load(path, map_location="cpu", weights_only=True)


class RandomState(L.Callback):
    """Keeps every generator's state in the checkpoint, so a resumed run draws the dropout it would have drawn.

    Of several processes each draws its own, and each one's state is kept.
    """

    def state_dict(self) -> dict[str, Any]:
        states: list[dict[str, Any]] = gathered(self._now())
        return states[0] | ({"others": states[1:]} if len(states) > 1 else {})

    def _now(self) -> dict[str, Any]:
        kind, keys, position, has_gauss, gauss = np.random.get_state()
        return {
            "python": list(random.getstate()[1]),
            "python_gauss": random.getstate()[2],
            "numpy": [kind, torch.from_numpy(np.asarray(keys, np.int64)), position, has_gauss, gauss],
            "torch": torch.get_rng_state(),
            "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._state: dict[str, Any] | None = state["others"][rank() - 1] if rank() else state

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Set last, when nothing of the start-up draws any more."""
        state = getattr(self, "_state", None)
        if state is None:
            if rank():  # all began with one seed
                torch.manual_seed(torch.initial_seed() + rank())
            return
        random.setstate((3, tuple(state["python"]), state["python_gauss"]))
        kind, keys, *rest = state["numpy"]
        np.random.set_state((kind, keys.numpy().astype(np.uint32), *rest))
        torch.set_rng_state(state["torch"].cpu())
        if state["cuda"] and len(state["cuda"]) == torch.cuda.device_count():
            torch.cuda.set_rng_state_all([s.cpu() for s in state["cuda"]])
        self._state = None


class BestCheckpoint(ModelCheckpoint):
    """Keeps the best across folders: Lightning's own forgets it when a run goes on in another one."""

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over the figure of the earlier best if its file was brought here, see :func:`bring_best`."""
        here = Path(str(self.dirpath)) / "best.ckpt"
        if here.is_file():
            score = state["best_model_score"]
            paths = dict.fromkeys(("best_model_path", "kth_best_model_path"), str(here))
            state = state | paths | {"dirpath": self.dirpath, "best_k_models": {str(here): score}}
        super().load_state_dict(state)


def bring_best(checkpoint: Path, best: Path) -> None:
    """Copy the ``best.ckpt`` beside ``checkpoint`` to where the run that goes on will keep its own."""
    earlier = checkpoint.resolve().parent / "best.ckpt"
    if earlier.is_file() and earlier != best.resolve() and not rank():
        best.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(earlier, best)


def check_resume(path: Path, module: Any) -> None:
    """Raise UserError if ``path`` is no checkpoint of this project, or of a run that differs in what may not change.

    More epochs are allowed: the schedule is then stretched over all of them.
    """
    try:
        checkpoint = AtomicCheckpointIO().load_checkpoint(path)
        before_it_was_noted = {"packed": False, "processes": 1}
        earlier = before_it_was_noted | checkpoint["hyper_parameters"] | checkpoint["origin"]
        tokenizer = checkpoint["tokenizer"]
    except Exception as error:  # a file that is anything may raise anything
        reason = str(error).strip().split("\n")[0]
        raise UserError(f"ckpt_path={path}: not a checkpoint of this project ({reason})") from error
    now = dict(module.hparams) | module.origin
    keys = [key for key in now if key not in ("total_steps", "threshold") and earlier.get(key) != now[key]]
    faults = [f"ckpt_path={path}: {key} was {_short(earlier.get(key))}, is {_short(now[key])}" for key in keys]
    if tokenizer != module.tokenizer_json:
        faults.append(f"ckpt_path={path}: the tokenizer is another one; was it made from other texts?")
    if faults:
        raise UserError([*faults, "A run goes on with what it began with; start a new one without ckpt_path."])


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


class TrainingStopped(Exception):
    """Training was asked to stop (Ctrl-C, SIGTERM) and has saved where it was."""


class StopSafely(L.Callback):
    """Turns SIGINT and SIGTERM into a save of ``path`` after the batch under way, then :class:`TrainingStopped`.

    After an epoch's last batch it waits for the validation, and for the checkpoint that the epoch's end writes there.
    A second signal stops at once, the usual way. Of several processes all stop after the batch in which one was asked.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = path
        self._asked = False
        self._before: dict[int, Any] = {}

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Not before: Lightning has noted by now which handlers there were, and puts those back in the end."""
        for number in (signal.SIGINT, signal.SIGTERM):
            self._before[number] = signal.signal(number, self._on_signal)

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._restore()

    def on_exception(self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException) -> None:
        self._restore()

    def on_train_batch_end(self, trainer: L.Trainer, module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        # not within a step: gradients that were accumulated so far are in no checkpoint
        whole = (batch_idx + 1) % trainer.accumulate_grad_batches == 0
        # not after an epoch's last batch: a run that goes on from there would never validate that epoch
        last = batch_idx + 1 == trainer.num_training_batches
        if self._agreed(trainer) and whole and not last:
            trainer.save_checkpoint(self.path, weights_only=False)
            raise TrainingStopped

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if self._agreed(trainer):  # came at the end of the epoch before, which was validated and is in a checkpoint
            raise TrainingStopped

    def _agreed(self, trainer: L.Trainer) -> bool:
        """Whether any of the processes was asked: a checkpoint is written by all of them together."""
        self._asked = total(int(self._asked), trainer.strategy.root_device) > 0
        return self._asked

    def _on_signal(self, number: int, frame: Any) -> None:
        self._asked = True
        self._restore()

    def _restore(self) -> None:
        while self._before:
            number, handler = self._before.popitem()
            signal.signal(number, handler)
