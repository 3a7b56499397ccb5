"""Token ids of an earlier run: taken where everything is the same, and never where anything is wrong."""

import os
import threading

import numpy as np
import pytest

from src import token_cache
from src.datamodule import AspectDataModule
from src.texts import Texts
from src.token_cache import DIGEST, SUFFIX, cache_folder, encode_cached, read_ids, write_ids
from src.tokenizer import PROBES, encode, from_json, train_tokenizer
from tests.conftest import ROOT

TEXTS = Texts(f"{text} {i}" for i in range(4) for text in PROBES)


@pytest.fixture(scope="module")
def tokenizer():
    return train_tokenizer(PROBES, 400, 64)


@pytest.fixture
def encoded(monkeypatch):
    """How often texts were tokenised; few are enough to be kept."""
    calls = []
    monkeypatch.setattr(token_cache, "WORTH", 1)
    monkeypatch.setattr(token_cache, "encode", lambda *a: calls.append(len(a[1])) or encode(*a))
    return calls


def same(a, b) -> bool:
    return all(x.dtype == y.dtype and np.array_equal(x, y) for x, y in zip(a, b, strict=True))


def test_the_second_time_nothing_is_tokenised(tokenizer, encoded, tmp_path) -> None:
    expected = encode(tokenizer, TEXTS)
    for _ in range(3):
        assert same(encode_cached(tokenizer, TEXTS, tmp_path / "new" / "folder"), expected)
    again = from_json(tokenizer.to_str(), 64)  # another process's
    assert same(encode_cached(again, list(TEXTS), tmp_path / "new" / "folder"), expected)
    assert encoded == [len(TEXTS)]
    (file,) = (tmp_path / "new" / "folder").iterdir()
    assert file.stat().st_mode & 0o077 == 0, "texts can be told from their ids: they are nobody else's"


def test_another_text_another_order_or_another_tokenizer_is_another_file(tokenizer, encoded, tmp_path) -> None:
    joined = [TEXTS[0] + TEXTS[1], *TEXTS[2:]]
    moved = [TEXTS[0] + TEXTS[1][:1], TEXTS[1][1:], *TEXTS[2:]]
    others = [train_tokenizer(PROBES, 300, 64), from_json(tokenizer.to_str(), 8)]
    for texts in (TEXTS, TEXTS[:-1], TEXTS[::-1], joined, moved, [*TEXTS[:-1], TEXTS[-1] + "!"]):
        assert same(encode_cached(tokenizer, texts, tmp_path), encode(tokenizer, texts))
    for other in others:
        assert same(encode_cached(other, TEXTS, tmp_path), encode(other, TEXTS))
    assert len(encoded) == 8


def test_none_and_few_reviews_write_nothing(tokenizer, encoded, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(token_cache, "WORTH", len(TEXTS) + 1)
    encode_cached(tokenizer, TEXTS, tmp_path)
    monkeypatch.setattr(token_cache, "WORTH", 1)
    encode_cached(tokenizer, TEXTS, None)
    assert list(tmp_path.iterdir()) == [] and len(encoded) == 2


def test_damage_anywhere_is_found(tmp_path) -> None:
    file = tmp_path / "a"
    ids, offsets = np.arange(40, dtype=np.uint16), np.array([0, 10, 40])
    write_ids(file, ids, offsets)
    whole = file.read_bytes()
    assert same(read_ids(file), (ids, offsets))
    for i in range(len(whole)):
        file.write_bytes(whole[:i] + bytes([whole[i] ^ 1 << i % 8]) + whole[i + 1 :])
        assert read_ids(file) is None, f"byte {i}"
    for size in (0, 1, DIGEST, DIGEST + 1, len(whole) // 2, len(whole) - 1):
        file.write_bytes(whole[:size])
        assert read_ids(file) is None, f"{size} bytes"
    file.write_bytes(whole + b"\0")
    assert read_ids(file) is None and read_ids(tmp_path / "none") is None and read_ids(tmp_path) is None


def test_a_damaged_file_is_made_anew(tokenizer, encoded, tmp_path) -> None:
    expected = encode_cached(tokenizer, TEXTS, tmp_path)
    (file,) = tmp_path.iterdir()
    file.write_bytes(file.read_bytes()[:-3])
    for _ in range(2):
        assert same(encode_cached(tokenizer, TEXTS, tmp_path), expected)
    assert len(encoded) == 2


def test_many_writers_and_readers_at_once(tmp_path) -> None:
    """A reader sees nothing or all of it, whoever writes meanwhile."""
    file, arrays = tmp_path / "a", (np.arange(200_000, dtype=np.uint16), np.arange(5))
    wrong = []

    def write() -> None:
        for _ in range(10):
            write_ids(file, *arrays)

    def read() -> None:
        while any(writer.is_alive() for writer in writers):
            found = read_ids(file)
            if file.exists() and (found is None or not same(found, arrays)):
                wrong.append(found)

    writers = [threading.Thread(target=write) for _ in range(3)]
    write_ids(file, *arrays)
    for thread in (*writers, reader := threading.Thread(target=read)):
        thread.start()
    for thread in (*writers, reader):
        thread.join()
    assert wrong == [] and list(tmp_path.iterdir()) == [file]


def test_a_folder_that_cannot_be_written_costs_a_warning(tokenizer, encoded, tmp_path, caplog) -> None:
    (tmp_path / "file").write_text("in the way")
    assert same(encode_cached(tokenizer, TEXTS, tmp_path / "file"), encode(tokenizer, TEXTS))
    assert "cannot keep token ids for the next run" in caplog.text


def test_an_interrupted_write_leaves_nothing(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("os.replace", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        write_ids(tmp_path / "a", np.arange(4), np.arange(4))
    assert list(tmp_path.iterdir()) == []


def test_the_files_used_last_stay(tokenizer, encoded, tmp_path, monkeypatch) -> None:
    (tmp_path / "mine.txt").write_text("not the cache's")
    for i in range(4):
        write_ids(tmp_path / f"{i}{SUFFIX}", np.arange(100), np.arange(2))
        os.utime(tmp_path / f"{i}{SUFFIX}", (i, i))
    assert read_ids(tmp_path / f"0{SUFFIX}") is not None  # used just now
    size = (tmp_path / f"0{SUFFIX}").stat().st_size
    monkeypatch.setattr(token_cache, "ROOM", 4 * size)
    encode_cached(tokenizer, TEXTS, tmp_path)  # about twice as large
    left = {file.name for file in tmp_path.iterdir()}
    assert {f"0{SUFFIX}", "mine.txt"} <= left and f"1{SUFFIX}" not in left


def test_where_it_is(monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder("auto") == tmp_path / "visobert-absa" and cache_folder(None) is None
    monkeypatch.setenv("XDG_CACHE_HOME", "")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_folder("auto") == tmp_path / ".cache" / "visobert-absa"
    assert cache_folder("~/x") == tmp_path / "x"


def test_a_data_module_takes_its_ids_from_there(tokenizer, encoded, tmp_path) -> None:
    files = {"dir": str(ROOT / "data" / "sample"), "train": "train.csv", "val": "validation.csv"}
    splits = []
    for cache in (str(tmp_path), str(tmp_path), None):
        data = AspectDataModule(**files, tokenizer=tokenizer, cache=cache)
        splits.append(data.tokenised("train"))
    assert len(encoded) == 2, "made, read, and made again without a cache"
    assert same((splits[0].ids, splits[0].offsets), (splits[1].ids, splits[1].offsets))
