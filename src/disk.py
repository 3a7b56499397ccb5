"""What a loss of power must not undo."""

import os
from pathlib import Path


def flush(path: Path) -> None:
    """Wait until a file's content is on disk; of a folder, the names in it (a rename is not sure before that)."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
