#!/usr/bin/env python3
"""Training speed of this project, one way in one process: train_speed.py ENCODER_DIR CSV --way lightning|bare

``lightning`` is what ``python train.py experiment=seed`` does in an epoch, without its validation and its checkpoints;
``bare`` takes the same batches, module and optimizer through a loop in plain torch. ENCODER_DIR may be ``mini``. Prints
one JSON object. One step over the longest batch comes before the clock starts; the epoch is then timed whole.
"""

import argparse
import json
import sys
import tempfile
import time
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

import train  # noqa: E402
from benchmarks.rows import sample_rows  # noqa: E402
from benchmarks.where import shares  # noqa: E402
from src.batching import padding_share  # noqa: E402
from src.checks import ENCODER_KEYS  # noqa: E402
from src.encoder import load_encoder  # noqa: E402
from src.focal import resolve_alpha  # noqa: E402
from src.runs import Run  # noqa: E402


def settings_for(encoder: str, csv: Path, folder: Path, overrides: list[str]) -> dict[str, Any]:
    """The recipe of experiment=seed on ``csv``, as plain values, without validation and checkpoints."""
    given = ["experiment=seed", f"data.train={csv}", f"data.val={csv}", "data.test=null", "data.dir=null"]
    given += ["model=mini"] if encoder == "mini" else [f"model.encoder={encoder}"]
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
    """Seconds of the epoch, its steps alone."""

    def on_train_epoch_start(self, *_: Any) -> None:
        self.began = time.perf_counter()

    def on_train_epoch_end(self, *_: Any) -> None:
        self.seconds = time.perf_counter() - self.began


def bare_epoch(module: Any, batches: Any, trainer: Any, steps: int | None = None) -> float:
    """Seconds of an epoch in plain torch: autocast, backward, clip, fused AdamW, schedule."""
    configured = module.configure_optimizers()
    optimizer, scheduler = configured["optimizer"], configured["lr_scheduler"]["scheduler"]
    half = "bf16" in str(trainer.precision)
    module.log = lambda *_, **__: None
    began = time.perf_counter()
    for i, batch in enumerate(batches):
        with torch.autocast("cpu", torch.bfloat16, enabled=half):
            loss = module.training_step(batch, i)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(module.parameters(), 1.0)
        optimizer.step()
        scheduler.step()
        optimizer.zero_grad()
        if i + 1 == steps:
            break
    return time.perf_counter() - began


def products(config: dict[str, Any], tokens: int, squares: int) -> int:
    """Floating point operations of a training epoch's matrix products: 2 an entry forward, twice that backward.

    ``tokens`` computed, padding included; ``squares`` is the sum of (tokens of a review, padded)^2, for attention.
    """
    h, f, layers = config["hidden_size"], config["intermediate_size"], config["num_hidden_layers"]
    return 3 * layers * (2 * tokens * (4 * h * h + 2 * h * f) + 2 * squares * 2 * h)


def main() -> None:
    """Build everything as train.py does, step once, then time an epoch."""
    p = argparse.ArgumentParser()
    p.add_argument("encoder")
    p.add_argument("csv", type=Path)
    p.add_argument("--way", choices=["lightning", "bare"], default="lightning")
    p.add_argument("--rows", type=int, default=192, help="0: all of them")
    p.add_argument("--profile", action="store_true", help="where the time goes, in place of how much it is")
    p.add_argument("overrides", nargs="*", help="settings, as for train.py")
    a = p.parse_intermixed_args()  # settings may stand behind options
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as name:
        csv = sample_rows(a.csv, a.rows, Path(name) / "rows.csv") if a.rows else a.csv
        settings = settings_for(a.encoder, csv, Path(name), a.overrides)
        L.seed_everything(settings["seed"], verbose=False)
        data = instantiate(settings["data"])
        alpha = resolve_alpha(settings["loss"]["alpha"], data.class_counts)
        source = {key: settings["model"].pop(key) for key in ENCODER_KEYS if key in settings["model"]}
        encoder = load_encoder(
            texts=data.splits.train.texts, pooling=settings["model"]["pooling"], max_length=data.max_length, **source
        )
        data.tokenizer, data.pad_id = encoder.tokenizer, encoder.pad_id
        data.packed = data.packed and encoder.packs
        data.setup()
        module = train.build_module(settings, data, encoder, alpha)
        trainer = train.build_trainer(settings, Run(Path(name)))
        loader = data.train_dataloader()
        module.trainer = trainer
        start_up = time.perf_counter() - started
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
    widths = [int(lengths[rows].max()) for rows in plan.batches(0)]
    sizes = [len(rows) for rows in plan.batches(0)]
    computed = sum(w * n for w, n in zip(widths, sizes, strict=True))
    flops = products(
        encoder.module.config.to_dict(), computed, sum(w * w * n for w, n in zip(widths, sizes, strict=True))
    )
    print(
        json.dumps(
            {
                "reviews_per_second": len(lengths) / seconds,
                "tokens_per_second": int(lengths.sum()) / seconds,
                "computed_per_token": padding_share(lengths, plan.batches(0)),
                "gflops": flops / seconds / 1e9,
                "precision": str(trainer.precision),
                "seconds": seconds,
                "seconds_to_first_step": start_up,
            }
        )
    )


if __name__ == "__main__":
    main()
