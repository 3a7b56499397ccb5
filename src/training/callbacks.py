"""Callbacks of a training: keep the random state and the best epoch, save at intervals, stop without losing work."""

import logging
import math
import random
import signal
import time
from pathlib import Path
from typing import Any

import lightning.pytorch as L
import numpy as np
import torch
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint
from torch import Tensor

from ..runs.machine import stop_signals
from ..spelling import override, pasted
from .ranks import gathered, rank, summed

log = logging.getLogger(__name__)


class RandomState(L.Callback):
    """Keeps every generator's state in the checkpoint, so a resumed run draws the dropout it would have drawn.

    Every process has generators of its own, and the checkpoint keeps the states of all processes.
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
        """Restore the state here, because building the model and the loaders draws random numbers too."""
        state = getattr(self, "_state", None)
        if state is None:
            if rank():  # all processes were seeded alike, and each should draw a dropout of its own
                torch.manual_seed(torch.initial_seed() + rank())
            return
        random.setstate((3, tuple(state["python"]), state["python_gauss"]))
        kind, keys, *rest = state["numpy"]
        np.random.set_state((kind, keys.numpy().astype(np.uint32), *rest))
        torch.set_rng_state(state["torch"].cpu())
        if state["cuda"] and len(state["cuda"]) == torch.cuda.device_count():
            torch.cuda.set_rng_state_all([s.cpu() for s in state["cuda"]])
        self._state = None


def better(figure: float, loss: float, than: tuple[float, float] | None, mode: str = "max") -> bool:
    """Whether an epoch is better than another one, ``than``: a pair of (figure, validation loss), or None for none.

    The monitored figure decides, and of equal figures the lower loss; a NaN is better than nothing else.
    """
    if than is None:
        return True
    sign = 1.0 if mode == "max" else -1.0
    ours, theirs = (-math.inf if math.isnan(x) else sign * x for x in (figure, than[0]))
    return ours > theirs or (ours == theirs and loss < than[1])


def validation_loss(trainer: L.Trainer) -> float:
    """The epoch's ``val/loss``; infinite where none was logged."""
    return float(trainer.callback_metrics.get("val/loss", math.inf))


