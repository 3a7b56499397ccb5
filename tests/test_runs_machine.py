"""Whole files, locks, cores: what the system has is used, and what it lacks is no error."""

import errno
import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from src.runs import machine
from src.runs.machine import Lock, Taken, cores, flush, free_space, largest_file, link, replace, sha256, write_whole
from tests.conftest import ROOT
from tests.many import side_by_side

# --- whole files ---


@pytest.mark.parametrize("content", ["Đồ án\n", "Đồ án\n".encode(), lambda file: file.write("Đồ án\n".encode())])
def test_text_bytes_and_writers_are_written_whole(tmp_path, content) -> None:
    path = tmp_path / "kết quả.txt"
    for _ in range(2):  # the second time over the first
        write_whole(path, content)
        assert path.read_bytes() == "Đồ án\n".encode()
    assert list(tmp_path.iterdir()) == [path]


def test_half_a_surrogate_pair_ends_no_write(tmp_path) -> None:
    write_whole(tmp_path / "a", "a\ud83d")
    assert (tmp_path / "a").read_text(encoding="utf-8") == "a?"


def test_what_fails_leaves_the_file_of_before_and_nothing_else(tmp_path) -> None:
    path = tmp_path / "a"
    path.write_text("before")

    def full(file) -> None:
        file.write(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        write_whole(path, full)
    assert path.read_text() == "before" and list(tmp_path.iterdir()) == [path]


def test_the_content_is_on_disk_before_it_has_its_name_and_the_name_after(tmp_path, monkeypatch) -> None:
    steps = []
    monkeypatch.setattr(os, "fsync", lambda handle: steps.append(f"fsync {Path(f'/proc/self/fd/{handle}').readlink()}"))
    monkeypatch.setattr(os, "replace", lambda source, target: steps.append(f"replace {target}"))
    write_whole(tmp_path / "a", "x", temporary=tmp_path / "t")
    assert steps == [f"fsync {tmp_path}/t", f"replace {tmp_path}/a", f"fsync {tmp_path}"]


def test_a_file_that_a_scanner_has_open_is_tried_again(tmp_path, monkeypatch) -> None:
    real, calls = os.replace, []

    def busy(source, target) -> None:
        calls.append(source)
        if len(calls) < 3:
            raise PermissionError(errno.EACCES, "Access is denied")
        real(source, target)

    monkeypatch.setattr(os, "replace", busy)
    monkeypatch.setattr(machine, "WAITS", (0.0, 0.0, 0.0))
    write_whole(tmp_path / "a", "x")
    assert (tmp_path / "a").read_text() == "x" and len(calls) == 3
    calls[:] = []
    monkeypatch.setattr(machine, "WAITS", ())
    with pytest.raises(PermissionError):
        replace(tmp_path / "a", tmp_path / "b")


def test_a_second_name_is_the_same_file_and_takes_the_place_of_another(tmp_path, monkeypatch) -> None:
    for name in "ab":
        (tmp_path / name).write_text(name)
    for _ in range(2):
        assert link(tmp_path / "a", tmp_path / "b")
        assert (tmp_path / "a").samefile(tmp_path / "b") and len(list(tmp_path.iterdir())) == 2
    monkeypatch.delattr(os, "link")
    assert not link(tmp_path / "a", tmp_path / "c") and not (tmp_path / "c").exists()


def test_a_folder_that_cannot_be_opened_is_not_flushed(tmp_path, monkeypatch) -> None:
    def refused(path, flags) -> int:
        raise PermissionError(errno.EACCES, "Access is denied", str(path))

    flush(tmp_path)
    (tmp_path / "a").touch()
    monkeypatch.setattr(os, "open", refused)
    flush(tmp_path)
    with pytest.raises(PermissionError):
        flush(tmp_path / "a")


def test_the_hash_is_that_of_the_bytes(tmp_path) -> None:
    (tmp_path / "a").write_bytes(b"\r\n\0")
    assert sha256(tmp_path / "a") == hashlib.sha256(b"\r\n\0").hexdigest()


# --- locks ---


def taken(path: Path) -> int:
    try:
        Lock(path)
    except Taken as holder:
        return 1 if str(holder).startswith(f"process {os.getppid()} on ") else 2
    return 0


def test_a_lock_ends_with_its_process_and_names_it(tmp_path) -> None:
    path = tmp_path / "x.lock"
    assert side_by_side((taken, path)) == [0]
    held = Lock(path)
    assert side_by_side((taken, path)) == [1]
    held.free()
    assert side_by_side((taken, path)) == [0]
    Lock(path).free(remove=True)
    assert list(tmp_path.iterdir()) == []


def test_a_lock_is_waited_for(tmp_path) -> None:
    code = (
        "import sys, time; from pathlib import Path; from src.runs.machine import Lock; lock = Lock(Path(sys.argv[1]))"
    )
    code += "; print('held', flush=True); time.sleep(0.3); print(time.monotonic(), flush=True); lock.free()"
    command = [sys.executable, "-c", code, str(tmp_path / "x.lock")]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout.readline() == "held\n"
        held = Lock(tmp_path / "x.lock", wait=True)
        assert float(other.stdout.readline()) > 0, "it had it until then"
    held.free()


def test_a_file_system_without_locks_ends_nothing(tmp_path, monkeypatch) -> None:
    def none(handle, kind) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("fcntl.flock", none)
    first, second = Lock(tmp_path / "x.lock"), Lock(tmp_path / "x.lock")
    for lock in (first, second):
        lock.free(remove=True)
    with pytest.raises(OSError, match=r"Not a directory|No such file|Permission"):
        Lock(Path("/proc/visobert/x.lock"))


# --- cores and room ---

V1 = "5:cpuset:/docker/ab\n4:cpu,cpuacct:/docker/ab\n0::/\n"
QUOTAS = [  # /proc/self/cgroup, files below /sys/fs/cgroup, cores of 12
    ("0::/\n", {}, 12),
    ("0::/\n", {"cpu.max": "max 100000"}, 12),
    ("0::/\n", {"cpu.max": "200000 100000"}, 2),
    ("0::/\n", {"cpu.max": "50000 100000"}, 1),
    ("0::/\n", {"cpu.max": "3200000 100000"}, 12),
    ("0::/a.slice/b\n", {"a.slice/b/cpu.max": "max 100000", "a.slice/cpu.max": "350000 100000"}, 3),
    ("0::/not/there\n", {"cpu.max": "400000 100000"}, 4),
    (V1, {"cpu,cpuacct/cpu.cfs_quota_us": "-1", "cpu,cpuacct/cpu.cfs_period_us": "100000"}, 12),
    (V1, {"cpu,cpuacct/cpu.cfs_quota_us": "250000", "cpu,cpuacct/cpu.cfs_period_us": "100000"}, 2),
    (V1, {"cpu,cpuacct/docker/ab/cpu.cfs_quota_us": "50000", "cpu,cpuacct/docker/ab/cpu.cfs_period_us": "10000"}, 5),
    ("", {"cpu.max": "nonsense"}, 12),
]


@pytest.mark.parametrize(("own", "files", "expected"), QUOTAS)
def test_cores_follow_affinity_and_the_quota_of_a_container(tmp_path, monkeypatch, own, files, expected) -> None:
    (tmp_path / "own").write_text(own)
    for name, text in files.items():
        (tmp_path / "groups" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "groups" / name).write_text(text + "\n")
    monkeypatch.setattr(machine, "OWN_GROUPS", tmp_path / "own")
    monkeypatch.setattr(machine, "GROUPS", tmp_path / "groups")
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(12)))
    assert cores() == expected
    monkeypatch.delattr(os, "sched_getaffinity")  # macOS, Windows
    monkeypatch.setattr(os, "cpu_count", lambda: 12)
    assert cores() == expected


