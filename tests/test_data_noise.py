"""Training reviews as people type them: what each kind does, that it is drawn anew, and where it is not."""

import time
import unicodedata
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest

from src.data.noise import Noise, noise_faults
from src.runs.settings import NOISE
from src.tokens.batching import Batches, BatchPlan, TokenisedSplit
from src.tokens.noisy import NoisyTexts
from src.tokens.tokenizer import encode, train_tokenizer

TEXT = "Máy đẹp, pin trâu nhưng không được giao hàng đúng hẹn, hoà mạng chậm quá 😍😍 đường Nguyễn Quý"
TEXTS = [f"{TEXT} số {i}" for i in range(60)]


def bare(text: str) -> str:
    letters = unicodedata.normalize("NFD", text.replace("đ", "d").replace("Đ", "D"))
    return "".join(letter for letter in letters if not unicodedata.combining(letter))


def changed(text: str = TEXT, place: int = 0, **chances: float) -> str:
    return Noise(**chances)(text, 0, 0, place) or text


def test_without_diacritics_is_what_unicode_says() -> None:
    assert changed(stripped=1) == bare(TEXT)
    assert changed(unicodedata.normalize("NFD", TEXT), stripped=1) == bare(TEXT)
    for i in range(20):
        words = zip(changed(place=i, partly=1).split(), TEXT.split(), strict=True)
        kinds = {new == old for new, old in words if bare(old) != old}
        assert kinds <= {True, False} and bare(changed(place=i, partly=1)) == bare(TEXT)


def test_tones_move_only_in_open_syllables() -> None:
    assert changed("Hoà bình, khoẻ, thuý, quý, hoàn, loại", tones=1) == "Hòa bình, khỏe, thúy, quý, hoàn, loại"
    assert changed("hòa khỏe thúy", tones=1) == "hoà khoẻ thuý"
    assert changed("Uỷ ban HOÀ BÌNH, QUÝ", tones=1) == "Ủy ban HÒA BÌNH, QUÝ"


def test_input_methods_leave_their_keys() -> None:
    seen = {changed("đẹp", place=i, telex=1) for i in range(3000)}
    assert {"đẹp", "ddepj", "d9ep5", "đepj", "đep5"} == seen
    capitals = {changed("ĐẸP Đẹp", place=i, telex=1).split()[0] for i in range(3000)}
    assert {"ĐẸP", "DDEPJ", "D9EP5", "ĐEPJ", "ĐEP5"} == capitals, "Shift or Caps Lock holds for the keys of marks, too"
    assert "Ddepj" in {changed("ĐẸP Đẹp", place=i, telex=1).split()[1] for i in range(3000)}


def test_emoji_and_emoticons_go_and_an_empty_text_stays() -> None:
    assert changed("tốt 😍👍🏻 lắm :))", emoji=1) == "tốt  lắm "
    assert Noise(emoji=1)("😍", 0) is None
    assert changed("Nhược điểm:Pin yếu, ưu:Dễ dùng :D đẹp:P", emoji=1) == "Nhược điểm:Pin yếu, ưu:Dễ dùng  đẹp"
    assert changed("số 1️⃣", emoji=1) == "số 1"


def test_slips_are_a_few_per_cent_and_never_of_blanks() -> None:
    text = "giao nhanh pin tot " * 200
    typed = [changed(text, place=i, typing=1) for i in range(20)]
    assert all(0.97 < len(t) / len(text) < 1.03 and t != text for t in typed)
    assert all(abs(t.count(" ") - text.count(" ")) == 0 for t in typed)
    assert all(changed(text.upper(), place=i, typing=1).isupper() for i in range(20))


def test_short_forms_and_stretched_letters() -> None:
    seen = {changed("không", place=i, teencode=1) for i in range(200)}
    assert {"không", "ko", "k"} <= seen
    for other in ("ſản phẩm", "HAİ", "haı"):  # equal to words of the list without case, to Python's expressions alone
        assert all(changed(other, place=i, teencode=1) == other for i in range(20))
    assert any(changed("đẹp", place=i, stretched=1).startswith("đẹppp") for i in range(200))


