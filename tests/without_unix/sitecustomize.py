"""A Python in which Unix is missing, for programs that are started with this folder on PYTHONPATH.

As on Windows, for the project's own code some modules and functions are not there (libraries decide by ``sys.platform``,
which stays, so they still find them); a folder cannot be opened; a file that this process has open or
mapped cannot be renamed, replaced or removed, nor the folder around it renamed; a file that another process has locked
cannot be read; some letters cannot stand in a name; only what is open for writing can be flushed. Beside that, the
project's own code may open no text without saying in which encoding (with PYTHONWARNDEFAULTENCODING=1).
"""

import asyncio.unix_events
import builtins
import errno
import os
import re
import shutil
import signal
import subprocess
import sys
import warnings
from contextlib import suppress
from pathlib import Path

LIBRARIES = (os.path.dirname(os.__file__) + os.sep, os.sep + "site-packages" + os.sep)
KILL = signal.SIGKILL
del os.fork, os.sched_getaffinity, os.link, signal.SIGKILL


def of_library(file: object) -> bool:
    return isinstance(file, str) and any(part in file for part in LIBRARIES)


def missing_signal(name: str) -> signal.Signals:
    if name == "SIGKILL" and of_library(sys._getframe(1).f_code.co_filename):
        return KILL
    raise AttributeError(f"module 'signal' has no attribute {name!r}")


_import = builtins.__import__


def import_(name: str, scope: object = None, *rest: object, **more: object) -> object:
    allowed = isinstance(scope, dict) and of_library(scope.get("__file__"))
    if name in ("fcntl", "resource", "pwd", "grp", "termios") and not allowed:
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)
    return _import(name, scope, *rest, **more)


builtins.__import__ = import_  # type: ignore[assignment]
signal.__getattr__ = missing_signal  # type: ignore[attr-defined]
subprocess.Popen.kill = subprocess.Popen.terminate  # type: ignore[method-assign]  # as on Windows
shutil._use_fd_functions = False  # type: ignore[attr-defined]  # else rmtree opens folders


def _no_handler(self: object, *_: object) -> None:
    raise NotImplementedError


asyncio.unix_events._UnixSelectorEventLoop.add_signal_handler = _no_handler  # type: ignore[method-assign, assignment]

_fsync = os.fsync


def fsync(handle: int) -> None:
    flags = int(re.search(r"flags:\s*([0-7]+)", Path(f"/proc/self/fdinfo/{handle}").read_text())[1], 8)
    if flags & os.O_ACCMODE == os.O_RDONLY:
        raise OSError(errno.EBADF, "Bad file descriptor")
    _fsync(handle)


os.fsync = fsync


def audit(event: str, arguments: tuple) -> None:
    """Python calls this before it opens, renames or removes anything, whichever function is used."""
    if event == "open":
        path, mode, flags = arguments
        if not isinstance(path, str | bytes):
            return
        path = os.fsdecode(path)
        if os.path.isdir(path):
            raise _denied(path)
        if flags & os.O_CREAT:
            _check_name(path)
        if mode in ("r", "rb") and path.endswith(".lock") and _locked(path):
            raise _denied(path)
    elif event == "os.mkdir":
        _check_name(os.fsdecode(arguments[0]))
    elif event == "os.rename":
        for path in map(os.fsdecode, arguments[:2]):
            if _in_use(path):
                raise _denied(path)
        _check_name(os.fsdecode(arguments[1]))
    elif event == "os.remove" and _in_use(path := os.fsdecode(arguments[0])):
        raise _denied(path)


def _in_use(path: str) -> bool:
    """Whether this process has the file, or one within the folder, open or mapped."""
    real = os.path.join(os.path.realpath(os.path.dirname(path) or "."), os.path.basename(path))
    names = set()
    for handle in os.listdir("/proc/self/fd"):
        with suppress(OSError):
            names.add(os.readlink(f"/proc/self/fd/{handle}"))
    with open("/proc/self/maps", encoding="utf-8", errors="surrogateescape") as maps:
        names |= {line.rstrip("\n").split(None, 5)[5] for line in maps if "/" in line}
    return any(name == real or name.startswith(real + "/") for name in names)


def _locked(path: str) -> bool:
    try:
        inode = os.stat(path).st_ino
    except OSError:
        return False
    with open("/proc/locks", encoding="ascii") as locks:
        return any(re.search(rf"FLOCK .* {os.getpid()} ", line) is None and f":{inode} " in line for line in locks)


def _check_name(path: str) -> None:
    name = os.path.basename(path)
    if re.search(r'[<>:"|?*\\]|[. ]$', name) and name not in (".", ".."):
        raise OSError(errno.EINVAL, "Invalid argument", path)


def _denied(path: str) -> PermissionError:
    return PermissionError(errno.EACCES, "Access is denied", path)


sys.addaudithook(audit)
warnings.filterwarnings("ignore", category=EncodingWarning)
warnings.filterwarnings("error", category=EncodingWarning, module=r"(src|train|pretrain|search|__main__)(\.|$)")
