"""Runs side by side: who is first, by how much, whether chance would do it, and what differs."""

import json
import shutil

import numpy as np
import pytest

from src.answers.figures import Counts, evaluate, figures, per_review, total
from src.answers.predictions import read_predictions, write_predictions
from src.data.findings import text_keys
from src.errors import UserError
from src.judge.compare import compare_runs, comparison
from src.judge.evaluation import decide
from src.judge.leaks import write_keys
from src.judge.text import _apart
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
    assert {row["name"] for row in got["rows"][:3]} == {f"loss.gamma=2.0 seed={seed}" for seed in range(3)}
    assert got["ranked_by"] == "test" and "Ranked by test, as some have no pair_f1 on validation" in got["notes"][0]
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
    assert "wrong in loss.gamma=0.0" in text and "means over seed" in text and f"{np.mean(singles):.4f}" in text
    assert "over reviews and seeds" in text and "3 and 3 runs" in text and "UNKNOWN" not in text


def test_naming_the_runs_or_their_folder_is_the_same(sweep) -> None:
    one = comparison([sweep], draws=20)
    other = comparison([sweep / str(i) for i in range(6)], draws=20)
    again = comparison([sweep, sweep / "3"], draws=20)
    assert one == other == again


def test_a_run_beside_its_copy_does_not_differ(sweep, tmp_path) -> None:
    for name in "ab":
        shutil.copytree(sweep / "0", tmp_path / name)
    got = comparison([tmp_path / "a", tmp_path / "b"])
    assert got["rows"][1]["difference"]["pair_f1"] == {"value": 0, "low": 0, "high": 0, "p": 1, "p_holm": 1}
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
        right[row["runs"][0]] = [
            set(np.flatnonzero(p.mentioned[i])) == set(np.flatnonzero(found[i]))
            and all(said[i, a] == p.sentiment[i, a] for a in range(3) if p.mentioned[i, a])
            for i in range(len(p.ids))
        ]
    a, b = right.values()
    assert other["changes"]["lost"] == [i for i in range(120) if a[i] and not b[i]] != []
    assert other["changes"]["gained"] == [i for i in range(120) if b[i] and not a[i]] != []
    text = compare_runs([sweep / "0", sweep / "3"])
    three, nought = "loss.gamma=2.0 seed=1", "loss.gamma=0.0 seed=0"
    assert f"Right in {three}, wrong in {nought}: {len(other['changes']['lost'])}" in text
    assert f"Right in {nought}, wrong in {three}: {len(other['changes']['gained'])}" in text
    assert "gold Battery" in text and "seed's part is UNKNOWN" in text


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
    with pytest.raises(UserError, match='--by "sede" is no setting or group of these runs; did you mean "seed"'):
        compare_runs([sweep], by="sede")


def test_validation_ranks_and_test_has_no_say(tmp_path) -> None:
    for name, quality, val in (("good", 1.8, 0.6), ("chosen", 1.0, 0.7)):
        make_run(tmp_path / name, quality=quality, seed=int(name == "good"))
        change_summary(tmp_path / name, figures={"val": {"pair_f1": val}, "test": {}})
    first, second = (got := comparison([tmp_path], draws=50))["rows"]
    assert (first["name"], first["validation"], got["ranked_by"]) == ("seed=0", 0.7, "validation")
    assert first["figures"]["pair_f1"] < second["figures"]["pair_f1"] and second["difference"]["pair_f1"]["value"] > 0
    text = compare_runs([tmp_path])
    assert "best validation pair_f1 first" in text and "val is for choosing" in text and "0.7000" in text
    change_summary(tmp_path / "good", best=0.8)
    change_summary(tmp_path / "chosen", best=0.65)
    assert comparison([tmp_path], draws=5)["rows"][0]["name"] == "seed=1", "the monitored figure, where both went by it"


def encoders(tmp_path, *known: dict) -> list:
    for i, facts in enumerate(known):
        make_run(tmp_path / str(i), seed=i)
        change_summary(tmp_path / str(i), encoder={"name": facts["name"], "weights": "", "pretrained": True} | facts)
    return [tmp_path / str(i) for i in range(len(known))]


def test_encoders_differ_by_their_weights_and_are_called_as_typed(tmp_path) -> None:
    a, b, moved = ({"name": n, "settings": {"encoder": n, "pretrained": True}} for n in ("mine/a", "org/b", "copy/a"))
    runs = encoders(tmp_path, a | {"sha256": "1" * 64}, b | {"sha256": "2" * 64}, moved | {"sha256": "1" * 64})
    got = comparison(runs, by="seed", draws=50)
    assert sorted((row["name"], len(row["runs"])) for row in got["rows"]) == [
        ("model.encoder=mine/a", 2),
        ("model.encoder=org/b", 1),
    ]
    assert comparison(runs, by="model.encoder", draws=5) and comparison(runs, by="model", draws=5)
    [line] = [line for line in compare_runs(runs, by="seed").split("\n") if line.startswith("test pair_f1:")]
    assert "model.encoder=mine/a 0." in line and "points (95 %" in line and "2 and 1 runs, 120 paired reviews" in line


