"""Several machines: two "nodes" of one process each on loopback train what one machine trains, and end and go on together."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from src.errors import UserError
from src.runs.run import Run
from src.training.checks import check_config
from src.training.launched import launched, meeting_place
from tests.conftest import ROOT, TINY
from tests.forking import Forked
from tests.test_config import composed
from tests.test_training_devices import TWO, alive, two  # noqa: F401

NODES = ["trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=1", "trainer.num_nodes=2"]
SAME = ["loss/alpha=null", "model.threshold=0.2", "trainer.max_epochs=2"]  # as those of `two`
OF_TORCHRUN = {"TORCHELASTIC_RUN_ID": "x", "RANK": "1", "LOCAL_RANK": "0", "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "1"}
OF_SRUN = {
    "SLURM_JOB_ID": "1234567",
    "SLURM_STEP_ID": "0",
    "SLURM_NTASKS": "4",
    "SLURM_NNODES": "2",
    "SLURM_NODEID": "1",
}
OF_SRUN |= {
    "SLURM_PROCID": "3",
    "SLURM_LOCALID": "1",
    "SLURM_TASKS_PER_NODE": "2(x2)",
    "SLURM_JOB_NODELIST": "gpu[07-09,12],x",
}


@pytest.fixture
def started(monkeypatch):
    def by(told: dict[str, str], **changed: str) -> None:
        for name, value in (told | changed).items():
            monkeypatch.setenv(name, value)

    return by


def test_torchruns_and_sruns_environment_are_read(started) -> None:
    assert launched() is None
    started(OF_SRUN)
    assert launched() == ("srun", 3, 1, 4, 2, 2)
    assert meeting_place(launched()) == {
        **{"MASTER_ADDR": "gpu07", "MASTER_PORT": "19567", "RANK": "3", "LOCAL_RANK": "1", "WORLD_SIZE": "4"},
        "GROUP_RANK": "1",
    }
    started(OF_TORCHRUN)
    assert launched() == ("torchrun", 1, 0, 2, 1, 2) and meeting_place(launched()) == {}


@pytest.mark.parametrize("nodes", ["n1", "n[1]", "n[1,3]", "n[1-3],m[2-5]", "n1,n2"])
def test_the_first_machine_of_slurms_list(started, nodes) -> None:
    started(OF_SRUN, SLURM_JOB_NODELIST=nodes)
    assert meeting_place(launched())["MASTER_ADDR"] == "n1"


def test_one_task_of_srun_is_started_alone(started) -> None:
    started(OF_SRUN, SLURM_NTASKS="1", SLURM_PROCID="0")
    assert launched() is None


@pytest.mark.parametrize(
    ("told", "words", "message"),
    [
        ({}, ["trainer=ddp", "trainer.num_nodes=0"], "trainer.num_nodes=0: expected a number of machines, at least 1"),
        ({}, ["+trainer.num_nodes=2"], "one device; trainer=ddp trainer.num_nodes=2 on several machines"),
        (
            {},
            NODES,
            r"each machine has to start its processes.*torchrun --nnodes 2 --nproc-per-node 1.*srun .*train.py",
        ),
        (OF_TORCHRUN, [], "torchrun has started 2 processes, and each .* trainer=ddp trainer.num_nodes=2 trainer.dev"),
        (OF_TORCHRUN, TWO, "for what was started: trainer=ddp trainer.num_nodes=2 trainer.devices=1"),
        (OF_SRUN, NODES, "4 processes, 2 on each of 2 machines; .* trainer=ddp trainer.num_nodes=2 trainer.devices=2"),
        (OF_SRUN | {"SLURM_TASKS_PER_NODE": "3,1"}, NODES, "every machine needs as many .*--ntasks-per-node"),
        (
            {name: value for name, value in OF_SRUN.items() if name != "SLURM_STEP_ID"},
            NODES,
            "SLURM has given this job 4 tasks, and srun has not started them; put srun before python",
        ),
    ],
)
def test_what_does_not_go_with_what_was_started_is_one_message(tmp_path, started, told, words, message) -> None:
    started(told)
    with pytest.raises(UserError, match=f"(?i){message}") as error:
        check_config(composed(tmp_path, *words))
    assert len(error.value.faults) == 1


def test_what_goes_with_it_is_accepted(tmp_path, started) -> None:
    started(OF_SRUN)
    check_config(composed(tmp_path, *NODES, "trainer.devices=2"))
    started(OF_TORCHRUN)
    check_config(composed(tmp_path, *NODES))


# --- the real script ---


def free_port() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return str(probe.getsockname()[1])


def nodes(cwd: Path, *words: str, own: dict[int, list[str]] | None = None, script: str = "train.py") -> list[Forked]:
    """Both processes, as torchrun would start them but for its agents; ``own`` are words of one of them alone."""
    port, environment = free_port(), os.environ | OF_TORCHRUN
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return [
        Forked(
            [sys.executable, str(ROOT / script), *TINY, *NODES, *words, *(own or {}).get(rank, [])],
            cwd=cwd,
            env=environment | {"RANK": str(rank), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port},
            **pipes,
        )
        for rank in (0, 1)
    ]


def ended(processes: list[subprocess.Popen], timeout: float = 120) -> list[tuple[int, str, str]]:
    try:
        said = [process.communicate(timeout=timeout) for process in processes]
    finally:
        for process in processes:
            process.kill()
    return [(process.returncode, *texts) for process, texts in zip(processes, said, strict=True)]


def weights(run: Path) -> dict[str, torch.Tensor]:
    return torch.load(Run(run).last, weights_only=True)["state_dict"]


def assert_same_run(one: Path, other: Path) -> None:
    assert Run(one).read_summary()["figures"] == Run(other).read_summary()["figures"]
    first, second = weights(one), weights(other)
    assert all(torch.equal(first[name], second[name]) for name in first)


def killed_and_gone_on(start, again, kill, number: int, folder: Path, whole: Path) -> None:
    """One is killed between two checkpoints; the other ends with a word; both go on to the run that was let run."""
    processes = start()
    try:
        kill(processes[number])
        began = time.monotonic()
        _, complaint = processes[1 - number].communicate(timeout=60)
        assert time.monotonic() - began < 30
        assert processes[1 - number].returncode == 1
        assert "another process of the training has ended" in complaint
        assert f'File "{ROOT / "train.py"}"' not in complaint, "torchrun's agent may end with a traceback of its own"
        assert f"hydra.run.dir={folder} ckpt_path=last" in complaint
    finally:
        ended(processes)
    assert not (folder / "summary.json").exists()
    for status, _, complaint in ended(again()):
        assert status == 0, complaint
    assert_same_run(folder, whole)


OFTEN = "trainer.save_every_minutes=0.00001"


@pytest.mark.slow
def test_two_machines_train_what_one_does_and_go_on_after_a_kill(two, tmp_path, monkeypatch) -> None:  # noqa: F811
    """Bit for bit; started in two folders at two seconds they write one folder, the first one's, by the first alone."""
    (tmp_path / "other").mkdir()
    (first, printed, _), (second, *silent) = ended(nodes(tmp_path, *SAME))
    assert (first, second) == (0, 0) and silent == ["", ""]
    (run,) = tmp_path.glob("outputs/*/*")
    assert f"All of it: {run}" in printed and "2 x CPU on 2 machines" in printed
    assert_same_run(run, two[0])
    folder = tmp_path / "cut"
    words = [*SAME, f"hydra.run.dir={folder}", OFTEN]
    monkeypatch.setenv("FAIL", "kill 1")  # in its fourth step
    killed_and_gone_on(
        lambda: nodes(tmp_path, *words, script="tests/failing.py"),
        lambda: nodes(tmp_path, *words, "ckpt_path=last"),
        subprocess.Popen.wait,
        1,
        folder,
        run,
    )


