"""Export: the ONNX graph decides as torch does, or nothing is written."""

import json
import re
import shutil
import subprocess
import sys

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from src.answers.figures import evaluate, figures
from src.answers.predictions import Predictions, read_predictions
from src.answers.predictor import Predictor
from src.cli import main
from src.data.reviews import read_reviews
from src.errors import UserError
from src.judge.inference import load_best
from src.runs.run import Run
from src.ship import export
from src.ship.bundle import INFO, read_whole, refuse_other
from src.ship.graph import quantise, to_onnx
from src.ship.predictor import load_bundle
from src.tokens.tokenizer import from_json
from tests.conftest import ROOT
from tests.tiny import tiny_module


@pytest.fixture
def quick(exported, monkeypatch) -> None:
    """Take the graph that was exported before: making it takes ten seconds."""
    monkeypatch.setattr(export, "to_onnx", lambda module, path: shutil.copy(exported / "model.onnx", path))


# --- the graph ---


def compare(module, session: ort.InferenceSession, batch: int, tokens: int) -> None:
    torch.manual_seed(batch * tokens)
    ids, mask = torch.randint(4, 60, (batch, tokens)), torch.ones(batch, tokens, dtype=torch.int64)
    if batch > 1 and tokens > 2:
        ids[1, tokens // 2 :], mask[1, tokens // 2 :] = 1, 0
    with torch.inference_mode():
        want = module(ids, mask)
    got = session.run(list(want), {"input_ids": ids.numpy(), "attention_mask": mask.numpy()})
    for head, logits in zip(want, got, strict=True):
        np.testing.assert_allclose(logits, want[head].numpy(), atol=1e-5, err_msg=head)


@pytest.mark.parametrize(("batch", "tokens"), [(1, 2), (1, 3), (1, 256), (2, 2), (32, 41), (32, 256)])
def test_batch_and_length_are_dynamic(exported, trained, batch, tokens) -> None:
    session = ort.InferenceSession(exported / "model.onnx")
    for given in session.get_inputs():
        assert given.type == "tensor(int64)" and all(isinstance(d, str) for d in given.shape)
    compare(load_best(Run(trained[0])), session, batch, tokens)


LABEL = pytest.param("label", "absa", marks=pytest.mark.slow)  # as ``exported``, which is compared above


@pytest.mark.slow
@pytest.mark.parametrize(("pooling", "task"), [("cls", "absa"), LABEL, ("pooler", "sentiment")])
def test_every_pooling_and_task_exports(pooling, task, tmp_path) -> None:
    module = tiny_module(pooling=pooling, task=task).eval()
    last = module.classifier.encoder.encoder.layer[-1]
    to_onnx(module, tmp_path / "model.onnx")
    assert module.classifier.encoder.encoder.layer[-1] is last  # FirstToken stood in for it, and has gone
    session = ort.InferenceSession(tmp_path / "model.onnx")
    assert [o.name for o in session.get_outputs()] == list(module.heads)
    for batch, tokens in ((1, 2), (1, 64), (32, 9)):
        compare(module, session, batch, tokens)


# --- the bundle ---


def test_what_a_bundle_holds(exported, trained) -> None:
    assert {p.name for p in exported.iterdir()} == {
        *("model.onnx", "tokenizer.json", "bundle.json", "README.md", "training_texts.npy")
    }
    info, summary = read_whole(exported)[0], Run(trained[0]).read_summary()
    for key in ("task", "labels", "thresholds", "calibration"):
        assert info[key] == summary[key]
    assert info["figures"]["test"] == summary["figures"]["test"]
    assert info["agreement"]["texts"] == 64
    assert info["agreement"]["largest_difference"] < 1e-5
    assert info["versions"]["onnxruntime"] == ort.__version__
    card = (exported / "README.md").read_text(encoding="utf-8")
    assert card.startswith("---\n") and "\nlanguage: vi\n" in card and "## This bundle" in card


def test_the_texts_range_from_one_token_to_the_longest(trained) -> None:
    run = Run(trained[0])
    predictor = from_json(load_best(run).tokenizer_json or "", 256)
    texts = read_predictions(run.predictions("val"), run.labels).texts
    chosen = export.sample(predictor, texts)
    lengths = [len(predictor.encode(text)) for text in chosen]
    assert len(chosen) == 64
    assert lengths[0] == 3  # <s>, one token, </s>
    assert max(lengths) == max(len(predictor.encode(text)) for text in texts)
    shapes = [ids.shape[0] for ids, _ in export.token_batches(predictor, chosen, 1)]
    assert shapes == [1] * 64 + [32, 32]


# --- refusals ---


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("harm", ["logits", "decision", "nan", "nan that decides nothing"])
def test_disagreement_writes_nothing(trained, tmp_path, monkeypatch, harm) -> None:
    honest = export.references

    def harmed(*given):
        found = honest(*given)
        if harm == "decision":  # by less than a logit may differ
            monkeypatch.setattr(export, "TOLERANCE", 100.0)
            found[5]["sentiment"] = -found[5]["sentiment"]
        else:
            where = found[64]["mentioned"]
            where[3, 1 if harm != "nan that decides nothing" else where[3].argmin()] += (
                2e-4 if harm == "logits" else np.nan
            )
        return found

    monkeypatch.setattr(export, "references", harmed)
    with pytest.raises(UserError, match="ONNX and torch disagree"):
        export.export_run(trained[0], tmp_path / "bundle")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("quick")
def test_int8_comes_with_its_measured_change(trained, exported, tmp_path) -> None:
    out = export.export_run(trained[0], tmp_path / "bundle", int8=True, max_drop=100)
    info, run = read_whole(out)[0], Run(trained[0])
    assert info["precision"] == "int8"
    assert (out / "model.onnx").stat().st_size < 0.6 * (exported / "model.onnx").stat().st_size
    told = info["figures"]["int8"]
    predictor, stored = load_bundle(out), read_predictions(run.predictions("val"), run.labels)
    stored.mentioned_logits, stored.sentiment_logits = (np.round(x, 5) for x in predictor.logits(stored.texts))
    again = figures(evaluate(stored, predictor.decisions.thresholds), run.labels, "absa")
    assert told["int8"] == pytest.approx({k: float(v) for k, v in again.items()})
    assert told["fp32"] == run.read_summary()["figures"]["val"]
    assert not told["by_token"] and "scale of its own" not in (out / "README.md").read_text(encoding="utf-8")
    assert told["change"]["pair_f1"] == pytest.approx(told["int8"]["pair_f1"] - told["fp32"]["pair_f1"])
    assert "| pair_f1 |" in (out / "README.md").read_text(encoding="utf-8")
    texts = stored.texts[:20]
    assert [predictor.predict([text])[0] for text in texts] == predictor.predict(texts)


def product(path, matrix) -> None:
    """An ONNX file: ``x`` float32 [B, T, H] times ``matrix`` float32 [H, K] is ``y``."""
    shapes = ("x", ["batch", "tokens", matrix.shape[0]]), ("y", ["batch", "tokens", matrix.shape[1]])
    takes, gives = (helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes)
    weights = [numpy_helper.from_array(matrix, "w")]
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"], "product")], "g", [takes], [gives], weights
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10), path)


