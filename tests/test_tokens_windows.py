"""A long review is read whole, in windows of sentences; a short one is left as it is."""

import time
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from src.data.nfc import composed
from src.tokens import windows as module
from src.tokens.tokenizer import encode, from_json, train_tokenizer
from src.tokens.windows import beyond, encode_whole, windowed, windows

TEXTS = [
    "pin trâu lắm. màn hình đẹp! camera hơi mờ\nloa nhỏ, giá 5.990.000đ quá hời 😍",
    "giao hàng nhanh, máy nóng",
] * 3
LENGTH = 20
TOKENIZER = train_tokenizer(TEXTS, 600, LENGTH)
FREE = from_json(TOKENIZER.to_str(), 10**9)


def tokens(text: str) -> int:
    return len(FREE.encode(text))


def test_short_texts_keep_their_ids() -> None:
    ids, offsets = encode(TOKENIZER, TEXTS[1::2])
    read = windowed(TOKENIZER, TEXTS[1::2], ids, offsets)
    assert read.ids is ids and read.offsets is offsets
    assert read.first.tolist() == [0, 1, 2, 3] and read.cut.tolist() == [0, 0, 0]
    assert encode_whole(TOKENIZER, []).first.tolist() == [0]


def test_a_text_that_just_fits_is_one_window() -> None:
    text = "pin"
    while tokens(text + " pin") <= LENGTH:
        text += " pin"
    assert tokens(text) == LENGTH
    assert windows(TOKENIZER, text) == ([text], 0)
    assert len(windows(TOKENIZER, text + " pin")[0]) == 2


def test_windows_are_whole_sentences_as_many_as_fit() -> None:
    sentences = [
        "pin trâu lắm. ",
        "màn hình đẹp!!! 😍 ",
        '"camera hơi mờ." ',
        "giá 5.990.000đ quá hời\n",
        "loa nhỏ… ",
        "ok",
    ]
    text = "".join(sentences)
    parts, cut = windows(TOKENIZER, text)
    assert "".join(parts) == text and cut == 0 and len(parts) > 1
    starts = np.cumsum([0, *map(len, parts)])
    for start, end in pairwise(starts):
        assert tokens(text[start:end]) <= LENGTH
        assert end == len(text) or text[:end].rstrip().endswith((".", "!", '."', "hời", "…"))
        following = next((m for m in (text.find(s, end) + len(s) for s in sentences) if m > end), len(text))
        assert end == len(text) or tokens(text[start:following]) > LENGTH, "the next sentence would not fit"


def test_a_long_sentence_is_cut_between_words_and_a_long_word_between_tokens() -> None:
    parts, _ = windows(TOKENIZER, "màn hình đẹp " * 30)
    assert all(part.endswith(" ") for part in parts)
    parts, cut = windows(TOKENIZER, "đẹp" * 60)
    assert "".join(parts) == "đẹp" * 60 and cut == 0
    assert all(tokens(part) <= LENGTH for part in parts)


def test_a_window_that_has_more_tokens_by_itself_is_two() -> None:
    tokenizer = from_json(TOKENIZER.to_str(), 48)
    parts, cut = windows(tokenizer, text := ".\u2028pppppđẹp ﷺ1.000 ")
    assert "".join(parts) == composed(text) and cut == 0 and len(parts) > 2
    assert all(FREE.encode(part).ids == tokenizer.encode(part).ids for part in parts)


@given(
    st.lists(
        st.sampled_from([*'pin trâu.!?\n…😍,)"', "đẹp ", "a\u0301", " \u200b", "\u2028", "ﷺ", "1.000 "]), max_size=200
    ),
    st.integers(48, 64),
)
@settings(deadline=None, max_examples=60)
def test_windows_hold_all_of_any_text(letters, length) -> None:
    tokenizer = from_json(TOKENIZER.to_str(), length)
    text = "".join(letters)
    parts, cut = windows(tokenizer, text)
    assert "".join(parts) == composed(text) and cut == 0
    for part in parts:
        assert len(parts) == 1 or FREE.encode(part).ids == tokenizer.encode(part).ids, "nothing of it is cut"


def test_many_texts_at_once_are_as_each_alone() -> None:
    texts = ["pin tốt", "màn hình đẹp. " * 9, "", "camera mờ! " * 20, "loa"]
    read = encode_whole(TOKENIZER, texts)
    rows = [read.ids[a:b].tolist() for a, b in pairwise(read.offsets)]
    for i, text in enumerate(texts):
        mine = rows[read.first[i] : read.first[i + 1]]
        assert mine == [TOKENIZER.encode(part).ids for part in windows(TOKENIZER, text)[0]]
    assert np.diff(read.first).tolist() == [
        1,
        len(windows(TOKENIZER, texts[1])[0]),
        1,
        len(windows(TOKENIZER, texts[3])[0]),
        1,
    ]
    assert encode_whole(TOKENIZER, texts, compact=False).ids.tolist() == read.ids.tolist()


def test_what_is_beyond_the_last_window_is_counted() -> None:
    text = "pin tốt. " * 1000
    parts, cut = windows(TOKENIZER, text)
    assert len(parts) == module.MOST_WINDOWS
    rest = composed(text)[sum(map(len, parts)) :]
    assert cut == tokens(rest) - 2


def test_what_truncation_takes_is_counted() -> None:
    texts = ["pin", "pin tốt " * 30]
    _, offsets = encode(TOKENIZER, texts)
    assert beyond(TOKENIZER, texts, offsets).tolist() == [0, tokens(texts[1]) - LENGTH]


@pytest.mark.parametrize(
    "text", ["." * 200_000, "a" * 200_000, "a\u0301\u0323" * 60_000, "\n" * 200_000, "a. " * 60_000]
)
def test_any_long_text_is_windowed_in_time(text) -> None:
    began = time.process_time()
    parts, _ = windows(TOKENIZER, text)
    assert len(parts) <= module.MOST_WINDOWS
    assert time.process_time() - began < 3


@pytest.mark.parametrize("text", ["ﷺ" * 600, "ﷺ, máy. " * 600, "㍿ " * 900])
def test_letters_that_become_many_are_read_no_further_than_the_windows(monkeypatch, text) -> None:
    """The same windows as of the whole text, and nearly the same number of tokens beyond them."""
    monkeypatch.setattr("src.tokens.beginning.CHUNK", 32)
    begun: list[int] = []
    plain = module._encodings
    monkeypatch.setattr(module, "_encodings", lambda t, part: begun.append(len(part)) or plain(t, part))
    parts, cut = windows(TOKENIZER, text)
    assert sum(begun) < len(text) / 2 and cut
    monkeypatch.setattr(module, "beginning", lambda tokenizer, text, letters: text)
    whole, right = windows(TOKENIZER, text)
    assert parts == whole and cut == pytest.approx(right, rel=0.02)
