"""Names of the real world on the command line: typed as they are, and printed so that they can be pasted."""

import os
import random
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf

import pretrain
import search
import train
from src import spelling
from src.cli import main as absa
from src.data.reviews import read_reviews
from src.data.splits import read_splits
from src.errors import UserError
from src.runs.overrides import as_typed, explained, nearest, no_such_setting, settings_of
from src.spelling import override, pasted
from tests.conftest import ROOT
from tests.many import call, killed, small_data

NAMES = ["Chất lượng sản phẩm", "ROOMS#CLEANLINESS", "Giá (VNĐ)", "it's", 'a "b"', "a,b", "[x]", "{y}", "null", "1e5"]
NAMES += [
    "2023",
    "a=b",
    "R&D; x",
    r"C:\Đồ án (1)\x",
    "x\\",
    "${z}",
    r"\${z}",
    "~a",
    "#",
    "!x",
    "‘y’",
    "-z",
    "$HOME",
    "`w`",
]
LETTERS = "aữ (1)#&=;,'\"\\${}[]:/.-_~*?|%@+!`<>e0’Ạ"


def nasty(seed: int, count: int, length: int = 9) -> list[str]:
    draw = random.Random(seed)
    return [*NAMES, *("".join(draw.choices(LETTERS, k=draw.randint(1, length))) for _ in range(count))]


def read(word: str) -> tuple[str, object]:
    """An override as Hydra and OmegaConf understand it."""
    parsed = OverridesParser.create().parse_override(word)
    value = OmegaConf.create({"value": parsed.value()})
    return parsed.key_or_group, OmegaConf.to_container(value, resolve=True)["value"]


def powershell(line: str) -> list[str]:
    """The words of a line, as PowerShell takes it apart: only bare words and single quotes are expected in it."""
    words = re.findall(r"(?: |^)('(?:[^'‘’‚‛]|['‘’‚‛]{2})*'|[\w/.:\\=+%-]+)(?= |$)", line)
    assert " ".join(words) == line
    return [re.sub("(['‘’‚‛])\\1", r"\1", word[1:-1]) if word[0] == "'" else word for word in words]


@pytest.mark.parametrize("shell", ["posix", "powershell"])
def test_what_is_printed_is_read_as_what_was_meant(monkeypatch, shell) -> None:
    """By the shell, then by Hydra's grammar, then by OmegaConf."""
    monkeypatch.setattr(spelling, "POWERSHELL", shell == "powershell")
    apart = powershell if shell == "powershell" else shlex.split
    names = nasty(seed=1, count=1500)
    for name in names:
        words = ["python", "train.py", override("data.train", name)]
        assert apart(pasted(words)) == words
        assert read(words[2]) == ("data.train", name), words[2]
    for i in range(0, len(names) - 3, 3):
        assert read(override("data.aspects", names[i : i + 3])) == ("data.aspects", names[i : i + 3])
    for value in (None, True, False, 0, -3, 0.5, 1e-5, [], ["a", None, 2]):
        assert read(override("x", value)) == ("x", value)


def test_a_shell_agrees() -> None:
    names = nasty(seed=2, count=200)
    done = subprocess.run(["bash", "-c", f"printf '%s\\n' {pasted(names)}"], capture_output=True, encoding="utf-8")
    assert done.stdout == "".join(f"{name}\n" for name in names)


TYPED = {  # as a person types it, behind the shell: as it is meant
    "data.train=dữ_liệu/train.csv": "dữ_liệu/train.csv",
    "hydra.run.dir=Đồ án (1)/thử & nghiệm": "Đồ án (1)/thử & nghiệm",
    r"data.train=D:\Đồ án (1)\train.csv": r"D:\Đồ án (1)\train.csv",
    r"data.train=\\server\share\a.csv": r"\\server\share\a.csv",
    "data.dir=D:\\dữ liệu\\": "D:\\dữ liệu\\",
    "data.train=Đồ án, bản 2/x=1;2.csv": "Đồ án, bản 2/x=1;2.csv",
    "data.train=runs (1)/x.csv": "runs (1)/x.csv",
    "data.separator=;": ";",
    "data.separator=,": ",",
    "data.text_column= Nội dung ": "Nội dung",
    "data.text_column=Customer's text": "Customer's text",
    "+data.text_column=Bình luận": "Bình luận",
    "data.ignore_columns=[Chất lượng sản phẩm]": ["Chất lượng sản phẩm"],
    "data.ignore_columns=[ROOMS#CLEANLINESS,a b, 'c, d' ,Giá (VNĐ, mới),it's,7]": [
        *("ROOMS#CLEANLINESS", "a b", "c, d", "Giá (VNĐ, mới)", "it's", 7)
    ],
}


