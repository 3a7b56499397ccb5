"""Which reviews are chosen to be labelled: the unsure ones, and not the same one twice."""

import numpy as np

from src.answers.calibration import Calibration
from src.answers.decisions import Decisions
from src.answers.teaching import certainty, choose_reviews, gradient, tf_idf
from src.labels import Labels

LABELS = Labels(("Pin", "Camera", "OTHERS"), ("OTHERS",))


def answers(mentioned: np.ndarray | None, sentiment: np.ndarray) -> list[dict]:
    task = "sentiment" if mentioned is None else "absa"
    decisions = Decisions(LABELS, task, np.full(3, 0.5), Calibration())
    return decisions.answers(mentioned, sentiment, all_aspects=True)


def test_a_sure_answer_is_certain_and_has_no_gradient() -> None:
    for mentioned in (np.array([[9.0, -9, -9], [0.1, -9, -9]]), None):
        sure, unsure = answers(mentioned, np.array([[[9.0, 0, 0]] * 3, [[1.0, 0.9, 0]] * 3]))
        assert certainty(sure) > 0.99 > 0.9 > certainty(unsure) > 0
        assert np.abs(gradient(sure)).max() < 0.01 < 0.4 < np.abs(gradient(unsure)).max()
        assert gradient(sure).shape == (3 * 4,) and np.isfinite(gradient(unsure)).all()


def test_the_gradient_is_that_of_the_loss_at_the_answer() -> None:
    (one,) = answers(np.array([[1.0, -2.0, 0.5]]), np.array([[[0.2, 0.7, 0.1], [0.0, 1.0, 0.3], [0.0, 0.0, 0.0]]]))
    there, p = 1 / (1 + np.exp([-1.0, 2.0, -0.5])), np.exp([0.2, 0.7, 0.1]) / np.exp([0.2, 0.7, 0.1]).sum()
    found = gradient(one).reshape(3, 4)
    assert np.allclose(found[:, 0], there - [1, 0, 1], atol=1e-4)
    assert np.allclose(found[0, 1:], there[0] * (p - [0, 1, 0]), atol=1e-3) and not found[2, 1:].any()


def test_chosen_are_unlike_each_other() -> None:
    texts = ["pin tụt nhanh quá"] * 40 + ["camera mờ khi tối", "loa rè", "giao hàng chậm ba hôm"]
    gradients = np.ones((43, 8), np.float32)
    found = choose_reviews(texts, gradients, 4)
    assert sorted(found)[1:] == [40, 41, 42] and choose_reviews(texts, gradients, 4) == found
    everything = choose_reviews(texts, gradients, 100)
    assert sorted(everything) == list(range(43))


def test_where_texts_are_alike_the_answers_tell_them_apart() -> None:
    rng = np.random.default_rng(0)
    gradients = np.repeat(np.eye(4, 8, dtype=np.float32), 10, 0) + rng.normal(0, 0.01, (40, 8)).astype(np.float32)
    assert {i // 10 for i in choose_reviews(["như nhau"] * 40, gradients, 4)} == {0, 1, 2, 3}


def test_the_words_of_a_text_are_a_vector_of_length_one() -> None:
    vectors = tf_idf(["Pin trâu pin", "pin TRÂU", "khác hẳn", ""])
    assert np.allclose((vectors**2).sum(1), [1, 1, 1, 0]) and vectors[0] @ vectors[1] > 0.8 > vectors[0] @ vectors[2]
