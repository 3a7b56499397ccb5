"""Bad files of every container end in one message, within bounds of time and memory."""

import gzip
import io
import json
import time
import tracemalloc
import zipfile
from pathlib import Path

import pytest

from src.data import excel, lines
from src.data.reviews import read_reviews
from src.errors import UserError
from tests.reading import refused_by

pytest.importorskip("openpyxl")
SHEET = (
    '<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData>{}</sheetData></worksheet>'
)
BOOK = (
    '<workbook xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main" '
    'xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships">'
    '<sheets><sheet name="a" sheetId="1" r:id="r1"/></sheets></workbook>'
)
KINDS = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
PARTS = {
    "[Content_Types].xml": '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">'
    '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
    '<Override PartName="/xl/workbook.xml" ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.sheet.main+xml"/>'
    '<Override PartName="/xl/worksheets/sheet1.xml" ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.worksheet+xml"/></Types>',
    "_rels/.rels": '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">'
    f'<Relationship Id="r1" Type="{KINDS}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
    "xl/workbook.xml": BOOK,
    "xl/_rels/workbook.xml.rels": '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">'
    f'<Relationship Id="r1" Type="{KINDS}/worksheet" Target="worksheets/sheet1.xml"/></Relationships>',
}


def row(number: int, *cells: str) -> str:
    inner = "".join(
        f'<c r="{"ABCDEFG"[i]}{number}" t="inlineStr"><is><t>{cell}</t></is></c>' for i, cell in enumerate(cells)
    )
    return f'<row r="{number}">{inner}</row>'


def book(*rows: str, **parts: str) -> bytes:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, content in (PARTS | {"xl/worksheets/sheet1.xml": SHEET.format("".join(rows))} | parts).items():
            packed.writestr(name, content)
    return held.getvalue()


GOOD = book(row(1, "text", "A"), row(2, "x", "positive"))
LAUGHS = '<!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>'
FILES = {
    "empty.json": (b"", "the file is empty"),
    "none.json": (b"[]", "the array is empty"),
    "cut.json": (b'[{"text": "x", "A": "positive"}, {"text": "y"', "not valid JSON"),
    "open.json": (b'[{"text": "x", "A": "positive"}', "the file ends before the array does"),
    "after.json": (b'[{"text": "x", "A": "positive"}] 5', "something follows"),
    "comma.json": (b'[{"text": "x", "A": "positive"} {"text": "y"}]', "a comma is missing"),
    "deep.json": (b'[{"text": ' + b"[" * 100_000, "stand in each other more than 100 deep"),
    "deep.jsonl": (b'{"text": "x", "A": "positive"}\n{"text": ' + b"[" * 100_000, "more than 100 deep"),
    "number.json": (b"5", "one JSON object a line is expected, this is 5"),
    "text.jsonl": (b'{"text": "x", "A": "positive"}\n"x"\n', "one JSON object a line is expected, this is a text"),
    "cut.json.gz": (gzip.compress(json.dumps([{"text": "x" * 10, "A": "positive"}] * 2000).encode())[:-20], "damaged"),
    "cut.xlsx": (GOOD[:-40], "not an Excel file"),
    "empty.xlsx": (b"", "not an Excel file"),
    "csv.xlsx": (b"text,A\nx,positive\n", "not an Excel file"),
    "rowless.xlsx": (book(), "the file is empty"),
    "zip.xlsx": (book(**{"xl/worksheets/sheet1.xml": "<oops"}), "not an Excel file"),
    "laughs.xlsx": (book(**{"xl/worksheets/sheet1.xml": LAUGHS + SHEET.format(row(1, "&b;"))}), "not an Excel file"),
    "far.xlsx": (book(row(1, "text", "A"), row(99_999_999, "x", "positive")), "rows at most"),
    "empty.xml": (b"", "the file is empty"),
    "root.xml": (b"<html><p/></html>", "this is a web page"),
    "other.xml": (b"<feed><entry/></feed>", "the root is <feed>"),
    "cut.xml": (b"<sentences><sentence><text>x</text></sentence><sente", "not valid XML"),
    "laughs.xml": (
        LAUGHS.replace("x [", "sentences [").encode() + b"<sentences><sentence><text>&b;</text></sentence></sentences>",
        "entities",
    ),
    "one.txt": (b"#1\nx\n{A#B, good\n", "no column of aspects"),
    "cut.raw": (b"$T$ x\nA\npositive\n$T$ y\nA\n", "a sentiment is missing"),
    "plain.raw": (b"just text\n", "three lines"),
    "cut.txt": (b"x####[['A', 'positive'\nx####[['A', 'positive']]\n", "has no ####"),
}


@pytest.mark.parametrize("name", FILES)
def test_bad_files_end_in_one_message(tmp_path: Path, name: str) -> None:
    content, told = FILES[name]
    (tmp_path / name).write_bytes(content)
    start = time.process_time()
    with pytest.raises(UserError) as error:
        read_reviews(tmp_path / name)
    assert told in str(error.value)
    assert time.process_time() - start < 5


@pytest.mark.parametrize("name", FILES)
def test_every_command_says_the_same(tmp_path: Path, caplog, name: str) -> None:
    """``absa check``, ``evaluate``, ``predict`` and pre-training; where no row is good, two of them say that too."""
    content, said = FILES[name]
    (tmp_path / name).write_bytes(content)
    told = refused_by(tmp_path / name, caplog, "A")
    if said == "no column of aspects":
        assert told.pop("predict") == told.pop("pretraining") == [], "which need texts alone"
    (wanted,) = {fault for (fault,) in (told["check"], told["evaluate"])}
    words = wanted.partition(f"{name}:")[2].lstrip("0123456789: ")
    for (fault,) in told.values():
        assert words in fault and str(tmp_path / name) in fault


def test_a_good_excel_file_is_read(tmp_path: Path) -> None:
    (tmp_path / "a.xlsx").write_bytes(GOOD)
    assert list(read_reviews(tmp_path / "a.xlsx")[0].texts) == ["x"]


def test_a_zip_bomb_is_not_unpacked(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(excel, "UNPACKED", 2**22)
    (tmp_path / "a.xlsx").write_bytes(book(row(1, "text", "A"), row(2, "x" * 2**23, "positive")))
    tracemalloc.start()
    with pytest.raises(UserError, match="unpacks to more than 4 MiB"):
        read_reviews(tmp_path / "a.xlsx")
    assert tracemalloc.get_traced_memory()[1] < 2**23
    tracemalloc.stop()


@pytest.mark.parametrize("name", ["a.csv", "a.jsonl", "a.json", "a.txt", "a.xml"])
def test_a_cell_without_end_takes_no_memory(tmp_path: Path, monkeypatch, name: str) -> None:
    """In place of 100 MB and a limit of 16 MiB: 6 MB, and a limit of 1 MB."""
    for module in ("lines", "json_rows", "layouts.semeval", "excel"):
        monkeypatch.setattr(f"src.data.{module}.LIMIT", 10**6)
    start = {
        "a.csv": "text,A\n",
        "a.jsonl": '{"text": "',
        "a.json": '[{"text": "',
        "a.txt": "#1\nx\n{A, positive}\n#2\n",
        "a.xml": "<sentences><sentence><text>",
    }[name]
    (tmp_path / name).write_text(start + "x" * 6_000_000, encoding="utf-8")
    tracemalloc.start()
    with pytest.raises(UserError):
        read_reviews(tmp_path / name)
    assert tracemalloc.get_traced_memory()[1] < 12 * 10**6
    tracemalloc.stop()
    assert lines.LIMIT == 10**6
