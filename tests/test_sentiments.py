"""Two and four sentiments, from the data file to the service's answer; runs of before the setting are still read."""

import csv
import itertools
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from src.cli import main
from src.errors import UserError
from src.judge.inference import load_best, load_run
from src.labels import SENTIMENTS
from src.runs.run import Run, named_labels
from src.ship.export import export_run
from src.ship.predictor import load_bundle
from src.training.checks import check_config
from src.training.summary import pairs_line
from tests.conftest import TINY
from tests.serving import running
from tests.test_config import composed
from train import train

SIZES = {"train": 96, "val": 48, "test": 48}
WORDS = {
    2: ("positive", "negative"),
    4: ("positive", "negative", "neutral", "conflict"),
}
PHRASES = {"positive": "tốt lắm", "negative": "tệ quá", "neutral": "bình thường", "conflict": "lúc tốt lúc tệ"}


def write_data(folder: Path, names: tuple[str, ...]) -> None:
    """Digits for four sentiments (0: not mentioned), words for two; every fourth review mentions nothing."""
    rng = np.random.default_rng(0)
    for split, size in SIZES.items():
        with (folder / f"{split}.csv").open("w", encoding="utf-8", newline="") as file:
            out = csv.writer(file)
            out.writerow(["text", "Pin", "Loa"])
            for i in range(size):
                said = dict(zip(("Pin", "Loa"), rng.integers(-1, len(names), 2), strict=True)) if i % 4 else {}
                text = ", ".join(f"{a.lower()} {PHRASES[names[c]]}" for a, c in said.items() if c >= 0)
                cells = [said.get(a, -1) + 1 for a in ("Pin", "Loa")]
                if len(names) == 2:
                    cells = [["", *names][cell] for cell in cells]
                out.writerow([f"{text or 'trời mưa'} {i}", *cells])


@pytest.fixture(scope="module", params=[2, 4])
def run(request, tmp_path_factory) -> tuple[Path, tuple[str, ...]]:
    """The folder of a run with so many sentiments, and their names; the data lie beside the run."""
    names = WORDS[request.param]
    folder = tmp_path_factory.mktemp(f"sentiments{len(names)}")
    write_data(folder, names)
    files = [f"data.{split}={folder / split}.csv" for split in SIZES]
    more = [f"data.sentiments=[{','.join(names)}]"]
    if len(names) == 4:
        more.append("data.values={0: null, 1: positive, 2: negative, 3: neutral, 4: conflict}")
    train([*TINY, "data=table", *files, *more, "trainer.max_epochs=2", f"hydra.run.dir={folder / 'run'}"])
    return folder, names


