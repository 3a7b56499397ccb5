"""The figures equal scikit-learn's, and depend on nothing but the predictions."""

import numpy as np
import pytest
import torch
from sklearn.metrics import accuracy_score, confusion_matrix, f1_score, precision_score, recall_score

from src.answers.figures import FIGURES, evaluate, figures, per_aspect
from src.answers.predictions import Predictions
from src.labels import IGNORE, C, Labels
from src.model.metrics import AspectFigures, count, to_numpy

LABELS = Labels(("Battery", "Camera", "Price", "OTHERS"), ("OTHERS",))
A = len(LABELS.aspects)


def predictions(n: int = 400, seed: int = 0, labels: Labels = LABELS) -> Predictions:
    rng = np.random.default_rng(seed)
    a = len(labels.aspects)
    mentioned = rng.random((n, a)) < 0.4
    sentiment = np.where(mentioned, rng.choice(C, (n, a), p=[0.6, 0.3, 0.1]), IGNORE)
    sentiment[:, [not c for c in labels.carries_sentiment]] = IGNORE
    hint = rng.normal(0, 1, (n, a, C)) + 1.5 * (sentiment[..., None] == np.arange(C))
    return Predictions(
        [str(i) for i in range(n)],
        ["x"] * n,
        mentioned,
        sentiment,
        hint,
        rng.normal(0, 1, (n, a)) + 2 * mentioned - 1,
    )


def triples(p: Predictions, found: np.ndarray, sentiment: np.ndarray, aspects: list[int]) -> set:
    return {(i, a, sentiment[i, a]) for i, a in zip(*np.nonzero(found), strict=True) if a in aspects}


@pytest.mark.parametrize("seed", range(5))
def test_figures_equal_scikit_learn(seed) -> None:
    p = predictions(seed=seed)
    found, said = p.detected(), p.sentiment_said()
    got = figures(evaluate(p), LABELS, "absa")
    gold_pairs = p.sentiment != IGNORE
    y, z = p.sentiment[gold_pairs], said[gold_pairs]
    expected = {
        "aspect_f1_micro": f1_score(p.mentioned.ravel(), found.ravel()),
        "aspect_f1_macro": f1_score(p.mentioned, found, average="macro", zero_division=0),
        "sentiment_f1": f1_score(y, z, average="macro", labels=range(C), zero_division=0),
        "sentiment_accuracy": accuracy_score(y, z),
        "sentiment_f1_per_aspect": np.mean(
            [
                f1_score(
                    p.sentiment[gold_pairs[:, a], a],
                    said[gold_pairs[:, a], a],
                    labels=sorted(set(p.sentiment[gold_pairs[:, a], a])),
                    average="macro",
                    zero_division=0,
                )
                for a in range(3)
            ]
        ),
    }
    gold = triples(p, gold_pairs, p.sentiment, [0, 1, 2])
    answer = triples(p, found, said, [0, 1, 2])
    expected["pair_f1"] = 2 * len(gold & answer) / (len(gold) + len(answer))
    assert set(got) == set(FIGURES["absa"]) == set(expected)
    for name, value in expected.items():
        assert got[name] == pytest.approx(value, abs=1e-12), name


def test_per_aspect_rows_equal_scikit_learn() -> None:
    p = predictions()
    found, said = p.detected(), p.sentiment_said()
    counts = evaluate(p)
    for a, row in enumerate(per_aspect(counts, LABELS, "absa")):
        gold = p.sentiment[:, a] != IGNORE
        assert row["aspect"] == LABELS.aspects[a]
        assert row["mentioned"] == p.mentioned[:, a].sum()
        assert row["precision"] == pytest.approx(precision_score(p.mentioned[:, a], found[:, a]))
        assert row["recall"] == pytest.approx(recall_score(p.mentioned[:, a], found[:, a]))
        assert row["f1"] == pytest.approx(f1_score(p.mentioned[:, a], found[:, a]))
        if a == 3:
            assert row["pair_f1"] is row["sentiment_f1"] is row["sentiment_accuracy"] is None
            continue
        assert row["sentiment_f1"] == pytest.approx(f1_score(p.sentiment[gold, a], said[gold, a], average="macro"))
        assert np.array_equal(
            counts.confusion[a], confusion_matrix(p.sentiment[gold, a], said[gold, a], labels=range(C))
        )


def test_accumulating_over_batches_changes_nothing() -> None:
    p = predictions(333)
    arrays = [torch.from_numpy(x) for x in (p.detected(), p.sentiment_said(), p.mentioned, p.sentiment)]
    whole = figures(evaluate(p), LABELS, "absa")
    for size in (1, 7, 333):
        metric = AspectFigures(LABELS, "absa")
        for start in range(0, 333, size):
            metric.update(*(x[start : start + size] for x in arrays))
        assert metric.compute() == whole
        metric.reset()
        assert metric.compute()["pair_f1"] == 0


def test_order_of_rows_changes_nothing() -> None:
    p = predictions()
    order = np.random.default_rng(1).permutation(len(p.ids))
    q = Predictions(
        [p.ids[i] for i in order],
        p.texts,
        p.mentioned[order],
        p.sentiment[order],
        p.sentiment_logits[order],
        p.mentioned_logits[order],
    )
    assert figures(evaluate(q), LABELS, "absa") == figures(evaluate(p), LABELS, "absa")


def test_answering_neutral_for_everything_is_worth_nothing() -> None:
    """The original filled unmentioned aspects with neutral, which made this answer 79 % right."""
    p = predictions()
    p.sentiment_logits[:] = [0.0, 0.0, 1.0]
    got = figures(evaluate(p), LABELS, "sentiment")
    gold = p.sentiment[p.sentiment != IGNORE]
    assert got["sentiment_accuracy"] == pytest.approx((gold == 2).mean())
    assert got["sentiment_accuracy"] < 0.15


def test_what_is_not_there_counts_zero_not_nan() -> None:
    nothing = torch.zeros(5, A, dtype=torch.bool)
    counts = to_numpy(count(nothing, torch.zeros(5, A, dtype=torch.int64), nothing, torch.full((5, A), IGNORE)))
    assert {float(v) for v in figures(counts, LABELS, "absa").values()} == {0.0}
    p = predictions()
    p.mentioned[:, 0], p.sentiment[:, 0], p.mentioned_logits[:, 0] = False, IGNORE, -9.0
    got = figures(evaluate(p), LABELS, "absa")
    expected = f1_score(p.mentioned, p.detected(), average="macro", zero_division=0)
    assert got["aspect_f1_macro"] == pytest.approx(expected), "an aspect without gold and prediction counts 0"


def test_a_mention_without_sentiment_is_a_false_pair_of_an_aspect_that_carries_sentiments() -> None:
    mentioned = torch.tensor([[True, False, False, True]])
    sentiment = torch.tensor([[IGNORE, IGNORE, IGNORE, IGNORE]])
    said = torch.zeros(1, A, dtype=torch.int64)
    counts = to_numpy(count(mentioned, said, mentioned, sentiment))
    assert counts.pair_said[0].sum() == 1
    assert figures(counts, LABELS, "absa")["pair_f1"] == 0
    assert figures(counts, LABELS, "absa")["aspect_f1_micro"] == 1


def test_thresholds_may_differ_per_aspect() -> None:
    p = predictions()
    per = np.array([0.5, 0.9, 0.1, 0.5])
    counts = evaluate(p, per)
    for a in range(A):
        assert counts.mentioned_said[a] == (1 / (1 + np.exp(-p.mentioned_logits[:, a])) > per[a]).sum()
