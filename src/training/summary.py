"""The words and tables that a training prints: what it is about to do, and what came of it."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import hydra
import lightning.pytorch as L
import numpy as np
import torch
from hydra.core.hydra_config import HydraConfig
from torch import nn

from ..answers.figures import LOSS, told_left_out
from ..datamodule import AspectDataModule
from ..errors import listed
from ..labels import Labels
from ..lit_module import AspectSentimentModule
from ..model.classifier import parameter_count
from ..model.encoder import Encoder, positions
from ..runs.run import environment
from ..runs.summary import Cuts, DataFacts, EncoderFacts, Judged, LabelNames, Summary
from ..spelling import cell, table
from .loss import Alpha, description, loss_facts

HARDLY_LEARNED = 10  # mentions in training, below which an aspect costs more than it gives


def pairs_line(class_counts: np.ndarray, labels: Labels) -> str:
    """Class counts int64 [A, C] in words: ``29,041: positive 9,880 (34.02 %), negative ...``."""
    totals = class_counts.sum(0)
    total = max(1, int(totals.sum()))
    named = zip(labels.sentiments, totals.tolist(), strict=True)
    shares = (f"{name} {n:,} ({100 * n / total:.2f} %)" for name, n in named)
    return f"{int(totals.sum()):,}: {', '.join(shares)}"


def epochs_line(epochs: int, configured: int | str | None) -> str:
    """The epochs and where they were set; ``configured``: the config's number if the command line changes it."""
    if configured is None:
        return f"{epochs} (from the config)"
    return f"{epochs} (from the command line; the config says {configured})"


def configured_epochs(overrides: list[str]) -> int | str | None:
    """The configuration's number of epochs, or ``auto``, if ``overrides`` change it, else None."""
    rest = [o for o in overrides if not re.match(r"\+{0,2}trainer.max_epochs=", o)]
    return None if rest == overrides else cast(int | str, hydra.compose("config", rest).trainer.max_epochs)


def start_up(
    settings: dict[str, Any],
    data: AspectDataModule,
    encoder: Encoder,
    module: AspectSentimentModule,
    trainer: L.Trainer,
    configured_epochs: int | str | None,
    folder: Path,
) -> str:
    """What a run is about to train, as lines for the log: a wrong setting is seen before hours are spent."""
    aspects = data.labels.aspects
    sizes = {name: data.reviews(name) for name in ("train", "val", "test")}
    accelerator = type(trainer.accelerator).__name__.removesuffix("Accelerator")
    different = " (losses of different gamma or alpha do not compare)" if settings["monitor"] == LOSS else ""
    cut = cut_line(data, positions(module.classifier.encoder.config))
    return facts(
        {
            "Encoder": f"{encoder.name}, {encoder.weights}",
            "Task": f"{settings['task']['name']}, monitor {settings['monitor']}{different}",
            "Reviews": ", ".join(f"{name} {len(reviews):,}" for name, reviews in sizes.items() if reviews is not None),
            **({"Cut": cut} if cut else {}),
            "Aspects": f"{len(aspects)}: {', '.join(aspects)}",
            "Pairs": pairs_line(data.class_counts, data.labels),
            **({"Few": few} if (few := few_line(data.mention_counts, aspects)) else {}),
            "Loss": description(cast(nn.Module, module.loss), settings["loss"]),
            "Parameters": f"{parameter_count(module):,}",
            "Rates": f"encoder {module.encoder_rate:g}, head {module.hparams['head_lr']:g}",
            "Epochs": epochs_line(settings["trainer"]["max_epochs"], configured_epochs),
            "Device": f"{_devices(accelerator, trainer)}, precision {trainer.precision}",
            "Run": str(folder),
        }
    )


def few_line(mention_counts: np.ndarray, aspects: Sequence[str]) -> str:
    """The aspects with fewer than :data:`HARDLY_LEARNED` mentions in training, and what to do; empty if none is so.

    ``mention_counts`` int64 [A].
    """
    few = [f"{name} {n}" for name, n in zip(aspects, mention_counts.tolist(), strict=True) if n < HARDLY_LEARNED]
    if not few:
        return ""
    return (
        f"under {HARDLY_LEARNED} mentions in training: {listed(few)}. An aspect so rare is hardly learned, and\n"
        "costs in every macro figure: label more reviews of it, or leave it out (data.ignore_columns, in a wide table)"
    )


def cut_line(data: AspectDataModule, limit: int | None) -> str:
    """How many texts are longer than ``data.max_length``, and what follows; empty if none is.

    ``limit`` is the number of tokens that the encoder reads at most, None without a limit.
    """
    lost = {name: data.beyond(name) for name in ("train", "val", "test")}
    parts = []
    for name, beyond in lost.items():
        if n := int((beyond > 0).sum()):
            tokens = int(beyond.sum())
            split = data.tokenised(name)
            assert split is not None
            share = 100 * tokens / (tokens + len(split.ids))
            parts.append(
                f"{name} {n:,} of {len(beyond):,} texts ({100 * n / len(beyond):.1f} %), "
                f"{tokens:,} of their tokens ({share:.1f} % of the split's)"
            )
    if not parts:
        return ""
    more = "" if limit == data.max_length else f"data.max_length up to {limit:,} cuts fewer. " if limit else ""
    return (
        f"at data.max_length={data.max_length} tokens: {'; '.join(parts)}.\nTraining and the figures of an epoch do "
        f"without them. {more}Judging, absa predict and\nthe service read a long review whole, in windows."
    )


def nothing_learned(monitor: str, best: float, constant: float) -> str:
    """The warning that the best epoch is hardly better than a constant answer, and what to change."""
    return (
        f"WARNING: the model has learned next to nothing: {monitor} is {best:.4f}, one answer for every review has "
        f"{constant:.4f}.\nTry higher rates (model.encoder_lr, model.head_lr), more steps (trainer.max_epochs, a "
        "smaller data.batch_size)\nor model.pooling=label, and read what the data check said above."
    )