def test_room_and_limits_are_asked_for_where_the_system_has_them(tmp_path, monkeypatch) -> None:
    assert free_space(tmp_path) > 0 and free_space(tmp_path / "none") is None
    monkeypatch.setattr("resource.getrlimit", lambda _: (1000, -1))
    assert largest_file() == 1000
    monkeypatch.setattr("resource.getrlimit", lambda _: (-1, -1))
    assert largest_file() is None
    monkeypatch.setitem(sys.modules, "resource", None)
    assert largest_file() is None


# --- consoles ---


@pytest.mark.parametrize("encoding", ["cp1252", "cp1258", "ascii"])
def test_a_letter_that_the_console_lacks_is_escaped(encoding) -> None:
    code = "import sys; from src.runs.machine import write_any_letter; {}; print('ữ 😍'); print('ữ', file=sys.stderr)"
    env = os.environ | {"PYTHONIOENCODING": encoding}

    def run(remedy: str) -> subprocess.CompletedProcess:
        return subprocess.run([sys.executable, "-c", code.format(remedy)], cwd=ROOT, env=env, capture_output=True)

    done = run("write_any_letter()")
    assert done.returncode == 0 and done.stdout.strip().endswith(rb"\U0001f60d")
    assert run("pass").returncode == 1, "without it the command ends"
