"""Reviews out of files: the same arrays from every format, and one message for every fault."""

import csv
import io
import json
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from src.data.reviews import Reviews, read_reviews
from src.errors import UserError
from src.labels import IGNORE

REAL = Path(__file__).parents[2] / "shared" / "data"
needs_real_data = pytest.mark.skipif(not REAL.is_dir(), reason=f"the real data is not at {REAL}")

NAMES = ("Positive", "Negative", "Neutral")
MENTIONED, BLANK = 3, 4  # beside 0, 1, 2 in the label matrices below


def write(path: Path, content: str) -> Path:
    path.write_text(content, encoding="utf-8")
    return path


def faults_of(*args: object, **kwargs: object) -> list[str]:
    with pytest.raises(UserError) as error:
        read_reviews(*args, **kwargs)  # type: ignore[arg-type]
    return [fault.removeprefix(f"{Path(str(args[0])).parent}/") for fault in error.value.faults]


def same(a: Reviews, b: Reviews) -> bool:
    arrays = np.array_equal(a.mentioned, b.mentioned) and np.array_equal(a.sentiment, b.sentiment)
    return arrays and a.texts == b.texts and a.ids == b.ids


# --- formats -------------------------------------------------------------------------------------------------------


def write_wide(path: Path, texts: Sequence[str], labels: np.ndarray, aspects: Sequence[str]) -> Path:
    cells = [*NAMES, "MENTIONED", ""]
    with path.open("w", newline="", encoding="utf-8") as file:
        out = csv.writer(file, delimiter="\t" if path.suffix == ".tsv" else ",")
        out.writerow(["text", *aspects])
        out.writerows([text, *(cells[code] for code in row)] for text, row in zip(texts, labels, strict=True))
    return path


def write_braces(path: Path, texts: Sequence[str], labels: np.ndarray, aspects: Sequence[str]) -> Path:
    def cell(row: np.ndarray) -> str:
        said = [(a, code) for a, code in zip(aspects, row, strict=True) if code != BLANK]
        return "".join(f"{{{a}}};" if code == MENTIONED else f"{{{a}#{NAMES[code]}}};" for a, code in said)

    with path.open("w", newline="", encoding="utf-8") as file:
        out = csv.writer(file)
        out.writerow(["comment", "n_star", "date_time", "label"])
        out.writerows([text, "5", "today", cell(row)] for text, row in zip(texts, labels, strict=True))
    return path


def write_jsonl(path: Path, texts: Sequence[str], labels: np.ndarray, aspects: Sequence[str], keys: str) -> Path:
    values = [*(name.lower() for name in NAMES), "mentioned"]
    with path.open("w", encoding="utf-8") as file:
        for i, (text, row) in enumerate(zip(texts, labels, strict=True)):
            if keys == "labels":
                said = {a: values[code] for a, code in zip(aspects, row, strict=True) if code != BLANK}
                line: dict[str, object] = {"text": text, "labels": said}
            else:
                said = {a: [*NAMES, "mentioned", None][code] for a, code in zip(aspects, row, strict=True)}
                if keys == "sparse" and i % 2:
                    said = {a: value for a, value in said.items() if value}
                line = {"text": text, **said}
            print(json.dumps(line, ensure_ascii=bool(i % 3)), file=file)
    return path


def write_parquet(path: Path, texts: Sequence[str], labels: np.ndarray, aspects: Sequence[str]) -> Path:
    pa = pytest.importorskip("pyarrow", reason="the parquet extra is not installed")
    parquet = pytest.importorskip("pyarrow.parquet")
    cells = [*NAMES, "mentioned", None]
    columns = {a: pa.array([cells[code] for code in labels[:, i]]) for i, a in enumerate(aspects)}
    parquet.write_table(pa.table({"text": list(texts), **columns}), path)
    return path


