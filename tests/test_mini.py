"""The small encoder in the repository: whole, small, loaded where it is asked for, and no other size of it."""

import json
from pathlib import Path

import pytest
import torch

from src.errors import UserError
from src.model.encoder import load_encoder
from src.model.hub import MINI
from src.tokens.tokenizer import load_tokenizer
from src.training.checks import check_config
from tests.conftest import ROOT, train
from tests.test_config import composed


def test_what_is_shipped() -> None:
    files = {f.name: f.stat().st_size for f in MINI.iterdir()}
    assert set(files) == {"config.json", "model.safetensors", "tokenizer.json", "README.md", "training.json"}
    assert sum(files.values()) < 20 * 2**20
    card = (MINI / "README.md").read_text(encoding="utf-8")
    assert "research purposes" in card and "python pretrain.py" in card
    assert json.loads((MINI / "training.json").read_text())[-1]["figures"]["val/loss"] > 0


def test_it_loads_whole_and_in_float32() -> None:
    encoder = load_encoder("mini", [], pooling="label", max_length=256)
    assert encoder.pretrained and "pre-trained" in encoder.weights
    assert {p.dtype for p in encoder.module.parameters()} == {torch.float32}
    assert encoder.module.training
    with pytest.raises(UserError, match="positions for 512 tokens"):
        load_encoder("mini", [], max_length=513)


def test_its_tokenizer_knows_every_character() -> None:
    tokenizer = load_tokenizer(MINI, 64)
    unknown = tokenizer.token_to_id("<unk>")
    for text in ("Máy đẹp, pin trâu 😍😍", "ko đc tốt lắm 🥹🫶 :((", "漢字 ☃ \u200b", "<s> </s> <mask>"):
        assert unknown not in tokenizer.encode(text).ids
    assert "▁😍😍" in tokenizer.encode("đẹp 😍😍").tokens and "▁đc" in tokenizer.encode("ko đc").tokens


def test_it_knows_which_word_is_missing() -> None:
    """What it learned: of the words that could stand there, a fitting one comes first."""
    from transformers import AutoModelForMaskedLM

    model, tokenizer = AutoModelForMaskedLM.from_pretrained(MINI, dtype=torch.float32).eval(), load_tokenizer(MINI, 64)
    mask = tokenizer.token_to_id("<mask>")
    for text, fits, other in (
        ("giao hàng rất nhanh , đóng gói cẩn thận", "nhanh", "phòng"),
        ("máy dùng tốt , pin trâu , chụp ảnh đẹp", "pin", "giường"),
        ("khách sạn sạch sẽ , phòng rộng , nhân viên thân thiện", "phòng", "pin"),
    ):
        ids = torch.tensor([tokenizer.encode(text).ids])
        fitting, wrong = (tokenizer.token_to_id(f"▁{word}") for word in (fits, other))
        place = ids == fitting
        assert int(place.sum()) == 1
        with torch.no_grad():
            logits = model(torch.where(place, mask, ids)).logits[place][0]
        assert logits[fitting] > logits[wrong] + 2, text


def test_another_size_is_another_encoder(tmp_path) -> None:
    with pytest.raises(UserError) as error:
        check_config(composed(tmp_path, "model=mini", "model.size.layers=3", "model.size.hidden_size=128"))
    assert [f for f in error.value.faults if "model.pretrained=false" in f and "layers=3" in f]
    check_config(composed(tmp_path, "model=mini", "model.pretrained=false", "model.size.layers=3"))


def test_training_starts_from_it(tmp_path: Path) -> None:
    done = train("model=mini", "trainer.max_epochs=1", "trainer.limit_train_batches=2", f"hydra.run.dir={tmp_path}")
    assert done.returncode == 0, done.stdout + done.stderr
    summary = json.loads((tmp_path / "summary.json").read_text(encoding="utf-8"))
    assert summary["encoder"]["pretrained"] is True and str(ROOT) not in summary["encoder"]["weights"]
    assert "random weights" not in done.stdout
