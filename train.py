"""Train a model: compose, check, seed, fit, test the best, sum up. `python train.py --help` shows the settings."""

import logging
import re
import sys
import time
from pathlib import Path
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from src.errors import UserError

ROOT = Path(__file__).resolve().parent
log = logging.getLogger("train")

# replace=True: the jobs of a multirun share one process
OmegaConf.register_new_resolver("project", lambda path: str(ROOT / path), replace=True)


@hydra.main(config_path="conf", config_name="config", version_base="1.3")
def job(config: DictConfig) -> float:
    """One run; returns the monitored figure of its best checkpoint, which a sweeper maximises."""
    try:
        return train(config)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(2) from None


def train(config: DictConfig) -> float:
    """From a composed configuration to a finished run folder."""
    # Imported here, so that --help and a mistyped override answer at once.
    import lightning.pytorch as L
    import torch
    from hydra.utils import instantiate

    from src.checkpoint import AtomicCheckpointIO, Interrupted, StopSafely
    from src.checks import check_config
    from src.classifier import parameter_count
    from src.encoder import load_encoder
    from src.focal import resolve_alpha
    from src.hub import choose
    from src.lit_module import AspectSentimentModule
    from src.metrics import evaluate, figures, per_aspect
    from src.precision import resolve_precision
    from src.predictions import write_predictions
    from src.progress import EpochLine, progress_bar, quiet
    from src.runs import Run, environment
    from src.summary import alpha_line, aspect_table, banner, epochs_line, facts, figures_table, pairs_line

    quiet()
    started = time.monotonic()
    run = Run(HydraConfig.get().runtime.output_dir)
    overrides = list(HydraConfig.get().overrides.task)
    check_config(plain(config), multirun=HydraConfig.get().mode == RunMode.MULTIRUN)

    # --- which encoder ---
    why = "as configured"
    if config.model.encoder == "auto":
        name, why = choose()
        config = recompose([*(o for o in overrides if not re.match(r"\+*model=", o)), f"model={name}"])
        check_config(plain(config))
    settings = plain(config)
    model, task = settings["model"], settings["task"]["name"]
    source = {key: model.pop(key, default) for key, default in (("encoder", ""), ("pretrained", True), ("size", None))}
    log.info(f"Encoder: {source['encoder']} ({why})")

    # --- data, tokenizer, encoder ---
    L.seed_everything(settings["seed"], verbose=False)
    data = instantiate(settings["data"])
    for line in data.findings.lines():
        log.info(line)
    encoder = load_encoder(
        texts=data.splits.train.texts, pooling=model["pooling"], max_length=data.max_length, **source
    )
    if not encoder.pretrained:
        log.warning(
            banner(
                f"The encoder starts from random weights: {why}.\n"
                "Its figures are below those of pre-trained ViSoBERT. To train that one: model=visobert"
            )
        )
    data.tokenizer, data.pad_id = encoder.tokenizer, encoder.pad_id
    data.setup()

    # --- loss, module, trainer ---
    alpha = resolve_alpha(settings["loss"]["alpha"], data.class_counts)
    trainer_settings = settings["trainer"]
    epochs, accumulate = trainer_settings["max_epochs"], trainer_settings["accumulate_grad_batches"]
    limit = trainer_settings["limit_train_batches"]
    module = AspectSentimentModule(
        aspects=list(data.labels.aspects),
        without_sentiment=list(data.labels.without_sentiment),
        encoder_config=encoder.config,
        encoder=encoder.module,
        loss=instantiate({**settings["loss"], "alpha": alpha}),
        task=task,
        total_steps=data.optimizer_steps(epochs, accumulate, limit if isinstance(limit, int) else None),
        **model,
    )
    module.classifier.start_at(torch.from_numpy(data.mention_counts / len(data.splits.train)))
    module.tokenizer_json = encoder.tokenizer.to_str()
    trainer_settings["precision"] = resolve_precision(trainer_settings["precision"], trainer_settings["accelerator"])
    show_bar, bar = progress_bar()
    trainer = instantiate(trainer_settings, enable_progress_bar=show_bar, plugins=[AtomicCheckpointIO()], _convert_="all")
    trainer.callbacks += [EpochLine(settings["monitor"]), StopSafely(run.last), *bar]

    configured = None
    if any(o.startswith("trainer.max_epochs=") for o in overrides):
        configured = recompose([o for o in overrides if not o.startswith("trainer.max_epochs=")]).trainer.max_epochs
    log.info(
        facts(
            {
                "Encoder": f"{encoder.name}, {encoder.weights}",
                "Task": f"{task}, monitor {settings['monitor']}",
                "Reviews": ", ".join(
                    f"{name} {len(reviews.texts):,}" for name in ("train", "val", "test") if (reviews := data.reviews(name))
                ),
                "Aspects": f"{len(data.labels.aspects)}: {', '.join(data.labels.aspects)}",
                "Pairs": pairs_line(data.class_counts),
                "Loss": f"{loss_name(settings['loss'])}, gamma {settings['loss']['gamma']:g}, "
                f"alpha {alpha_line(alpha, settings['loss']['alpha'])}",
                "Parameters": f"{parameter_count(module):,}",
                "Epochs": epochs_line(epochs, configured),
                "Device": f"{trainer.accelerator.__class__.__name__.removesuffix('Accelerator')}, "
                f"{trainer.num_devices} x, {torch.get_num_threads()} threads, precision {trainer.precision}",
                "Run": str(run.folder),
            }
        )
    )

    # --- fit ---
    log.info(f"Start-up took {time.monotonic() - started:.1f} s")
    fit_started = time.monotonic()
    loader = data.train_dataloader()
    try:
        trainer.fit(module, loader, data.val_dataloader(), ckpt_path=settings["ckpt_path"], weights_only=True)
    except Interrupted:
        log.warning(f"Stopped. To go on: python train.py {' '.join([*overrides, f'ckpt_path={run.last}'])}")
        raise SystemExit(130) from None
    fit_seconds = time.monotonic() - fit_started

    # --- the best checkpoint, on whole splits ---
    summary_figures, tables = {}, {}
    for split in ("val", "test"):
        if data.reviews(split) is None:
            continue
        predictions = predict(trainer, module, data, split, run.best)
        write_predictions(run.predictions(split), predictions, data.labels, module.threshold)
        counts = evaluate(predictions, module.threshold)
        summary_figures[split] = {k: float(v) for k, v in figures(counts, data.labels, task).items()}
        tables[split] = per_aspect(counts, data.labels, task)
    shown = "test" if "test" in tables else "val"
    best = summary_figures["val"][settings["monitor"].removeprefix("val/")]
    log.info(f"\nBest checkpoint, {shown} split, per aspect:\n{aspect_table(tables[shown], task)}")
    log.info(f"\n{figures_table(summary_figures)}\n")
    run.write_summary(
        {
            "task": task,
            "labels": {
                "aspects": list(data.labels.aspects),
                "without_sentiment": list(data.labels.without_sentiment),
            },
            "monitor": settings["monitor"],
            "best": best,
            "figures": summary_figures,
            "per_aspect": tables,
            "threshold": module.threshold,
            "encoder": {
                "name": encoder.name,
                "weights": encoder.weights,
                "pretrained": encoder.pretrained,
                "why": why,
            },
            "parameters": parameter_count(module),
            "loss": {**settings["loss"], "alpha": alpha, "alpha_setting": settings["loss"]["alpha"]},
            "class_counts": data.class_counts.tolist(),
            "mention_counts": data.mention_counts.tolist(),
            "data": data.findings.to_dict(),
            "epochs": {"asked": epochs, "run": trainer.current_epoch},
            "steps": trainer.global_step,
            "seconds": {"start_up": fit_started - started, "fit": fit_seconds},
            "tokens_per_second": loader.tokens / fit_seconds,
            "device": str(module.device),
            "precision": trainer.precision,
            "config": settings,
            "overrides": overrides,
            "environment": environment(),
        }
    )
    log.info(f"{settings['monitor']} {best:.4f} at the best of {trainer.current_epoch} epochs; all of it in {run.folder}")
    return best


