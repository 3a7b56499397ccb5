"""The predictions file gives back what was predicted, to the last figure."""

import json

import numpy as np
import pytest

from src.answers.figures import evaluate, figures
from src.answers.predictions import read_predictions, sigmoid, write_predictions
from src.errors import UserError
from src.labels import Labels
from tests.test_model_metrics import LABELS, predictions


def test_round_trip_keeps_every_figure(tmp_path) -> None:
    p = predictions(50)
    p.texts = ["dòng\nmới", "</script>\u2028\u0085\x1c", *p.texts[2:]]
    path = tmp_path / "predictions" / "test.jsonl"
    write_predictions(path, p, LABELS)
    q = read_predictions(path, LABELS)
    assert q.texts == p.texts and q.ids == p.ids
    for name in ("mentioned", "sentiment", "sentiment_logits", "mentioned_logits"):
        assert np.array_equal(getattr(p, name), getattr(q, name)), name
    assert figures(evaluate(q), LABELS, "absa") == figures(evaluate(p), LABELS, "absa")
    assert [f.name for f in path.parent.iterdir()] == ["test.jsonl"]


def test_a_line_says_what_is_there_and_what_was_said(tmp_path) -> None:
    p = predictions(1)
    p.mentioned[:], p.sentiment[:] = [True, False, False, True], [1, -100, -100, -100]
    p.mentioned_logits[:], p.sentiment_logits[:] = [3, 2, -1, 4], [[5, 0, 0], [0, 5, 0], [0, 0, 5], [5, 0, 0]]
    write_predictions(tmp_path / "x.jsonl", p, LABELS)
    row = json.loads((tmp_path / "x.jsonl").read_text())
    assert row["gold"] == {"Battery": "negative", "OTHERS": None}
    assert row["predicted"] == {"Battery": "positive", "Camera": "negative", "OTHERS": None}
    assert row["mentioned_logits"] == [3, 2, -1, 4]


def test_task_sentiment_has_no_mentions_to_predict(tmp_path) -> None:
    p = predictions(20)
    p.mentioned_logits = None
    write_predictions(tmp_path / "x.jsonl", p, LABELS)
    q = read_predictions(tmp_path / "x.jsonl", LABELS)
    assert q.mentioned_logits is None
    assert np.array_equal(q.detected(), p.mentioned)


def test_other_aspects_and_other_files_are_refused(tmp_path) -> None:
    path = tmp_path / "x.jsonl"
    with pytest.raises(UserError, match="cannot be read"):
        read_predictions(path, LABELS)
    write_predictions(path, predictions(3), LABELS)
    with pytest.raises(UserError, match=r"x.jsonl:1: not a prediction over these 2 aspects"):
        read_predictions(path, Labels(("Battery", "Screen")))
    path.write_text('{"id": 1}\n')
    with pytest.raises(UserError, match=":1: not a prediction"):
        read_predictions(path, LABELS)
    path.write_text("")
    with pytest.raises(UserError):
        read_predictions(path, LABELS)


def test_sigmoid_does_not_overflow() -> None:
    with np.errstate(all="raise"):
        assert sigmoid(np.array([-1e4, 0, 1e4])).tolist() == [0, 0.5, 1]
