"""Reviews in noise and parts of them: noise that is the same again, figures that are those of the noisy reviews."""

import html
import json
import math
import random
import re
import shlex
import time
import unicodedata
from concurrent.futures import Future

import numpy as np
import pytest

from src.answers.figures import evaluate, figures
from src.answers.predictions import Predictions, read_predictions
from src.answers.thresholds import Thresholds
from src.cli import main
from src.data.stars import stars_of
from src.errors import UserError
from src.judge.evaluation import evaluate_run, evaluation
from src.judge.inference import load_run
from src.judge.noise import NOISES, changed_by, noisy
from src.judge.robustness import InNoise, OutOfTime, all_noisy, answers_in_noise, noisy_reviews, until
from src.judge.slices import LEAST_REVIEWS, slices, worst_slice
from src.labels import IGNORE
from src.runs.run import Run
from tests.conftest import ROOT
from tests.judging import LABELS, make_run, predicted

TEXT = "Máy đẹp quá, pin trâu nhưng Hòa không được thoả mãn 😍👍🏻, ĐIỆN THOẠI quý 1️⃣ 🇻🇳 ok"
TEST = ROOT / "data" / "sample" / "test.csv"


def test_a_text_has_the_same_noise_again_and_in_either_composition() -> None:
    for kind in NOISES:
        again = {noisy(kind, unicodedata.normalize(form, TEXT), 3) for form in ("NFC", "NFD")}
        assert again == {noisy(kind, TEXT, 3)}, kind
    several = {noisy("typing errors", TEXT * 5, seed) for seed in range(5)}
    assert len(several) == 5


@pytest.mark.parametrize("kind", NOISES)
@pytest.mark.parametrize(
    "text", ["", " ", "a", "ſp BİẾT ĳ", "한국어 ไทย שלום", "x\u0301\u0323" * 9, "\ud800 a", "1 2  3", "👩‍👩‍👧"]
)
def test_any_text_can_be_noisy(kind, text) -> None:
    assert isinstance(noisy(kind, text), str)


@pytest.mark.parametrize("kind", NOISES)
@pytest.mark.parametrize(
    "text", [" " * 300_000, "a " * 150_000, "😍" * 100_000, "á" * 300_000, "a" + "\u0301" * 300_000]
)
def test_a_long_text_takes_no_square_of_its_length(kind, text) -> None:
    started = time.process_time()
    noisy(kind, text)
    assert time.process_time() - started < 5


def test_each_kind_does_what_it_is_called() -> None:
    assert noisy("without diacritics", "ĐẸP ở Huế, thướt tha ữ ỡ ẵ") == "DEP o Hue, thuot tha u o a"
    assert noisy("without emoji", TEXT) == TEXT.replace(" 😍👍🏻", "").replace(" 1️⃣ 🇻🇳", "")
    assert noisy("tone marks moved", "hòa Hoà KHOẺ thuỷ quý toàn hoàng hóa.") == "hoà Hòa KHỎE thủy quý toàn hoàng hoá."
    joined = noisy("words joined", TEXT * 9)
    assert joined.replace(" ", "") == (TEXT * 9).replace(" ", "") and 5 < len(TEXT * 9) - len(joined) < 60
    stretched = noisy("stretched letters", "quá đẹp " * 40)
    assert "quáaa" in stretched and "đẹppp" in stretched
    keys = noisy("Telex and VNI keys", "đẹp " * 300), noisy("Telex and VNI keys", "đẹp " * 300, 1)
    seen = [{word for word in text.split() if word != "đẹp"} for text in keys]
    assert all(len(words) == 1 for words in seen) and set.union(*seen) <= {"ddepj", "d9ep5"}, "one method a review"
    assert {noisy("Telex and VNI keys", "ĐẸP", seed) for seed in range(99)} == {"ĐẸP", "DDEPJ", "D9EP5"}
    short = noisy("teencode", "Không được " * 200)
    assert {"ko", "k", "dc", "đc"} <= set(short.split()) and "Không" in short


