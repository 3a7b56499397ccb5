"""Files as people have them: every container and layout gives the labels that a hand would write down."""

import codecs
import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from src.data.corpus import read_corpus
from src.data.report import check_files
from src.data.reviews import Reviews, read_reviews
from src.data.splits import read_splits
from src.errors import UserError
from src.spelling import as_options
from tests.reading import answerable

SAID = [  # texts and what they say: the same in every layout below
    ("Bếp sạch, nhân viên chậm", {"Bếp": "positive", "Phục vụ": "negative"}),
    ("Giá tạm", {"Giá": "neutral"}),
    ("Món ngon, giá chát", {"Bếp": "positive", "Giá": "negative"}),
    ("Phục vụ nhanh", {"Phục vụ": "positive"}),
]
ASPECTS = ("Bếp", "Giá", "Phục vụ")


def said(reviews: Reviews, aspects: tuple[str, ...]) -> list[tuple[str, dict[str, str]]]:
    names = (*reviews.sentiments, "mentioned")
    return [
        (text, {a: names[c] for a, c, m in zip(aspects, row, there, strict=True) if m})
        for text, row, there in zip(reviews.texts, reviews.sentiment, reviews.mentioned, strict=True)
    ]


def read(path: Path, content: str | bytes, **options: Any) -> list[tuple[str, dict[str, str]]]:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return said(*read_reviews(path, **options))


def refused(path: Path, content: str | bytes, **options: Any) -> str:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(UserError) as error:
        read_reviews(path, **options)
    return str(error.value)


def each(make) -> str:
    return "\n".join(make(text, labels) for text, labels in SAID) + "\n"


def quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'


def wide(separator: str = ",", words: dict[str, str] | None = None) -> str:
    rows = [["Nội dung", *ASPECTS]]
    rows += [
        [quoted(t), *((words or {}).get(labels.get(a, ""), labels.get(a, "")) for a in ASPECTS)] for t, labels in SAID
    ]
    return "\n".join(separator.join(row) for row in rows) + "\n"


def jsonl(make) -> str:
    return each(lambda t, labels: json.dumps({"text": t, **make(labels)}, ensure_ascii=False))


def in_cell(make) -> str:
    return "comment,label\n" + each(lambda t, labels: f"{quoted(t)},{quoted(make(labels))}")


def pairs_of(labels: dict[str, str]) -> list[list[str]]:
    return [list(pair) for pair in labels.items()]


