"""Labels that look wrong: the ranking on made-up predictions, the rows of a spreadsheet, and the command on a file."""

import csv
from collections import Counter

import numpy as np
import pytest

from src.answers.predictions import Predictions
from src.data.reviews import read_reviews
from src.data.sheet_rows import sheet_rows
from src.errors import UserError
from src.judge.mistakes import INVENTED, MISSED, WRONG
from src.judge.relabel import SUSPECT_COLUMNS, find_suspects
from src.judge.suspects import Suspect, in_turns, rank_suspects
from src.labels import IGNORE
from tests.judging import LABELS, C, gold


def model_of(mentioned: np.ndarray, sentiment: np.ndarray, sure: float = 3.0, seed: int = 5):
    """Logits of a model that mostly knows what is true."""
    rng = np.random.default_rng(seed)
    logits = sure * (sentiment[..., None] == np.arange(C)) + rng.normal(0, 1, (*mentioned.shape, C))
    return logits, sure * (2 * mentioned - 1) + rng.normal(0, 1, mentioned.shape)


def changed_labels(n: int = 400, each: int = 12):
    """Predictions over labels of which ``each`` of a kind were changed, and these cells by kind."""
    mentioned, sentiment = gold(n, 3)
    logits, detection = model_of(mentioned, sentiment)
    rng = np.random.default_rng(1)
    m, s = mentioned.copy(), sentiment.copy()
    told = [tuple(c) for c in rng.permutation(np.argwhere(sentiment != IGNORE)).tolist()]
    blank = [tuple(c) for c in rng.permutation(np.argwhere(~mentioned[:, :3])).tolist()]
    cells = {WRONG: told[:each], MISSED: told[each : 2 * each], INVENTED: blank[:each]}
    for cell in cells[WRONG]:
        s[cell] = (s[cell] + 1) % C
    for cell in cells[MISSED]:
        m[cell], s[cell] = False, IGNORE
    for cell in cells[INVENTED]:
        m[cell], s[cell] = True, 0
    ids = [str(i) for i in range(n)]
    return Predictions(ids, ids, m, s, logits, detection), cells


def test_changed_labels_come_first_and_under_their_kind() -> None:
    predictions, cells = changed_labels()
    ranked = rank_suspects(predictions, LABELS)
    first = ranked[:48]  # half of them wrong sentiments
    for kind, there in cells.items():
        found = {(s.review, s.aspect) for s in first if s.kind == kind}
        assert len(found & set(there)) >= 7, kind  # by chance it would be less than one
    sure = Counter(s.kind for s in ranked if s.sure)
    assert all(5 <= sure[kind] <= 40 for kind in cells)


def test_a_suspect_says_what_stands_there_and_what_is_likelier() -> None:
    predictions, _ = changed_labels()
    for s in rank_suspects(predictions, LABELS):
        there = bool(predictions.mentioned[s.review, s.aspect])
        assert there == (s.given != "not mentioned") and s.given != s.likelier
        assert s.kind == (MISSED if not there else INVENTED if s.likelier == "not mentioned" else WRONG)
        assert 0 <= s.label_confidence < s.confidence <= 1
        assert LABELS.aspects[s.aspect] != "OTHERS" or ("mentioned" in s.given and "mentioned" in s.likelier)


def test_the_sentiment_task_has_wrong_sentiments_only() -> None:
    predictions, _ = changed_labels()
    predictions.mentioned_logits = None
    kinds = {s.kind for s in rank_suspects(predictions, LABELS)}
    assert kinds == {WRONG}


def test_kinds_take_turns_by_their_weight() -> None:
    one = [Suspect(i, 0, "a", "", "", 1, 0, False) for i in range(30)]
    other = [Suspect(i, 0, "b", "", "", 1, 0, False) for i in range(100)]
    turns = in_turns([one, other], [1, 3])
    assert [s.review for s in turns if s.kind == "a"] == list(range(30)) and len(turns) == 130
    assert sum(s.kind == "a" for s in turns[:40]) == 10


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.csv", 'text,Pin\n"hai\ndòng",positive\nmột,\n\n"ba ""b"" 5"" \n\n x",negative\ncuối,\n'),
        ("a.tsv", 'text\tPin\r\n"hai\r\ndòng"\tpositive\r\nmột, hai\t\r\n\r\n5" x\tnegative\r\ncuối\t\r\n'),
        ("b.csv", '\ufeff"te\nxt","Pin"\n"hai, ba\ndòng",positive\nmột,\n\nba,negative\n"cuối",\n'),
    ],
)
def test_rows_are_those_that_a_spreadsheet_shows(tmp_path, name, text) -> None:
    path = tmp_path / name
    path.write_bytes(text.encode())
    reviews, _ = read_reviews(path, text_column="te\nxt" if name == "b.csv" else "text")
    assert sheet_rows(str(path), reviews.lines).tolist() == [2, 3, 5, 6]


def test_without_records_a_row_is_its_line(tmp_path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "pin tốt", "labels": {"Pin": "positive"}}\n' * 3, encoding="utf-8")
    assert sheet_rows(str(path), np.array([1, 2, 3])).tolist() == [1, 2, 3]


def labelled(path, n: int = 60) -> None:
    rng = np.random.default_rng(0)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "text", "Pin", "Giá"])
        for i in range(n):
            good = rng.random() < 0.5
            pin, gia = ("positive" if good else "negative"), ("negative" if i % 3 == 0 else "")
            text = f"pin {'tốt lắm' if good else 'tệ quá'}{', giá thì chát' if gia else ''}\nlần {i}"
            writer.writerow([f"r{i}", text, pin, gia])


def test_the_command_writes_what_its_owner_finds_again(tmp_path, capsys) -> None:
    openpyxl = pytest.importorskip("openpyxl")
    labelled(tmp_path / "train.csv")
    said = find_suspects([str(tmp_path / "train.csv")], str(tmp_path / "s.csv"), folds=2, epochs=1)
    again = find_suspects([str(tmp_path / "train.csv")], str(tmp_path / "s.xlsx"), folds=2, epochs=1)
    with (tmp_path / "s.csv").open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.reader(file))
    sheet = openpyxl.load_workbook(tmp_path / "s.xlsx").active
    assert [["" if c is None else str(c) for c in row] for row in sheet.values][1:] == rows[1:]  # the seed decides
    assert tuple(rows[0][:10]) == SUSPECT_COLUMNS and "90% and more" in said and "s.xlsx" in again
    for row in rows[1:]:
        found = dict(zip(rows[0], row, strict=True))
        number = int(found["id"][1:])
        assert int(found["row"]) == number + 2 and int(found["line"]) == 2 * number + 2
        assert found["text"].endswith(f"lần {number}")


@pytest.mark.parametrize(
    ("out", "options", "told"),
    [
        ("s.txt", {}, ".csv or .xlsx"),
        ("no/s.csv", {}, "no folder"),
        ("train.csv", {"overwrite": True}, "is one of the files that are read"),
        ("there.csv", {}, r"there\.csv: is there already; --overwrite replaces it"),
        ("s.csv", {"folds": 1}, "--folds 1"),
        ("s.csv", {"epochs": 0}, "--epochs 0"),
        ("s.csv", {}, "needed at least"),
    ],
)
def test_mistakes_are_told_before_anything_is_trained(tmp_path, out, options, told) -> None:
    labelled(tmp_path / "train.csv", 20)
    (tmp_path / "there.csv").write_text("mine", encoding="utf-8")
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(UserError, match=told):
        find_suspects([str(tmp_path / "train.csv")], str(tmp_path / out), **options)
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before
