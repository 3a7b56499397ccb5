"""absa predict: every format in and out, nothing of the input lost, every mistake said before the model is loaded."""

import csv
import datetime
import gzip
import json
import os
import subprocess
import sys
import time
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from src.answers.predictor import Predictor
from src.cli import main
from src.ship.predictor import load_bundle
from tests.conftest import ROOT

TEXTS = ["Pin trâu, camera đẹp 😍", 'giao hàng "chậm",\nđóng gói ẩu', "</s> ổn\0", "tốt " * 2000]


@pytest.fixture(scope="module")
def predictor(exported) -> Predictor:
    return load_bundle(exported)


def predict(*words: object) -> int:
    try:
        main(["predict", *map(str, words)])
    except SystemExit as end:
        return int(end.code or 0)
    return 0


def jsonl(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n")[:-1]]


def write_input(path: Path, texts: list[str] = TEXTS) -> Path:
    rows = [{"id": f"r{i}", "text": text, "stars": str(i)} for i, text in enumerate(texts)]
    if path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    elif path.suffix == ".parquet":
        parquet.write_table(pa.Table.from_pylist(rows), path, row_group_size=3)
    else:
        with path.open("w", encoding="utf-8-sig", newline="") as file:
            writer = csv.DictWriter(file, ["id", "text", "stars"], delimiter="\t" if path.suffix == ".tsv" else ",")
            writer.writeheader()
            writer.writerows(rows)
    return path


# --- the same answers from and to every format ---


@pytest.mark.parametrize("name", ["in.csv", "in.tsv", "in.jsonl", "in.parquet"])
def test_answers_are_the_predictors_and_every_column_is_kept(name, exported, predictor, tmp_path, capsys) -> None:
    file = write_input(tmp_path / name)
    assert predict(exported, file, "-o", tmp_path / "out.jsonl", "--all") == 0
    found = jsonl(tmp_path / "out.jsonl")
    lines = {"in.jsonl": [1, 2, 3, 4], "in.parquet": [1, 2, 3, 4]}.get(name, [2, 3, 5, 6])
    for i, answer in enumerate(predictor.predict(TEXTS, all_aspects=True)):
        assert found[i] == {"id": f"r{i}", "text": TEXTS[i], "stars": str(i), "line": lines[i], **answer}
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([name, "out.jsonl"])
    said = capsys.readouterr()
    assert said.out == "" and len(said.err.splitlines()) == 1 and "4 reviews answered" in said.err


@pytest.mark.parametrize("name", ["in.csv", "in.jsonl", "in.parquet"])
@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_tables(name, form, exported, predictor, tmp_path) -> None:
    file = write_input(tmp_path / name)
    assert predict(exported, file, "-o", tmp_path / f"out.{form}", "--all") == 0
    if form == "csv":
        raw = (tmp_path / "out.csv").read_bytes()
        assert raw.startswith(b"\xef\xbb\xbf")  # for Excel
        with (tmp_path / "out.csv").open(encoding="utf-8-sig", newline="") as opened:
            found = list(csv.DictReader(opened))
    else:
        found = parquet.read_table(tmp_path / "out.parquet").to_pylist()
    said = {str: str, float: float, type(None): lambda _: None if form == "parquet" else ""}
    for row, text, answer in zip(found, TEXTS, predictor.predict(TEXTS, all_aspects=True), strict=True):
        assert list(row)[:4] == ["id", "text", "stars", "line"] and row["text"] == text
        for aspect in predictor.labels.aspects:
            one = answer["aspects"].get(aspect, {"sentiment": None, "confidence": None})
            for column, value in one.items():
                got = row[f"{aspect}_{column}"]
                got = float(got) if isinstance(value, float) else got
                assert got == said[type(value)](value)
            every = {k: v for k, v in answer["all"][aspect].items() if v is not None}
            assert {k: float(row[f"{aspect}_{k}"]) for k in every} == every


def test_a_mention_without_sentiment_stands_in_the_table(exported) -> None:
    from src.answers.table import Table
    from src.labels import Labels

    table = Table(Labels(("Pin", "Khác"), ("Khác",)), "absa", True, ["Pin_sentiment"])
    assert [name for name, _ in table.fields] == [
        *("line", "windows", "cut", "Pin_sentiment_2", "Pin_confidence", "Khác_sentiment", "Khác_confidence"),
        *("Pin_mentioned", "Pin_positive", "Pin_negative", "Pin_neutral", "Khác_mentioned"),
    ]
    three = {"positive": 0.1, "negative": 0.2, "neutral": 0.7}
    answer = {
        "aspects": {"Khác": {"sentiment": None, "confidence": 0.9, "mentioned": 0.9}},
        "all": {
            "Pin": {"mentioned": 0.3, **three},
            "Khác": {"mentioned": 0.9, **dict.fromkeys(three)},
        },
    }
    assert table.cells(7, answer) == [7, 1, 0, None, None, "mentioned", 0.9, 0.3, 0.1, 0.2, 0.7, 0.9]
    only = Table(Labels(("Pin", "Khác"), ("Khác",)), "sentiment", False, [])
    assert [name for name, _ in only.fields] == ["line", "windows", "cut", "Pin_sentiment", "Pin_confidence"]


def test_an_input_column_of_an_answers_name_is_kept(exported, predictor, tmp_path) -> None:
    first = predictor.labels.aspects[0]
    rows = [{"text": "pin tốt", "aspects": "mine", "line": "x", f"{first}_sentiment": "gold"}]
    (tmp_path / "in.jsonl").write_text(json.dumps(rows[0]) + "\n", encoding="utf-8")
    predict(exported, tmp_path / "in.jsonl", "-o", tmp_path / "out.jsonl")
    (found,) = jsonl(tmp_path / "out.jsonl")
    assert found == rows[0] | {"line_2": 1, "aspects_2": predictor.predict(["pin tốt"])[0]["aspects"]}
    predict(exported, tmp_path / "in.jsonl", "-o", tmp_path / "out.parquet")
    (found,) = parquet.read_table(tmp_path / "out.parquet").to_pylist()
    assert found.items() >= rows[0].items() and found["line_2"] == 1 and f"{first}_sentiment_2" in found


def test_parquet_columns_keep_their_types(exported, tmp_path) -> None:
    day = datetime.datetime(2020, 5, 2, 1, 2, 3)
    columns = {
        "text": pa.array(["tốt", None, "xấu"], pa.large_string()),
        "when": pa.array([day] * 3, pa.timestamp("ns")),
        "price": pa.array([Decimal("1.10")] * 3),
        "raw": pa.array([b"\xff\0"] * 3),
        "tags": pa.array([["a"], [], None], pa.list_(pa.string())),
        "score": pa.array([float("nan"), 1.0, float("inf")]),
        "n": pa.array([1, 2, 3], pa.int8()),
    }
    table = pa.table(columns)
    parquet.write_table(table, tmp_path / "in.parquet", row_group_size=2)
    assert predict(exported, tmp_path / "in.parquet", "-o", tmp_path / "out.parquet") == 1
    found = parquet.read_table(tmp_path / "out.parquet")
    assert found.schema.names[: len(columns)] == list(columns)
    kept = found.select(list(columns))
    assert kept.schema == table.schema and kept.drop(["score"]).equals(table.take([0, 2]).drop(["score"]))
    assert found["line"].to_pylist() == [1, 3]
    assert jsonl(tmp_path / "out.errors.jsonl") == [{"line": 2, "reason": "the text is empty"}]
    predict(exported, tmp_path / "in.parquet", "-o", tmp_path / "answers.jsonl")
    (first, last) = jsonl(tmp_path / "answers.jsonl")
    assert first["when"] == "2020-05-02 01:02:03.000000000" and first["price"] == "1.10" and first["raw"] == "ff00"
    assert first["score"] is None and last["score"] is None and last["tags"] is None and last["n"] == 3


def test_nested_and_broken_values_of_parquet(exported, tmp_path, capsys) -> None:
    day, when = datetime.date(2020, 5, 2), datetime.datetime(2020, 5, 2, 1, 2, 3)
    offsets = pa.array(["ab", "cd", "ef"]).buffers()[1]
    bad = pa.StringArray.from_buffers(3, offsets, pa.py_buffer(b"abc\xffef"))
    columns = {
        "text": pa.array(["tốt", "xấu", "ổn"]),
        "note": bad,
        "times": pa.array([[when]] * 3, pa.list_(pa.timestamp("ns"))),
        "box": pa.array([{"day": day, "in": [{"raw": b"\xff"}]}] * 3),
        "prices": pa.array([[Decimal("1.10")]] * 3),
        "map": pa.array([[("k", day)]] * 3, pa.map_(pa.string(), pa.date32())),
        "kind": pa.array([day] * 3).dictionary_encode(),
    }
    parquet.write_table(pa.table(columns), tmp_path / "in.parquet")
    for name in ("a.jsonl", "b.csv", "c.parquet"):
        assert predict(exported, tmp_path / "in.parquet", "-o", tmp_path / name) == 1
        (error,) = jsonl(tmp_path / f"{name[0]}.errors.jsonl")
        assert error == {"line": 2, "reason": '"note": the bytes are not UTF-8 (first bad byte: 0xff)'}
    first, last = jsonl(tmp_path / "a.jsonl")
    assert (first["text"], first["note"], last["text"], last["note"]) == ("tốt", "ab", "ổn", "ef")
    assert first["times"] == ["2020-05-02 01:02:03.000000000"] and first["prices"] == ["1.10"]
    assert first["box"] == {"day": "2020-05-02", "in": [{"raw": "ff"}]}
    assert first["map"] == [["k", "2020-05-02"]] and first["kind"] == "2020-05-02"


def test_large_rows_of_parquet_are_read_few_at_a_time(tmp_path) -> None:
    from src.data.parquet import batches, opened

    rows = [{"text": "a", "x": f"{i}" + "x" * 2**20} for i in range(40)]
    parquet.write_table(pa.Table.from_pylist(rows), tmp_path / "in.parquet", use_dictionary=False)
    sizes = [batch.num_rows for batch in batches(opened(str(tmp_path / "in.parquet")), 5)]
    assert sum(sizes) == 35 and max(sizes) <= 16


def test_columns_of_jsonl_are_gathered_from_every_row(exported, tmp_path) -> None:
    rows = [{"text": "a", "n": 1, "b": True, "x": 1}, {"text": "b", "late": {"k": [1]}, "n": 2.5, "x": "y"}]
    (tmp_path / "in.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    predict(exported, tmp_path / "in.jsonl", "-o", tmp_path / "out.parquet")
    first, second = parquet.read_table(tmp_path / "out.parquet").to_pylist()
    assert (first["n"], first["b"], first["x"], first["late"]) == (1.0, True, "1", None)
    assert (second["n"], second["b"], second["x"], second["late"]) == (2.5, None, "y", '{"k": [1]}')


def test_a_run_answers_too(trained, exported, tmp_path) -> None:
    file = write_input(tmp_path / "in.csv", TEXTS[:2])
    for name, model in (("run", trained[0]), ("bundle", exported)):
        assert predict(model, file, "-o", tmp_path / f"{name}.jsonl") == 0
    run, bundle = jsonl(tmp_path / "run.jsonl"), jsonl(tmp_path / "bundle.jsonl")
    assert [list(row["aspects"]) for row in run] == [list(row["aspects"]) for row in bundle]


# --- rows that cannot be read ---


def test_bad_rows_go_to_their_file_and_the_status_says_so(exported, predictor, tmp_path, capsys) -> None:
    file = tmp_path / "in.csv"
    file.write_bytes(b'id,text\n1,\n2,\xff\n3,a,b\nx,"a\nb"\n')
    assert predict(exported, file, "-o", tmp_path / "a.b.csv") == 1
    errors = jsonl(tmp_path / "a.b.errors.jsonl")
    assert [error["line"] for error in errors] == [2, 3, 4] and all(error["reason"] for error in errors)
    assert "3 rows could not be read" in capsys.readouterr().err
    with (tmp_path / "a.b.csv").open(encoding="utf-8-sig", newline="") as opened:
        assert [row["text"] for row in csv.DictReader(opened)] == ["a\nb"]
    file.write_text("text\ntốt\n", encoding="utf-8")
    assert predict(exported, file, "-o", tmp_path / "a.b.csv", "--overwrite") == 0
    assert not (tmp_path / "a.b.errors.jsonl").exists()  # an earlier file's errors are not this one's


def test_packed_input_is_answered_as_it_is_unpacked(exported, tmp_path) -> None:
    data = "id,text\n1,pin tốt\n2,\n3,máy tệ\n".encode()
    (tmp_path / "a.csv").write_bytes(data)
    (tmp_path / "b.csv.gz").write_bytes(gzip.compress(data))
    for name in ("a.csv", "b.csv.gz"):
        assert predict(exported, tmp_path / name, "-o", tmp_path / f"{name[0]}.jsonl") == 1
    assert jsonl(tmp_path / "b.jsonl") == jsonl(tmp_path / "a.jsonl") and len(jsonl(tmp_path / "a.jsonl")) == 2
    assert jsonl(tmp_path / "b.errors.jsonl") == [{"line": 3, "reason": "the text is empty"}]
    (tmp_path / "c.csv.gz").write_bytes(gzip.compress(data + b"4,m\n" * 2_000)[:-20])
    assert predict(exported, tmp_path / "c.csv.gz", "-o", "-") == 1  # what is before the damage is answered


@pytest.mark.slow
def test_long_texts_are_answered(exported, tmp_path) -> None:
    file = tmp_path / "in.txt"
    file.write_text("\n".join(["pin tốt " * 130_000, "a" * 2**20, "máy"]), encoding="utf-8")
    assert predict(exported, file, "-o", tmp_path / "out.jsonl") == 0
    assert [len(row["text"]) for row in jsonl(tmp_path / "out.jsonl")] == [1_040_000, 2**20, 3]


def test_no_rows_no_answers(exported, tmp_path) -> None:
    for name, data in (("in.txt", ""), ("in.csv", "text,x\n")):
        (tmp_path / name).write_text(data)
        for out in ("jsonl", "csv", "parquet"):
            assert predict(exported, tmp_path / name, "-o", tmp_path / f"out.{out}", "--overwrite") == 0
    assert (tmp_path / "out.jsonl").read_bytes() == b""
    assert (tmp_path / "out.csv").read_text(encoding="utf-8-sig").startswith("text,x,line,")


# --- mistakes ---


def test_every_mistake_is_said_at_once_and_no_model_is_loaded(tmp_path, capsys, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "src.ship.predictor", None)
    (tmp_path / "in.csv").write_text("a,b\n1,2\n")
    words = [tmp_path / "none", tmp_path / "in.csv", "-o", tmp_path / "no" / "out.xlsx"]
    assert predict(*words) == 2
    said = capsys.readouterr().err
    for part in ("none: there is no such folder", "no column of texts among a, b", "the format is told", "no folder"):
        assert part in said


def test_what_would_lose_something_is_refused(exported, tmp_path, capsys) -> None:
    file = write_input(tmp_path / "in.csv")
    (tmp_path / "link.csv").symlink_to(file)
    (tmp_path / "in.errors.jsonl").write_text('{"text": "x"}\n')
    (tmp_path / "there.jsonl").write_text("mine")
    for words, said in (
        ((file, "-o", file, "--overwrite"), "would overwrite the input"),
        ((file, "-o", tmp_path / "link.csv", "--overwrite"), "would overwrite the input"),
        ((tmp_path / "in.errors.jsonl", "-o", tmp_path / "in.jsonl", "--overwrite"), "would overwrite the input"),
        ((file, "-o", tmp_path / "there.jsonl"), "there already; --overwrite"),
        ((file, "-o", "/dev/null", "--format", "jsonl"), "is no file"),
        ((file, "-o", tmp_path, "--format", "csv"), "is no file"),
        ((tmp_path, "-o", tmp_path / "x.csv"), "this is a folder"),
        ((tmp_path / "inn.csv", "-o", tmp_path / "x.csv"), 'no such file; did you mean "in.csv"'),
        ((file, "-o", "-", "--format", "csv"), "standard output gets jsonl"),
        ((file, "-o", "-", "--resume"), "cannot be gone on with"),
        (("-", "-o", tmp_path / "x.csv", "--resume"), "standard input cannot be read again"),  # and is not waited for
        ((file, "-o", tmp_path / "x.csv", "--input-format", "parquet"), "not a Parquet file"),
        ((file, "-o", tmp_path / "x.csv", "--input-format", "jsonl"), "holds no row that can be read"),
        ((file, "-o", tmp_path / "x.csv", "--separator", ";;"), "must be one character"),
        ((file, "-o", tmp_path / "x.csv", "--input-format", "txt", "--text-column", "a"), "each line is a review"),
    ):
        assert predict(exported, *words) == 2, words
        assert said in capsys.readouterr().err, words
    assert (tmp_path / "there.jsonl").read_text() == "mine" and file.is_file()
    assert predict(exported, file, "-o", tmp_path / "there.jsonl", "--overwrite") == 0
    assert len(jsonl(tmp_path / "there.jsonl")) == len(TEXTS)


def test_a_full_disk_is_said_and_what_is_there_is_kept(exported, tmp_path) -> None:
    """A bound on the size of files stands in for the disk's."""
    write_input(tmp_path / "in.jsonl", TEXTS[:2] * 500)
    run = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (90_000, 90_000)); " + SMALL_STEPS
    words = [exported, tmp_path / "in.jsonl", "-o", tmp_path / "out.jsonl"]
    done = child(run, *words)
    assert done.returncode == 2 and b"Traceback" not in done.stderr
    assert b"out.jsonl.partial: cannot be written (File too large); what is finished is kept" in done.stderr
    assert not (tmp_path / "out.jsonl").exists()
    assert child(SMALL_STEPS, *words, "--resume").returncode == 0
    assert len(jsonl(tmp_path / "out.jsonl")) == 1000
    full = subprocess.run(
        f"{sys.executable} -m src.cli predict {exported} {tmp_path / 'in.jsonl'} -o - > /dev/full",
        shell=True,
        cwd=ROOT,
        capture_output=True,
    )
    assert full.returncode == 2 and b"standard output cannot be written (No space left" in full.stderr


# --- streams ---

SMALL_STEPS = "import src.ship.predict.batch as b; b.SAVE, b.ROWS = 0.01, 16; "


def child(prepare: str, *words: object, **options: object) -> subprocess.CompletedProcess:
    code = prepare + "import sys; from src.cli import main; main(['predict', *sys.argv[1:]])"
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, words)], cwd=ROOT, capture_output=True, timeout=60, **options
    )