TASKS = [
    {
        "id": i,
        "data": {"text": text, "source": "x"},
        "annotations": [
            {
                "result": [
                    {"from_name": a, "type": "choices", "value": {"choices": [s.upper()]}} for a, s in labels.items()
                ]
            }
        ],
    }
    for i, (text, labels) in enumerate(SAID)
]
MINI = [
    {"text": text, "id": i, "annotator": 1, "annotation_id": i, "created_at": "x", "lead_time": 3.2, **labels}
    for i, (text, labels) in enumerate(SAID)
]
LAYOUTS = {
    "wide.csv": wide(),
    "semicolons.csv": "\ufeff" + wide(";"),
    "tabs.csv": wide("\t"),
    "sep.csv": "sep=|\r\n" + wide("|"),
    "utf16.csv": wide("\t").encode("utf-16"),
    "cr.csv": wide().replace("\n", "\r"),
    "crlf.csv": wide().replace("\n", "\r\n"),
    "trailing.csv": "".join(f"{line},,\n" for line in wide().splitlines()),
    "packed.csv.gz": gzip.compress(wide().encode()),
    "words.csv": wide(words={"positive": "Tích cực", "negative": "tiêu cực", "neutral": "NEU", "": "không"}),
    "braces.csv": in_cell(lambda labels: "".join(f"{{{a}#{s}}};" for a, s in labels.items())),
    "commas.csv": in_cell(lambda labels: ", ".join(f"{{{a}, {s}}}" for a, s in labels.items())),
    "colon.csv": in_cell(lambda labels: ", ".join(f"{a}: {s}" for a, s in labels.items())),
    "pydict.csv": in_cell(str),
    "json.csv": in_cell(lambda labels: json.dumps(labels, ensure_ascii=False)),
    "pylist.csv": in_cell(lambda labels: str([f"{a}#{s}" for a, s in labels.items()])),
    "numpy.csv": in_cell(lambda labels: "[" + " ".join(f"'{a}#{s}'" for a, s in labels.items()) + "]"),
    "pairs.csv": in_cell(lambda labels: str([(a, s) for a, s in labels.items()])),
    "long.csv": "sentence,aspect,polarity\n"
    + "".join(f"{quoted(t)},{a},{s}\n" for t, labels in SAID for a, s in labels.items()),
    "viet.csv": "STT,văn bản,khía cạnh,cảm xúc\n"
    + "".join(f"{i},{quoted(t)},{a},{s}\n" for i, (t, labels) in enumerate(SAID) for a, s in labels.items()),
    "flags.csv": "text,"
    + ",".join(f"{a},{a}_sentiment" for a in ASPECTS)
    + "\n"
    + each(lambda t, labels: quoted(t) + "".join(f",{int(a in labels)},{labels.get(a, 'neutral')}" for a in ASPECTS)),
    "object.jsonl": jsonl(lambda labels: {"labels": labels}),
    "keys.jsonl": jsonl(lambda labels: labels),
    "pairs.jsonl": jsonl(lambda labels: {"labels": pairs_of(labels)}),
    "dicts.jsonl": jsonl(lambda labels: {"aspects": [{"aspect": a, "sentiment": s} for a, s in labels.items()]}),
    "marks.jsonl": jsonl(lambda labels: {"label": [f"{a}#{s}" for a, s in labels.items()], "Comments": []}),
    "underscores.jsonl": jsonl(lambda labels: {"label": [f"{a}_{s}" for a, s in labels.items()]}),
    "inverse.jsonl": jsonl(
        lambda labels: {
            "labels": {s: [a for a in labels if labels[a] == s] for s in ("positive", "negative", "neutral")}
        }
    ),
    "spans.jsonl": jsonl(lambda labels: {"labels": [[0, 3, f"{a}#{s.upper()}"] for a, s in labels.items()]}),
    "offsets.jsonl": jsonl(
        lambda labels: {
            "entities": [{"id": 1, "label": f"{a}#{s}", "start_offset": 0, "end_offset": 3} for a, s in labels.items()],
            "relations": [],
        }
    ),
    "array.json": json.dumps([{"text": t, "labels": labels} for t, labels in SAID], indent=1),
    "array.jsonl": json.dumps([{"text": t, "labels": labels} for t, labels in SAID]),
    "many_lines.jsonl": each(lambda t, labels: json.dumps({"text": t, "labels": labels}, indent=1)),
    "lines.json": jsonl(lambda labels: {"labels": labels}),
    "tasks.json": json.dumps(TASKS),
    "mini.json": json.dumps(MINI),
    "vlsp.txt": "\n".join(
        f"#{i}\n{t}\n" + ", ".join(f"{{{a}, {s}}}" for a, s in labels.items()) + "\n"
        for i, (t, labels) in enumerate(SAID, 1)
    ),
    "asqp.txt": each(lambda t, labels: f"{t}####{[['NULL', a + ' x', s, 'NULL'] for a, s in labels.items()]}").replace(
        " x'", "'"
    ),
    "three.raw": "".join(f"$T$ , {t}\n{a}\n{s.title()}\n" for t, labels in SAID for a, s in labels.items()),
    "semeval.xml": "<Reviews><Review><sentences>"
    + each(
        lambda t, labels: (
            f"<sentence id='1'><text>{t}</text><Opinions>"
            + "".join(f"<Opinion category='{a}' polarity='{s}'/>" for a, s in labels.items())
            + "</Opinions></sentence>"
        )
    )
    + "</sentences></Review></Reviews>",
}
LAYOUTS["asqp.txt"] = each(lambda t, labels: f"{t}####{[[a, s] for a, s in labels.items()]}")


@pytest.mark.parametrize("name", LAYOUTS)
def test_every_layout_gives_the_same_labels(tmp_path: Path, name: str) -> None:
    assert read(tmp_path / name, LAYOUTS[name]) == SAID


@pytest.mark.parametrize("name", LAYOUTS)
def test_every_layout_gives_its_texts_to_predict_and_to_pretraining(tmp_path: Path, name: str) -> None:
    content = LAYOUTS[name]
    rows = answerable(tmp_path / name, content if isinstance(content, bytes) else content.encode())
    assert [row.fault for row in rows if row.fault] == []
    assert list(dict.fromkeys(row.text for row in rows)) == [text for text, _ in SAID]
    corpus = read_corpus([str(tmp_path / name)], val=0.5)
    assert sorted([*corpus.train, *corpus.val]) == sorted(text for text, _ in SAID)


