"""Files of ``torch.save``, looked at before torch reads them: whole, unchanged, tensors and plain values only.

torch verifies no checksum of a tensor's bytes, and trusts the sizes that a file declares. Here the SHA-256 of all
other bytes stands at the end of the file, as the comment of the zip archive that ``torch.save`` writes, so that plain
``torch.load`` still reads it; and declared sizes are compared with the file's own before anything is unpacked.
"""

import hashlib
import pickletools
import re
import stat
import struct
import zipfile
from pathlib import Path
from typing import IO

from ..errors import UserError

MARK = b"sha256:"
TRAILER = len(MARK) + 64  # bytes
END = struct.Struct("<4s4H2LH")  # the archive's last record: ..., entries, size and offset of its directory, comment
LONG_END = struct.Struct("<4sQ2H2L4Q")  # the same with 64-bit numbers; a locator stands between it and END
LOCATOR = struct.Struct("<4sLQL")  # ..., the disk and the offset of LONG_END, the number of disks
LOCAL = struct.Struct("<4s5H3L2H")  # what stands before a part: ..., CRC-32, sizes, lengths of its name and its extra
DIRECTORY = 32 * 2**20  # bytes of the archive's list of tensors, at most; ViSoBERT's takes 50,000
PICKLE = 64 * 2**20  # bytes of all but tensors, at most, with the tokenizer; XLM-R's takes 17 MB
OPERATIONS = 2_000_000  # operations of the pickle, at most; ViSoBERT with its optimizer takes some 30,000
MEMBERS = re.compile(
    r"[^/]+/(data\.pkl|byteorder|version|\.format_version|\.storage_alignment|\.data/serialization_id|data/\d+)"
)
# globals that a pickle may name: those that torch.save writes for tensors. torch's own list of safe globals is longer,
# and has types with which a few bytes of a file take any amount of memory
NAMES = re.compile(
    r"collections OrderedDict|torch Size|torch device|torch \w+Storage|torch\.storage UntypedStorage"
    r"|torch (float|bfloat|complex|u?int)\d+|torch bool|torch\.nn\.parameter Parameter"
    r"|torch\._utils (_rebuild_tensor_v2|_rebuild_parameter)"
)


class DamagedFile(UserError):
    """A file that is cut short or changed, declares sizes that it does not have, or names code."""


class HashedWriter:
    """A file for ``torch.save`` that hashes what is written; ``error`` keeps the last error of writing."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file, self._digest = file, hashlib.sha256()
        self.error: OSError | None = None

    def write(self, data: bytes) -> int:
        self._digest.update(data)
        try:
            return self._file.write(data)
        except OSError as error:  # torch raises another error instead, without the reason
            self.error = error
            raise

    def flush(self) -> None:
        self._file.flush()

    def seal(self) -> None:
        """Append the hash as the archive's comment; the comment's two bytes of length are hashed as zeros."""
        self._file.seek(-2, 2)
        self._file.write(struct.pack("<H", TRAILER))
        self._file.write(MARK + self._digest.hexdigest().encode())
        self._file.flush()


def check_archive(path: Path) -> None:
    """Raise DamagedFile unless ``path`` is a whole, unchanged file of ``torch.save`` that can be loaded safely.

    Time and memory are bounded by the file's own size. A file without a hash, which is older or of another program, is
    checked by the CRC-32 of its parts.
    """
    try:
        with path.open("rb") as file:
            sealed = _check_archive(file, path)
    except OSError as error:
        raise DamagedFile(f"{path}: cannot be read ({error.strerror})") from error
    except DamagedFile:
        raise
    except Exception as error:  # zipfile, struct and pickletools each raise their own on arbitrary bytes
        raise DamagedFile(f"{path}: is damaged ({_reason(error)})") from error
    if not sealed:
        with zipfile.ZipFile(path) as archive:
            if bad := archive.testzip():
                raise DamagedFile(f"{path}: is damaged (the CRC-32 of {bad} differs)")


def check_weights(path: Path) -> None:
    """Raise DamagedFile as :func:`check_archive`, for a ``.bin`` of published weights, in torch's older format too."""
    with path.open("rb") as file:
        if file.read(4) == b"PK\3\4":
            return check_archive(path)
        file.seek(0)
        try:
            for _ in range(5):  # a magic number, a version, facts of the machine, the tensors, the order of their bytes
                _check_pickle(file, path)
        except DamagedFile:
            raise
        except Exception as error:
            raise DamagedFile(f"{path}: no file of torch.save ({_reason(error)})") from error


