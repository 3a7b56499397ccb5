"""Rows come out of any file as training reads them; what cannot be read is a fault of its row, and reading goes on."""

import csv
import io
import json
import random
from pathlib import Path

import pytest

from src.data import lines as lines_module
from src.data.rows import Place, Row, Source
from src.data.text_rows import sniff
from src.errors import UserError
from src.ship.predict import batch
from src.ship.predict.writers import dumps
from src.spelling import as_options
from tests import reading
from tests.reading import answerable


@pytest.fixture(autouse=True)
def in_a_folder(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)


def source(data: bytes, form: str, separator: str | None = None) -> Source:
    return reading.source(Path(f"x.{form}"), data, separator)


def rows(data: bytes, form: str, **options: str) -> list[Row]:
    return answerable(Path(f"x.{form}"), data, **options)


def faults_of(found: list[Row]) -> list[tuple[int, str]]:
    return [(row.line, row.fault) for row in found if row.fault]


# --- CSV ---


def test_csv_cells_and_lines() -> None:
    found = rows('\ufeffid,Text,"x"\r\n1,"a\r\nb",\r\n\r\n2,c,"d ""e"""\r\n'.encode(), "csv")
    assert found == [
        Row(2, {"id": "1", "Text": "a\r\nb", "x": ""}, "a\r\nb"),
        Row(5, {"id": "2", "Text": "c", "x": 'd "e"'}, "c"),
    ]


BROKEN = b"id,text\n1,one\n2,tw\xffo\n3,\n4,a,b\n5\n6, \n7,seven\n"


def test_what_cannot_be_read_is_said_and_the_rest_is_read() -> None:
    found = rows(BROKEN, "csv")
    assert [row.text for row in found if not row.fault] == ["one", "seven"]
    assert faults_of(found) == [
        (
            3,
            "the bytes are not UTF-8 (first bad byte: 0xff); save the file as UTF-8, "
            "or say which encoding it has, such as data.encoding=cp1258",
        ),
        (4, "the text is empty"),
        (5, "the row has 3 cells, the header has 2; a text that holds a separator needs double quotes"),
        (6, "the row has 1 cell, the header has 2"),
        (7, "the text is empty"),
    ]


def test_a_stray_quote_swallows_no_good_row() -> None:
    found = rows(b'id,text\n1,"never closed\n2,"good, ""one"""\n3,"a" b\n4,four\n5,"open\n6,six\n', "csv")
    assert [(row.line, row.text) for row in found if not row.fault] == [(3, 'good, "one"'), (5, "four"), (7, "six")]
    assert [line for line, _ in faults_of(found)] == [2, 4, 6]
    assert faults_of(found)[2][1] == "the quoted cell that begins here is never closed"


def test_a_record_that_is_too_long_is_refused_and_no_other(monkeypatch) -> None:
    monkeypatch.setattr(lines_module, "LIMIT", 100)
    found = rows(b"text\n" + b"a" * 500 + b"\nb\n" + b'"c\n' * 3 + b"c" * 95 + b"\nd\n", "csv")
    assert [row.text for row in found if not row.fault] == ["b", "c" * 95, "d"]
    assert [line for line, _ in faults_of(found)] == [2, 4, 5, 6]


def test_a_record_of_too_many_lines_is_refused_and_no_other(monkeypatch) -> None:
    monkeypatch.setattr(lines_module, "LINES", 10)
    found = rows(b'text\n"open\n' + b"a\n" * 30 + b'"' + b"b\n" * 10 + b'"\nlast\n', "csv")
    assert faults_of(found)[0][0] == 2
    assert "is a closing quote missing?" in faults_of(found)[0][1]
    assert [row.text for row in found if not row.fault][:30] == ["a"] * 30 and found[-1].text == "last"


def test_an_empty_row_in_quotes_is_a_row() -> None:
    found = rows(b'text\n"" \n""\n\n  \n" "\nb\n', "csv")
    assert [line for line, _ in faults_of(found)] == [2, 3, 6] and found[-1] == Row(7, {"text": "b"}, "b")
    assert faults_of(found)[1][1] == "the text is empty"


def test_chunks_hold_no_more_than_they_may_whatever_column_is_long(monkeypatch) -> None:
    monkeypatch.setattr(batch, "CHUNK_CHARACTERS", 1000)
    data = b"text,x,y\n" + b"a,%s,\n" % (b"x" * 600) * 6
    assert [len(chunk.rows) for chunk in batch.chunks(source(data, "csv"), "text")] == [2, 2, 2, 0]
    data = b'{"text": "a", "x": [{"y": "%s"}]}\n' % (b"x" * 600) * 4
    assert [len(chunk.rows) for chunk in batch.chunks(source(data, "jsonl"), "text")] == [2, 2, 0]
    for data, form in ((b"text,x\n,long\n", "csv"), (b"long\xff\n", "txt")):
        (bad,) = rows(data, form)
        assert bad.fault and not bad.cells and not bad.text


def test_nul_bytes_and_nfd_pass() -> None:
    text = "pin\0 tru\u0302u"
    assert [row.text for row in rows(f"text\n{text}\n".encode(), "csv")] == [text]


