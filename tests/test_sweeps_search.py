"""Searches: spaces in Hydra's words, studies that are killed and go on, several processes, pruning, the page."""

import gc
import multiprocessing
import re
import shlex
import signal
import sqlite3
import time
from pathlib import Path
from types import SimpleNamespace

import optuna
import pytest
from hydra import initialize_config_dir
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.exceptions import StorageInternalError
from optuna.pruners import MedianPruner, NopPruner
from optuna.samplers import TPESampler
from optuna.storages import RDBStorage
from optuna.trial import TrialState

import search
from src.errors import UserError
from src.judge.compare import comparison
from src.runs.run import Run
from src.sweeps.pruning import Prune
from src.sweeps.space import comparable, configured_space, nearest_value, overrides, split, suggest
from src.sweeps.study import Search
from src.sweeps.study_page import _weighed, write_page
from src.sweeps.trials import defaults
from tests.conftest import ROOT
from tests.many import call, killed, side_by_side, small_data

SPACE = [
    "sweep.space=null",
    "loss.gamma=interval(0,5)",
    "loss/alpha=auto,equal",
    "model.head_lr=tag(log,interval(1e-4,1e-2))",
]


# --- spaces ----------------------------------------------------------------------------------------------------------


def test_a_space_is_written_in_hydras_words() -> None:
    words = [
        "sweep.trials=3",
        "model=mini",
        "loss.gamma=interval(0, 5)",
        "model.encoder_lr=tag(log, interval(1e-5, 1e-3))",
    ]
    words += [
        "trainer.max_epochs=int(interval(2,9))",
        "data.batch_size=range(8,33,8)",
        "loss=focal,ce",
        "+x=choice(1,a)",
    ]
    words += ["loss.alpha=[1.0,1.2,1.5],null"]
    own, fixed, space = split(words)
    assert own == ["sweep.trials=3"] and fixed == ["model=mini"]
    assert space == {
        "loss.gamma": FloatDistribution(0, 5),
        "model.encoder_lr": FloatDistribution(1e-5, 1e-3, log=True),
        "trainer.max_epochs": IntDistribution(2, 9),
        "data.batch_size": IntDistribution(8, 32, step=8),
        "loss": CategoricalDistribution(["focal", "ce"]),
        "+x": CategoricalDistribution(["1", "a"]),
        "loss.alpha": CategoricalDistribution(["[1.0,1.2,1.5]", "null"]),
    }


def test_values_become_the_words_that_train_takes() -> None:
    study = optuna.create_study(sampler=TPESampler(seed=1))
    _, _, space = split(["loss.gamma=interval(0,5)", "loss=focal,ce", "data.batch_size=range(8,33,8)"])
    trial = study.ask()
    values = suggest(trial, space)
    assert suggest(trial, space) == values == trial.params
    words = " ".join(overrides(values))
    assert re.fullmatch(r"(loss.gamma=[0-4]\.\d+ loss=focal|loss=ce) data.batch_size=\d+", words)


def test_the_command_line_comes_before_the_configuration() -> None:
    given = {
        "loss": "choice(focal, ce)",
        "loss.gamma": "interval(0, 5)",
        "loss/alpha": "choice(auto, equal)",
        "seed": None,
    }
    assert set(configured_space(given, ["loss=ce", "model=mini"])) == {"loss.gamma", "loss/alpha"}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["loss.gamma=interval(5,0)"], "from the lower end to the higher"),
        (["model.head_lr=tag(log,interval(0,1))"], "above 0 with log"),
        (["data.batch_size=range(3,3)"], "empty range"),
        (["hydra.run.dir=x"], r"the folder is sweep.dir=\.\.\."),
        (["loss.gamma"], "missing EQUAL"),
    ],
)
def test_what_is_no_space_is_said(words, message) -> None:
    with pytest.raises(UserError, match=message):
        split(words)
    with pytest.raises(UserError) as both:
        split([*words, "a=interval(1,0)"])
    assert len(both.value.faults) == 2
    with pytest.raises(UserError, match=r"sweep.space: x=1 is one value"):
        configured_space({"x": "1"}, [])