def test_excel(tmp_path: Path) -> None:
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    book.active.title = "about"
    sheet = book.create_sheet("data")
    sheet.append(["review", *ASPECTS, None])
    for text, labels in SAID:
        sheet.append([text, *(labels.get(a) for a in ASPECTS)])
    other = book.create_sheet("other")
    other.append(["text", "A"])
    other.append([7, 1])
    book.save(tmp_path / "a.xlsx")
    reviews, aspects = read_reviews(tmp_path / "a.xlsx")
    assert said(reviews, aspects) == SAID and reviews.lines.tolist() == [2, 3, 4, 5]
    assert 'the sheet "data" of about, data, other; data.sheet=other takes another' in reviews.read_as
    given = {"sheet": "other", "values": {1: "negative"}}
    assert said(*read_reviews(tmp_path / "a.xlsx", **given)) == [("7", {"A": "negative"})]
    content = (tmp_path / "a.xlsx").read_bytes()
    assert 'no sheet "dat"' in refused(tmp_path / "a.xlsx", content, sheet="dat")
    assert refused(tmp_path / "a.csv", content).endswith("a.csv: this is an Excel file; call it .xlsx")
    with pytest.raises(UserError, match="this is an Excel file"):
        answerable(tmp_path / "b.csv", content)


def test_vlsp_in_both_its_forms_against_a_count_by_hand(tmp_path: Path) -> None:
    raw = """#1
Phòng rộng, ồn
{ROOMS#DESIGN, positive}, {HOTEL#COMFORT, negative}

#2
Giá được
{HOTEL#PRICES, neutral}

#3
Bình thường thôi

#4
Dở
{HOTEL#COMFORT, negative}, {ROOMS#DESIGN, negative}
"""
    digits = """Review,ROOMS#DESIGN,HOTEL#COMFORT,HOTEL#PRICES
"Phòng rộng, ồn",1,2,0
Giá được,0,0,3
Bình thường thôi,0,0,0
Dở,2,2,0
"""
    by_hand = [
        ("Phòng rộng, ồn", {"ROOMS#DESIGN": "positive", "HOTEL#COMFORT": "negative"}),
        ("Giá được", {"HOTEL#PRICES": "neutral"}),
        ("Bình thường thôi", {}),
        ("Dở", {"ROOMS#DESIGN": "negative", "HOTEL#COMFORT": "negative"}),
    ]
    assert read(tmp_path / "raw.txt", raw) == by_hand
    meaning = {0: None, 1: "positive", 2: "negative", 3: "neutral"}
    assert read(tmp_path / "digits.csv", digits, values=meaning) == by_hand
    counts = read_reviews(tmp_path / "raw.txt")[0].class_counts  # HOTEL#COMFORT, HOTEL#PRICES, ROOMS#DESIGN
    assert counts.tolist() == [[0, 2, 0], [0, 0, 1], [1, 1, 0]]


def test_three_parts_and_entities_with_attributes(tmp_path: Path) -> None:
    assert read(tmp_path / "a.csv", "text,label\nx,{A#B#Positive};{C#D#Negative}\n") == [
        ("x", {"A#B": "positive", "C#D": "negative"})
    ]
    quad = "x####[['pizza', 'food quality', 'positive', 'NULL'], ['Pin', 'general', 'negative', 'NULL']]\n"
    assert read(tmp_path / "a.txt", quad) == [("x", {"food quality": "positive", "Pin#general": "negative"})]
    terms = "pin của $T$ tốt\nmáy\n1\n$T$ của máy tốt\npin\n1\n"
    assert read(tmp_path / "b.txt", terms, values={1: "positive"}) == [
        ("pin của máy tốt", {"máy": "positive", "pin": "positive"})
    ]


def test_a_long_table_is_grouped_by_ids_that_repeat_and_else_by_text(tmp_path: Path) -> None:
    same = "id,text,aspect,sentiment\n1,ok,A,positive\n2,ok,A,negative\n2,ok,B,negative\n"
    assert read(tmp_path / "a.csv", same) == [("ok", {"A": "positive"}), ("ok", {"A": "negative", "B": "negative"})]
    rows = "id,text,aspect,sentiment\n1,ok,A,positive\n2,no,,\n3,ok,B,negative\n"
    assert read(tmp_path / "b.csv", rows) == [("ok", {"A": "positive", "B": "negative"}), ("no", {})]


