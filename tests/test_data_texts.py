"""Strings in one block behave as a list of them."""

import numpy as np
import pytest

from src.data.texts import Texts

WORDS = ["Máy đẹp", "", "😍\n\u2028", "máy", "", "x" * 70_000]


def test_it_is_the_list() -> None:
    texts = Texts(WORDS)
    assert list(texts) == WORDS and len(texts) == len(WORDS)
    assert (
        texts == WORDS
        and list.__eq__(WORDS, texts) is NotImplemented
        and texts == tuple(WORDS)
        and texts == Texts(WORDS)
    )
    assert [texts[i] for i in range(-6, 6)] == WORDS * 2
    assert [texts[i] for i in np.arange(6)] == WORDS
    for where in (slice(None), slice(1, 3), slice(None, None, -2), slice(4, 100), slice(3, 3)):
        assert texts[where] == WORDS[where]
    assert "máy" in texts and "Máy" not in texts and texts.index("máy") == 3
    assert repr(Texts(["đ"])) == "Texts(['đ'])"
    with pytest.raises(IndexError):
        texts[6]


def test_what_differs_is_not_equal() -> None:
    assert Texts(["a"]) != ["b"] and Texts(["a"]) != ["a", "a"] and Texts(["a"]) != "a" and Texts() == []


def test_a_selection_is_one_of_the_list_and_stays_when_either_grows() -> None:
    texts = Texts(WORDS)
    taken = texts.take(np.array([3, 0, 3]))
    assert taken == ["máy", "Máy đẹp", "máy"]
    taken.append("here")
    texts.append("there")
    assert taken == ["máy", "Máy đẹp", "máy", "here"] and texts == [*WORDS, "there"]
    assert taken.take(np.array([3, 1])) == ["here", "Máy đẹp"]
