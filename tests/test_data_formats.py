"""One reader for all: packed files, and the same words for the same fault in check, predict and pretraining."""

import csv
import gzip
import hashlib
import json
import random
import time
from pathlib import Path

import pytest

from src.data.files import FORMATS
from src.data.formats import OPENERS
from src.data.report import check_files
from src.data.reviews import read_reviews
from tests.reading import refused_by, source

CSV = "text,Camera\nmáy đẹp,positive\npin tệ,negative\n"
JSONL = '{"text": "máy đẹp", "Camera": "positive"}\n{"text": "pin tệ", "Camera": "negative"}\n'
CONTENTS = {"a.csv": CSV, "a.tsv": CSV.replace(",", "\t"), "a.jsonl": JSONL}


ROW = CSV.encode()
CUT = gzip.compress(ROW + b"".join(b"%d,positive\n" % i**5 for i in range(20_000)))[:-9]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.csv", ROW + b"a,b,c\n", ":4: the row has 3 cells, the header has 2; a text that holds a separator needs"),
        ("a.csv", ROW + b'"a,\nb,\n', ":4: the quoted cell that begins here is never closed"),
        ("a.csv", ROW + b'"a\nb","c" d\n', ":4: the quoted cell that begins in line 5 goes on after its closing quote"),
        ("a.csv", ROW + b"a\rb,\n", ":4: a carriage return stands outside quotes"),
        ("a.csv", ROW + b"m\xe1y,\n", ":4: the bytes are not UTF-8 (first bad byte: 0xe1); save the file as UTF-8, or"),
        (
            "a.jsonl",
            JSONL.encode() + b"{\n",
            ":3: not valid JSON: Expecting property name enclosed in double quotes at column 2",
        ),
        ("a.jsonl", JSONL.encode() + b"[]\n", ":3: one JSON object a line is expected, this is a list"),
        ("a.jsonl", JSONL.encode() + b'{"text": "\\ud83d"}\n', ":3: the text holds half of a character"),
        ("a.jsonl", JSONL.encode() + b'{"text": 5}\n', ':3: "text" holds 5, a text is expected'),
        ("a.csv", b"", ": the file is empty"),
        ("a.jsonl", b"\n", ": the file is empty"),
        ("a.csv", b'text,"Camera\n', ":1: the header cannot be read: the quoted cell that begins here is never closed"),
        ("a.csv", b"a,b\nx,\n", ": no column of texts among a, b (one of data, text,"),
        ("a.csv", b"text,text,Camera\nx,,\n", ':1: columns 1 and 2 are both called "text"'),
        ("a.csv", gzip.compress(ROW, mtime=0), ": this is gzip; let its name end in .gz"),
        ("a.csv", b"PK\x03\x04", ": this is a zip; unpack it"),
        ("a.csv", b'[{"text": "x"}]', ": this is JSON; call it .json"),
        ("a.jsonl", b"<!DOCTYPE html><html>", ": this is a web page"),
        ("a.csv", b"\xd0\xcf\x11\xe0" + bytes(64), ": this is an old Excel file (.xls)"),
        ("a.parquet", gzip.compress(ROW, mtime=0), ": this is gzip"),
        ("a.csv.gz", ROW, ": its name ends in .gz, but this is no gzip"),
        ("a.csv.gz", CUT, ": damaged from this row on: Compressed file ended before"),
        ("a.parquet", ROW, ": not a Parquet file"),
        ("a.txtt", ROW, ": the format is told from the name, and .txtt is none of .csv, .tsv, .jsonl, .json, .xlsx,"),
        ("a.csv/", ROW, ": this is a folder"),
        ("a.csb", None, ": there is no such file"),
    ],
)
def test_the_same_fault_has_the_same_words(tmp_path, caplog, name, content, said) -> None:
    path = tmp_path / name
    if name.endswith("/"):
        path.mkdir()
    elif content is not None:
        path.write_bytes(content)
    told = {who: faults[0] for who, faults in refused_by(path, caplog).items()}
    assert said in told["check"]
    words = {who: fault.removesuffix("; it can be given with --input-format") for who, fault in told.items()}
    assert set(words.values()) == {told["check"]}, words


