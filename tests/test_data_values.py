"""What a cell means: words in any case, numbers only where data.values explains them, several sentiments at once."""

from pathlib import Path

import numpy as np
import pytest

from src.data.reviews import Columns, read_reviews
from src.data.splits import load_files, read_splits
from src.data.values import BAD, BLANK, MENTIONED, NUMBER, SEVERAL, Values, key_of
from src.errors import UserError
from src.labels import IGNORE, Labels
from src.spelling import as_options

DIGITS = {0: None, 1: "positive", 2: "negative", 3: "neutral"}


def write(path: Path, content: str) -> Path:
    path.write_text(content, encoding="utf-8")
    return path


def faults_of(**settings: object) -> list[str]:
    with pytest.raises(UserError) as error:
        Values(**settings)  # type: ignore[arg-type]
    return error.value.faults


@pytest.mark.parametrize(
    ("cells", "code"),
    [
        (("positive", " POSITIVE ", "Pos", "tích cực", "TÍCH  CỰC", "ti\u0301ch c\u01b0\u0323c"), 0),
        (("negative", "neg", "Tiêu cực", ["negative"], "['negative']", "negative, Neg", "[negative]"), 1),
        (("neutral", "neu", "Trung tính", "trung lập"), 2),
        (("mentioned", "Mentioned "), MENTIONED),
        (
            (
                "",
                " " * 9999,
                None,
                "nan",
                float("nan"),
                "None",
                "NULL",
                "NA",
                "N/A",
                "-",
                "Không",
                "no aspect",
                [],
                "[]",
            ),
            BLANK,
        ),
        ((0, "0", 1.0, "-1", "+2", True, False, "[-1, 1]", [0, 2], "1;positive"), NUMBER),
        (("positive,negative", "[Positive, Neutral]", ["positive", "mentioned"], "pos/neg", "neg;pos"), SEVERAL),
        (
            (
                "good",
                "positiv",
                "/",
                "positive none",
                "positive, none",
                {"A": 1},
                [["positive"]],
                "2020-01-01",
                "a," * 9999,
            ),
            BAD,
        ),
    ],
)
def test_what_cells_mean(cells: tuple[object, ...], code: int) -> None:
    values = Values()
    assert {repr(cell): values(cell) for cell in cells} == {repr(cell): code for cell in cells}


def test_explained_values() -> None:
    values = Values(values={1: "positive", 0: "neutral", -1: "neg", 2: None, "Tốt": "positive", 9: "mentioned"})
    for cell in (1, "1", 1.0, "1.0", "01", " 1 "):
        assert values(cell) == 0
    assert [values(c) for c in (-1, "-1", "\u22121", "-1.0", 0, 2, "TỐT", 9)] == [1, 1, 1, 1, 2, BLANK, 0, MENTIONED]
    assert [values(c) for c in ("[-1,1]", [1, 1], "[1]", 3, "[3, 1]")] == [SEVERAL, 0, 0, NUMBER, NUMBER]
    assert values(True) == NUMBER  # a truth value is not the number 1
    text = Values(values="1=positive, 0=neutral,-1=negative,2=,TỐT=positive")
    assert [text(c) for c in (1, "0", -1.0, "2", "tốt")] == [0, 2, 1, BLANK, 0]
    assert Values(values={"0": None})(0) == BLANK  # as JSON gives the keys back


def test_numbers_compare_as_numbers() -> None:
    assert len({key_of(x) for x in (1, "1", 1.0, "1.0", "01", "+1")}) == 1
    assert len({key_of(x) for x in (1, -1, "1.5", True, "1,5")}) == 5


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        (
            {"values": {0: "negativ"}},
            ['data.values: "0" is to mean "negativ", which is not one of positive, negative, '],
        ),
        ({"values": {1: "positive", "1.0": "negative"}}, ['data.values: "1" is there twice, with two meanings']),
        ({"values": "1=positive,1.0=negative"}, ['data.values: "1" is there twice, with two meanings']),
        ({"values": "positive"}, ["data.values=positive: expected one meaning for each value, such as 0=,1=positive"]),
        (
            {"values": {4: "conflict"}, "several": "some"},
            ['data.several="some" is not', 'data.values: "4" is to mean "c'],
        ),
        ({"several": "none"}, ['data.several="none" is not one of positive, negative, neutral, mentioned']),
        ({"sentiments": ["positive"]}, ["data.sentiments: two to ten names are expected"]),
        ({"sentiments": "positive"}, ["data.sentiments: two to ten names are expected"]),
        ({"sentiments": [str(i) + "x" for i in range(11)]}, ["data.sentiments: two to ten names are expected"]),
        ({"sentiments": ["good", "Good "]}, ["data.sentiments: a name is listed twice: good, Good"]),
        ({"sentiments": ["good", "mentioned"]}, ["data.sentiments: 'mentioned' has a meaning of its own"]),
        ({"sentiments": ["good", ""]}, ["data.sentiments: '' is no name"]),
        ({"sentiments": ["good", None]}, ["data.sentiments: None is no name"]),
    ],
)
def test_wrong_settings_are_told_at_once(settings: dict[str, object], expected: list[str]) -> None:
    faults = faults_of(**settings)
    assert len(faults) == len(expected)
    for fault, begin in zip(faults, expected, strict=True):
        assert fault.startswith(begin), fault