def test_training_and_its_summary(run) -> None:
    folder, names = run
    summary = Run(folder / "run").read_summary()
    assert Run(folder / "run").labels.sentiments == names and summary["labels"]["sentiments"] == list(names)
    assert np.shape(summary["class_counts"]) == (2, len(names))
    assert np.shape(summary["confusion"]["test"]) == (len(names), len(names))
    assert len(summary["loss"]["alpha"]) == len(names)
    splits = summary["data"]["splits"]
    assert {name: splits[name]["reviews"] for name in SIZES} == SIZES  # those that mention nothing are kept
    assert all(splits[name]["silent"] >= size // 4 for name, size in SIZES.items())
    module = load_best(Run(folder / "run"))
    assert module.labels.sentiments == names
    assert re.search(rf"positive \d+ .*{names[-1]} \d+", pairs_line(np.array(summary["class_counts"]), module.labels))
    ids = torch.tensor([[0, 10, 2]])
    assert module(ids, torch.ones_like(ids))["sentiment"].shape == (1, 2, len(names))


def test_evaluate_report_and_card(run, capsys) -> None:
    folder, names = run
    main(["evaluate", str(folder / "run")])
    judged = capsys.readouterr().out
    assert " mention no aspect), " in judged
    assert ("neutral_f1" in judged) == ("neutral" in names) and "tf-idf" in judged
    short = [name[:3] for name in names]
    assert all(f"{a}>{b}" in judged for a, b in itertools.product(short, short))
    main(["evaluate", str(folder / "run"), str(folder / "test.csv")])
    again = capsys.readouterr().out
    assert "test.csv: 48 reviews" in again and "  reviews that mention no aspect: " in again
    main(["report", str(folder / "run")])
    page = (folder / "run" / "report.html").read_text(encoding="utf-8")
    card = (folder / "run" / "README.md").read_text(encoding="utf-8")
    for name in names:
        assert re.search(rf'<th scope="col"[^>]*>(<[^>]*>)*{name}<', page) and name in card
    assert f"|---|{'---:|' * len(names)}\n" in card
    if len(names) == 2:
        assert "neutral" not in card


@pytest.mark.slow
def test_bundle_predict_and_service(run, tmp_path, capsys) -> None:
    folder, names = run
    bundle = export_run(folder / "run", tmp_path / "bundle")
    predictor = load_bundle(bundle)
    assert predictor.labels == Run(folder / "run").labels
    texts = [f"pin {PHRASES[name]}" for name in names]
    exact = load_run(folder / "run")
    answers = predictor.predict(texts, all_aspects=True)
    for one, other in zip(answers, exact.predict(texts, all_aspects=True), strict=True):
        assert one["aspects"].keys() == other["aspects"].keys()
        shares = [one["all"]["Pin"][name] for name in names]
        assert sum(shares) == pytest.approx(1, abs=1e-3)
        assert shares == pytest.approx([other["all"]["Pin"][name] for name in names], abs=1e-3)
    out = tmp_path / "answers.csv"
    main(["predict", str(bundle), str(folder / "test.csv"), "-o", str(out), "--all"])
    with out.open(encoding="utf-8-sig", newline="") as file:
        header, *rows = csv.reader(file)
    assert [c for c in header if c.startswith("Pin_")] == [
        *(f"Pin_{x}" for x in ("sentiment", "confidence", "mentioned")),
        *(f"Pin_{name}" for name in names),
    ]
    assert {row[header.index("Pin_sentiment")] for row in rows} <= {"", *names}
    with running(predictor) as service:
        assert json.loads(service.ask("GET", "/labels").body)["sentiments"] == list(names)
        answered = json.loads(service.post("/predict", {"texts": texts, "all": True}).body)["answers"]
        assert [a["all"]["Pin"].keys() for a in answered] == [{"mentioned": 0, **dict.fromkeys(names)}.keys()] * len(
            texts
        )


def test_a_checkpoint_of_before_the_setting_has_three(trained, tmp_path) -> None:
    shutil.copytree(trained[0], tmp_path / "run")
    run = Run(tmp_path / "run")
    (run.folder / "SHA256SUMS").unlink()
    checkpoint = torch.load(run.best, map_location="cpu", weights_only=True)
    del checkpoint["hyper_parameters"]["sentiments"], checkpoint["labels"]["sentiments"]
    torch.save(checkpoint, run.best)
    summary = json.loads((run.folder / "summary.json").read_text(encoding="utf-8"))
    del summary["labels"]["sentiments"], summary["config"]["data"]["sentiments"]
    del summary["config"]["data"]["unlabelled"]
    (run.folder / "summary.json").write_text(json.dumps(summary), encoding="utf-8")
    assert run.labels.sentiments == SENTIMENTS == load_best(run).labels.sentiments
    main(["evaluate", str(run.folder)])
    assert named_labels({"aspects": ["A"], "without_sentiment": []}).sentiments == SENTIMENTS


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            ["data.sentiments=[a,b]", "loss.alpha=[1,1.2,1.5]"],
            "loss.alpha=[1, 1.2, 1.5]: 3 numbers for 2 sentiments (a, b)",
        ),
        (["data.sentiments=[a]"], "data.sentiments: two to ten names are expected"),
        (["data.values={0: nothing}"], 'data.values: "0" is to mean "nothing", which is not one of positive, '),
        (["data.several=some"], 'data.several="some" is not one of positive, negative, neutral, mentioned'),
        (["data.unlabelled=no"], "data.unlabelled"),
        (["data.sentiments=[a,b]", "data.absent=neutral"], "data.absent=neutral: the sentiments are a, b"),
    ],
)
def test_settings_that_do_not_fit_are_refused_before_anything_is_read(tmp_path, given, message) -> None:
    with pytest.raises(UserError) as error:
        check_config(composed(tmp_path, *given))
    assert [fault for fault in error.value.faults if message in fault]