@pytest.fixture
def some() -> tuple[list[str], np.ndarray, list[str]]:
    """Texts with everything in them, labels in which every aspect has every code, aspects in an order of their own."""
    rng = np.random.default_rng(3)
    alphabet = ["máy", "đẹp", "\n", '"', ",", ";", "😍", "\u2028", "{A#Positive}", "\te\u0302", "'"]
    texts = [f"{i} " + " ".join(rng.choice(alphabet, size=8)) + "." for i in range(60)]
    labels = rng.choice(5, size=(60, 4))
    labels[:, 0] = rng.choice(4, size=60)  # no row without a label
    return texts, labels, ["Pin", "Màn hình", "SER&ACC", "Giá"]


def test_arrays_and_their_types(tmp_path: Path, some: tuple[list[str], np.ndarray, list[str]]) -> None:
    texts, labels, aspects = some
    reviews, found = read_reviews(write_wide(tmp_path / "a.csv", texts, labels, aspects))
    assert found == tuple(aspects)
    assert reviews.mentioned.dtype == bool and reviews.sentiment.dtype == np.int8
    assert np.array_equal(reviews.mentioned, labels != BLANK)
    assert np.array_equal(reviews.sentiment, np.where(labels < MENTIONED, labels, IGNORE))
    assert reviews.class_counts.dtype == reviews.mention_counts.dtype == np.int64
    assert reviews.class_counts.tolist() == [[int((labels[:, a] == c).sum()) for c in range(3)] for a in range(4)]
    assert reviews.mention_counts.tolist() == (labels != BLANK).sum(axis=0).tolist()
    assert reviews.texts == texts and len(reviews) == 60
    assert reviews.ids == [str(line) for line in reviews.lines]
    assert reviews.lines[:2].tolist() == [2, 3 + texts[0].count("\n")]


@pytest.mark.parametrize("declared", [True, False])
def test_every_format_gives_the_same_reviews(
    tmp_path: Path, some: tuple[list[str], np.ndarray, list[str]], declared: bool
) -> None:
    texts, labels, aspects = some
    if not declared:  # only a header has an order; elsewhere aspects are sorted
        aspects = sorted(aspects)
    files = {
        "wide": write_wide(tmp_path / "wide.csv", texts, labels, aspects),
        "tsv": write_wide(tmp_path / "wide.tsv", texts, labels, aspects),
        "braces": write_braces(tmp_path / "braces.csv", texts, labels, aspects),
        "labels": write_jsonl(tmp_path / "labels.jsonl", texts, labels, aspects, "labels"),
        "keys": write_jsonl(tmp_path / "keys.jsonl", texts, labels, aspects, "dense"),
        "sparse": write_jsonl(tmp_path / "sparse.jsonl", texts, labels, aspects, "sparse"),
    }
    expected, _ = read_reviews(files["wide"])
    for name, path in files.items():
        got, found = read_reviews(path, aspects=aspects if declared else None)
        got.names = expected.ids  # lines differ from format to format
        assert same(got, expected), name
        assert found == tuple(aspects), name


def test_parquet_gives_the_same_reviews(tmp_path: Path, some: tuple[list[str], np.ndarray, list[str]]) -> None:
    texts, labels, aspects = some
    got, found = read_reviews(write_parquet(tmp_path / "a.parquet", texts, labels, aspects))
    expected, _ = read_reviews(write_wide(tmp_path / "a.csv", texts, labels, aspects))
    assert got.lines.tolist() == list(range(1, 61))
    got.names = expected.ids
    assert same(got, expected) and found == tuple(aspects)


def test_the_order_of_columns_changes_nothing(tmp_path: Path, some: tuple[list[str], np.ndarray, list[str]]) -> None:
    texts, labels, aspects = some
    expected, _ = read_reviews(write_wide(tmp_path / "a.csv", texts, labels, aspects))
    for seed in range(5):
        order = np.random.default_rng(seed).permutation(4)
        path = write_wide(tmp_path / "b.csv", texts, labels[:, order], [aspects[i] for i in order])
        got, _ = read_reviews(path, aspects=aspects)
        assert same(got, expected)
        got, found = read_reviews(path)
        assert found == tuple(aspects[i] for i in order)
        assert np.array_equal(got.sentiment, expected.sentiment[:, order])