def test_the_sentiments_are_the_datas(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "text,A,B\nx,Conflict,\ny,positive,rất tệ\n")
    four = ["positive", "negative", "conflict", "Rất tệ"]
    reviews, _ = read_reviews(path, sentiments=four)
    assert reviews.sentiment.tolist() == [[2, IGNORE], [0, 3]]
    assert reviews.class_counts.tolist() == [[1, 0, 1, 0], [0, 0, 0, 1]] and reviews.sentiments == tuple(four)
    splits = read_splits(path, sentiments=four)
    assert splits.labels == Labels(("A", "B"), (), tuple(four))
    assert splits.findings.notes == ["train has no negative pair"]
    stars = write(tmp_path / "b.csv", "text,A\nx,1\ny,5\n")  # names may be numbers: then they are known
    assert read_reviews(stars, sentiments=[1, 2, 3, 4, 5])[0].sentiment.tolist() == [[0], [4]]
    assert Values(["e\u0302 x ", "b"]).sentiments == ("\u00ea x", "b")


def test_one_question_for_the_numbers_of_all_files(tmp_path: Path) -> None:
    train = write(tmp_path / "train.csv", "text,A,B\nx,0,1\ny,2,0\nz,3,0\n")
    test = write(tmp_path / "test.csv", "text,A,B\nw,0,1\nv,-1,0\n")
    with pytest.raises(UserError) as error:
        load_files({"train": train, "test": test}, Columns())
    (fault,) = error.value.faults
    assert fault == (
        f"{train}, {test}: the columns A, B hold numbers that may mean anything: -1 (1 times), 0 (5 times), "
        "1 (2 times), 2 (1 times), 3 (1 times); say what each means (positive, negative, neutral, null for not "
        "mentioned, or mentioned), for example 'data.values={-1: null, 0: positive, 1: negative, 2: neutral, 3: null}'"
    )
    values = DIGITS | {-1: "mentioned"}
    splits, _ = load_files({"train": train, "test": test}, Columns(values=values))
    assert splits["train"].sentiment.tolist() == [[IGNORE, 0], [1, IGNORE], [2, IGNORE]]
    assert splits["test"].mentioned.tolist() == [[False, True], [True, False]]
    with as_options(), pytest.raises(UserError, match=r"for example --values 0=,1=positive,2=negative,3=neutral$"):
        read_reviews(train)


def test_numbers_beside_words_are_asked_about(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "text,A,B,C\nx,positive,0,0\ny,0,Negative,0\n")
    with pytest.raises(UserError) as error:
        read_reviews(path)
    (fault,) = error.value.faults
    assert "a.csv: the columns A, B, C hold numbers that may mean anything: 0 (4 times), " in fault
    assert "beside positive (1), negative (1); say" in fault and fault.endswith("'data.values={0: null}'")
    reviews, _ = read_reviews(path, values={0: None})
    assert reviews.mentioned.tolist() == [[True, False, False], [False, True, False]] and reviews.blanks == {"0": 4}


def test_a_column_of_numbers_beside_columns_of_words_is_no_aspect(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "text,A,price\n" + "".join(f"x{i},positive,{1000 + i}\n" for i in range(40)))
    with pytest.raises(UserError) as error:
        read_reviews(path)
    fault, remedy = error.value.faults
    assert 'the column "price" holds no sentiment but "1000", "1001", "1002"; ' in fault
    assert remedy == "What is no aspect is left out by 'data.ignore_columns=[price]'"


