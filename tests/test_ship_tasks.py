"""The annotation loop: a model's tasks, annotated, are data to train on; suspects are such tasks, too."""

import csv
import json
import re
from pathlib import Path

import numpy as np
import pytest

from src.answers.teaching import certainty
from src.data.reviews import read_reviews
from src.judge.relabel import find_suspects
from src.ship.predictor import load_bundle
from tests.annotating import export, export_min, predicted
from tests.conftest import ROOT, TINY, read_texts, train
from tests.test_judge_suspects import labelled
from tests.test_ship_predict import predict, write_input


def tasks_of(path: Path) -> list[dict]:
    return json.loads(path.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def asked(exported, tmp_path_factory) -> tuple[Path, list[str]]:
    """Tasks for the sample's test texts, and the texts."""
    folder = tmp_path_factory.mktemp("asked")
    texts = read_texts(ROOT / "data" / "sample" / "test.csv", "data")
    file = write_input(folder / "in.csv", texts)
    assert predict(exported, file, "-o", folder / "tasks.json", "--format", "label-studio") == 0
    return folder, texts


def test_tasks_hold_the_answers_the_least_certain_first(asked, exported) -> None:
    folder, texts = asked
    tasks = tasks_of(folder / "tasks.json")
    answers = dict(zip(texts, load_bundle(exported).predict(texts, all_aspects=True), strict=True))
    assert sorted(t["data"]["text"] for t in tasks) == sorted(texts)
    sure = [certainty(answers[t["data"]["text"]]) for t in tasks]
    assert sure == sorted(sure) and len({t["predictions"][0]["model_version"] for t in tasks}) == 1
    for t in tasks:
        (found,) = t["predictions"]
        said = answers[t["data"]["text"]]["aspects"]
        assert predicted(t) == {a: one["sentiment"] or "mentioned" for a, one in said.items()}
        assert 0 <= found["score"] <= 1 and all(r["to_name"] == "text" for r in found["result"])
        assert t["meta"]["id"] == f"r{texts.index(t['data']['text'])}" and "stars" in t["meta"]["row"]


def test_a_budget_keeps_unsure_ones_that_differ(asked, exported, tmp_path) -> None:
    folder, texts = asked
    twice = write_input(tmp_path / "in.csv", texts * 2)
    for name in ("a.json", "b.json"):
        words = ["-o", tmp_path / name, "--format", "label-studio", "--budget", "7"]
        assert predict(exported, twice, *words) == 0
    kept = tasks_of(tmp_path / "a.json")
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()
    assert len({t["data"]["text"] for t in kept}) == len(kept) == 7
    scores = [t["predictions"][0]["score"] for t in kept]
    assert scores == sorted(scores)
    everything = [t["predictions"][0]["score"] for t in tasks_of(folder / "tasks.json")]
    assert np.mean(scores) < np.mean(everything)
    words = ["-o", tmp_path / "c.json", "--format", "label-studio", "--budget", "1000"]
    assert predict(exported, twice, *words) == 0 and len(tasks_of(tmp_path / "c.json")) == len(set(texts))
    emojis = write_input(tmp_path / "emojis.csv", [*["😍😍"] * 40, *["👍"] * 40, "Pin trâu", " Pin trâu"])  # no words
    assert predict(exported, emojis, "-o", tmp_path / "d.json", *words[2:4], "--budget", "3") == 0
    assert {t["data"]["text"].strip() for t in tasks_of(tmp_path / "d.json")} == {"😍😍", "👍", "Pin trâu"}


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["-o", "x.csv", "--budget", "3"], "--format label-studio"),
        (["-o", "x.json", "--format", "label-studio", "--budget", "0"], "1 at least"),
        (["-o", "x.csv", "--format", "label-studio"], "call it .json"),
        (["-o", "x.json"], "--format label-studio"),
        (["-o", "-", "--format", "label-studio"], "give -o a file"),
    ],
)
def test_mistakes_are_told(exported, tmp_path, monkeypatch, capsys, words, told) -> None:
    monkeypatch.chdir(tmp_path)
    assert predict(exported, write_input(tmp_path / "in.csv", ["một"]), *words) == 2
    assert told in capsys.readouterr().err and not list(tmp_path.glob("x.*"))


def test_the_loop_closes(asked, tmp_path) -> None:
    """Half the tasks come back in either export; a training takes them beside the old file, as they were annotated."""
    tasks = tasks_of(asked[0] / "tasks.json")
    said = [{a: "negative" if c == "positive" else c for a, c in predicted(t).items()} for t in tasks]
    half = len(tasks) // 2
    export(tmp_path / "new.json", tasks[:half], said[:half])
    export_min(tmp_path / "min.json", tasks[half:], said[half:])
    sample = ROOT / "data" / "sample"
    files = [sample / "train.csv", tmp_path / "new.json", tmp_path / "min.json"]
    settings = ["data=table", f"data.train=[{','.join(map(str, files))}]", f"data.val={sample / 'validation.csv'}"]
    settings += ["trainer.max_epochs=1", "trainer.limit_train_batches=2", f"hydra.run.dir={tmp_path / 'run'}"]
    done = train(*TINY, *settings)
    assert done.returncode == 0, done.stdout + done.stderr
    summary = json.loads((tmp_path / "run" / "summary.json").read_text(encoding="utf-8"))
    old = read_reviews(sample / "train.csv")[0]
    assert summary["data"]["splits"]["train"]["reviews"] == len(old) + len(tasks)
    pairs = sum(c in ("positive", "negative", "neutral") for one in said for c in one.values())
    assert np.sum(summary["class_counts"]) == old.class_counts.sum() + pairs


def test_suspects_are_tasks_too(tmp_path) -> None:
    labelled(tmp_path / "train.csv", 120)
    rows = (tmp_path / "train.csv").read_text(encoding="utf-8").replace('lần 7",positive', 'lần 7",', 1)
    swap = {"positive,": "negative,", "negative,": "positive,"}
    parts = re.split(r"((?:positive|negative),)", rows)  # the sentiments of Pin
    parts[1:20:4] = [swap[part] for part in parts[1:20:4]]
    (tmp_path / "train.csv").write_text("".join(parts), encoding="utf-8")
    find_suspects([str(tmp_path / "train.csv")], str(tmp_path / "s.csv"), folds=2, epochs=2)
    find_suspects([str(tmp_path / "train.csv")], str(tmp_path / "s.json"), folds=2, epochs=2)
    with (tmp_path / "s.csv").open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    tasks = tasks_of(tmp_path / "s.json")
    assert [t["meta"]["id"] for t in tasks] == list(dict.fromkeys(row["id"] for row in rows)) and tasks
    texts = [t["data"]["text"] for t in tasks]
    before, _ = read_reviews(tmp_path / "train.csv")
    place = {text: i for i, text in enumerate(before.texts)}
    for which in (0, 1):
        path = export_min(tmp_path / f"{which}.json", tasks, [predicted(t, which) for t in tasks])
        reviews, _ = read_reviews(path, aspects=["Pin", "Giá"])
        for i, text in enumerate(texts):
            differ = reviews.sentiment[i] != before.sentiment[place[text]]
            there = [row for row in rows if row["text"] == text] if which else []
            assert {("Pin", "Giá")[a] for a in np.flatnonzero(differ)} == {row["aspect"] for row in there}
            assert all(
                f"{row['aspect']}: {row['label']}, likelier {row['likelier']}" in tasks[i]["data"]["note"]
                for row in there
            )
