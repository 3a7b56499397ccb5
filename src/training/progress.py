"""What a training shows while it runs: a bar where someone watches, and one line per epoch everywhere."""

import logging
import math
import sys
import time
import warnings
from typing import Any, Literal

import lightning.pytorch as L
from lightning.pytorch.callbacks import Callback, TQDMProgressBar

from ..errors import UserError
from ..spelling import override, pasted
from .callbacks import better

log = logging.getLogger(__name__)
EPOCHS = "trainer.max_epochs"  # the setting


class EpochLine(Callback):
    """Logs one line per epoch: losses, the monitored figure, whether it is the best so far (``mode``), seconds.

    Raises UserError at the end of an epoch whose training loss is not finite.
    """

    def __init__(self, monitor: str, mode: Literal["max", "min"] = "max") -> None:
        self.monitor, self.mode = monitor, mode
        self._best: tuple[float, float] | None = None  # figure and validation loss
        self._start = 0.0

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._start = time.monotonic()  # a run resumed within an epoch has no on_train_epoch_start

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._start = time.monotonic()

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        figures = {name: float(value) for name, value in trainer.callback_metrics.items()}
        parts = [f"epoch {trainer.current_epoch + 1:>2}/{trainer.max_epochs}"]
        if not math.isfinite(figures.get("train/loss", 0.0)):
            raise UserError(
                f"epoch {trainer.current_epoch + 1}: the training loss is {figures['train/loss']}. Try lower rates "
                "(model.encoder_lr, model.head_lr) or trainer.precision=32-true. Earlier checkpoints are whole."
            )
        names = dict.fromkeys(["train/loss", "val/loss", self.monitor])
        parts += [f"{name} {figures[name]:.4f}" for name in names if name in figures]
        parts.append(f"{time.monotonic() - self._start:.1f} s")
        now = figures.get(self.monitor, math.nan), figures.get("val/loss", math.inf)
        if self.monitor in figures and better(*now, self._best, self.mode):
            self._best = now
            parts.append("best so far")
        log.info("  ".join(parts))
        if parts[-1] == "best so far" and trainer.max_epochs == trainer.current_epoch + 1 > 1:
            log.info(
                f"The last epoch was the best: more may do better, {pasted([override(EPOCHS, 2 * trainer.max_epochs)])}"
            )

    def state_dict(self) -> dict[str, Any]:
        return {"best": self._best}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        best = state["best"]
        self._best = (best, math.inf) if isinstance(best, float) else best  # older checkpoints hold the figure alone


def watched() -> bool:
    """Whether someone watches, on a terminal or in a notebook: a bar written to a file is noise."""
    return sys.stdout.isatty() or type(sys.stdout).__module__.startswith("ipykernel.")


def progress_bar() -> list[Callback]:
    """A tqdm bar if someone watches. Named, because Lightning prefers rich's bar, which swallows lines of the log."""
    return [TQDMProgressBar(leave=False)] if watched() else []


def quiet() -> None:
    """Silence what libraries say of themselves; each filter names one message and why."""
    for name in (
        "lightning.pytorch.utilities.rank_zero",
        "lightning.fabric.utilities.rank_zero",
        "lightning.fabric.utilities.distributed",  # "Initializing distributed: ..."
        "lightning.fabric.utilities.seed",
        "httpx",
    ):
        logging.getLogger(name).setLevel(logging.WARNING)  # "GPU available: ...": the start-up summary says it
    logging.getLogger("lightning.pytorch.loggers.mlflow").setLevel(logging.ERROR)  # "not found. Creating it."
    messages = (
        ".*isinstance.treespec, LeafSpec.* is deprecated.*",  # Lightning's own call into torch
        ".*(Experiment logs|Checkpoint) directory .* exists and is not empty.*",  # the files are this run's own
        ".*The dirpath has changed from.*",  # a run that goes on in another folder keeps its own files there
        ".*smaller than the logging interval.*",  # figures are logged per epoch, whatever the interval
        ".*callbacks used to create the checkpoint.*",  # judging and predicting need none of them
        ".*broadcast_buffers. is deprecated.*",  # torch 2.6 knows it by no other name
        ".*sync_dist=True.*",  # figures come from counts that were summed over the processes already
    )
    for message in messages:
        warnings.filterwarnings("ignore", message=message)
