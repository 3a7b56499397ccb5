"""What other people's programs import: its names, its Arrow batches, its pickles, and what importing it costs."""

import json
import pickle
import re
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

import src
from src.cli import main
from src.errors import UserError
from src.ship.predictor import load, load_bundle
from tests.conftest import ROOT, TINY

TEXTS = ["Pin trâu", None, " ", "Máy đẹp, camera mờ", "pin tệ " * 400]


@pytest.fixture(scope="module")
def predictor(exported):
    return load(exported, threads=1)


def test_every_public_name_is_there_and_on_the_page() -> None:
    page = (ROOT / "docs" / "python.md").read_text(encoding="utf-8")
    listed = {name for row in re.findall(r"^\| (`.*?) \|", page, re.M) for name in re.findall(r"`(\w+)", row)}
    assert listed == set(src.__all__) == set(src.PUBLIC)
    assert all(callable(getattr(src, name)) for name in src.__all__)
    with pytest.raises(AttributeError, match="nothing"):
        src.nothing  # noqa: B018


def test_importing_and_loading_take_no_torch_and_little_time(exported) -> None:
    """Best of three: half a second is the promise, on a machine with other tests twice that."""
    code = f"""
import sys, time
import src
assert not {{"numpy", "tokenizers", "onnxruntime", "torch"}} & set(sys.modules)
src.train, src.Run
assert not {{"torch", "hydra", "sklearn"}} & set(sys.modules)
from src import load
began = time.perf_counter()
load({str(exported)!r}, threads=1)
print(time.perf_counter() - began)
assert "torch" not in sys.modules and "pyarrow" not in sys.modules and "huggingface_hub" not in sys.modules
"""
    took = []
    for _ in range(3):
        done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        took.append(float(done.stdout))
    assert min(took) < 1.0


@pytest.mark.parametrize("more", [[], ["--all"]])
def test_a_batch_has_the_columns_of_the_parquet_file(exported, predictor, tmp_path, more) -> None:
    """Value for value, those of the rows that are answered; the reasons are those of the errors' file."""
    table = pa.table({"id": range(5), "line": list("abcde"), "text": TEXTS, "Battery_sentiment": [0.5] * 5})
    parquet.write_table(table, tmp_path / "in.parquet")
    with pytest.raises(SystemExit):
        main(["predict", str(exported), str(tmp_path / "in.parquet"), "-o", str(tmp_path / "out.parquet"), *more])
    written = parquet.read_table(tmp_path / "out.parquet")
    (batch,) = table.to_batches()
    answered = predictor.predict_arrow(batch, all_aspects=bool(more))
    assert answered.schema == predictor.arrow_schema(batch.schema, all_aspects=bool(more))
    assert answered.schema.names == [*written.schema.names, "reason"]
    good = answered.filter(answered.column("reason").is_null())
    assert pa.Table.from_batches([good]).drop(["reason"]).cast(written.schema) == written
    errors = [json.loads(line) for line in (tmp_path / "out.errors.jsonl").read_text(encoding="utf-8").splitlines()]
    told = zip(answered.column("line_2").to_pylist(), answered.column("reason").to_pylist(), strict=True)
    assert [(e["line"], e["reason"]) for e in errors] == [pair for pair in told if pair[1]]
    assert answered.column("text").to_pylist() == TEXTS


def test_batches_and_tables_and_pieces_say_the_same(predictor, monkeypatch) -> None:
    table = pa.table({"text": TEXTS * 3, "reason": ["why"] * 15})
    whole = predictor.predict_arrow(table)
    with monkeypatch.context() as few:
        few.setattr("src.answers.arrow.HELD_ROWS", 4)
        assert predictor.predict_arrow(table) == whole
    batches = table.to_batches(max_chunksize=4)
    assert predictor.predict_arrow(pa.Table.from_batches(batches)).combine_chunks() == whole.combine_chunks()
    pieces = [predictor.predict_arrow(b, first_line=1 + 4 * i) for i, b in enumerate(batches)]
    assert pa.Table.from_batches(pieces).combine_chunks() == whole.combine_chunks()
    assert whole.schema.names[-1] == "reason_2" and whole.column("reason").to_pylist() == ["why"] * 15
    without = predictor.predict_arrow(batches[1], first_line=None)
    assert without.schema == predictor.arrow_schema(table.schema, first_line=None)
    assert without.drop_columns(["reason_2"]) == pieces[1].drop_columns(["line", "reason_2"])
    empty = predictor.predict_arrow(table.schema.empty_table())
    assert empty.num_rows == 0 and empty.schema == whole.schema


HALF = b"\xed\xa0\xbd"  # half a surrogate pair, as careless programs write it


@pytest.mark.parametrize(
    ("texts", "reasons"),
    [
        (pa.array([1, None]), ['"text" holds 1, a text is expected', "the text is empty"]),
        (pa.array([b"a", None]), ['"text" holds a bytes, a text is expected', "the text is empty"]),
        (pa.array([b"a"], pa.binary_view()), ['"text" holds a bytes, a text is expected']),
        (pa.array([["a"], []]), ['"text" holds a list, a text is expected'] * 2),
        (pa.array([{"a": 1}]), ['"text" holds a dict, a text is expected']),
        (pa.nulls(2), ["the text is empty"] * 2),
        (pa.array([HALF, b"Pin tr\xff", b"pin"]).view(pa.string()), ["not UTF-8", "not UTF-8", ""]),
        (pa.array(["pin", None, "pin"]).dictionary_encode(), ["", "the text is empty", ""]),
        (pa.array(["pin", None], pa.string_view()), ["", "the text is empty"]),
        (pa.array(["pin", "\u200b", "x" * (2**24 + 1)], pa.large_string()), ["", "", "longer than 16 MiB"]),
        (pa.array(["-", "\t\n", "pin"]).slice(1), ["the text is empty", ""]),
    ],
    ids=str,
)
def test_a_row_without_an_answer_has_its_reason(predictor, texts, reasons) -> None:
    answered = predictor.predict_arrow(pa.record_batch({"text": texts}))
    told = answered.column("reason").to_pylist()
    for reason, said in zip(reasons, told, strict=True):
        assert (reason in said) if reason else said is None
    assert [w is None for w in answered.column("windows").to_pylist()] == [bool(reason) for reason in reasons]


