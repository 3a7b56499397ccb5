"""Thresholds maximise F1 on validation, rare aspects stay near the global one, and test data has no say."""

import json

import numpy as np
import pytest
from sklearn.metrics import f1_score

from src.answers.figures import evaluate, figures
from src.answers.predictions import Predictions, read_predictions, sigmoid
from src.answers.thresholds import Thresholds, tune_thresholds
from src.judge.evaluation import decide
from src.labels import IGNORE, SENTIMENTS
from src.runs.run import Run
from tests.judging import LABELS, make_run, predicted
from tests.test_model_metrics import predictions

C = len(SENTIMENTS)


def of(p: Predictions, thresholds, name: str = "pair_f1") -> float:
    return float(figures(evaluate(p, thresholds), LABELS, "absa")[name])


def shifted(n: int, seed: int) -> Predictions:
    """Each aspect wants a threshold of its own."""
    p = predictions(n, seed)
    p.mentioned_logits = np.round(p.mentioned_logits + np.array([-2.0, 1.0, 0.0, 3.0]), 5)
    return p


@pytest.mark.parametrize("seed", range(6))
def test_the_global_threshold_is_the_best_of_all(seed) -> None:
    p = shifted(60, seed)
    tuned = tune_thresholds(p, LABELS)
    logits = np.unique(p.mentioned_logits)
    everywhere = sigmoid(np.concatenate([logits - 1e-6, logits + 1e-6]))
    assert of(p, tuned.global_) == max(of(p, t) for t in everywhere)


@pytest.mark.parametrize("seed", range(6))
def test_without_a_prior_an_aspect_gets_its_best_f1(seed) -> None:
    p = shifted(80, seed)
    tuned = tune_thresholds(p, LABELS, prior_positives=0)
    a = 3  # OTHERS carries no sentiment, so that pair_f1 does not hold it back
    logits = np.unique(p.mentioned_logits[:, a])
    best = max(f1_score(p.mentioned[:, a], p.mentioned_logits[:, a] > x) for x in [*(logits - 1e-6), logits[-1]])
    found = p.detected(tuned.array)[:, a]
    assert f1_score(p.mentioned[:, a], found) == pytest.approx(best, abs=1e-12)


@pytest.mark.parametrize("seed", range(40))
def test_tuning_never_lowers_the_validation_figures_it_promises(seed) -> None:
    """Few reviews, and a model that knows no sentiment of the first aspect: finding more of it costs pair_f1."""
    p = shifted(15 + 2 * seed, seed)
    p.sentiment_logits[:, 0] = np.random.default_rng(seed).normal(0, 1, (len(p.ids), C))
    tuned = tune_thresholds(p, LABELS)
    assert of(p, tuned.array) >= of(p, tuned.global_) >= of(p, 0.5)
    each = [np.where(np.arange(4) == a, tuned.array, tuned.global_) for a in range(4)]
    for thresholds in each:
        assert of(p, thresholds) >= of(p, tuned.global_)
        assert of(p, thresholds, "aspect_f1_macro") >= of(p, tuned.global_, "aspect_f1_macro")


def test_shifted_aspects_gain() -> None:
    p = shifted(800, 0)
    tuned = tune_thresholds(p, LABELS)
    assert of(p, tuned.array) > of(p, tuned.global_) + 0.02
    assert tuned.per_aspect[0] < tuned.global_ < tuned.per_aspect[1] < tuned.per_aspect[3]


def logit(p: float) -> float:
    return float(np.log(p / (1 - p)))


def test_an_aspect_is_drawn_to_the_global_threshold_by_its_mentions() -> None:
    """The same logits, with 4 or 400 mentions of OTHERS: a weight of 4/14 or of 400/410."""
    for mentions, weight in ((4, 4 / 14), (400, 400 / 410)):
        p = predictions(2000, 0)
        p.mentioned[:, 3] = np.arange(2000) < mentions
        p.mentioned_logits[:, 3] = np.where(p.mentioned[:, 3], 4.0, 2.0)  # its best cut is at 3
        tuned = tune_thresholds(p, LABELS)
        expected = weight * 3.0 + (1 - weight) * logit(tuned.global_)
        found = f1_score(p.mentioned[:, 3], p.detected(tuned.global_)[:, 3])
        got = logit(tuned.per_aspect[3])
        assert got == pytest.approx(expected), (mentions, found)
    free = tune_thresholds(p, LABELS, prior_positives=1e12)
    assert free.per_aspect == pytest.approx([free.global_] * 4)


def test_ties_go_towards_a_half() -> None:
    p = predictions(50)
    p.mentioned_logits = np.where(p.mentioned, 4.0, -4.0)
    assert tune_thresholds(p, LABELS) == Thresholds.constant(0.5, 4)
    p.mentioned_logits = np.where(p.mentioned, 4.0, 2.0)
    assert tune_thresholds(p, LABELS).global_ == pytest.approx(sigmoid(np.array(3.0)))


def test_nothing_to_tune_on_gives_a_half() -> None:
    p = predictions(20)
    p.mentioned[:], p.sentiment[:] = False, IGNORE
    assert tune_thresholds(p, LABELS) == Thresholds.constant(0.5, 4)
    p = predictions(20)
    p.mentioned_logits = None
    assert tune_thresholds(p, LABELS) == Thresholds.constant(0.5, 4)


def test_huge_logits_give_thresholds_that_are_no_0_or_1() -> None:
    p = predictions(50)
    p.mentioned_logits *= 1e3
    assert all(0 < t < 1 for t in tune_thresholds(p, LABELS).per_aspect)


def test_order_of_reviews_changes_nothing() -> None:
    p, order = shifted(200, 0), np.random.default_rng(0).permutation(200)
    moved = (x[order] for x in (p.mentioned, p.sentiment, p.sentiment_logits, p.mentioned_logits))
    assert tune_thresholds(Predictions(p.ids, p.texts, *moved), LABELS) == tune_thresholds(p, LABELS)


def test_dict_round_trip_is_plain_json() -> None:
    tuned = tune_thresholds(shifted(50, 0), LABELS)
    stored = json.loads(json.dumps(tuned.to_dict()))
    assert set(stored) == {"global", "per_aspect"}
    assert Thresholds.from_dict(stored) == tuned


def test_test_data_never_touches_thresholds_and_temperatures(tmp_path) -> None:
    folder = make_run(tmp_path / "run")
    run = Run(folder)
    before = decide(run, run.read_summary(), LABELS)
    assert before.thresholds == tune_thresholds(read_predictions(run.predictions("val"), LABELS), LABELS)
    assert before.thresholds != Thresholds.constant(0.5, 4)

    path = run.predictions("test")
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    golds = [row["gold"] for row in rows]
    for row, other in zip(rows, [{"Price": "neutral"}, *golds[:-1]], strict=True):
        row["gold"] = other
        row["mentioned_logits"] = [-x for x in row["mentioned_logits"]]
        row["sentiment_logits"] = [[-x for x in logits] for logits in row["sentiment_logits"]]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert decide(run, run.read_summary(), LABELS) == before
    path.unlink()
    assert decide(run, run.read_summary(), LABELS) == before

    val = predicted("val")
    val.sentiment = np.where(val.sentiment == IGNORE, IGNORE, (val.sentiment + 1) % C)
    assert tune_thresholds(val, LABELS) != before.thresholds, "the validation split is what does touch them"
