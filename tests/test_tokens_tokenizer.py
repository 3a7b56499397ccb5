"""The tokenizer's ids are SentencePiece's own, whatever layout they come from."""

import json
import shutil
import time
import unicodedata
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from src.errors import UserError
from src.tokens.tokenizer import (
    PROBES,
    SENTENCEPIECE,
    encode,
    from_json,
    load_tokenizer,
    sentencepiece_ids,
    train_tokenizer,
)

GOLDEN = "Máy đẹp, pin trâu nhưng camera hơi kém 😍😍"
GOLDEN_IDS = [0, 1415, 189, 14665, 1163, 1947, 177, 2641, 432, 1807, 1862, 2]


@pytest.fixture(scope="session", params=["tokenizer.json", ".model only", "saved after training"])
def layout(request, visobert_folder: Path, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("layout")
    shutil.copy(visobert_folder / SENTENCEPIECE, folder)
    if request.param == ".model only":
        return folder
    state = json.loads((visobert_folder / "tokenizer.json").read_text(encoding="utf-8"))
    if request.param == "saved after training":  # transformers 4 leaves the last call's settings in the file
        state["truncation"] = {"direction": "Right", "max_length": 8, "strategy": "LongestFirst", "stride": 0}
        state["padding"] = {
            "strategy": {"Fixed": 256},
            "direction": "Right",
            "pad_to_multiple_of": None,
            "pad_id": 1,
            "pad_type_id": 0,
            "pad_token": "<pad>",
        }
        for name in ("tokenizer_config.json", "special_tokens_map.json"):
            shutil.copy(visobert_folder / name, folder)
    else:
        state["truncation"] = state["padding"] = None
    (folder / "tokenizer.json").write_text(json.dumps(state), encoding="utf-8")
    return folder


def test_golden_ids(layout: Path) -> None:
    assert load_tokenizer(layout, 256).encode(GOLDEN).ids == GOLDEN_IDS


def test_every_real_text_gets_sentencepiece_ids(layout: Path, real_texts: list[str]) -> None:
    tokenizer = load_tokenizer(layout, 10_000)
    ids, offsets = encode(tokenizer, real_texts)
    expected = sentencepiece_ids(layout / SENTENCEPIECE, (unicodedata.normalize("NFC", t) for t in real_texts))
    wrong = [i for i, want in enumerate(expected) if ids[offsets[i] : offsets[i + 1]].tolist() != want]
    assert len(real_texts) > 20_000
    assert wrong == []


def test_nfd_gives_the_same_ids_as_nfc_and_no_unknown(layout: Path) -> None:
    tokenizer = load_tokenizer(layout, 256)
    nfd = unicodedata.normalize("NFD", GOLDEN)
    assert nfd != GOLDEN
    assert tokenizer.encode(nfd).ids == GOLDEN_IDS


def test_special_tokens_in_a_text_are_text(layout: Path) -> None:
    tokenizer = load_tokenizer(layout, 256)
    for restored in (tokenizer, from_json(tokenizer.to_str(), 256)):
        ids = restored.encode("tốt </s> <s> <mask> <pad>").ids
        assert ids[0] == 0
        assert ids[-1] == 2
        assert not {0, 1, 2, 15001} & set(ids[1:-1])


def test_truncates_to_max_length_and_never_pads(layout: Path) -> None:
    tokenizer = load_tokenizer(layout, 6)
    ids = tokenizer.encode(GOLDEN).ids
    assert ids == [*GOLDEN_IDS[:5], 2]
    assert [len(e.ids) for e in tokenizer.encode_batch(["tốt", GOLDEN])] == [3, 6]


def test_a_tokenizer_that_disagrees_with_its_model_is_refused(visobert_folder: Path, tmp_path: Path) -> None:
    shutil.copy(visobert_folder / SENTENCEPIECE, tmp_path)
    state = json.loads((visobert_folder / "tokenizer.json").read_text(encoding="utf-8"))
    state["model"]["merges"] = state["model"]["merges"][1:]  # as subtly wrong as can be
    (tmp_path / "tokenizer.json").write_text(json.dumps(state), encoding="utf-8")
    with pytest.raises(UserError, match=r"other token ids than sentencepiece.bpe.model.*(?s:.*)Delete tokenizer.json"):
        load_tokenizer(tmp_path, 256)


def test_what_transformers_5_saves_is_refused(visobert_folder: Path, tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    shutil.copy(visobert_folder / SENTENCEPIECE, tmp_path)
    shutil.copy(visobert_folder / "tokenizer_config.json", tmp_path)
    shutil.copy(visobert_folder / "config.json", tmp_path)
    broken = AutoTokenizer.from_pretrained(tmp_path)
    assert broken(GOLDEN)["input_ids"] != GOLDEN_IDS, "transformers reads ViSoBERT right now: simplify this project"
    broken.save_pretrained(tmp_path)
    with pytest.raises(UserError, match="other token ids"):
        load_tokenizer(tmp_path, 256)


def test_a_folder_without_a_tokenizer_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no tokenizer.json and no sentencepiece.bpe.model"):
        load_tokenizer(tmp_path, 256)


def test_a_broken_model_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / SENTENCEPIECE).write_bytes(b"not a model")
    with pytest.raises(UserError, match="not a SentencePiece model"):
        load_tokenizer(tmp_path, 256)


def test_encode_is_flat_and_independent_of_chunks() -> None:
    tokenizer = train_tokenizer(PROBES, 400, 64)
    ids, offsets = encode(tokenizer, PROBES, chunk=2)
    whole_ids, whole_offsets = encode(tokenizer, PROBES)
    assert np.array_equal(ids, whole_ids) and np.array_equal(offsets, whole_offsets)
    assert [ids[a:b].tolist() for a, b in pairwise(offsets)] == [tokenizer.encode(t).ids for t in PROBES]
    assert encode(tokenizer, [])[1].tolist() == [0]


def test_trained_tokenizer_is_repeatable_and_knows_no_unknown() -> None:
    first, second = (train_tokenizer(PROBES, 400, 64) for _ in range(2))
    assert first.to_str() == second.to_str()
    strange = "한국 中文 ñ \x00 🦖 </s>"
    encoding = first.encode(strange)
    assert 3 not in encoding.ids
    assert first.decode(encoding.ids) == strange
    assert from_json(first.to_str(), 64).encode(strange).ids == encoding.ids
    assert [first.token_to_id(t) for t in ("<s>", "<pad>", "</s>", "<unk>")] == [0, 1, 2, 3]


TRAINED = train_tokenizer([*PROBES, *"áàảãạ"], 400, 64).to_str()


@pytest.mark.parametrize("which", ["visobert", "trained"])
def test_ids_are_those_of_the_whole_text_however_much_of_it_is_tokenised(visobert_folder: Path, which: str) -> None:
    """Short, long, combining, blank, and such as the normaliser makes many letters of, alone and between others."""
    long = " ".join(PROBES)
    texts = [
        *PROBES,
        *(long * n for n in (1, 9)),
        unicodedata.normalize("NFD", long) * 9,
        *("\ufdfa" * n for n in (1, 100, 1_000)),
        *(f"{'㎡ ' * n}{long * 5}" for n in (1, 3, 300)),
        *(f"{long * 5}{'ﷺ ﷻ㍿' * n}{long * 5}" for n in (1, 300)),
        "a" + "\u0301\u0323" * 1_000,
        " " * 3_000 + "\ufdfa " * 1_000 + long,
        "\u200b" * 3_000 + "ﷺ" * 1_000 + long,
        "",
    ]
    for length in (16, 64):
        tokenizer = load_tokenizer(visobert_folder, length) if which == "visobert" else from_json(TRAINED, length)
        ids, offsets = encode(tokenizer, texts, compact=False)
        for i, (a, b) in enumerate(pairwise(offsets)):
            assert ids[a:b].tolist() == tokenizer.encode(texts[i]).ids, i


def test_letters_that_become_eighteen_cost_what_others_do() -> None:
    """Tokenised whole, ten times as many of them take ten times as long; read to the end of what counts, no longer."""
    tokenizer = from_json(TRAINED, 64)
    seconds: dict[str, list[float]] = {"\ufdfa" * 500: [], "\ufdfa" * 20_000: [], "giá " * 5_000: []}
    for _ in range(3):
        for text, taken in seconds.items():
            began = time.process_time()
            encode(tokenizer, [text], compact=False)
            taken.append(time.process_time() - began)
    few, many, others = map(min, seconds.values())
    assert many < 2 * others and many < 10 * few
