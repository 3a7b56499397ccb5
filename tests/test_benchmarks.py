"""What the benchmarks count, against torch's own count; the rows they take; that a run of one is read right."""

import ast
import csv
import importlib
import json
import sys
from importlib.util import find_spec

import numpy as np
import pytest
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.measuring import measure, own, peer_train
from benchmarks.rows import sample_rows
from benchmarks.run import medians, show
from benchmarks.scale import plot, table, write_rows
from benchmarks.train_speed import products
from src.data.reviews import read_reviews
from tests.conftest import ROOT
from tests.forking import run
from tests.tiny import CONFIG, tiny_module, tiny_split


def test_products_are_those_that_torch_counts() -> None:
    """Of the encoder's layers: the heads and the embeddings are a few per mille of a real model."""
    batch = tiny_split(12).batch(np.arange(12))
    b, t = batch["input_ids"].shape
    for pooling, firsts in (("mean", None), ("cls", (b, b * t))):
        encoder = tiny_module(pooling=pooling).classifier.encoder
        with FlopCounterMode(display=False) as counter:
            hidden = encoder(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).last_hidden_state
            hidden.sum().backward()
        assert products(CONFIG, b * t, b * t * t, firsts) == counter.get_total_flops()


def test_the_rows_are_those_of_pandas(tmp_path) -> None:
    source = tmp_path / "all.csv"
    source.write_text("data,A\n" + "".join(f'"r{i}, x",\n' for i in range(50)), encoding="utf-8")
    with sample_rows(source, 5, tmp_path / "some.csv").open(newline="") as file:
        texts = [row["data"] for row in csv.DictReader(file)]
    assert texts == [
        "r28, x",
        "r11, x",
        "r10, x",
        "r41, x",
        "r2, x",
    ]  # pandas 3.1: read_csv(...).sample(5, random_state=0)


def test_one_process_after_another() -> None:
    said = measure([sys.executable, "-c", "print('noise'); print('{\"reviews_per_second\": 2.5}')"], 60)
    assert own(said)["reviews_per_second"] == 2.5 and said["mib"] > 1 and said["wall"] > 0
    assert measure([sys.executable, "-c", "raise SystemExit('no such way')"], 60)["failed"] == "no such way"
    assert "not done" in measure([sys.executable, "-c", "import time; time.sleep(60)"], 0.3)["failed"]
    assert peer_train({"output": "hf-best        3.25 samples/s\n"}) == {"reviews_per_second": 3.25}


def test_medians_and_table() -> None:
    runs = {"a": [{"reviews_per_second": v, "mib": 10} for v in (1.0, 4.0, 2.0)], "b": [{"failed": "not done in 3 s"}]}
    table = medians(runs)
    assert table["a"]["reviews_per_second"] == 2.0 and table["b"] == {"failed": "not done in 3 s"}
    lines = show("T", table, "a").splitlines()
    assert "| a | 2.0 | 1.00 |" in lines[-2] and "not done in 3 s" in lines[-1]


@pytest.mark.slow
def test_training_speed_is_measured(tmp_path) -> None:
    """Both loops, over an encoder of the smallest size."""
    tiny = ["model.size.hidden_size=32", "model.size.layers=1", "model.size.heads=2", "model.size.intermediate_size=64"]
    for way in ("lightning", "bare"):
        words = ["benchmarks/train_speed.py", "mini", "data/sample/train.csv", "--rows", "64", "--way", way, *tiny]
        done = run(words, cwd=ROOT)
        assert done.returncode == 0, done.stderr
        result = json.loads(done.stdout.splitlines()[-1])
        assert result["tokens_per_second"] > result["reviews_per_second"] > 1
        assert 1 <= result["computed_per_token"] < 2


def test_the_table_and_the_plot_of_scale(tmp_path) -> None:
    """From the figures that are kept: a column a size, bytes for each review more, and a plot."""
    sizes = json.loads((ROOT / "benchmarks" / "scale.json").read_text())
    lines = table(sizes).splitlines()
    assert lines[0] == "| | 1,000 | 10,000 | 100,000 | 1,000,000 |"
    assert {line.count("|") for line in lines[2:]} == {6}
    more = (sizes[3]["train"]["mib"] - sizes[2]["train"]["mib"]) * 2**20 / 900_000
    assert lines[-1].endswith(f"| {more:.0f} |") and more < 400
    if find_spec("matplotlib"):
        plot(sizes, tmp_path / "scale.svg")
        assert (tmp_path / "scale.svg").read_text().startswith("<?xml")


def test_the_rows_of_scale_differ_and_all_count(tmp_path) -> None:
    reviews, _ = read_reviews(write_rows(tmp_path / "a.csv", 1_000))
    assert len(reviews) == len(set(reviews.texts)) == 1_000


SCRIPTS = sorted([*(ROOT / "benchmarks").glob("*.py"), *(ROOT / "examples").glob("*.py")])


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_what_a_script_takes_from_the_project_is_there(script) -> None:
    """Some scripts measure for hours, so that nobody runs them when a name moves."""
    for node in ast.walk(ast.parse(script.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in ("src", "visobert_absa", "train"):
            module = importlib.import_module(str(node.module))
            for name in node.names:
                found = hasattr(module, name.name) or find_spec(f"{node.module}.{name.name}")
                assert found, f"{node.module} has no {name.name}"
