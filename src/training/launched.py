"""Processes of one training that torchrun or SLURM's srun started, on one machine or on several. Brings no torch.

Without either, Lightning starts the processes of one machine itself (:mod:`src.training.ranks`).
"""

import os
import re
from typing import NamedTuple

NODE = re.compile(r"\[(\d+)[^\]]*\]")  # in SLURM's lists of machines: node[07-09,12]


class Launched(NamedTuple):
    """What the starter says of this process: its number among all and on its machine, and how many there are."""

    by: str  # torchrun or srun
    rank: int
    local_rank: int
    size: int  # processes on all machines
    here: int  # processes on this machine
    nodes: int  # machines


def launched() -> Launched | None:
    """This process's place among those that torchrun or srun started; None if it was started alone."""
    told = os.environ
    if "TORCHELASTIC_RUN_ID" in told:
        size, here = int(told["WORLD_SIZE"]), int(told["LOCAL_WORLD_SIZE"])
        nodes = int(told.get("GROUP_WORLD_SIZE", -(-size // here)))
        return Launched("torchrun", int(told["RANK"]), int(told["LOCAL_RANK"]), size, here, nodes)
    if slurm_tasks() > 1 and under_srun():
        nodes = int(told.get("SLURM_STEP_NUM_NODES") or told.get("SLURM_NNODES") or 1)
        tasks = told.get("SLURM_STEP_TASKS_PER_NODE") or told.get("SLURM_TASKS_PER_NODE") or ""
        here = _of_node(tasks, int(told.get("SLURM_NODEID", 0)))
        rank, local_rank = int(told["SLURM_PROCID"]), int(told["SLURM_LOCALID"])
        return Launched("srun", rank, local_rank, slurm_tasks(), here, nodes)
    return None


def slurm_tasks() -> int:
    """How many tasks the SLURM step, or the job around it, has; 1 outside SLURM."""
    return int(os.environ.get("SLURM_STEP_NUM_TASKS") or os.environ.get("SLURM_NTASKS") or 1)


def under_srun() -> bool:
    """Whether srun started this process: a batch script itself has the job's numbers, but is no step of it."""
    return any(name in os.environ for name in ("SLURM_STEP_ID", "SLURM_STEPID", "SLURM_STEP_NUM_TASKS"))


def meeting_place(start: Launched) -> dict[str, str]:
    """The environment by which torch finds the other processes. What is set already, as by torchrun, stays."""
    if start.by == "torchrun":
        return {}
    nodes = os.environ.get("SLURM_STEP_NODELIST") or os.environ.get("SLURM_JOB_NODELIST") or "127.0.0.1"
    first = NODE.sub(r"\1", nodes).split(",")[0]
    port = 15_000 + int(os.environ.get("SLURM_JOB_ID", "0")[-4:])  # the same for all, and of this job alone
    told = {"MASTER_ADDR": first, "MASTER_PORT": str(port)}
    told = {name: os.environ.get(name, value) for name, value in told.items()}
    told |= {"RANK": str(start.rank), "LOCAL_RANK": str(start.local_rank), "WORLD_SIZE": str(start.size)}
    return told | {"GROUP_RANK": os.environ.get("SLURM_NODEID", "0")}


def _of_node(tasks: str, node: int) -> int:
    """The tasks of machine number ``node`` in SLURM's list of them, such as ``2(x3),1``; 0 if it does not say."""
    each: list[int] = []
    for number, _, times in re.findall(r"(\d+)(\(x(\d+)\))?", tasks):
        each += [int(number)] * int(times or 1)
    return each[node] if node < len(each) else 0