def test_a_setting_is_asked_for_only_where_it_acts() -> None:
    """gamma does nothing under cross entropy; a trial of an older study that has one keeps it."""
    _, _, space = split(["loss.gamma=interval(0,5)", "loss=focal,ce"])
    study = optuna.create_study(sampler=TPESampler(seed=1))
    for _ in range(12):
        trial = study.ask()
        values = suggest(trial, space)
        assert ("loss.gamma" in values) == (values["loss"] == "focal") and values == trial.params
        study.tell(trial, 0.0)
    assert {t.params["loss"] for t in study.trials} == {"focal", "ce"}
    study.enqueue_trial({"loss": "ce", "loss.gamma": 2.0})
    old = study.ask(space)
    assert list(suggest(old, space)) == ["loss.gamma", "loss"]


@pytest.mark.parametrize(
    ("space", "given", "near"),
    [
        ("x=interval(0,5)", 2, 2.0),
        ("x=interval(1e-4,1e-2)", 2e-5, 1e-4),
        ("x=range(8,33,8)", 30, 32),
        ("x=int(interval(2,9))", 15, 9),
        ("x=interval(0,5)", "auto", None),
        ("x=interval(0,5)", None, None),
        ("x=auto,null", None, "null"),
        ("x=auto,equal", "equal", "equal"),
        ("x=true,false", True, next(iter(split(["x=true,false"])[2].values())).choices[0]),
        ("x=0,1,2,5", 2.0, "2"),
        ("x=a,b", "c", None),
    ],
)
def test_the_value_that_is_nearest_to_a_default(space, given, near) -> None:
    assert nearest_value(next(iter(split([space])[2].values())), given) == near


def test_a_default_that_is_no_number_is_the_number_that_it_stands_for(tmp_path) -> None:
    """model.encoder_lr=auto is 5e-5 at 768 wide; without the encoder nothing is known of it."""
    space = split(["model.encoder_lr=tag(log,interval(5e-6,1e-3))", "loss.gamma=interval(0,5)"])[2]
    (tmp_path / "encoder").mkdir()
    (tmp_path / "encoder" / "config.json").write_text('{"hidden_size": 384}', encoding="utf-8")
    (tmp_path / "encoder" / "model.safetensors").touch()
    with initialize_config_dir(str(ROOT / "conf"), job_name="train", version_base="1.3"):
        for encoder, rate in (("encoder", {"model.encoder_lr": pytest.approx(1e-4)}), ("none", {})):
            fixed = ["model=visobert", f"model.encoder={tmp_path / encoder}"]
            assert defaults(fixed, space, tmp_path) == rate | {"loss.gamma": 2.0}


# --- studies, without trainings --------------------------------------------------------------------------------------


def opened(folder: Path, *words: str, trials: int = 20, pruner=None) -> Search:
    _, fixed, space = split(words or ("x=interval(0,1)", "y=a,b,c"))
    return Search(folder, space, fixed, "val/pair_f1", TPESampler, pruner or NopPruner(), trials, seed=7)


def play(folder: Path, trials: int = 20, pause: float = 0.0) -> int:
    """Claim and finish trials until there are enough."""
    search = opened(folder, trials=trials)
    while (claimed := search.claim()) is not None:
        trial, values = claimed
        time.sleep(pause)
        search.study.tell(trial, values["x"])
    return 0


def tried(folder: Path) -> list[tuple]:
    return [(t.number, t.state, t.params, t.value) for t in opened(folder).study.get_trials()]


@pytest.mark.slow
def test_what_is_tried_does_not_depend_on_interruptions(tmp_path) -> None:
    play(tmp_path / "whole")
    for trials in (3, 12, 12, 20):
        play(tmp_path / "parts", trials)
    assert tried(tmp_path / "parts") == tried(tmp_path / "whole")
    assert len({str(params) for _, _, params, _ in tried(tmp_path / "whole")}) == 20, "nothing is tried twice"


@pytest.mark.slow
def test_a_trial_of_a_killed_process_goes_on_as_the_same_trial(tmp_path) -> None:
    play(tmp_path / "whole")
    killed(play, tmp_path / "killed", 20, 0.1, when=lambda: seen(tmp_path / "killed", "RUNNING", 4))
    left = tried(tmp_path / "killed")
    assert left[-1][1] == TrialState.RUNNING
    assert play(tmp_path / "killed") == 0
    assert tried(tmp_path / "killed") == tried(tmp_path / "whole")