def test_three_letters_of_a_hundred_are_mistyped() -> None:
    rng = random.Random(0)
    text = "".join(rng.choice("abcdefghijklmnopqrstuvwxyz") for _ in range(30_000))
    after = noisy("typing errors", text)
    dropped_less_doubled = len(text) - len(after)
    assert abs(dropped_less_doubled) < 120, "as many are dropped as doubled"
    changed = [
        noisy("typing errors", text[i : i + 1] + "-" + str(i)) != text[i : i + 1] + "-" + str(i) for i in range(5000)
    ]
    assert 0.01 < np.mean(changed) < 0.03, "a lone letter cannot be swapped"


def answering(texts):
    """A model that knows the words with their marks only."""
    shape = len(texts), len(LABELS.aspects)
    mentioned = np.array([[4.0 if noun in text else -4.0 for noun in ("pin", "giá", "tốt", "tệ")] for text in texts])
    sentiment = np.zeros((*shape, 3))
    sentiment[..., 0] = [[1 if "tốt" in text else -1] * 4 for text in texts]
    return mentioned, sentiment


def in_noise(p: Predictions, model=answering, end: float = math.inf) -> InNoise:
    noise = noisy_reviews(p.texts)
    made = InNoise(noise, Future())
    made.answers.set_result(answers_in_noise(noise, model, end))
    return made


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Run:
    return Run(make_run(tmp_path_factory.mktemp("judged") / "run"))


@pytest.fixture(scope="module")
def clean() -> Predictions:
    p = predicted("test")
    mentioned, sentiment = answering(p.texts)
    return Predictions(p.ids, p.texts, p.mentioned, p.sentiment, sentiment, mentioned)


@pytest.fixture(scope="module")
def judged(run, clean) -> dict:
    return evaluation(run, clean, draws=100, in_noise=in_noise(clean))


def test_figures_in_noise_are_those_of_the_noisy_reviews(judged, clean) -> None:
    cuts = np.array(judged["thresholds"]["per_aspect"])
    assert [kind["kind"] for kind in judged["robustness"]["kinds"]] == list(NOISES)
    assert json.loads(json.dumps(judged, allow_nan=False)) == judged
    for kind in judged["robustness"]["kinds"]:
        mentioned, sentiment = answering([noisy(kind["kind"], text) for text in clean.texts])
        p = Predictions([], [], clean.mentioned, clean.sentiment, sentiment, mentioned)
        expected = {k: float(v) for k, v in figures(evaluate(p, cuts), LABELS, "absa").items()}
        assert kind["figures"] == expected, kind["kind"]
        assert kind["changed"] == len(changed_by(kind["kind"], clean.texts))
        was = judged["all"]["figures"]["model"]["pair_f1"]
        assert kind["difference"] == pytest.approx(expected["pair_f1"] - was)
        low, high = kind["difference_interval"]
        assert low - 1e-9 <= kind["difference"] <= high + 1e-9
        assert kind["intervals"]["pair_f1"][0] <= expected["pair_f1"] <= kind["intervals"]["pair_f1"][1]
    plain = judged["robustness"]["kinds"][0]
    assert plain["difference"] < -0.05 and plain["tfidf"] is not None


def test_tfidf_is_trained_once_for_the_reviews_and_their_noise(run, clean, judged, monkeypatch) -> None:
    monkeypatch.setattr("src.judge.baselines.answer_by_tfidf", None)  # both answers are kept
    again = evaluation(run, clean, draws=10)
    assert again["all"]["figures"]["tf-idf"] == judged["all"]["figures"]["tf-idf"] and again["robustness"] is None
    noise = in_noise(clean)
    other = evaluation(run, clean, draws=10, in_noise=noise)
    kinds = zip(other["robustness"]["kinds"], judged["robustness"]["kinds"], strict=True)
    assert all(a["tfidf"] == b["tfidf"] for a, b in kinds)
    every = all_noisy(clean, noise.reviews)
    assert len(every.texts) == len(clean.texts) + sum(len(one.rows) for one in noise.reviews.values())


