"""Train a model: compose, check, seed, fit, test the best, sum up. `python train.py --help` shows the settings."""

import time

BEGAN = time.monotonic()  # before the imports, which take most of the start-up

import logging
import math
import re
import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from src.errors import UserError, refuse, tell
from src.judge.trained import train as train  # for `from train import train`, as in a notebook
from src.runs.folder import alone_in
from src.runs.overrides import explained
from src.runs.run import Run
from src.spelling import override, pasted
from src.sweeps.jobs import command_again, command_to_go_on, take_up
from src.sweeps.multirun import check_launcher
from src.training.launched import launched
from src.training.ranks import follow, leave, rank, summed, together
from src.training.scripts import run as run_script

if TYPE_CHECKING:
    import lightning.pytorch as L

    from src.datamodule import AspectDataModule
    from src.model.encoder import Encoder
    from src.runs.summary import EncoderFacts
    from src.training.init_from import Earlier

# What takes seconds to import is imported in the functions that need it: --help and a mistyped override answer at once.

log = logging.getLogger("train")
jobs: list[DictConfig] = []  # configurations of the jobs begun in this process


@hydra.main(config_path="conf", config_name="config", version_base="1.3")
def job(config: DictConfig) -> float:
    """One run; returns the monitored figure of its best checkpoint, which a sweeper looks for the best of."""
    jobs.append(config)
    many = HydraConfig.get().mode == RunMode.MULTIRUN
    try:
        with alone_in(HydraConfig.get().runtime.output_dir, config), all_there():
            return run_training(config, again=many)
    except UserError as error:
        if many:
            tell(error)
            raise  # src.sweeps records the failure, and the next job begins
        refuse(error)


def run_training(config: DictConfig, callbacks: "Sequence[L.Callback]" = (), again: bool = False) -> float:
    """Train a composed configuration; return the monitored figure of the best checkpoint. Raises UserError.

    ``again``: a run that is finished in this folder already is not trained again, and an unfinished one goes on.
    """
    started = BEGAN if __name__ == "__main__" and not again else time.monotonic()
    overrides = list(HydraConfig.get().overrides.task)
    settings, source, why = resolve(config, overrides)

    import lightning.pytorch as L
    from hydra.utils import instantiate
    from tqdm.contrib.logging import logging_redirect_tqdm

    from src.judge.best import judge_best
    from src.judge.teacher import teacher_of
    from src.judge.words import taught
    from src.runs.folder import check_room
    from src.training.building import build_module, build_trainer, with_epochs
    from src.training.callbacks import TrainingStopped
    from src.training.init_from import earlier
    from src.training.loggers import begin, log_outcome
    from src.training.loss import alpha_of
    from src.training.meeting import check_alike, told_by_first
    from src.training.progress import quiet
    from src.training.resume import find_checkpoint, go_on_from, shared_settings
    from src.training.summary import choices, configured_epochs, not_visobert, start_up, summary

    run = Run(HydraConfig.get().runtime.output_dir)
    if again and (done := take_up(run, settings)) is not None:
        return done

    quiet()
    checkpoint = told_by_first(lambda: find_checkpoint(settings["ckpt_path"], config, run.folder))
    begun = earlier(given, checkpoint, settings["model"], source) if (given := settings.get("init_from")) else None
    log.info(f"Encoder: {source['encoder']} ({why})")
    L.seed_everything(settings["seed"], verbose=False)
    data: AspectDataModule = instantiate(settings["data"])
    configured, settings = settings, with_epochs(settings, len(data.splits.train))
    log.info("\n".join(data.findings.lines()))
    alpha = alpha_of(settings["loss"], data.class_counts, data.labels.sentiments)
    teacher = told_by_first(lambda: teacher_of(settings, data, run, checkpoint, first=not rank()))
    data.teacher = teacher.logits if teacher else None
    encoder = bring_encoder(settings, source, data, begun)
    if warning := not_visobert(encoder, config["model"]["encoder"] != "auto", why):
        log.warning(warning)
    data.setup()

    module = build_module(settings, data, encoder, alpha)
    module.origin |= {"settings": shared_settings(config), "init_from": begun.origin if begun else None}
    module.origin["the teacher's logits"] = teacher.hash if teacher else None
    if begun is not None and checkpoint is None:
        log.info("\n".join(begun.take_heads(module)))
    check_alike(module.origin)
    told_by_first(lambda: check_room(run.folder, module))
    if checkpoint is not None:
        checkpoint = go_on_from(checkpoint, module, run.last.parent, settings["trainer"]["max_epochs"])
    run.begin(config)
    lesson = teacher.facts(settings["model"]) if teacher else None
    if teacher and not rank():
        teacher.write(run)
    trainer = build_trainer(settings, run, callbacks)
    begin(trainer.loggers, settings)
    log.info(start_up(settings, data, encoder, module, trainer, configured_epochs(overrides), run.folder))
    if lesson:
        log.info(f"Learns from: {taught(lesson)}")
    seconds = {"start_up": time.monotonic() - started}
    log.info(f"Start-up took {seconds['start_up']:.1f} s")

    loader = data.train_dataloader()
    started = time.monotonic()
    try:
        with logging_redirect_tqdm(), together(trainer):  # lines of the log above the bar, not through it
            trainer.fit(module, loader, data.val_dataloader(), ckpt_path=checkpoint, weights_only=True)
            tokens = summed(loader.tokens, trainer.strategy.root_device)
    except TrainingStopped:
        log.warning(f"Stopped. To go on: {command_again() if again else going_on()}")
        raise SystemExit(0 if rank() else 130) from None
    seconds["fit"] = time.monotonic() - started
    if not leave():
        return math.nan  # the first process judges, alone

    judged = judge_best(settings, data, module, trainer, run, settings["monitor"])
    best = judged["best"]
    facts: EncoderFacts = {**encoder.facts, "why": why, "settings": source}
    told: dict[str, Any] = {"tokens": tokens, "overrides": overrides, "choices": choices(source)}
    content = summary(configured, data, module, trainer, judged, alpha, facts, seconds, **told)
    if lesson:
        content["teacher"] = lesson
    run.write_summary(content)
    log_outcome(trainer.loggers, judged, trainer.global_step)
    at = (
        f" (threshold {judged['thresholds']['global']:.3g})"
        if module.task == "absa" and settings["mode"] == "max"
        else ""
    )
    log.info(
        f"Best of {trainer.current_epoch} epochs by {settings['monitor']}: {best:.4f}{at}. All of it: {run.folder}"
    )
    run.seal()
    return best


