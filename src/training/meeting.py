"""Processes that torchrun or srun started become one training: one folder, the same settings, code and data.

Each of them has composed its configuration for itself, at another second and perhaps on another machine. So they form
their group before anything is read, and what only one of them can decide, the first tells the others.
"""

import hashlib
import json
import logging
import os
import platform
import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import read_write

from ..errors import UserError, listed, tell
from ..runs.settings import differences
from .devices import device_of
from .launched import Launched, launched, meeting_place
from .ranks import GRACE, LONGEST_WAIT, T, gathered, several

MEETING = timedelta(minutes=3)  # for all to come, some from a slow disk
CODE = Path(__file__).resolve().parents[2]


def begin_as_one(check: Callable[[], None], settings: Callable[[], dict[str, Any]]) -> None:
    """Call ``check``, and make one training of the processes that torchrun or srun started.

    ``check`` raises UserError for a mistake on this machine, such as a file that it lacks; ``settings`` gives the
    resolved configuration, once the run's folder is known. Raises UserError in the first process, and ends the others
    with status 2, for a mistake of any of them, and if they have other settings, code or versions; in each, if the
    others do not come.
    """
    start = launched()
    if start is None:
        return check()
    from torch import distributed
    from torch.distributed.rendezvous import rendezvous

    faults: list[str] = []
    try:
        check()
    except UserError as error:
        faults = error.faults
    os.environ |= meeting_place(start)
    try:
        store, *_ = next(iter(rendezvous("env://", start.rank, start.size, timeout=MEETING)))
        told = _exchanged(store, start, [socket.gethostname(), faults])
    except (distributed.DistError, RuntimeError) as error:
        at = f"{os.environ.get('MASTER_ADDR')}:{os.environ.get('MASTER_PORT')}"
        raise UserError(
            f"process {start.rank} of {start.size} did not meet the others at {at} within {MEETING.seconds} s "
            f"({str(error).splitlines()[0][:120]}). Were all started, and does every machine reach that address?"
        ) from error
    _raise_in_first(start, _of_machines(told))
    _form_group(start, device_of(settings()["trainer"]["accelerator"]), store)
    share_folder()
    own = settings()
    own["trainer"] = {key: value for key, value in own["trainer"].items() if key not in ("callbacks", "logger")}
    check_alike(own | surroundings())


def _exchanged(store: Any, start: Launched, told: list[Any]) -> list[list[Any]]:
    """What every process has ``told``, in the order of ranks."""
    store.set(f"told {start.rank}", json.dumps(told))
    names = [f"told {rank}" for rank in range(start.size)]
    store.wait(names, MEETING)
    all_of_it = [json.loads(store.get(name)) for name in names]
    store.add("read", 1)
    deadline = time.monotonic() + GRACE
    while not start.rank and store.add("read", 0) < start.size and time.monotonic() < deadline:
        time.sleep(0.01)  # the store may be this process's own, and end with it
    return all_of_it


def _of_machines(told: list[list[Any]]) -> list[str]:
    """The faults of all processes, each once; those that not all have with the names of the machines."""
    hosts: dict[str, list[str]] = {}
    for host, faults in told:
        for fault in faults:
            hosts.setdefault(fault, []).append(host)
    return [
        fault if len(those) == len(told) else f"on {listed(list(dict.fromkeys(those)))}: {fault}"
        for fault, those in hosts.items()
    ]


def _raise_in_first(start: Launched, faults: list[str]) -> None:
    if faults and start.rank:
        raise SystemExit(2)
    if faults:
        raise UserError(faults)


def _form_group(start: Launched, device: str, store: Any) -> None:
    """Connect the processes; ``device`` is ``cuda`` or ``cpu``: which library they talk with."""
    import torch
    from torch import distributed

    own: dict[str, Any] = {}
    if device == "cuda":
        torch.cuda.set_device(start.local_rank)
        own["device_id"] = torch.device("cuda", start.local_rank)
    backend = "nccl" if device == "cuda" else "gloo"
    group = {"rank": start.rank, "world_size": start.size, "timeout": LONGEST_WAIT, "store": store}
    distributed.init_process_group(backend, **group, **own)


def share_folder() -> None:
    """Give every process the first one's folder for the run: by default its name has the second of its start."""
    runtime = HydraConfig.instance().cfg.hydra.runtime  # type: ignore[union-attr]
    folder = told_by_first(lambda: str(runtime.output_dir))
    with read_write(runtime):
        runtime.output_dir = folder


def told_by_first(find: Callable[[], T]) -> T:
    """What ``find`` returns in the first process, in all of them; without a group, in this one.

    A UserError of the first is raised there alone, and ends the others with the same exit status.
    """
    if launched() is None or not several():
        return find()
    from torch import distributed

    told: list[Any] = [None, None]
    failed: UserError | None = None
    if distributed.get_rank() == 0:
        try:
            told[0] = find()
        except UserError as error:
            told[1], failed = True, error
    distributed.broadcast_object_list(told)
    if failed is not None:
        raise failed
    if told[1]:
        raise SystemExit(2)
    return told[0]  # type: ignore[no-any-return]


def check_alike(facts: dict[str, Any]) -> None:
    """Raise UserError in the first process, and end the others, unless all have the same ``facts``."""
    start = launched()
    if start is None:
        return
    told = gathered((socket.gethostname(), facts))
    faults = []
    for number, (host, theirs) in enumerate(told):
        for text in differences(told[0][1], theirs):
            text = text.replace(" was ", " is ", 1).replace(", is ", " there, and ", 1)
            faults.append(f"process {number} on {host}: {text} here")
    same = "All processes of a training need the same command, code and data; nothing was trained."
    _raise_in_first(start, [*faults, same] if faults else [])


def surroundings() -> dict[str, Any]:
    """What of this machine a training depends on: the code, torch and Python."""
    import torch

    total = hashlib.sha256()
    for file in sorted([*CODE.glob("src/**/*.py"), CODE / "train.py"]):
        total.update(file.read_bytes() if file.is_file() else b"")
    return {"the code": total.hexdigest()[:12], "torch": torch.__version__, "Python": platform.python_version()}


@contextmanager
def loss_told(again: Callable[[], str]) -> Iterator[None]:
    """Within this context, the loss of another process ends this one with one message and status 1, not a traceback.

    ``again`` gives what is to be typed to go on.
    """
    start = launched()
    if start is None:
        yield
        return
    try:
        yield
    except Exception as error:
        if not _is_loss(error):
            raise
        tell(f"{_place(start)}: another process of the training has ended or cannot be reached "
             f"({str(error).splitlines()[0][:120]}). If it failed, its own output says why. {again()}")  # fmt: skip
        logging.shutdown()
        sys.stderr.flush()
        os._exit(1)  # the group cannot be closed in order: its other end is gone


def _is_loss(error: BaseException) -> bool:
    from torch import distributed

    return isinstance(error, distributed.DistError) or (isinstance(error, RuntimeError) and "gloo" in str(error))


def _place(start: Launched) -> str:
    return f"process {start.rank} of {start.size} on {socket.gethostname()}"
