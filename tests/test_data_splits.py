"""Splits and what relates them: repeats, leaks, fractions of one file, the report."""

import json
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from src.data.findings import text_keys
from src.data.report import check_files, counts_table
from src.data.reviews import read_reviews
from src.data.splits import read_splits
from src.errors import UserError
from src.labels import Labels

ROOT = Path(__file__).parents[1]
REAL = ROOT.parent / "shared" / "data"
needs_real_data = pytest.mark.skipif(not REAL.is_dir(), reason=f"the real data is not at {REAL}")


def write(path: Path, content: str) -> Path:
    path.write_text(content, encoding="utf-8")
    return path


def table(path: Path, texts: list[str], label: str = "positive") -> Path:
    return write(path, "text,A\n" + "".join(f"{text},{label}\n" for text in texts))


def faults_of(folder: Path, *args: object, **kwargs: object) -> list[str]:
    with pytest.raises(UserError) as error:
        read_splits(*args, **kwargs)  # type: ignore[arg-type]
    return [fault.replace(f"{folder}/", "") for fault in error.value.faults]


# --- files ---------------------------------------------------------------------------------------------------------


def test_aspects_come_from_training_and_hold_for_all(tmp_path: Path) -> None:
    train = write(tmp_path / "train.csv", "text,B,A\nx,positive,\ny,,neutral\n")
    val = write(tmp_path / "val.jsonl", '{"text": "z", "labels": {"A": "negative", "B": "mentioned"}}\n')
    test = write(tmp_path / "test.csv", "text,A,B\nw,negative,positive\n")
    splits = read_splits(str(train), val, test)
    assert splits.labels == Labels(("B", "A"))
    assert splits.val is not None and splits.test is not None
    assert splits.train.sentiment.tolist() == [[0, -100], [-100, 2]]
    assert splits.val.sentiment.tolist() == [[-100, 1]] and splits.val.mentioned.all()
    assert splits.test.sentiment.tolist() == [[0, 1]]
    alone = read_splits(train)
    assert alone.val is None and alone.test is None


def test_aspects_without_sentiment_are_those_of_training(tmp_path: Path) -> None:
    train = write(tmp_path / "a.csv", "text,A,Others,Never\nx,positive,mentioned,\ny,negative,,\n")
    test = write(tmp_path / "b.csv", "text,A,Others,Never\nz,,positive,positive\n")
    splits = read_splits(train, test=test)
    assert splits.labels == Labels(("A", "Others", "Never"), ("Others",))
    assert splits.findings.notes == [
        "train never mentions Never",
        "train has no neutral pair",
        "pairs of test left out of its figures, as train has no sentiment for Others: 1",
    ]


def test_faults_of_all_files_come_at_once(tmp_path: Path) -> None:
    train = write(tmp_path / "train.csv", "text,A\nx,Postive\n")
    val = write(tmp_path / "val.csv", 'text,A\n"x,positive\n')
    assert faults_of(tmp_path, train, val, tmp_path / "tset.csv") == [
        "tset.csv: there is no such file",
        'train.csv:2: aspect "A": "Postive" is not one of Positive, Negative, Neutral; did you mean "Positive"?',
        "val.csv:2: the quoted cell that begins here is never closed",
    ]


def test_without_a_training_file_the_others_are_still_read(tmp_path: Path) -> None:
    val = write(tmp_path / "val.csv", "text,A\nx,positve\n")
    test = write(tmp_path / "test.csv", "text,B\nx,positve\n")
    faults = faults_of(tmp_path, tmp_path / "train.csv", val, test)
    assert [fault.split()[0] for fault in faults] == ["train.csv:", "val.csv:2:", "test.csv:2:"]