class BestCheckpoint(ModelCheckpoint):
    """Keeps the epoch that :func:`better` prefers, also when a run goes on in another folder.

    Lightning's own class drops the best score there.
    """

    _loss = math.inf  # the validation loss of the best epoch

    def check_monitor_top_k(self, trainer: L.Trainer, current: Tensor | None = None) -> bool:
        if current is None or not self.best_k_models:
            is_best = super().check_monitor_top_k(trainer, current)
        else:
            best = float(self.best_k_models[self.kth_best_model_path])
            is_best = better(float(current), validation_loss(trainer), (best, self._loss), self.mode)
        if is_best:
            self._loss = validation_loss(trainer)
        return is_best

    def state_dict(self) -> dict[str, Any]:
        return super().state_dict() | {"loss": self._loss}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore the best score only if ``best.ckpt`` is here: a score whose weights are lost could never be beaten.

        Without a score there was no epoch yet when the checkpoint was written.
        """
        here = Path(str(self.dirpath)) / "best.ckpt"
        score = state["best_model_score"]
        if here.is_file() and score is not None:
            paths = dict.fromkeys(("best_model_path", "kth_best_model_path"), str(here))
            super().load_state_dict(state | paths | {"dirpath": self.dirpath, "best_k_models": {str(here): score}})
            self._loss = state.get("loss", math.inf)


class StopEarly(EarlyStopping):
    """Early stopping by :func:`better` that logs the stop and holds after a resume.

    Lightning's own counts an equal figure with a lower loss as no better, trains a stopped run for one more epoch when
    it is resumed, and lets the checkpoint's patience replace the configured one.
    """

    _loss = math.inf  # the validation loss of the best epoch

    def state_dict(self) -> dict[str, Any]:
        return super().state_dict() | {"loss": self._loss}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        super().load_state_dict(state | {"patience": self.patience})
        self._loss = state.get("loss", math.inf)

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if self.wait_count >= self.patience:
            trainer.should_stop = True
            self._say(trainer)

    def _run_early_stopping_check(self, trainer: L.Trainer) -> None:
        """If the figure equals the best and the loss is lower, reset the best, so that Lightning takes the epoch."""
        figure, loss = trainer.callback_metrics.get(self.monitor), validation_loss(trainer)
        if figure is not None and float(figure) == float(self.best_score) and loss < self._loss:
            self.best_score = torch.tensor(-math.inf if self.mode == "max" else math.inf)
        super()._run_early_stopping_check(trainer)
        if self.wait_count == 0:
            self._loss = loss
        if self.wait_count >= self.patience:
            self._say(trainer)

    def _say(self, trainer: L.Trainer) -> None:
        more = override("callbacks.early_stopping.patience", self.wait_count + 8)
        again = pasted([more, override("hydra.run.dir", trainer.default_root_dir), "ckpt_path=last"])
        log.info(
            f"Early stopping ends the run: {self.wait_count} epoch{'s' * (self.wait_count > 1)} brought no better "
            f"{self.monitor} than {float(self.best_score):.4f}. It goes on with the same settings and {again}"
        )


class SaveEvery(L.Callback):
    """Saves ``path`` every ``minutes`` minutes, within an epoch too; None leaves it to the ends of epochs.

    The clock is monotonic: setting the system's time does not move it. Saves between optimizer steps, and not after an
    epoch's last batch: :class:`StopSafely` says why.
    """

    def __init__(self, minutes: float | None, path: str) -> None:
        self.minutes, self.path = minutes, path
        self._saved = 0.0

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._saved = time.monotonic()

    def on_train_batch_end(
        self, trainer: L.Trainer, module: L.LightningModule, outputs: object, batch: object, batch_idx: int
    ) -> None:
        done = batch_idx + 1
        if self.minutes is None or done % trainer.accumulate_grad_batches or done == trainer.num_training_batches:
            return
        due = time.monotonic() - self._saved >= 60 * self.minutes
        if trainer.strategy.reduce_boolean_decision(due, all=False):  # all ranks must save together
            trainer.save_checkpoint(self.path, weights_only=False)
            self._saved = time.monotonic()


class TrainingStopped(Exception):
    """Training was asked to stop (Ctrl-C, SIGTERM) and has saved where it was."""


class StopSafely(L.Callback):
    """Turns SIGINT and SIGTERM into a save of ``path`` after the batch under way, then :class:`TrainingStopped`.

    After an epoch's last batch it waits for the validation, and for the checkpoint that the epoch's end writes there.
    A second signal stops at once, the usual way. Several processes all stop after the batch in which one got a signal.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = path
        self._asked = False
        self._before: dict[int, Any] = {}

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Install the handlers only now: Lightning has by now noted the handlers that it restores at the end."""
        for number in stop_signals():
            self._before[number] = signal.signal(number, self._on_signal)

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._restore()

    def on_exception(self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException) -> None:
        self._restore()

    def on_train_batch_end(
        self, trainer: L.Trainer, module: L.LightningModule, outputs: object, batch: object, batch_idx: int
    ) -> None:
        # not within a step: gradients that were accumulated so far are in no checkpoint
        whole = (batch_idx + 1) % trainer.accumulate_grad_batches == 0
        # not after an epoch's last batch: a run that goes on from there would never validate that epoch
        last = batch_idx + 1 == trainer.num_training_batches
        if self._agreed(trainer) and whole and not last:
            trainer.save_checkpoint(self.path, weights_only=False)
            raise TrainingStopped

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if self._agreed(trainer):  # the signal came at the end of the epoch before, which is in a checkpoint
            raise TrainingStopped

    def _agreed(self, trainer: L.Trainer) -> bool:
        """Whether any process got a signal: a checkpoint is written by all of them together."""
        self._asked = summed(int(self._asked), trainer.strategy.root_device) > 0
        return self._asked

    def _on_signal(self, number: int, frame: object) -> None:
        self._asked = True
        self._restore()

    def _restore(self) -> None:
        while self._before:
            number, handler = self._before.popitem()
            signal.signal(number, handler)
