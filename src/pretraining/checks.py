"""Check the whole configuration of a pre-training before any file is read: one error lists every fault."""

import inspect
import math
from pathlib import Path
from typing import Any

from ..data.noise import noise_faults
from ..errors import UserError
from ..runs.overrides import no_such_setting
from ..training.checks import (
    argument_faults,
    call_faults,
    compile_faults,
    model_faults,
    refused,
    trainer_faults,
)
from ..training.ranges import RANGES as TRAINING
from ..training.ranges import range_faults
from ..training.targets import hints
from .masked_lm import MaskedLanguageModel

PRETRAINING_KEYS = ("data", "model", "pretraining", "trainer", "callbacks", "logger", "seed", "ckpt_path")
OWN_RANGES: tuple[tuple[str, float, float, str], ...] = (
    ("pretraining.lr", 0, math.inf, "a number, at least 0"),
    ("pretraining.weight_decay", 0, math.inf, "a number, at least 0"),
    ("pretraining.dropout", 0, 1, "a number in [0, 1)"),
    ("pretraining.warmup", 0, 1, "a share of the steps, in [0, 1)"),
    ("data.val", 1e-9, 1, "a share of the texts, between 0 and 1"),
    ("data.mask", 1e-9, 1, "a share of the words, between 0 and 1"),
    ("data.max_length", 3, math.inf, "at least 3 tokens: begin, one token, end"),
    ("data.tokens_per_batch", 1, math.inf, "at least 1 token"),
    ("trainer.max_epochs", 1, math.inf, "an integer, at least 1"),
)
TYPES = ("float32", "float16")


def check_pretraining(config: dict[str, Any]) -> None:
    """Raise UserError with every fault of a resolved configuration (plain dicts and lists)."""
    faults = [no_such_setting(key, config="pretrain") for key in config if key not in PRETRAINING_KEYS]
    faults += call_faults(config)
    faults += model_faults(config["model"]) + noise_faults(config["data"].get("noise"))
    own = dict(config["pretraining"])
    if own.pop("save_as", None) not in TYPES:
        faults.append(f"pretraining.save_as={config['pretraining'].get('save_as')}: expected {' or '.join(TYPES)}")
    if own.get("lr", 0) is None:
        del own["lr"]
    known = {
        k: p for k, p in inspect.signature(MaskedLanguageModel).parameters.items() if k not in ("model", "total_steps")
    }
    faults += argument_faults("pretraining", own, known, hints(MaskedLanguageModel))
    faults += range_faults(config, tuple({entry[0]: entry for entry in (*TRAINING, *OWN_RANGES)}.values()))
    faults += refused(config["trainer"], ("max_steps", "fast_dev_run", "overfit_batches")) + compile_faults(config)
    if config["data"].get("texts") == "???":
        faults.append("data.texts: is missing; a file of texts, e.g. data.texts=my_reviews.txt")
    if config["model"].get("encoder") == "auto":
        faults.append("model=auto: name the encoder to pre-train: model=mini, model=visobert, or model.encoder=FOLDER")
    if config["ckpt_path"] not in (None, "last") and not Path(config["ckpt_path"]).is_file():
        faults.append(f"ckpt_path={config['ckpt_path']}: no such file; ckpt_path=last takes the newest run's")
    if config["trainer"].get("strategy") not in (None, "auto"):
        faults.append("trainer.strategy: pre-training runs on one device; take trainer=default")
    faults += trainer_faults(config["trainer"], multirun=False)
    if faults:
        raise UserError(faults)
