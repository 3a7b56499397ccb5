"""A checkpoint that is damaged, or that tries something, is refused before torch reads it, in bounded time and memory."""

import io
import os
import pickle
import re
import struct
import subprocess
import sys
import zipfile
from collections import Counter
from pathlib import Path

import pytest
import torch

from src.errors import UserError
from src.model.torch_files import END, LOCAL, LOCATOR, LONG_END, TRAILER, check_archive, check_weights
from src.training.checkpoint import AtomicCheckpointIO
from tests.conftest import ROOT

CONTENT = {"state_dict": {"w": torch.arange(300.0)}, "words": ["pin", "trâu"], "rates": [1e-3, None, True]}


@pytest.fixture
def file(tmp_path) -> Path:
    AtomicCheckpointIO().save_checkpoint(CONTENT, tmp_path / "x.ckpt")
    return tmp_path / "x.ckpt"


def test_plain_torch_reads_the_file_and_so_does_any_zip_program(file) -> None:
    for mapped in (False, True):
        assert torch.equal(torch.load(file, weights_only=True, mmap=mapped)["state_dict"]["w"], torch.arange(300.0))
    with zipfile.ZipFile(file) as archive:
        assert archive.testzip() is None
        assert archive.comment.startswith(b"sha256:") and len(archive.comment) == TRAILER


def test_flipped_bits_are_found(file) -> None:
    whole = file.read_bytes()
    for at in (*range(0, len(whole), 7), *range(len(whole) - 200, len(whole))):
        file.write_bytes(whole[:at] + bytes([whole[at] ^ (1 << at % 8)]) + whole[at + 1 :])
        with pytest.raises(UserError, match=str(file)):
            check_archive(file)


def test_every_truncation_and_everything_appended_is_found(file) -> None:
    whole = file.read_bytes()
    for content in (*(whole[:at] for at in range(0, len(whole), 31)), whole[:-1], whole + b"\0", whole + whole):
        file.write_bytes(content)
        with pytest.raises(UserError, match=str(file)):
            check_archive(file)


def test_torch_itself_does_not_see_a_flipped_bit(file) -> None:
    """Why there is a hash: without it the weights are others and nobody says so."""
    whole = bytearray(file.read_bytes())
    whole[whole.index(struct.pack("<3f", 1, 2, 3)) + 3] ^= 0x40
    file.write_bytes(bytes(whole))
    assert not torch.equal(torch.load(file, weights_only=True)["state_dict"]["w"], torch.arange(300.0))
    with pytest.raises(UserError, match="SHA-256 differs"):
        AtomicCheckpointIO().load_checkpoint(file)


def test_a_file_without_a_hash_is_checked_by_its_parts(tmp_path) -> None:
    path = tmp_path / "plain.ckpt"
    torch.save(CONTENT, path)
    assert AtomicCheckpointIO().load_checkpoint(path)["words"] == CONTENT["words"]
    whole = bytearray(path.read_bytes())
    whole[whole.index(struct.pack("<3f", 1, 2, 3)) + 3] ^= 0x40
    path.write_bytes(bytes(whole))
    with pytest.raises(UserError, match=r"CRC-32 of .*data/0 differs"):
        AtomicCheckpointIO().load_checkpoint(path)


class Calls:
    def __init__(self, function, *arguments) -> None:
        self.reduced = function, arguments

    def __reduce__(self):
        return self.reduced


def archive(path: Path, pickled: bytes, compression=zipfile.ZIP_STORED, **more: bytes) -> Path:
    """A file as torch.save lays it out, with any pickle in it."""
    with zipfile.ZipFile(path, "w", compression) as out:
        for name, content in {"data.pkl": pickled, "byteorder": b"little", "version": b"3\n", **more}.items():
            out.writestr(f"x/{name}", content)
    return path


