"""Temperatures are the maximum of the likelihood, and ECE and Brier scores those one works out by hand."""

import json

import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from sklearn.metrics import brier_score_loss, log_loss

from src.answers.calibration import Calibration, brier, ece, fit_calibration, reliability, reliability_bins, softmax
from src.answers.predictions import Predictions, sigmoid
from src.answers.thresholds import tune_thresholds
from src.labels import IGNORE, SENTIMENTS
from tests.test_model_metrics import LABELS, predictions

C = len(SENTIMENTS)


def drawn(n: int, scale: float, seed: int = 0) -> Predictions:
    """Labels drawn from the probabilities of logits / scale: ``scale`` is the right temperature of both heads."""
    p = predictions(n, seed)
    rng = np.random.default_rng([seed, 1])
    p.mentioned = rng.random(p.mentioned.shape) < sigmoid(p.mentioned_logits / scale)
    choices = softmax(p.sentiment_logits / scale).cumsum(-1)
    said = (rng.random((*p.mentioned.shape, 1)) > choices).sum(-1).clip(0, C - 1)
    p.sentiment = np.where(p.mentioned & LABELS.carries_sentiment, said, IGNORE)
    return p


@pytest.mark.parametrize("scale", [0.4, 1.0, 2.5])
def test_the_temperature_that_made_the_labels_is_found(scale) -> None:
    found = fit_calibration(drawn(4000, scale), LABELS)
    assert found.sentiment == pytest.approx(scale, rel=0.1)
    assert found.mentioned == pytest.approx(scale, rel=0.1)


def test_the_temperature_is_where_scikit_learns_log_loss_is_least() -> None:
    p = drawn(300, 2.0)
    known = p.sentiment != IGNORE
    found = fit_calibration(p, LABELS)
    losses = {
        "sentiment": lambda t: log_loss(p.sentiment[known], softmax(p.sentiment_logits[known] / t), labels=range(C)),
        "mentioned": lambda t: log_loss(p.mentioned.ravel(), sigmoid(p.mentioned_logits.ravel() / t)),
    }
    for head, loss in losses.items():
        best = minimize_scalar(loss, bounds=(0.05, 20), method="bounded", options={"xatol": 1e-8}).x
        assert getattr(found, head) == pytest.approx(best, rel=1e-3), head


def test_an_under_confident_model_is_mended() -> None:
    """What focal loss does: logits too small. Other labels of the same kind gain."""
    found = fit_calibration(drawn(2000, 0.4, seed=0), LABELS)
    fresh = drawn(2000, 0.4, seed=1)
    before, after = (reliability(fresh, LABELS, c) for c in (Calibration(), found))
    for head in ("sentiment", "mentioned"):
        assert after[head]["ece"] < 0.03 < 0.1 < before[head]["ece"], head
        assert after[head]["brier"] < before[head]["brier"], head


def test_ece_by_hand() -> None:
    confidence, right = np.array([0.95, 0.85, 0.75, 0.25]), np.array([True, False, True, False])
    # two bins: (0, 0.5] holds 0.25, wrong; (0.5, 1] holds a mean of 0.85, two of three right
    assert ece(confidence, right, bins=2) == pytest.approx(1 / 4 * 0.25 + 3 / 4 * (0.85 - 2 / 3))
    assert ece(np.array([0.8] * 5), np.array([1, 1, 1, 1, 0], bool)) == pytest.approx(0)
    assert ece(np.array([1.0, 1.0]), np.array([False, False])) == 1
    assert ece(np.array([]), np.array([], bool)) == 0


def test_bins_are_closed_above_and_the_first_below_too() -> None:
    rows = reliability_bins(np.array([0.0, 0.5, 0.50001, 1.0]), np.array([0, 1, 1, 1], bool), bins=2)
    assert [(row["low"], row["high"], row["n"], row["right"]) for row in rows] == [(0, 0.5, 2, 0.5), (0.5, 1, 2, 1)]


def test_brier_by_hand_and_as_scikit_learn() -> None:
    assert brier(np.array([[0.7, 0.2, 0.1]]), np.array([0])) == pytest.approx(0.3**2 + 0.2**2 + 0.1**2)
    assert brier(np.array([[0.0, 0.0, 1.0]]), np.array([0])) == 2
    p = predictions(200)
    got = reliability(p, LABELS, Calibration(mentioned=1.7))["mentioned"]["brier"]
    assert got == pytest.approx(brier_score_loss(p.mentioned.ravel(), sigmoid(p.mentioned_logits.ravel() / 1.7)))


def test_decisions_do_not_change() -> None:
    p = drawn(300, 2.0)
    calibration, thresholds = fit_calibration(p, LABELS), tune_thresholds(p, LABELS).array
    mentioned, sentiment = calibration.probabilities(p)
    assert np.array_equal(sentiment.argmax(-1), p.sentiment_said())
    assert np.array_equal(mentioned > calibration.threshold(thresholds), p.detected(thresholds))
    assert not np.array_equal(mentioned > thresholds, p.detected(thresholds)), "thresholds must be converted"


def test_task_sentiment_and_nothing_to_fit_to() -> None:
    p = drawn(100, 2.0)
    p.mentioned_logits = None
    found = fit_calibration(p, LABELS)
    assert found.mentioned is None and found.sentiment != 1
    assert found.probabilities(p)[0] is None
    assert set(reliability(p, LABELS, found)) == {"sentiment"}
    p = predictions(20)
    p.mentioned[:], p.sentiment[:] = False, IGNORE
    assert fit_calibration(p, LABELS) == Calibration()
    assert reliability(p, LABELS, Calibration())["sentiment"] == {"ece": 0, "brier": 0, "bins": []}


def test_perfect_predictions_stop_at_the_bound() -> None:
    p = predictions(50)
    p.sentiment_logits = 5.0 * (p.sentiment[..., None] == np.arange(C))
    p.mentioned_logits = np.where(p.mentioned, 5.0, -5.0)
    found = fit_calibration(p, LABELS)
    assert found.sentiment == pytest.approx(0.05) and found.mentioned == pytest.approx(0.05)


def test_dict_round_trip_is_plain_json() -> None:
    for calibration in (Calibration(0.5, 2.0), Calibration(0.5, None)):
        assert Calibration.from_dict(json.loads(json.dumps(calibration.to_dict()))) == calibration