@pytest.mark.parametrize(("word", "meant"), TYPED.items())
def test_an_override_as_a_person_types_it(word, meant) -> None:
    [typed] = as_typed([word])
    assert read(typed)[1] == meant
    assert as_typed([typed]) == [typed]


def test_what_hydra_accepts_stays_as_it_is() -> None:
    words = ["-m", "loss=focal,ce", "loss.gamma=choice(0,1)", "seed=range(1,4)", "data.train=a b", "x='ữ'", r"x=a\,b"]
    words += ["~callbacks.ema", "+trainer.x=[1,{a: 2}]", "x=", "loss/alpha=auto", "x=${oc.env:HOME}/y"]
    words += ["--config-dir", "dữ liệu", "-cn", "cấu hình", "--cfg", "job"]
    assert as_typed(words) == words


def test_values_of_a_sweep_are_quoted_one_by_one() -> None:
    words = ["-m", "data.train=dữ liệu/a.csv,b (1).csv,c.csv"]
    parsed = OverridesParser.create().parse_override(as_typed(words)[1])
    assert [value.strip("\"'") for value in parsed.sweep_string_iterator()] == ["dữ liệu/a.csv", "b (1).csv", "c.csv"]
    assert as_typed(words[1:], several=True) == as_typed(words)[1:]
    assert read(as_typed(words[1:])[0])[1] == "dữ liệu/a.csv,b (1).csv,c.csv"


def test_what_is_wrong_however_it_is_quoted_is_told_at_once() -> None:
    with pytest.raises(UserError) as error:
        as_typed(["loss=focal", "5", "mô hình=1", "data.aspects=[a,ữ", "x='a", "loss.gamma=interval(0;5)"])
    told = error.value.faults
    assert len(told) == 5 and not any("\n" in line for line in told)
    assert told[0] == '"5": expected KEY=VALUE, such as trainer.max_epochs=5; a value with blanks needs quotes'
    assert '"mô hình" cannot be the name of a setting' in told[1]
    assert "[ is never closed by ]" in told[2] and "' is never closed by '" in told[3]
    for line, meant in zip(told[2:], ["[a,ữ", "'a", "interval(0;5)"], strict=True):
        [word] = shlex.split(line.partition("as one plain value it is typed ")[2])
        assert read(word)[1] == meant


NEAREST = {
    "epochs": ["trainer.max_epochs"],
    "trainer.epochs": ["trainer.max_epochs"],
    "lr": ["model.encoder_lr", "model.head_lr"],
    "model.learning_rate": ["model.encoder_lr", "model.head_lr"],
    "data.bach_size": ["data.batch_size"],
    "gamma": ["loss.gamma"],
    "data.patience": ["callbacks.early_stopping.patience"],
    "trainr.max_epochs": ["trainer.max_epochs"],
    "xqz": [],
}


@pytest.mark.parametrize(("key", "near"), NEAREST.items())
def test_a_setting_that_does_not_exist_is_told_with_the_nearest_of_all_groups(key, near) -> None:
    assert sorted(nearest(key, settings_of("config"))) == near