@pytest.mark.parametrize(
    ("function", "arguments"),
    [
        (os.system, ("touch {tmp}/boom",)),
        (eval, ("open('{tmp}/boom', 'w')",)),
        (bytearray, (10**11,)),  # torch's own list lets this one through, and a hundred gigabytes with it
        (Counter, ([1, 2],)),
        (torch._utils._rebuild_meta_tensor_no_storage, (torch.float32, (1,), (1,), False)),
    ],
)
@pytest.mark.parametrize("protocol", [2, 4])
def test_what_names_code_is_refused_and_never_called(tmp_path, function, arguments, protocol) -> None:
    arguments = [a.format(tmp=tmp_path) if isinstance(a, str) else a for a in arguments]
    path = archive(tmp_path / "x.ckpt", pickle.dumps({"state_dict": Calls(function, *arguments)}, protocol))
    with pytest.raises(UserError, match="refused: it names code"):
        AtomicCheckpointIO().load_checkpoint(path)
    torch.save({"x": Calls(function, *arguments)}, tmp_path / "x.bin", _use_new_zipfile_serialization=False)
    with pytest.raises(UserError, match="refused: it names code"):
        check_weights(tmp_path / "x.bin")
    assert not (tmp_path / "boom").exists()


def test_weights_of_torchs_older_kind_pass(tmp_path) -> None:
    weights = torch.nn.Linear(3, 4).state_dict()
    for name, new in (("old.bin", False), ("new.bin", True)):
        torch.save(weights, tmp_path / name, _use_new_zipfile_serialization=new)
        check_weights(tmp_path / name)
    (tmp_path / "none.bin").write_bytes(b"<html>404</html>")
    with pytest.raises(UserError, match=r"none.bin: no file of torch\.save"):
        check_weights(tmp_path / "none.bin")


def zip_bomb(path: Path) -> None:
    """A quarter of a megabyte that would be 256 of zeros."""
    archive(path, pickle.dumps({}, 2))
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as out, out.open("x/data/0", "w") as member:
        for _ in range(16):
            member.write(bytes(2**24))
    assert path.stat().st_size < 500_000


