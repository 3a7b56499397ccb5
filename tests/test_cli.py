"""The absa command: reports, exit statuses, and no waiting."""

import io
import re
import subprocess
import sys

import pytest

from src.cli import main
from src.errors import coloured
from tests.conftest import ROOT
from tests.test_datamodule import ROWS, write


def test_check_prints_findings_and_counts(capsys) -> None:
    main(["check", *(str(ROOT / "data" / "sample" / f"{n}.csv") for n in ("train", "validation", "test"))])
    printed = capsys.readouterr().out
    assert "train.csv: 440 reviews" in printed
    assert re.search(r"Battery +26 +50 +10 +86 ", printed)


def test_check_reports_every_fault_and_exits_with_2(tmp_path, capsys) -> None:
    good, bad = write(tmp_path / "good.csv", ROWS), write(tmp_path / "bad.csv", [["Pin", "Postive", "", ""], ["a"]])
    with pytest.raises(SystemExit) as end:
        main(["check", good, bad, str(tmp_path / "none.csv")])
    printed = capsys.readouterr()
    assert end.value.code == 2
    assert printed.out == ""
    assert 'bad.csv:2: aspect "Battery": "Postive"' in printed.err and "bad.csv:3:" in printed.err
    assert "none.csv: there is no such file" in printed.err


def test_options_reach_the_reader(tmp_path, capsys) -> None:
    file = write(
        tmp_path / "x.csv", [[r[0], *r[1:], 5] for r in ROWS], ["said", "Battery", "Camera", "OTHERS", "stars"]
    )
    main(["check", file, "--text-column", "said", "--ignore-columns", "stars"])
    assert "5 reviews" in capsys.readouterr().out


@pytest.mark.parametrize(
    "words",
    [
        "a.csv b.csv --ignore-columns id2 stars",
        "--ignore-columns id2 stars a.csv b.csv",
        "a.csv --ignore-columns id2 stars b.csv",
        "--ignore-columns id2 --ignore-columns stars a.csv --aspects A B b.csv",
        "a.csv --ignore-columns=id2 --ignore-columns=stars b.csv",
        "--ignore id2 --separator , a.csv --ignore stars b.csv --aspects A",
    ],
)
def test_options_for_columns_take_no_file(words, tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    for name in "ab":
        write(tmp_path / f"{name}.csv", [[f"text {name}", "Positive", 1, 5]], ["text", "A", "id2", "stars"])
    if "A B" in words:
        write(tmp_path / "b.csv", [["text b", "Positive", "Negative", 1, 5]], ["text", "A", "B", "id2", "stars"])
        write(tmp_path / "a.csv", [["text a", "Positive", "Negative", 1, 5]], ["text", "A", "B", "id2", "stars"])
    main(["check", *words.split()])
    assert re.findall(r"^(\w)\.csv: 1 review", capsys.readouterr().out, re.M) == ["a", "b"]


def test_an_option_that_is_not_there_is_told(capsys) -> None:
    for words in (["check", "a.csv", "--ignored", "x"], ["report", "run", "more"]):
        with pytest.raises(SystemExit) as end:
            main(words)
        assert end.value.code == 2 and "unrecognized arguments: " in capsys.readouterr().err


def test_a_closed_pipe_is_no_error() -> None:
    command = f"{sys.executable} -m src.cli check data/sample/train.csv | head -1"
    done = subprocess.run(command, shell=True, cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.startswith("train.csv: 440 reviews")
    assert done.stderr == ""


def test_a_command_is_needed(capsys) -> None:
    with pytest.raises(SystemExit) as end:
        main([])
    assert end.value.code == 2
    assert "COMMAND" in capsys.readouterr().err


def test_a_missing_file_is_told_before_anything_is_loaded(tmp_path) -> None:
    """torch takes seconds to import; here it cannot be."""
    (tmp_path / "labelled.csv").write_text("text,A\n", encoding="utf-8")
    code = (
        "import sys; sys.modules.update(dict.fromkeys(['torch', 'lightning', 'numpy'])); from src.cli import main; "
        f"main(['evaluate', {str(tmp_path / 'run')!r}, {str(tmp_path / 'labeled.csv')!r}])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 2, done.stderr
    assert done.stderr.startswith("error: ") and 'did you mean "labelled.csv"' in done.stderr


def test_warnings_are_coloured_on_a_terminal_alone(monkeypatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("WT_SESSION", "1")
    monkeypatch.delenv("NO_COLOR", raising=False)
    told = "a WARNING\nWARNING: b\nc"
    monkeypatch.setattr("sys.stdout", Terminal())
    shown = coloured(told)
    monkeypatch.setenv("NO_COLOR", "1")
    plain = coloured(told)
    monkeypatch.delenv("NO_COLOR")
    monkeypatch.setattr("sys.stdout", io.StringIO())
    piped = coloured(told)
    monkeypatch.undo()
    assert shown == "a WARNING\n\x1b[33mWARNING: b\x1b[0m\nc"
    assert plain == piped == told


@pytest.mark.parametrize("path", ["x" * 300 + ".csv", "~nobody-of-that-name/x.csv"])
@pytest.mark.parametrize("words", [["check"], ["convert", "-o", "OUT"], ["suspects", "-o", "OUT"], ["label-config"]])
def test_a_path_that_cannot_be_ends_in_words(tmp_path, capsys, path, words) -> None:
    with pytest.raises(SystemExit) as stop:
        main([words[0], path, *(str(tmp_path / "out.csv") if word == "OUT" else word for word in words[1:])])
    told = capsys.readouterr().err
    assert stop.value.code == 2 and told.startswith("error: ") and "Traceback" not in told
    assert "too long" in told or "no such" in told or "no folder" in told


def test_a_file_that_is_not_there_is_no_name_of_the_hub(capsys, monkeypatch) -> None:
    monkeypatch.setattr("src.ship.label_config.fetch", None)  # nobody is asked
    with pytest.raises(SystemExit):
        main(["label-config", "dat/al.csv"])
    assert "dat/al.csv: there is no such file" in capsys.readouterr().err
