"""The bootstrap: its intervals cover, its draws are those of whole reviews, and its p-values are honest."""

import numpy as np
import pytest
from sklearn.metrics import f1_score

from src.answers.figures import Counts, figures, per_aspect, per_review, total
from src.answers.predictions import Predictions
from src.judge.intervals import aspect_intervals, bootstrap, interval, p_value
from tests import judging
from tests.test_model_metrics import LABELS, predictions


def taken(p: Predictions, rows: np.ndarray) -> Predictions:
    arrays = (x[rows] for x in (p.mentioned, p.sentiment, p.sentiment_logits, p.mentioned_logits))
    return Predictions([p.ids[i] for i in rows], [p.texts[i] for i in rows], *arrays)


def drawn(p: Predictions, draws: int, seed: int = 0) -> dict[str, np.ndarray]:
    return figures(bootstrap([per_review(p)], draws, seed)[0], LABELS, "absa")


def test_a_draw_is_a_sample_of_whole_reviews() -> None:
    """Every draw of two reviews is one of: twice the first, each once, twice the second."""
    p = predictions(2)
    each = per_review(p)
    possible = {
        tuple(np.concatenate([x.ravel() for x in vars(total(_take(each, rows))).values()]))
        for rows in ([0, 0], [0, 1], [1, 1])
    }
    draws = bootstrap([each], 200)[0]
    got = {tuple(np.concatenate([x[i].ravel() for x in vars(draws).values()])) for i in range(200)}
    assert got == possible


def _take(counts: Counts, rows: list[int]) -> Counts:
    return Counts(**{name: values[rows] for name, values in vars(counts).items()})


def test_the_draws_match_a_plain_bootstrap() -> None:
    p, rng = predictions(60), np.random.default_rng(1)
    plain = []
    for _ in range(600):
        q = taken(p, rng.integers(0, 60, 60))
        plain.append(f1_score(q.mentioned.ravel(), q.detected().ravel()))
    got = drawn(p, 2000)["aspect_f1_micro"]
    assert got.mean() == pytest.approx(np.mean(plain), abs=0.005)
    assert got.std() == pytest.approx(np.std(plain), rel=0.12)


def test_seeded_and_independent_of_the_order_of_reviews() -> None:
    p = predictions(100)
    q = taken(p, np.random.default_rng(0).permutation(100))
    for name, values in drawn(p, 50).items():
        assert np.array_equal(values, drawn(p, 50)[name])
        assert np.array_equal(values, drawn(q, 50)[name]), name
    assert not np.array_equal(drawn(p, 50)["pair_f1"], drawn(p, 50, seed=1)["pair_f1"])


def test_cutting_the_draws_into_parts_changes_nothing(monkeypatch) -> None:
    whole = drawn(predictions(50), 40)["pair_f1"]
    monkeypatch.setattr("src.judge.intervals.CELLS", 300)
    assert np.array_equal(drawn(predictions(50), 40)["pair_f1"], whole)


def test_intervals_cover_the_true_figure() -> None:
    """150 samples of 150 reviews from a population whose figures are known: 95 % intervals cover it 87 to 99 %."""
    population = predictions(30_000, seed=3)
    true = figures(total(per_review(population)), LABELS, "absa")
    rng, covered = np.random.default_rng(0), []
    for i in range(150):
        values = drawn(taken(population, rng.integers(0, 30_000, 150)), 300, seed=i)
        limits = {name: interval(v) for name, v in values.items()}
        covered.append([low <= true[name] <= high for name, (low, high) in limits.items()])
    share = np.mean(covered, axis=0)
    assert ((share > 0.87) & (share < 0.995)).all(), share


def test_p_values_of_equal_models_are_spread_evenly_and_of_unequal_ones_small() -> None:
    values = []
    for seed in range(120):
        p, q = predictions(80, seed), predictions(80, seed)
        q.mentioned_logits = predictions(80, seed).mentioned_logits.copy()
        noise = np.random.default_rng(seed).normal(0, 1, (2, *p.mentioned_logits.shape))
        p.mentioned_logits, q.mentioned_logits = p.mentioned_logits + noise[0], q.mentioned_logits + noise[1]
        values.append(compared(p, q))
    share = np.mean(np.array(values) < 0.1)
    assert 0.03 <= share <= 0.19, share
    worse = predictions(300)
    worse.mentioned_logits = worse.mentioned_logits - 1.5
    assert compared(predictions(300), worse) < 0.01


def compared(p: Predictions, q: Predictions) -> float:
    a, b = (figures(c, LABELS, "absa")["pair_f1"] for c in bootstrap([per_review(p), per_review(q)], 300))
    x, y = (figures(total(per_review(r)), LABELS, "absa")["pair_f1"] for r in (p, q))
    return p_value(float(x - y), a - b)


def test_no_difference_has_p_1_and_none_has_p_0() -> None:
    assert compared(predictions(50), predictions(50)) == 1
    assert p_value(1.0, np.ones(99)) == 0.01


def test_interval_by_hand() -> None:
    assert interval(np.arange(1001), 0.95) == pytest.approx((25, 975))


def test_intervals_of_aspects_hold_their_figures_and_are_wider_for_rare_ones() -> None:
    p = judging.predicted("test")
    each = per_review(p)
    found = aspect_intervals(bootstrap([each])[0], judging.LABELS, "absa")
    for row, intervals in zip(per_aspect(total(each), judging.LABELS, "absa"), found, strict=True):
        for name, (low, high) in intervals.items():
            assert low <= row[name] <= high and low < high, (row["aspect"], name)
    battery, price = (found[a]["f1"][1] - found[a]["f1"][0] for a in (0, 2))
    assert price > battery
    assert set(found[3]) == {"f1"}  # an aspect without sentiments