def test_one_folder_with_other_weights_and_runs_of_before(tmp_path) -> None:
    same = {"name": "mine/a"}
    got = comparison(encoders(tmp_path, same | {"sha256": "1" * 64}, same | {"sha256": "2" * 64}), by="seed", draws=5)
    told = {row["settings"]["model.encoder"] for row in got["rows"]}
    assert told == {"mine/a (11111111)", "mine/a (22222222)"}
    old = comparison(encoders(tmp_path / "old", {"name": "mini"}, {"name": "uitnlp/visobert"}), by="seed", draws=5)
    assert {row["name"] for row in old["rows"]} == {"model.encoder=mini", "model.encoder=uitnlp/visobert"}


def test_groups_are_called_and_pooled_as_typed(tmp_path) -> None:
    kinds = {"ce": ("src.losses.CrossEntropyLoss", 0.0), "focal": ("src.focal.FocalLoss", 2.0)}
    for i, (loss, alpha) in enumerate((x, y) for x in kinds for y in ("auto", "equal")):
        target, gamma = kinds[loss]
        config = {"_target_": target, "gamma": gamma, "alpha": alpha if alpha == "auto" else None}
        make_run(tmp_path / str(i), seed=i, loss=config)
        typed = [f"loss={loss}", f"loss/alpha={alpha}", f"seed={i}"]
        change_summary(tmp_path / str(i), overrides=typed, choices={"loss": loss, "loss/alpha": alpha, "model": "mini"})
    got = comparison([tmp_path], by="seed", draws=20)
    assert {row["name"] for row in got["rows"]} == {
        f"loss={x} loss/alpha={y}" for x in kinds for y in ("auto", "equal")
    }
    assert set(got["differs"]) == {"loss", "loss/alpha", "seed"}
    for i in range(4):
        change_summary(tmp_path / str(i), overrides=typed[:2])
        path = tmp_path / str(i) / "summary.json"
        path.write_text(path.read_text().replace(f'"seed": {i}', '"seed": 0'))
    assert [len(row["runs"]) for row in comparison([tmp_path], by="loss", draws=5)["rows"]] == [4]
    assert [len(row["runs"]) for row in comparison([tmp_path], by="loss/alpha", draws=5)["rows"]] == [2, 2]


def test_what_was_trained_on_is_told_with_the_figures_without_it(sweep, tmp_path) -> None:
    runs = [make_run(tmp_path / str(i), seed=i) for i in range(2)]
    texts = predicted("test").texts
    write_keys(Run(runs[0]).training_texts, texts[:30])
    write_keys(Run(runs[1]).training_texts, texts[20:29])
    got = comparison(runs, draws=20)
    assert got["trained_on"] == 30
    p = read_predictions(Run(runs[0]).predictions("test"), LABELS)
    each = per_review(p, decide(Run(runs[0]), Run(runs[0]).read_summary(), LABELS).thresholds.array)
    left = Counts(**{name: values[30:] for name, values in vars(each).items()})
    row = next(row for row in got["rows"] if row["runs"] == [str(runs[0])])
    assert row["unseen"]["pair_f1"] == float(figures(total(left), LABELS, "absa")["pair_f1"])
    assert "WARNING: 30 of these 120 texts were trained on (25.0 %)" in compare_runs(runs)
    again = np.isin(text_keys(texts), text_keys(predicted("train").texts)).sum()
    assert comparison([sweep], draws=5)["trained_on"] == again > 0, "hashed again from the training file"


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
        "Ranked by test, as some have no pair_f1 on validation: the first row is flattered.",
    ]


def test_the_table_names_rows_by_what_they_differ_in() -> None:
    """Forty letters of what all rows share tell none from the other."""
    names = [f"experiment=mini data=visfd data.dir=a/long/path/to/the/data seed={seed}" for seed in (1, 2)]
    assert _apart([*names, f"{names[0]} loss=ce"]) == ["seed=1", "seed=2", "seed=1 loss=ce"]
    assert _apart(["as shipped", "loss=ce"]) == ["as shipped", "loss=ce"] and _apart(["seed=1"]) == ["seed=1"]
    assert _apart(["loss=ce", "loss=ce seed=2"]) == ["loss=ce", "seed=2"]
