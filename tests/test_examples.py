"""examples/ without their engines: the class that Ray makes, the function that Spark calls, the script of a queue.

tests/test_cluster.py has the engines.
"""

import importlib.util
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType

import pyarrow as pa
import pytest
from pyarrow import parquet

from tests.conftest import ROOT
from tests.engines import BAD, answered_by_absa, assert_same_answers, write_reviews

ROWS = 300


def example(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, ROOT / "examples" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def given(exported, tmp_path_factory) -> tuple[Path, pa.Table]:
    file = write_reviews(tmp_path_factory.mktemp("examples") / "in.parquet", ROWS)
    return file, answered_by_absa(exported, file)


def test_rays_class_answers_as_absa_predict_does(exported, given) -> None:
    file, expected = given
    worker = example("predict_ray").Answers(str(exported), "comment")
    tables = [worker(pa.Table.from_batches([b])) for b in parquet.read_table(file).to_batches(max_chunksize=70)]
    assert_same_answers(pa.concat_tables(tables), expected, ROWS)
    empty = parquet.read_table(file).slice(0, 0)
    assert worker(empty).schema == tables[0].schema


def test_sparks_function_answers_as_absa_predict_does(exported, given) -> None:
    """Also on batches without rows, and for a task without batches; the function goes to workers as a pickle."""
    file, expected = given
    module = example("predict_spark")
    function = module.answers(str(exported), "comment")
    batches = parquet.read_table(file).to_batches(max_chunksize=70)
    got = list(function(iter([batches[0].slice(0, 0), *batches])))
    assert all(isinstance(batch, pa.RecordBatch) for batch in got) and len({str(b.schema) for b in got}) == 1
    assert [b.num_rows for b in got] == [0, *(b.num_rows for b in batches)]
    assert_same_answers(pa.Table.from_batches(got), expected, ROWS)
    assert list(function(iter([]))) == []


@pytest.mark.parametrize("name", ["predict_ray", "predict_spark"])
def test_importing_an_example_takes_no_engine_and_no_torch(name) -> None:
    code = f"import sys; sys.path.insert(0, 'examples'); import src, {name}; print({{'torch', 'ray', 'pyspark'}} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout == "set()\n", done.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["BUNDLE", "in.parquet", "--id-column", "ID"], "--id-column ID: not among comment, stars, id, tags"),
        (["BUNDLE", "in.parquet", "--id-column", "stars"], f"--id-column stars: empty in {ROWS // 3} rows"),
        (["BUNDLE", "in.parquet", "--id-column", "id", "--text-column", "txt"], 'there is no column "txt"'),
        (["nowhere", "in.parquet", "--id-column", "id"], "neither a bundle"),
        (["BUNDLE", "in.parquet"], "--id-column"),
        (["BUNDLE", "gone.parquet", "--id-column", "id"], "gone.parquet"),
    ],
)
def test_a_mistake_is_one_message_before_ray_is_started(exported, given, capsys, monkeypatch, words, said) -> None:
    monkeypatch.chdir(given[0].parent)
    model, file, *more = [str(exported) if word == "BUNDLE" else word for word in words]
    monkeypatch.setattr(sys, "argv", ["predict_ray.py", model, file, "answers", *more])
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(SystemExit) as end:
        example("predict_ray").main()
    error = capsys.readouterr().err
    assert end.value.code == 2 and said in error and "Traceback" not in error


# --- the script ---


@pytest.fixture
def script(tmp_path):
    """Runs ``predict_shards.sh`` through bash, with this checkout's absa on the path."""
    (tmp_path / "bin").mkdir()
    absa = tmp_path / "bin" / "absa"
    absa.write_text(f'#!/bin/sh\nPYTHONPATH={ROOT} exec {sys.executable} -m src.cli "$@"\n', encoding="utf-8")
    absa.chmod(0o755)
    clean = {name: value for name, value in os.environ.items() if not name.startswith("SLURM_") and name != "PART"}
    clean["PATH"] = f"{absa.parent}{os.pathsep}{os.environ['PATH']}"

    def started(*words: object, **told: str) -> subprocess.Popen:
        command = ["bash", str(ROOT / "examples" / "predict_shards.sh"), *map(str, words)]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        return subprocess.Popen(command, cwd=tmp_path, env=clean | told, start_new_session=True, **pipes)

    return started


def ended(process: subprocess.Popen) -> tuple[int, str]:
    out, error = process.communicate(timeout=120)
    return process.returncode, out + error


def test_the_scripts_parts_are_what_absa_predict_writes_and_a_killed_one_goes_on(
    exported, given, script, tmp_path
) -> None:
    """One is killed once it has begun to write; the array is submitted again, also with a few of its numbers alone."""
    file, expected = given
    out = tmp_path / "answers"
    words = [3, exported, file, out, "--text-column", "comment"]
    assert ended(script(*words, SLURM_ARRAY_TASK_ID="1", SLURM_ARRAY_TASK_COUNT="3"))[0] == 0
    cut = script(*words, SLURM_ARRAY_TASK_ID="2")
    while not list(out.glob("part-00002*")):
        assert cut.poll() is None
        time.sleep(0.01)
    os.killpg(cut.pid, signal.SIGKILL)
    cut.communicate()
    kept = {path: path.read_bytes() for path in out.glob("part-00001*")}
    assert ended(script(*words, SLURM_ARRAY_TASK_ID="2", SLURM_ARRAY_TASK_COUNT="1"))[0] == 0
    assert ended(script(*words, PART="03"))[0] == 0
    status, said = ended(script(*words, PART="1"))
    assert status == 0 and "there already" in said
    assert {path: path.read_bytes() for path in kept} == kept and len(kept) == 2
    parts = sorted(out.glob("part-*.parquet"))
    assert [path.name for path in parts] == [f"part-0000{i}.parquet" for i in (1, 2, 3)]
    answered = pa.concat_tables([parquet.read_table(part) for part in parts])
    for name in expected.schema.names:
        assert repr(answered[name].to_pylist()) == repr(expected[name].to_pylist()), name
    errors = "".join(path.read_text(encoding="utf-8") for path in sorted(out.glob("*.errors.jsonl")))
    assert len(errors.splitlines()) == ROWS - expected.num_rows == -(-ROWS // 17) and len(BAD) == 4


@pytest.mark.parametrize(
    ("words", "told", "said"),
    [
        ([], {"PART": "1"}, "usage: predict_shards.sh PARTS MODEL INPUT FOLDER"),
        ([2, "bundle", "in.parquet", "out"], {}, "sbatch --array=1-2"),
        ([2, "bundle", "in.parquet", "out"], {"PART": "x"}, "a number from 1 to 2"),
        ([2, "BUNDLE", "FILE", "out"], {"SLURM_ARRAY_TASK_ID": "0"}, "parts are counted from 1"),
        ([2, "BUNDLE", "FILE", "out"], {"PART": "3"}, "1/2 to 2/2"),
    ],
)
def test_what_the_script_cannot_do_ends_with_status_2(exported, given, script, tmp_path, words, told, said) -> None:
    words = [{"BUNDLE": exported, "FILE": given[0]}.get(word, word) for word in words]
    status, printed = ended(script(*words, **told))
    assert status == 2 and said in printed and "Traceback" not in printed
    assert not list(tmp_path.glob("out/part*"))
