"""The processes of one training: who this one is, what they agree on, and that all of them end together.

Lightning starts them when the training begins: the command that was typed once more for every further device, with
``LOCAL_RANK`` in its environment and Hydra's folder of the first. What takes seconds to import is imported where it is
needed: the script asks who it is before anything else.
"""

import logging
import os
import sys
import threading
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

PATIENCE = 2.0  # seconds in which the others show whether one of them failed first
QUIET = ["hydra/job_logging=none"]  # no train.log of its own


def rank() -> int:
    """The number of this process; 0 is the one that was typed, which alone prints and writes."""
    return int(os.environ.get("LOCAL_RANK", 0))


def follow() -> list[str]:
    """For every process but the first: say nothing, and end when the first does. Returns words for Hydra."""
    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")
    first = os.getppid()

    def watch() -> None:
        while os.getppid() == first:
            time.sleep(0.5)
        os._exit(1)  # killed; a collective that this process waits in would never end

    threading.Thread(target=watch, daemon=True).start()
    return QUIET


@contextmanager
def together(trainer: Any) -> Iterator[None]:
    """Around a training: an error in one process ends all of them within seconds, with that process's exit status.

    Without it an error of the first leaves the others waiting for it in a collective for half an hour, and that of
    another reaches the first as a lost connection, or as SIGKILL.
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
        deadline = time.monotonic() + PATIENCE
        while any(p.poll() is None for p in launcher.procs) and time.monotonic() < deadline:
            time.sleep(0.1)
        _kill(launcher.procs)
        if status := _failure(launcher.procs):
            raise SystemExit(status) from None  # it has said what went wrong; here it was a lost connection
        raise
    finally:
        over.set()


def _kill(processes: list[Any]) -> None:
    for process in processes:
        process.kill()  # SIGKILL where there is one; those that have ended are left alone


def _failure(processes: list[Any]) -> int:
    """The exit status of the first of ``processes`` that failed by itself; 0 while none has."""
    for process in processes:
        code = process.poll()
        if code:
            return int(code) if code > 0 else 128 - int(code)
    return 0


def leave() -> bool:
    """The end of what the processes do together. True for the first, which goes on alone."""
    from torch import distributed

    if distributed.is_available() and distributed.is_initialized():
        distributed.destroy_process_group()  # else a figure that it computes would wait for the others
    return rank() == 0


def several() -> bool:
    """Whether this process has others beside it now."""
    from torch import distributed

    return distributed.is_available() and distributed.is_initialized() and distributed.get_world_size() > 1


def total(number: int, device: Any) -> int:
    """The sum of a number over the processes; to be called by all of them."""
    if not several():
        return number
    import torch
    from torch import distributed

    sum_of = torch.tensor(number, device=device)
    distributed.all_reduce(sum_of)
    return int(sum_of)


def gathered(value: Any) -> list[Any]:
    """A value of every process, in their order; to be called by all of them."""
    if not several():
        return [value]
    from torch import distributed

    values: list[Any] = [None] * distributed.get_world_size()
    distributed.all_gather_object(values, value)
    return values
