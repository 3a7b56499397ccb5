"""bfloat16 only where the machine computes it in hardware; the attention that is fastest there."""

import numpy as np
import pytest
import torch

from src.model.attention import PLAIN, VARLEN
from src.training.devices import attention_for, resolve_precision
from tests.tiny import tiny_module, tiny_split


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


def test_attention_by_device(machine) -> None:
    encoder = tiny_module().classifier.encoder
    machine()
    assert attention_for("auto", encoder) == attention_for("cpu", encoder) == PLAIN
    machine(cuda=True)
    assert attention_for("auto", encoder) == VARLEN
    assert attention_for("cpu", encoder) == PLAIN


def test_every_kind_of_attention_gives_the_same_logits_and_gradients() -> None:
    module, split = tiny_module().eval(), tiny_split(12)
    batch = split.batch(np.arange(12))
    assert (batch["attention_mask"] == 0).any()
    results = []
    for kind in ("eager", "sdpa", PLAIN, VARLEN):
        module.classifier.encoder.set_attn_implementation(kind)
        assert module.classifier.encoder.config._attn_implementation == kind
        module.zero_grad()
        logits = module(batch["input_ids"], batch["attention_mask"])
        module._total(module._losses(logits, batch)).backward()
        gradients = {n: p.grad.clone() for n, p in module.named_parameters() if p.grad is not None}
        results.append({head: value.detach() for head, value in logits.items()} | gradients)
    for other in results[1:]:
        assert other.keys() == results[0].keys()
        for name, value in other.items():
            torch.testing.assert_close(value, results[0][name], rtol=1e-4, atol=1e-6, msg=name)
