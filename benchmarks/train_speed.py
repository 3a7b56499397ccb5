#!/usr/bin/env python3
"""Training speed of this project, one way in one process: train_speed.py ENCODER_DIR CSV --way lightning|bare|stock

``lightning`` trains an epoch of ``python train.py experiment=seed`` (of ``model=mini`` if ENCODER_DIR is ``mini``),
without validation and checkpoints. ``bare`` runs the same batches, module and optimizer in a loop in plain torch.
``stock`` is ``lightning`` with transformers' own attention, torch's own dropout, and padding. Prints one JSON object.
One step over the longest batch comes first, untimed, so that memory is allocated; then the whole epoch is timed.
"""

import time

BEGAN = time.perf_counter()

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import lightning.pytorch as L
import torch
from hydra import compose, initialize_config_dir
from hydra.core.hydra_config import HydraConfig
from hydra.utils import instantiate
from omegaconf import open_dict

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import train
from benchmarks.rows import sample_rows
from benchmarks.where import shares
from src.model.dropout import Dropout
from src.runs.run import Run
from src.tokens.batching import Batches
from src.training.building import build_module, build_trainer
from src.training.checks import ENCODER_KEYS
from src.training.loss import alpha_of


def settings_for(encoder: str, csv: Path, folder: Path, overrides: list[str]) -> dict[str, Any]:
    """The settings of experiment=seed (of model=mini for the encoder ``mini``) on ``csv``, without validation."""
    given = ["data=table", "model=mini"] if encoder == "mini" else ["experiment=seed", f"model.encoder={encoder}"]
    given += [f"data.train={csv}", f"data.val={csv}", "data.test=null", "data.dir=null"]
    given += ["trainer.max_epochs=1", "trainer.accumulate_grad_batches=1", "trainer.accelerator=cpu", *overrides]
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        config = compose("config", given, return_hydra_config=True)
        with open_dict(config):
            config.hydra.runtime.output_dir = str(folder)
        HydraConfig.instance().set_config(config)
        with open_dict(config):
            del config["hydra"]
        settings = train.plain(config)
    settings["trainer"] |= {"callbacks": [], "logger": False, "enable_checkpointing": False, "limit_val_batches": 0}
    return settings


class Clock(L.Callback):
    """Measures the seconds of the epoch's steps, without set-up and teardown."""

    def on_train_epoch_start(self, *_: Any) -> None:
        self.began = now()

    def on_train_epoch_end(self, *_: Any) -> None:
        self.seconds = now() - self.began


def now() -> float:
    """The clock's seconds, read after the GPU has done all queued work."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()


def bare_epoch(module: Any, batches: Any, trainer: Any, steps: int | None = None) -> float:
    """Train an epoch (or ``steps``) in plain torch: autocast, backward, clip, fused AdamW, schedule. Seconds."""
    configured = module.configure_optimizers()
    optimizer, scheduler = configured["optimizer"], configured["lr_scheduler"]["scheduler"]
    half, device = "bf16" in str(trainer.precision), next(module.parameters()).device
    module.log = lambda *_, **__: None
    began = now()
    for i, batch in enumerate(batches):
        with torch.autocast(device.type, torch.bfloat16, enabled=half):
            loss = module.training_step(batch, i)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(module.parameters(), 1.0)
        optimizer.step()
        scheduler.step()
        optimizer.zero_grad()
        if i + 1 == steps:
            break
    return now() - began


def products(config: dict[str, Any], tokens: int, squares: int, firsts: tuple[int, int] | None = None) -> int:
    """Floating point operations of a training epoch's matrix products; backward takes twice those of forward.

    ``tokens`` is the number of tokens computed, padding included; ``squares`` the sum over reviews of their padded
    length squared, for attention. ``firsts`` is given if the last layer computes the first token alone: the number of
    reviews, and of their tokens in attention's grid.
    """
    h, f, layers = config["hidden_size"], config["intermediate_size"], config["num_hidden_layers"]
    keys, rest = 2 * h * h, 2 * h * h + 2 * h * f  # numbers of weights in a layer: keys and values; the others
    whole = layers if firsts is None else layers - 1
    total = whole * (2 * tokens * (keys + rest) + 2 * squares * 2 * h)
    if firsts is not None:
        total += 2 * tokens * keys + 2 * firsts[0] * rest + 2 * firsts[1] * 2 * h
    return 3 * total


def work(loader: Batches) -> tuple[int, int, int]:
    """Of an epoch: tokens computed, padding included; the sum of squared padded lengths; cells of attention's grids."""
    computed = squares = cells = 0
    for batch in map(loader.batch, loader.plan.batches(0)):
        grid = batch["input_ids"]
        packing = batch.get("packing")
        computed += grid.numel() if packing is None else len(packing.positions)
        squares += sum(rows * width**2 for rows, width in (packing.tiles.shapes if packing else [grid.shape]))
        cells += grid.numel()
    return computed, squares, cells