@pytest.mark.parametrize(
    ("own", "says"),
    [
        ({1: ["loss.gamma=3"]}, r"^error: process 1 on \S+: loss.gamma is 2.0 there, and 3.* here$"),
        ({1: ["data.train=gone.csv"]}, r"^error: on \S+: data.train=gone.csv: no such file"),
        ({0: ["ckpt_path=last"], 1: ["ckpt_path=last"]}, "^error: ckpt_path=last: no run below .*outputs has a check"),
    ],
)
def test_a_mistake_is_told_by_the_first_and_ends_all(tmp_path, own, says) -> None:
    (first, _, complaint), (second, *silent) = ended(nodes(tmp_path, own=own))
    assert (first, second) == (2, 2) and silent == ["", ""]
    assert re.search(says, complaint, re.M) and "Traceback" not in complaint and complaint.count("error:") == 1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("when", "statuses", "says"),
    [
        ("step 1", (1, 1), "RuntimeError: this step fails"),
        ("step 0", (1, 1), "RuntimeError: this step fails"),
        ("start 1", (2, 2), "on .*: this start fails"),
    ],
)
def test_an_error_on_one_ends_all(tmp_path, monkeypatch, when, statuses, says) -> None:
    """With the traceback or the message of the process where it was; the other knows that it has lost it."""
    monkeypatch.setenv("FAIL", when)
    (first, _, one), (second, _, other) = ended(nodes(tmp_path, script="tests/failing.py"))
    assert (first, second) == statuses, (one, other)
    assert re.search(says, one + other) and (one + other).count("Traceback") == (statuses == (1, 1))
    assert ("another process of the training has ended" in one + other) == (statuses == (1, 1))
    assert alive(str(tmp_path)) == []


