"""Encoder plus heads: the number of parameters, the shapes, the modes, and what padding must not change."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from src.model.classifier import AspectClassifier, parameter_count
from src.model.encoder import from_config
from src.model.optim import encoder_rate, parameter_groups
from tests.tiny import CONFIG, tiny_split


def classifier(pooling="cls", detect=True) -> AspectClassifier:
    torch.manual_seed(0)
    return AspectClassifier(from_config(CONFIG, pooling), 3, detect=detect, pooling=pooling, head_width=8)


def test_the_originals_number_of_parameters(visobert_folder: Path) -> None:
    from transformers import AutoConfig

    config = AutoConfig.from_pretrained(visobert_folder).to_dict()
    with torch.device("meta"):
        model = AspectClassifier(from_config(config, "pooler"), 11, detect=False, pooling="pooler")
    assert parameter_count(model) == 97_976_609


@pytest.mark.parametrize("pooling", ["cls", "mean", "label", "pooler"])
def test_shapes_and_indifference_to_padding(pooling) -> None:
    model = classifier(pooling).eval()
    split = tiny_split()

    with torch.no_grad():
        batch = split.batch(np.arange(7))
        together = model(batch["input_ids"], batch["attention_mask"])
        assert together["sentiment"].shape == (7, 3, 3)
        assert together["mentioned"].shape == (7, 3)
        for i in range(7):
            alone = split.batch(np.array([i]))
            single = model(alone["input_ids"], alone["attention_mask"])
            for head in ("sentiment", "mentioned"):
                torch.testing.assert_close(single[head][0], together[head][i], rtol=1e-5, atol=1e-6)


def test_task_sentiment_has_one_head() -> None:
    model = classifier(detect=False)
    assert model.mentioned is None
    batch = tiny_split().batch(np.arange(2))
    assert set(model(batch["input_ids"], batch["attention_mask"])) == {"sentiment"}


@pytest.mark.parametrize("pooling", ["cls", "mean", "label", "pooler"])
def test_no_parameter_is_left_without_a_gradient(pooling) -> None:
    """Under ddp an unused parameter is an error; a pooler that nobody asked for is one."""
    model = classifier(pooling)
    batch = tiny_split().batch(np.arange(8))
    logits = model(batch["input_ids"], batch["attention_mask"])
    (logits["sentiment"].sum() + logits["mentioned"].sum()).backward()
    assert [n for n, p in model.named_parameters() if p.grad is None] == []


def test_a_loaded_encoder_trains_with_dropout(tmp_path) -> None:
    from transformers import AutoModel

    from_config(CONFIG, "cls").save_pretrained(tmp_path)
    loaded = AutoModel.from_pretrained(tmp_path, add_pooling_layer=False)
    assert not loaded.training, "transformers returns train mode now: this remedy can go"
    model = AspectClassifier(loaded, 3, detect=True)
    assert all(m.training for m in model.modules())
    batch = tiny_split().batch(np.arange(4))
    first, second = (model.encoder(batch["input_ids"], batch["attention_mask"])[0] for _ in range(2))
    assert not torch.equal(first, second)
    shutil.rmtree(tmp_path)


def test_decay_spares_biases_and_norms_and_rates_differ() -> None:
    model = classifier()
    groups = parameter_groups(model, encoder_lr=1e-5, head_lr=1e-3, weight_decay=0.1)
    setting = {id(p): (g["lr"], g["weight_decay"]) for g in groups for p in g["params"]}
    assert len(setting) == len(list(model.parameters())), "each parameter once"
    plain = {id(p) for m in model.modules() if isinstance(m, nn.LayerNorm) for p in m.parameters()}
    for name, p in model.named_parameters():
        lr = 1e-5 if name.startswith("encoder.") else 1e-3
        decay = 0.0 if name.endswith("bias") or id(p) in plain else 0.1
        assert setting[id(p)] == (lr, decay), name


@pytest.mark.parametrize(("setting", "width", "rate"), [("auto", 768, 5e-5), ("auto", 384, 1e-4), (3e-4, 384, 3e-4)])
def test_the_encoders_rate_follows_its_width_unless_it_is_given(setting, width, rate) -> None:
    assert encoder_rate(setting, width) == pytest.approx(rate)


def test_detection_starts_at_the_shares_of_the_training_split() -> None:
    model = classifier()
    model.start_at(torch.tensor([0.5, 0.1, 0.0], dtype=torch.float64))
    expected = torch.tensor([0.5, 0.1, 0.001])  # never seen: small, not impossible
    torch.testing.assert_close(torch.sigmoid(model.mentioned.bias), expected, atol=1e-6, rtol=1e-5)
    classifier(detect=False).start_at(torch.tensor([0.5, 0.1, 0.2]))


def test_label_attention_by_hand() -> None:
    """Each aspect weighs the tokens by itself and has rows of its own in the outputs."""
    model = classifier("label").eval()
    split = tiny_split()
    batch = split.batch(np.arange(3))
    with torch.no_grad():
        model.queries.normal_()
        logits = model(batch["input_ids"], batch["attention_mask"])
        hidden = model.encoder(batch["input_ids"], batch["attention_mask"]).last_hidden_state
        for i, review in enumerate(hidden):
            tokens = review[batch["attention_mask"][i].bool()]
            for a in range(3):
                features = model.trunk(torch.softmax(tokens @ model.queries[a], 0) @ tokens)
                sentiment = model.sentiment(features)[3 * a : 3 * a + 3]
                torch.testing.assert_close(logits["sentiment"][i, a], sentiment, rtol=1e-5, atol=1e-6)
                torch.testing.assert_close(logits["mentioned"][i, a], model.mentioned(features)[a])
