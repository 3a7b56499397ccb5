"""What the machine does well: the precision and the kind of attention that are fastest on it."""

import torch
from transformers import PreTrainedModel

from src.attention import PLAIN


def device_of(accelerator: str) -> str:
    """``cuda``, ``mps`` or ``cpu``: where a Trainer with this ``accelerator`` will compute."""
    if accelerator in ("auto", "gpu", "cuda") and torch.cuda.is_available():
        return "cuda"
    if accelerator in ("auto", "gpu", "mps") and torch.backends.mps.is_available():
        return "mps"
    return "cpu"


def resolve_precision(precision: str | int, accelerator: str) -> str:
    """``auto`` -> ``bf16-mixed`` or ``32-true`` for the device that will be used; anything else as it is.

    Without AVX512_BF16 or AMX a processor emulates bfloat16, 40 to 500 times slower than float32; with either, matrix
    products are about 4 times faster.
    """
    if precision != "auto":
        return str(precision)
    device = device_of(accelerator)
    if device == "cuda":
        return "bf16-mixed" if torch.cuda.is_bf16_supported(including_emulation=False) else "32-true"
    return "bf16-mixed" if device == "cpu" and _cpu_has_bf16() else "32-true"


def attention_for(accelerator: str, encoder: PreTrainedModel) -> str:
    """Which attention transformers should use to train ``encoder``.

    On a processor, plain matrix products: on short reviews the fused kernel's backward pass is several times slower.
    """
    if device_of(accelerator) != "cpu":
        return "sdpa"
    return PLAIN if encoder._supports_attention_backend else "eager"


def _cpu_has_bf16() -> bool:
    cpu = torch.cpu
    return bool(cpu._is_avx512_bf16_supported() or cpu._is_amx_tile_supported())