def test_a_kind_without_time_is_named(run, clean) -> None:
    def slow(texts):
        time.sleep(0.001 * len(texts))
        return answering(texts)

    with pytest.raises(OutOfTime):
        until(time.monotonic() + 0.05, slow)(clean.texts)
    got = until(time.monotonic() + 60, slow)(clean.texts)
    assert all(np.array_equal(a, b) for a, b in zip(got, answering(clean.texts), strict=True))
    some = in_noise(clean, slow, time.monotonic() - 1)
    judged = evaluation(run, clean, draws=10, in_noise=some)
    told, measured = judged["robustness"], [kind["kind"] for kind in judged["robustness"]["kinds"]]
    assert {*told["skipped"], *measured} == {*NOISES} and len(told["skipped"]) >= 4
    assert "without diacritics" in measured, "however long it takes"
    assert in_noise(clean, slow).answers.result().keys() == NOISES.keys()


def test_a_report_without_time_judges_one_kind_and_names_the_command_for_all(tmp_path, monkeypatch, capsys) -> None:
    make_run(tmp_path / "my runs" / "1")
    (tmp_path / "my runs" / "data" / "train.csv").unlink()  # no tf-idf: seconds
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("src.judge.report.NOISE_SECONDS", -1.0)
    monkeypatch.setattr("src.judge.report._weights", lambda *_: ({}, []))
    monkeypatch.setattr("src.judge.inference.answering_of", lambda run: answering)
    for words, judged in ((["my runs/1"], ["without diacritics"]), (["my runs/1", "--robustness"], list(NOISES))):
        main(["report", *words])
        text = (tmp_path / "my runs" / "1" / "report.html").read_text(encoding="utf-8")
        assert [kind for kind in re.findall(r'data-noise="([^"]+)"', text) if kind in judged] == judged
        told = [html.unescape(code) for code in re.findall(r"<code>(absa .*?)</code>", text)]
        assert [shlex.split(line) for line in told] == (
            [["absa", "report", "my runs/1", "--robustness"]] * (len(judged) == 1)
        )


# --- parts of the reviews --------------------------------------------------------------------------------------------


def test_parts_of_a_kind_hold_every_review_once(clean) -> None:
    stars = np.array([1, 2, 5] * 40, float)
    parts: dict[str, list] = {}
    for by, name, rows in slices(clean, stars):
        parts.setdefault(by, []).append(rows)
        assert name
    assert set(parts) == {"length", "diacritics", "aspects", "stars"}
    for by, several in parts.items():
        assert (np.sum(several, 0) == 1).all(), by
    stars[0] = np.nan
    assert sum(rows.sum() for by, _, rows in slices(clean, stars) if by == "stars") == 119
    equal = Predictions([], ["a"] * 120, clean.mentioned, clean.sentiment, clean.sentiment_logits, None)
    assert [name for by, name, _ in slices(equal, None) if by in ("length", "diacritics")] == ["without diacritics"]


def test_figures_of_a_part_are_those_of_its_reviews_alone(judged, clean) -> None:
    cuts = np.array(judged["thresholds"]["per_aspect"])
    rows = {name: rows for _, name, rows in slices(clean, None)}
    assert [part["name"] for part in judged["slices"]] == list(rows)
    for part in judged["slices"]:
        arrays = (clean.mentioned, clean.sentiment, clean.sentiment_logits, clean.mentioned_logits)
        p = Predictions([], [], *(x[rows[part["name"]]] for x in arrays))
        expected = figures(evaluate(p, cuts), LABELS, "absa")
        assert part["figures"] == {k: float(v) for k, v in expected.items()}
        assert part["reviews"] == len(p.mentioned)