def test_words_for_not_mentioned_are_counted(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "text,A,B\nx,positive,NULL\ny,null,neutral\nz,nan, \n")
    splits = read_splits(path)
    assert splits.train.blanks == {"null": 2, "nan": 1}
    assert '  cells that were read as "not mentioned": "null" 2, "nan" 1' in splits.findings.lines()
    assert "  reviews that mention no aspect: 1 (line 4)" in splits.findings.lines()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", 'text,A,B\nx,"positive,negative",\ny,neutral,\nz,"[neg, neu]",positive\n'),
        ("a.csv", "text,label\nx,{A#positive};{A#negative}\ny,{A#neutral}\nz,{A#neg};{A#neu};{B#positive};{B#pos}\n"),
        ("a.jsonl", '{"text": "x", "A": ["positive", "negative"]}\n{"text": "y", "A": "neutral"}\n'
         '{"text": "z", "A": "neg/neu", "B": "positive"}\n'),
    ],
)  # fmt: skip
def test_several_sentiments_for_one_aspect(tmp_path: Path, name: str, content: str) -> None:
    path = write(tmp_path / name, content)
    lines = [1, 3] if name.endswith("l") else [2, 4]
    with pytest.raises(UserError) as error:
        read_reviews(path)
    assert error.value.faults == [
        f"{path}: 2 aspects of a review have several sentiments (line {lines[0]}, {lines[1]}); "
        "data.several=mentioned keeps them without a sentiment, data.several=positive|negative|neutral says what they "
        "count as"
    ]
    for several, code in (("negative", 1), ("mentioned", IGNORE)):
        reviews, aspects = read_reviews(path, several=several)
        assert aspects == ("A", "B") and reviews.several.tolist() == lines
        assert reviews.sentiment.tolist() == [[code, IGNORE], [2, IGNORE], [code, 0]]
        assert reviews.mentioned.tolist() == [[True, False], [True, False], [True, True]]


def test_an_unknown_word_that_is_there_often_is_told_once(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "text,A,B\n" + "x,positive,conflict\ny,conflict,negative\n" * 9)
    with pytest.raises(UserError) as error:
        read_reviews(path)
    assert error.value.faults == [
        f'{path}:2: "conflict", in 18 cells, is not one of Positive, Negative, Neutral; '
        "'data.sentiments=[positive,negative,neutral,conflict]' adds it, 'data.values={conflict: mentioned}' says what "
        "it means"
    ]


def test_a_file_that_is_mostly_blank_is_warned_of(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "text,A\n" + "".join(f"x{i},\n" for i in range(6)) + "y,positive\nz,negative\n")
    kept, dropped = read_splits(path), read_splits(path, unlabelled="drop")
    assert len(kept.train) == 8 and len(dropped.train) == 2
    assert any(
        note
        == "WARNING: 6 of 8 reviews of train mention no aspect; if they are not labelled yet, data.unlabelled=drop "
        "leaves them out"
        for note in kept.findings.notes
    )
    assert not any("WARNING" in note for note in dropped.findings.notes)
    with pytest.raises(UserError, match="none of the 3 rows has both a text and a label"):
        read_reviews(write(tmp_path / "b.csv", "text,A\nx,\ny,\nz,\n"))


def test_random_tables_of_digits_and_words_are_the_same_labels(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for classes in (2, 3, 5):
        names = [f"class {c}" for c in range(classes)]
        codes = rng.integers(-1, classes + 1, (30, 4))  # -1: not mentioned, the last: mentioned
        words = np.array([*names, "mentioned", ""])[codes]
        for path, cells in ((tmp_path / "words.csv", words), (tmp_path / "digits.csv", (codes + 1).astype(str))):
            rows = "".join(f"text {i},{','.join(row)}\n" for i, row in enumerate(cells.tolist()))
            write(path, "text,A,B,C,D\n" + rows)
        meanings = {0: None, **{c + 1: name for c, name in enumerate(names)}, classes + 1: "mentioned"}
        (one, _), (other, _) = (
            read_reviews(tmp_path / "words.csv", sentiments=names),
            read_reviews(tmp_path / "digits.csv", sentiments=names, values=meanings),
        )
        assert np.array_equal(one.mentioned, other.mentioned) and np.array_equal(one.mentioned, codes >= 0)
        expected = np.where((codes >= 0) & (codes < classes), codes, IGNORE)
        assert np.array_equal(one.sentiment, expected) and np.array_equal(other.sentiment, expected)
