"""Shares corrected for a model's errors: the arithmetic, the grouping of answers by dates, the command on a file."""

import csv
import html
import re

import numpy as np
import pytest

from src.answers.predictions import Predictions
from src.answers.shares import WEIGHT, corrected, corrected_with_draws, rates, validation_table
from src.data.dates import are_dates, periods
from src.errors import UserError
from src.labels import IGNORE, Labels
from src.ship.shares_page import summarise
from tests.judging import LABELS, make_run, predicted
from tests.test_judge_report import COMMON, in_language

TABLE = np.array([[[60, 10, 10, 20], [10, 30, 10, 50], [8, 4, 8, 20], [10, 10, 5, 475]]])  # gold x answer


def answers_of(shares, n: int = 100_000) -> np.ndarray:
    """The answers that a model with TABLE's errors gives where ``shares`` are true."""
    return np.asarray(shares) @ rates(TABLE)[0] * n


def test_counts_of_validation_are_what_was_answered() -> None:
    labels = Labels(("Pin", "OTHERS"), ("OTHERS",))
    mentioned = np.array([[True, True], [True, False], [True, True], [False, False]])
    sentiment = np.array([[0, IGNORE], [1, IGNORE], [IGNORE, IGNORE], [IGNORE, IGNORE]])
    logits = np.zeros((4, 2, 3))
    logits[:, 0, 1] = 1  # always negative
    detection = np.array([[1, 1], [-1, 1], [1, -1], [1, -1]], float)
    table = validation_table(Predictions([], [], mentioned, sentiment, logits, detection), labels, np.array([0.5, 0.5]))
    assert table[0].tolist() == [[0, 1, 0, 0], [0, 0, 0, 1], [0, 0, 0, 0], [0, 1, 0, 0]]  # the third is left out
    assert table[1].tolist() == [[1, 0, 0, 1], [0, 0, 0, 0], [0, 0, 0, 0], [1, 0, 0, 1]]


def test_without_errors_nothing_is_corrected() -> None:
    right = np.array([np.diag([300, 100, 50, 900])]) * 1000
    counts = np.array([[30, 60, 10, 100]])
    found = corrected(counts, right)
    before = np.array([300, 100, 50, 900]) / 1350
    assert found == pytest.approx((1 - WEIGHT) * counts / 200 + WEIGHT * before, abs=1e-3)


@pytest.mark.parametrize("true", [(0.1, 0.3, 0.05, 0.55), (0.3, 0.05, 0.05, 0.6), (0.111, 0.139, 0.056, 0.694)])
def test_the_correction_brings_answers_nearer_to_what_is_true(true) -> None:
    said = answers_of(true)
    found = corrected(said[None], TABLE)[0]
    assert found.sum() == pytest.approx(1)
    assert np.abs(found - true).sum() < 0.65 * np.abs(said / said.sum() - true).sum()


def test_no_answers_give_the_shares_of_validation() -> None:
    found = corrected(np.zeros((1, 4), int), TABLE)[0]
    assert found == pytest.approx(TABLE[0].sum(1) / TABLE.sum(), abs=0.01)


def test_intervals_cover_what_is_true() -> None:
    """Nominal 95 %: validation and answers are drawn 40 times from one population, as the intervals suppose."""
    rng, true = np.random.default_rng(0), TABLE[0].sum(1) / TABLE.sum()
    covered = []
    for seed in range(40):
        table = rng.multinomial(TABLE.sum(), (TABLE[0] / TABLE.sum()).ravel()).reshape(1, 4, 4)
        said = rng.multinomial(800, TABLE[0].sum(0) / TABLE.sum())
        _, draws = corrected_with_draws(said[None], table, 200, seed)
        low, high = np.quantile(draws[:, 0], [0.025, 0.975], axis=0)
        covered.append((low <= true) & (true <= high))
    assert np.mean(covered) > 0.88


