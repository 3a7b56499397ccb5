"""``absa convert``: whatever it writes is read back as the same labels and texts."""

import csv
import gzip
import io
import json
import string
from collections.abc import Callable, Sequence
from html import escape
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from src.cli import main
from src.data.convert import WRITTEN, _write, convert
from src.data.layouts.names import LAYOUTS
from src.data.reviews import Reviews, read_reviews
from src.data.texts import Texts
from src.errors import UserError
from src.labels import IGNORE

NASTY = [
    "text",
    "data",
    "label",
    "labels",
    "id",
    "sentiment",
    "aspect",
    "created_at",
    "annotator",
    "content",
    "=1+1",
    "#N/A",
]
LETTERS = st.characters(exclude_categories=("Cs",), exclude_characters="\0")
names = st.one_of(st.sampled_from(NASTY), st.text(string.ascii_letters + "ễ#;{},:\"' _=", min_size=1, max_size=12))
texts = st.text(st.one_of(LETTERS, st.sampled_from("\r\n\t\",;{}'\\")), min_size=1, max_size=40)


@st.composite
def splits(draw) -> tuple[Reviews, tuple[str, ...]]:
    from src.data.rows import clean_name

    aspects = draw(st.lists(names.map(clean_name), min_size=1, max_size=5, unique_by=str.casefold))
    aspects = [name for name in aspects if name] or ["A"]
    found = [text for text in draw(st.lists(texts, min_size=1, max_size=6)) if text.strip()] or ["x"]
    codes = draw(
        st.lists(
            st.lists(st.integers(-1, 3), min_size=len(aspects), max_size=len(aspects)),
            min_size=len(found),
            max_size=len(found),
        )
    )
    codes[0][0] = 0  # a file in which nothing is mentioned is refused
    said = np.array(codes, dtype=np.int8).reshape(len(found), len(aspects))
    sentiment = np.where((said >= 0) & (said < 3), said, IGNORE).astype(np.int8)
    lines = np.arange(len(found), dtype=np.int64)
    return Reviews("x", "0", Texts(found), None, lines, said >= 0, sentiment), tuple(aspects)


@pytest.mark.parametrize("name", [*WRITTEN, "csv.gz", "tsv.gz", "jsonl.gz"])
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(split=splits())
def test_what_is_written_reads_back(tmp_path: Path, name: str, split: tuple[Reviews, tuple[str, ...]]) -> None:
    form, zipped = name.removesuffix(".gz"), name.endswith(".gz")
    if form in ("xlsx", "parquet"):
        pytest.importorskip("openpyxl" if form == "xlsx" else "pyarrow")
    reviews, aspects = split
    path = tmp_path / f"a.{name}"
    with path.open("wb") as file:
        _write(file, form, zipped, reviews, aspects)
    assert (path.read_bytes()[:2] == b"\x1f\x8b") == zipped
    again, found = read_reviews(path, aspects=aspects)
    assert found == aspects and list(again.texts) == list(reviews.texts)
    assert np.array_equal(again.mentioned, reviews.mentioned) and np.array_equal(again.sentiment, reviews.sentiment)


# --- every layout through every container -----------------------------------------------------------------------------

Said = list[tuple[str, dict[str, str]]]  # texts, and what each says of which aspect
SETS = [  # sentiments of the data's own beside the usual ones
    ("positive", "negative", "neutral"),
    ("positive", "negative"),
    ("positive", "negative", "neutral", "conflict"),
    ("rất tệ", "tệ", "tạm", "tốt", "rất tốt"),
]
ODD = [
    "=1+1",
    "+84 tốt",
    "-1",
    "@nhà",
    "'x",
    '"',
    '""',
    "a,b;c|d",
    "\tx",
    "{A#Positive};",
    "[1]",
    "nan",
    "1",
    "#1",
    "😍",
    "e\u0309",
]
ODD_LINES = ["a\nb", "a\r\nb", "\n=x", '"\n"', "a\rb"]
ASPECTS = ["Pin", "Màn hình", "ROOMS#CLEANLINESS", "Giá & Quà", "FOOD", "x"]


def table(rows: Sequence[Sequence[str]], **kind: str) -> str:
    out = io.StringIO()
    csv.writer(out, **kind).writerows(rows)
    return out.getvalue()


def lines(said: Said, make: Callable[[dict[str, str]], object], key: str = "labels") -> str:
    return "".join(json.dumps({"text": t, key: make(labels)}, ensure_ascii=False) + "\n" for t, labels in said)


