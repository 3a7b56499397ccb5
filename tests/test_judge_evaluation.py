"""An evaluation: every figure, equal to scikit-learn's, with what is beside it; and one message for bad input."""

import json
import subprocess
import sys
import unicodedata

import numpy as np
import pytest
from sklearn.metrics import confusion_matrix, f1_score, precision_recall_fscore_support, precision_score, recall_score

from src.answers.calibration import fit_calibration
from src.answers.figures import FIGURES, JOINT, evaluate, figures
from src.answers.predictions import Predictions, read_predictions
from src.answers.thresholds import tune_thresholds
from src.data.findings import text_keys
from src.errors import UserError
from src.judge import leaks
from src.judge.evaluation import evaluate_predictions, evaluate_run, evaluation
from src.judge.leaks import UNKNOWN, write_keys
from src.judge.protocols import PROTOCOLS, VISFD, protocol_figures, protocol_left_out, protocol_named
from src.labels import IGNORE, SENTIMENTS, Labels
from src.runs.run import Run
from tests.conftest import ROOT
from tests.judging import LABELS, change_summary, make_run, predicted
from tests.test_model_metrics import predictions

C = len(SENTIMENTS)

ANSWERS = ["model", "model at 0.5", "tf-idf", "all absent", "all mentioned"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return make_run(tmp_path_factory.mktemp("judged") / "run")


@pytest.fixture(scope="module")
def judged(folder) -> dict:
    return evaluation(Run(folder), predicted("test"))


def test_an_evaluation_is_plain_data(judged) -> None:
    assert json.loads(json.dumps(judged, allow_nan=False)) == judged
    assert judged["answers"] == ANSWERS
    assert set(judged["all"]["figures"]["model"]) == {*FIGURES["absa"], *JOINT, "neutral_f1"}


def test_figures_are_those_at_the_tuned_thresholds_and_at_a_half(folder, judged) -> None:
    val, test = (read_predictions(Run(folder).predictions(name), LABELS) for name in ("val", "test"))
    tuned = tune_thresholds(val, LABELS)
    assert judged["thresholds"] == tuned.to_dict()
    for name, threshold in (("model", tuned.array), ("model at 0.5", 0.5)):
        expected = figures(evaluate(test, threshold), LABELS, "absa")
        got = judged["all"]["figures"][name]
        assert {k: got[k] for k in expected} == {k: float(v) for k, v in expected.items()}
    assert judged["all"]["figures"]["model"]["pair_f1"] != judged["all"]["figures"]["model at 0.5"]["pair_f1"]


def test_every_figure_has_an_interval_and_its_baselines(judged) -> None:
    for section in (judged["all"], judged["mixed"]):
        assert list(section["figures"]) == ANSWERS
        for figure, value in section["figures"]["model"].items():
            low, high = section["intervals"][figure]
            assert low <= value <= high, figure
            assert all(figure in section["figures"][name] for name in ANSWERS)
    absent = judged["all"]["figures"]["all absent"]
    assert absent["pair_f1"] == 0 and absent["sentiment_f1"] is None and absent["neutral_f1"] is None
    assert judged["all"]["figures"]["model"]["pair_f1"] > judged["all"]["figures"]["all mentioned"]["pair_f1"]


def test_neutral_f1_confusion_and_aspects_equal_scikit_learn(judged) -> None:
    p = predicted("test")
    known = p.sentiment != IGNORE
    y, z = p.sentiment[known], p.sentiment_said()[known]
    assert judged["all"]["figures"]["model"]["neutral_f1"] == pytest.approx(f1_score(y == 2, z == 2))
    assert judged["confusion"] == confusion_matrix(y, z, labels=range(C)).tolist()
    found = p.detected(np.array(judged["thresholds"]["per_aspect"]))
    for a, row in enumerate(judged["per_aspect"]["model"]):
        gold, said = p.mentioned[:, a], found[:, a]
        assert row["aspect"] == LABELS.aspects[a] and row["mentioned"] == gold.sum()
        assert row["precision"] == pytest.approx(precision_score(gold, said, zero_division=0))
        assert row["recall"] == pytest.approx(recall_score(gold, said, zero_division=0))
        assert row["f1"] == pytest.approx(f1_score(gold, said, zero_division=0))
        assert row["threshold"] == judged["thresholds"]["per_aspect"][a]
        k = known[:, a]
        expected = confusion_matrix(p.sentiment[k, a], p.sentiment_said()[k, a], labels=range(C)) if k.any() else 0
        assert np.array_equal(row["confusion"], np.zeros((C, C), int) + expected)


def test_the_mixed_subset_is_judged_as_if_it_were_all(judged) -> None:
    p = predicted("test")
    mixed = np.array([len(set(row[row != IGNORE])) > 1 for row in p.sentiment])
    assert 0 < mixed.sum() == judged["mixed"]["reviews"] < len(p.texts)
    arrays = (x[mixed] for x in (p.mentioned, p.sentiment, p.sentiment_logits, p.mentioned_logits))
    q = Predictions([], [], *arrays)
    expected = figures(evaluate(q, np.array(judged["thresholds"]["per_aspect"])), LABELS, "absa")
    got = judged["mixed"]["figures"]["model"]
    assert {k: got[k] for k in expected} == {k: float(v) for k, v in expected.items()}


def test_no_review_mixes_sentiments(folder) -> None:
    p = predicted("test")
    p.sentiment = np.where(p.sentiment == IGNORE, IGNORE, 0)
    judged = evaluation(Run(folder), p)
    assert judged["mixed"] == {"reviews": 0, "figures": {}, "intervals": {}, "left_out": {}}
    assert "mix sentiments" not in evaluate_predictions(Run(folder), p, "test")


def test_order_of_reviews_changes_nothing(folder, judged) -> None:
    p, order = predicted("test"), np.random.default_rng(0).permutation(120)
    arrays = (x[order] for x in (p.mentioned, p.sentiment, p.sentiment_logits, p.mentioned_logits))
    moved = Predictions([p.ids[i] for i in order], [p.texts[i] for i in order], *arrays)
    got = evaluation(Run(folder), moved)
    for head in ("mentioned", "sentiment"):  # means over reviews: the last bit depends on the order
        for when in ("before", "after"):
            one, other = got["calibration"][when].pop(head), judged["calibration"][when][head]
            assert one["ece"] == pytest.approx(other["ece"]) and one["brier"] == pytest.approx(other["brier"])
    assert {**got, "calibration": 0} == {**judged, "calibration": 0}


def test_calibration_is_that_of_validation(folder, judged) -> None:
    val = read_predictions(Run(folder).predictions("val"), LABELS)
    assert judged["calibration"]["temperatures"] == fit_calibration(val, LABELS).to_dict()
    for when in ("before", "after"):
        assert set(judged["calibration"][when]["mentioned"]) == {"ece", "brier", "bins"}


def test_the_summarys_thresholds_and_temperatures_win(tmp_path) -> None:
    folder = make_run(tmp_path / "run")
    stored = {"global": 0.3, "per_aspect": [0.3, 0.4, 0.5, 0.6]}
    change_summary(folder, thresholds=stored, calibration={"sentiment": 2.0, "mentioned": 3.0})
    judged = evaluation(Run(folder), predicted("test"), draws=10)
    assert judged["thresholds"] == stored
    assert judged["calibration"]["temperatures"] == {"sentiment": 2.0, "mentioned": 3.0}


def test_task_sentiment(tmp_path) -> None:
    folder = make_run(tmp_path / "run", task="sentiment")
    judged = evaluation(Run(folder), predicted("test", task="sentiment"))
    assert judged["answers"] == ["model", "tf-idf", "most frequent sentiment"]
    assert set(judged["all"]["figures"]["model"]) == {*FIGURES["sentiment"], "neutral_f1"}
    assert set(judged["calibration"]["after"]) == {"sentiment"}
    text = evaluate_run(folder)
    assert "pair_f1" not in text and "most frequent sentiment" in text


def test_printed_tables_hold_the_figures(folder, judged) -> None:
    text = evaluate_run(folder)
    for section in ("all", "mixed"):
        for value in judged[section]["figures"]["model"].values():
            assert f"{value:.4f}" in text
    for word in (*ANSWERS, *LABELS.aspects, "95 % interval", "temperature", "ECE", "Brier", "neg>neu"):
        assert word in text, word
    assert max(map(len, text.splitlines())) <= 130
    assert evaluate_run(folder, folder / "predictions" / "test.jsonl").splitlines()[1:] == text.splitlines()[1:]


def test_data_files_that_are_gone_cost_one_row(tmp_path) -> None:
    folder = make_run(tmp_path / "run")
    (tmp_path / "data" / "train.csv").unlink()
    judged = evaluation(Run(folder), predicted("test"), draws=10)
    assert "tf-idf" not in judged["answers"]
    assert any("tf-idf" in note and "train.csv" in note for note in judged["notes"])
    assert "tf-idf baseline" in evaluate_run(folder)


def test_an_aspect_with_neither_gold_nor_prediction_is_named(folder) -> None:
    p = predicted("test")
    p.mentioned[:, 2], p.sentiment[:, 2], p.mentioned_logits[:, 2] = False, IGNORE, -9
    p.sentiment[p.sentiment == 2], p.sentiment_logits[..., 2] = 1, -9
    judged = evaluation(Run(folder), p, draws=10)
    named = {"aspect_f1_macro": ["Price"], "sentiment_f1": ["neutral"], "sentiment_f1_per_aspect": ["Price"]}
    joint = ["Battery neutral", "Camera neutral", "Price positive", "Price negative", "Price neutral"]
    named |= {"pair_f1_per_aspect": ["Price"], "pair_f1_macro": joint}
    assert judged["all"]["left_out"] == named
    assert judged["mixed"]["left_out"] == named | {"aspect_f1_macro": ["Price", "OTHERS"]}
    assert "neutral_f1" not in judged["all"]["figures"]["model"]
    assert judged["per_aspect"]["model"][2]["f1"] is judged["per_aspect"]["model"][2]["pair_f1"] is None
    text = evaluate_predictions(Run(folder), p, "test")
    assert "Left out of aspect_f1_macro, as neither gold nor prediction has it: Price" in text
    assert "Left out of sentiment_f1, as neither gold nor prediction has it: neutral" in text


def test_a_protocol_names_the_classes_that_do_not_occur() -> None:
    p = phone()[0]
    p.mentioned[:, 5], p.sentiment[:, 5], p.mentioned_logits[:, 5] = False, IGNORE, -9
    counts = evaluate(p)
    assert protocol_left_out(counts, PHONE, PROTOCOLS["visfd-paper"]) == {
        "aspect_f1": [PHONE.aspects[5]],
        "pair_f1": [f"{PHONE.aspects[5]} {name}" for name in SENTIMENTS],
    }
    assert protocol_left_out(counts, PHONE, PROTOCOLS["visfd-9"]) == {}
    got = protocol_figures(counts, PHONE, PROTOCOLS["visfd-paper"])
    rest = np.arange(11) != 5
    expected = precision_recall_fscore_support(p.mentioned[:, rest], p.detected()[:, rest], average="macro")
    assert [got[f"aspect_{k}"] for k in ("precision", "recall", "f1")] == pytest.approx(expected[:3])


def test_a_run_without_a_test_split_is_judged_on_validation_and_told_so(tmp_path) -> None:
    folder = make_run(tmp_path / "run")
    change_summary(folder, figures={"val": {}})
    text = evaluate_run(folder)
    assert "val: 80 reviews" in text and "flatter" in text


@pytest.mark.parametrize("missing", ["summary.json", "predictions/test.jsonl"])
def test_a_run_that_lacks_a_file_is_refused(tmp_path, missing) -> None:
    folder = make_run(tmp_path / "run")
    (folder / missing).unlink()
    with pytest.raises(UserError, match=missing.split("/")[-1]) as error:
        evaluate_run(folder)
    assert len(error.value.faults) == 1


def test_predictions_without_labels_or_with_other_aspects_are_refused(tmp_path) -> None:
    folder = make_run(tmp_path / "run")
    p = predicted("test")
    p.mentioned[:], p.sentiment[:] = False, IGNORE
    with pytest.raises(UserError, match=r"new\.csv holds no labels"):
        evaluate_predictions(Run(folder), p, "new.csv")
    other = tmp_path / "other.jsonl"
    other.write_text((folder / "predictions" / "test.jsonl").read_text().replace("Battery", "Screen"))
    with pytest.raises(UserError, match=r"other\.jsonl:1: not a prediction over these 4 aspects"):
        evaluate_run(folder, other)


# --- protocols -------------------------------------------------------------------------------------------------------

PHONE = Labels(
    (
        "SCREEN",
        "CAMERA",
        "FEATURES",
        "BATTERY",
        "PERFORMANCE",
        "STORAGE",
        "DESIGN",
        "PRICE",
        "GENERAL",
        "SER&ACC",
        "OTHERS",
    ),
    ("OTHERS",),
)


def phone() -> tuple[Predictions, np.ndarray, np.ndarray, np.ndarray]:
    """Predictions, detected bool [N, A], gold and said pairs bool [N, A * C] of the aspects with sentiments."""
    p = predictions(300, labels=PHONE)
    found, hot = p.detected(), np.arange(C)
    gold = (p.sentiment[:, :10, None] == hot).reshape(300, -1)
    said = ((p.sentiment_said()[:, :10, None] == hot) & found[:, :10, None]).reshape(300, -1)
    return p, found, gold, said


def test_protocol_of_the_paper_equals_scikit_learn() -> None:
    p, found, gold, said = phone()
    got = protocol_figures(evaluate(p), PHONE, PROTOCOLS["visfd-paper"])
    for name, pair in {"aspect": (p.mentioned, found), "pair": (gold, said)}.items():
        expected = precision_recall_fscore_support(*pair, average="macro", zero_division=0)[:3]
        assert [got[f"{name}_{k}"] for k in ("precision", "recall", "f1")] == pytest.approx(expected)


def test_protocol_of_nine_aspects_equals_scikit_learn() -> None:
    p, found, gold, said = phone()
    got = protocol_figures(evaluate(p), PHONE, PROTOCOLS["visfd-9"])
    nine = [a not in ("GENERAL", "OTHERS") for a in PHONE.aspects]
    pairs = np.repeat(nine[:10], C)
    for name, pair in {
        "aspect": (p.mentioned[:, nine], found[:, nine]),
        "pair": (gold[:, pairs], said[:, pairs]),
    }.items():
        expected = precision_recall_fscore_support(*pair, average="micro", zero_division=0)[:3]
        assert [got[f"{name}_{k}"] for k in ("precision", "recall", "f1")] == pytest.approx(expected)


def test_protocols_are_for_visfd_and_known_by_name(folder) -> None:
    assert set(PHONE.aspects) == VISFD and all(protocol_named(name, PHONE) for name in PROTOCOLS)
    with pytest.raises(UserError, match='"visfd-10" is not one of visfd-paper, visfd-9; did you mean "visfd-9"'):
        protocol_named("visfd-10", PHONE)
    with pytest.raises(UserError, match="visfd-9 is for UIT-ViSFD's 11 aspects; these are Battery, Camera"):
        evaluate_run(folder, protocol="visfd-9")


def test_protocols_are_printed_beside_published_figures(tmp_path) -> None:
    p = predictions(300, labels=PHONE)
    p.texts = [f"máy {i}" for i in range(300)]
    folder = make_run(tmp_path / "run")
    labels = {"aspects": list(PHONE.aspects), "without_sentiment": ["OTHERS"]}
    decided = {"thresholds": {"global": 0.5, "per_aspect": [0.5] * 11}}
    decided |= {"calibration": {"sentiment": 1.0, "mentioned": 1.0}, "class_counts": [[3, 2, 1]] * 11}
    change_summary(folder, labels=labels, **decided)
    text = evaluate_predictions(Run(folder), p, "test", "visfd-paper")
    value = float(protocol_figures(evaluate(p), PHONE, PROTOCOLS["visfd-paper"])["aspect_f1"])
    assert f"{value:.4f}" in text and "0.8448" in text and "Luc Phan" in text


def test_judging_needs_no_torch() -> None:
    code = "import sys, src.judge.evaluation, src.judge.compare; print([m for m in ('torch', 'hydra') if m in sys.modules])"
    assert subprocess.check_output([sys.executable, "-c", code], cwd=ROOT, text=True).strip() == "[]"


# --- texts that were trained on --------------------------------------------------------------------------------------


def test_a_leak_is_told_with_the_figures_without_it(tmp_path) -> None:
    run, p = Run(make_run(tmp_path / "run")), predicted("test")
    write_keys(run.training_texts, [*p.texts[:40], "  khác\nhẳn "])
    got = evaluation(run, p)
    assert (got["trained_on"], got["unseen"]["reviews"]) == (40, 80)
    left = [rows[40:] for rows in (p.mentioned, p.sentiment, p.sentiment_logits, p.mentioned_logits)]
    alone = evaluation(run, Predictions(p.ids[40:], p.texts[40:], *left))
    assert alone["trained_on"] == 0 and alone["unseen"]["reviews"] == 0
    assert got["unseen"]["figures"]["model"] == alone["all"]["figures"]["model"]
    text = evaluate_run(run.folder)
    assert "WARNING: 40 of these 120 texts were trained on (33.3 %)" in text and "80 reviews that were not" in text
    write_keys(run.training_texts, p.texts)
    assert "120 of these 120 texts were trained on (100.0 %)" in evaluate_run(run.folder)
    write_keys(run.training_texts, ["x"])
    assert "None of these 120 texts was trained on." in evaluate_run(run.folder)


def test_texts_are_equal_whatever_their_blanks_and_composition(tmp_path) -> None:
    run, p = Run(make_run(tmp_path / "run")), predicted("test")
    write_keys(
        run.training_texts, [unicodedata.normalize("NFD", p.texts[0]).replace(" ", "\u00a0 "), p.texts[1].upper()]
    )
    assert evaluation(run, p)["trained_on"] == 1, "case counts"


def test_an_older_run_is_hashed_again_or_says_that_it_cannot_be(tmp_path) -> None:
    run = Run(make_run(tmp_path / "run"))
    again = int(np.isin(text_keys(predicted("test").texts), text_keys(predicted("train").texts)).sum())
    assert evaluation(run, predicted("test"))["trained_on"] == again
    (tmp_path / "data" / "train.csv").unlink()
    leaks._again.clear()  # another process
    got = evaluation(run, predicted("test"))
    assert got["trained_on"] is None and any(note.startswith(UNKNOWN) for note in got["notes"])
    run.training_texts.write_bytes(b"no array")
    assert any("training_texts.npy cannot be read" in note for note in evaluation(run, predicted("test"))["notes"])
