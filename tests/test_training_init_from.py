"""init_from: another run's encoder, and the heads of the aspects and sentiments that both have."""

import shutil
from pathlib import Path

import pytest
import torch

from src.errors import UserError
from src.lit_module import AspectSentimentModule
from src.runs.run import Run
from src.training.init_from import Earlier, earlier
from tests.conftest import ROOT, TINY, train
from tests.tiny import ASPECTS, CONFIG, tiny_module

SOURCE = {"encoder": "mini", "pretrained": False, "attention_dropout": None, "compile": False}
SIZE = {"vocab_size": 10000, "hidden_size": 32, "layers": 1, "heads": 2, "intermediate_size": 64}


def other(aspects: list[str], **settings) -> AspectSentimentModule:
    torch.manual_seed(9)
    given = {"head_width": 8, "pooling": "label", **settings}
    return AspectSentimentModule(aspects, CONFIG, **given)


def test_heads_are_taken_by_name() -> None:
    old = tiny_module(pooling="label")
    torch.nn.init.normal_(old.classifier.queries)
    new = other(["Màn hình", "Camera", "Battery"], sentiments=["Negative", "mixed", "positive"])
    before = {name: value.clone() for name, value in new.classifier.named_parameters()}
    said = "\n".join(Earlier(old, ["runs/a", "0"]).take_heads(new))
    assert "Camera: kept" in said and "Battery: kept" in said and "Màn hình: new" in said
    assert "OTHERS: left out" in said and "the sentiment mixed: new" in said
    assert "the sentiment neutral: left out" in said
    a, b = old.classifier, new.classifier
    for now, was in ((1, ASPECTS.index("Camera")), (2, ASPECTS.index("Battery"))):
        assert torch.equal(b.mentioned.weight[now], a.mentioned.weight[was])
        assert torch.equal(b.mentioned.bias[now], a.mentioned.bias[was])
        assert torch.equal(b.queries[now], a.queries[was])
        for c, d in ((0, 1), (2, 0)):  # negative, positive
            assert torch.equal(b.sentiment.weight[3 * now + c], a.sentiment.weight[3 * was + d])
            assert torch.equal(b.sentiment.bias[3 * now + c], a.sentiment.bias[3 * was + d])
        assert torch.equal(b.sentiment.weight[3 * now + 1], before["sentiment.weight"][3 * now + 1])  # mixed
    assert torch.equal(b.sentiment.weight[:3], before["sentiment.weight"][:3])
    assert torch.equal(b.mentioned.weight[0], before["mentioned.weight"][0]) and not b.queries[0].any()
    assert torch.equal(b.trunk[0].weight, a.trunk[0].weight)


def test_a_name_is_the_same_however_its_letters_are_composed() -> None:
    old, new = other(["Ma\u0300n hi\u0300nh"]), other(["Màn hình"])
    assert "Màn hình: kept" in "\n".join(Earlier(old, ["a", "0"]).take_heads(new))


def test_a_run_of_sentiments_alone_gives_no_detection() -> None:
    old, new = other(["Pin"], task="sentiment"), other(["Pin"])
    assert "detection of the aspects: new" in "\n".join(Earlier(old, ["a", "0"]).take_heads(new))


def test_wrong_input_is_told_at_once(trained, tmp_path) -> None:
    run, module = str(trained[0]), {"pooling": "label", "head_width": 512}
    ours = Run(run).read_summary()["config"]["model"]
    module |= {key: ours[key] for key in module}
    assert earlier(run, None, module, SOURCE | {"size": SIZE}).origin[0] == run
    for given, told in ((str(tmp_path / "no"), "no such folder"), (str(tmp_path), "no summary.json")):
        with pytest.raises(UserError, match=told):
            earlier(given, None, module, SOURCE)
    with pytest.raises(UserError) as wrong:
        earlier(run, None, {**module, "pooling": "mean"}, SOURCE | {"size": {**SIZE, "hidden_size": 64}})
    pooling, shape = wrong.value.faults
    assert "model.pooling" in pooling and "hidden_size 32, not 64" in shape and "model.size.hidden_size=32" in shape
    with pytest.raises(UserError, match="its encoder is not model"):
        earlier(run, None, module, {**SOURCE, "pretrained": True})
    with pytest.raises(UserError, match="began without init_from"):
        earlier(run, Run(run).last, module, SOURCE | {"size": SIZE})
    broken = shutil.copytree(run, tmp_path / "broken")
    (broken / "checkpoints" / "best.ckpt").write_bytes(b"PK\3\4 and no more")
    with pytest.raises(UserError, match="init_from="):
        earlier(str(broken), None, module, SOURCE | {"size": SIZE})


def renamed(source: Path, target: Path) -> Path:
    """A file of the sample in which Battery is called Pin."""
    target.write_text(source.read_text(encoding="utf-8").replace(",Battery,", ",Pin,", 1), encoding="utf-8")
    return target


@pytest.mark.slow
def test_it_trains_and_goes_on_without_the_earlier_run(trained, tmp_path) -> None:
    earlier_run, sample = shutil.copytree(trained[0], tmp_path / "earlier"), ROOT / "data" / "sample"
    files = [renamed(sample / f"{name}.csv", tmp_path / f"{name}.csv") for name in ("train", "validation")]
    words = [*TINY, "data=table", f"data.train={files[0]}", f"data.val={files[1]}", f"init_from={earlier_run}"]
    words += [f"hydra.run.dir={tmp_path / 'run'}", "trainer.limit_train_batches=3"]
    done = train(*words, "trainer.max_epochs=1")
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    assert "Pin: new, begins fresh" in said and "Camera: kept" in said and "Battery: left out" in said
    shutil.rmtree(earlier_run)
    again = train(*words, "trainer.max_epochs=2", "ckpt_path=last")
    assert again.returncode == 0 and "begins fresh" not in again.stdout, again.stdout + again.stderr
    assert Run(tmp_path / "run").read_summary()["epochs"]["run"] == 2
    gone = train(*words[:-2], f"hydra.run.dir={tmp_path / 'new'}", "trainer.max_epochs=1")
    assert gone.returncode == 2 and "no such folder" in gone.stderr