def test_standard_input_to_standard_output(exported, predictor) -> None:
    done = child("", exported, "-", "-o", "-", input="pin trâu\n\nmáy đẹp".encode())
    assert [json.loads(line) for line in done.stdout.decode().splitlines()] == [
        {"text": text, "line": line, **answer}
        for line, text, answer in zip(
            (1, 3), ("pin trâu", "máy đẹp"), predictor.predict(["pin trâu", "máy đẹp"]), strict=True
        )
    ]
    assert done.returncode == 1
    assert done.stderr.decode().splitlines()[0] == "standard input:2: the text is empty"
    done = child("", exported, "-", "-o", "-", input=b'{"text": "pin", "id": 7}\n')
    assert json.loads(done.stdout)["id"] == 7 and done.returncode == 0
    done = child("", exported, "-", "-o", "-", "--input-format", "csv", input=b"id,text\n8,pin\n")
    assert json.loads(done.stdout)["id"] == "8"


def test_a_closed_pipe_is_no_error(exported) -> None:
    command = f"yes tốt | {sys.executable} -m src.cli predict {exported} - -o - | head -1"
    done = subprocess.run(command, shell=True, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert json.loads(done.stdout)["line"] == 1 and done.stderr == ""


def test_on_a_terminal_it_shows_how_far_it_is(exported, tmp_path) -> None:
    import pty

    write_input(tmp_path / "in.jsonl", TEXTS[:2] * 200)
    theirs, ours = pty.openpty()
    code = "import src.ship.predict.progress as m; m.EVERY = 0; " + SMALL_STEPS
    code += "import sys; from src.cli import main; main(['predict', *sys.argv[1:]])"
    words = [str(exported), str(tmp_path / "in.jsonl"), "-o", str(tmp_path / "out.jsonl")]
    done = subprocess.Popen([sys.executable, "-c", code, *words], cwd=ROOT, stderr=ours, stdout=subprocess.PIPE)
    os.close(ours)
    shown = b""
    while chunk := read_terminal(theirs):
        shown += chunk
    assert done.wait() == 0 and done.stdout.read() == b""
    assert b"rows/s" in shown and b"% " in shown and b" left" in shown
    assert shown.rstrip().split(b"\r")[-1].startswith(str(tmp_path).encode())


def read_terminal(handle: int) -> bytes:
    try:
        return os.read(handle, 2**16)
    except OSError:  # closed by the other side
        return b""


# --- help ---


def test_help_is_quick_and_brings_nothing_heavy() -> None:
    code = (
        "import sys, src.cli\n"
        "for words in (['--help'], ['push', '--help'], ['predict', '--help']):\n"
        "    try: src.cli.main(words)\n    except SystemExit: pass\n"
        "print([m for m in ('numpy', 'onnxruntime', 'torch', 'pyarrow', 'huggingface_hub') if m in sys.modules])"
    )
    began = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.endswith("[]\n") and "answers.errors.jsonl" in done.stdout
    assert time.perf_counter() - began < 2  # 0.06 s on a machine at rest


@pytest.mark.parametrize("name", ["a.json", "a.xlsx", "a.xml", "utf16.csv", "a.txt"])
def test_other_peoples_files_are_answered_as_a_table_is(exported, tmp_path, name) -> None:
    """The same reviews as a JSON array, a workbook, SemEval's XML, Excel's Unicode text and in VLSP's layout."""
    texts = ["pin trâu, máy mượt", "chụp ảnh mờ"]
    file, table = tmp_path / name, tmp_path / "table.csv"
    table.write_text("text\n" + "".join(f'"{text}"\n' for text in texts), encoding="utf-8")
    if name == "a.xlsx":
        openpyxl = pytest.importorskip("openpyxl")
        book = openpyxl.Workbook()
        for row in ("text", *texts):
            book.active.append([row])
        book.save(file)
    else:
        body = {
            "a.json": json.dumps([{"text": text} for text in texts], indent=1),
            "a.xml": f"<sentences>{''.join(f'<sentence><text>{text}</text></sentence>' for text in texts)}</sentences>",
            "utf16.csv": table.read_text(encoding="utf-8"),
            "a.txt": "".join(f"#{i}\n{text}\n{{PIN#GENERAL, positive}}\n\n" for i, text in enumerate(texts, 1)),
        }[name]
        file.write_text(body, encoding="utf-16" if name == "utf16.csv" else "utf-8")
    assert predict(exported, table, "-o", tmp_path / "1.jsonl") == 0
    assert predict(exported, file, "-o", tmp_path / "2.jsonl") == 0
    right, found = ([(row["text"], row["aspects"]) for row in jsonl(tmp_path / f"{n}.jsonl")] for n in (1, 2))
    assert found == right
