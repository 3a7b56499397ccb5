"""Devices: which ones, one process each, the precision and attention that are fastest there, and refused settings."""

import os
import shutil
from importlib.util import find_spec
from typing import Any

import torch
from lightning.pytorch.strategies import DDPStrategy
from transformers import PreTrainedModel

from ..datamodule import AspectDataModule
from ..model.attention import PLAIN, VARLEN
from ..spelling import command, override, pasted
from .launched import Launched, launched, slurm_tasks
from .ranks import LONGEST_WAIT, rank
from .targets import ALLOWED_FUNCTIONS

ALL = ("auto", -1, "-1")
KNOWN = {None: None, "auto": None, "ddp": "ddp"} | dict.fromkeys(ALLOWED_FUNCTIONS, "ddp")


def ddp() -> DDPStrategy:
    """The strategy for several devices: every device holds the whole model, and gradients are averaged.

    A process that waits longer than :data:`LONGEST_WAIT` for the others ends, as where a machine lost its power.

    Training changes no buffer, so none is broadcast; every parameter gets a gradient in every step, so unused
    parameters are not searched for.
    """
    return DDPStrategy(
        broadcast_buffers=False, find_unused_parameters=False, gradient_as_bucket_view=True, timeout=LONGEST_WAIT
    )


def processes(trainer: dict[str, Any]) -> int:
    """How many processes the trainer's settings ask for, on all machines."""
    return processes_here(trainer) * int(trainer.get("num_nodes") or 1)


def processes_here(trainer: dict[str, Any]) -> int:
    """How many processes the trainer's settings ask for on each machine."""
    devices = trainer.get("devices", 1)
    if devices in ALL:
        return max(1, torch.cuda.device_count()) if device_of(trainer["accelerator"]) == "cuda" else 1
    return int(devices)


def take_part(data: AspectDataModule, trainer: dict[str, Any]) -> None:
    """Set the data module's rank, number of processes and device, so that it makes this process's batches."""
    kind = device_of(trainer["accelerator"])
    data.rank, data.world_size = rank(), processes(trainer)
    start = launched()
    here = start.local_rank if start else data.rank
    data.device = f"cuda:{here}" if kind == "cuda" and data.world_size > 1 else kind


def device_of(accelerator: str) -> str:
    """``cuda``, ``mps`` or ``cpu``: where a Trainer with this ``accelerator`` will compute."""
    if accelerator in ("auto", "gpu", "cuda") and torch.cuda.is_available():
        return "cuda"
    if accelerator in ("auto", "gpu", "mps") and torch.backends.mps.is_available():
        return "mps"
    return "cpu"


def resolve_precision(precision: str | int, accelerator: str) -> str:
    """``auto`` -> ``bf16-mixed`` or ``32-true`` for the device that will be used; anything else as it is.

    Without AVX512_BF16 or AMX a processor emulates bfloat16, 40 to 500 times slower than float32; with either, matrix
    products are about 4 times faster.
    """
    if precision != "auto":
        return str(precision)
    device = device_of(accelerator)
    if device == "cuda":
        return "bf16-mixed" if torch.cuda.is_bf16_supported(including_emulation=False) else "32-true"
    return "bf16-mixed" if device == "cpu" and _cpu_has_bf16() else "32-true"


def attention_for(accelerator: str, encoder: PreTrainedModel) -> str:
    """Which attention transformers should use to train ``encoder``: see :mod:`src.model.attention`."""
    on_processor = device_of(accelerator) == "cpu"
    if not encoder._supports_attention_backend:
        return "eager" if on_processor else "sdpa"
    return PLAIN if on_processor else VARLEN


def compiler_missing(accelerator: object) -> str | None:
    """What ``model.compile=true`` needs and this machine lacks; None if it lacks nothing."""
    if device_of(str(accelerator)) == "cuda":
        return None if find_spec("triton") else "Triton on a GPU"
    known = (os.environ.get("CXX", "g++"), "clang++", "cl")
    return None if any(map(shutil.which, known)) else "a C++ compiler on a processor"