def claims(path: Path, size: int, offset: int) -> None:
    """A zip whose last record lies about the list of its contents."""
    archive(path, pickle.dumps({}, 2))
    whole = path.read_bytes()
    long_end = struct.pack("<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, 0, 0, 3, 3, size, offset)
    locator = struct.pack("<4sLQL", b"PK\6\7", 0, len(whole) - 22, 1)
    path.write_bytes(whole[:-22] + long_end + locator + whole[-22:-10] + b"\xff" * 8 + b"\0\0")


def many_values(path: Path) -> None:
    archive(path, b"\x80\x02(" + b"N" * 3_000_000 + b"l.")


def large_pickle(path: Path) -> None:
    out = io.BytesIO(b"")
    out.write(b"\x80\x02X" + struct.pack("<I", 80_000_000) + b"a" * 80_000_000 + b".")
    archive(path, out.getvalue())


def overlapping(path: Path) -> None:
    """A thousand names for one stretch of the file."""
    archive(path, pickle.dumps({}, 2), **{f"data/{i}": b"" for i in range(1000)}, big=bytes(100_000))
    with zipfile.ZipFile(path, "r") as read:
        big = read.getinfo("x/big")
        entries = read.infolist()
    with zipfile.ZipFile(path, "w") as out:
        out.writestr("x/data.pkl", pickle.dumps({}, 2))
        out.writestr("x/data/0", bytes(100_000))
        one = out.getinfo("x/data/0")
        for entry in entries[4:-1]:
            entry.header_offset, entry.file_size, entry.compress_size, entry.CRC = (one.header_offset, 100_000, 100_000, big.CRC)  # fmt: skip
            if entry.filename != "x/data/0":
                out.filelist.append(entry)
                out.NameToInfo[entry.filename] = entry
        out._didModify = True


def sparse(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(100 * 10**9)


BOMBS = {
    "compressed parts": zip_bomb,
    "its directory claims 100,000,000,000 bytes": lambda path: claims(path, 10**11, 0),
    "its directory claims 200 bytes at 100,000,000,000": lambda path: claims(path, 200, 10**11),
    "more than 2,000,000 values": many_values,
    "are no tensors; 67,108,864 at most": large_pickle,
    "claims to hold": overlapping,
    "is cut short, or no file of torch.save": sparse,
}


@pytest.mark.parametrize("said", BOMBS)
def test_bombs_are_refused_within_bounds(tmp_path, said) -> None:
    """In a process that may take a gigabyte beyond what importing takes, and some seconds."""
    path = tmp_path / "x.ckpt"
    BOMBS[said](path)
    code = """
import resource, sys, time
from pathlib import Path
from src.model.torch_files import check_archive
used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + 2**28,) * 2)
resource.setrlimit(resource.RLIMIT_CPU, (30, 30))
try:
    check_archive(Path(sys.argv[1]))
except Exception as error:
    print(type(error).__name__, error, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
"""
    done = subprocess.run([sys.executable, "-c", code, str(path)], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.stdout.startswith("DamagedFile") and said in done.stdout, done.stdout + done.stderr


def test_a_tensor_that_claims_more_than_its_file_has(tmp_path) -> None:
    """A storage of 300 numbers with 10^11 in its tensor's shape, and one that says so of itself."""
    torch.save({"w": torch.zeros(300)}, tmp_path / "x.ckpt")
    with zipfile.ZipFile(tmp_path / "x.ckpt") as read:
        pickled = read.read(next(n for n in read.namelist() if n.endswith("data.pkl")))
    number = b"M" + struct.pack("<H", 300)
    assert pickled.count(number) == 2  # the storage's size, and the shape
    for place in (pickled.index(number), pickled.rindex(number)):
        huge = pickled[:place] + b"\x8a\x05" + (10**11).to_bytes(5, "little") + pickled[place + 3 :]
        path = archive(tmp_path / "y.ckpt", huge, **{"data/0": bytes(1200)})
        with pytest.raises(UserError, match=r"y\.ckpt: cannot be loaded"):
            AtomicCheckpointIO().load_checkpoint(path)


def with_directories(path: Path, first: bytes, second: bytes) -> None:
    """Two whole archives' parts, and two 64-bit directories: the locator leads to the first, the second lies before it."""
    pieces = []
    for content in (first, second):
        stored = archive(path.with_suffix(".part"), content)
        raw = stored.read_bytes()
        *_, entries, size, offset, _ = END.unpack(raw[-END.size :])
        pieces.append((raw[:offset], raw[offset : offset + size], entries))
    body, records = b"", []
    for parts, directory, entries in pieces:
        moved = bytearray(directory)
        at = 0
        while at < len(moved):  # each entry's place, in the file of both
            (place,) = struct.unpack_from("<L", moved, at + 42)
            struct.pack_into("<L", moved, at + 42, place + len(body))
            at += 46 + sum(struct.unpack_from("<3H", moved, at + 28))
        start = len(body) + len(parts)
        body += parts + bytes(moved)
        records.append(len(body))
        body += LONG_END.pack(b"PK\6\6", LONG_END.size - 12, 45, 45, 0, 0, entries, entries, len(moved), start)
    body += LOCATOR.pack(b"PK\6\7", 0, records[0], 1)
    body += END.pack(b"PK\5\6", 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0)
    path.write_bytes(body)


def test_one_file_has_one_directory(tmp_path) -> None:
    """torch follows the locator, older versions of zipfile read what lies before it: each would see another pickle."""
    path = tmp_path / "x.ckpt"
    with_directories(path, pickle.dumps({"seen": "by torch"}, 2), pickle.dumps({"seen": "by zipfile"}, 2))
    assert torch.load(path, weights_only=True) == {"seen": "by torch"}
    with pytest.raises(UserError, match="has two directories"):
        check_archive(path)


def test_parts_are_those_that_the_directory_lists(file, tmp_path) -> None:
    """A part within another one, a name, sizes and places that the part itself says otherwise."""
    plain = tmp_path / "plain.ckpt"
    torch.save(CONTENT, plain)
    check_archive(plain)
    whole = plain.read_bytes()
    (place,) = struct.unpack_from("<Q", whole, whole.rindex(b"PK\6\6") + 48) if b"PK\6\6" in whole else (0,)
    entries = [m.start() for m in re.finditer(rb"PK\x01\x02", whole) if m.start() >= place]
    locals_ = [m.start() for m in re.finditer(rb"PK\x03\x04", whole)]
    damaged = []
    for at in entries[1:]:  # two entries at one place
        damaged.append(whole[: at + 42] + whole[entries[0] + 42 : entries[0] + 46] + whole[at + 46 :])
    for at in locals_:
        name = at + LOCAL.size
        damaged.append(whole[:name] + bytes([whole[name] ^ 1]) + whole[name + 1 :])
        damaged.append(whole[: at + 8] + b"\x08\0" + whole[at + 10 :])  # "compressed"
    for content in damaged:
        plain.write_bytes(content)
        with pytest.raises(UserError, match=str(plain)):
            check_archive(plain)
