"""What leaves the program: nothing acts on a terminal, nothing names the training machine, a full disk ends in words."""

import contextlib
import csv
import errno
import io
import json
import logging
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from src.answers.predictions import Predictions
from src.cli import main
from src.data.reviews import Reviews
from src.errors import Faults, Shown, UserError, refuse, shown
from src.judge.card import write_card
from src.judge.places import without_places
from src.judge.report import write_report
from src.runs.run import SUMS
from src.ship.export import export_run
from src.ship.predict import writers
from tests.conftest import ROOT

TITLE = "\x1b]0;owned\x07"  # sets a terminal's title
NASTY = (TITLE, "\x9b31m", "\x7f", "\u202egnp", "\u2066x", "\r")


def acts(printed: str) -> list[str]:
    return [letter for nasty in NASTY for letter in nasty if not letter.isprintable() and letter in printed]


# --- a terminal ------------------------------------------------------------------------------------------------------


def test_what_a_terminal_acts_on_is_shown() -> None:
    assert shown("a\x1b[2Jb\x9bc\x7f\u202e\r\n\tx") == "a\\x1b[2Jb\\x9bc\\x7f\\u202e\\r\n\tx"
    for letter in map(chr, (*range(32), *range(127, 160), 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A))):
        assert shown(letter) == letter if letter in "\n\t" else shown(letter).isascii()
    text = "Máy đẹp 😍👍🏻 👩\u200d💻 ❤\ufe0f \xa0 漢"
    assert shown(text) == text


@pytest.mark.parametrize("kind", ["header", "aspect", "file", "cell", "folder"])
def test_absa_check_shows_what_others_wrote(tmp_path, capsys, kind) -> None:
    name = "\x1b]0;owned.csv" if kind == "file" else "train.csv"
    odd = "".join(NASTY[:-1])
    aspect, cell = (f"Camera{odd}", "positive") if kind in ("header", "aspect") else ("Camera", "positive")
    folder = tmp_path / f"x{odd}" if kind == "folder" else tmp_path
    folder.mkdir(exist_ok=True)
    rows = [["text", aspect], ["a", cell], ["b", f"bad{odd}" if kind == "cell" else "negative"]]
    if kind == "aspect":
        rows = [["text", "label"], ["a", f"{{{aspect}#Positive}}"], ["b", f"{{Pin{odd}#{odd}}}"]]
    (folder / name).write_text("\n".join(map(",".join, rows)) + "\n", encoding="utf-8")
    for files in ([folder / name], [folder / name, folder / f"missing{odd}.csv"]):
        with contextlib.suppress(SystemExit):
            main(["check", *map(str, files)])
    printed = capsys.readouterr()
    assert not acts(printed.out + printed.err)
    assert "\\x1b" in printed.out + printed.err


@pytest.mark.parametrize(
    "words",
    [
        ["check", "--x\x1b]0;y\x07"],
        ["serve", "b", "--port", TITLE],
        ["serve", "b", TITLE],
        ["predict", "b", "a.csv", "-o", "x", "--format", TITLE],
        ["predict", "b", "a.csv", "-o", "x", f"--all={TITLE}"],
        ["compare", "a", "--b\x9b31m"],
        [TITLE],
    ],
)
def test_words_that_are_no_options_are_shown(capsys, words) -> None:
    with pytest.raises(SystemExit) as status:
        main(words)
    printed = capsys.readouterr()
    assert status.value.code == 2 and not acts(printed.out + printed.err)


def test_every_message_and_every_log_line_goes_that_way(capsys) -> None:
    faults = Faults()
    faults.add(TITLE, TITLE)
    with pytest.raises(UserError) as error:
        faults.raise_if_any()
    with pytest.raises(SystemExit):
        refuse(error.value)
    record = logging.LogRecord("x", logging.INFO, "f", 1, f"aspect {TITLE}", None, None)
    assert not acts(capsys.readouterr().err + Shown("%(message)s").format(record))
    for config in ("config.yaml", "pretrain.yaml"):
        text = (ROOT / "conf" / config).read_text(encoding="utf-8")
        assert text.count("class: src.errors.Shown") + text.count("(): src.errors.Coloured") == 2


def test_absa_evaluate_and_compare_show_it(trained, tmp_path, capsys) -> None:
    run = tmp_path / f"r{TITLE}"
    shutil.copytree(trained[0], run)
    (run / SUMS).unlink()
    for path in (run / "summary.json", *run.glob("predictions/*.jsonl")):
        path.write_text(path.read_text(encoding="utf-8").replace("Camera", "Cam\\u001b]0;x\\u0007"), encoding="utf-8")
    main(["evaluate", str(run)])
    with contextlib.suppress(SystemExit):  # the other run has other aspects: a message, which names them
        main(["compare", str(run), str(trained[0])])
    printed = capsys.readouterr()
    assert "\\x1b]0;" in printed.out and not acts(printed.out + printed.err)


