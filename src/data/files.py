"""Files that are read twice and never held: once to hash them and to check their bytes, and once for what they say.

The second reading hashes again. Where the two hashes differ the file changed meanwhile, which is a fault: what was read
is always what the hash names.
"""

import hashlib
import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ..errors import Faults, did_you_mean
from ..runs.machine import sha256

CHANGED = "the file changed while it was read; once it is whole, try again"


def is_there(path: str, extensions: Sequence[str], faults: Faults) -> bool:
    """Whether there is such a file, with one of the extensions; else that is a fault."""
    file, extension = Path(path).expanduser(), Path(path).suffix.lower()
    if file.is_dir():
        faults.add(path, "this is a folder, a file is expected")
    elif not file.parent.is_dir():
        faults.add(path, f"there is no such file, nor a folder {file.parent}")
    elif not file.exists():
        faults.add(
            path, f"there is no such file{did_you_mean(file.name, tuple(f.name for f in file.parent.iterdir()))}"
        )
    elif extension not in extensions:
        found = f"{extension} is none of {', '.join(extensions)}" if extension else "it has no extension, such as .csv"
        faults.add(path, f"the format is told from the name, and {found}")
    elif not file.is_file():
        faults.add(path, "this is a pipe or a device, a file is expected: it is read twice")
    else:
        return True
    return False


def sha256_of(path: str, faults: Faults, text: bool) -> str | None:
    """The hash of a file's bytes; None if they cannot be read, or if text is expected and they are not UTF-8."""
    digest, line = hashlib.sha256(), 0
    try:
        if not text:
            return sha256(Path(path).expanduser())
        with Path(path).expanduser().open("rb") as file:
            for raw in file:
                line += 1
                digest.update(raw)
                raw.decode()
    except UnicodeDecodeError as error:
        bad = f"first bad byte: 0x{raw[error.start]:02x}"
        faults.add(path, f"the bytes are not UTF-8 ({bad}); save the file as UTF-8", line)
    except OSError as error:
        faults.add(path, f"cannot be read: {error.strerror}")
    else:
        return digest.hexdigest()
    return None


class _Hashed(io.RawIOBase):
    """A file's bytes, hashed as they are read."""

    def __init__(self, path: str) -> None:
        self._file = Path(path).expanduser().open("rb", buffering=0)
        self.sha256 = hashlib.sha256()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        count = self._file.readinto(buffer)
        self.sha256.update(memoryview(buffer)[:count])
        return count

    def close(self) -> None:
        self._file.close()
        super().close()


def read_lines(path: str, sha256: str, faults: Faults) -> Iterator[str]:
    """Lines as an editor counts them, with their ends; U+2028 and its like are not among these.

    A fault is told behind the last line if ``sha256`` is not the hash of what was read.
    """
    try:
        file = _Hashed(path)
        with io.TextIOWrapper(io.BufferedReader(file, 1 << 16), encoding="utf-8-sig", newline="") as lines:
            yield from lines
    except OSError as error:
        faults.add(path, f"cannot be read: {error.strerror}")
    except UnicodeDecodeError:
        faults.add(path, CHANGED)
    else:
        if file.sha256.hexdigest() != sha256:
            faults.add(path, CHANGED)