def seen(folder: Path, state: str, number: int) -> bool:
    """Whether the trial has that state, as the file says."""
    try:
        with sqlite3.connect(f"file:{folder / 'study.db'}?mode=ro", uri=True) as file:
            return (number, state) in file.execute("select number, state from trials").fetchall()
    except sqlite3.OperationalError:
        return False


@pytest.mark.slow
def test_processes_share_a_study(tmp_path) -> None:
    """Each trial is one process's, and there are as many as were asked for."""
    assert side_by_side(*[(play, tmp_path, 30, 0.01)] * 3) == [0, 0, 0]
    trials = tried(tmp_path)
    assert [number for number, *_ in trials] == list(range(30))
    assert {state for _, state, *_ in trials} == {TrialState.COMPLETE}
    assert len({str(params) for _, _, params, _ in trials}) == 30


def test_a_trial_at_work_elsewhere_is_left_alone(tmp_path) -> None:
    first = opened(tmp_path, trials=2)
    claimed = first.claim()
    second = opened(tmp_path, trials=2)
    assert second.claim()[0].number == 1
    assert opened(tmp_path, trials=2).claim() is None
    first.study.tell(claimed[0], 0.5)
    assert [state for _, state, *_ in tried(tmp_path)] == [TrialState.COMPLETE, TrialState.RUNNING]


def test_a_study_is_of_one_space_and_of_one_setting(tmp_path) -> None:
    opened(tmp_path, "model=mini", "x=interval(0,1)")
    opened(tmp_path, "model=mini", "x=interval(0,1)", trials=99)
    with pytest.raises(UserError) as error:
        opened(tmp_path, "model=xlmr", "x=interval(0,2)", "y=a,b")
    assert len(error.value.faults) == 4
    assert "holds another study: what it holds fixed was model=mini, is model=xlmr" in error.value.faults[0]
    assert "y was None, is " in error.value.faults[2]


def test_the_journal_of_optuna_would_not_survive_what_sqlite_does(tmp_path) -> None:
    """Why studies are kept in SQLite: half a line, as a killed process leaves it, spoils a journal for good."""
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    path = tmp_path / "journal.log"
    study = optuna.create_study(storage=JournalStorage(JournalFileBackend(str(path))), study_name="s")
    study.tell(study.ask(), 1.0)
    with path.open("ab") as file:
        file.write(path.read_bytes().splitlines()[-1][:20])
    for _ in range(2):
        with pytest.raises((ValueError, AttributeError)):
            optuna.load_study(storage=JournalStorage(JournalFileBackend(str(path))), study_name="s").ask()


@pytest.mark.slow
def test_sqlite_survives_kills_at_any_moment(tmp_path) -> None:
    """Two processes at a time that do nothing but claim, report and tell, killed -9 forty times."""
    context = multiprocessing.get_context("fork")
    for turn in range(40):
        processes = [context.Process(target=churn, args=(tmp_path,)) for _ in range(2)]
        for process in processes:
            process.start()
        time.sleep(0.2 + 0.0137 * turn)
        for process in processes:
            process.kill()
            process.join()
            assert process.exitcode == -signal.SIGKILL, "it lived until then"
    before = len(tried(tmp_path))
    assert before > 80
    play(tmp_path, before + 3)
    assert {state for _, state, *_ in tried(tmp_path)} == {TrialState.COMPLETE}
    with sqlite3.connect(tmp_path / "study.db") as file:
        assert file.execute("pragma integrity_check").fetchone() == ("ok",)


def churn(folder: Path) -> None:
    study = opened(folder, trials=10_000)
    while True:
        trial, values = study.claim()
        for step in range(5):
            trial.report(values["x"], step)
        study.study.tell(trial, values["x"])


# --- searches, with trainings ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> list[str]:
    few = ["trainer.max_epochs=3", "model.threshold=0.2", "model.encoder_lr=1e-3"]
    return [*small_data(tmp_path_factory.mktemp("data")), *few]


@pytest.fixture(scope="module")
def found(data, tmp_path_factory) -> Path:
    """A search of three trials in one go."""
    folder = tmp_path_factory.mktemp("searches") / "whole"
    assert call(search.main, *data, *SPACE, "sweep.trials=3", f"sweep.dir={folder}") == 0
    return folder