@pytest.mark.parametrize(
    ("batch", "given", "told"),
    [
        (pa.record_batch({"a": ["x"]}), {}, r"no column of texts among a .*text_column="),
        (pa.record_batch({"text": ["x"]}), {"text_column": "txet"}, 'there is no column "txet".*did you mean "text"'),
        (pa.record_batch([["x"], ["y"]], ["text", "text"]), {}, "several columns are called text"),
        ({"text": ["x"]}, {}, "expected a RecordBatch or a Table of pyarrow, got dict"),
    ],
    ids=["none", "another", "twice", "dict"],
)
def test_what_is_wrong_with_a_whole_batch_is_one_message(predictor, batch, given, told) -> None:
    with pytest.raises(UserError, match=told):
        predictor.predict_arrow(batch, **given)


def test_a_single_text_is_not_taken_for_its_letters(predictor) -> None:
    with pytest.raises(UserError, match="a list of texts"):
        predictor.predict("Pin trâu")
    assert predictor.predict(iter(["Pin trâu"])) == predictor.predict(["Pin trâu"])


def test_it_pickles_as_path_and_options(exported, tmp_path, monkeypatch) -> None:
    """Another process, with another working directory, loads the model itself."""
    monkeypatch.chdir(exported.parent)
    predictor = load(exported.name, threads=1)
    monkeypatch.chdir(tmp_path)
    pickled = pickle.dumps(predictor)
    assert len(pickled) < 1000
    assert pickle.loads(pickled)._threads == 1
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        assert pool.submit(predictor.predict, ["Pin trâu"]).result() == predictor.predict(["Pin trâu"])
    with pytest.raises(TypeError, match="cannot be pickled"):
        pickle.dumps(load_bundle(exported))


@pytest.mark.parametrize("given", [{"threads": 0}, {"threads": "2"}, {"revision": "main"}])
def test_options_that_do_not_fit_are_refused(exported, given) -> None:
    with pytest.raises(UserError, match=next(iter(given))):
        load(exported, **given)
    with pytest.raises(UserError, match="neither a bundle"):
        load(Path("nowhere"))


# --- training and judging ---


def examples(title: str) -> str:
    """The blocks of a section of docs/python.md."""
    sections = re.split(r"^## ", (ROOT / "docs" / "python.md").read_text(encoding="utf-8"), flags=re.M)
    (text,) = (part for part in sections if part.startswith(f"{title}\n"))
    return "\n".join(re.findall(r"```python\n(.*?)```", text, re.S))


@pytest.mark.slow
def test_the_examples_of_training_and_judging_run_outside_the_checkout(tmp_path, monkeypatch, capsys) -> None:
    """With a tinier encoder than they name, as they train in earnest."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "labelled.csv").write_bytes((ROOT / "data" / "sample" / "test.csv").read_bytes())
    code = examples("Training") + examples("Judging")
    smaller = code.replace('"model=mini", ', "".join(f"{word!r}, " for word in TINY))
    assert smaller != code and "evaluate" in code
    names: dict = {}
    exec(smaller, names)
    run, judged = names["run"], names["judged"]
    assert run.folder.is_relative_to(tmp_path / "outputs") and run.read_summary()["overrides"][: len(TINY)] == TINY
    assert {"loss=focl", "trainer.max_epoch"} <= set(
        re.findall(r"loss=focl|trainer\.max_epoch\b", capsys.readouterr().out)
    )
    assert json.loads(json.dumps(judged)) == judged, "plain data"
    figures = run.read_summary()["figures"]["test"]
    assert figures == pytest.approx({name: judged["all"]["figures"]["model"][name] for name in figures})
    elsewhere = names["elsewhere"]["all"]["figures"]["model"]
    assert elsewhere["pair_f1"] == pytest.approx(figures["pair_f1"], abs=1e-6), "the same reviews"


def test_the_examples_of_the_loss_run() -> None:
    exec(examples("The loss"), {})


def test_a_mistake_in_judging_is_one_message(tmp_path, trained) -> None:
    with pytest.raises(UserError, match=r"no summary\.json, so it is no finished run"):
        src.Run(tmp_path).evaluate()
    with pytest.raises(UserError, match="no summary"):
        src.Run(tmp_path).evaluate("x.csv")
    with pytest.raises(UserError, match="text_column says how a file is read, and there is no file"):
        src.Run(trained[0]).evaluate(text_column="x")
    with pytest.raises(UserError, match="there is no such file"):
        src.Run(trained[0]).evaluate(tmp_path / "x.csv")


def test_another_module_called_train_is_left_alone(tmp_path) -> None:
    """A user's own train.py, in whose folder the call is made, and this project's are two programs."""
    (tmp_path / "train.py").write_text("mine = 1", encoding="utf-8")
    code = f"""
import sys
sys.path.append({str(ROOT)!r})
import train as mine, src
try:
    src.train(["loss=focl"])
except src.UserError as error:
    print(error)
import train
assert train is mine and train.mine
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert "loss=focl: no such choice" in done.stdout, done.stderr