def test_answers_on_standard_output_hold_no_control(capsysbinary) -> None:
    from src.data.rows import Place
    from src.ship.predict.batch import Done, to_stream

    class Silent:
        def show(self, *_) -> None: ...

    text = "a\x9b31m\x7f\x1bé"
    to_stream([Done((writers.dumps({"text": text}) + "\n").encode(), b"", [], 1, Place(1, 2))], "x", Silent())
    out = capsysbinary.readouterr().out
    assert not re.search(rb"\x7f|\x1b|\xc2[\x80-\x9f]", out) and json.loads(out) == {"text": text}


# --- the machine that trained ----------------------------------------------------------------------------------------


def test_paths_are_cut_to_their_last_part() -> None:
    cut = without_places({"data": {"dir": "/home/An Nguyen/dữ liệu"}, "overrides": ["x.y='/srv/a b/c'"]})
    for given, want in {
        "/home/an/visobert": "visobert",
        "pre-trained, from /home/an/visobert": "pre-trained, from visobert",
        "/home/An Nguyen/dữ liệu/train.csv: there is no such file": "dữ liệu/train.csv: there is no such file",
        "python train.py x.y='/srv/a b/c'": "python train.py x.y='c'",
        r"C:\Users\An\x.csv": "x.csv",
        "D:/Users/An/x.csv": "x.csv",
        r"\\server\An\x.csv": "x.csv",
        "file:///home/an/mlruns": "file://mlruns",
        "https://example.org/a/b": "https://example.org/a/b",
        "uitnlp/visobert": "uitnlp/visobert",
        "data/sample/train.csv 1/2 và/hoặc": "data/sample/train.csv 1/2 và/hoặc",
    }.items():
        assert cut(given) == want
    assert cut({"a": ["/home/an/x", 1, None]}) == {"a": ["x", 1, None]}


@pytest.mark.slow
def test_card_report_and_bundle_name_no_folder_of_the_machine(trained, tmp_path, monkeypatch) -> None:
    """With the data gone, so that a note names them, and an encoder and data from a user's folders."""
    monkeypatch.setattr("src.judge.report.MOST_SECONDS", 0.1)  # seconds that the words are coloured
    run = tmp_path / "run"
    shutil.copytree(trained[0], run)
    (run / SUMS).unlink()
    home = "/home/annguyen"
    text = (run / "summary.json").read_text(encoding="utf-8").replace(str(ROOT), f"{home}/my work")
    summary = json.loads(text)
    summary["encoder"] |= {"name": f"{home}/visobert", "weights": f"pre-trained, from {home}/visobert"}
    summary["overrides"].append(f"data.dir={home}/x y/z")
    summary["config"]["data"]["train"] = f"{home}/x y/z/train.csv"
    for split in summary["data"]["splits"].values():
        split["path"] = f"{home}/x y/z/train.csv"
    (run / "summary.json").write_text(json.dumps(summary, ensure_ascii=False), encoding="utf-8")
    bundle = export_run(run, tmp_path / "bundle")
    files = [write_report(run), write_card(run), *bundle.iterdir(), run / "suspected_label_errors.csv"]
    for path in files:
        content = path.read_bytes()
        for private in (
            b"annguyen",
            str(ROOT).encode(),
            str(tmp_path).encode(),
            str(Path.home()).encode() + b"/",
            b"site-packages",
        ):
            assert private not in content, (path.name, content[max(0, content.find(private) - 80) :][:200])


# --- a full disk -----------------------------------------------------------------------------------------------------


TABLE = "text,Pin,Giá\n" + "".join(f"máy {i},{'positive' if i % 2 else 'negative'},\n" for i in range(60))
FULL = {  # a command that writes a file, given a run, a bundle, a folder to write to and a labelled file
    "report": "report {run}",
    "export": "export {run} -o {out}/bundle",
    "convert to csv": "convert {file} -o {out}/a.csv",
    "convert to jsonl": "convert {file} -o {out}/a.jsonl",
    "convert to xlsx": "convert {file} -o {out}/a.xlsx",
    "convert to parquet": "convert {file} -o {out}/a.parquet",
    "predict to csv": "predict {bundle} {file} -o {out}/a.csv",
    "predict to parquet": "predict {bundle} {file} -o {out}/a.parquet",
    "tasks": "predict {bundle} {file} -o {out}/a.json --format label-studio",
    "summary": "summary {answers} -o {out}/a.html",
    "suspects": "suspects {file} -o {out}/a.csv --folds 2",
    "suspects to xlsx": "suspects {file} -o {out}/a.xlsx --folds 2",
    "suspects as tasks": "suspects {file} -o {out}/a.json --folds 2 --format label-studio",
}