def test_columns_are_held_against_training(tmp_path: Path) -> None:
    train = write(tmp_path / "train.csv", "text,Camera,Price\nx,positive,negative\n")
    val = write(tmp_path / "val.csv", "text,Camera,Prise\nx,positive,negative\n")
    test = write(tmp_path / "test.csv", "text,label\nx,{Camra#positive};\n")
    assert faults_of(tmp_path, train, val, test) == [
        'val.csv: the column "Prise" is not one of the aspects Camera, Price; did you mean "Price"?',
        'val.csv: there is no column for the aspect "Price" among text, Camera, Prise; did you mean "Prise"?',
        'test.csv:2: aspect "Camra" is not one of Camera, Price; did you mean "Camera"?',
        "What is no aspect is left out by 'data.ignore_columns=[Prise]'",
    ]


def test_a_header_with_faults_does_not_hide_the_other_files(tmp_path: Path) -> None:
    train = write(tmp_path / "train.csv", "text,A,A\nx,positive,positive\n")
    faults = faults_of(tmp_path, train, tmp_path / "val.csv", table(tmp_path / "test.csv", ["y"], "bad"))
    assert [fault.split()[0] for fault in faults] == ["val.csv:", "test.csv:", "train.csv:1:", "What"]


# --- equal texts ---------------------------------------------------------------------------------------------------


def test_what_makes_texts_equal() -> None:
    same = ["Máy  đẹp", " Máy đẹp\n", "Ma\u0301y\u00a0\u0111e\u0323p"]
    other = ["máy đẹp", "Máyđẹp", "Máy đẹp.", "May đẹp"]
    keys = text_keys(same + other)
    assert keys.dtype == np.uint64 and keys.shape == (7,)
    assert len(set(keys[:3].tolist())) == 1 and len(set(keys.tolist())) == 5


def test_repeats_and_contradictions_are_counted(tmp_path: Path) -> None:
    rows = [
        "a,positive,",
        "b,positive,",
        "a ,positive,",
        "c,positive,neutral",
        "c,positive,",
        "c,positive,",
        "e\u0302,,neutral",
    ]
    findings = read_splits(write(tmp_path / "a.csv", "text,A,B\n" + "\n".join(rows))).findings.splits["train"]
    assert (findings.rows, findings.reviews, findings.repeated, findings.conflicting) == (7, 7, 3, 1)
    assert findings.not_nfc == 1
    assert findings.first_lines == {"repeated": [4, 6, 7], "conflicting": [5, 6, 7], "not_nfc": [8]}


# --- leaks ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def leaky(tmp_path: Path) -> tuple[Path, Path, Path]:
    train = table(tmp_path / "train.csv", ["a", "b", "b", "c", "d"])
    return train, table(tmp_path / "val.csv", ["b ", "x", "y"]), table(tmp_path / "test.csv", ["z", "b", "d", "y", "b"])


def test_leaks_are_counted(leaky: tuple[Path, Path, Path]) -> None:
    splits = read_splits(*leaky)
    leaks = splits.findings.leaks
    assert {name: leak.rows for name, leak in leaks.items()} == {"train->val": 1, "train->test": 3, "val->test": 3}
    assert leaks["train->test"].first_lines == [(3, 3), (5 + 1, 4), (3, 6)]
    assert splits.train.texts == ["a", "b", "b", "c", "d"]


def test_leaks_leave_the_training_split(leaky: tuple[Path, Path, Path]) -> None:
    splits = read_splits(*leaky, leaks="drop")
    assert splits.train.texts == ["a", "c"] and splits.train.mentioned.shape == (2, 1)
    assert splits.val is not None and splits.test is not None
    assert (len(splits.val), len(splits.test)) == (3, 5)
    findings = splits.findings
    assert (findings.splits["train"].removed, findings.splits["train"].reviews, findings.splits["train"].rows) == (
        3,
        2,
        5,
    )
    assert findings.leaks["train->test"].rows == 3
    assert any("rows that left training, as val or test hold their text: 3" in line for line in findings.lines())


