"""The precision and the kind of attention that are fastest on the machine, and whether it can compile."""

import os
import shutil
from importlib.util import find_spec
from typing import Any

import torch
from transformers import PreTrainedModel

from ..model.attention import PLAIN, VARLEN


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
    """Which attention transformers should use to train ``encoder``: see :mod:`src.model.attention`."""
    on_processor = device_of(accelerator) == "cpu"
    if not encoder._supports_attention_backend:
        return "eager" if on_processor else "sdpa"
    return PLAIN if on_processor else VARLEN


def compiler_missing(accelerator: Any) -> str | None:
    """What ``model.compile=true`` needs and this machine lacks; None if it lacks nothing."""
    if device_of(str(accelerator)) == "cuda":
        return None if find_spec("triton") else "Triton on a GPU"
    known = (os.environ.get("CXX", "g++"), "clang++", "cl")
    return None if any(map(shutil.which, known)) else "a C++ compiler on a processor"


def _cpu_has_bf16() -> bool:
    cpu = torch.cpu
    return bool(cpu._is_avx512_bf16_supported() or cpu._is_amx_tile_supported())
