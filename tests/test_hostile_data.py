"""Data files from elsewhere: no file costs more time or memory than its size allows."""

import subprocess
import sys
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from src.data import parquet_pages
from src.data.corpus import read_corpus
from src.data.lines import LIMIT
from src.data.report import check_files
from src.data.reviews import read_reviews
from src.errors import UserError
from tests.conftest import ROOT
from tests.reading import source

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")
parquet = pytest.importorskip("src.data.parquet")


def ratio(work: Callable[[int], object], size: int, times: int = 4) -> float:
    """How much longer ``work`` takes for ``times`` the size: the least of three of each, in turn."""
    seconds: dict[int, list[float]] = {size: [], times * size: []}
    for _ in range(3):
        for n, taken in seconds.items():
            began = time.process_time()
            work(n)
            taken.append(time.process_time() - began)
    return min(seconds[times * size]) / max(min(seconds[size]), 1e-4)


def peak(work: Callable[[], object]) -> int:
    """MiB of numpy's and Python's memory that ``work`` takes at most."""
    tracemalloc.start()
    try:
        work()
    except UserError:
        pass
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return most >> 20


# --- Parquet ---------------------------------------------------------------------------------------------------------


def bomb(path: Path, text_bytes: int, rows: int, **more: object) -> Path:
    """A file of a kilobyte: a dictionary with one text, which stands in every row."""
    texts = pa.DictionaryArray.from_arrays(pa.array(np.zeros(rows, np.int32)), pa.array(["x" * text_bytes]))
    pq.write_table(pa.table({"text": texts, "Camera": ["positive"] * rows, **more}), path, compression="zstd")
    assert path.stat().st_size < 20_000
    return path


@pytest.mark.parametrize("read", [lambda p: read_reviews(p), lambda p: read_corpus([str(p)])])
def test_a_text_that_a_dictionary_repeats_is_looked_at_before_it_is_expanded(tmp_path, read) -> None:
    path = bomb(tmp_path / "a.parquet", 2**21, 5_000)  # 10 GiB in all
    with pytest.raises(UserError, match=r"rows take more than 1,000 times the bytes of the file"):
        read(path)
    assert peak(lambda: read(path)) < 200


def test_a_row_is_no_longer_than_in_the_other_formats(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(parquet, "LIMIT", 2**20)
    monkeypatch.setattr(parquet, "BYTES", 2**20)
    path = bomb(tmp_path / "a.parquet", 700_000, 2, other=["y" * 400_000, "fine"])
    rows = list(source(path, path.read_bytes()).rows())
    assert rows[0].fault == f"the row is longer than {LIMIT >> 20} MiB"
    assert len(rows[1].cells["text"]) == 700_000


def test_a_single_cell_of_20_mib_is_not_unpacked(tmp_path) -> None:
    path = bomb(tmp_path / "a.parquet", 20_000_000, 1)
    with pytest.raises(UserError, match="claims to hold a page of 20,000,004 bytes, packed in"):
        read_reviews(path)


def test_a_page_of_any_file_has_a_limit(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(parquet_pages, "PAGE", 1_000)
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"text": [f"text {i}" for i in range(1_000)], "Camera": ["positive"] * 1_000}), path)
    with pytest.raises(UserError, match="claims to hold a page of"):
        read_reviews(path)


@pytest.mark.parametrize("nested", ["list", "fixed", "struct", "map", "binary"])
def test_what_is_nested_is_bounded_too(tmp_path, monkeypatch, nested) -> None:
    monkeypatch.setattr(parquet, "LIMIT", 2**20)
    monkeypatch.setattr(parquet, "BYTES", 2**20)
    monkeypatch.setattr(parquet_pages, "FREE", 2**21)
    one, long = pa.array([0] * 200, pa.int32()), pa.array(["x" * 2**15])
    texts = pa.DictionaryArray.from_arrays(one, long)
    column = {
        "list": lambda: pa.ListArray.from_arrays(pa.array([0, 100, 200], pa.int32()), texts),
        "fixed": lambda: pa.FixedSizeListArray.from_arrays(texts, 100),
        "struct": lambda: pa.StructArray.from_arrays([texts], ["k"]),
        "map": lambda: pa.MapArray.from_arrays(
            pa.array([0, 100, 200], pa.int32()), pa.array([str(i) for i in range(200)]), pa.array(["x" * 2**15] * 200)
        ),
        "binary": lambda: pa.array([b"x" * 2**15] * 200),
    }[nested]()
    table = pa.table({"text": ["a"] * len(column), "c": column})
    pq.write_table(table, tmp_path / "a.parquet", compression="zstd")
    found = source(tmp_path / "a.parquet", (tmp_path / "a.parquet").read_bytes())
    assert any(row.fault for row in found.rows()), "3 MiB in a row, or 6 MiB from a few kB"