@pytest.fixture(scope="module")
def files(trained, exported, tmp_path_factory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("files")
    shutil.copytree(trained[0], folder / "run")
    found = {name: folder / name for name in ("run", "table.csv", "answers.csv")}
    found["table.csv"].write_text(TABLE, encoding="utf-8")
    with contextlib.suppress(SystemExit):
        main(["predict", str(exported), str(found["table.csv"]), "-o", str(found["answers.csv"])])
    return {"run": found["run"], "bundle": exported, "file": found["table.csv"], "answers": found["answers.csv"]}


def crossed(reviews: Reviews, *_: object) -> Predictions:
    """Answers to a file in place of those of the models that a search for suspects trains."""
    rng, shape = np.random.default_rng(0), reviews.mentioned.shape
    logits = rng.normal(size=(*shape, 3)).astype(np.float32), rng.normal(size=shape).astype(np.float32)
    gold = reviews.mentioned, reviews.sentiment.astype(np.int64)
    return Predictions(list(reviews.ids), list(reviews.texts), *gold, *logits, reviews.lines.tolist())


@pytest.mark.slow
@pytest.mark.parametrize("what", FULL)
def test_a_full_disk_ends_in_words(files, tmp_path, monkeypatch, capsys, what) -> None:
    if what.endswith(("xlsx", "parquet")):
        pytest.importorskip("openpyxl" if what.endswith("xlsx") else "pyarrow")
    monkeypatch.setattr("src.judge.report.MOST_SECONDS", 0.1)
    monkeypatch.setattr("src.judge.crossed.cross_predict", crossed)

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    words = [word.format(**files, out=tmp_path) for word in FULL[what].split()]
    with pytest.raises(SystemExit) as status:
        main(words)
    told = capsys.readouterr().err
    assert status.value.code == 2
    assert "cannot be written (No space left on device); " in told and "Traceback" not in told
    left = {path.name for path in tmp_path.iterdir()}
    assert not left or (words[0] == "predict" and all("a." in name and name.count(".") > 1 for name in left))


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device of Linux that is always full")
@pytest.mark.parametrize("command", ["check {0}", "label-config {0}", "convert {0} -o {1}/a.csv"])
def test_full_standard_output_ends_in_words(tmp_path, command) -> None:
    table = tmp_path / "table.csv"
    table.write_text(TABLE, encoding="utf-8")
    words = command.format(table, tmp_path).split()
    with open("/dev/full", "wb") as out:
        done = subprocess.run([sys.executable, "-m", "src.cli", *words], cwd=ROOT, stdout=out, stderr=subprocess.PIPE)
    said = "error: standard output or a temporary file: cannot be written (No space left on device); make room"
    assert (done.returncode, done.stderr.decode().strip()) == (2, f"{said}, then give the command again")


# --- spreadsheets ----------------------------------------------------------------------------------------------------


def written(safe: bool) -> list[list[str]]:
    out = io.BytesIO()
    rows = [["-5", "@shop", "=1+1", "+84", "\t=1", "pin"], [None, "a", 1, -0.5, "＝1", " =1"]]
    writers.write_csv(out, ["=id", "text", "n", "x", "y", "z"], rows, safe)
    return list(csv.reader(io.StringIO(out.getvalue().decode("utf-8-sig"), newline="")))


def test_cells_are_kept_as_they_are_unless_asked() -> None:
    assert written(False)[1] == ["-5", "@shop", "=1+1", "+84", "\t=1", "pin"]
    header, first, second = written(True)
    assert header[0] == "'=id" and first == ["'-5", "'@shop", "'=1+1", "'+84", "'\t=1", "pin"]
    assert second == ["", "a", "1", "-0.5", "'＝1", "' =1"]  # numbers are no texts


def test_safe_cells_reach_the_file_and_are_refused_elsewhere(exported, tmp_path, capsys) -> None:
    (tmp_path / "in.csv").write_text("id,text\n-5,=pin tốt\n", encoding="utf-8")
    words = ["predict", str(exported), str(tmp_path / "in.csv"), "--safe-cells", "-o"]
    main([*words, str(tmp_path / "out.csv")])
    with (tmp_path / "out.csv").open(encoding="utf-8-sig", newline="") as file:
        row = next(csv.DictReader(file))
    assert (row["id"], row["text"]) == ("'-5", "'=pin tốt")
    with pytest.raises(SystemExit):
        main([*words, str(tmp_path / "out.jsonl")])
    assert "--safe-cells: is for CSV" in capsys.readouterr().err
