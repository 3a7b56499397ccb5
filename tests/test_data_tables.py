"""Rows out of files: cells, line numbers, columns, and every way a file can be broken."""

import builtins
import csv
import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from src.data import reviews
from src.data.reviews import read_reviews
from src.data.rows import Source, good_rows
from src.errors import Faults, UserError
from tests.reading import opened


def rows_of(path: Path, separator: str | None = None) -> list[tuple[int, dict[str, object]]]:
    faults = Faults()
    source = opened(path, faults, separator, clean=True)
    rows = list(good_rows(source, faults)) if source else []
    faults.raise_if_any()
    return rows


def faults_of(path: Path, separator: str | None = None) -> list[str]:
    with pytest.raises(UserError) as error:
        rows_of(path, separator)
    return [fault.removeprefix(str(path.parent) + "/") for fault in error.value.faults]


def write(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


# --- what is read --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bom", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_csv_cells_and_the_lines_where_rows_begin(tmp_path: Path, bom: bytes, newline: str) -> None:
    lines = ["text,Camera", '"one', 'two ""quoted"", three",Positive', "", "four,", '"five",Negative']
    path = write(tmp_path / "a.csv", bom + newline.join(lines).encode())
    assert rows_of(path) == [
        (2, {"text": f'one{newline}two "quoted", three', "Camera": "Positive"}),
        (5, {"text": "four", "Camera": ""}),
        (6, {"text": "five", "Camera": "Negative"}),
    ]


def test_the_csv_reader_agrees_with_the_standard_library_on_one_huge_cell(tmp_path: Path) -> None:
    text = "dài " * 100_000  # the csv module's own limit is 131,072 characters
    path = write(tmp_path / "a.csv", f'text,Camera\n"{text}",Positive\n')
    assert rows_of(path) == [(2, {"text": text, "Camera": "Positive"})]


def test_tab_and_chosen_separators(tmp_path: Path) -> None:
    expected = [(2, {"text": "a, b", "Camera": "Positive"})]
    assert rows_of(write(tmp_path / "a.tsv", "text\tCamera\na, b\tPositive\n")) == expected
    assert rows_of(write(tmp_path / "a.CSV", "text;Camera\na, b;Positive\n"), ";") == expected
    assert faults_of(tmp_path / "a.CSV", "::") == [
        'a.CSV: data.separator="::" must be one character, and no quote or line break'
    ]


def test_jsonl_rows_keep_their_lines(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", '\ufeff{"text": "a\u2028b", "n": 1}\r\n\n{"text": null, "labels": {"A": null}}')
    assert rows_of(path) == [(1, {"text": "a\u2028b", "n": 1}), (3, {"text": None, "labels": {"A": None}})]


def test_parquet_rows_are_numbered_from_one(tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow", reason="the parquet extra is not installed")
    parquet = pytest.importorskip("pyarrow.parquet")
    table = pa.table({"text": ["một", None], "Camera": pa.array(["positive", None]).dictionary_encode()})
    parquet.write_table(table, tmp_path / "a.parquet")
    assert rows_of(tmp_path / "a.parquet") == [
        (1, {"text": "một", "Camera": "positive"}),
        (2, {"text": None, "Camera": None}),
    ]


def test_names_are_stripped_and_composed(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "text, Pin \u0065\u0302\nx,y\n")
    assert rows_of(path) == [(2, {"text": "x", "Pin ê": "y"})]
    path = write(tmp_path / "a.jsonl", json.dumps({"text": "x", "labels": {" e\u0302": "y"}}))
    assert rows_of(path) == [(1, {"text": "x", "labels": {"ê": "y"}})]


def test_the_hash_is_of_the_bytes_that_were_read(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "\ufefftext,Camera\nx,positive\n")
    assert read_reviews(path)[0].sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("name", ["a.csv", "a.jsonl", "a.parquet"])
def test_a_file_that_changes_while_it_is_read_is_refused(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Any change, at any place: here of one letter near the end, far behind what a buffer holds at the start."""
    rows = [{"text": f"máy {i} " * 10, "A": "positive"} for i in range(3_000)]
    path = tmp_path / name
    if name == "a.csv":
        write(path, "text,A\n" + "".join(f"{row['text']},positive\n" for row in rows))
    elif name == "a.jsonl":
        write(path, "".join(json.dumps(row) + "\n" for row in rows))
    else:
        pa = pytest.importorskip("pyarrow", reason="the parquet extra is not installed")
        pytest.importorskip("pyarrow.parquet").write_table(pa.Table.from_pylist(rows), path, compression="none")
    read = reviews.good_rows

    def changing(source: Source, faults: Faults) -> Iterator[tuple[int, dict[str, Any]]]:
        walked = read(source, faults)
        first = next(walked)
        assert first[1]["text"] == rows[0]["text"]
        content = bytearray(path.read_bytes())
        content[content.rindex("máy 2999".encode() if name != "a.jsonl" else b"2999") + 1] ^= 1
        path.write_bytes(content)
        yield first
        yield from walked

    monkeypatch.setattr(reviews, "good_rows", changing)
    with pytest.raises(UserError, match="the file changed while it was read"):
        read_reviews(path)


def test_a_pipe_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.csv")
    assert faults_of(tmp_path / "a.csv") == ["a.csv: this is a pipe or a device, a file is expected: it is read twice"]


# --- what is wrong -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("a.csv", "", "a.csv: the file is empty"),
        ("a.csv", "\ufeff\n\n", "a.csv: the file is empty"),
        ("a.jsonl", " \n", "a.jsonl: the file is empty"),
        ("a.csv", "text,Camera\na,b\nc\n", "a.csv:3: the row has 1 cell, the header has 2"),
        (
            "a.csv",
            'text,Camera\n"a\nb",c\nd,e,f\n',
            "a.csv:4: the row has 3 cells, the header has 2; a text that holds a separator needs double quotes",
        ),
        ("a.csv", "text,A,A\nx,,\n", 'a.csv:1: columns 2 and 3 are both called "A"'),
        ("a.csv", "text,A,,\nx,,,5\n", 'a.csv:2: "5" stands in a column without name; name it in the header'),
        (
            "a.csv",
            b"text,A\nx,\ny,\nm\xe1y,\n",
            "a.csv:4: the bytes are not UTF-8 (first bad byte: 0xe1); save the file as UTF-8",
        ),
        ("a.jsonl", b'{"text": "a"}\n{"t\xff"}', "a.jsonl:2: the bytes are not UTF-8 (first bad byte: 0xff)"),
        (
            "a.csv",
            "text,A\nx,\xe1\n".encode("utf-16-le"),
            "a.csv: this looks like UTF-16 without its mark; data.encoding=utf-16-le reads it",
        ),
        (
            "a.csv",
            'text,A\nx,\n"a\nb","c\nd,\ne,\n',
            "a.csv:3: the quoted cell that begins in line 4 is never closed",
        ),
        (
            "a.csv",
            'text,A\nx,\n"a\nb","c"d\ne,\n',
            "a.csv:3: the quoted cell that begins in line 4 goes on after its closing quote; "
            'a quote inside a quoted text is written twice ("")',
        ),
        ("a.jsonl", '{"text": "a"}\n{"text": }', "a.jsonl:2: not valid JSON: Expecting value at column 10"),
        ("a.jsonl", '{"text": ' + "[" * 100_000, "a.jsonl:1: objects and lists stand in each other more than 100 deep"),
        ("a.jsonl", '{"n": ' + "9" * 5000 + "}", "a.jsonl:1: not valid JSON: Exceeds the limit"),
        ("a.jsonl", '["text"]', "a.jsonl:1: one JSON object a line is expected, this is a list"),
        (
            "a.jsonl",
            '{"A": "positive", "A": "negative"}',
            'a.jsonl:1: not valid JSON: the key "A" is there twice with different values',
        ),
        ("a.jsonl", '{"text": "\\ud83d đẹp"}', "a.jsonl:1: the text holds half of a character (a lone surrogate)"),
        ("a.parquet", "text", "a.parquet: not a Parquet file"),
        (
            "a.jsn",
            "{}",
            "a.jsn: the format is told from the name, and .jsn is none of .csv, .tsv, .jsonl, .json, .xlsx",
        ),
        ("a", "{}", "a: the format is told from the name, and it has no extension, such as .csv"),
    ],
)
def test_broken_files(tmp_path: Path, name: str, content: str | bytes, expected: str) -> None:
    if name.endswith("parquet"):
        pytest.importorskip("pyarrow", reason="the parquet extra is not installed")
    (fault,) = faults_of(write(tmp_path / name, content))
    assert fault.startswith(expected)


def test_the_same_key_twice_with_one_value_is_fine(tmp_path: Path) -> None:
    assert rows_of(write(tmp_path / "a.jsonl", '{"A": "x", "A": "x"}')) == [(1, {"A": "x"})]


def test_paired_surrogates_are_a_character(tmp_path: Path) -> None:
    assert rows_of(write(tmp_path / "a.jsonl", '{"text": "\\ud83d\\ude0d"}')) == [(1, {"text": "😍"})]


def test_files_that_cannot_be_opened(tmp_path: Path) -> None:
    write(tmp_path / "reviews.csv", "text,A\n")
    (tmp_path / "folder.csv").mkdir()
    assert faults_of(tmp_path / "review.csv") == ['review.csv: there is no such file; did you mean "reviews.csv"?']
    assert faults_of(tmp_path / "zzz.jsonl") == ["zzz.jsonl: there is no such file"]
    assert faults_of(tmp_path / "folder.csv") == ["folder.csv: this is a folder, a file is expected"]
    assert faults_of(tmp_path / "none" / "a.csv") == [f"a.csv: there is no such file, nor a folder {tmp_path / 'none'}"]


def test_parquet_without_pyarrow_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without_pyarrow(name: str, *args: object, **kwargs: object) -> object:
        if name.partition(".")[0] == "pyarrow":
            raise ImportError(name)
        return real(name, *args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(builtins, "__import__", without_pyarrow)
    (fault,) = faults_of(write(tmp_path / "a.parquet", "x"))
    assert fault == "a.parquet: reading Parquet needs pyarrow; pip install '.[parquet]'"


def test_rows_before_and_after_a_broken_one_are_still_judged(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", '{"a": 1}\nx\n{"a": 2}\n[]\n{"a": 3}\n')
    faults = Faults()
    source = opened(path, faults)
    assert source is not None
    assert [line for line, _ in good_rows(source, faults)] == [1, 3, 5]
    assert len(faults) == 2


def test_faults_put_whole_files_first_then_lines_and_print_twenty() -> None:
    faults = Faults()
    faults.raise_if_any()
    for line in range(30, 1, -1):
        faults.add("a.csv", "wrong", line)
    faults.add_untold(5)
    faults.add("b.csv", "gone")
    assert len(faults) == 35
    with pytest.raises(UserError) as error:
        faults.raise_if_any()
    assert error.value.faults[:3] == ["b.csv: gone", "a.csv:2: wrong", "a.csv:3: wrong"]
    assert len(error.value.faults) == 21
    assert error.value.faults[-1] == "... and 15 more"


def test_the_process_keeps_reading_csv_files_of_others(tmp_path: Path) -> None:
    before = csv.field_size_limit()
    rows_of(write(tmp_path / "a.csv", "text,A\nx,\n"))
    assert csv.field_size_limit() >= before