@pytest.mark.parametrize("name", CONTENTS)
def test_a_packed_training_file_gives_the_same_reviews(tmp_path: Path, name: str) -> None:
    plain, packed = tmp_path / name, tmp_path / f"{name.upper()}.gz"
    plain.write_text(CONTENTS[name], encoding="utf-8")
    packed.write_bytes(gzip.compress(("\ufeff" + CONTENTS[name]).encode()))
    (wanted, aspects), (found, also) = read_reviews(plain), read_reviews(packed)
    assert found.texts == wanted.texts and also == aspects and found.lines.tolist() == wanted.lines.tolist()
    assert (found.sentiment == wanted.sentiment).all() and (found.mentioned == wanted.mentioned).all()
    assert found.sha256 == hashlib.sha256(packed.read_bytes()).hexdigest()
    assert "2 reviews" in check_files([str(packed)])


@pytest.mark.parametrize("size", [20, 5_000])
def test_a_cut_packed_file_is_told_even_where_no_row_is_whole(tmp_path: Path, caplog, size: int) -> None:
    text = "".join(random.Random(0).choices("abcdefgh", k=300_000))
    path = tmp_path / "a.jsonl.gz"
    path.write_bytes(gzip.compress(json.dumps({"text": text, "Camera": "positive"}).encode())[:size])
    for (fault,) in refused_by(path, caplog).values():
        assert "Compressed file ended before" in fault


def test_every_format_has_its_opener_and_only_text_is_packed(tmp_path: Path, caplog) -> None:
    assert set(OPENERS) == set(FORMATS)
    (tmp_path / "a.parquet.gz").write_bytes(gzip.compress(b"PAR1", mtime=0))
    (fault,) = refused_by(tmp_path / "a.parquet.gz", caplog)["check"]
    assert ".gz is none of" in fault and "all but .xlsx and .parquet also with .gz" in fault


def test_bytes_are_no_texts(tmp_path: Path, caplog) -> None:
    pa = pytest.importorskip("pyarrow", reason="the parquet extra is not installed")
    table = pa.table({"text": [b"m\xc3\xa1y"], "Camera": ["positive"]})
    pytest.importorskip("pyarrow.parquet").write_table(table, tmp_path / "a.parquet")
    for (fault,) in refused_by(tmp_path / "a.parquet", caplog).values():
        assert fault.endswith('the column "text" holds bytes, texts are expected')


@pytest.mark.parametrize(("count", "end"), [(30_000, ""), (30_000, '"x\n'), (140_000, "")])
def test_quotes_without_end_take_time_in_proportion(tmp_path: Path, count: int, end: str) -> None:
    """Every line closes the cell that the one before opened, and opens another: all would be one record."""
    path = tmp_path / "a.csv"
    start = time.process_time()
    found = list(source(path, b"text,b,c\n" + b'a",b,"\n' * count + end.encode()).rows())
    assert len(found) == count + bool(end) and all(row.fault for row in found)
    assert time.process_time() - start < 5


def one_by_one(text: str) -> list[tuple[int, list[str] | None]]:
    """Every record from its own place on, read by the standard library; None for one that goes wrong."""
    lines, found, i = text.splitlines(keepends=True), [], 0
    while i < len(lines):
        reader = csv.reader(lines[i:], strict=True)
        try:
            cells, taken = next(reader), reader.line_num
        except csv.Error:
            cells, taken = None, 1
        if cells != []:
            found.append((i + 1, cells))
        i += taken
    return found


def test_what_is_known_of_a_failed_record_is_what_reading_again_would_show(tmp_path: Path) -> None:
    rng = random.Random(0)
    for _ in range(300):
        text = "".join(rng.choices(['"', ",", "a", "\n", '""', '",', ',"', '"\n'], k=40)) + "\n"
        found = source(tmp_path / "a.csv", b"h,i\n" + text.encode()).rows()
        wanted = {line + 1: cells for line, cells in one_by_one(text)}
        for row in found:
            cells = wanted.pop(row.line)
            if row.fault.startswith("the row has"):
                assert cells is not None and f"{len(cells)} cell" in row.fault
            else:
                assert (list(row.cells.values()) or None) == cells, (text, row)
        assert not [cells for cells in wanted.values() if cells is None or len(cells) > 1]