def resolve(config: DictConfig, overrides: list[str]) -> tuple[dict[str, Any], dict[str, Any], str]:
    """Checked settings as plain values, load_encoder's among them apart, and why that encoder. Raises UserError."""
    from src.model.hub import choose
    from src.training.checks import ENCODER_KEYS, check_config
    from src.training.meeting import begin_as_one, told_by_first

    many = HydraConfig.get().mode == RunMode.MULTIRUN
    begin_as_one(lambda: check_config(plain(config), multirun=many), lambda: plain(config))
    why = "as configured"
    if config.model.encoder == "auto":
        name, why = told_by_first(choose)
        config = hydra.compose("config", [*(o for o in overrides if not re.match(r"\+*model=", o)), f"model={name}"])
        if HydraConfig.get().mode == RunMode.RUN:
            sys.argv.append(f"model={name}")  # ddp's other processes must train the same encoder, so they do not ask
        check_config(plain(config))
    settings = plain(config)
    source = {key: settings["model"].pop(key) for key in ENCODER_KEYS if key in settings["model"]}
    return settings, source, why


def bring_encoder(
    settings: dict[str, Any], source: dict[str, Any], data: "AspectDataModule", begun: "Earlier | None" = None
) -> "Encoder":
    """Load the encoder, or take that of ``begun``; set its tokenizer, packing, rank and device on ``data``.

    Raises UserError.
    """
    from src.model.encoder import load_encoder
    from src.training.devices import take_part

    texts, pooling = data.splits.train.texts, settings["model"]["pooling"]
    if begun is not None:
        encoder = begun.encoder(source, data.max_length)
    else:
        encoder = load_encoder(texts=texts, pooling=pooling, max_length=data.max_length, **source)
    data.tokenizer, data.pad_id = encoder.tokenizer, encoder.pad_id
    data.packed = data.packed and encoder.packs
    take_part(data, settings["trainer"])
    return encoder


def plain(config: DictConfig) -> dict[str, Any]:
    """The configuration as dicts, lists and plain values; a missing one is ``???``. Raises UserError."""
    try:
        container: dict[str, Any] = OmegaConf.to_container(config, resolve=True)  # type: ignore[assignment]
    except OmegaConfBaseException as error:  # a ${...} that names no setting
        raise UserError(explained(error)) from None
    return container


def all_there() -> AbstractContextManager[None]:
    """Around a job of several processes that torchrun or srun started: the loss of one is told in one message."""
    if launched() is None:
        return nullcontext()
    from src.training.meeting import loss_told

    return loss_told(lambda: f"To go on from the last checkpoint: {going_on()}")


def going_on() -> str:
    """What is typed to go on with the run, by whatever started its processes."""
    if (start := launched()) is None:
        return command_to_go_on("train.py")
    words = pasted([override("hydra.run.dir", HydraConfig.get().runtime.output_dir), "ckpt_path=last"])
    return f"the same {start.by} command{' on every machine' * (start.by == 'torchrun')}, with {words}"


def main() -> None:
    """The command line, as Hydra reads it, with a user's mistake always ending in exit status 2."""
    sys.argv += follow()
    run_script(checked_job, begun=jobs)


def checked_job() -> None:
    """Run the job. Raises UserError if the launcher that it asks for is not installed."""
    check_launcher(sys.argv[1:])
    job()


if __name__ == "__main__":
    main()