@pytest.mark.parametrize(
    ("program", "words", "said"),
    [
        (train.main, ["epochs=5"], no_such_setting("epochs")),
        (train.main, ["trainer.epochs=5"], "trainer.epochs: no such setting; did you mean trainer.max_epochs?"),
        (train.main, ["loss=focl"], 'loss=focl: no such choice; expected one of ce, focal; did you mean "focal"?'),
        (
            train.main,
            ["data.noise.joined=1"],
            "data.noise.joined: no such setting; there are data.noise.stripped, data.noi",
        ),
        (pretrain.main, ["lr=1"], "lr: no such setting; did you mean pretraining.lr?"),
        (search.main, ["sweep.trails=1"], "sweep.trails: no such setting; did you mean sweep.trials?"),
        (search.main, ["model=mini", "epochs=1"], no_such_setting("epochs")),
        (train.main, ["data.aspects=[Giá"], "data.aspects=[Giá: cannot be read, [ is never closed by ]; as one plain"),
    ],
)
def test_the_programs_tell_it_in_one_line(program, words, said, capsys, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(train, "jobs", [])  # those that other tests began
    monkeypatch.setattr(pretrain, "jobs", [])
    assert call(program, *words) == 2
    told = capsys.readouterr().err
    assert told.startswith(f"error: {said}") and told.count("\n") == 1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("program", "words", "said"),
    [
        (
            train.main,
            ["epochs=5", "loss=focl", "seed=1", "trainer.lr=1", "data.train=a,b"],
            ["loss=focl", "data.train=a,b", "epochs", "trainer.lr"],
        ),
        (train.main, ["-m", "epochs=5,6", "seed=1,2", "~gama", "model.layrs=2"], ["epochs", "gama", "model.layrs"]),
        (pretrain.main, ["lr=1", "seed=1", "data.text=x"], ["lr", "data.text"]),
        (search.main, ["model=mini", "epochs=1", "loss.gama=interval(0,5)"], ["epochs", "loss.gama"]),
        (search.main, ["sweep.trails=1", "sweep.sed=2"], ["sweep.trails", "sweep.sed"]),
    ],
)
def test_every_wrong_setting_is_told_at_once(program, words, said, capsys, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(train, "jobs", [])
    monkeypatch.setattr(pretrain, "jobs", [])
    assert call(program, *words) == 2
    told = capsys.readouterr().err.removeprefix("error: ").splitlines()
    assert sorted(line.partition(": ")[0] for line in told) == sorted(said)
    for line in told:
        assert "no such setting; did you mean" in line or "no such choice" in line or "several values" in line, line


def test_every_wrong_setting_of_a_call_from_python_is_told_at_once(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError) as error:
        train.train(["epochs=5", "trainer.lr=1", "seed=1"])
    assert sorted(line.partition(":")[0] for line in str(error.value).splitlines()) == ["epochs", "trainer.lr"]


def test_several_values_without_a_sweep_say_how_to_write_them(capsys, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(train, "jobs", [])
    assert call(train.main, "data.train=a,b.csv") == 2
    told = capsys.readouterr().err
    one, many = re.search("typed (.*), a list (.*)\n", told).groups()
    assert read(*shlex.split(one))[1] == "a,b.csv" and read(*shlex.split(many))[1] == ["a", "b.csv"]
    assert told.count("\n") == 1


def test_words_of_hydra_without_a_translation_are_one_line() -> None:
    assert explained(ValueError("a\n  b\nSee https://hydra.cc/x\n object_type=dict")) == "a; b"


# --- remedies of the data ----------------------------------------------------------------------------------------------


def remedies(fault: str) -> str:
    return re.search(r"(?:left out by|Set) (.*)$", fault)[1]


def columns(count: int) -> list[str]:
    """Names of columns that a CSV file can have: NFC, and no blanks at the ends."""
    return [name for name in dict.fromkeys(n.strip() for n in nasty(seed=3, count=count)) if name]


def test_the_remedy_for_a_column_is_what_one_types(tmp_path) -> None:
    """One word for all columns, with those left out already, as an override takes the place of an earlier one."""
    names = columns(150)
    for name, other in zip(names, [*names[1:], names[0]], strict=True):
        head = ",".join('"' + n.replace('"', '""') + '"' for n in (name, other))
        file = tmp_path / "a.csv"
        file.write_text(f"text,Camera,{head},stars\nx,positive,5,4,5\n", encoding="utf-8")
        with pytest.raises(UserError) as error:
            read_reviews(file, ignore_columns=["stars"])
        assert len(error.value.faults) == 3
        [word] = shlex.split(remedies(error.value.faults[-1]))
        assert read(word) == ("data.ignore_columns", ["stars", name, other])
        assert read_reviews(file, ignore_columns=read(word)[1])[1] == ("Camera",)


def test_one_remedy_leaves_out_the_columns_of_all_files(tmp_path) -> None:
    files = {"train": "text,A,Số sao,đã mua\nx,positive,5,1\n", "val": "text,A,đã mua,B\ny,positive,1,negative\n"}
    for name, content in files.items():
        (tmp_path / f"{name}.csv").write_text(content, encoding="utf-8")
    given = [tmp_path / "train.csv", tmp_path / "val.csv"]
    with pytest.raises(UserError) as error:
        read_splits(*given, aspects=["A"], leaks="warn")
    assert len(error.value.faults) == 5
    [word] = shlex.split(remedies(error.value.faults[-1]))
    assert read(word) == ("data.ignore_columns", ["Số sao", "đã mua", "B"])
    assert read_splits(*given, aspects=["A"], ignore_columns=read(word)[1]).labels.aspects == ("A",)


def test_absa_check_speaks_of_its_own_options(tmp_path, capsys) -> None:
    """And what it prints, behind what was typed, is what it takes."""
    for name in columns(30):
        if "," in name:
            continue  # two columns, as long as the separator is a comma
        quoted = name.replace('"', '""')
        file = tmp_path / "a.csv"
        file.write_text(f'text,Camera,"{quoted}",price\nx,positive,5,1500\n', encoding="utf-8")
        with pytest.raises(SystemExit):
            absa(["check", str(file)])
        told = capsys.readouterr().err.splitlines()
        assert "data." not in "".join(told).replace(name, "")
        typed = shlex.split(remedies(told[-1]))
        for words in ([str(file), *typed], [*typed, str(file)]):
            absa(["check", *words])
            assert "Camera" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        absa(["check", str(file), "--separator", ",", "--text-column", "says", "--label-column", "x"])
    said = capsys.readouterr().err
    assert "(--text-column)" in said and "(--label-column)" in said


def test_a_separator_is_set_as_the_message_says(tmp_path) -> None:
    file = tmp_path / "a.csv"
    file.write_text("text|Camera\nx|positive\n", encoding="utf-8")
    with pytest.raises(UserError) as error:
        read_reviews(file)
    [word] = shlex.split(remedies(str(error.value)))
    assert read(word) == ("data.separator", "|")


# --- commands ------------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_command_after_a_stop_finishes_the_run_in_its_folder(tmp_path, capfd, monkeypatch) -> None:
    """As a shell reads it, in a folder with a name of the real world, with the program named as it was started."""
    folder = tmp_path / "Đồ án (1)" / "thử & nghiệm"
    folder.mkdir(parents=True)
    monkeypatch.chdir(folder)
    data = small_data(folder / "dữ liệu")
    words = [*data, "hydra.run.dir=chạy #1 [a]", "trainer.max_epochs=30", "trainer.save_every_minutes=1e-9"]
    words += ["ckpt_path=null", "callbacks.early_stopping=null"]
    run = folder / "chạy #1 [a]"

    assert killed(call, train.main, *words, when=(run / "checkpoints" / "last.ckpt").exists, by=signal.SIGINT) == 130
    assert not (run / "summary.json").exists()
    command = (run / "train.log").read_text(encoding="utf-8").splitlines()[-1].partition("To go on: ")[2]
    first, program, *overrides = shlex.split(command)
    assert (Path(first).resolve(), program) == (Path(sys.executable).resolve(), "train.py")
    assert [read(word) for word in overrides] == [
        *(read(word) for word in as_typed(words) if word.split("=")[0] not in ("hydra.run.dir", "ckpt_path")),
        ("hydra.run.dir", str(run)),
        ("ckpt_path", "last"),
    ]
    for name in ("train.py", "conf"):
        (folder / name).symlink_to(ROOT / name)
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-c", command], env=os.environ | {"PATH": path}, capture_output=True, encoding="utf-8"
    )
    assert done.returncode == 0, done.stderr
    assert (run / "summary.json").exists() and (run / "SHA256SUMS").exists()
    assert [p.name for p in folder.iterdir() if p.is_dir() and p.name not in (run.name, "dữ liệu", "conf")] == []