def test_what_is_not_too_much_is_read_as_it_stands(tmp_path) -> None:
    """Every kind of column, texts repeated and not: the values of pyarrow's own reader."""
    n = 3_000
    lists = [["á", None, "b" * (i % 50)] if i % 7 else None for i in range(n)]
    table = pa.table(
        {
            "text": [f"máy đẹp {i % 11}" if i % 5 else None for i in range(n)],
            "other": [f"{i} " * (i % 90) for i in range(n)],
            "list": lists,
            "struct": [{"k": f"v{i % 3}", "n": i} for i in range(n)],
            "map": pa.array([[("k", str(i))] for i in range(n)], pa.map_(pa.string(), pa.string())),
            "fixed": pa.array([["a", "b"]] * n, pa.list_(pa.string(), 2)),
            "bytes": [bytes([i % 256]) for i in range(n)],
            "category": pa.array([f"c{i % 4}" for i in range(n)]).dictionary_encode(),
        }
    )
    path = tmp_path / "a.parquet"
    for options in ({}, {"use_dictionary": False, "column_encoding": {"other": "DELTA_BYTE_ARRAY"}}):
        pq.write_table(table, path, row_group_size=1_100, **options)
        rows = [row.cells for row in source(path, path.read_bytes()).rows()]
        want = table.to_pylist()
        assert len(rows) == n
        for row, right in zip(rows, want, strict=True):
            right |= {"bytes": right["bytes"].hex(), "map": [list(pair) for pair in right["map"]]}
            assert row == right


def test_values_that_repeat_the_one_before_are_read_a_few_at_a_time(tmp_path) -> None:
    """DELTA_BYTE_ARRAY: a page of a megabyte holds thousands of values of a megabyte."""
    path = tmp_path / "a.parquet"
    options = {"use_dictionary": False, "column_encoding": {"text": "DELTA_BYTE_ARRAY"}, "compression": "zstd"}
    pq.write_table(pa.table({"text": ["x" * 2**18] * 3_000}), path, **options)
    assert path.stat().st_size < 100_000
    code = (
        "import resource, sys; from src.data.reviews import *; from src.data.corpus import read_corpus\n"
        "from src.errors import UserError\n"
        "import pyarrow.parquet; before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        f"try: read_corpus([{str(path)!r}])\n"
        "except UserError as e: print(e)\n"
        "print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert int(done.stdout.split()[-1]) < 300, done.stdout


def test_headers_that_are_none_end_in_words(tmp_path) -> None:
    """Any byte of the pages changed: rows, or words, never another exception."""
    path = bomb(tmp_path / "a.parquet", 1_000, 50)
    whole = path.read_bytes()
    for i in range(0, len(whole), 7):
        path.write_bytes(whole[:i] + bytes([whole[i] ^ 0xFF]) + whole[i + 1 :])
        try:
            read_reviews(path)
        except UserError:
            pass


def test_a_header_is_read_as_thrift_means_it() -> None:
    data = bytes([0x15, 4, 0x15, 0x88, 0x80, 0x80, 8, 0x15, 20, 0x5C, 0x15, 2, 0x15, 0, 0, 0])
    header, end = parquet_pages._struct(data, 0, 0)
    assert header == {1: 2, 2: 2**23 + 4, 3: 10, 8: {1: 1, 2: 0}} and end == len(data)