def cells(said: Said, make: Callable[[dict[str, str]], str]) -> str:
    return table([["text", "labels"], *([t, make(labels)] for t, labels in said)])


def aspects_of(said: Said) -> list[str]:
    return list(dict.fromkeys(aspect for _, labels in said for aspect in labels))


def wide(said: Said) -> str:
    found = aspects_of(said)
    return table([["text", *found], *([t, *(labels.get(a, "") for a in found)] for t, labels in said)])


def long(said: Said) -> str:
    rows = [[t, a, s] for t, labels in said for a, s in (labels or {"": ""}).items()]
    return table([["text", "aspect", "sentiment"], *rows])


def flags(said: Said) -> str:
    found = aspects_of(said)
    head = [name for a in found for name in (a, f"{a}_sentiment")]
    rows = [[t, *(c for a in found for c in ("01"[a in labels], labels.get(a, "")))] for t, labels in said]
    return table([["text", *head], *rows])


def vlsp(said: Said) -> str:
    each = ((t, ", ".join(f"{{{a}, {s}}}" for a, s in labels.items())) for t, labels in said)
    return "".join(f"#{i}\n{t}\n{labels}\n\n" for i, (t, labels) in enumerate(each, 1))


def semeval(said: Said) -> str:
    opinions = ["".join(f'<Opinion category="{escape(a)}" polarity="{s}"/>' for a, s in ls.items()) for _, ls in said]
    each = [
        f"<sentence><text>{escape(t)}</text><Opinions>{o}</Opinions></sentence>"
        for (t, _), o in zip(said, opinions, strict=True)
    ]
    return f"<sentences>{''.join(each)}</sentences>"


def pyabsa(said: Said) -> str:
    return "".join(f"$T$ , {t}\n{a}\n{s}\n" for t, labels in said for a, s in labels.items())


def label_studio(said: Said) -> str:
    chosen = [[{"from_name": a, "value": {"choices": [s]}} for a, s in labels.items()] for _, labels in said]
    tasks = [{"data": {"text": t}, "annotations": [{"result": r}]} for (t, _), r in zip(said, chosen, strict=True)]
    return json.dumps(tasks)


def marks(labels: dict[str, str]) -> list[str]:
    return [f"{a}#{s}" for a, s in labels.items()]


WAYS: dict[str, tuple[str, Callable[[Said], str]]] = {  # layout -> the name's end, and its file
    "wide": ("csv", wide),
    "braces": ("csv", lambda said: cells(said, lambda labels: "".join(f"{{{m}}};" for m in marks(labels)))),
    "colon": ("csv", lambda said: cells(said, lambda labels: ", ".join(f"{a}: {s}" for a, s in labels.items()))),
    "pairs": ("jsonl", lambda said: lines(said, lambda labels: [[a, s] for a, s in labels.items()])),
    "spans": ("jsonl", lambda said: lines(said, lambda labels: [[0, 1, m] for m in marks(labels)])),
    "long": ("csv", long),
    "flags": ("csv", flags),
    "vlsp": ("txt", vlsp),
    "semeval": ("xml", semeval),
    "acos": ("txt", lambda said: "".join(f"{t}####{[[a, s] for a, s in labels.items()]}\n" for t, labels in said)),
    "pyabsa": ("raw", pyabsa),
    "label-studio": ("json", label_studio),
    "doccano": ("jsonl", lambda said: lines(said, marks, "label").replace("}\n", ', "Comments": []}\n')),
}
BARE = ("vlsp", "acos", "pyabsa")  # a text is a line, without marks that would be the layout's own


@st.composite
def said_of(draw: st.DrawFn, layout: str) -> tuple[tuple[str, ...], Said]:
    """Sentiments, and texts with what each says in one of them, or without."""
    sentiments = draw(st.sampled_from(SETS))
    odd = st.sampled_from(ODD if layout in BARE else ODD + ODD_LINES)
    any_text = st.one_of(odd, texts, st.builds("{} {}".format, odd, odd))
    if layout == "semeval":
        any_text = any_text.filter(lambda t: t.isprintable() or t in ("a\nb", "\tx"))  # what XML 1.0 can hold
    if layout in BARE:
        any_text = any_text.map(lambda t: " ".join(t.split())).filter(
            lambda t: t.isprintable() and t and "#" not in t and t[0] not in "{"
        )
    found = draw(st.lists(any_text.filter(str.strip), min_size=2, max_size=6, unique_by=str.strip))
    labels = st.dictionaries(st.sampled_from(ASPECTS), st.sampled_from((*sentiments, "mentioned")), max_size=4)
    every = [draw(labels) or ({"Pin": sentiments[0]} if layout == "pyabsa" else {}) for _ in found]
    every[0] = {"Pin": sentiments[0], "FOOD": sentiments[-1]}  # a file in which nothing is mentioned is refused
    return sentiments, list(zip(found, every, strict=True))