def test_what_columns_were_taken_for_is_said(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("title,content,comment,Pin,,\nt,pin tốt,hay,Positive,,\n", encoding="utf-8")
    report = check_files([str(path)])
    assert 'a wide table: texts in "comment", the aspect "Pin"; left out: title, content' in report
    assert 'the texts are those of "comment" (also there: content; data.text_column=content takes another)' in report
    assert "2 columns without name and cells at the end left out" in report


def test_a_choice_is_asked_for_with_both_lines(tmp_path: Path) -> None:
    both = "text,Pin,Loa,label\nx,positive,,{A#negative}\n"
    told = refused(tmp_path / "a.csv", both)
    assert "'data.ignore_columns=[label]' reads the first, data.label_column=label the second" in told
    assert read(tmp_path / "a.csv", both, ignore_columns=["label"]) == [("x", {"Pin": "positive"})]
    assert read(tmp_path / "a.csv", both, label_column="label") == [("x", {"A": "negative"})]
    assert read(tmp_path / "a.csv", both, layout="braces") == [("x", {"A": "negative"})]


def test_the_columns_of_a_tool_have_one_remedy(tmp_path: Path) -> None:
    table = "text,Pin,annotator,lead_time\nx,positive,1,2.5\n"
    told = refused(tmp_path / "a.csv", table)
    assert told.count("\n") == 0 and "'data.ignore_columns=[annotator,lead_time]' leaves them out" in told
    assert read(tmp_path / "a.csv", table, ignore_columns=["annotator", "lead_time"]) == [("x", {"Pin": "positive"})]


def test_other_encodings_are_asked_for_and_never_guessed(tmp_path: Path) -> None:
    table = "text,Pin\nPin trâu lắm,positive\n".encode("cp1258", "replace")
    told = refused(tmp_path / "a.csv", table)
    assert "the bytes are not UTF-8" in told and "data.encoding=cp1258" in told
    assert read(tmp_path / "a.csv", table, encoding="cp1258")[0][1] == {"Pin": "positive"}
    assert "no encoding of text" in refused(tmp_path / "a.csv", table, encoding="rot13")
    bare = "text,Pin\nx,positive\n".encode("utf-16-le")
    assert "data.encoding=utf-16-le" in refused(tmp_path / "a.csv", bare)
    assert read(tmp_path / "a.csv", bare, encoding="utf-16-le") == [("x", {"Pin": "positive"})]
    cut = codecs.BOM_UTF16_LE + "text,Pin\nx,positive\n\ud800,positive\n".encode("utf-16-le", "surrogatepass")
    assert "not UTF-16" in refused(tmp_path / "a.csv", cut)


def test_mixed_ways_in_one_column_are_each_read_as_what_they_are(tmp_path: Path) -> None:
    rows = "text,label\nx,{A#positive};\ny,\"{'A': 'negative'}\"\nz,\"['A#neutral']\"\nw,[]\n"
    assert [labels for _, labels in read(tmp_path / "a.csv", rows)] == [
        {"A": "positive"},
        {"A": "negative"},
        {"A": "neutral"},
        {},
    ]
    assert "malformed" in refused(tmp_path / "a.csv", rows, layout="braces")


@pytest.mark.parametrize(
    ("cell", "told"),
    [
        ("['positive']", "is a sentiment without an aspect"),
        ("[{'aspect': 'A'}, {'start': 5}]", "a label"),
        ("{'A': 'positive'", "neither JSON nor a list of Python"),
        ("[" * 200 + "]" * 200, "deep"),
        ("[1, 2]", "a label is expected"),
        ("{A#}", "malformed label"),
        ("{#positive}", "malformed label"),
    ],
)
def test_what_is_no_label_is_told(tmp_path: Path, cell: str, told: str) -> None:
    assert told in refused(tmp_path / "a.csv", f"text,label\nx,{{B#positive}}\ny,{quoted(cell)}\n")


def test_several_files_are_one_split(tmp_path: Path) -> None:
    (tmp_path / "old.csv").write_text("text,A,B\nx,positive,\ny,,negative\n", encoding="utf-8")
    (tmp_path / "new.jsonl").write_text('{"text": "z", "labels": {"C": "neutral"}}\n{"text": "x", "labels": {}}\n')
    files = [str(tmp_path / "old.csv"), str(tmp_path / "new.jsonl")]
    splits = read_splits(files, 0.25)
    assert splits.labels.aspects == ("A", "B", "C") and splits.findings.splits["train"].path == ", ".join(files)
    whole = read_splits(files)
    assert said(whole.train, whole.labels.aspects) == [
        ("x", {"A": "positive"}),
        ("y", {"B": "negative"}),
        ("z", {"C": "neutral"}),
        ("x", {}),
    ]
    assert list(whole.train.ids) == ["old.csv:2", "old.csv:3", "new.jsonl:1", "new.jsonl:2"]
    found = whole.findings.splits["train"]
    assert found.first_lines["repeated"] == ["new.jsonl:2"]
    assert "old.csv: 2 reviews" in found.read_as and "  knows nothing of C: not mentioned in it" in found.read_as
    assert found.sha256 != read_splits(files[::-1]).findings.splits["train"].sha256
    (tmp_path / "new.jsonl").write_text('{"text": "z", "labels": {"C": "good"}}\n')
    with pytest.raises(UserError, match=r'new\.jsonl:1: aspect "C": "good"'):
        read_splits(files)


def test_the_options_are_named_as_they_are_typed(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("text,Pin,annotator\nx,positive,1\n", encoding="utf-8")
    with as_options(), pytest.raises(UserError, match="--ignore-columns annotator leaves them out"):
        check_files([str(tmp_path / "a.csv")])
