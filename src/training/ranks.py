"""The processes of one training: the rank of this one, sums over all of them, and one end for all.

Lightning starts them when the training begins: the command that was typed once more for every further device, with
``LOCAL_RANK`` in its environment and Hydra's folder of the first. Or torchrun or srun has started all at once
(:mod:`src.training.launched`, :mod:`src.training.meeting`). torch is imported inside the functions that need it,
because a program asks for its rank before its slow imports.
"""

import logging
import os
import sys
import threading
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from subprocess import Popen
from typing import TYPE_CHECKING, Any, TypeVar

from .launched import launched

if TYPE_CHECKING:
    import torch

T = TypeVar("T")

GRACE = 2.0  # seconds to wait and see whether an error here comes from another process's failure
LONGEST_WAIT = timedelta(minutes=10)  # to wait for another process; reading data or a checkpoint of GBs takes less
QUIET = ["hydra/job_logging=none"]  # no train.log of its own
NO_FOLDER = "hydra.run.dir=."  # until the first tells its folder: Hydra would make one, of another second


def rank() -> int:
    """The number of this process among all; 0 is the first, which alone prints and writes."""
    start = launched()
    return start.rank if start else int(os.environ.get("LOCAL_RANK", 0))


def follow() -> list[str]:
    """Take part in a training of several processes: end with what started this one; return overrides for Hydra.

    Lightning's others were started by the first process, torchrun's and srun's by its agent on this machine. Every
    process but the first is silent.
    """
    start = launched()
    if not start and not rank():
        return []
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(1)  # it was killed; a collective that this process waits in would never end

    threading.Thread(target=watch, daemon=True).start()
    if not rank():
        return []
    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")
    return [*QUIET, NO_FOLDER] if start else QUIET


@contextmanager
def together(trainer: Any) -> Iterator[None]:
    """Around a training: an error in one process ends all of them within seconds, with that process's exit status.

    Otherwise, after an error in the first process, the others wait for it in a collective for half an hour; and an
    error in another process reaches the first only as a lost connection or as SIGKILL.
    """
    launcher = getattr(trainer.strategy, "launcher", None)
    if launcher is None or not hasattr(launcher, "procs") or rank():
        yield
        return
    over = threading.Event()

    def watch() -> None:
        while not over.wait(0.2):
            if status := _failure(launcher.procs):
                _kill(launcher.procs)
                logging.shutdown()
                sys.stdout.flush()
                os._exit(status)  # this process may be waiting in a collective, where no exception reaches it

    threading.Thread(target=watch, daemon=True).start()
    try:
        yield
    except BaseException:
        over.set()
        deadline = time.monotonic() + GRACE
        while any(p.poll() is None for p in launcher.procs) and time.monotonic() < deadline:
            time.sleep(0.1)
        _kill(launcher.procs)
        if status := _failure(launcher.procs):
            raise SystemExit(status) from None  # that process has printed the cause; here it is a lost connection
        raise
    finally:
        over.set()


def _kill(processes: list[Popen[bytes]]) -> None:
    for process in processes:
        process.kill()  # SIGKILL where there is one; those that have ended are left alone


def _failure(processes: list[Popen[bytes]]) -> int:
    """The exit status of the first of ``processes`` that failed by itself; 0 while none has."""
    for process in processes:
        code = process.poll()
        if code:
            return int(code) if code > 0 else 128 - int(code)
    return 0


def leave() -> bool:
    """Close the process group; True in the first process, which goes on alone."""
    from torch import distributed

    if distributed.is_available() and distributed.is_initialized():
        distributed.destroy_process_group()  # else metrics of the first would wait for the other processes
    return rank() == 0


def several() -> bool:
    """Whether a group of several processes is open."""
    from torch import distributed

    return distributed.is_available() and distributed.is_initialized() and distributed.get_world_size() > 1


def summed(number: int, device: "torch.device") -> int:
    """The sum of ``number`` over the processes; all of them must call this."""
    if not several():
        return number
    import torch
    from torch import distributed

    sum_of = torch.tensor(number, device=device)
    distributed.all_reduce(sum_of)
    return int(sum_of)


def gathered(value: T) -> list[T]:
    """The ``value`` of every process, in the order of ranks; all of them must call this."""
    if not several():
        return [value]
    from torch import distributed

    values: list[Any] = [None] * distributed.get_world_size()
    distributed.all_gather_object(values, value)
    return values
