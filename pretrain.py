"""Pre-train an encoder on texts without labels: `python pretrain.py data.texts=FILE`; `--help` shows the settings."""

import logging
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import InstantiationException
from omegaconf import DictConfig

from src.errors import UserError, refuse
from src.runs.folder import alone_in, goes_on
from src.sweeps.jobs import command_to_go_on
from src.training.scripts import run as run_script
from src.training.scripts import user_error
from train import plain

log = logging.getLogger("pretrain")
jobs: list[DictConfig] = []  # configurations of the jobs begun in this process


@hydra.main(config_path="conf", config_name="pretrain", version_base="1.3")
def job(config: DictConfig) -> None:
    """One run; it leaves ``encoder/`` (for ``model.encoder=``) and ``summary.json`` in its folder."""
    jobs.append(config)
    folder = Path(HydraConfig.get().runtime.output_dir)
    try:
        with alone_in(folder, config, fresh=not goes_on(config.ckpt_path, folder)):  # for a sweep's jobs too
            pretrain(config)
    except (UserError, InstantiationException) as error:
        refuse(user_error(error))


def pretrain(config: DictConfig) -> None:
    """Pre-train a composed configuration; write ``encoder/`` and ``summary.json``. Raises UserError."""
    from src.pretraining.checks import check_pretraining

    settings, overrides = plain(config), list(HydraConfig.get().overrides.task)
    check_pretraining(settings)

    import lightning.pytorch as L
    import torch
    from hydra.utils import instantiate
    from tqdm.contrib.logging import logging_redirect_tqdm

    from src.model.classifier import parameter_count
    from src.pretraining.masked_lm import write_encoder
    from src.runs.folder import check_room
    from src.runs.run import Run, environment
    from src.training.callbacks import StopSafely, TrainingStopped
    from src.training.checkpoint import AtomicCheckpointIO
    from src.training.devices import resolve_precision
    from src.training.progress import EpochLine, progress_bar, quiet, watched
    from src.training.resume import find_checkpoint, go_on_from, shared_settings

    quiet()
    L.seed_everything(settings["seed"], verbose=False)
    data = instantiate(settings["data"])
    module, encoder = build(settings, data)
    module.origin["settings"] = shared_settings(config)
    tokens = {split: len(data.tokenised(split).ids) for split in ("train", "val")}
    run = Run(HydraConfig.get().runtime.output_dir)
    check_room(run.folder, module)
    given = {key: value for key, value in settings["trainer"].items() if key != "save_every_minutes"}
    if (checkpoint := find_checkpoint(settings["ckpt_path"], config, run.folder)) is not None:
        checkpoint = go_on_from(checkpoint, module, run.last.parent, given["max_epochs"])
    run.begin(config)
    precision = resolve_precision(given["precision"], given["accelerator"])
    callbacks = [instantiate(c) for c in settings["callbacks"].values() if c is not None]
    callbacks += [EpochLine("val/loss", "min"), StopSafely(run.last), *progress_bar()]
    trainer = instantiate(
        {**given, "precision": precision, "callbacks": None},
        callbacks=callbacks,
        enable_progress_bar=watched(),
        plugins=[AtomicCheckpointIO()],
    )
    epochs, steps = given["max_epochs"], module.hparams["total_steps"]
    log.info(
        f"Encoder: {encoder.name} ({encoder.weights}), {parameter_count(module):,} parameters\n"
        f"Texts: {len(data.corpus.train):,} with {tokens['train']:,} tokens, {len(data.corpus.val):,} held out\n"
        f"Epochs: {epochs}, {steps:,} steps of {data.tokens_per_batch:,} tokens, {precision} on {data.device}\n"
        f"Run: {run.folder}"
    )
    loader, started = data.train_dataloader(), time.monotonic()
    try:
        with logging_redirect_tqdm():
            trainer.fit(module, loader, data.val_dataloader(), ckpt_path=checkpoint, weights_only=True)
    except TrainingStopped:
        log.warning(f"Stopped. To go on: {command_to_go_on('pretrain.py')}")
        raise SystemExit(130) from None
    seconds = time.monotonic() - started
    figures = {k: float(v) for k, v in trainer.validate(module, data.val_dataloader(), verbose=False)[0].items()}
    dtype = getattr(torch, settings["pretraining"]["save_as"])
    write_encoder(module.model, encoder.tokenizer, run.folder / "encoder", dtype)
    run.write_summary(
        {
            "figures": figures,
            "encoder": encoder.facts,
            "texts": {"train": len(data.corpus.train), "val": len(data.corpus.val), "sha256": data.corpus.digest},
            "tokens": tokens | {"seen in this session": loader.tokens},
            "steps": trainer.global_step,
            "seconds": seconds,
            "device": data.device,
            "precision": trainer.precision,
            "overrides": overrides,
            "config": settings,
            "environment": environment(),
        }
    )
    log.info(
        f"val/loss {figures['val/loss']:.4f} after {loader.tokens:,} tokens in {seconds:,.0f} s. "
        f"The encoder: {run.folder / 'encoder'}"
    )


def build(settings: dict[str, Any], data: Any) -> tuple[Any, Any]:
    """The LightningModule and the encoder of ``settings``; sets the tokenizer on ``data``. Raises UserError."""
    from src.model.encoder import load_encoder
    from src.pretraining.masked_lm import MaskedLanguageModel, language_model
    from src.pretraining.masking import mask_of
    from src.training.checks import ENCODER_KEYS
    from src.training.devices import attention_for, device_of

    source = {key: settings["model"][key] for key in ENCODER_KEYS if key in settings["model"]}
    encoder = load_encoder(texts=data.corpus.train, max_length=data.max_length, **source)
    trainer = settings["trainer"]
    mask_of(encoder.tokenizer, encoder.name)
    data.tokenizer, data.pad_id = encoder.tokenizer, encoder.pad_id
    data.packed, data.device = data.packed and encoder.packs, device_of(trainer["accelerator"])
    model = language_model(encoder)
    model.set_attn_implementation(attention_for(trainer["accelerator"], encoder.module))
    limits = (trainer["accumulate_grad_batches"], trainer["limit_train_batches"])
    chosen = {k: v for k, v in settings["pretraining"].items() if k != "save_as"}
    chosen["lr"] = chosen["lr"] or (1e-4 if encoder.pretrained else 1.5e-3)
    module = MaskedLanguageModel(model, total_steps=data.optimizer_steps(trainer["max_epochs"], *limits), **chosen)
    module.tokenizer_json = encoder.tokenizer.to_str()
    module.origin = {
        "encoder": encoder.config,
        "seed": settings["seed"],
        "texts": data.corpus.digest,
        "batches": [data.tokens_per_batch, data.max_length, data.mask],
        "packed": data.packed,
        "noise": asdict(data.noise),
        "accumulate_grad_batches": trainer["accumulate_grad_batches"],
    }
    return module, encoder


def main() -> None:
    """The command line, as Hydra reads it, with a user's mistake always ending in exit status 2."""
    run_script(job, begun=jobs, config="pretrain")


if __name__ == "__main__":
    main()
