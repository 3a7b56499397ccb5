"""A run judges any labelled file, and what it says depends on nothing but the reviews and the model."""

import csv
import json
import shutil

import numpy as np
import pytest

from src.answers.figures import evaluate, figures
from src.answers.predictions import read_predictions
from src.answers.thresholds import Thresholds
from src.cli import main
from src.errors import UserError
from src.judge.inference import load_run, predict_labelled
from src.runs.run import Run
from tests.conftest import ROOT

TEST = ROOT / "data" / "sample" / "test.csv"


def test_predicting_the_test_file_again_gives_the_runs_own_predictions(trained) -> None:
    run = Run(trained[0])
    saved, again = read_predictions(run.predictions("test"), run.labels), predict_labelled(run, TEST)[0]
    assert again.ids == saved.ids
    assert np.array_equal(again.sentiment, saved.sentiment)
    assert np.allclose(again.mentioned_logits, saved.mentioned_logits, atol=1e-4)
    assert np.allclose(again.sentiment_logits, saved.sentiment_logits, atol=1e-4)


@pytest.mark.parametrize("batch_size", [1, 7])
def test_batch_size_row_order_and_padding_change_nothing(trained, tmp_path, batch_size) -> None:
    with TEST.open(encoding="utf-8", newline="") as file:
        header, *rows = csv.reader(file)
    order = np.random.default_rng(0).permutation(len(rows))
    with (tmp_path / "shuffled.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([header, *(rows[i] for i in order)])
    run = Run(trained[0])
    straight = predict_labelled(run, TEST)[0]
    shuffled = predict_labelled(run, tmp_path / "shuffled.csv", batch_size)[0]
    assert shuffled.texts == [straight.texts[i] for i in order]
    assert np.allclose(shuffled.mentioned_logits, straight.mentioned_logits[order], atol=2e-5)
    assert np.allclose(shuffled.sentiment_logits, straight.sentiment_logits[order], atol=2e-5)
    thresholds = Thresholds.from_dict(run.read_summary()["thresholds"]).array
    for p in (straight, shuffled):
        got = figures(evaluate(p, thresholds), run.labels, "absa")
        assert {k: round(float(v), 6) for k, v in got.items()} == {
            k: round(v, 6) for k, v in run.read_summary()["figures"]["test"].items()
        }


def test_long_reviews_of_a_file_are_judged_whole(trained, tmp_path) -> None:
    """As ``absa predict`` answers them, in a file of short ones; the last sentence is far behind max_length."""
    run = Run(trained[0])
    filler = "hôm đó mình đi dạo quanh hồ rồi ghé quán nước ngồi nói chuyện. "
    texts = ["Pin tốt", filler * 40 + "Pin trâu, màn hình đẹp.", "Camera mờ", filler * 60 + "Giá quá cao!"]
    with (tmp_path / "long.csv").open("w", encoding="utf-8", newline="") as file:
        rest = [""] * (len(run.labels.aspects) - 1)
        csv.writer(file).writerows([["text", *run.labels.aspects], *([text, "positive", *rest] for text in texts)])
    judged, answered = predict_labelled(run, tmp_path / "long.csv")[0], load_run(run.folder)
    mentioned, sentiment = answered.logits(texts)
    assert np.allclose(judged.mentioned_logits, mentioned, atol=1e-4)
    assert np.allclose(judged.sentiment_logits, sentiment, atol=1e-4)
    for i in (1, 3):
        parts, cut = answered.windows(texts[i])
        assert len(parts) > 1 and not cut
        assert np.allclose(judged.mentioned_logits[i], answered.logits(parts)[0].max(0), atol=1e-4)
    assert np.array_equal(answered.logits(texts[:1])[0][0], mentioned[0])


@pytest.mark.parametrize("command", ["evaluate", "report", "compare"])
def test_what_is_no_run_ends_with_status_2(trained, tmp_path, command, capsys) -> None:
    shutil.copytree(trained[0], tmp_path / "run")
    shutil.rmtree(tmp_path / "run" / "predictions")
    for folder in (tmp_path / "run", tmp_path / "nowhere", trained[0] / "summary.json"):
        with pytest.raises(SystemExit) as end:
            main([command, str(folder)])
        assert end.value.code == 2
        assert capsys.readouterr().err.startswith("error: ")


def test_evaluate_prints_the_same_figures_for_the_run_and_for_its_file(trained, capsys) -> None:
    folder = str(trained[0])
    main(["evaluate", folder])
    own = capsys.readouterr().out
    main(["evaluate", folder, str(TEST)])
    file = capsys.readouterr().out
    figures = json.loads((trained[0] / "summary.json").read_text())["figures"]["test"]
    for printed in (own, file):
        line = next(line for line in printed.splitlines() if line.startswith("pair_f1"))
        assert f"{figures['pair_f1']:.4f}" in line
    assert "tf-idf" in own and "all mentioned" in own


def test_compare_refuses_and_ranks(trained, tmp_path, capsys) -> None:
    main(["compare", str(trained[0]), str(trained[0])])
    assert "pair_f1" in capsys.readouterr().out


def test_what_cannot_be_judged_is_one_message(trained, tmp_path) -> None:
    run = Run(trained[0])
    (tmp_path / "other.csv").write_text("data,Battery,Engine\nmáy,Positive,Negative\n", encoding="utf-8")
    with pytest.raises(UserError, match="Engine"):
        predict_labelled(run, tmp_path / "other.csv")
    (tmp_path / "none.csv").write_text(",".join(["data", *run.labels.aspects]) + "\nmáy" + "," * 11 + "\n")
    with pytest.raises(UserError, match="none of the 1 rows has both a text and a label"):
        predict_labelled(run, tmp_path / "none.csv")
    with pytest.raises(UserError, match="no finished run"):
        predict_labelled(Run(tmp_path), TEST)