def predict(trainer: Any, module: Any, data: Any, split: str, checkpoint: Path) -> Any:
    """The checkpoint's logits for every review of a split, in the order of its file."""
    import numpy as np

    from src.predictions import Predictions

    batches = trainer.predict(module, data.predict_loader(split), ckpt_path=checkpoint, weights_only=True)
    rows = np.concatenate([batch["row"].numpy() for batch in batches])
    order = np.argsort(rows)
    logits = {head: np.concatenate([b[head].numpy() for b in batches])[order] for head in module.heads}
    reviews = data.reviews(split)
    return Predictions(
        reviews.ids,
        reviews.texts,
        reviews.mentioned,
        reviews.sentiment.astype(np.int64),
        logits["sentiment"],
        logits.get("mentioned"),
    )


def loss_name(loss: dict[str, Any]) -> str:
    return str(loss["_target_"]).rpartition(".")[2]


def plain(config: DictConfig) -> dict[str, Any]:
    """The configuration as dicts, lists and numbers; what is missing is ``???``."""
    container: dict[str, Any] = OmegaConf.to_container(config, resolve=True)  # type: ignore[assignment]
    return container


def recompose(overrides: list[str]) -> DictConfig:
    """The same configuration under other overrides."""
    return hydra.compose("config", overrides)


def main() -> None:
    # Hydra refuses null as the choice of a group; what it says of null is what `equal` means
    sys.argv[1:] = [re.sub(r"\bnull\b", "equal", a) if a.startswith("loss/alpha=") else a for a in sys.argv[1:]]
    job()


if __name__ == "__main__":
    main()
