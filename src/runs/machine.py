"""What differs between Linux, macOS and Windows: whole files, locks, cores, room on the disk. Brings no torch.

Windows opens no folder, replaces and removes no file that anybody has open, and lets nobody read a locked one. Only
Unix has ``fcntl``, ``resource``, affinity and control groups: this module uses them, and their absence is no error.
"""

import atexit
import errno
import gc
import hashlib
import io
import math
import os
import shutil
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from filelock import FileLock, Timeout

from ..errors import NoRoom

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)
WAITS = (0.02, 0.1, 0.5)  # seconds
GROUPS, OWN_GROUPS = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")


def write_whole(path: Path, content: str | bytes | Callable[[BinaryIO], object], temporary: Path | None = None) -> None:
    """Write a file so that a reader, even after a kill or a loss of power, finds all of it or the earlier file.

    ``content`` is text (written as UTF-8; half a surrogate pair becomes "?"), bytes, or a function that writes into the
    opened file. ``temporary`` is the name until the file is whole, by default one of this process's own; give a fixed
    name for large files with one writer, so that the next write replaces what a kill left. Raises OSError and whatever
    ``content`` raises; the temporary file is removed then.
    """
    temporary = temporary or path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("w+b") as file:
            if callable(content):
                content(file)
            else:
                file.write(content.encode("utf-8", "replace") if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
        replace(temporary, path)
    except BaseException:
        with suppress(OSError):
            temporary.unlink()
        raise
    flush(path.parent)


@contextmanager
def told_as(path: Path, again: str) -> Iterator[None]:
    """Within this context, a file that cannot be written is a user's mistake, NoRoom, that names ``path``.

    ``again`` is what to do once there is room.
    """
    try:
        yield
    except OSError as error:
        room = f"; make room, then {again}" if is_full(error) else ""
        raise NoRoom(f"{path}: cannot be written ({error.strerror or error}){room}") from error


def replace(source: Path, target: Path) -> None:
    """Rename ``source``, over ``target`` if that exists. Raises OSError.

    Windows refuses while another program, such as a virus scanner, has either open, so the rename is tried again for
    half a second.
    """
    for wait in WAITS:
        try:
            return os.replace(source, target)
        except PermissionError:
            time.sleep(wait)
    os.replace(source, target)


def link(file: Path, name: Path) -> bool:
    """Give ``file`` the second name ``name``, replacing a file of that name; False if hard links do not work here."""
    new = name.with_name(f".{name.name}.link")
    try:
        new.unlink(missing_ok=True)
        os.link(file, new)
        replace(new, name)
        new.unlink(missing_ok=True)  # where both were one file already, the rename did nothing
    except (OSError, AttributeError):  # AttributeError: a Python without os.link
        return False
    return True


def flush(path: Path) -> None:
    """Wait until a file's content is on disk; for a folder, its names, as a loss of power may undo a rename until then.

    Does nothing for a folder where the system cannot flush one. Raises OSError.
    """
    folder = path.is_dir()
    try:
        handle = os.open(path, os.O_RDONLY if folder else os.O_RDWR)  # Windows flushes only files open for writing
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
    except OSError as error:
        if not folder or is_full(error):
            raise


def expanded(path: str | Path) -> Path:
    """The path with ``~`` written out; as it is where there is no such user."""
    return Path(os.path.expanduser(path))  # noqa: PTH111  # Path.expanduser raises


def sha256(path: Path) -> str:
    """The SHA-256 of a file's bytes, as 64 hexadecimal digits. Raises OSError."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class Taken(Exception):
    """Another process holds a lock; ``str()`` says which one."""


class Lock:
    """A locked file, from construction until :meth:`free` or the end of the process, kill -9 included.

    The holder's name stands in ``FILE.holder``, because Windows lets nobody read a locked file. On a file system
    without locks nothing is locked and no error is raised: there the user must keep to one writer at a time.
    """

    def __init__(self, path: Path, wait: bool = False) -> None:
        """Raises Taken if another process holds the lock, unless ``wait``; OSError if the file cannot be written."""
        self._path, self._holder = path, path.with_name(f"{path.name}.holder")
        self._lock = FileLock(path, thread_local=False, fallback_to_soft=False)
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._lock.acquire(blocking=wait)
        except Timeout:
            raise Taken(self._held_by()) from None
        except OSError:  # because of the folder, or because its file system has no locks
            path.open("ab").close()  # raises in the first case
        with suppress(OSError):
            self._holder.write_text(f"process {os.getpid()} on {socket.gethostname()}\n", encoding="utf-8")

    def free(self, remove: bool = False) -> None:
        """Release the lock. ``remove`` also deletes the file, unless another process has locked it by then."""
        with suppress(OSError):
            self._holder.unlink()
        removed = remove and self._removed()  # on Unix while it is held, so it is nobody else's
        self._lock.release()
        if remove and not removed:
            self._removed()  # Windows removes no open file, so not another holder's either

    def _removed(self) -> bool:
        try:
            self._path.unlink()
        except OSError:
            return False
        return True

    def _held_by(self) -> str:
        try:
            return self._holder.read_text(encoding="utf-8", errors="replace")[:200].strip()
        except OSError:
            return "its name is not known"


def stop_signals() -> list[signal.Signals]:
    """The signals that ask a process to stop: Ctrl-C, SIGTERM, and on Windows Ctrl-Break."""
    names = ("SIGINT", "SIGTERM", "SIGBREAK")
    return [getattr(signal, name) for name in names if hasattr(signal, name)]


def cores() -> int:
    """How many cores this process may use: its affinity, or less where a control group (a container) grants less."""
    try:
        there = len(os.sched_getaffinity(0))
    except AttributeError:  # macOS, Windows
        there = os.cpu_count() or 1
    return max(1, min(there, math.floor(min(there, _granted()))))


def _granted() -> float:
    """Cores' worth of time that this process's control groups and their parents grant; infinite without a limit."""
    least = math.inf
    for line in _read(OWN_GROUPS).splitlines():
        _, controllers, group = line.split(":", 2)
        if controllers and "cpu" not in controllers.split(","):
            continue
        root = GROUPS / controllers if controllers else GROUPS  # version 1 has a tree for each set of controllers
        own = root / group.strip("/")  # in a container often a path of the host's, which is not there
        for folder in (own, *own.parents):
            words = _read(folder / "cpu.max").split() or [
                *_read(folder / "cpu.cfs_quota_us").split(),
                *_read(folder / "cpu.cfs_period_us").split(),
            ]
            if len(words) == 2 and words[0].isdigit() and int(words[1]):  # else: max, -1
                least = min(least, int(words[0]) / int(words[1]))
            if folder == root:
                break
    return least


def free_space(folder: Path) -> int | None:
    """Bytes that can be written below ``folder``; None where the system does not say."""
    try:
        return shutil.disk_usage(folder).free
    except OSError:
        return None


def largest_file() -> int | None:
    """Bytes that a file of this process may have; None without a limit."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    most, _ = resource.getrlimit(resource.RLIMIT_FSIZE)
    return None if most == resource.RLIM_INFINITY else most


def is_full(error: BaseException | None) -> bool:
    """Whether an exception, or its cause, says that a disk is full; SQLite's error has no number, only a message."""
    if error is None:
        return False
    said = error.errno in FULL if isinstance(error, OSError) else "database or disk is full" in str(error)
    return said or is_full(error.__cause__)


def write_any_letter() -> None:
    """Make standard output and error escape a letter that their encoding lacks; by default it ends the command."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def end_at_once() -> None:
    """Leave out the garbage collection with which Python ends: after an import of torch it takes a second."""
    atexit.register(gc.freeze)


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
