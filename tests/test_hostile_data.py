"""Data files from elsewhere: no file costs more time or memory than its size allows."""

import contextlib
import json
import subprocess
import sys
import time
import tracemalloc
import unicodedata
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from src.data import parquet_pages
from src.data.corpus import read_corpus
from src.data.lines import LIMIT
from src.data.nfc import composed
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
    with contextlib.suppress(UserError):
        work()
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
    monkeypatch.setattr(parquet_pages, "FREE_BYTES", 2**21)
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
    pq.write_table(pa.table({"text": ["x" * 2**16] * 1_500}), path, **options)
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
    assert int(done.stdout.split()[-1]) < 80, done.stdout


def test_headers_that_are_none_end_in_words(tmp_path) -> None:
    """Any byte of the pages changed: rows, or words, never another exception."""
    path = bomb(tmp_path / "a.parquet", 1_000, 50)
    whole = path.read_bytes()
    for i in range(0, len(whole), 29):
        path.write_bytes(whole[:i] + bytes([whole[i] ^ 0xFF]) + whole[i + 1 :])
        with contextlib.suppress(UserError):
            read_reviews(path)


def test_a_header_is_read_as_thrift_means_it() -> None:
    data = bytes([0x15, 4, 0x15, 0x88, 0x80, 0x80, 8, 0x15, 20, 0x5C, 0x15, 2, 0x15, 0, 0, 0])
    header, end = parquet_pages._struct(data, 0, 0)
    assert header == {1: 2, 2: 2**23 + 4, 3: 10, 8: {1: 1, 2: 0}} and end == len(data)


# --- columns, labels, quotes, marks ----------------------------------------------------------------------------------


def wide(path: Path, n: int, cell: str = "positive", name: str = "a{}") -> list[str]:
    rows = [["text", *(name.format(i) for i in range(n))], ["máy", *[cell] * n], ["pin", *[cell] * n]]
    path.write_text("\n".join(map(",".join, rows)) + "\n", encoding="utf-8")
    return [str(path)]


def many(path: Path, n: int, form: str) -> list[str]:
    """Two rows with so many labels, of which those of a second file are others."""
    if form == "braces":
        cells = ";".join(f"{{a{i}#Positive}}" for i in range(n))
        path.write_text(f"text,label\nmáy,{cells}\npin,{{a0#Positive}}\n", encoding="utf-8")
    else:
        labels = {f"a{i}": "positive" for i in range(n)}
        row = {"text": "máy"} | (labels if form == "keys" else {"label": labels})
        path = path.with_suffix(".jsonl")
        path.write_text(json.dumps(row) + "\n", encoding="utf-8")
    other = path.with_name(f"val{path.suffix}")
    other.write_text(path.read_text(encoding="utf-8").replace("a", "b").replace("lbbel", "label"), encoding="utf-8")
    return [str(path), str(other)]


def checked(files: list[str]) -> None:
    try:
        check_files(files)
    except UserError as error:
        assert len(str(error)) < 20_000  # noqa: PT017


WIDE: dict[str, Callable[[Path, int], list[str]]] = {
    "columns": wide,
    "bad cells": lambda path, n: wide(path, n, "bad"),
    "columns of one name": lambda path, n: wide(path, n, name="a"),
    "other columns in val": lambda path, n: [*wide(path, n), *wide(path.with_name("val.csv"), n, name="b{}")],
    "braces": lambda path, n: many(path, n, "braces")[:1],
    "braces, others in val": lambda path, n: many(path, n, "braces"),
    "labels of an object": lambda path, n: many(path, n, "label"),
    "keys": lambda path, n: many(path, n, "keys"),
}


@pytest.mark.parametrize("kind", WIDE)
def test_columns_and_labels_take_time_in_proportion(tmp_path, kind) -> None:
    """Sixteen times as long is what a step that goes through all of them for each would take."""
    few = 4_000 if "braces" in kind else 1_000  # shorter cells are parsed once and kept
    files = {n: WIDE[kind](tmp_path / f"{n}" / "a.csv", n) for n in (few, 4 * few) if not (tmp_path / f"{n}").mkdir()}
    checked(files[few])
    assert ratio(lambda n: checked(files[n]), few) < 9


