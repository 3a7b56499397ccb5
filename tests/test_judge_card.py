"""The model card: what the hub reads, and the figures of the summary."""

import re
import shutil

import pytest
import yaml
from huggingface_hub import ModelCard

from src.judge.card import as_markdown, code, write_card
from src.runs.run import Run
from tests.judging import change_summary, make_run


@pytest.fixture(scope="module")
def written(trained, tmp_path_factory) -> tuple[Run, str]:
    run = Run(shutil.copytree(trained[0], tmp_path_factory.mktemp("carded") / "run"))
    return run, write_card(run.folder).read_text(encoding="utf-8")


def test_the_hub_reads_it(written) -> None:
    run, text = written
    card = ModelCard(text)
    assert card.data.language == "vi" and card.data.pipeline_tag == "text-classification"
    assert card.data.base_model is None  # an encoder of our own is none of the hub
    results = {r.metric_name: r.metric_value for r in card.data.eval_results}
    assert results == run.read_summary()["figures"]["test"]
    assert yaml.safe_load(text.split("---")[1])["model-index"][0]["results"][0]["dataset"]["split"] == "test"


def test_it_tells_figures_thresholds_counts_limits_command_and_versions(written) -> None:
    run, text = written
    summary = run.read_summary()
    for name, value in summary["figures"]["test"].items():
        assert re.search(rf"^\| `{name}` \| {value:.4f} \| \d\.\d+ to \d\.\d+ \|", text, re.M)
    for row, threshold in zip(summary["per_aspect"]["test"], summary["thresholds"]["per_aspect"], strict=True):
        assert f"| {as_markdown(row['aspect'])} | {row['mentioned']} | {threshold:.4f} |" in text
    assert "356 positive, 326 negative, 137 neutral" in text
    assert "python train.py model=mini" in text and summary["environment"]["packages"]["torch"] in text
    assert "random weights" in text and "## Limits" in text and "Too few test reviews" in text
    assert not re.search(r"\b(NaN|Unknown|None)\b", text)
    assert "\n\n\n\n" not in text


@pytest.mark.parametrize("task", ["absa", "sentiment"])
def test_a_run_without_test_split(tmp_path, task) -> None:
    folder = make_run(tmp_path / "run", task=task)
    change_summary(folder, figures={"val": {}})
    text = write_card(folder).read_text(encoding="utf-8")
    assert "On the validation split: 80 reviews" in text and "flatter the model" in text
    assert ("| threshold |" in text) == (task == "absa")
    tables = [block.splitlines() for block in re.findall(r"(?:^\|.*\n)+", text, re.M)]
    assert len(tables) == 4
    assert all(len({line.count("|") for line in table}) == 1 for table in tables)


def test_a_pretrained_encoder_of_the_hub_is_the_base_model(tmp_path) -> None:
    folder = make_run(tmp_path / "run")
    change_summary(folder, encoder={"name": "uitnlp/visobert", "weights": "pre-trained", "pretrained": True})
    card = ModelCard(write_card(folder).read_text(encoding="utf-8"))
    assert card.data.base_model == "uitnlp/visobert" and "random weights" not in card.text


def test_names_cannot_break_the_markup() -> None:
    assert as_markdown("a|b\n<c> [d](e) `f`") == "a\\|b &lt;c&gt; \\[d\\](e) \\`f\\`"
    assert code("a`b|c") == "`` a`b\\|c ``"
