"""One run a folder, with room, checked before anything is trained."""

import errno
import os
import resource
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from hydra.core.hydra_config import HydraConfig
from hydra.errors import ConfigCompositionException
from omegaconf import DictConfig, OmegaConf

from src.errors import NoRoom, UserError
from src.runs import folder as folders
from src.runs.folder import (
    alone_in,
    check_room,
    checkpoint_size,
    claim,
    goes_on,
    is_first_process,
    release,
)
from src.runs.machine import is_full
from src.runs.run import Run
from src.training.scripts import run
from tests.conftest import TINY, train
from tests.processes import held_elsewhere
from tests.tiny import tiny_module

# /proc takes no new files from anybody, root included; a file is no folder for anybody either
NOWHERE = [Path("/proc/visobert"), Path("/dev/null/run"), Path("/tmp", "long" * 75)]


def test_two_runs_do_not_write_into_one_folder(tmp_path) -> None:
    other = held_elsewhere(tmp_path)
    with pytest.raises(UserError, match=rf"another run is writing there \(process {other.pid} on "):
        claim(tmp_path)
    other.kill()  # kill -9: nothing of it is left to be tidied up
    other.wait()
    claim(tmp_path)
    claim(tmp_path)  # once more in the same process is no other run
    release(tmp_path)


def test_without_the_lock_the_second_run_is_let_in(tmp_path, monkeypatch) -> None:
    """The remedy is what makes the test above pass."""
    other = held_elsewhere(tmp_path)
    monkeypatch.setattr("src.runs.folder.Lock", lambda _: SimpleNamespace(free=lambda: None))
    claim(tmp_path)
    release(tmp_path)
    other.kill()
    other.wait()


def test_a_finished_run_is_not_written_over_by_a_new_one(tmp_path) -> None:
    """Two runs of one second have the same folder by default; so has one after the clock was set back."""
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "last.ckpt").touch()
    with pytest.raises(UserError, match=r"holds a run already \(checkpoints/last.ckpt\).*ckpt_path=last goes on"):
        claim(tmp_path, fresh=True)
    claim(tmp_path)
    release(tmp_path)
    assert goes_on("last", tmp_path) and goes_on(f"{tmp_path}/checkpoints/previous.ckpt", tmp_path)
    assert not goes_on(None, tmp_path) and not goes_on(f"{tmp_path}/other/checkpoints/last.ckpt", tmp_path)


@pytest.mark.parametrize("nowhere", NOWHERE)
def test_where_nothing_can_be_written_it_says_so(nowhere) -> None:
    with pytest.raises(UserError, match=r"cannot be written .*; give another hydra.run.dir"):
        claim(nowhere / "run")


@pytest.mark.skipif(os.geteuid() == 0, reason="root ignores permission bits; the tests above and below do without")
def test_a_read_only_folder_is_said_so(tmp_path) -> None:
    tmp_path.chmod(0o555)
    with pytest.raises(UserError, match="Permission denied"):
        claim(tmp_path / "run")


def test_all_that_a_run_lacks_room_for_comes_together(tmp_path, monkeypatch) -> None:
    module = tiny_module()
    check_room(tmp_path / "run", module)
    size = checkpoint_size(module)
    (tmp_path / "full" / "predictions").mkdir(parents=True)
    (tmp_path / "full" / "checkpoints").write_text("a file where the folder should be")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: type("", (), {"free": 1_000_000}))
    monkeypatch.setattr(resource, "getrlimit", lambda _: (size - 1, -1))
    with pytest.raises(UserError) as error:
        check_room(tmp_path / "full", module)
    checkpoints, room, limit = error.value.faults
    assert "full/checkpoints: cannot be written (File exists)" in checkpoints
    assert "1.00 MB free, and the run may write" in room and "hydra.run.dir" in room
    assert "ulimit -f" in limit


def test_what_a_resumed_run_replaces_is_room(tmp_path, monkeypatch) -> None:
    module = tiny_module()
    size = checkpoint_size(module)
    free = folders.OTHER_FILES + size  # for one more than the three that are there
    monkeypatch.setattr(shutil, "disk_usage", lambda _: type("", (), {"free": free}))
    with pytest.raises(UserError, match="free, and the run may write"):
        check_room(tmp_path, module)
    for name in folders.CHECKPOINTS:
        (tmp_path / "checkpoints" / name).write_bytes(bytes(size))
    check_room(tmp_path, module)


def test_the_size_of_a_checkpoint_is_foreseen(trained) -> None:
    from src.judge.inference import load_best
    from src.runs.run import Run

    run = Run(trained[0])
    foreseen, real = checkpoint_size(load_best(run)), run.last.stat().st_size
    assert abs(real - foreseen) < 0.05 * real + 100_000


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS])
def test_a_disk_that_fills_up_anywhere_in_a_run_is_no_bug(tmp_path, number) -> None:
    with pytest.raises(UserError, match=r"metrics.csv: cannot be written: .*ckpt_path=last"), alone_in(tmp_path):
        raise OSError(number, os.strerror(number), "metrics.csv")
    with pytest.raises(FileNotFoundError), alone_in(tmp_path):
        raise FileNotFoundError(2, "that is a bug")
    assert not folders._held, "the folder is given back"