def _devices(name: str, trainer: L.Trainer) -> str:
    if trainer.world_size == 1:
        return f"{name}, {torch.get_num_threads()} threads"
    on = f" on {trainer.num_nodes} machines" if trainer.num_nodes > 1 else ""
    return f"{trainer.world_size} x {name}{on} ({type(trainer.strategy).__name__.removesuffix('Strategy')})"


def not_visobert(encoder: Encoder, chosen: bool, why: str) -> str | None:
    """The warning that the encoder is not pre-trained ViSoBERT; None if it is, or a pre-trained one is ``chosen``.

    ``why`` is the reason why this encoder was taken.
    """
    if not encoder.pretrained:
        what = f"The encoder starts from random weights: {why}."
    elif chosen or encoder.name != "mini":
        return None
    else:
        what = f"The small encoder is trained in the place of ViSoBERT: {why}."
    return banner(f"{what}\nIts figures are below those of pre-trained ViSoBERT. To train that one: model=visobert")


def summary(
    settings: dict[str, Any],
    data: AspectDataModule,
    module: AspectSentimentModule,
    trainer: L.Trainer,
    judged: Judged,
    alpha: Alpha,
    encoder: EncoderFacts,
    seconds: dict[str, float],
    *,
    tokens: int,
    overrides: list[str],
    choices: dict[str, str],
) -> Summary:
    """The content of ``summary.json``: the figures, and all that is needed to understand and to repeat the run.

    ``seconds`` has ``start_up`` and ``fit``; ``tokens`` is the number of tokens trained on, without padding.
    """
    return {
        **judged,  # type: ignore[typeddict-item]  # what is not required is added where there is one
        "task": settings["task"]["name"],
        "labels": cast(LabelNames, data.labels.lists()),
        "monitor": settings["monitor"],
        "threshold": module.threshold,
        "parameters": parameter_count(module),
        "loss": loss_facts(settings["loss"], cast(nn.Module, module.loss), alpha),
        "class_counts": data.class_counts.tolist(),
        "mention_counts": data.mention_counts.tolist(),
        "data": cast(DataFacts, data.findings.to_dict()),
        "precision": str(trainer.precision),
        "encoder": encoder,
        "seconds": seconds,
        "overrides": overrides,
        "choices": choices,
        "epochs": {"asked": trainer.max_epochs or 0, "run": trainer.current_epoch},
        "steps": trainer.global_step,
        "processes": trainer.world_size,
        "tokens_per_second": tokens / seconds["fit"],
        "device": str(module.device),
        "config": settings,
        "environment": environment(),
    }


def choices(source: dict[str, Any]) -> dict[str, str]:
    """The choice of each group of ``conf/``; for ``model=auto`` the model that was taken, ``source`` its encoder."""
    chosen = {group: str(c) for group, c in HydraConfig.get().runtime.choices.items() if c and "hydra/" not in group}
    if chosen.get("model") == "auto":
        chosen["model"] = "mini" if source["encoder"] == "mini" else "visobert"
    return chosen


def facts(lines: Mapping[str, str]) -> str:
    """Aligned ``Name: words`` lines; further lines of a value are indented below it."""
    width = max(map(len, lines)) + 1
    return "\n".join(
        f"{name + ':':<{width}} " + value.replace("\n", "\n" + " " * (width + 1)) for name, value in lines.items()
    )


def banner(text: str) -> str:
    """``text`` in a frame, so that a warning stands out in a page of log."""
    lines = text.split("\n")
    rule = "!" * (max(map(len, lines)) + 6)
    return "\n".join([rule, *(f"!! {line}" for line in lines), rule])


def aspect_table(rows: Sequence[Mapping[str, Any]], task: str) -> str:
    """The per-aspect figures of :func:`src.answers.figures.per_aspect`, for a terminal of 100 columns."""
    columns = {"aspect": "aspect", "mentioned": "gold"}
    if task == "absa":
        columns |= {"predicted": "said", "precision": "prec.", "recall": "recall", "f1": "F1", "pair_f1": "pair F1"}
    columns |= {"sentiment_accuracy": "sent. acc.", "sentiment_f1": "sent. F1"}
    return table([list(columns.values()), *([cell(row[key]) for key in columns] for row in rows)])


def figures_table(judged: Judged, threshold: float, task: str) -> str:
    """A row a figure, a column a split; for ``absa`` also at ``threshold``, and without the texts trained on.

    Below it how detection is cut, and what a macro mean leaves out.
    """
    columns: dict[str, Mapping[str, float]] = dict(judged["figures"])
    if task == "absa":
        columns |= {f"{split} at {threshold:g}": values for split, values in judged["figures_untuned"].items()}
    columns |= {
        f"{s}, not trained on": found["figures"] for s, found in judged["trained_on"].items() if found["figures"]
    }
    names = list(next(iter(judged["figures"].values())))
    rows = [["", *columns], *([name, *(cell(values[name], 4) for values in columns.values())] for name in names)]
    notes = [cuts_line(judged["thresholds"])] if task == "absa" else []
    for split, named in judged["left_out"].items():
        notes += told_left_out(named, f" on {split}")
    return "\n".join([table(rows), *notes])


def cuts_line(cuts: Cuts) -> str:
    """How detection is cut, in words."""
    each = set(cuts["per_aspect"])
    if each == {0.5}:
        return "Detection thresholds: 0.5, as set or as tuning on val would not pay."
    return f"Detection thresholds were tuned on val: {'one for each aspect' if len(each) > 1 else f'{each.pop():.3g}'}."