def test_cells_and_lines_are_those_of_the_standard_library() -> None:
    rng = random.Random(0)
    cells = ["", "a", ",", '"', "x\ny", "\r\n", "'", "đẹp", "a,b", '"q"', " ", "\u2028", "😀"]
    for seed in range(30):
        text = io.StringIO(newline="")
        writer = csv.writer(text, lineterminator="\r\n" if seed % 3 else "\n")
        writer.writerow(["id", "text", "z"])
        writer.writerows([i, *rng.choices(cells, k=2)] for i in range(20))
        text.seek(0)
        wanted, reader = [], csv.reader(text)
        next(reader)
        while len(wanted) < 20:
            wanted.append((reader.line_num + 1, dict(zip(("id", "text", "z"), next(reader), strict=True))))
        found = source(text.getvalue().encode("utf-8-sig" if seed % 2 else "utf-8"), "csv").rows()
        assert [(row.line, row.cells) for row in found] == wanted


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "the file is empty"),
        (b"a,b\n1,2\n", "no column of texts among a, b .* --text-column"),
        (b"text,text\n", 'columns 1 and 2 are both called "text"'),
        (b'"text\n1\n', "the header cannot be read: the quoted cell that begins here is never closed"),
        (b"text,\xff\n", "the header cannot be read: the bytes are not UTF-8"),
        (b"\x1f\x8b\x08...", "this is gzip"),
        (b"PK\x03\x04 xl/...", "an Excel file"),
        ("text\nx\n".encode("utf-16-le"), "this looks like UTF-16 without its mark; --encoding utf-16-le reads it"),
    ],
)
def test_a_file_without_a_header_to_read_is_refused(data, said) -> None:
    with pytest.raises(UserError, match=said), as_options():
        rows(data, "csv")


def test_the_text_column_can_be_named() -> None:
    assert [row.text for row in rows(b"data;said\n1;x\n", "csv", text_column="said", separator=";")] == ["x"]
    with pytest.raises(UserError, match=r'no column "sayd".*did you mean "said"'):
        rows(b"data,said\n1,x\n", "csv", text_column="sayd")


# --- JSONL and plain text ---


def test_jsonl_rows_and_faults() -> None:
    data = "\n".join(
        [
            '{"id": 1, "text": "một", "tags": [1, null]}',
            "",
            '{"text": "\\ud83d\\ude00"}',
            '{"text": "\\ud83d"}',
            '["text"]',
            '{"text": 5}',
            '{"text": null}',
            '{"id": 2}',
            '{"text": "a", "text": "b"}',
            "{",
            "[" * 100_000,
            '{"text": "x", "n": ' + "9" * 5000 + "}",
            '{"text": "last"}',
        ]
    )
    found = rows(data.encode(), "jsonl")
    assert [row.text for row in found if not row.fault] == ["một", "😀", "last"]
    assert found[0].cells == {"id": 1, "text": "một", "tags": [1, None]}
    said = dict(faults_of(found))
    assert list(said) == [4, 5, 6, 7, 8, 9, 10, 11, 12]
    assert "half of a character" in said[4] and "a list" in said[5] and said[6] == '"text" holds 5, a text is expected'
    assert said[7] == "the text is empty" and said[8] == 'there is no "text"' and "twice" in said[9]
    assert all("not valid JSON" in said[line] for line in (10, 12)) and "more than 100 deep" in said[11]


@pytest.mark.parametrize(("levels", "fits"), [(99, True), (100, False), (600, False), (980, False)])
@pytest.mark.parametrize("begin", ['{"a":', "["])
def test_nested_jsonl_is_refused_beyond_a_depth(begin, levels, fits) -> None:
    end = {"[": "]"}.get(begin, "}")
    value = begin * levels + "NaN" + end * levels
    first, last = rows(b'{"text": "a", "x": %s}\n{"text": "[[[[{{", "y": [[], []]}' % value.encode(), "jsonl")
    assert bool(first.fault) is not fits and not last.fault
    if fits:
        assert "null" in dumps(first.cells)
    else:
        assert "deep" in first.fault or "recursion" in first.fault


def test_the_first_rows_of_jsonl_say_which_key_is_the_text() -> None:
    data = b'{"note": "x"}\n{"comment": "a", "note": "y"}\n'
    assert [row.text for row in rows(data, "jsonl") if not row.fault] == ["a"]
    with pytest.raises(UserError, match="holds no row that can be read"):
        rows(b"not json\n", "jsonl")


def test_plain_text_is_a_review_a_line() -> None:
    found = rows(b'\xef\xbb\xbfone\r\n\n<s> two, "three\n\xff\nlast', "txt")
    assert [(row.line, row.text) for row in found if not row.fault] == [(1, "one"), (3, '<s> two, "three'), (5, "last")]
    assert [line for line, _ in faults_of(found)] == [2, 4]


@pytest.mark.parametrize(
    ("head", "form"), [(b'{"text": 1}', "jsonl"), (b"{}", "jsonl"), (b"{ok} pin", "txt"), (b"pin", "txt"), (b"", "txt")]
)
def test_a_stream_is_text_unless_it_begins_as_json(head, form) -> None:
    assert sniff(io.BufferedReader(io.BytesIO(head))) == form


# --- going on ---


@pytest.mark.parametrize("form", ["csv", "jsonl", "txt"])
def test_reading_goes_on_at_any_place(form) -> None:
    cells = ["a", "x\ny", "", '"q', "đẹp 😀", "b,c"]
    buffer = io.StringIO()
    if form == "csv":
        csv.writer(buffer).writerows([["id", "text"], *enumerate(cells)])
        buffer.write('7,"open\n8,x\n9,"y" z\n10,end\n')
    elif form == "jsonl":
        buffer.writelines(json.dumps({"text": cell}) + "\n" for cell in cells)
        buffer.write("bad\n")
    else:
        buffer.writelines(cell + "\n" for cell in cells)
    data = ("\ufeff" + buffer.getvalue()).encode()
    whole = source(data, form)
    seen: list[tuple[Row, Place]] = [(row, whole.place) for row in whole.rows()]
    assert seen[-1][1].offset == len(data)
    for i, (_, place) in enumerate(seen):
        rest = source(data, form)
        rest.seek(place)
        assert list(rest.rows()) == [row for row, _ in seen[i + 1 :]]
