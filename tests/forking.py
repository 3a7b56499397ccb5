"""Programs started as forks of a process that has imported torch already: real processes, without seconds of imports.

``python tests/forking.py FD`` is that process: it imports, then forks a child for every request on the socket FD. The
child takes over the directory, environment, words and files of its request and runs as ``python WORDS...`` would: it
gets signals by its own pid, and its exit status, traceback and last buffers are those of Python's own end.
"""

import gc
import inspect
import json
import os
import select
import signal
import socket
import subprocess
import sys
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
HERE = dict(
    os.environ
)  # before any test changes it; tests/conftest.py sets what all tests share before it imports this
IMPORTED = [  # what the programs import
    *("torch._dynamo", "lightning.pytorch", "hydra.experimental.callback", "tqdm.contrib.logging"),
    "transformers.models.xlm_roberta.modeling_xlm_roberta",
    *("src.datamodule", "src.lit_module", "src.model.encoder", "src.judge.best", "src.judge.evaluation"),
    *("src.training.callbacks", "src.training.checks", "src.training.devices", "src.training.loggers"),
    *("src.training.resume", "src.training.scripts", "src.training.summary", "src.training.from_python"),
    *("src.pretraining.checks", "src.pretraining.data", "src.pretraining.masked_lm", "src.sweeps.multirun"),
]


_kept: list[subprocess.Popen] = []


class Forked(subprocess.Popen):
    """A Popen of ``[sys.executable, *words]`` whose process is a fork; where there are no pidfds, as off Linux, a Popen."""

    if hasattr(os, "pidfd_open"):

        def _execute_child(self, *given: Any) -> None:
            names = inspect.signature(subprocess.Popen._execute_child).bind(self, *given).arguments
            words = [os.fspath(word) for word in names["args"]]
            assert words[0] == sys.executable, words
            request = {"words": words[1:], "cwd": os.fspath(names["cwd"] or Path.cwd())}
            request["environment"] = dict(os.environ if names["env"] is None else names["env"])
            pipes = [names["p2cread"], names["c2pwrite"], names["errwrite"]]
            self._status, theirs = socket.socketpair()
            with theirs:
                files = [pipe if pipe >= 0 else number for number, pipe in enumerate(pipes)]
                socket.send_fds(_imported(), [json.dumps(request).encode()], [*files, theirs.fileno()])
            self._child_created = True
            self.pid = int.from_bytes(self._status.recv(4), "big")
            assert self.pid, "the process that forks has ended"
            self._close_pipe_fds(
                *(names[n] for n in ("p2cread", "p2cwrite", "c2pread", "c2pwrite", "errread", "errwrite"))
            )

        def _try_wait(self, wait_flags: int) -> tuple[int, int]:
            if wait_flags == os.WNOHANG and not select.select([self._status], [], [], 0)[0]:
                return 0, 0
            with self._status as status:
                return self.pid, int.from_bytes(status.recv(4), "big")

        def _internal_poll(self, *_: Any, **__: Any) -> int | None:
            if self.returncode is None and self._waitpid_lock.acquire(blocking=False):
                try:
                    pid, status = self._try_wait(os.WNOHANG)
                    if pid:
                        self._handle_exitstatus(status)
                finally:
                    self._waitpid_lock.release()
            return self.returncode


def run(words: list[str], timeout: float = 240, **options: Any) -> subprocess.CompletedProcess:
    """``subprocess.run([sys.executable, *words], capture_output=True, text=True)``, forked."""
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with Forked([sys.executable, *words], **(pipes | options)) as process:
        try:
            out, error = process.communicate(timeout=timeout)
        except BaseException:
            process.kill()
            raise
    return subprocess.CompletedProcess(process.args, process.returncode, out, error)


@cache
def _imported() -> socket.socket:
    """The socket of this process's importing process, which ends with it."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        command = [sys.executable, __file__, str(theirs.fileno())]
        pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)  # a child's are pipes: no seeking there
        _kept.append(subprocess.Popen(command, cwd=ROOT, env=HERE, pass_fds=[theirs.fileno()], **pipes))
    return ours


def _serve(asked: socket.socket) -> dict[str, Any] | None:
    """Fork until the other end is closed, which gives None; in a child, its request."""
    running: dict[int, tuple[int, socket.socket]] = {}  # by pidfd
    while True:
        for ready in select.select([asked, *running], [], [])[0]:
            if ready is not asked:
                pid, status = running.pop(ready)
                os.close(ready)
                with status:
                    status.sendall(os.waitpid(pid, 0)[1].to_bytes(4, "big"))
                continue
            body, files, *_ = socket.recv_fds(asked, 1 << 20, 4)
            if not body:
                return None
            pid = os.fork()
            if pid == 0:
                for number in range(3):
                    os.dup2(files[number], number)
                for number in (*files, asked.detach(), *running):
                    os.close(number)
                for _, status in running.values():
                    status.close()
                return json.loads(body)
            for number in files[:3]:
                os.close(number)
            status = socket.socket(fileno=files[3])
            status.sendall(pid.to_bytes(4, "big"))
            running[os.pidfd_open(pid)] = pid, status


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    for name in IMPORTED:
        import_module(name)
    gc.freeze()  # else a child's last collection looks at all that was imported, and copies its pages
    request = _serve(socket.socket(fileno=int(sys.argv[1])))
    if request is not None:
        import runpy

        words = request["words"]
        os.chdir(request["cwd"])
        os.environ.clear()
        os.environ.update(request["environment"])
        signal.signal(signal.SIGINT, signal.default_int_handler)
        option = words[0] if words[0] in ("-m", "-c") else None
        sys.path[:2] = [request["cwd"] if option else str(Path(words[0]).resolve().parent)]
        sys.argv = words[1:] if option == "-m" else words if option is None else ["-c", *words[2:]]
        if option == "-m":
            runpy.run_module(words[1], run_name="__main__", alter_sys=True)
        elif option == "-c":
            exec(compile(words[1], "<string>", "exec"), {"__name__": "__main__"})
        else:
            runpy.run_path(words[0], run_name="__main__")