def test_leaks_are_refused(tmp_path: Path, leaky: tuple[Path, Path, Path]) -> None:
    assert faults_of(tmp_path, *leaky, leaks="error") == [
        "train.csv: rows of val or test whose text training has too: 4; "
        "data.leaks=drop takes them out of training, data.leaks=warn leaves them",
        "val.csv:2: this text is in train.csv:3 too",
        "test.csv:3: this text is in train.csv:3 too",
        "test.csv:4: this text is in train.csv:6 too",
        "test.csv:6: this text is in train.csv:3 too",
    ]
    assert faults_of(tmp_path, *leaky, leaks="eror") == [
        'data.leaks="eror" is not one of warn, drop, error; did you mean "error"?'
    ]
    overlap = read_splits(table(tmp_path / "new.csv", ["new"]), *leaky[1:], leaks="error")
    assert overlap.findings.leaks["val->test"].rows == 3  # told, not refused: neither of them is trained on


def test_training_must_not_leak_away(tmp_path: Path) -> None:
    path = table(tmp_path / "a.csv", ["a", "b"])
    assert faults_of(tmp_path, path, path, leaks="drop") == [
        "a.csv: data.leaks=drop leaves nothing to train on: val and test hold every text of it"
    ]


# --- fractions -----------------------------------------------------------------------------------------------------


def test_fractions_have_their_sizes_and_share_no_text(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    texts = [f"t{i}" for i in rng.integers(0, 700, size=1_000)]
    splits = read_splits(table(tmp_path / "a.csv", texts), 0.1, 0.255)
    assert splits.val is not None and splits.test is not None
    assert (len(splits.train), len(splits.val), len(splits.test)) == (645, 100, 255)
    parts = (splits.train, splits.val, splits.test)
    assert Counter(text for part in parts for text in part.texts) == Counter(texts)
    assert not any(leak.rows for leak in splits.findings.leaks.values())
    assert all((np.diff(part.lines) > 0).all() for part in parts)
    for part in parts:
        assert part.texts == [texts[line - 2] for line in part.lines]


def test_a_split_depends_on_its_seed_and_texts_only(tmp_path: Path) -> None:
    texts = [f"t{i}" for i in range(300)]

    def test_texts(texts: list[str], val: float, seed: int) -> set[str]:
        splits = read_splits(table(tmp_path / "a.csv", texts), val, 0.2, split_seed=seed)
        assert splits.test is not None
        return set(splits.test.texts)

    first = test_texts(texts, 0.1, 0)
    assert test_texts(texts[::-1], 0.1, 0) == first
    assert test_texts(texts, 0.3, 0) == first
    assert len(test_texts([*texts, "one more"], 0.1, 0) & first) >= 59
    assert len(test_texts(texts, 0.1, 1) & first) < 30
    assert "t12" in first and "t0" not in first, "the same on every machine"


def test_one_fraction_beside_a_file(tmp_path: Path) -> None:
    train = write(tmp_path / "a.csv", "text,A\n,\n" + "".join(f"t{i},neutral\n" for i in range(50)))
    splits = read_splits(train, 0.1, table(tmp_path / "b.csv", ["t1", "t2", "z"]))
    assert splits.val is not None and (len(splits.train), len(splits.val)) == (45, 5)
    assert splits.findings.leaks["train->test"].rows + splits.findings.leaks["val->test"].rows == 2
    assert (splits.findings.splits["train"].without_text, splits.findings.splits["val"].without_text) == (1, 0)


@pytest.mark.parametrize(
    ("val", "test", "expected"),
    [
        (1.0, None, "data.val=1.0 is neither a file nor a fraction between 0 and 1"),
        (None, 0, "data.test=0 is neither a file nor a fraction between 0 and 1"),
        (0.5, 0.5, "data.val=0.5 and data.test=0.5 leave nothing of a.csv to train on"),
        (0.01, None, "data.val=0.01 of the 10 reviews of a.csv is none"),
        (0.96, None, "data.val=0.96 leaves nothing of a.csv to train on"),
    ],
)
def test_fractions_that_leave_nothing(tmp_path: Path, val: float | None, test: float | None, expected: str) -> None:
    path = table(tmp_path / "a.csv", [f"t{i}" for i in range(10)])
    assert faults_of(tmp_path, path, val, test) == [expected]


def test_one_text_cannot_be_split(tmp_path: Path) -> None:
    path = table(tmp_path / "a.csv", ["a"] * 10)
    assert faults_of(tmp_path, path, 0.5) == [
        "data.val=0.5 of the 10 reviews of a.csv is none: equal texts stay together"
    ]


# --- report --------------------------------------------------------------------------------------------------------


def test_the_report_in_words_and_as_data(tmp_path: Path) -> None:
    train = write(tmp_path / "train.csv", 'text,A\na,positive\n"",\na,negative\nb,\nc,neutral\n')
    test = table(tmp_path / "test.csv", ["c", "e\u0302"], "negative")
    kept = [line.strip() for line in read_splits(train, test=test).findings.lines()[:5]]
    assert kept[0].startswith("train: 4 reviews of 5 rows")
    assert kept[1] == 'a wide table: texts in "text", the aspect "A"'
    assert kept[2:4] == ["rows without text, left out: 1 (line 3)", "reviews that mention no aspect: 1 (line 5)"]
    findings = read_splits(train, test=test, unlabelled="drop").findings
    assert [line.replace(f"{tmp_path}/", "") for line in findings.lines()] == [
        "train: 3 reviews of 5 rows (train.csv)",
        '  a wide table: texts in "text", the aspect "A"',
        "  rows without text, left out: 1 (line 3)",
        "  rows without any label, left out: 2 (line 3, 5)",
        "  rows that repeat an earlier text: 1 (line 4)",
        "  texts labelled in more than one way: 1 (line 2, 4)",
        "test: 2 reviews (test.csv)",
        '  a wide table: texts in "text", the aspect "A"',
        "  texts that are not NFC (composed for the tokenizer): 1 (line 3)",
        "rows of test whose text train has too: 1 (line 2 = 6)",
    ]
    data = json.loads(json.dumps(findings.to_dict()))
    assert data["splits"]["train"]["reviews"] == 3 and data["splits"]["train"]["without_label"] == 2
    assert data["leaks"]["train->test"] == {"rows": 1, "first_lines": [[6, 2]]}


def test_paths_below_the_working_directory_are_shown_from_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path / "train.csv", "text,A\n" + "a,positive\n" * 1_200 + ",\n" * 3)
    (tmp_path / "elsewhere").mkdir()
    expected = {tmp_path: "train.csv", tmp_path.parent: f"{tmp_path.name}/train.csv", tmp_path / "elsewhere": path}
    for folder, shown in expected.items():
        monkeypatch.chdir(folder)
        assert read_splits(path).findings.lines()[0] == f"train: 1,200 reviews of 1,203 rows ({shown})"
    assert read_splits("../train.csv").findings.lines()[0].endswith(" (../train.csv)")