def _check_archive(file: IO[bytes], path: Path) -> bool:
    """Check everything but the CRC-32s; return whether the file has a hash. Raises DamagedFile."""
    found = Path(path).stat()
    if not stat.S_ISREG(found.st_mode):
        raise DamagedFile(f"{path}: is no file")
    end, sealed = _end_of(file, path, found.st_size)
    file.seek(end)
    *_, entries, size, offset, _comment = END.unpack(file.read(END.size))
    at = end
    file.seek(max(0, end - LOCATOR.size))
    locator, _, record, _ = LOCATOR.unpack(file.read(LOCATOR.size).ljust(LOCATOR.size))
    if locator == b"PK\6\7":
        at = end - LOCATOR.size - LONG_END.size
        if record != at:  # torch follows this offset, older versions of zipfile do not: each would see other parts
            raise DamagedFile(f"{path}: has two directories, at {record:,} and at {at:,}")
        file.seek(max(0, at))
        mark, *_, entries, size, offset = LONG_END.unpack(file.read(LONG_END.size))
        if mark != b"PK\6\6":
            raise DamagedFile(f"{path}: is damaged (its directory's record is missing)")
    if size > DIRECTORY or offset + size != at or entries * 46 > size:
        raise DamagedFile(f"{path}: its directory claims {size:,} bytes at {offset:,}, and there are {at:,} before it")
    with zipfile.ZipFile(file) as archive:
        if len(archive.infolist()) != entries:
            raise DamagedFile(f"{path}: its directory claims {entries:,} parts and lists {len(archive.infolist()):,}")
        _check_members(archive.infolist(), found.st_size, path)
        _check_places(archive.infolist(), file, offset, path)
        pickle = next(name for name in archive.namelist() if name.endswith("/data.pkl"))
        with archive.open(pickle) as content:
            _check_pickle(content, path)
    if sealed and not _hash_agrees(file, end, found.st_size):
        raise DamagedFile(f"{path}: is damaged (its bytes are not those that were written: the SHA-256 differs)")
    return sealed


def _end_of(file: IO[bytes], path: Path, size: int) -> tuple[int, bool]:
    """Where the archive's last record begins, and whether a hash follows it. Raises DamagedFile if there is none."""
    for trailer in (TRAILER, 0):
        if size >= END.size + trailer:
            file.seek(size - END.size - trailer)
            last = file.read(END.size)
            hashed = re.fullmatch(re.escape(MARK) + rb"[0-9a-f]{64}", file.read()) is not None
            if last.startswith(b"PK\5\6") and last.endswith(struct.pack("<H", trailer)) and hashed == bool(trailer):
                return size - END.size - trailer, hashed
    raise DamagedFile(f"{path}: is cut short, or no file of torch.save ({size:,} bytes)")


def _check_members(members: list[zipfile.ZipInfo], size: int, path: Path) -> None:
    names = [member.filename.lower() for member in members]
    folders = {name.partition("/")[0] for name in names}
    if len(folders) != 1 or len(set(names)) != len(names) or sum(n.endswith("/data.pkl") for n in names) != 1:
        raise DamagedFile(f"{path}: not laid out as torch.save does")
    for member in members:
        if not MEMBERS.fullmatch(member.filename):
            raise DamagedFile(f"{path}: holds {member.filename[:80]!r}, which no checkpoint does")
        if member.compress_type != zipfile.ZIP_STORED or member.compress_size != member.file_size:
            raise DamagedFile(f"{path}: holds compressed parts, which torch.save never writes")
        if member.filename.endswith("/data.pkl") and member.file_size > PICKLE:
            raise DamagedFile(f"{path}: {member.file_size:,} bytes of it are no tensors; {PICKLE:,} at most are read")
    claimed = sum(member.file_size for member in members)
    if claimed > size:
        raise DamagedFile(f"{path}: claims to hold {claimed:,} bytes, and has {size:,}")


def _check_places(members: list[zipfile.ZipInfo], file: IO[bytes], end: int, path: Path) -> None:
    """Raise DamagedFile unless the parts lie one after the other, each as its own record and the directory say alike.

    A reader may trust either of the two; where they differ, the bytes that were checked need not be those it loads.
    """
    free = 0
    for member in sorted(members, key=lambda member: member.header_offset):
        file.seek(member.header_offset)
        mark, _, flags, method, _, _, crc, packed, unpacked, named, extra = LOCAL.unpack(file.read(LOCAL.size))
        name = file.read(named)
        told = (crc, packed, unpacked) in ((member.CRC, member.compress_size, member.file_size), (0, 0, 0))
        long = 0xFFFFFFFF in (packed, unpacked) or flags & 8  # the sizes stand elsewhere: 64 bits, or behind the part
        if mark != b"PK\3\4" or name != member.orig_filename.encode() or method or not (told or long):
            raise DamagedFile(f"{path}: {member.filename[:80]!r} is not the part that the directory lists")
        if member.header_offset < free:
            raise DamagedFile(f"{path}: {member.filename[:80]!r} lies within another part")
        free = member.header_offset + LOCAL.size + named + extra + member.file_size
    if free > end:
        raise DamagedFile(f"{path}: its parts reach into its directory")


def _check_pickle(content: IO[bytes], path: Path) -> None:
    """Raise DamagedFile if the pickle names code. Its operations are only listed, none is executed."""
    for count, (operation, argument, _) in enumerate(pickletools.genops(content)):
        if count > OPERATIONS:
            raise DamagedFile(f"{path}: more than {OPERATIONS:,} values that are no tensors")
        if operation.name == "GLOBAL" and NAMES.fullmatch(str(argument)):
            continue
        if operation.name in ("GLOBAL", "STACK_GLOBAL", "INST", "OBJ") or operation.name.startswith("EXT"):
            what = f" {str(argument)[:80].replace(' ', '.')}" if argument else ""
            raise DamagedFile(f"{path}: refused: it names code{what}, and only tensors and plain values are loaded")


def _hash_agrees(file: IO[bytes], end: int, size: int) -> bool:
    digest, left = hashlib.sha256(), end + END.size - 2
    file.seek(0)
    while left and (data := file.read(min(left, 1 << 20))):
        digest.update(data)
        left -= len(data)
    digest.update(b"\0\0")
    file.seek(size - 64)
    return file.read() == digest.hexdigest().encode()


def _reason(error: Exception) -> str:
    return (str(error).strip().split("\n")[0] or type(error).__name__)[:200]
