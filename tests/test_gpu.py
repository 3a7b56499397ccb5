"""On a GPU, where there is one: what the processor's tests cannot see."""

import numpy as np
import pytest
import torch

from src.model.attention import VARLEN, takes_packed
from src.model.encoder import set_attention_dropout
from src.tokens.batching import Batches, BatchPlan
from tests.conftest import TINY, train
from tests.test_tokens_packing import assert_alike
from tests.tiny import tiny_module, tiny_split

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU")


def on_gpu():
    module = tiny_module().cuda()
    module.classifier.encoder.set_attn_implementation(VARLEN)
    split = tiny_split(41)
    return module, Batches(split, BatchPlan(split.lengths), "cuda", packed=True)


def test_packed_equals_padded() -> None:
    module, batches = on_gpu()
    for rows in (np.arange(41), np.arange(3), np.array([7])):
        assert_alike(module.eval(), batches.batch(rows))


def test_the_kernel_for_packed_rows_gives_what_padding_gives() -> None:
    module, batches = on_gpu()
    batch = batches.batch(np.arange(41))
    assert takes_packed(torch.zeros(1, 2, 8, 8, device="cuda", dtype=torch.bfloat16))
    with torch.autocast("cuda", torch.bfloat16), torch.no_grad():
        module.eval()
        padded = module(batch["input_ids"], batch["attention_mask"])
        packed = module(batch["input_ids"], batch["attention_mask"], batch["packing"])
    for head in padded:
        torch.testing.assert_close(packed[head].float(), padded[head].float(), atol=0.05, rtol=0.05)


@pytest.mark.parametrize("dropped", [0.0, 0.1])
def test_a_step_waits_for_nothing(dropped) -> None:
    module, batches = on_gpu()
    module.train().log = lambda *_, **__: None
    set_attention_dropout(module.classifier.encoder, dropped)
    optimizer = torch.optim.AdamW(module.parameters(), fused=True)

    def step() -> None:
        with torch.autocast("cuda", torch.bfloat16):
            loss = module.training_step(batches.batch(np.arange(30)), 0)
        loss.backward()
        module.configure_gradient_clipping(optimizer, 1.0, "norm")
        optimizer.step()

    step()
    torch.cuda.set_sync_debug_mode("error")
    try:
        step()
    finally:
        torch.cuda.set_sync_debug_mode("default")


@pytest.mark.slow
def test_a_compiled_run_trains_and_its_checkpoint_loads(tmp_path) -> None:
    from src.lit_module import AspectSentimentModule

    words = [
        "trainer.accelerator=gpu",
        "model.compile=true",
        "model.attention_dropout=0",
        "trainer.precision=bf16-mixed",
    ]
    tiny = [word for word in TINY if not word.startswith("trainer.precision")]
    done = train(*tiny, *words, "trainer.max_epochs=1", f"hydra.run.dir={tmp_path}", timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    AspectSentimentModule.load_from_checkpoint(tmp_path / "checkpoints" / "best.ckpt", weights_only=True)