def test_the_draw_follows_from_the_place_alone() -> None:
    noise = Noise(stripped=0.3, typing=0.3, teencode=0.3)
    first = [noise(text, 7, 1, i) for i, text in enumerate(TEXTS)]
    assert first == [noise(text, 7, 1, i) for i, text in enumerate(TEXTS)]
    assert first != [noise(text, 7, 2, i) for i, text in enumerate(TEXTS)]
    assert first != [noise(text, 8, 1, i) for i, text in enumerate(TEXTS)]
    assert {text is None for text in first} == {True, False}
    assert not Noise() and Noise()(TEXT, 0) is None


def test_time_grows_with_the_text() -> None:
    noise = Noise(**dict.fromkeys(("stripped", "typing", "telex", "teencode", "stretched", "emoji", "tones"), 1.0))
    for hostile in ("a" + "\u0300\u0316" * 100_000, "oà" * 100_000, "😍:" * 100_000, "không " * 30_000):
        started = time.process_time()
        noise(hostile, 0)
        assert time.process_time() - started < 5


def test_runs_of_before_had_none() -> None:
    assert tuple(kind.name for kind in fields(Noise)) == NOISE


def test_bad_settings_are_told_together() -> None:
    faults = noise_faults({"striped": 0.1, "typing": 2, "emoji": True, "tones": 0.5})
    assert [fault.split(":")[0] for fault in faults] == [
        "data.noise.striped",
        "data.noise.typing=2",
        "data.noise.emoji=True",
    ]
    assert "data/noise=typed" in noise_faults("typed")[0] and noise_faults(None) == []


@pytest.fixture(scope="module")
def loader_of() -> object:
    tokenizer = train_tokenizer(TEXTS, 400, 64)
    ids, offsets = encode(tokenizer, TEXTS)
    none = np.zeros((len(TEXTS), 2))
    split = TokenisedSplit(ids, offsets, none.astype(bool), none.astype(np.int8), 1)

    def make(**chances: float) -> Batches:
        noisy = NoisyTexts(TEXTS, tokenizer, Noise(**chances)) if chances else None
        return Batches(split, BatchPlan(split.lengths, batch_size=8, seed=3), packed=True, noisy=noisy)

    make.tokenizer = tokenizer  # type: ignore[attr-defined]
    return make


def test_batches_hold_the_tokens_of_the_changed_text(loader_of: object) -> None:
    loader = loader_of(stripped=0.5)  # type: ignore[operator]
    loader.set_epoch(2)
    seen, touched = 0, 0
    for batch in loader:
        for ids, mask, row in zip(batch["input_ids"], batch["attention_mask"], batch["row"].tolist(), strict=True):
            text = Noise(stripped=0.5)(TEXTS[row], 3, 2, row)
            want = loader_of.tokenizer.encode(text or TEXTS[row]).ids  # type: ignore[attr-defined]
            assert ids[mask.bool()].tolist() == want and (ids[~mask.bool()] == 1).all()
            seen, touched = seen + len(want), touched + (text is not None)
        assert int(batch["packing"].positions.count_nonzero()) == int(batch["attention_mask"].sum())
    assert loader.tokens == seen and 10 < touched < 50


def test_an_epoch_goes_on_in_its_middle(loader_of: object) -> None:
    whole, resumed = loader_of(stripped=0.5, typing=0.5), loader_of(stripped=0.5, typing=0.5)  # type: ignore[operator]
    whole.set_epoch(1)
    batches = list(whole)
    resumed.load_state_dict({"epoch": 1, "done": 3})
    resumed.set_epoch(1)
    rest = list(resumed)
    assert len(rest) == len(batches) - 3
    assert all((a["input_ids"] == b["input_ids"]).all() for a, b in zip(rest, batches[3:], strict=True))


def test_only_training_is_noisy(tmp_path: Path) -> None:
    from src.datamodule import AspectDataModule

    file = tmp_path / "train.csv"
    file.write_text("review,Pin\n" + "".join(f'"{text}",positive\n' for text in TEXTS), encoding="utf-8")
    data = AspectDataModule(str(file), val=str(file), noise={"stripped": 1.0})
    data.tokenizer = train_tokenizer(TEXTS, 400, 64)
    clean = AspectDataModule(str(file), val=str(file))
    clean.tokenizer = data.tokenizer
    for a, b in zip(data.val_dataloader(), clean.val_dataloader(), strict=True):
        assert (a["input_ids"] == b["input_ids"]).all()
    train, same = next(iter(data.train_dataloader())), next(iter(clean.train_dataloader()))
    assert (train["row"] == same["row"]).all() and train["input_ids"].shape != same["input_ids"].shape