def test_reviews_without_pairs_have_no_figure_of_pairs(run, clean) -> None:
    mentioned, sentiment = clean.mentioned.copy(), clean.sentiment.copy()
    mentioned[:60], sentiment[:60] = False, IGNORE
    texts = ["pin", *(f"{text} tốt" for text in clean.texts[1:])]
    p = Predictions(clean.ids, texts, mentioned, sentiment, clean.sentiment_logits, clean.mentioned_logits)
    judged = evaluation(run, p, draws=10)
    silent = next(part for part in judged["slices"] if part["name"] == "0 aspects")
    assert silent["reviews"] == 60 and silent["figures"]["pair_f1"] is None and silent["tfidf"] is None
    assert judged["worst"]["name"] != "0 aspects" and "pair_f1" not in silent["intervals"]
    single = next(part for part in judged["slices"] if part["name"] == "without diacritics")
    assert single["reviews"] == 1 and single["intervals"] == {}, "the draws of one review are all alike"


def test_the_worst_part_is_large_enough() -> None:
    def part(reviews: int, value: float | None) -> dict:
        return {"reviews": reviews, "figures": {"pair_f1": value}}

    parts = [part(LEAST_REVIEWS, 0.6), part(LEAST_REVIEWS - 1, 0.1), part(500, 0.8), part(500, None)]
    assert worst_slice(parts, "pair_f1") is parts[0]
    assert worst_slice(parts[:2], "pair_f1") is None


def test_stars_are_read_by_line(tmp_path) -> None:
    file = tmp_path / "r.csv"
    file.write_text('text,Star_Rating,x\n"a\nb",5,1\nc,,1\nd,2.0,1\n', encoding="utf-8")
    stars = stars_of(str(file), [2, 4, 5, 9], {})
    assert np.array_equal(stars, [5, np.nan, 2, np.nan], equal_nan=True)
    assert stars_of(str(file), [2], {}, "another") is None
    assert stars_of(str(tmp_path / "none.csv"), [2], {}) is None
    file.write_text("text;rating\na;4\n", encoding="utf-8")
    assert stars_of(str(file), [2], {"separator": ";"}).tolist() == [4]
    file.write_text('text,Số sao\na,5 sao\nb,1 star\nc,"4,0"\nd,3/5\ne,★★\nf,1e0\ng,\n', encoding="utf-8")
    assert np.array_equal(stars_of(str(file), range(2, 9), {}), [5, 1, 4, 3, 2, np.nan, np.nan], equal_nan=True)
    file.write_text("text,rating\na,4.5\nb,tốt\n", encoding="utf-8")
    assert stars_of(str(file), [2, 3], {}) is None
    file.write_text("text,Battery\na,positive\n", encoding="utf-8")
    assert stars_of(str(file), [2], {}) is None


# --- the command -----------------------------------------------------------------------------------------------------


def test_evaluate_judges_in_noise_where_it_is_asked_to(trained, exported, tmp_path, capsys) -> None:
    folder = str(trained[0])
    main(["evaluate", folder])
    without = capsys.readouterr().out
    assert "Robustness" not in without and "By parts of the reviews" in without and "pair_f1_macro" in without
    main(["evaluate", folder, "--robustness"])
    out = capsys.readouterr().out
    p, labels = read_predictions(Run(folder).predictions("test"), Run(folder).labels), Run(folder).labels
    mentioned, sentiment = load_run(folder).logits([noisy("without diacritics", text) for text in p.texts])
    plain = Predictions([], [], p.mentioned, p.sentiment, sentiment, mentioned)
    cuts = Thresholds.from_dict(Run(folder).read_summary()["thresholds"]).array
    value = float(figures(evaluate(plain, cuts), labels, "absa")["pair_f1"])
    line = next(line for line in out.splitlines() if line.startswith("without diacritics  "))
    assert f"{value:.4f}" in line
    main(["evaluate", str(exported), str(TEST), "--robustness"])
    bundle = capsys.readouterr().out
    assert f"{value:.3f}" in next(line for line in bundle.splitlines() if line.startswith("without diacritics  "))
    assert all(kind in text for kind in NOISES for text in (out, bundle))


def test_a_run_that_cannot_answer_is_refused(tmp_path) -> None:
    with pytest.raises(UserError, match=r"holds no checkpoints/best\.ckpt"):
        evaluate_run(make_run(tmp_path / "run"), in_noise=True)