@pytest.mark.slow
def test_one_that_is_asked_to_stop_saves_for_all(tmp_path, two, monkeypatch) -> None:  # noqa: F811
    folder = tmp_path / "run"
    words = [*SAME, f"hydra.run.dir={folder}", OFTEN]
    monkeypatch.setenv("FAIL", "stop 1")
    (first, out, said), (second, *_) = ended(nodes(tmp_path, *words, script="tests/failing.py"))
    assert (first, second) == (130, 0)
    assert (
        f"To go on: the same torchrun command on every machine, with hydra.run.dir={folder} ckpt_path=last"
        in out + said
    )
    assert [status for status, *_ in ended(nodes(tmp_path, *words, "ckpt_path=last"))] == [0, 0]
    assert_same_run(folder, two[0])


def under_torchrun(cwd: Path, *words: str) -> list[subprocess.Popen]:
    port = free_port()
    return [
        subprocess.Popen(
            [
                *(sys.executable, "-m", "torch.distributed.run", "--nnodes", "2", "--nproc-per-node", "1"),
                *("--node-rank", str(rank), "--master-addr", "127.0.0.1", "--master-port", port),
                *(str(ROOT / "train.py"), *TINY, *NODES, *words),
            ],
            cwd=cwd,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in (0, 1)
    ]


def kill_agent(process: subprocess.Popen) -> None:
    """SIGKILL to torchrun's agent of a machine."""
    process.kill()


def kill_worker(process: subprocess.Popen) -> None:
    """SIGKILL to the process that trains; torchrun's agent on its machine ends by itself."""
    (worker,) = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    os.kill(int(worker), signal.SIGKILL)


@pytest.mark.slow
@pytest.mark.parametrize("number", [0, 1])
@pytest.mark.parametrize("kill", [kill_agent, kill_worker])
def test_under_torchrun_a_killed_machine_ends_all_and_all_go_on(kill, number, two, tmp_path) -> None:  # noqa: F811
    folder = tmp_path / "cut"
    words = [*SAME, f"hydra.run.dir={folder}", OFTEN]

    def after_two_checkpoints(process: subprocess.Popen) -> None:
        while not (folder / "checkpoints" / "previous.ckpt").is_file():
            assert process.poll() is None
            time.sleep(0.02)
        kill(process)

    killed_and_gone_on(
        lambda: under_torchrun(tmp_path, *words),
        lambda: under_torchrun(tmp_path, *words, "ckpt_path=last"),
        after_two_checkpoints,
        number,
        folder,
        two[0],
    )
    assert alive(str(tmp_path)) == []