def test_dates_fall_into_their_periods() -> None:
    cells = ["2025-02-14", "2025-2-1T08:00:00", "14/02/2025", "1.12.2024", "2 tuần trước", None, "", "31/02/2025"]
    assert periods(cells, "month") == ["2025-02", "2025-02", "2025-02", "2024-12", None, None, None, None]
    assert periods(cells, "week")[:4] == ["2025-W07", "2025-W05", "2025-W07", "2024-W48"]
    assert periods(["2025-02", "03/04/2025"], "week") == [None, "2025-W14"]
    assert periods(["02/14/2025", "03/04/2025"], "month") == ["2025-02", "2025-03"]  # months come first here
    assert periods(["14/02/2025", "02/14/2025"], "year") == ["2025", None]
    assert are_dates(["2025-02-14", "x", "14/02/2025"]) and not are_dates(["x", "5", "2025-02-14"])


@pytest.fixture
def answered(tmp_path):
    """A run and answers of its model, with a date, as ``absa predict`` writes them."""
    run = make_run(tmp_path / "run")
    p = predicted("test")
    found, said = p.detected(), p.sentiment_said()
    with (tmp_path / "answers.csv").open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.writer(file)
        columns = [f"{aspect}_{c}" for aspect in LABELS.aspects for c in ("sentiment", "confidence")]
        writer.writerow(["text", "date", "shop", *columns])
        for i, text in enumerate(p.texts):
            cells = []
            for a in range(len(LABELS.aspects)):
                word = "mentioned" if a == 3 else LABELS.sentiments[said[i, a]]
                cells += [word, 0.9] if found[i, a] else ["", ""]
            writer.writerow([text, f"{1 + i % 28:02}/{1 + i // 60:02}/2025", "=A1" if i % 2 else "Hà Nội", *cells])
    return tmp_path, run, p