def test_with_scales_of_their_own_tokens_lose_nothing_to_one_of_large_numbers(tmp_path) -> None:
    generator = np.random.default_rng(0)
    matrix, x = (generator.normal(size=shape).astype(np.float32) for shape in ((64, 96), (1, 9, 64)))
    x[0, 0, 5], x[0, 3] = 300.0, 0.0
    errors = {}
    for by_token in (False, True):
        product(tmp_path / "m.onnx", matrix)
        quantise(tmp_path / "m.onnx", by_token)
        session = ort.InferenceSession(tmp_path / "m.onnx")
        got = session.run(["y"], {"x": x})[0][0]
        want = x[0] @ matrix
        wrong = np.linalg.norm(got - want, axis=1) / np.maximum(np.linalg.norm(want, axis=1), 1e-9)
        assert not got[3].any() and wrong[0] < 0.1
        errors[by_token] = np.delete(wrong, [0, 3])
    assert errors[True].max() < 0.03 and errors[False].min() > 0.2


def test_a_square_matrix_keeps_one_scale(tmp_path) -> None:
    for by_token in (False, True):
        product(tmp_path / f"{by_token}.onnx", np.eye(8, dtype=np.float32))
        quantise(tmp_path / f"{by_token}.onnx", by_token)
    one, other = (onnx.load(tmp_path / f"{by_token}.onnx").graph.node for by_token in (False, True))
    assert [node.op_type for node in one] == [node.op_type for node in other]


@pytest.mark.usefixtures("quick")
def test_tokens_get_scales_of_their_own_only_where_int8_costs_too_much(trained, tmp_path, monkeypatch) -> None:
    real, asked = export.change, []

    def costly(predictor, measured):
        asked.append(predictor)
        found = real(predictor, measured)
        found["change"]["pair_f1"] = -0.0084 if len(asked) == 1 else -0.001
        return found

    monkeypatch.setattr(export, "change", costly)
    out = export.export_run(trained[0], tmp_path / "bundle", int8=True)
    told = read_whole(out)[0]["figures"]["int8"]
    assert told["by_token"] and told["drops"] == pytest.approx([0.84, 0.1]) and len(asked) == 2
    card = (out / "README.md").read_text(encoding="utf-8")
    assert "each token has a scale of its own" in card and "fell by 0.84 points, and 0.5 were allowed" in card
    predictor = load_bundle(out)
    texts = read_predictions(Run(trained[0]).predictions("val"), predictor.labels).texts[:20]
    assert [predictor.predict([text])[0] for text in texts] == predictor.predict(texts)


