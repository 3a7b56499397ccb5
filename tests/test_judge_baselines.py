"""What a model has to beat, and its cache."""

import time

import numpy as np
import pytest

from src.answers.figures import figures, tally, total
from src.answers.predictions import Predictions
from src.data.splits import read_splits
from src.errors import UserError
from src.judge import baselines
from src.judge.baselines import answer_by_tfidf, constant_answers, tfidf_answer
from src.labels import SENTIMENTS, Labels
from src.runs.run import Run
from tests.judging import LABELS, make_run, predicted

C = len(SENTIMENTS)

VISFD = [
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
]


def figures_of(answer, p: Predictions, labels=LABELS, task: str = "absa") -> dict[str, float]:
    return figures(total(tally(*answer, p.mentioned, p.sentiment, np.arange(C))), labels, task)


@pytest.fixture
def run(tmp_path) -> Run:
    return Run(make_run(tmp_path / "run"))


def answer(run: Run, p: Predictions | None = None) -> baselines.Predicted:
    return tfidf_answer(run, run.read_summary(), LABELS, p or predicted("test"))


def test_constant_answers() -> None:
    p = predicted("test")
    counts = np.array([[5, 9, 1], [3, 2, 2], [0, 0, 0], [0, 0, 0]])  # most frequent of all: negative
    answers = constant_answers(p, counts)
    assert set(answers) == {"all absent", "all mentioned"}
    assert answers["all mentioned"].sentiment[0].tolist() == [1, 0, 1, 1]
    absent = figures_of(answers["all absent"], p)
    assert absent["pair_f1"] == absent["aspect_f1_micro"] == absent["aspect_f1_macro"] == 0
    every = figures_of(answers["all mentioned"], p)
    share = p.mentioned.mean()
    assert every["aspect_f1_micro"] == pytest.approx(2 * share / (1 + share))


def test_task_sentiment_is_told_the_aspects() -> None:
    p = predicted("test", task="sentiment")
    answers = constant_answers(p, np.array([[1, 0, 0]] * 4))
    assert list(answers) == ["most frequent sentiment"]
    got = figures_of(answers["most frequent sentiment"], p, task="sentiment")
    assert got["sentiment_accuracy"] == pytest.approx((p.sentiment[p.sentiment >= 0] == 0).mean())


def test_tfidf_learns_the_words(run) -> None:
    got = figures_of(answer(run), predicted("test"))
    assert got["aspect_f1_micro"] > 0.9 and got["pair_f1"] > 0.8


def test_tfidf_for_task_sentiment(tmp_path) -> None:
    run = Run(make_run(tmp_path / "run", task="sentiment"))
    p = predicted("test", task="sentiment")
    got = answer(run, p)
    assert np.array_equal(got.detected, p.mentioned)
    assert figures_of(got, p, task="sentiment")["sentiment_accuracy"] > 0.8


def test_gold_labels_of_the_test_split_do_not_reach_the_answer(run) -> None:
    before = answer(run)
    p = predicted("test")
    p.mentioned, p.sentiment = ~p.mentioned, np.where(p.mentioned, -100, 2)
    for file in (run.folder / "baselines").iterdir():
        file.unlink()
    after = answer(run, p)
    assert all(np.array_equal(x, y) for x, y in zip(before, after, strict=True))


def test_an_aspect_that_training_never_has_is_never_detected() -> None:
    """Nor one whose sentiment training never has: its answer is some sentiment, not a crash."""

    class Part:
        def __init__(self, texts, mentioned, sentiment) -> None:
            self.texts, self.mentioned, self.sentiment = texts, mentioned, sentiment

        def __len__(self) -> int:
            return len(self.texts)

    p = predicted("test")
    mentioned, sentiment = p.mentioned.copy(), p.sentiment.copy()
    mentioned[:, 2], sentiment[:, 2], sentiment[:, 1] = False, -100, -100
    splits = type("Splits", (), {"train": Part(p.texts, mentioned, sentiment), "val": None})
    got = answer_by_tfidf(splits, LABELS, p)
    assert not got.detected[:, 2].any() and got.detected[:, 0].any()