def make_stock(module: Any) -> None:
    """Undo this project's changes to an encoder: give it back torch's attention and dropout."""
    module.classifier.encoder.set_attn_implementation("sdpa")
    for part in module.modules():
        for name, child in part.named_children():
            if isinstance(child, Dropout):
                setattr(part, name, torch.nn.Dropout(child.p))


def main() -> None:
    """Build everything as train.py does, run one step, then time an epoch."""
    p = argparse.ArgumentParser()
    p.add_argument("encoder")
    p.add_argument("csv", type=Path)
    p.add_argument("--way", choices=["lightning", "bare", "stock"], default="lightning")
    p.add_argument("--rows", type=int, default=192, help="0: all of them")
    p.add_argument("--profile", action="store_true", help="where the time goes, in place of how much it is")
    p.add_argument("overrides", nargs="*", help="settings, as for train.py")
    a = p.parse_intermixed_args()  # settings may stand behind options
    with tempfile.TemporaryDirectory() as name:
        csv = sample_rows(a.csv, a.rows, Path(name) / "rows.csv") if a.rows else a.csv
        settings = settings_for(a.encoder, csv, Path(name), a.overrides)
        L.seed_everything(settings["seed"], verbose=False)
        data = instantiate(settings["data"])
        alpha = alpha_of(settings["loss"], data.class_counts, data.labels.sentiments)
        source = {key: settings["model"].pop(key) for key in ENCODER_KEYS if key in settings["model"]}
        encoder = train.bring_encoder(settings, source, data)
        data.packed = data.packed and a.way != "stock"
        data.setup()
        module = build_module(settings, data, encoder, alpha)
        trainer = build_trainer(settings, Run(Path(name)))
        module.to(data.device)
        loader = data.train_dataloader()
        module.trainer = trainer
        if a.way == "stock":
            make_stock(module)
        start_up = time.perf_counter() - BEGAN
        lengths, plan = loader.split.lengths, loader.plan
        longest = max(plan.batches(0), key=lambda rows: lengths[rows].max())
        log = module.log
        bare_epoch(module, [loader.batch(longest)], trainer)
        if a.profile:
            kinds = shares(lambda: bare_epoch(module, loader, trainer))
            print("\n".join(f"{share:6.1%}  {kind}" for kind, share in kinds.items()))
            return
        if a.way == "bare":
            seconds = bare_epoch(module, loader, trainer)
        else:
            module.log = log
            trainer.callbacks.append(clock := Clock())
            trainer.fit(module, loader)
            seconds = clock.seconds
    computed, squares, cells = work(loader)
    first_only = getattr(encoder.module, "first_token_only", False)
    flops = products(encoder.module.config.to_dict(), computed, squares, (len(lengths), cells) if first_only else None)
    print(
        json.dumps(
            {
                "reviews_per_second": len(lengths) / seconds,
                "tokens_per_second": int(lengths.sum()) / seconds,
                "computed_per_token": computed / int(lengths.sum()),
                "gflops": flops / seconds / 1e9,
                "precision": str(trainer.precision),
                "gpu_mib": torch.cuda.max_memory_allocated() / 2**20 if data.device == "cuda" else 0,
                "seconds": seconds,
                "seconds_to_first_step": start_up,
            }
        )
    )


if __name__ == "__main__":
    main()