def rows_of(path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def test_the_command_counts_by_month_and_corrects(answered) -> None:
    folder, run, p = answered
    said = summarise(str(folder / "answers.csv"), str(run), by="month")
    rows = rows_of(folder / "answers.csv.summary.csv")
    assert list(dict.fromkeys(r["group"] for r in rows)) == ["all", "2025-01", "2025-02"]
    found = p.detected()[:, 0] & (p.sentiment_said()[:, 0] == 1)
    row = next(r for r in rows if (r["group"], r["aspect"], r["sentiment"]) == ("all", "Battery", "negative"))
    assert int(row["count"]) == found.sum() and float(row["low"]) <= float(row["corrected"]) <= float(row["high"])
    assert [r["sentiment"] for r in rows if r["aspect"] == "OTHERS"] == ["mentioned"] * 3
    text = (folder / "answers.csv.summary.html").read_text(encoding="utf-8")
    assert text.count("<svg") == 3 and "http" not in text.replace("http-equiv", "") and "80 validation reviews" in said


def test_any_column_groups_and_no_model_corrects_nothing(answered) -> None:
    folder, *_ = answered
    said = summarise(str(folder / "answers.csv"), by="shop", out=str(folder / "x.html"))
    rows = rows_of(folder / "x.csv")
    assert {r["group"] for r in rows} == {"all", "Hà Nội", "'=A1"} and {r["corrected"] for r in rows} == {""}
    assert "Not corrected" in said


def test_what_is_read_or_there_is_not_written_over(answered) -> None:
    """answers.csv -o answers.html is what one types, and the table stands beside the page."""
    folder, *_ = answered
    answers = folder / "answers.csv"
    before = answers.read_bytes()
    for _ in range(2):
        with pytest.raises(UserError, match=r"answers\.csv: is one of the files that are read"):
            summarise(str(answers), out=str(folder / "answers.html"), overwrite=True)
    summarise(str(answers), out=str(folder / "x.html"))
    with pytest.raises(UserError) as error:
        summarise(str(answers), out=str(folder / "x.html"))
    assert [fault.partition(": ")[2] for fault in error.value.faults] == [
        "is there already; --overwrite replaces it"
    ] * 2
    summarise(str(answers), out=str(folder / "x.html"), overwrite=True)
    assert answers.read_bytes() == before and not (folder / "answers.html").exists()


def test_no_share_is_made_up_for_an_aspect_without_a_column(answered) -> None:
    """It would be that of validation, with an interval that looks narrow."""
    folder, run, _ = answered
    with (folder / "answers.csv").open(encoding="utf-8-sig", newline="") as file:
        header, *rows = csv.reader(file)
    kept = [i for i, name in enumerate(header) if not name.startswith("Battery_")]
    with (folder / "less.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([[row[i] for i in kept] for row in (header, *rows)])
    said = summarise(str(folder / "less.csv"), str(run))
    assert "Left out, as the file has no columns for them: Battery." in said
    aspects = {row["aspect"] for row in rows_of(folder / "less.csv.summary.csv")}
    whole = summarise(str(folder / "answers.csv"), str(run), out=str(folder / "w.html"))
    assert {row["aspect"] for row in rows_of(folder / "w.csv")} == aspects | {"Battery"} and "Left out" not in whole
    rest = [row for row in rows_of(folder / "w.csv") if row["aspect"] != "Battery"]
    assert [(r["count"], r["share"]) for r in rest] == [
        (r["count"], r["share"]) for r in rows_of(folder / "less.csv.summary.csv")
    ]


def test_no_sentiment_is_made_up_for_an_aspect_that_nobody_mentions(answered) -> None:
    folder, run, _ = answered
    with (folder / "answers.csv").open(encoding="utf-8-sig", newline="") as file:
        header, *rows = csv.reader(file)
    empty = {i for i, name in enumerate(header) if name.startswith("Battery_")}
    with (folder / "none.csv").open("w", encoding="utf-8", newline="") as file:
        blank = [["" if i in empty else cell for i, cell in enumerate(row)] for row in rows]
        csv.writer(file).writerows([header, *blank])
    assert "(- to -)" not in summarise(str(folder / "none.csv"), str(run))
    battery = [row for row in rows_of(folder / "none.csv.summary.csv") if row["aspect"] == "Battery"]
    assert {row["corrected"] for row in battery if row["sentiment"] != "mentioned"} == {""}
    assert all(row["corrected"] for row in battery if row["sentiment"] == "mentioned")


@pytest.mark.parametrize("options", [{"by": "month"}, {"by": "shop"}, {}])
@pytest.mark.parametrize("with_model", [True, False])
def test_the_page_has_both_languages(answered, options, with_model) -> None:
    folder, run, _ = answered
    rows = (folder / "answers.csv").read_text(encoding="utf-8-sig").replace("05/01/2025", "không rõ", 1)
    (folder / "answers.csv").write_text(rows, encoding="utf-8-sig")
    summarise(str(folder / "answers.csv"), str(run) if with_model else None, **options)
    page = (folder / "answers.csv.summary.html").read_text(encoding="utf-8")
    assert 'class="untold"' not in page and 'data-language="vi"' in page
    text = in_language(page, "vi")
    attributes = " ".join(re.findall(r'data-vi="([^"]*)"', text))
    shown = re.sub(r"<(\w+)[^>]*data-vi=[^>]*>[^<]*</\1>", " ", text[text.index("<body") :]).replace(">English<", "><")
    said = html.unescape(" ".join([attributes, re.sub("<[^>]*>", " ", re.sub("<data.*?</data>|--model", "", shown))]))
    assert {w for w in re.findall(r"[^\W\d_]+", said) if COMMON.fullmatch(w)} == set()
    assert not re.search(r"\d\.\d %", said) and re.search(r"\d,\d %", said), "0,2 %, not 0.2 %"
    assert "120 bài đánh giá nói gì" in said and ("Đã hiệu chỉnh" in said) == with_model
    if options.get("by") == "month":
        assert "tiêu cực theo date, từng tháng" in re.sub(" +", " ", said) and "không có ngày" in said


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"by": "shopp"}, "did you mean .shop"),
        ({"by": "shop", "every": "month"}, "no cell of"),
        ({"every": "month"}, "--by COLUMN"),
        ({"out": "x.pdf"}, ".html"),
        ({"model": "nowhere"}, "no summary.json"),
    ],
)
def test_mistakes_are_told(answered, options, told) -> None:
    with pytest.raises(UserError, match=told):
        summarise(str(answered[0] / "answers.csv"), **options)


def test_files_that_are_no_answers_are_refused(tmp_path) -> None:
    (tmp_path / "a.csv").write_text("text,Pin\nx,positive\n", encoding="utf-8")
    with pytest.raises(UserError, match="absa predict"):
        summarise(str(tmp_path / "a.csv"))