@pytest.fixture
def resumed(data, tmp_path) -> Path:
    """The same search, killed -9 in its second trial, and gone on with."""
    words, folder = [*data, *SPACE, "sweep.trials=3", f"sweep.dir={tmp_path}/killed"], tmp_path / "killed"
    killed(call, search.main, *words, when=(folder / "1" / "checkpoints" / "last.ckpt").exists)
    assert seen(folder, "COMPLETE", 0) and seen(folder, "RUNNING", 1)
    assert call(search.main, *words) == 0
    return folder


def results(folder: Path) -> list[tuple]:
    storage = RDBStorage(f"sqlite:///{folder}/study.db")
    trials = optuna.load_study(study_name="search", storage=storage).get_trials()
    return [(t.number, t.state, t.params, t.value, t.intermediate_values) for t in trials]


@pytest.mark.slow
def test_a_killed_search_becomes_what_it_would_have_been(found, resumed) -> None:
    assert results(resumed) == results(found)
    assert {state for _, state, *_ in results(found)} == {TrialState.COMPLETE}
    assert f"Going on from {resumed}/1/checkpoints/last.ckpt" in (resumed / "1" / "train.log").read_text()
    for number in "012":
        assert (
            Run(resumed / number).predictions("test").read_bytes()
            == Run(found / number).predictions("test").read_bytes()
        )