def test_long_lists_of_lines_are_cut(tmp_path: Path) -> None:
    findings = read_splits(table(tmp_path / "train.csv", ["a"] * 1_500)).findings
    assert findings.lines()[2] == "  rows that repeat an earlier text: 1,499 (line 3, 4, 5, 6, 7, ...)"


def test_check_files_finds_the_training_file_by_its_name(tmp_path: Path) -> None:
    test = table(tmp_path / "my_test.csv", ["a", "b"])
    dev = table(tmp_path / "Dev.csv", ["c"])
    train = write(tmp_path / "train-2.csv", "text,A,Others\na,positive,mentioned\n")
    with pytest.raises(UserError, match=r'Dev\.csv: there is no column for the aspect "Others"'):
        check_files([str(test), str(dev), str(train)])
    report = check_files([str(test), str(dev), str(train)], ignore_columns=["Others"])
    assert [line.partition(" (")[0] for line in report.splitlines() if line.endswith(".csv)")] == [
        "train-2.csv: 1 review",
        "Dev.csv: 1 review",
        "my_test.csv: 2 reviews",
    ]
    assert "rows of my_test.csv whose text train-2.csv has too: 1" in report
    assert report.count("aspect  positive") == 3


def test_check_files_takes_the_first_for_training_otherwise(tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    files = [table(tmp_path / "x" / "a.csv", ["a"]), table(tmp_path / "a.csv", ["a"])]
    report = check_files([str(path) for path in (*files, files[0])])
    assert report.startswith(f"{files[0]}: 1 review ({files[0]})\n")
    assert f"rows of {files[1]} whose text {files[0]} has too: 1" in report
    assert check_files([str(files[0])]).startswith("a.csv: 1 review (")
    with pytest.raises(UserError, match="name a file"):
        check_files([])


# --- the table of counts -------------------------------------------------------------------------------------------


def test_counts_table(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "text,Pin,Others\nx,positive,mentioned\ny,neutral,\nz,positive,\nw,,mentioned\n")
    reviews, aspects = read_reviews(path)
    assert counts_table(Labels(aspects, ("Others",)), reviews).splitlines() == [
        "aspect  positive  negative  neutral  mentioned  of reviews",
        "Pin            2         0        1          3      75.0 %",
        "Others         -         -        -          2      50.0 %",
        "all            2         0        1          5",
        "share     66.7 %     0.0 %   33.3 %",
    ]


def test_counts_table_fits_a_terminal(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", f"text,{'Chất lượng ' * 9}\n" + "x,positive\n" * 1_234)
    reviews, aspects = read_reviews(path)
    lines = counts_table(Labels(aspects), reviews).splitlines()
    assert max(map(len, lines)) <= 80 and "1,234" in lines[1]


# --- real files ----------------------------------------------------------------------------------------------------


@needs_real_data
def test_repeats_and_leaks_of_the_seed_files() -> None:
    splits = read_splits(*(REAL / "seed" / f"{name}.csv" for name in ("train", "validation", "test")))
    train = splits.findings.splits["train"]
    assert (train.rows, train.without_text, train.silent, train.reviews) == (7_302, 3, 0, 7_299)
    # "15 repeated texts" counts rows beyond the first of their text, and the three empty rows as one text: 13 + 2.
    assert train.repeated + (train.without_text - 1) == 15
    leaks = {name: leak.rows for name, leak in splits.findings.leaks.items()}
    assert leaks == {"train->val": 3, "train->test": 8, "val->test": 3}
    assert (splits.findings.splits["test"].silent, splits.findings.splits["test"].reviews) == (1, 913)
    dropped = read_splits(*(REAL / "seed" / f"{name}.csv" for name in ("train", "validation", "test")), leaks="drop")
    assert dropped.findings.splits["train"].removed == len(splits.train) - len(dropped.train) >= 11


@needs_real_data
def test_visfd() -> None:
    splits = read_splits(*(REAL / "visfd" / f"{name}.csv" for name in ("Train", "Dev", "Test")))
    assert splits.labels.without_sentiment == ("OTHERS",) and len(splits.labels.aspects) == 11
    assert splits.test is not None
    assert splits.test.class_counts.sum(axis=0).tolist() == [3_695, 2_210, 817]
    assert splits.findings.splits["test"].not_nfc == round(0.025 * 2_224)
    report = check_files([str(REAL / "visfd" / f"{name}.csv") for name in ("Test", "Train", "Dev")])
    assert max(map(len, report.splitlines())) <= 120


# --- weight --------------------------------------------------------------------------------------------------------


def test_imports_are_light() -> None:
    code = "import sys, src.data.report; print(*sorted({name.partition('.')[0] for name in sys.modules}))"
    loaded = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    assert not {"torch", "pandas", "pyarrow", "lightning", "transformers", "hydra"} & set(loaded.split())


def test_relating_fifty_thousand_texts_takes_seconds(tmp_path: Path) -> None:
    path = table(tmp_path / "a.csv", [f"máy đẹp pin trâu {i % 30_000}" for i in range(50_000)])
    start = time.process_time()
    splits = read_splits(path, 0.1, 0.1)
    assert time.process_time() - start < 5
    assert splits.findings.splits["train"].repeated > 5_000
    assert read_reviews(path)[0].rows == 50_000
