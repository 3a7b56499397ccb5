"""The numbers that settings may have."""

import math
from typing import Any

SIZE_KEYS = {  # key of model.size -> key of config.json
    "vocab_size": "vocab_size",
    "hidden_size": "hidden_size",
    "layers": "num_hidden_layers",
    "heads": "num_attention_heads",
    "intermediate_size": "intermediate_size",
}
# (key, least, below, what is expected)
RANGES: tuple[tuple[str, float, float, str], ...] = (
    ("loss.gamma", 0, math.inf, "a number, at least 0"),
    ("loss.label_smoothing", 0, 1, "a number in [0, 1)"),
    ("model.dropout", 0, 1, "a number in [0, 1)"),
    ("model.attention_dropout", 0, 1, "a number in [0, 1)"),
    ("model.warmup", 0, 1, "a share of the steps, in [0, 1)"),
    ("model.encoder_lr", 0, math.inf, "a number, at least 0"),
    ("model.head_lr", 0, math.inf, "a number, at least 0"),
    ("model.weight_decay", 0, math.inf, "a number, at least 0"),
    ("model.r_drop", 0, math.inf, "a number, at least 0"),
    ("model.teacher_weight", 0, math.nextafter(1, 2), "a share of the loss, in [0, 1]"),
    ("model.teacher_temperature", 1e-9, math.inf, "more than 0"),
    ("model.detection_weight", 0, math.inf, "a number, at least 0"),
    ("model.rare_aspects", 0, math.inf, "a number, at least 0: 0.5 is the root of the inverse frequency"),
    ("model.threshold", 0, 1, "a probability in [0, 1)"),
    ("model.head_width", 1, math.inf, "at least 1"),
    ("data.max_length", 3, math.inf, "at least 3 tokens: begin, one token, end"),
    ("data.batch_size", 1, math.inf, "at least 1 review"),
    ("data.eval_batch_size", 1, math.inf, "at least 1 review"),
    ("data.tokens_per_batch", 1, math.inf, "at least 1 token"),
    ("trainer.max_epochs", 1, math.inf, "at least 1"),
    ("trainer.limit_train_batches", 1e-9, math.inf, "more than 0"),
    ("trainer.limit_val_batches", 1e-9, math.inf, "more than 0: the best epoch is chosen on validation"),
    ("trainer.save_every_minutes", 1e-9, math.inf, "more than 0 minutes, or null for the ends of epochs alone"),
    ("trainer.accumulate_grad_batches", 1, math.inf, "at least 1"),
    ("seed", 0, 2**32, "an integer in [0, 2^32)"),
    *((f"model.size.{key}", 1, math.inf, "at least 1") for key in SIZE_KEYS),
)


def range_faults(config: dict[str, Any], ranges: tuple[tuple[str, float, float, str], ...]) -> list[str]:
    """Faults of numbers outside their range: at least the second of an entry's values, below its third."""
    faults = []
    for key, least, below, expected in ranges:
        value: Any = config
        for part in key.split("."):
            value = value.get(part) if isinstance(value, dict) else None
        if isinstance(value, int | float) and not isinstance(value, bool) and not least <= value < below:
            faults.append(f"{key}={value}: expected {expected}")
    return faults