def test_the_answer_is_kept_and_used_again(run, monkeypatch) -> None:
    before = answer(run)
    files = list((run.folder / "baselines").iterdir())
    assert len(files) == 1 and files[0].name.startswith("tfidf-") and files[0].suffix == ".npz"
    with np.load(files[0], allow_pickle=False) as arrays:
        assert set(arrays) == {"detected", "sentiment"}
    monkeypatch.setattr(baselines, "answer_by_tfidf", None)
    again = answer(run)
    assert all(np.array_equal(x, y) for x, y in zip(before, again, strict=True))


@pytest.mark.parametrize("damage", [b"", b"PK\x03\x04", b"not an archive", None])
def test_a_damaged_cache_is_made_again(run, damage) -> None:
    before = answer(run)
    file = next((run.folder / "baselines").iterdir())
    whole = file.read_bytes()
    file.write_bytes(whole[:-40] if damage is None else damage)
    again = answer(run)
    assert all(np.array_equal(x, y) for x, y in zip(before, again, strict=True))
    assert len(file.read_bytes()) == len(whole)


def test_a_cache_of_other_shape_or_of_pickles_is_not_used(run) -> None:
    before = answer(run)
    file = next((run.folder / "baselines").iterdir())
    for arrays in (
        {"detected": np.zeros((1, 1), bool), "sentiment": np.zeros((1, 1), int)},
        {"detected": before.detected, "sentiment": before.sentiment + 7},
        {"detected": np.array([{}], object), "sentiment": before.sentiment},
        {"detected": before.detected},
    ):
        np.savez(file, **arrays)
        assert np.array_equal(answer(run).sentiment, before.sentiment)


def test_other_texts_or_other_data_get_an_answer_of_their_own(run) -> None:
    answer(run)
    p = predicted("test")
    p.texts[0] = "pin tệ"
    answer(run, p)
    summary = run.read_summary()
    summary["config"]["data"]["leaks"] = "drop"
    tfidf_answer(run, summary, LABELS, p)
    assert len(list((run.folder / "baselines").iterdir())) == 3


def test_data_that_is_gone_or_changed_is_refused(run, tmp_path) -> None:
    path = tmp_path / "data" / "train.csv"
    whole = path.read_bytes()
    path.write_bytes(whole + "pin tốt,positive,,,\n".encode())
    with pytest.raises(UserError, match=r"changed since the training: .*train\.csv"):
        answer(run)
    path.unlink()
    with pytest.raises(UserError, match=r"train\.csv: there is no such file"):
        answer(run)
    path.write_bytes(whole)
    aspects = Labels(("Battery", "Camera", "Price", "Other"))
    with pytest.raises(UserError, match="other aspects"):
        tfidf_answer(run, run.read_summary(), aspects, predicted("test"))


def test_a_folder_that_cannot_be_written_costs_only_the_cache(run) -> None:
    (run.folder / "baselines").write_text("a file where the folder should be")
    assert answer(run).detected.any()


@pytest.mark.slow
def test_the_figures_on_visfd(real_data) -> None:
    started = time.monotonic()
    splits = read_splits(*(real_data / "visfd" / f"{name}.csv" for name in ("Train", "Dev", "Test")), aspects=VISFD)
    test = splits.test
    gold = test.mentioned, test.sentiment.astype(np.int64)
    shape = test.mentioned.shape
    p = Predictions(test.ids, test.texts, *gold, np.zeros((*shape, C)), np.zeros(shape))
    got = figures_of(answer_by_tfidf(splits, splits.labels, p), p, splits.labels)
    expected = {"aspect_f1_micro": 0.838, "aspect_f1_macro": 0.817, "pair_f1": 0.734}  # as scikit-learn counts them
    expected |= {"sentiment_f1": 0.755, "sentiment_accuracy": 0.835}
    assert {k: got[k] for k in expected} == pytest.approx(expected, abs=0.005)
    assert time.monotonic() - started < 90
