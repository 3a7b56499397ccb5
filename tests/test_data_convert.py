"""``absa convert``: whatever it writes is read back as the same labels and texts."""

import string
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from src.cli import main
from src.data.convert import WRITTEN, _write
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


@pytest.mark.parametrize("form", WRITTEN)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(split=splits())
def test_what_is_written_reads_back(tmp_path: Path, form: str, split: tuple[Reviews, tuple[str, ...]]) -> None:
    if form in ("xlsx", "parquet"):
        pytest.importorskip("openpyxl" if form == "xlsx" else "pyarrow")
    reviews, aspects = split
    path = tmp_path / f"a.{form}"
    with path.open("wb") as file:
        _write(file, form, reviews, aspects)
    again, found = read_reviews(path, aspects=aspects)
    assert found == aspects and list(again.texts) == list(reviews.texts)
    assert np.array_equal(again.mentioned, reviews.mentioned) and np.array_equal(again.sentiment, reviews.sentiment)


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
    for other, told in (("out.txt", "told from the name"), ("long.csv", "one of the files that are read")):
        with pytest.raises(SystemExit):
            main(["convert", str(table), "-o", str(tmp_path / other), "--overwrite"])
        assert told in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["long.csv", "out.csv"]


def test_nothing_is_written_where_a_text_does_not_fit(tmp_path: Path) -> None:
    pytest.importorskip("openpyxl")
    from src.data.convert import convert

    (tmp_path / "a.csv").write_text(f"text,A\n{'x' * 40_000},positive\n", encoding="utf-8")
    with pytest.raises(UserError, match="a cell of Excel 32,767"):
        convert([str(tmp_path / "a.csv")], str(tmp_path / "a.xlsx"))
    assert [path.name for path in tmp_path.iterdir()] == ["a.csv"]