def test_the_order_of_rows_does_not_move_the_aspects_of_braces(tmp_path: Path) -> None:
    rows = ["x,{B#Positive};", "y,{A#Negative};{C};"]
    for order in (rows, rows[::-1]):
        _, found = read_reviews(write(tmp_path / "a.csv", "\n".join(["text,label", *order])))
        assert found == ("A", "B", "C")


def test_cells_in_any_case_and_with_blanks(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "text,A,B,C\nx, POSITIVE ,neutral\u00a0, \ny,Mentioned,, negative\n")
    reviews, _ = read_reviews(path)
    assert reviews.sentiment.tolist() == [[0, 2, IGNORE], [IGNORE, IGNORE, 1]]
    assert reviews.mentioned.tolist() == [[True, True, False], [True, False, True]]
    reviews, _ = read_reviews(write(tmp_path / "a.csv", 'text,label\nx," {A#POSITIVE} ; {B# neutral };; {C} "\n'))
    assert reviews.sentiment.tolist() == [[0, 2, IGNORE]] and reviews.mentioned.all()


def test_which_column_is_what(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "Index,n_star,Review,Date_Time,A\n7,5,x,today,positive\n,5,y,today,positive\n")
    reviews, aspects = read_reviews(path)
    assert (reviews.texts, reviews.ids, aspects) == (["x", "y"], ["7", "3"], ("A",))
    path = write(tmp_path / "b.csv", "text,A,said,tags,stars\nnot this,,x,{B#positive},5\n")
    reviews, aspects = read_reviews(path, text_column="said", label_column="tags")
    assert (reviews.texts, aspects) == (["x"], ("B",))
    path = write(tmp_path / "c.csv", "content,label,A,stars\nx,nonsense,positive,5\n")
    assert read_reviews(path, ignore_columns=["label", "stars"])[1] == ("A",)
    path = write(tmp_path / "d.csv", ",text,A\n0,x,positive\n")  # pandas writes its index without a name
    assert (read_reviews(path)[0].ids, read_reviews(path)[1]) == (["0"], ("A",))
    path = write(tmp_path / "e.jsonl", '{"id": 12, "data": "x", "A": "positive"}\n')
    assert read_reviews(path)[0].ids == ["12"]


