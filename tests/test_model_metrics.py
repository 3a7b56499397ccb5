"""The figures equal scikit-learn's, and depend on nothing but the predictions."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, confusion_matrix, f1_score, precision_score, recall_score

from src.answers.figures import (
    DETECTION,
    FIGURES,
    evaluate,
    figures,
    joint_figures,
    joint_left_out,
    left_out,
    per_aspect,
    per_review,
    tally,
    told_left_out,
    total,
)
from src.answers.predictions import Predictions
from src.answers.thresholds import best_single
from src.judge.intervals import bootstrap
from src.labels import IGNORE, SENTIMENTS, Labels
from src.model.metrics import UNTUNED, AspectFigures

C = len(SENTIMENTS)

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
        "aspect_f1_macro": f1_score(p.mentioned, found, average="macro"),
        "sentiment_f1": f1_score(y, z, average="macro"),
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


def gathered(p: Predictions, size: int, **settings) -> AspectFigures:
    metric = AspectFigures(LABELS, "absa", **settings)
    arrays = (p.mentioned_logits, p.sentiment_said(), p.mentioned, p.sentiment)
    tensors = [torch.from_numpy(x) for x in arrays]
    for start in range(0, len(p.ids), size):
        metric.update(*(x[start : start + size] for x in tensors))
    return metric


def test_accumulating_over_batches_changes_nothing() -> None:
    p = predictions(333)
    whole = figures(evaluate(p), LABELS, "absa")
    for size in (1, 7, 333):
        metric = gathered(p, size)
        assert metric.compute() == whole
        metric.reset()
        assert set(metric.compute().values()) == {0.0}, "and nothing is left of it"


@pytest.mark.parametrize("seed", range(5))
def test_an_epochs_pair_f1_is_that_of_the_best_of_all_cuts(seed) -> None:
    """Against every cut tried one by one; logits on a grid, so that many are equal."""
    p = predictions(60, seed=seed)
    p.mentioned_logits = np.round(p.mentioned_logits * 3) / 3 - 4  # nothing reaches a probability of 0.5
    carries = np.array(LABELS.carries_sentiment)
    gold = triples(p, p.sentiment != IGNORE, p.sentiment, [0, 1, 2])
    tried = []
    for cut in np.unique(p.mentioned_logits) - 1e-3:
        answer = triples(p, p.mentioned_logits > cut, p.sentiment_said(), np.flatnonzero(carries).tolist())
        tried.append(2 * len(gold & answer) / (len(gold) + len(answer)))
    for size in (1, 7, 60):
        got = gathered(p, size, cut=True).compute()
        assert got["pair_f1"] == pytest.approx(max(tried), abs=1e-12)
        assert got["pair_f1" + UNTUNED] == pytest.approx(float(figures(evaluate(p), LABELS, "absa")["pair_f1"]))
    tuned = figures(evaluate(p, best_single(p, LABELS)), LABELS, "absa")
    assert {name: got[name] for name in FIGURES["absa"]} == {name: float(v) for name, v in tuned.items()}


def test_a_model_that_ranks_well_and_is_not_sure_yet_does_not_score_nothing() -> None:
    p = predictions()
    p.mentioned_logits = (p.mentioned - 4.0) + 0.1 * p.mentioned_logits
    got = gathered(p, 64, cut=True).compute()
    assert got["pair_f1" + UNTUNED] == 0, "at 0.5 it is blind"
    assert got["pair_f1"] > 0.5 and set(got) == {*FIGURES["absa"], *(name + UNTUNED for name in DETECTION)}


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


GOLD = st.lists(  # reviews; of each aspect: not mentioned, mentioned, or a sentiment; OTHERS carries none
    st.tuples(*([st.sampled_from([None, IGNORE, *range(C)])] * (A - 1)), st.sampled_from([None, IGNORE])),
    min_size=1,
    max_size=12,
)


def labelled(rows: list) -> tuple[np.ndarray, np.ndarray]:
    """mentioned bool [N, A], sentiment int64 [N, A]."""
    mentioned = np.array([[cell is not None for cell in row] for row in rows])
    return mentioned, np.array([[IGNORE if cell is None else cell for cell in row] for row in rows])


@given(GOLD, st.integers(0, 2**32 - 1))
@settings(deadline=None)
def test_a_perfect_model_has_one_in_every_figure_whatever_the_labels(rows, seed) -> None:
    mentioned, sentiment = labelled(rows)
    noise = np.random.default_rng(seed).normal(0, 0.1, (*mentioned.shape, C))
    hint = 5.0 * (sentiment[..., None] == np.arange(C)) + noise
    names = [str(i) for i in range(len(rows))]
    p = Predictions(names, names, mentioned, sentiment, hint, 10.0 * mentioned - 5)
    for task in FIGURES:
        assert set(map(float, figures(evaluate(p), LABELS, task).values())) == {1.0}
        assert {1.0} == set(map(float, joint_figures(evaluate(p), LABELS).values()))
        for values in figures(bootstrap([per_review(p)], draws=20)[0], LABELS, task).values():
            assert (values == 1).all(), "and in every interval"
    metric = AspectFigures(LABELS, "absa", cut=True)
    metric.update(*(torch.from_numpy(x) for x in (p.mentioned_logits, p.sentiment_said(), mentioned, sentiment)))
    assert set(metric.compute().values()) == {1.0}, "and in an epoch"
    for row in per_aspect(evaluate(p), LABELS, "absa"):
        scores = ("precision", "recall", "f1", "pair_f1", "sentiment_accuracy", "sentiment_f1")
        assert {row[name] for name in scores} <= {1.0, None}
        assert (row["f1"] is None) == (row["mentioned"] == 0)


@given(GOLD, st.integers(0, 2**32 - 1))
@settings(deadline=None)
def test_any_answer_to_any_labels_is_judged_as_scikit_learn_does(rows, seed) -> None:
    mentioned, sentiment = labelled(rows)
    rng = np.random.default_rng(seed)
    found, said = rng.random(mentioned.shape) < rng.random(), rng.choice(rng.integers(1, C + 1), mentioned.shape)
    counts = total(tally(found, said, mentioned, sentiment, np.arange(C)))
    got = figures(counts, LABELS, "absa")
    known = sentiment != IGNORE
    y, z = sentiment[known], said[known]
    assert got["aspect_f1_micro"] == pytest.approx(f1_score(mentioned, found, average="micro", zero_division=1))
    here = [a for a in range(A) if mentioned[:, a].any() or found[:, a].any()]
    each = [f1_score(mentioned[:, a], found[:, a]) for a in here]
    assert got["aspect_f1_macro"] == pytest.approx(np.mean(each) if here else 1)
    assert got["sentiment_f1"] == pytest.approx(f1_score(y, z, average="macro") if len(y) else 1)
    assert got["sentiment_accuracy"] == pytest.approx(accuracy_score(y, z) if len(y) else 1)
    open_ = mentioned & ~known  # gold does not say with which sentiment
    gold, answer = (
        (where[:, :3, None] & (which[:, :3, None] == np.arange(C))).reshape(len(rows), -1)
        for where, which in ((known, sentiment), (found & ~open_, said))
    )
    assert got["pair_f1"] == pytest.approx(f1_score(gold, answer, average="micro", zero_division=1))

    joint, missing = joint_figures(counts, LABELS), joint_left_out(counts, LABELS)
    classes = [i for i in range(3 * C) if gold[:, i].any() or answer[:, i].any()]
    each = [f1_score(gold[:, i], answer[:, i]) for i in classes]
    assert joint["pair_f1_macro"] == pytest.approx(np.mean(each) if each else 1)
    if len(classes) > 1:  # scikit-learn takes one column for labels 0 and 1
        macro = f1_score(gold[:, classes], answer[:, classes], average="macro", zero_division=0)
        assert joint["pair_f1_macro"] == pytest.approx(macro)
    aspects = [a for a in range(3) if {3 * a, 3 * a + 1, 3 * a + 2} & {*classes}]
    own = [f1_score(*(x[:, 3 * a : 3 * a + 3].ravel() for x in (gold, answer))) for a in aspects]
    assert joint["pair_f1_per_aspect"] == pytest.approx(np.mean(own) if own else 1)
    assert missing.get("pair_f1_per_aspect", []) == [LABELS.aspects[a] for a in range(3) if a not in aspects]
    assert len(missing.get("pair_f1_macro", [])) == 3 * C - len(classes)

    named = left_out(counts, LABELS, "absa")
    assert named.get("aspect_f1_macro", []) == [LABELS.aspects[a] for a in range(A) if a not in here]
    assert named.get("sentiment_f1", []) == [name for c, name in enumerate(SENTIMENTS) if c not in {*y, *z}]
    assert named.get("sentiment_f1_per_aspect", []) == [LABELS.aspects[a] for a in range(3) if not known[:, a].any()]


def test_an_epoch_without_reviews_is_worth_nothing() -> None:
    assert set(AspectFigures(LABELS, "absa", cut=True).compute().values()) == {0.0}


def test_what_is_left_out_of_a_mean_is_told() -> None:
    told = told_left_out({"aspect_f1_macro": ["Price", "OTHERS"], "sentiment_f1_per_aspect": ["Price"]}, " on val")
    assert told == [
        "Left out of aspect_f1_macro on val, as neither gold nor prediction has it: Price, OTHERS",
        "Left out of sentiment_f1_per_aspect on val, as gold has no sentiment there: Price",
    ]


def test_reviews_that_mention_nothing_count_against_what_is_invented_there() -> None:
    p = predictions(60)
    alone = figures(evaluate(p), LABELS, "absa")
    nothing = predictions(40, seed=1)
    nothing.mentioned[:], nothing.sentiment[:], nothing.mentioned_logits[:] = False, IGNORE, 5.0
    arrays = ("mentioned", "sentiment", "sentiment_logits", "mentioned_logits")
    both = Predictions(p.ids, p.texts, *(np.concatenate([getattr(p, name), getattr(nothing, name)]) for name in arrays))
    got = figures(evaluate(both), LABELS, "absa")
    for name in DETECTION:
        assert got[name] < alone[name], name
    for name in set(FIGURES["sentiment"]):
        assert got[name] == alone[name], "sentiments are judged where gold has some"


def test_a_pair_of_a_mention_without_sentiment_is_neither_right_nor_wrong() -> None:
    mentioned = np.array([[True, False, False, True], [False, False, False, False]])
    sentiment = np.full((2, A), IGNORE)
    found = np.array([[True, False, False, True], [True, False, False, False]])
    counts = total(tally(found, np.zeros((2, A), int), mentioned, sentiment, np.arange(C)))
    assert counts.pair_said[0].sum() == 1, "the one of the review that does not mention the aspect"
    assert figures(counts, LABELS, "absa")["pair_f1"] == 0
    assert figures(counts, LABELS, "absa")["aspect_f1_micro"] == pytest.approx(4 / 5)


def test_thresholds_may_differ_per_aspect() -> None:
    p = predictions()
    per = np.array([0.5, 0.9, 0.1, 0.5])
    counts = evaluate(p, per)
    for a in range(A):
        assert counts.mentioned_said[a] == (1 / (1 + np.exp(-p.mentioned_logits[:, a])) > per[a]).sum()