@pytest.mark.parametrize("key", folders.USES)
@pytest.mark.parametrize("there", ["summary.json", "multirun.yaml", "study.db"])
def test_runs_sweeps_and_searches_do_not_share_a_folder(tmp_path, key, there) -> None:
    """A leaderboard of both would show one and hide the others."""
    (tmp_path / there).touch()
    if there in folders.USES[key][1]:
        folders.make(tmp_path, key)
        return
    with pytest.raises(UserError, match=rf"holds a \w+ \({there}\), not {folders.USES[key][0]}; give another {key}$"):
        folders.make(tmp_path, key)


def test_nothing_is_begun_on_a_disk_without_any_room(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(folders, "free_space", lambda folder: 4096)
    with pytest.raises(NoRoom, match=r"run: 0.00 MB free. Make room, or give another hydra.run.dir"):
        claim(tmp_path / "run")
    assert not folders._held and not list((tmp_path / "run").iterdir())


def test_a_disk_that_is_full_where_hydra_writes_ends_in_words_and_status_2(capsys, monkeypatch) -> None:
    """And what it is not: a bug within a job, an override that Hydra cannot apply, SQLite's words."""
    monkeypatch.setattr(sys, "argv", ["train.py"])

    def status(why: Exception, begun: bool = False) -> object:
        def job() -> None:
            raise why

        try:
            run(job, begun=["a job"] * begun)
        except SystemExit as end:
            return end.code
        except type(why):
            return "a traceback"
        return 0

    assert status(OSError(errno.ENOSPC, "No space left on device", "multirun.yaml")) == 2
    assert "'multirun.yaml'. Make room; then the same command goes on" in capsys.readouterr().err
    assert status(UserError("a mistake"), begun=True) == 2
    assert status(ConfigCompositionException("no such key")) == 2
    assert capsys.readouterr().err == "error: a mistake\nerror: no such key\n"
    assert status(ConfigCompositionException("no such key"), begun=True) == "a traceback"
    assert status(ValueError("a bug"), begun=True) == status(FileNotFoundError(2, "a bug")) == "a traceback"
    wrapped = RuntimeError("An exception is raised during the commit")  # Optuna's, of SQLAlchemy's, of SQLite's
    wrapped.__cause__ = ValueError("(sqlite3.OperationalError) database or disk is full")
    assert is_full(wrapped) and not is_full(RuntimeError("full"))
    assert "HYDRA_FULL_ERROR" not in os.environ


@pytest.mark.parametrize("name", ["RANK", "LOCAL_RANK", "SLURM_PROCID"])
def test_other_ranks_of_a_run_share_its_folder(monkeypatch, name) -> None:
    assert is_first_process()
    monkeypatch.setenv(name, "1")
    assert not is_first_process()


# --- the real script: refused before Hydra writes there, status 2, one message ---


def test_the_script_leaves_a_folder_that_is_not_its_own_as_it_was(tmp_path) -> None:
    other = held_elsewhere(tmp_path / "run")
    done = train(*TINY, f"hydra.run.dir={tmp_path}/run")
    assert done.returncode == 2 and done.stderr.startswith(f"error: {tmp_path}/run: another run is writing there")
    assert "Traceback" not in done.stderr
    assert {f.name for f in (tmp_path / "run").iterdir()} == {".lock", ".lock.holder"}
    other.kill()
    other.wait()
    done = train(*TINY, "hydra.run.dir=/proc/visobert/run")
    assert done.returncode == 2 and "error: /proc/visobert/run: cannot be written" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_refused_resume_leaves_the_settings_of_the_run(trained, tmp_path) -> None:
    """``ckpt_path=last`` from elsewhere goes by them."""
    run = tmp_path / "run"
    shutil.copytree(trained[0], run)
    before = {f.name: f.read_bytes() for f in (run / ".hydra").iterdir()}
    done = train(*TINY, "loss=focal", "loss.gamma=3", "ckpt_path=last", f"hydra.run.dir={run}")
    assert done.returncode == 2 and "loss.gamma was 2, is 3" in done.stderr
    assert len(done.stderr.splitlines()) == 2, done.stderr
    assert {f.name: f.read_bytes() for f in (run / ".hydra").iterdir()} == before


def test_settings_are_replaced_when_the_run_goes_on_and_not_before(tmp_path, monkeypatch) -> None:
    hydra = OmegaConf.create({"hydra": {"overrides": {"task": ["seed=1"]}}})
    monkeypatch.setattr(HydraConfig.instance(), "cfg", hydra)

    def there() -> int:
        return OmegaConf.load(tmp_path / ".hydra" / "config.yaml").seed

    def given(seed: int) -> DictConfig:
        return OmegaConf.create({"seed": seed})

    for seed in (1, 2):  # refused before anything was trained, and what is given then
        with alone_in(tmp_path, given(seed)):
            assert there() == seed
    assert {f.name for f in (tmp_path / ".hydra").iterdir()} == {"config.yaml", "hydra.yaml", "overrides.yaml"}
    assert OmegaConf.load(tmp_path / ".hydra" / "overrides.yaml") == ["seed=1"]
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "last.ckpt").touch()
    with alone_in(tmp_path, given(3)):
        assert there() == 2
    with alone_in(tmp_path, given(4)):
        Run(tmp_path).begin(given(4))
    assert there() == 4
