"""Sweeps: killed and taken up, jobs that fail, memory, shares of the machine, the leaderboard."""

import errno
import json
import os
import re
import shutil
import signal
import sys
from pathlib import Path

import pytest
import torch
from hydra.experimental.callback import Callback
from omegaconf import OmegaConf

import train
from src.errors import UserError
from src.runs.run import Run
from src.sweeps import multirun as sweeps
from src.sweeps.jobs import finished, job_folder
from src.sweeps.multirun import check_launcher, leaderboard, take_share
from tests.conftest import train as run_script
from tests.many import call, killed, small_data
from tests.processes import held_elsewhere

SEEDS = ["trainer.max_epochs=4", "model.threshold=0.2"]


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> list[str]:
    return small_data(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def swept(data, tmp_path_factory) -> Path:
    """Two jobs, the second of which is killed -9 on its way; then the same command again."""
    folder = tmp_path_factory.mktemp("sweep") / "killed"
    words = ["-m", *data, *SEEDS, "seed=1,2", f"hydra.sweep.dir={folder}"]
    killed(call, train.main, *words, when=(folder / "1" / "checkpoints" / "last.ckpt").exists)
    files = folder / "0" / "summary.json", folder / "0" / "checkpoints" / "best.ckpt"
    before = [(file.stat().st_mtime_ns, file.read_bytes()) for file in files]
    assert not (folder / "1" / "summary.json").exists()
    assert call(train.main, *words) == 0
    assert before == [(file.stat().st_mtime_ns, file.read_bytes()) for file in files]
    return folder


@pytest.mark.slow
def test_a_killed_sweep_skips_what_has_finished_and_resumes_what_has_not(swept, data, tmp_path) -> None:
    first, second = ((swept / str(i) / "train.log").read_text() for i in range(2))
    assert "Finished before, with val/pair_f1" in first
    assert f"Going on from {swept}/1/checkpoints/last.ckpt" in second
    assert len(re.findall(r"epoch +\d/4", second)) in (4, 5), "an epoch is trained again at most"
    assert call(train.main, "-m", *data, *SEEDS, "seed=2", f"hydra.sweep.dir={tmp_path}") == 0
    whole, resumed = Run(tmp_path / "0"), Run(swept / "1")
    assert resumed.read_summary()["figures"] == whole.read_summary()["figures"]
    assert resumed.predictions("test").read_bytes() == whole.predictions("test").read_bytes()


def test_ctrl_c_ends_a_sweep_with_the_command_that_goes_on(data, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    words = ["-m", *data, "trainer.max_epochs=500", "callbacks.early_stopping=null", "seed=1,2"]
    begun = lambda: list(tmp_path.glob("multirun/*/*/0/checkpoints/last.ckpt"))  # noqa: E731
    assert killed(call, train.main, *words, when=begun, by=signal.SIGINT) == 130
    folder = begun()[0].parents[2]
    said = (folder / "0" / "train.log").read_text().splitlines()[-1]
    assert re.search(r"To go on: \S*python\S* train\.py -m model=mini", said)
    assert said.endswith(f"seed=1,2 hydra.sweep.dir={folder.relative_to(tmp_path)}")
    assert not (folder / "1").exists()


def test_a_finished_jobs_figure_goes_to_the_sweeper(swept, data) -> None:
    assert call(train.main, "-m", *data, *SEEDS, "seed=1", f"hydra.sweep.dir={swept}", *NOTED) == 0
    assert Note.returned == [Run(swept / "0").read_summary()["best"]]


@pytest.mark.slow
def test_a_folder_keeps_its_job_when_numbers_shift(swept, data) -> None:
    """seed=2 is job 0 now; and more of the same is a matter of the new values alone."""
    best = [Run(swept / name).read_summary()["best"] for name in ("1", "0")]
    words = ["-m", *data, *SEEDS[::-1], "seed=2,3,1", f"hydra.sweep.dir={swept}"]
    assert call(train.main, *words, *NOTED) == 0
    assert [Note.returned[0], Note.returned[2]] == best
    for name in ("0", "1"):  # what it was trained with is what is written there, though numbers and order differ now
        Run(swept / name).check()
    assert Run(swept / "1.2").read_summary()["config"]["seed"] == 3, "job 1, beside the folder 1 of another job"
    assert Run(swept / "0").read_summary()["config"]["seed"] == 1
    shutil.rmtree(swept / "1.2")


def test_a_job_with_a_damaged_summary_is_run_again(swept, data, tmp_path) -> None:
    folder = shutil.copytree(swept, tmp_path / "sweep")
    summary = (folder / "0" / "summary.json").read_bytes()
    (folder / "0" / "summary.json").write_bytes(summary[: len(summary) // 2])
    assert call(train.main, "-m", *data, *SEEDS, "seed=1", f"hydra.sweep.dir={folder}") == 0
    assert Run(folder / "0").read_summary()["figures"] == json.loads(summary)["figures"]


def test_results_of_other_settings_are_neither_taken_nor_lost(swept, data) -> None:
    """As when a YAML file was changed: the overrides are the same, the settings are not."""
    run = Run(swept / "0")
    settings = run.read_summary()["config"]
    assert finished(run, settings) == run.read_summary()["best"]
    assert finished(run, settings | {"ckpt_path": "x.ckpt"}) is not None, "which says nothing of the model"
    with pytest.raises(UserError, match=r"has finished, and loss.gamma was 2.0, is 3.0\n.*another hydra.sweep.dir"):
        finished(run, settings | {"loss": settings["loss"] | {"gamma": 3.0}})
    assert finished(Run(swept / "nothing"), settings) is None


def test_job_folders(tmp_path) -> None:
    def made(number: int, *overrides: str) -> str:
        name = job_folder(tmp_path, number, overrides)
        (tmp_path / name / ".hydra").mkdir(parents=True, exist_ok=True)
        (tmp_path / name / ".hydra" / "overrides.yaml").write_text("".join(f"- {o}\n" for o in overrides))
        return name

    assert [made(0, "seed=1"), made(1, "seed=2"), made(0, "seed=1")] == ["0", "1", "0"]
    assert [made(0, "seed=3"), made(0, "seed=4"), made(1, "seed=3")] == ["0.2", "0.3", "0.2"]
    assert made(2, "a=1", "b=2") == made(7, "b=2", "a=1") == "2"
    assert job_folder(tmp_path / "none", 5, []) == "5"


def test_a_second_sweep_in_the_folder_is_refused(data, tmp_path, capfd) -> None:
    """They would take each other's numbers, and forget each other's failures."""
    (tmp_path / "0").mkdir()
    (tmp_path / "0" / "failed.json").write_text("{}")
    other = held_elsewhere(tmp_path)
    try:
        assert call(train.main, "-m", *data, "seed=1,2", f"hydra.sweep.dir={tmp_path}") == 2
    finally:
        other.kill()
        other.wait()
    said = capfd.readouterr().err
    assert f"error: {tmp_path}: another run is writing there" in said and "another hydra.sweep.dir" in said
    assert {f.name for f in tmp_path.iterdir()} == {"0", ".lock", ".lock.holder"} and (
        tmp_path / "0" / "failed.json"
    ).exists()


# --- the leaderboard -------------------------------------------------------------------------------------------------


def test_the_leaderboard_is_printed_and_written(swept, data, capfd) -> None:
    assert call(train.main, "-m", *data, *SEEDS, "seed=1,2", f"hydra.sweep.dir={swept}") == 0
    printed = capfd.readouterr().out
    assert "2 runs on 20 test reviews, means over seed" in printed
    written = json.loads((swept / "leaderboard.json").read_text())
    [row] = written["rows"]
    figures = [Run(swept / name).read_summary()["figures"]["test"]["pair_f1"] for name in "01"]
    assert row["figures"]["pair_f1"] == pytest.approx(sum(figures) / 2)
    assert row["sd"]["pair_f1"] == pytest.approx(abs(figures[0] - figures[1]) / 2**0.5)
    assert (swept / "leaderboard.md").read_text().split("```")[1].strip() in printed


def test_a_disk_that_fills_up_at_the_leaderboard_is_told(tmp_path, monkeypatch, capsys) -> None:
    """With the jobs that failed; Hydra would make a warning of it and end with 0."""
    (tmp_path / "0").mkdir()
    (tmp_path / "0" / "failed.json").write_text('{"mistake": true, "error": "data.max_length=-1"}')
    config = OmegaConf.create({"hydra": {"sweep": {"dir": str(tmp_path)}}})

    def full(_: Path) -> str:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(sweeps, "leaderboard", full)
    with pytest.raises(SystemExit) as end:
        sweeps.Sweep().on_multirun_end(config)
    said = capsys.readouterr().err
    assert end.value.code == 2 and "Make room" in said and "0: data.max_length=-1" in said


def test_runs_that_do_not_compare_say_so(tmp_path) -> None:
    assert "There is no leaderboard: " in leaderboard(tmp_path)


# --- jobs that fail --------------------------------------------------------------------------------------------------


class Note(Callback):
    """Notes what the sweeper gets, and the resident memory after every job in MiB."""

    returned: list = []
    memory: list = []

    def on_multirun_start(self, config, **kwargs) -> None:
        Note.returned, Note.memory = [], []

    def on_job_end(self, config, job_return, **kwargs) -> None:
        Note.returned.append(job_return.return_value)
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        Note.memory.append(pages * os.sysconf("SC_PAGE_SIZE") / 2**20)


# callbacks end jobs in the reverse order: named before the project's own, so that it ends them after it
NOTED = ["+hydra.callbacks.a._target_=tests.test_sweeps_multirun.Note", "~hydra.callbacks.sweep"]
NOTED += ["+hydra.callbacks.b._target_=src.sweeps.multirun.Sweep"]


def out_of_memory(monkeypatch, seed: int) -> None:
    import lightning.pytorch as L

    seeded = L.seed_everything

    def fail(given: int, **kwargs) -> None:
        seeded(given, **kwargs)
        if given == seed:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB")

    monkeypatch.setattr(L, "seed_everything", fail)


@pytest.mark.slow
def test_a_job_that_breaks_does_not_end_the_sweep(data, tmp_path, monkeypatch, capfd) -> None:
    words = ["-m", *data, "trainer.max_epochs=1", "seed=1,2", f"hydra.sweep.dir={tmp_path}"]
    with monkeypatch.context() as patched:
        out_of_memory(patched, seed=1)
        assert call(train.main, *words, *NOTED) == 1
    out, error = capfd.readouterr()
    assert error.endswith(
        "Jobs that failed, 1:\n  0: OutOfMemoryError: CUDA out of memory. Tried to allocate 20.00 GiB\n"
    )
    assert "1 run on 20 test reviews" in out and f"Not finished, left out: {tmp_path}/0" in out
    assert "Traceback" in (tmp_path / "0" / "train.log").read_text()
    assert Note.returned == [0.0, Run(tmp_path / "1").read_summary()["best"]], "finite figures, all of them"
    # the memory came back: the same command again does what was left
    assert call(train.main, *words) == 0
    assert Run(tmp_path / "0").read_summary()["config"]["seed"] == 1
    assert not list(tmp_path.glob("*/failed.json"))


def test_a_mistake_in_one_job_is_told_with_status_2(data, tmp_path, capfd) -> None:
    words = ["-m", *data, "trainer.max_epochs=1", "model.dropout=1,0.5", f"hydra.sweep.dir={tmp_path}"]
    assert call(train.main, *words) == 2
    error = capfd.readouterr().err
    assert "Jobs that failed, 1:\n  0: model.dropout=1: expected a number in [0, 1)" in error
    assert "Traceback" not in error
    assert Run(tmp_path / "1").read_summary()["config"]["model"]["dropout"] == 0.5


@pytest.mark.slow
def test_memory_returns_between_jobs(data, tmp_path) -> None:
    words = ["-m", *data, "trainer.max_epochs=1", "model.size.vocab_size=400", "seed=1,2,3,4,5,6"]
    assert call(train.main, *words, "model.head_width=20000", f"hydra.sweep.dir={tmp_path}", *NOTED) == 0
    first, last = Note.memory[1], Note.memory[-1]
    assert last - first < 10, f"MiB after each job: {Note.memory}"


# --- many at a time --------------------------------------------------------------------------------------------------


def test_each_worker_has_its_share_of_the_cores_and_a_gpu_of_its_own(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(sweeps, "cores", lambda: 12)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 12)
    threads: list[int] = []
    monkeypatch.setattr(torch, "set_num_threads", threads.append)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    seen = []
    held = []
    for _ in range(3):  # as three processes would, none of which ends
        monkeypatch.setattr(sweeps, "_held", [])
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
        take_share(tmp_path, 3)
        take_share(tmp_path, 3)  # its next job
        held += sweeps._held
        seen.append(os.environ["CUDA_VISIBLE_DEVICES"])
    assert seen == ["0", "1", "0"] and threads == [4, 4, 4]
    held[1].free()  # that process has ended
    monkeypatch.setattr(sweeps, "_held", [])
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,6")
    take_share(tmp_path, 3)
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "6", "of those that the sweep was given"


def test_a_launcher_that_is_not_installed_names_its_extra(monkeypatch) -> None:
    monkeypatch.setattr(sweeps, "_there", lambda module: False)
    for name, extra in {
        "joblib": "sweep",
        "slurm": "cluster",
        "submitit_local": "cluster",
        "ray_cluster": "ray",
    }.items():
        with pytest.raises(UserError, match=rf"hydra/launcher={name}: is not installed; pip install .*\[{extra}\]"):
            check_launcher(["-m", f"hydra/launcher={name}"])
    check_launcher(["-m", "hydra/launcher=basic", "seed=1,2"])


def launched(folder: Path, data: list[str], launcher: list[str]) -> str:
    words = ["trainer.max_epochs=1", "seed=1,2", "model.dropout=0.5,1", f"hydra.sweep.dir={folder}"]
    done = run_script("-m", *launcher, *data, *words)
    assert done.returncode == 2, done.stdout + done.stderr
    assert "Jobs that failed, 2:\n  1: model.dropout=1" in done.stderr
    assert "2 runs on 20 test reviews, best pair_f1 first, mean over seed" in done.stdout
    return "".join((folder / name / "train.log").read_text() for name in "02")


@pytest.mark.slow
def test_joblib_runs_jobs_side_by_side(data, tmp_path) -> None:
    logs = launched(tmp_path, data, ["hydra/launcher=joblib", "hydra.launcher.n_jobs=2"])
    assert {f.name for f in (tmp_path / ".places").glob("*.lock")} == {"0.lock", "1.lock"}
    assert logs.count(f"CPU, {max(1, min(sweeps.cores() // 2, int(os.environ['OMP_NUM_THREADS'])))} threads") == 2
    logs = launched(tmp_path, data, ["hydra/launcher=joblib", "hydra.launcher.n_jobs=2"])
    assert logs.count("Finished before") == 2


@pytest.mark.slow
def test_submitit_runs_each_job_in_a_process_of_its_own(data, tmp_path) -> None:
    launched(tmp_path, data, ["hydra/launcher=submitit_local"])
    assert len(list((tmp_path / ".submitit").glob("*"))) >= 4


SBATCH = """#!{python}
# Stands for a SLURM with one node: runs the tasks of an array one after the other, notes what the script asks for.
import os, re, subprocess, sys, time
text = open(sys.argv[-1]).read()
open("{folder}/asked", "w").write("".join(line for line in text.splitlines(True) if line.startswith("#SBATCH")))
last = int(re.search(r"--array=0-([0-9]+)", text)[1])
print("Submitted batch job 12", flush=True)
if os.fork():
    os._exit(0)
os.setsid()
for number in range(3):
    os.dup2(os.open("{folder}/log", os.O_RDWR | os.O_CREAT | os.O_APPEND), number)
time.sleep(2)  # by then the jobs are where the launcher moves them once it knows their numbers
for task in range(last + 1):
    own = dict(SLURM_ARRAY_JOB_ID="12", SLURM_ARRAY_TASK_ID=str(task), SLURM_JOB_ID=str(13 + task), SLURM_LOCALID="0")
    own |= dict(SLURM_JOB_NODELIST="node", SLURM_NODEID="0", SLURM_PROCID="0", SLURM_NTASKS="1", SLURM_JOB_NUM_NODES="1")
    subprocess.run(["bash", sys.argv[-1]], env=os.environ | own)
open("{folder}/ended", "w").close()
"""
SRUN = """#!/bin/bash
while [[ "$1" == -* || "$1" == *.out || "$1" == *.err ]]; do shift; done
exec "$@"
"""
SACCT = """#!/bin/bash
echo "JobID|State|NodeList"
[ -e {folder}/ended ] && for i in 0 1 2 3; do echo "12_$i|COMPLETED|node"; done
"""


@pytest.mark.slow
def test_slurm_is_asked_for_what_its_file_says_and_runs_the_jobs(data, tmp_path, monkeypatch) -> None:
    """As far as a machine without SLURM goes: its commands are stood in for, the launcher and the jobs are real."""
    tools = tmp_path / "bin"
    tools.mkdir()
    for name, text in {"sbatch": SBATCH, "srun": SRUN, "sacct": SACCT}.items():
        file = tools / name
        file.write_text(text.replace("{python}", sys.executable).replace("{folder}", str(tmp_path)))
        file.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}:{os.environ['PATH']}")
    launched(tmp_path / "sweep", data, ["hydra/launcher=slurm", "hydra.launcher.partition=gpu"])
    asked = (tmp_path / "asked").read_text()
    for line in (
        "--partition=gpu",
        "--time=720",
        "--cpus-per-task=8",
        "--gpus-per-node=1",
        "--mem=32GB",
        "--array=0-3%4",
    ):
        assert f"#SBATCH {line}\n" in asked