def device_faults(trainer: dict[str, Any], multirun: bool) -> list[str]:
    """What is wrong with ``trainer.devices`` and ``trainer.strategy``, with the way out."""
    strategy, devices = trainer.get("strategy"), trainer.get("devices", 1)
    name = strategy.get("_target_") if isinstance(strategy, dict) else strategy
    if name not in KNOWN:
        return [f"trainer.strategy={name}: expected trainer=ddp or trainer=default"]
    kind = KNOWN[name]
    faults = []
    if kind and multirun:
        faults.append(
            f"trainer={kind} in a multirun: every process but the first would run the whole sweep again; "
            "run the jobs one by one, or sweep with one device per job (trainer=default)"
        )
    if devices not in ALL and not (str(devices).isdigit() and int(devices) > 0):
        faults.append(
            f"trainer.devices={devices}: expected a number of devices, at least 1, or auto for all; "
            "CUDA_VISIBLE_DEVICES=0,2 says which GPUs"
        )
        return faults
    if kind is None and str(devices) != "1":
        faults.append(
            f"trainer.devices={devices}: trainer=default trains on one device; "
            f"{pasted(['trainer=ddp', override('trainer.devices', devices)])} on several"
        )
    faults += node_faults(trainer, kind)
    on = device_of(str(trainer.get("accelerator", "auto")))
    there = torch.cuda.device_count()
    if on == "cuda" and devices not in ALL and int(devices) > max(1, there):
        faults.append(f"trainer.devices={devices}: torch finds {there} GPU{'s' if there > 1 else ''} here")
    if on == "mps" and devices not in ALL and int(devices) > 1:
        faults.append(f"trainer.devices={devices}: MPS is one device; set trainer.devices=1")
    return faults


def node_faults(trainer: dict[str, Any], kind: str | None) -> list[str]:
    """What is wrong with ``trainer.num_nodes``, beside ``kind`` of strategy and the processes that were started."""
    nodes, start = trainer.get("num_nodes", 1), launched()
    if not isinstance(nodes, int) or nodes < 1:
        return [f"trainer.num_nodes={nodes}: expected a number of machines, at least 1"]
    given = f"trainer.num_nodes={nodes}"
    if kind is None and start:
        return [
            f"{start.by} has started {start.size} processes, and each would train a run of its own; "
            f"{pasted(_asked(start))} trains one with all of them, and plain python starts one process"
        ]
    if kind is None:
        several = pasted(["trainer=ddp", override("trainer.num_nodes", nodes)])
        return [f"{given}: trainer=default trains on one device; {several} on several machines"] if nodes > 1 else []
    here = processes_here(trainer)
    if start is None and slurm_tasks() > 1:
        return [
            f"SLURM has given this job {slurm_tasks()} tasks, and srun has not started them; put srun before python"
        ]
    if start is None and nodes > 1:
        numbers = ["--nnodes", str(nodes), "--nproc-per-node", str(here), "--node-rank", "0", "--master-addr", "FIRST"]
        torchrun, srun = pasted(["torchrun", *numbers, "train.py"]), f"srun {command('train.py')}"
        return [
            f"{given}: each machine has to start its processes. On the first, whose name the others know as FIRST: "
            f"{torchrun} ...; on the others with --node-rank 1 and so on. Under SLURM: {srun} ..."
        ]
    if start and (start.size, start.here, start.nodes) != (nodes * here, here, nodes):
        if start.here * start.nodes != start.size:
            return [
                f"{start.by} has started {start.size} processes on {start.nodes} machines, {start.here} on this one; "
                "every machine needs as many (srun: --ntasks-per-node, torchrun: --nproc-per-node)"
            ]
        return [
            f"{start.by} has started {start.size} process{'es' * (start.size > 1)}, {start.here} on each of "
            f"{start.nodes} machine{'s' * (start.nodes > 1)}; the settings ask for {here} on each of {nodes}. For what "
            f"was started: {pasted(_asked(start))}"
        ]
    return []


def _asked(start: Launched) -> list[str]:
    """The settings that go with the processes that were started."""
    numbers = {"trainer.num_nodes": start.nodes, "trainer.devices": start.here}
    return ["trainer=ddp", *(override(key, number) for key, number in numbers.items())]


def _cpu_has_bf16() -> bool:
    cpu = torch.cpu
    return bool(cpu._is_avx512_bf16_supported() or cpu._is_amx_tile_supported())
