"""Other processes: some that train together, forked from this one, as a second import of torch takes longer than a test."""

import multiprocessing
import os
import socket
import subprocess
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.conftest import ROOT


def in_processes(n: int, function: Callable[[int], Any], timeout: float = 25) -> list[Any]:
    """``function(rank)`` in ``n`` processes with the environment that Lightning's launcher gives; their results."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    fork = multiprocessing.get_context("fork")

    def run(rank: int, answer: Any) -> None:
        os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": str(n)}
        os.environ |= {"LOCAL_RANK": str(rank), "NODE_RANK": "0"}
        try:
            answer.send((function(rank), None))
        except BaseException:
            answer.send((None, traceback.format_exc()))

    pipes = [fork.Pipe(duplex=False) for _ in range(n)]
    started = [fork.Process(target=run, args=(rank, pipe[1]), daemon=True) for rank, pipe in enumerate(pipes)]
    for process, (_, there) in zip(started, pipes, strict=True):
        process.start()
        there.close()  # so that a crash is seen as the end of the file
    try:
        answers = [_answer(here, timeout) for here, _ in pipes]
    finally:
        for process in started:
            process.kill()
    if errors := [f"rank {rank}: {error}" for rank, (_, error) in enumerate(answers) if error]:
        raise AssertionError("\n".join(errors))
    return [result for result, _ in answers]


def _answer(pipe: Any, timeout: float) -> tuple[Any, str | None]:
    try:
        answer: tuple[Any, str | None] = pipe.recv() if pipe.poll(timeout) else (None, "hangs")
    except EOFError:
        return None, "crashed"
    return answer


def held_elsewhere(folder: Path) -> subprocess.Popen:
    """Another process that holds the folder until its input is closed."""
    code = "import sys; from pathlib import Path; from src.runs.folder import claim; claim(Path(sys.argv[1]))"
    code += "; print('held', flush=True); sys.stdin.read()"
    command = [sys.executable, "-c", code, str(folder)]
    process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "held\n"
    return process


def joined_by_shell(form: str, parts: list[Path]) -> bytes:
    """What the lines of ``docs/cluster.md`` make of the parts of ``absa predict --shard``."""
    command = ["cat"] if form == "jsonl" else ["awk", "NR == 1 || FNR > 1"]
    return subprocess.run([*command, *map(str, parts)], capture_output=True, check=True).stdout
