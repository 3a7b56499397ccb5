"""Sweeps and searches in the test's own process, on a data set of a hundred reviews: importing torch takes longer."""

import csv
import logging
import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import src.judge.best  # noqa: F401  what a training imports, before any process is forked
from tests.conftest import ROOT, TINY

SIZES = {"train": 60, "validation": 20, "test": 20}


def small_data(folder: Path) -> list[str]:
    """Overrides for the first reviews of the sample, copied to ``folder``, and for a training of no time at all."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, size in SIZES.items():
        with (ROOT / "data" / "sample" / f"{name}.csv").open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.reader(file))
        with (folder / f"{name}.csv").open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows(rows[: size + 1])
    files = [f"data.{key}={name}.csv" for key, name in (("train", "train"), ("val", "validation"), ("test", "test"))]
    return [*TINY, "data=table", f"data.dir={folder}", *files, "data.leaks=warn"]


def call(program: Callable[[], None], *words: str) -> int:
    """The exit status of a program's ``main`` with these words as its command line."""
    before, sys.argv = sys.argv, [f"{program.__module__}.py", *words]
    handlers = logging.root.handlers[:]
    os.environ["HYDRA_MAIN_MODULE"] = "__main__"  # the configuration is found beside the file
    try:
        program()
    except SystemExit as end:
        return end.code or 0
    finally:
        sys.argv = before
        logging.root.handlers[:] = handlers  # Hydra's write to what pytest shows of this test alone
        del os.environ["HYDRA_MAIN_MODULE"]
    return 0


def killed(
    target: Callable[..., int],
    *arguments: object,
    when: Callable[[], object],
    by: signal.Signals = signal.SIGKILL,
    wait: float = 60,
) -> int:
    """Run it in a process of its own, and kill that, with -9, as soon as ``when`` is true; its exit status."""
    process = multiprocessing.get_context("fork").Process(target=_exit_with, args=(target, *arguments))
    process.start()
    deadline = time.monotonic() + wait
    while not when():
        if not process.is_alive() or time.monotonic() > deadline:
            pytest.fail("it ended, or took too long, before it could be killed")
        time.sleep(0.01)
    os.kill(process.pid, by)
    process.join(wait)
    assert (process.exitcode == -signal.SIGKILL) == (by == signal.SIGKILL)
    return process.exitcode


def side_by_side(*targets: tuple) -> list[int]:
    """Exit statuses of functions with their arguments, in processes at the same time."""
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=_exit_with, args=target) for target in targets]
    for process in processes:
        process.start()
    for process in processes:
        process.join(120)
    return [process.exitcode for process in processes]


def _exit_with(target: Callable[..., int], *arguments: object) -> None:
    sys.exit(target(*arguments))
