"""The bootstrap: its intervals cover, its draws are those of whole reviews, and its p-values are honest."""

import numpy as np
import pytest
from sklearn.metrics import f1_score

from src.answers.figures import Counts, figures, per_aspect, per_review, total
from src.answers.predictions import Predictions
from src.judge.intervals import aspect_intervals, bootstrap, difference, holm, interval, p_value
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
    monkeypatch.setattr("src.judge.intervals.DRAWN_CELLS", 300)
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


# --- seeds and reviews -----------------------------------------------------------------------------------------------


def simulated(rng, k: int, n: int, seeds: float, own: float, settings: float, effect: float = 0.0):
    """Figures of two settings' runs [2, k], and their bootstrap draws [2, k, 400]: means over n reviews of u[s, r, i].

    ``seeds``, ``own`` and ``settings`` are the deviations, on the scale of the figure, of a seed's effect, of a run's
    chance on these reviews, and of the setting's.
    """
    u = (
        rng.normal(0, 1, n)
        + settings * n**0.5 * rng.normal(0, 1, (2, 1, n))
        + own * n**0.5 * rng.normal(0, 1, (2, k, n))
    )
    u += seeds * rng.normal(0, 1, (2, k, 1)) + effect * np.array([1, 0]).reshape(2, 1, 1)
    weights = rng.multinomial(n, np.full(n, 1 / n), 400) / n
    return u.mean(-1), u @ weights.T


@pytest.mark.parametrize(
    ("k", "seeds", "own", "settings"), [(2, 3, 1, 0), (3, 0, 3, 0), (3, 1, 1, 2), (4, 2, 1, 1), (2, 0, 0, 3)]
)
def test_a_difference_of_settings_covers_seeds_and_reviews(k, seeds, own, settings) -> None:
    """300 pairs of settings that do not differ: at most 7 % below 0.05, whichever part the chance comes from."""
    rng = np.random.default_rng(k)
    found = []
    for _ in range(300):
        values, draws = simulated(rng, k, 200, seeds / 100, own / 100, settings / 100)
        found.append(difference(values[0], values[1], draws[0], draws[1]))
    low, high, p = np.array(found).T
    assert np.mean(p < 0.05) <= 0.075
    assert np.mean((low <= 0) & (high >= 0)) == pytest.approx(np.mean(p >= 0.05), abs=0.01)


def test_a_true_difference_is_found_and_more_seeds_find_more() -> None:
    rng, power = np.random.default_rng(0), []
    for k in (2, 4):
        cases = [simulated(rng, k, 200, 0.01, 0.01, 0.0, effect=0.05) for _ in range(100)]
        power.append(np.mean([difference(v[0], v[1], d[0], d[1])[2] < 0.05 for v, d in cases]))
    assert power[0] < power[1] and power[1] > 0.9


def test_one_run_each_is_a_paired_bootstrap_and_one_against_several_borrows_their_seeds() -> None:
    values, draws = simulated(np.random.default_rng(1), 3, 200, 0.02, 0.01, 0.0)
    low, high, p = difference(values[0, :1], values[1, :1], draws[0, :1], draws[1, :1])
    apart = draws[0, 0] - draws[1, 0]
    assert (low, high) == interval(apart) and p == p_value(float(values[0, 0] - values[1, 0]), apart)
    wide = difference(values[0, :1], values[1], draws[0, :1], draws[1])
    assert wide[1] - wide[0] > high - low


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.5, 0.6]) == pytest.approx([1.0, 1.0]) and holm([0.02]) == [0.02]


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