def test_keys_may_be_left_out_where_no_header_promises_them(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", '{"text": "x", "B": "positive"}')
    assert read_reviews(path, aspects=["A", "B"])[0].sentiment.tolist() == [[IGNORE, 0]]


def test_names_meet_whatever_their_composition(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "text,Hi\u00ea\u0323u\nx,positive\n")
    assert read_reviews(path, aspects=["Hi\u1ec7u"])[1] == ("Hi\u1ec7u",)
    path = write(tmp_path / "b.csv", "text,label\nx,{Hie\u0323\u0302u#positive};\n")
    assert read_reviews(path)[1] == ("Hi\u1ec7u",)


def test_a_row_without_labels_is_a_review_that_mentions_nothing(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", 'text,A\n" \n\t",positive\nx,\n,\ny,negative\n\n')
    reviews, _ = read_reviews(path)
    assert (reviews.texts, reviews.lines.tolist(), reviews.mentioned.tolist()) == (
        ["x", "y"],
        [4, 6],
        [[False], [True]],
    )
    assert (reviews.silent.tolist(), reviews.without_text.tolist(), reviews.without_label.tolist()) == ([0], [2, 5], [])
    assert (reviews.rows, reviews.dropped) == (4, 2)
    reviews, _ = read_reviews(path, unlabelled="drop")
    assert (reviews.without_text.tolist(), reviews.without_label.tolist()) == ([2, 5], [4, 5])
    assert (reviews.texts, reviews.lines.tolist(), reviews.rows, reviews.dropped) == (["y"], [6], 4, 3)
    assert faults_of(path, unlabelled="kept") == [
        'data.unlabelled="kept" is not one of keep, drop; did you mean "keep"?'
    ]


def test_null_is_not_mentioned_and_mentioned_is_a_word(tmp_path: Path) -> None:
    lines = [
        '{"text": "x", "labels": {"A": "positive", "B": null}}',
        '{"text": "y", "labels": {}}',
        '{"text": "z", "labels": {"A": null, "B": null, "C": null}}',
        '{"text": "w", "labels": {"B": "mentioned"}}',
        '{"text": "v"}',
    ]
    reviews, aspects = read_reviews(write(tmp_path / "a.jsonl", "\n".join(lines)))
    assert aspects == ("A", "B", "C")  # C is named, though no review mentions it
    nothing = [False] * 3
    assert reviews.mentioned.tolist() == [[True, False, False], nothing, nothing, [False, True, False], nothing]
    assert reviews.class_counts.tolist() == [[1, 0, 0], [0, 0, 0], [0, 0, 0]]


def test_a_selection_of_reviews(tmp_path: Path) -> None:
    reviews, _ = read_reviews(write(tmp_path / "a.csv", "text,A\nx,positive\ny,negative\n,\nz,neutral\n"))
    some = reviews.take(np.array([2, 0]))
    assert (some.texts, some.ids, some.lines.tolist(), some.sentiment.tolist()) == (
        ["z", "x"],
        ["5", "2"],
        [5, 2],
        [[2], [0]],
    )
    assert (some.without_text.tolist(), some.path, some.sha256) == ([], reviews.path, reviews.sha256)


# --- faults --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "options", "expected"),
    [
        (
            "text,Camera\nx,Positive\ny,Postive\n",
            {},
            'a.csv:3: aspect "Camera": "Postive" is not one of Positive, Negative, Neutral; did you mean "Positive"?',
        ),
        (
            "text,label\nx,{A#Posititve};\n",
            {},
            'a.csv:2: aspect "A": "Posititve" is not one of Positive, Negative, Neutral; did you mean "Positive"?',
        ),
        (
            "text,label\nx,{CAMRA#Positive};\n",
            {"aspects": ["CAMERA", "PRICE"]},
            'a.csv:2: aspect "CAMRA" is not one of CAMERA, PRICE; did you mean "CAMERA"?',
        ),
        (
            "text,label\nx,{A#Positive};{B#Positive;\n",
            {},
            'a.csv:2: malformed label at "{B#Positive"; {ASPECT#Sentiment};{ASPECT}; is expected',
        ),
        ("text,label\nx,{A#};\n", {}, 'a.csv:2: malformed label at "{A#}"'),
        ("text,label\nx,{A#Positive}{B};\n", {}, 'a.csv:2: malformed label at "{A#Positive}{B}"'),
        (
            "text,label\nx,positive\n",
            {},
            'a.csv: the column "label" holds one sentiment for a whole review; data.layout=wide takes it',
        ),
        (
            "says,A\nx,\n",
            {},
            "a.csv: no column of texts among says, A (one of data, text, review, comment, content, sentence); "
            "name it with data.text_column",
        ),
        (
            "say,A\nx,\n",
            {"text_column": "says"},
            'a.csv: there is no column "says" (data.text_column) among say, A; did you mean "say"?',
        ),
        (
            "text,A\nx,\n",
            {"label_column": "tags"},
            'a.csv: there is no column "tags" (data.label_column) among text, A',
        ),
        ("text,id\nx,1\n", {}, "a.csv: no column of aspects nor of labels among text, id"),
        (
            "text,Camera,Prise\nx,positive,positive\n",
            {"aspects": ["Camera", "Price"], "ignore_columns": ["Prise"]},
            'a.csv: there is no column for the aspect "Price" among text, Camera, Prise; did you mean "Prise"?',
        ),
        (
            "text,Camera,More\nx,positive,positive\n",
            {"aspects": ["Camera"]},
            'a.csv: the column "More" is not one of the aspects Camera\n'
            "What is no aspect is left out by 'data.ignore_columns=[More]'",
        ),
        (
            "text,A,stars\nx,positive,5\ny,negative,4\nz,positive,\nz,neutral,4\n",
            {},
            'a.csv: the column "stars" holds no sentiment but "5", "4"; Positive, Negative, Neutral are expected\n'
            "What is no aspect is left out by 'data.ignore_columns=[stars]'",
        ),
        (
            "text,A,a \nx,positive,\ny,,negative\n",
            {},
            'a.csv: the aspects "A" and "a" differ in case only; write them alike',
        ),
        ("text,label\nx,{A};{a};\n", {}, 'a.csv: the aspects "A" and "a" differ in case only'),
        ("text,A\nx,\n,positive\n", {}, "a.csv: none of the 2 rows has both a text and a label"),
    ],
)
def test_faults(tmp_path: Path, content: str, options: dict[str, object], expected: str) -> None:
    faults = faults_of(write(tmp_path / "a.csv", content), **options)
    assert len(faults) == 1 + expected.count("\n")
    assert "\n".join(faults).startswith(expected)


@pytest.mark.parametrize(
    ("line", "options", "expected"),
    [
        ('{"text": 5, "A": "positive"}', {}, 'a.jsonl:1: "text" holds 5, a text is expected'),
        ('{"text": ["x"], "A": null}', {}, 'a.jsonl:1: "text" holds a list, a text is expected'),
        ('{"text": "x", "A": ["good"]}', {}, 'a.jsonl:1: aspect "A": "[\'good\']" is not one of'),
        ('{"text": "x", "A": {"B": "positive"}}', {}, "a.jsonl:1: aspect \"A\": \"{'B': 'positive'}\" is not one of"),
        (
            '{"text": "x", "labels": {"A": "positive"}}',
            {},
            'a.jsonl: the column "A" holds sentiments, and there is the column "labels"; \'data.ignore_columns=[labels]\'',
        ),
        (
            '{"text": "x", "A": "positive"}\n{"text": "x", "B": "positive"}\n{"text": "x", "B": "positive"}',
            {"aspects": ["A"]},
            'a.jsonl: the column "B" is not one of the aspects A\n'
            "What is no aspect is left out by 'data.ignore_columns=[B]'",
        ),
    ],
)
def test_faults_of_json(tmp_path: Path, line: str, options: dict[str, object], expected: str) -> None:
    faults = faults_of(write(tmp_path / "a.jsonl", line + '\n{"text": "z", "A": "negative"}\n'), **options)
    assert len(faults) == 1 + expected.count("\n")
    assert "\n".join(faults).startswith(expected)


def test_a_typo_is_no_stray_column_even_if_it_is_all_there_is(tmp_path: Path) -> None:
    (fault,) = faults_of(write(tmp_path / "a.csv", "text,A,B\nx,positive,Negatve\n"))
    assert fault == 'a.csv:2: aspect "B": "Negatve" is not one of Positive, Negative, Neutral; did you mean "Negative"?'


def test_all_faults_of_a_file_come_at_once_in_the_order_of_lines(tmp_path: Path) -> None:
    path = write(
        tmp_path / "a.csv", "text,A,B,stars\nx,bad,neutral,1\ny,positive,worse,2\nz\n,awful,,\nw,,negative,1\n"
    )
    faults = faults_of(path)
    assert [fault.split()[0] for fault in faults] == ["a.csv:", "a.csv:2:", "a.csv:3:", "a.csv:4:", "a.csv:5:", "What"]


def test_many_faults_are_cut_and_counted(tmp_path: Path) -> None:
    rows = "".join(f"x,bad {i},worse {i}\n" for i in range(500))
    path = write(tmp_path / "a.csv", "text,A,B\nok,positive,positive\n" + rows)
    faults = faults_of(path)
    assert len(faults) == 21
    assert faults[19] == 'a.csv:12: aspect "B": "worse 9" is not one of Positive, Negative, Neutral'
    assert faults[20] == "... and 980 more"


def test_aspects_listed_twice() -> None:
    assert faults_of("a.csv", aspects=["A", "B", "A "]) == ['data.aspects lists "A" twice']
    assert faults_of("a.csv", aspects=[]) == ["data.aspects is empty; leave it out to take the aspects of the file"]


# --- real files ----------------------------------------------------------------------------------------------------


@needs_real_data
def test_the_balanced_training_file() -> None:
    reviews, aspects = read_reviews(REAL / "seed" / "train_balanced.csv")
    assert len(aspects) == 11 and aspects[0] == "Battery" and aspects[-1] == "Others"
    assert reviews.class_counts.sum(axis=0).tolist() == [9_880, 9_734, 9_427]
    assert reviews.class_counts.sum() == reviews.mention_counts.sum() == 29_041


@needs_real_data
@pytest.mark.parametrize(
    ("name", "rows", "without_text", "silent"),
    [("train", 7_302, 3, 0), ("train_balanced", 15_908, 3, 0), ("validation", 913, 0, 0), ("test", 913, 0, 1)],
)
def test_rows_of_the_seed_files(name: str, rows: int, without_text: int, silent: int) -> None:
    reviews, _ = read_reviews(REAL / "seed" / f"{name}.csv")
    assert (reviews.rows, len(reviews.without_text), len(reviews.silent)) == (rows, without_text, silent)
    content = (REAL / "seed" / f"{name}.csv").read_text(encoding="utf-8-sig")
    lines = io.StringIO(content, newline="").readlines()
    for line, text in zip(reviews.lines, reviews.texts, strict=True):
        begin = lines[line - 1].rstrip("\r\n")
        assert begin.lstrip('"').startswith(text.lstrip('"').split("\n")[0].split('"')[0].rstrip("\r"))


@needs_real_data
def test_the_visfd_test_file() -> None:
    reviews, aspects = read_reviews(REAL / "visfd" / "Test.csv")
    assert aspects == tuple(sorted(aspects)) and len(aspects) == 11
    assert reviews.class_counts.sum(axis=0).tolist() == [3_695, 2_210, 817]
    assert reviews.class_counts[aspects.index("STORAGE")].sum() == 27
    others = aspects.index("OTHERS")
    assert reviews.class_counts[others].sum() == 0 and reviews.mention_counts[others] == 513
    mixed = [len(set(row[row != IGNORE].tolist())) > 1 for row in reviews.sentiment]
    assert round(100 * np.mean(mixed)) == 44
    assert (reviews.rows, reviews.dropped, reviews.ids[:2]) == (2_224, 0, ["0", "1"])


# --- speed ---------------------------------------------------------------------------------------------------------


def test_fifty_thousand_rows_take_seconds(tmp_path: Path) -> None:
    labels = np.random.default_rng(0).choice(5, size=(1_000, 11), p=[0.05, 0.05, 0.05, 0.05, 0.8])
    labels[:, 0] = 0
    texts = [f"máy đẹp, pin trâu nhưng camera hơi kém {i} " * 2 for i in range(1_000)]
    path = write_wide(tmp_path / "a.csv", texts * 50, np.tile(labels, (50, 1)), [f"aspect {i}" for i in range(11)])
    start = time.process_time()
    reviews, _ = read_reviews(path)
    assert time.process_time() - start < 2.5  # half a second on an idle machine
    assert len(reviews) == 50_000
