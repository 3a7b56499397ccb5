"""The last layer for the first token alone: the same logits, the same gradients, the same names."""

import numpy as np
import pytest
import torch

from src.model import classifier
from src.model.attention import PLAIN, VARLEN
from src.model.classifier import AspectClassifier
from src.model.encoder import from_config
from tests.test_tokens_packing import outcome, packed_batch
from tests.tiny import CONFIG


def built(family: str, pooling: str, kind: str) -> AspectClassifier:
    torch.manual_seed(0)
    encoder = from_config(CONFIG | {"model_type": family}, pooling)
    encoder.set_attn_implementation(kind)
    return AspectClassifier(encoder, 3, detect=True, pooling=pooling, head_width=8).eval()


@pytest.mark.parametrize("kind", [PLAIN, VARLEN, "eager", "sdpa"])
@pytest.mark.parametrize("pooling", ["cls", "pooler"])
@pytest.mark.parametrize("family", ["bert", "roberta", "xlm-roberta", "camembert"])
def test_it_gives_what_the_whole_layer_gives(family, pooling, kind, monkeypatch) -> None:
    short = built(family, pooling, kind)
    assert short.encoder.first_token_only
    monkeypatch.setattr(classifier, "keep_first_token", lambda encoder: None)
    whole = built(family, pooling, kind)
    assert list(short.state_dict()) == list(whole.state_dict())
    packs = kind in (PLAIN, VARLEN) and family != "bert"
    for rows in (np.arange(9), np.array([7])):  # with padding and without
        batch = packed_batch(rows)
        want = outcome(whole, batch, False)
        for packed in (False, True) if packs else (False,):
            for a, b in zip(outcome(short, batch, packed), want, strict=True):
                for name in b:
                    torch.testing.assert_close(a[name], b[name], atol=1e-5, rtol=1e-5, msg=name)


def test_it_saves_its_work_and_leaves_other_encoders_alone() -> None:
    encoder = built("xlm-roberta", "cls", PLAIN).encoder
    batch = packed_batch(np.arange(9))
    given = {"input_ids": batch["input_ids"], "attention_mask": batch["attention_mask"]}
    assert encoder(**given).last_hidden_state.shape == (9, 1, CONFIG["hidden_size"])
    assert not hasattr(built("xlm-roberta", "mean", PLAIN).encoder, "first_token_only")
    assert not hasattr(built("xlm-roberta-xl", "cls", PLAIN).encoder, "first_token_only")


def test_attention_weights_are_dropped_in_it_too() -> None:
    module = built("xlm-roberta", "cls", PLAIN).train()
    for part in module.modules():
        if isinstance(part, torch.nn.Dropout):
            part.p = 0.0
    batch = packed_batch(np.arange(9))

    def said() -> torch.Tensor:
        return module(batch["input_ids"], batch["attention_mask"])["sentiment"]

    assert torch.equal(said(), said())
    module.encoder.encoder.layer[-1].attention.self.dropout.p = 0.5
    assert not torch.equal(said(), said())