def test_many_aspects_in_many_reviews_are_refused_before_they_take_memory(tmp_path) -> None:
    """An aspect of its own for every review: their table would have the square of their number."""
    rows = (json.dumps({"text": f"máy {i}", f"a{i}": "positive"}) for i in range(20_000))
    (tmp_path / "a.jsonl").write_text("\n".join(rows) + "\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"20,000 aspects in 20,000 reviews, and 20,000 labels in all"):
        read_reviews(tmp_path / "a.jsonl")


@pytest.mark.parametrize("line", ['x","\n', 'a",b,"\n', '"x"y\n', '"\n', "x,\r\n"])
def test_quotes_take_time_in_proportion(tmp_path, line) -> None:
    def read(n: int) -> None:
        list(source(tmp_path / f"{n}.csv", b"text,b\n" + line.encode() * n).rows())

    read(500)
    assert ratio(read, 500) < 9


def in_cell(cell: str) -> str:
    return 'text,label\nx,"' + cell.replace('"', '""') + '"\ny,{A#positive}\n'


RUNS: dict[str, Callable[[int], str]] = {  # a file's name, and what it holds
    "colon.csv": lambda n: in_cell(f"x:{' ' * n}{{"),
    "blanks.csv": lambda n: in_cell(f"x{' ' * n}{{"),
    "value.csv": lambda n: in_cell(f"x:y{' ' * n}{{"),
    "item.csv": lambda n: in_cell(f'["x{" " * n}y"]'),
    "braces.csv": lambda n: in_cell("{A#positive}" + " " * n + "x"),
    "acos.txt": lambda n: f'x####[["A", "positive"]]\n{" " * n}\n',
    "vlsp.txt": lambda n: f"#1\nx\n{{A, positive}}\n\n#2\ny\n{{{',' * n}\n",
    "pyabsa.raw": lambda n: f"$T$ x\nA\npositive\n$T$ y\nA\npositive\n{' ' * n}x$T$\nA\npositive\n",
    "holes.raw": lambda n: f"a $T$\nA\npositive\n{'$T$' * n}\n{'A' * n}\npositive\n",
}


@pytest.mark.parametrize("name", RUNS)
def test_labels_take_time_in_proportion(tmp_path, name) -> None:
    """Runs of one letter, which a pattern with two loops over it reads again from each of them."""

    def read(n: int) -> None:
        path = tmp_path / f"{n}.{name}"
        path.write_text(RUNS[name](n), encoding="utf-8")
        with contextlib.suppress(UserError):
            read_reviews(path)

    read(2_000)
    assert ratio(read, 2_000) < 9


MARKS = "a" + "\u0345" + "\u0300" * 2_000 + "\u0316" * 2_000


def test_marks_are_composed_in_time_in_proportion() -> None:
    assert composed(MARKS) == unicodedata.normalize("NFC", MARKS)
    assert ratio(lambda n: composed("a" + "\u0345" + "\u0300" * n + "\u0316" * n), 2_000) < 9


def test_nobody_composes_another_way() -> None:
    """Of whole texts: noise takes single letters apart."""
    users = [p for p in (ROOT / "src").rglob("*.py") if "unicodedata" in p.read_text(encoding="utf-8")]
    assert {p.relative_to(ROOT / "src").as_posix() for p in users} == {"data/nfc.py", "judge/noise.py"}


@pytest.mark.parametrize("text", ["Máy đẹp", "Ma\u0301y", "e\u0323\u0302" * 400, "x" * 600 + "o\u031b\u0323", ""])
def test_both_ways_compose_alike(text) -> None:
    assert composed(text) == unicodedata.normalize("NFC", text)


def test_a_place_that_a_dictionary_does_not_have_is_damage() -> None:
    """Bounds of these are not checked by pyarrow: it would read beyond its memory."""
    for place in (1, -1, 2**30):
        wrong = pa.DictionaryArray.from_arrays(pa.array([0, place], pa.int32()), pa.array(["a"]), safe=False)
        with pytest.raises(pa.ArrowInvalid, match="a value that its dictionary does not have"):
            parquet.sizes_of(wrong)
