"""What a loss of power must not undo, and a disk that takes no more."""

import errno
import os
from pathlib import Path

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)


def flush(path: Path) -> None:
    """Wait until a file's content is on disk; of a folder, the names in it (a rename is not sure before that)."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def is_full(error: BaseException | None) -> bool:
    """Whether an exception, or one that it came of, says that a disk takes no more; SQLite's has words."""
    if error is None:
        return False
    said = error.errno in FULL if isinstance(error, OSError) else "database or disk is full" in str(error)
    return said or is_full(error.__cause__)
