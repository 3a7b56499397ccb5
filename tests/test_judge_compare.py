"""Runs side by side: who is first, by how much, whether chance would do it, and what differs."""

import json
import shutil

import numpy as np
import pytest

from src.answers.figures import evaluate, figures
from src.answers.predictions import read_predictions, write_predictions
from src.errors import UserError
from src.judge.compare import compare_runs, comparison
from src.judge.evaluation import decide
from src.labels import IGNORE
from src.runs.run import Run
from src.runs.settings import differing, known_settings
from tests.judging import LABELS, change_summary, make_run, predicted


@pytest.fixture(scope="module")
def sweep(tmp_path_factory):
    """A multirun's folder: two losses times three seeds, the second loss the better one."""
    folder = tmp_path_factory.mktemp("multirun")
    for i in range(6):
        make_run(folder / str(i), quality=(1.0, 1.8)[i % 2], seed=i // 2, loss={"gamma": (0.0, 2.0)[i % 2]})
    return folder


def pair_f1(folder) -> float:
    run = Run(folder)
    p = read_predictions(run.predictions("test"), LABELS)
    thresholds = decide(run, run.read_summary(), LABELS).thresholds.array
    return float(figures(evaluate(p, thresholds), LABELS, "absa")["pair_f1"])


def test_a_multirun_is_ranked_best_first(sweep) -> None:
    got = comparison([sweep], draws=50)
    assert json.loads(json.dumps(got, allow_nan=False)) == got
    values = [row["figures"]["pair_f1"] for row in got["rows"]]
    assert values == sorted(values, reverse=True) and len(values) == 6
    assert sorted(values) == pytest.approx(sorted(pair_f1(sweep / str(i)) for i in range(6)))
    assert {row["name"] for row in got["rows"][:3]} == {"1", "3", "5"}
    assert got["rows"][0]["difference"] is None and got["rows"][0]["changes"] is None
    assert set(got["differs"]) == {"loss.gamma", "seed"}


def test_seeds_make_one_row_with_mean_and_deviation(sweep) -> None:
    got = comparison([sweep], by="seed", draws=200)
    best, other = got["rows"]
    assert best["settings"] == {"loss.gamma": 2.0} and other["settings"] == {"loss.gamma": 0.0}
    singles = [pair_f1(sweep / str(i)) for i in (1, 3, 5)]
    assert best["figures"]["pair_f1"] == pytest.approx(np.mean(singles))
    assert best["sd"]["pair_f1"] == pytest.approx(np.std(singles, ddof=1))
    difference = other["difference"]["pair_f1"]
    assert difference["value"] == pytest.approx(other["figures"]["pair_f1"] - best["figures"]["pair_f1"])
    assert difference["low"] < difference["value"] < difference["high"] < 0 and difference["p"] < 0.02
    text = compare_runs([sweep], by="seed")
    assert (
        "wrong in 0, 2, 4" in text and "mean over seed" in text and "sd" in text and f"{np.mean(singles):.4f}" in text
    )


def test_naming_the_runs_or_their_folder_is_the_same(sweep) -> None:
    one = comparison([sweep], draws=20)
    other = comparison([sweep / str(i) for i in range(6)], draws=20)
    again = comparison([sweep, sweep / "3"], draws=20)
    assert one == other == again


def test_a_run_beside_its_copy_does_not_differ(sweep, tmp_path) -> None:
    for name in "ab":
        shutil.copytree(sweep / "0", tmp_path / name)
    got = comparison([tmp_path / "a", tmp_path / "b"])
    assert got["rows"][1]["difference"]["pair_f1"] == {"value": 0, "low": 0, "high": 0, "p": 1}
    assert got["rows"][1]["changes"] == {"lost": [], "gained": []}
    assert got["differs"] == {}
    assert "do not differ" in compare_runs([tmp_path / "a", tmp_path / "b"])


def test_reviews_that_changed_are_told(sweep) -> None:
    got = comparison([sweep / "0", sweep / "3"], draws=20)
    best, other = got["rows"]
    right = {}
    for row in (best, other):
        run = Run(row["runs"][0])
        p = read_predictions(run.predictions("test"), LABELS)
        found = p.detected(decide(run, run.read_summary(), LABELS).thresholds.array)
        said = p.sentiment_said()
        right[row["name"]] = [
            set(np.flatnonzero(p.mentioned[i])) == set(np.flatnonzero(found[i]))
            and all(said[i, a] == p.sentiment[i, a] for a in range(3) if p.mentioned[i, a])
            for i in range(len(p.ids))
        ]
    a, b = right[best["name"]], right[other["name"]]
    assert other["changes"]["lost"] == [i for i in range(120) if a[i] and not b[i]] != []
    assert other["changes"]["gained"] == [i for i in range(120) if b[i] and not a[i]] != []
    text = compare_runs([sweep / "0", sweep / "3"])
    assert f"Right in 3, wrong in 0: {len(other['changes']['lost'])}" in text
    assert f"Right in 0, wrong in 3: {len(other['changes']['gained'])}" in text
    assert "gold Battery" in text and "loss.gamma" in text


def test_tasks_meet_in_what_both_say(sweep, tmp_path) -> None:
    make_run(tmp_path / "sentiment", task="sentiment")
    got = comparison([sweep / "0", tmp_path / "sentiment"], draws=20)
    assert got["task"] == "sentiment" and got["figure"] == "sentiment_f1"
    assert "pair_f1" not in got["rows"][0]["figures"]


def test_other_test_files_and_other_labels_are_refused_together(sweep, tmp_path) -> None:
    splits = json.loads((sweep / "0" / "summary.json").read_text())["data"]["splits"]
    make_run(tmp_path / "file")
    change_summary(tmp_path / "file", data={"splits": splits | {"test": {"path": "x", "sha256": "0" * 64}}})
    make_run(tmp_path / "gold")
    path = tmp_path / "gold" / "predictions" / "test.jsonl"
    path.write_text(path.read_text().replace('"gold": {"Battery": "positive"', '"gold": {"Battery": "neutral"', 1))
    make_run(tmp_path / "aspects")
    change_summary(tmp_path / "aspects", labels={"aspects": list(LABELS.aspects), "without_sentiment": []})
    with pytest.raises(UserError) as error:
        compare_runs([sweep / "0", tmp_path / "file", tmp_path / "gold", tmp_path / "aspects", sweep / "1"])
    told = str(error.value)
    assert "file: another test file than" in told and "sha256 000000000000" in told
    assert "gold: other test reviews or labels than" in told
    assert "aspects: other aspects than" in told
    assert len(error.value.faults) == 4


def test_folders_without_runs_are_refused_together(tmp_path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError) as error:
        compare_runs([tmp_path / "empty", tmp_path / "nowhere"])
    assert [fault.split(": ")[1] for fault in error.value.faults] == [
        "holds no finished run",
        "there is no such folder",
    ]


def test_unfinished_jobs_of_a_multirun_are_left_out_and_named(tmp_path) -> None:
    make_run(tmp_path / "0")
    (tmp_path / "1" / ".hydra").mkdir(parents=True)
    assert comparison([tmp_path], draws=5)["notes"] == [f"Not finished, left out: {tmp_path / '1'}"]
    assert "left out" in compare_runs([tmp_path])


def test_a_run_without_test_predictions_is_refused(tmp_path) -> None:
    make_run(tmp_path / "0")
    change_summary(tmp_path / "0", figures={"val": {}})
    with pytest.raises(UserError, match="without a test split"):
        compare_runs([tmp_path])


def test_an_unknown_setting_is_refused(sweep) -> None:
    with pytest.raises(UserError, match='--by "sede" is no setting of these runs; did you mean "seed"'):
        compare_runs([sweep], by="sede")


def test_settings_leave_out_copies_and_the_runs_own_folder(sweep) -> None:
    summaries = [json.loads((sweep / str(i) / "summary.json").read_text()) for i in (0, 3)]
    settings = [known_settings(s) for s in summaries]
    assert settings[0]["callbacks.best.dirpath"] == "RUN/checkpoints"
    assert not any(key.startswith("trainer.callbacks") for key in settings[0])
    assert differing(settings) == {"loss.gamma": [0.0, 2.0], "seed": [0, 1]}
    settings[1]["data.seed"] = 9
    assert "data.seed" in differing(settings), "it no longer follows seed"


def test_what_macro_figures_leave_out_is_named_for_all_runs_or_for_some(tmp_path) -> None:
    for name, invented in (("a", False), ("b", True)):
        folder = make_run(tmp_path / name)
        p = predicted("test")
        p.mentioned[:, 2], p.sentiment[:, 2], p.mentioned_logits[:, 2] = False, IGNORE, -9
        p.mentioned_logits[0, 2] = 9 if invented else -9
        write_predictions(folder / "predictions" / "test.jsonl", p, LABELS)
    assert comparison([tmp_path / "a", tmp_path / "b"], draws=10)["notes"] == [
        "a: Left out of aspect_f1_macro, as neither gold nor prediction has it: Price",
        "Left out of sentiment_f1_per_aspect, as gold has no sentiment there: Price",
    ]
