"""``precision=auto``: bfloat16 where the machine computes it in hardware, else float32."""

import torch


def resolve_precision(precision: str | int, accelerator: str) -> str:
    """``auto`` -> ``bf16-mixed`` or ``32-true`` for the accelerator that will be used; anything else as it is.

    Without AVX512_BF16 or AMX a processor emulates bfloat16, 40 to 500 times slower than float32; with either, matrix
    products are about 4 times faster.
    """
    if precision != "auto":
        return str(precision)
    if accelerator in ("auto", "gpu", "cuda") and torch.cuda.is_available():
        return "bf16-mixed" if torch.cuda.is_bf16_supported(including_emulation=False) else "32-true"
    if accelerator in ("auto", "gpu", "mps") and torch.backends.mps.is_available():
        return "32-true"
    return "bf16-mixed" if _cpu_has_bf16() else "32-true"


def _cpu_has_bf16() -> bool:
    cpu = torch.cpu
    return bool(cpu._is_avx512_bf16_supported() or cpu._is_amx_tile_supported())
