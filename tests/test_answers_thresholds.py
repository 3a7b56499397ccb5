"""Thresholds gain where there is something to gain, few reviews leave them at 0.5, and test data has no say."""

import json

import numpy as np
import pytest

from src.answers.figures import evaluate, figures
from src.answers.predictions import Predictions, read_predictions, sigmoid
from src.answers.thresholds import Thresholds, best_single, choose_thresholds, thresholds_faults, tune_thresholds
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
def test_the_best_single_threshold_is_the_best_of_all(seed) -> None:
    p = shifted(60, seed)
    logits = np.unique(p.mentioned_logits)
    everywhere = sigmoid(np.concatenate([logits - 1e-6, logits + 1e-6]))
    assert of(p, best_single(p, LABELS)) == max(of(p, t) for t in everywhere)


def gains(make, n: int, draws: int = 12) -> float:
    """What tuning on ``n`` reviews changes in ``pair_f1`` of 2,000 others, mean over draws."""
    test, found = make(2000, 1000), []
    for seed in range(draws):
        found.append(of(test, tune_thresholds(make(n, seed), LABELS).array) - of(test, 0.5))
    return float(np.mean(found))


@pytest.mark.parametrize("n", [60, 150])
def test_tuning_on_few_reviews_costs_nothing(n) -> None:
    """Where 0.5 is about right there is little to gain, and where it is wrong there is."""
    assert gains(predictions, n) > -0.001
    assert gains(shifted, n) > 0.002


def test_more_reviews_gain_more() -> None:
    assert gains(shifted, 20) < gains(shifted, 100) < gains(shifted, 600, 3)


def test_shifted_aspects_gain() -> None:
    p = shifted(800, 0)
    tuned = tune_thresholds(p, LABELS)
    assert of(p, tuned.array) > of(p, tuned.global_) + 0.02
    assert tuned.per_aspect[0] < tuned.global_ < tuned.per_aspect[1] < tuned.per_aspect[3]


def test_an_aspect_is_drawn_to_the_one_cut_by_its_mentions() -> None:
    """The same logits, best cut at 3, with 4 or 400 mentions of OTHERS: less than 4/14 or some 400/410 of the way."""
    way = []
    for mentions in (4, 400):
        p = predictions(2000, 0)
        p.mentioned[:, 3] = np.arange(2000) < mentions
        p.mentioned_logits[:, 3] = np.where(p.mentioned[:, 3], 4.0, 2.0)
        tuned = tune_thresholds(p, LABELS)
        one = logit(tuned.global_)
        way.append((logit(tuned.per_aspect[3]) - one) / (3.0 - one))
    assert 0 < way[0] < 4 / 14 and way[1] == pytest.approx(400 / 410, abs=0.02)


def logit(p: float) -> float:
    return float(np.log(p / (1 - p)))


def test_ties_go_towards_a_half() -> None:
    p = predictions(50)
    p.mentioned_logits = np.where(p.mentioned, 4.0, -4.0)
    assert tune_thresholds(p, LABELS) == Thresholds.constant(0.5, 4)
    p.mentioned_logits = np.where(p.mentioned, 4.0, 2.0)
    assert best_single(p, LABELS) == pytest.approx(sigmoid(np.array(3.0)))


def test_the_setting_is_tuned_or_a_number() -> None:
    p = shifted(100, 0)
    assert choose_thresholds("tuned", p, LABELS) == tune_thresholds(p, LABELS)
    assert choose_thresholds(0.4, p, LABELS) == Thresholds.constant(0.4, 4)
    assert [thresholds_faults(given) for given in ("tuned", 0.5, 0.01)] == [[], [], []]
    for given in (0, 1, 1.5, "none", None, True, [0.5]):
        assert "expected tuned, or a probability" in thresholds_faults(given)[0]
    assert "did you mean" in thresholds_faults("tund")[0]


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