@pytest.mark.usefixtures("quick")
def test_int8_that_costs_too_much_writes_nothing(trained, tmp_path, monkeypatch) -> None:
    def ruined(self, texts):
        a = len(self.labels.aspects)
        return np.full((len(texts), a), -9.0), np.zeros((len(texts), a, 3))

    monkeypatch.setattr(Predictor, "logits", ruined)
    with pytest.raises(UserError, match=r"int8 lowers pair_f1 .* --max-drop allows 0\.5"):
        export.export_run(trained[0], tmp_path / "bundle", int8=True)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("drop", [-1.0, float("nan"), float("inf")])
def test_a_bound_that_is_none_is_refused(trained, tmp_path, drop) -> None:
    with pytest.raises(UserError, match="--max-drop"):
        export.export_run(trained[0], tmp_path / "bundle", int8=True, max_drop=drop)


def test_int8_without_what_to_measure_it_on_is_found_before_the_export(trained, tmp_path, monkeypatch) -> None:
    run = tmp_path / "run"
    shutil.copytree(trained[0], run, ignore=shutil.ignore_patterns("val.jsonl"))
    monkeypatch.setattr(export, "load_best", lambda _: pytest.fail("the export has begun"))
    with pytest.raises(UserError, match=r"val\.jsonl"):
        export.export_run(run, tmp_path / "bundle", int8=True)


# --- the command ---


@pytest.mark.usefixtures("quick")
def test_the_command_prints_where_the_bundle_is(trained, tmp_path, capsys) -> None:
    main(["export", str(trained[0]), "-o", str(tmp_path / "bundle")])
    assert capsys.readouterr().out.strip() == str(tmp_path / "bundle")
    assert json.loads((tmp_path / "bundle" / "bundle.json").read_text())["precision"] == "fp32"


def test_a_folder_that_is_no_run_ends_in_one_line(tmp_path, capsys) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["export", str(tmp_path), "-o", str(tmp_path / "bundle")])
    assert stop.value.code == 2
    assert "it is no finished run" in capsys.readouterr().err


def test_without_torch_one_line_says_what_to_install(tmp_path) -> None:
    code = "import sys; sys.modules['torch'] = None\nfrom src.cli import main\nmain(['export', 'run', '-o', 'out'])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr == "error: torch is not installed; pip install '.[train]'\n"


def test_another_runs_bundle_is_replaced_when_asked_to(trained, exported, tmp_path) -> None:
    """Refused before anything is computed; the run's own bundle, and one of before the checkpoint's hash, is no other's."""
    info = json.loads((exported / INFO).read_text(encoding="utf-8"))
    out = tmp_path / "bundle"
    shutil.copytree(exported, out)
    refuse_other(out, info)
    for change in ({"checkpoint": "0" * 64}, {"checkpoint": None, "figures": {}}):
        (out / INFO).write_text(
            json.dumps({k: v for k, v in (info | change).items() if v is not None}), encoding="utf-8"
        )
        with pytest.raises(UserError, match=r"holds the bundle of another run; --overwrite replaces it"):
            export.export_run(trained[0], out)
    (out / INFO).write_text(json.dumps({k: v for k, v in info.items() if k != "checkpoint"}), encoding="utf-8")
    refuse_other(out, info)
    refuse_other(tmp_path / "new", info)


def test_a_bundle_is_judged_on_a_file(exported, tmp_path, capsys) -> None:
    """What is shipped: its figures are those of its own answers; its training texts are known to it."""
    file = ROOT / "data" / "sample" / "train.csv"
    main(["evaluate", str(exported), str(file)])
    printed = capsys.readouterr().out
    predictor = load_bundle(exported)
    reviews, _ = read_reviews(file, aspects=predictor.labels.aspects)
    mentioned, sentiment = predictor.logits(list(reviews.texts))
    p = Predictions([], [], reviews.mentioned, reviews.sentiment.astype(int), sentiment, mentioned)
    expected = figures(evaluate(p, predictor.decisions.thresholds), predictor.labels, "absa")["pair_f1"]
    assert re.search(rf"pair_f1 +{expected:.4f} ", printed) and "Weights: fp32." in printed
    assert f"WARNING: {len(reviews):,} of these {len(reviews):,} texts were trained on (100.0 %)" in printed
    with pytest.raises(SystemExit) as end:
        main(["evaluate", str(exported)])
    assert end.value.code == 2 and "a bundle holds no test split; name a labelled file" in capsys.readouterr().err
