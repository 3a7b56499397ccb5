"""One answer from the windows of a long review, and every verdict found, wherever in the text it stands."""

from itertools import pairwise

import numpy as np
import pytest

from src.answers.calibration import softmax
from src.answers.predictor import Predictor
from src.answers.windows import join, with_windows
from src.labels import Labels
from src.tokens.tokenizer import from_json, train_tokenizer

LABELS = Labels(("Pin", "Loa"))
WORDS = ("pin", "loa"), ("tốt", "tệ", "thường")
FILLER = "hôm đó mình đi dạo quanh hồ rồi ghé quán nước ngồi nói chuyện. "
TOKENIZER = train_tokenizer([FILLER, *(f"{a} {s}" for a in WORDS[0] for s in WORDS[1])] * 3, 600, 64)
INFO = {
    "task": "absa",
    "thresholds": {"global": 0.5, "per_aspect": [0.5, 0.5]},
    "calibration": {"sentiment": 1.0, "mentioned": 1.0},
}


def keyword_model(ids: np.ndarray, mask: np.ndarray) -> dict[str, np.ndarray]:
    """An aspect is mentioned where its word stands; the word after it is its sentiment."""
    at = [[TOKENIZER.token_to_id(f"▁{word}") for word in words] for words in WORDS]
    mentioned = np.full((len(ids), 2), -6.0, np.float32)
    sentiment = np.zeros((len(ids), 2, 3), np.float32)
    for row, tokens in enumerate(ids.tolist()):
        for here, after in pairwise(tokens):
            if here in at[0] and after in at[1]:
                mentioned[row, at[0].index(here)] = 4.0
                sentiment[row, at[0].index(here), at[1].index(after)] += 3.0
    return {"mentioned": mentioned, "sentiment": sentiment}


def predictor(task: str = "absa", threads: int = 2, max_length: int = 64) -> Predictor:
    info = INFO | {"task": task}
    return Predictor(info, LABELS, max_length, from_json(TOKENIZER.to_str(), max_length), keyword_model, threads)


def said(answer: dict) -> dict[str, str]:
    return {aspect: one["sentiment"] for aspect, one in answer["aspects"].items()}


@pytest.mark.parametrize("before", [0, 6, 30, 150])
def test_a_verdict_counts_wherever_it_stands(before) -> None:
    text = FILLER * before + "pin tệ. " + FILLER * 6 + "loa tốt."
    (answer,) = predictor().predict([text])
    assert said(answer) == {"Pin": "negative", "Loa": "positive"}
    assert answer["windows"] > 1 and "cut" not in answer
    told_of = predictor().explain(text)
    assert told_of["windows"] == answer["windows"] and list(told_of["weights"]) == ["Pin", "Loa"]
    strongest = np.argmax(told_of["weights"]["Pin"])
    word = told_of["words"][strongest]
    near = told_of["text"][word["start"] : word["end"] + 90]  # the words left out with it
    assert told_of["weights"]["Pin"][strongest] > 0 and "pin tệ" in near


def test_short_texts_are_answered_as_ever() -> None:
    texts = ["pin tốt", "loa tệ, máy đẹp", FILLER, ""]
    mine = predictor()
    for text, answer in zip(texts, mine.predict(texts), strict=True):
        row = np.array([TOKENIZER.encode(text).ids])
        out = keyword_model(row, np.ones_like(row))
        assert mine.decisions.answers(out["mentioned"], out["sentiment"]) == [answer]
        assert set(answer) == {"aspects"}
    together = predictor().predict([*texts, FILLER * 20 + "pin tốt", *texts])
    assert together[:4] == together[5:] == mine.predict(texts)


def test_what_is_not_read_is_said_and_the_cost_is_bounded() -> None:
    text = FILLER * 400 + "pin tệ."
    asked = predictor()
    (answer,) = asked.predict([text])
    assert answer["windows"] == 64 and answer["cut"] > 1000 and answer["aspects"] == {}
    explanation = asked.explanation(text)
    assert len(explanation.texts) <= 64 + 256
    assert asked.explain(text)["cut"] == answer["cut"]


def test_the_task_sentiment_takes_the_windows_that_are_sure() -> None:
    text = FILLER * 10 + "pin tệ. " + FILLER * 10
    (answer,) = predictor("sentiment").predict([text])
    assert said(answer)["Pin"] == "negative" and answer["windows"] > 2


def test_one_window_is_its_text_bit_for_bit() -> None:
    rng = np.random.default_rng(0)
    mentioned, sentiment = rng.normal(size=(3, 2)).astype(np.float32), rng.normal(size=(3, 2, 4)).astype(np.float32)
    m, s = join(np.arange(4), mentioned, sentiment)
    assert m is mentioned and s is sentiment
    m, s = join(np.array([0, 1, 3]), mentioned, sentiment)
    assert (m[0] == mentioned[0]).all() and (s[0] == sentiment[0]).all()


def test_windows_that_mention_an_aspect_decide_by_how_much_they_do() -> None:
    """By hand, with four sentiments: probabilities 0.8 and 0.5 of a mention, and a window that mentions nothing."""
    logit = np.log([[0.8 / 0.2], [1.0], [0.1 / 0.9]])
    sentiment = np.array([[[2.0, 0, 0, 0]], [[0, 3.0, 0, 0]], [[0, 0, 9.0, 0]]])
    m, s = join(np.array([0, 3]), logit, sentiment)
    assert m.tolist() == [[np.log(4)]]
    expected = (0.8 * softmax(sentiment[0, 0]) + 0.5 * softmax(sentiment[1, 0])) / 1.3
    assert softmax(s[0, 0]) == pytest.approx(expected)


def test_extreme_logits_do_no_harm() -> None:
    m, s = join(np.array([0, 2]), np.array([[-500.0], [-900.0]]), np.array([[[900.0, 0, 0]], [[0, 900.0, 0]]]))
    assert m.tolist() == [[-500.0]] and np.isfinite(s).all() and s.argmax() == 0


def test_answers_say_how_they_were_read() -> None:
    answers = [{"aspects": {}}, {"aspects": {}}]
    assert with_windows(answers, np.array([0, 1, 4]), np.array([0, 7])) == [
        {"aspects": {}},
        {"aspects": {}, "windows": 3, "cut": 7},
    ]