def read(path: Path, sentiments: Sequence[str]) -> Said:
    reviews, aspects = read_reviews(path, sentiments=sentiments)
    each = zip(reviews.texts, reviews.sentiment, reviews.mentioned, strict=True)
    names = (*sentiments, "mentioned")
    return [
        (t, {a: names[max(c, -1)] for a, c, m in zip(aspects, row, there, strict=True) if m}) for t, row, there in each
    ]


@pytest.mark.parametrize("layout", LAYOUTS)
@settings(max_examples=12, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_every_layout_through_every_container(tmp_path: Path, layout: str, data: st.DataObject) -> None:
    """A file of each layout, plain or packed, converted to each container, and what was written packed again."""
    sentiments, said = data.draw(said_of(layout))
    form, packed = data.draw(st.sampled_from(list(WRITTEN))), data.draw(st.booleans())
    if form in ("xlsx", "parquet"):
        pytest.importorskip("openpyxl" if form == "xlsx" else "pyarrow")
    end, make = WAYS[layout]
    source, out = tmp_path / f"a.{end}{'.gz' * packed}", tmp_path / f"b.{form}"
    content = make(said).encode()
    source.write_bytes(gzip.compress(content, 1) if packed else content)
    convert([str(source)], str(out), overwrite=True, sentiments=sentiments)
    want = [(text, labels) for text, labels in said]
    assert read(out, sentiments) == read(source, sentiments) == want
    if form in ("csv", "tsv", "jsonl"):
        again = tmp_path / f"c.{form}.gz"
        again.write_bytes(gzip.compress(out.read_bytes(), 1))
        assert read(again, sentiments) == want


def test_every_layout_is_tried() -> None:
    assert WAYS.keys() == LAYOUTS.keys()


def test_the_command(tmp_path: Path, capsys) -> None:
    table, out = tmp_path / "long.csv", tmp_path / "out.csv"
    table.write_text("text,aspect,sentiment,who\nx,A,1\u0020,me\nx,B,2,me\ny,A,0,you\n", encoding="utf-8")
    line = ["convert", str(table), "-o", str(out), "--values", "0=,1=positive,2=negative"]
    main(line)
    said = capsys.readouterr().out
    assert "read: 2 reviews" in said and "left out: who" in said and f"{out}: 2 reviews written" in said
    assert out.read_text(encoding="utf-8-sig").splitlines() == ["text,A,B", "x,positive,negative", "y,,"]
    with pytest.raises(SystemExit) as stop:
        main(line)
    assert stop.value.code == 2 and "--overwrite replaces it" in capsys.readouterr().err
    main([*line, "--overwrite"])
    packed = tmp_path / "out.csv.gz"
    main([*line[:3], str(packed), *line[4:]])
    first = packed.read_bytes()
    assert gzip.decompress(first) == out.read_bytes()
    main([*line[:3], str(packed), *line[4:], "--overwrite"])
    assert packed.read_bytes() == first, "no time and no name in it"
    for other, told in (
        ("out.txt", "told from the name"),
        ("o.xlsx.gz", "told from"),
        ("long.csv", "one of the files that are read"),
    ):
        with pytest.raises(SystemExit):
            main(["convert", str(table), "-o", str(tmp_path / other), "--overwrite"])
        assert told in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["long.csv", "out.csv", "out.csv.gz"]


def test_nothing_is_written_where_a_text_does_not_fit(tmp_path: Path) -> None:
    pytest.importorskip("openpyxl")
    (tmp_path / "a.csv").write_text(f"text,A\n{'x' * 40_000},positive\n", encoding="utf-8")
    with pytest.raises(UserError, match="a cell of Excel 32,767"):
        convert([str(tmp_path / "a.csv")], str(tmp_path / "a.xlsx"))
    assert [path.name for path in tmp_path.iterdir()] == ["a.csv"]
