"""What a checked configuration is built into: the LightningModule and its Trainer."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import lightning.pytorch as L
from hydra.utils import instantiate
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.fabric.plugins.environments.torchelastic import TorchElasticEnvironment

from ..datamodule import AspectDataModule
from ..lit_module import AspectSentimentModule
from ..model.encoder import Encoder
from ..runs.run import Run
from ..tokens.batching import auto_epochs
from .callbacks import StopSafely
from .checkpoint import AtomicCheckpointIO
from .devices import attention_for, resolve_precision
from .launched import launched
from .loss import make_loss, with_alpha
from .progress import EpochLine, progress_bar, watched


def with_epochs(settings: dict[str, Any], reviews: int) -> dict[str, Any]:
    """``settings`` with the number of epochs that ``trainer.max_epochs=auto`` stands for with so many reviews."""
    if (trainer := settings["trainer"])["max_epochs"] != "auto":
        return settings
    return settings | {"trainer": trainer | {"max_epochs": auto_epochs(reviews)}}


def build_module(
    settings: dict[str, Any], data: AspectDataModule, encoder: Encoder, alpha: Any
) -> AspectSentimentModule:
    """The LightningModule over ``encoder``, with the loss and the schedule that the data call for."""
    trainer = settings["trainer"]
    encoder.module.set_attn_implementation(attention_for(trainer["accelerator"], encoder.module))
    limits = (trainer["accumulate_grad_batches"], trainer["limit_train_batches"])
    steps = data.optimizer_steps(trainer["max_epochs"], *limits)
    labels: dict[str, Any] = {**data.labels.lists()}
    module = AspectSentimentModule(
        **labels,
        encoder_config=encoder.config,
        encoder=encoder.module,
        loss=make_loss(settings["loss"], alpha),
        task=settings["task"]["name"],
        total_steps=steps,
        mention_shares=(data.mention_counts / len(data.splits.train)).tolist(),
        **settings["model"],
    )
    module.tokenizer_json = encoder.tokenizer.to_str()
    module.origin = {
        "loss": with_alpha(settings["loss"], alpha),
        "seed": settings["seed"],
        "training data": data.findings.splits["train"].sha256,
        "validation data": data.findings.splits["val"].sha256,
        "reviews without an aspect": len(data.splits.train.silent),
        "batches": [data.batching, data.batch_size, data.tokens_per_batch, data.max_length, data.absent],
        "packed": data.packed,
        "noise": asdict(data.noise),
        "processes": data.world_size,
        "averaged": settings["callbacks"].get("ema"),
        "accumulate_grad_batches": trainer["accumulate_grad_batches"],
    }
    return module


def build_trainer(settings: dict[str, Any], run: Run, more: Sequence[L.Callback] = ()) -> L.Trainer:
    """The Trainer, with what every run has: whole checkpoints, a safe stop, a line per epoch."""
    given = {key: value for key, value in settings["trainer"].items() if key != "save_every_minutes"}
    precision = resolve_precision(given["precision"], given["accelerator"])
    callbacks = [instantiate(callback) for callback in given["callbacks"] if callback is not None]
    callbacks += [EpochLine(settings["monitor"], settings["mode"]), *more, StopSafely(run.last), *progress_bar()]
    trainer: L.Trainer = instantiate(
        {**given, "precision": precision, "callbacks": None},
        callbacks=callbacks,
        enable_progress_bar=watched(),
        # under srun too, the environment is torchrun's: src.training.meeting writes it
        plugins=[AtomicCheckpointIO(), TorchElasticEnvironment() if launched() else LightningEnvironment()],
    )
    return trainer