@pytest.mark.slow
def test_ctrl_c_leaves_a_search_that_goes_on(data, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    words = [*data, *SPACE, "trainer.max_epochs=500", "callbacks.early_stopping=null", "sweep.trials=2"]
    begun = lambda: list(tmp_path.glob("searches/*/*/0/checkpoints/last.ckpt"))  # noqa: E731
    assert killed(call, search.main, *words, when=begun, by=signal.SIGINT) == 130
    folder = begun()[0].parents[2]
    said = (folder / "0" / "train.log").read_text().splitlines()[-1]
    command = shlex.join(["search.py", *words, f"sweep.dir={folder.relative_to(tmp_path)}"])
    assert "To go on: " in said and said.endswith(f" {command}")
    assert [state for _, state, *_ in results(folder)] == [TrialState.RUNNING]


def test_a_search_takes_no_multirun(capsys) -> None:
    assert call(search.main, "-m", "model=mini", "--multirun") == 2
    assert capsys.readouterr().err.startswith(
        "error: -m: a search runs many trials by itself; leave it out\n--multirun"
    )


@pytest.mark.slow
def test_a_full_disk_ends_the_search_and_costs_no_trial(data, tmp_path, monkeypatch, capfd) -> None:
    words = [*data, *SPACE, "sweep.trials=2", f"sweep.dir={tmp_path}/s"]
    with monkeypatch.context() as patched:
        patched.setattr("src.runs.folder.free_space", lambda folder: 0 if folder.name == "1" else None)
        assert call(search.main, *words) == 2
    assert "Make room" in capfd.readouterr().err
    assert [state for _, state, *_ in results(tmp_path / "s")] == [TrialState.COMPLETE, TrialState.RUNNING]
    gc.collect()  # a process that ends gives the trial back
    assert call(search.main, *words) == 0
    assert {state for _, state, *_ in results(tmp_path / "s")} == {TrialState.COMPLETE}


@pytest.mark.slow
@pytest.mark.parametrize("at", ["set_trial_intermediate_value", "set_trial_state_values"])
def test_a_disk_that_fills_up_while_the_study_is_written_costs_no_trial(data, tmp_path, monkeypatch, capfd, at) -> None:
    """In SQLite's words, from within a trial's report of an epoch alone, and where the study is told its result."""
    words = [*data, *SPACE, "sweep.trials=1", f"sweep.dir={tmp_path}/s"]

    def full(*_: object, **__: object) -> None:
        raise StorageInternalError from sqlite3.OperationalError("database or disk is full")

    with monkeypatch.context() as patched:
        patched.setattr(RDBStorage, at, full)
        assert call(search.main, *words) == 2
    assert re.search(r"Make room; then go on with \S*python\S* search\.py", capfd.readouterr().err)
    begun = TrialState.WAITING if at == "set_trial_state_values" else TrialState.RUNNING
    assert [state for _, state, *_ in results(tmp_path / "s")] == [begun]
    gc.collect()  # a process that ends gives the trial back
    assert call(search.main, *words) == 0
    assert [state for _, state, *_ in results(tmp_path / "s")] == [TrialState.COMPLETE]


def test_a_trial_is_an_ordinary_run(found, data) -> None:
    folder = found
    for number, _, params, value, steps in results(folder):
        summary = Run(folder / str(number)).read_summary()
        assert summary["best"] == value == pytest.approx(max(steps.values()), abs=1e-6) and set(steps) == {0, 1, 2}
        assert min(steps.values()) > 0, "a fixed threshold would see nothing of what these learn"
        assert summary["config"]["loss"]["gamma"] == params["loss.gamma"]
        assert summary["config"]["loss"]["alpha"] == {"auto": "auto", "equal": None}[params["loss/alpha"]]
        assert summary["overrides"] == [
            *data,
            *overrides({k: params[k] for k in ("loss.gamma", "loss/alpha", "model.head_lr")}),
        ]
    rows = comparison([folder])["rows"]
    assert len(rows) == 3 and set(rows[0]["settings"]) == {"loss.gamma", "loss/alpha", "model.head_lr"}


def test_the_first_trial_is_the_defaults(found) -> None:
    assert results(found)[0][2] == {"loss.gamma": 2.0, "loss/alpha": "auto", "model.head_lr": pytest.approx(3e-3)}


def test_the_best_is_told_with_the_command_that_trains_it(found, data, capfd) -> None:
    folder = found
    assert call(search.main, *data, *SPACE, "sweep.trials=3", f"sweep.dir={folder}") == 0
    printed = capfd.readouterr().out
    best = max(results(folder), key=lambda r: r[3])
    said = rf"Best: val/pair_f1 {best[3]:.4f}, trial {best[0]}\n  \S*python\S* train\.py model=mini"
    assert re.search(said, printed)
    for name in ("loss.gamma", "loss/alpha"):
        assert f" {name}={best[2][name]}" in printed
    assert "Trial " not in printed, "there are enough"
    assert "best validation pair_f1 first" in printed and (folder / "leaderboard.json").is_file()
    assert comparison([folder])["rows"][0]["runs"] == [str(folder / str(best[0]))], "as the search ranks"


@pytest.mark.slow
def test_a_hopeless_trial_is_pruned(data, tmp_path, capfd) -> None:
    """By the monitored figure, after an epoch; what it leaves is a run that has not finished, without checkpoints."""
    pruner = ["sweep.pruner._target_=optuna.pruners.ThresholdPruner", "+sweep.pruner.lower=0.99"]
    pruner += ["~sweep.pruner.n_startup_trials", "sweep.pruner.n_warmup_steps=1"]
    assert call(search.main, *data, *SPACE, *pruner, "sweep.trials=2", f"sweep.dir={tmp_path}") == 1
    assert [(state, set(steps)) for _, state, _, _, steps in results(tmp_path)] == [(TrialState.PRUNED, {0, 1})] * 2
    out, error = capfd.readouterr()
    assert "Trial 0: pruned after epoch 2" in out and "No trial is complete" in error
    assert not (tmp_path / "0" / "checkpoints").exists() and (tmp_path / "0" / "metrics.csv").exists()
    with pytest.raises(UserError, match=r"holds no summary.json"):
        Run(tmp_path / "0").read_summary()


@pytest.mark.slow
def test_a_trial_that_fails_does_not_end_the_search(data, tmp_path, monkeypatch, capfd) -> None:
    seen_so_far = []
    original = search.run_training

    def fail_first(*args, **kwargs) -> float:
        seen_so_far.append(1)
        if len(seen_so_far) == 1:
            raise MemoryError("no more")
        return original(*args, **kwargs)

    monkeypatch.setattr(search, "run_training", fail_first)
    assert call(search.main, *data, *SPACE, "sweep.trials=2", f"sweep.dir={tmp_path}") == 0
    assert [state for _, state, *_ in results(tmp_path)] == [TrialState.FAIL, TrialState.COMPLETE]
    assert "Trial 0 failed: no more" in capfd.readouterr().out
    assert "1 complete, 1 fail, of 2" in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_what_is_wrong_with_all_trials_ends_the_search(data, tmp_path, capfd) -> None:
    broken = tmp_path / "broken.csv"
    broken.write_text("data,Battery\nPin,Postive\n")
    words = [*data, *SPACE, "sweep.trials=9", f"sweep.dir={tmp_path}/s", f"data.train={broken}"]
    assert call(search.main, *words) == 2
    assert "the first 3 trials failed" in capfd.readouterr().err


@pytest.mark.parametrize("sweep", ["optuna", "mini"])
def test_every_shipped_search_is_valid(tmp_path, sweep, monkeypatch) -> None:
    """Composed, parsed and checked at every choice and both ends; then no trial is run."""
    begun = []
    monkeypatch.setattr("src.sweeps.trials.work", lambda search, train: begun.append(search))
    assert call(search.main, f"sweep={sweep}", "model=mini", f"sweep.dir={tmp_path}") == 1
    assert set(begun[0].space) == {"loss", "loss.gamma", "loss/alpha", "model.encoder_lr", "model.head_lr"}
    assert begun[0].space["model.encoder_lr"].log


@pytest.mark.parametrize(
    ("words", "messages"),
    [
        (["sweep.trials=0"], ["sweep.trials=0: expected an integer, at least 1"]),
        (["loss=focal,focl", "model.dropout=0.1,1"], ["focl", "model.dropout=1: expected a number in [0, 1)"]),
        (["loss.gamma=interval(-1,2)"], ["loss.gamma=-1.0: expected a number, at least 0"]),
        (["sweep.trails=3"], ["trails"]),
        (["sweep.pruner._target_=os.abort"], ["sweep.pruner._target_=os.abort: expected a class of optuna.pruners"]),
        (["sweep.space=null"], ["nothing to search"]),
        (["task=absa,sentiment"], ["the trials would go by different figures: val/pair_f1, val/sentiment_f1"]),
        (["sweep=nothing"], ["nothing"]),
    ],
)
def test_mistakes_are_told_before_any_trial(data, tmp_path, words, messages, capfd) -> None:
    assert call(search.main, *data, *words, f"sweep.dir={tmp_path}/s") == 2
    error = capfd.readouterr().err
    assert all(message in error for message in messages), error
    assert "Traceback" not in error and not (tmp_path / "s").exists()


def test_of_equal_trials_the_one_with_the_lower_loss_is_the_best(tmp_path) -> None:
    study = opened(tmp_path)
    assert study.best is None
    for figure, loss in ((0.1, 0.1), (0.5, 0.9), (0.5, 0.7), (0.5, 0.8)):
        trial, _ = study.claim()
        told = SimpleNamespace(
            callback_metrics={"val/pair_f1": figure, "val/loss": loss}, current_epoch=0, max_epochs=1
        )
        Prune(trial, "val/pair_f1").on_train_epoch_end(told, None)
        study.study.tell(trial, figure)
    assert study.best.number == 2


@pytest.mark.slow
def test_a_search_for_the_lowest_loss(data, tmp_path, capfd) -> None:
    """Direction, the best trial and its page; the loss's settings stay out, unless they are typed."""
    words = [*data, "monitor=val/loss", "mode=min", "trainer.max_epochs=2", "sweep.trials=3", f"sweep.dir={tmp_path}/s"]
    words.append("sweep.space={loss.gamma: 'interval(0,5)', model.head_lr: 'choice(1e-9,1e-2)'}")
    assert call(search.main, *words) == 0
    out = capfd.readouterr().out
    trials = results(tmp_path / "s")
    assert all(set(params) == {"model.head_lr"} for _, _, params, _, _ in trials)
    assert "so not searched: loss, loss.gamma, loss/alpha;" in out
    number, _, params, lowest, _ = min(trials, key=lambda r: r[3])
    assert f"Best: val/loss {lowest:.4f}, trial {number}\n" in out and f"model.head_lr={params['model.head_lr']}" in out
    for trial, _, _, value, steps in trials:
        assert Run(tmp_path / "s" / str(trial)).read_summary()["best"] == value == pytest.approx(min(steps.values()))
    assert f"trial {number}" in out and (tmp_path / "s" / "report.html").is_file()
    changed = [word for word in words if not word.startswith(("monitor", "mode="))]
    assert call(search.main, *changed, "loss.gamma=2") == 2
    assert "the study's direction was minimize, is maximize" in capfd.readouterr().err


def test_the_lowest_loss_is_the_best_and_prunes(tmp_path) -> None:
    _, fixed, space = split(["x=interval(0,1)"])
    study = Search(tmp_path, space, fixed, "val/loss", TPESampler, MedianPruner(2, 0), 20, seed=7)
    for epochs in ((0.5, 0.4), (0.3, 0.2), (0.6, 0.7)):
        trial, _ = study.claim()
        prune = Prune(trial, "val/loss")
        try:
            for epoch, loss in enumerate(epochs):
                told = SimpleNamespace(callback_metrics={"val/loss": loss}, current_epoch=epoch, max_epochs=3)
                prune.on_train_epoch_end(told, None)
        except optuna.TrialPruned:
            assert trial.number == 2, "the one with the highest loss"
            study.study.tell(trial, state=TrialState.PRUNED)
        else:
            study.study.tell(trial, min(epochs))
    assert study.study.trials[2].state == TrialState.PRUNED
    assert study.best.number == 1 and study.best.user_attrs["best"] == [0.2, 0.2]
    assert "0.2" in write_page(study).read_text(encoding="utf-8")


def test_what_is_typed_is_searched_with_a_warning() -> None:
    _, _, space = split(["loss.gamma=interval(0,5)", "model.detection_weight=interval(1,2)", "seed=1,2"])
    kept, told = comparable(space, ["loss.gamma"])
    assert set(kept) == {"loss.gamma", "seed"}
    assert "not searched: model.detection_weight" in told and "WARNING: loss.gamma: losses of trials" in told
    with pytest.raises(UserError, match="nothing to search without loss"):
        comparable({"loss/alpha": space["seed"]}, [])


# --- the page --------------------------------------------------------------------------------------------------------


def test_the_page_shows_the_study(tmp_path) -> None:
    search = opened(
        tmp_path, "model=mini", "x=interval(0,1)", "model.head_lr=tag(log,interval(1e-5,1e-1))", "loss=focal,ce",
        pruner=MedianPruner(n_startup_trials=1, n_warmup_steps=0),
    )  # fmt: skip
    for i in range(12):
        trial, values = search.claim()
        trial.report(values["x"], 0)
        if i in (5, 8):
            search.study.tell(trial, state=TrialState.PRUNED)
        elif i == 6:
            trial.set_user_attr("error", "RuntimeError: <script>alert(1)</script>")
            search.study.tell(trial, state=TrialState.FAIL)
        else:
            search.study.tell(trial, values["x"])
    search.claim()
    page = write_page(search).read_text(encoding="utf-8")
    best = search.study.best_trial
    assert f"python train.py model=mini x={best.params['x']} model.head_lr=" in page
    assert "1 running, 9 complete, 2 pruned, 1 fail, of 20 asked for" in page
    assert page.count("Plotly.newPlot(") == 3
    assert not re.search(r"<(script|link)[^>]*(src|href)=", page), "nothing from outside"


def test_a_page_of_nothing_and_of_one(tmp_path) -> None:
    search = opened(tmp_path)
    assert "no trial, of 20 asked for. Best: none is complete" in write_page(search).read_text(encoding="utf-8")
    trial, values = search.claim()
    search.study.tell(trial, values["x"])
    assert write_page(search).read_text(encoding="utf-8").count("Plotly.newPlot(") == 1


def test_importances_weigh_a_setting_among_the_trials_where_it_acts() -> None:
    complete = []
    kinds = {"loss": CategoricalDistribution(["focal", "ce"]), "loss.gamma": FloatDistribution(0, 5)}
    for i in range(12):
        params = {"loss": ("focal", "ce")[i % 2], "loss.gamma": i / 3}
        complete.append(optuna.trial.create_trial(params=params, distributions=kinds, value=i / 10))
    asked = {title: (len(study.trials), names) for study, names, title in _weighed(complete, "maximize")}
    assert asked == {
        "What mattered, over 12 trials": (12, ["loss"]),
        "What mattered, over 6 trials in which loss.gamma acts": (6, ["loss", "loss.gamma"]),
    }
