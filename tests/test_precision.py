"""bfloat16 only where the machine computes it in hardware."""

import pytest
import torch

from src.precision import resolve_precision


@pytest.fixture
def machine(monkeypatch):
    def has(cuda=False, cuda_bf16=False, avx512_bf16=False, amx=False, mps=False) -> None:
        monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
        monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: cuda_bf16)
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)
        monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: avx512_bf16)
        monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: amx)

    return has


@pytest.mark.parametrize(
    ("has", "accelerator", "expected"),
    [
        ({}, "auto", "32-true"),
        ({"avx512_bf16": True}, "auto", "bf16-mixed"),
        ({"amx": True}, "cpu", "bf16-mixed"),
        ({"cuda": True, "cuda_bf16": True}, "auto", "bf16-mixed"),
        ({"cuda": True, "cuda_bf16": True}, "gpu", "bf16-mixed"),
        ({"cuda": True, "amx": True}, "auto", "32-true"),
        ({"cuda": True, "cuda_bf16": True}, "cpu", "32-true"),
        ({"mps": True, "amx": True}, "auto", "32-true"),
    ],
)
def test_auto_asks_the_device_that_will_be_used(machine, has, accelerator, expected) -> None:
    machine(**has)
    assert resolve_precision("auto", accelerator) == expected


def test_anything_else_stays(machine) -> None:
    machine()
    assert resolve_precision("bf16-mixed", "cpu") == "bf16-mixed"
    assert resolve_precision(32, "cpu") == "32"
