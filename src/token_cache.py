"""Token ids kept from run to run, and found again by what they were made from.

A file holds a BLAKE2 digest and two arrays as ``np.save`` writes them; its name is a digest of the texts and of the
whole tokenizer. It is written whole or not at all, and ignored when damaged. Any of them may be deleted at any time.
"""

import contextlib
import hashlib
import logging
import os
import tempfile
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import tokenizers
from tokenizers import Tokenizer

from src.tokenizer import encode

SUFFIX = ".tokens1"  # the number is that of the format
WORTH = 2_000  # reviews: fewer are tokenised in a tenth of a second or two
ROOM = 2 * 2**30  # bytes; beyond them the files that were not used for longest go
DIGEST = 64  # bytes

log = logging.getLogger(__name__)


def cache_folder(setting: str | None) -> Path | None:
    """The folder that ``data.cache`` names; ``auto`` is ``visobert-absa`` in the user's cache folder, None is none."""
    if setting != "auto":
        return None if setting is None else Path(setting).expanduser()
    try:
        return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "visobert-absa"
    except RuntimeError:  # a user without a home, as in a container
        return None


def encode_cached(tokenizer: Tokenizer, texts: Sequence[str], folder: Path | None) -> tuple[np.ndarray, np.ndarray]:
    """:func:`src.tokenizer.encode`, or what it gave for the same texts and the same tokenizer before.

    A folder that cannot be written costs a warning, and the time.
    """
    if folder is None or len(texts) < WORTH:
        return encode(tokenizer, texts)
    file = folder / (_name(tokenizer, texts) + SUFFIX)
    found = read_ids(file)
    if found is None:
        found = encode(tokenizer, texts)
        try:
            write_ids(file, *found)
        except OSError as error:
            log.warning(f"{folder}: cannot keep token ids for the next run ({error.strerror}); data.cache=null is none")
        _make_room(folder)
    return found


def read_ids(file: Path) -> tuple[np.ndarray, np.ndarray] | None:
    """The two arrays of :func:`write_ids`; None where there is no such file or where it is damaged."""
    try:
        with file.open("rb") as opened:
            digest = opened.read(DIGEST)
            if hashlib.file_digest(opened, "blake2b").digest() != digest:
                return None
            opened.seek(DIGEST)
            ids, offsets = np.load(opened, allow_pickle=False), np.load(opened, allow_pickle=False)
        with contextlib.suppress(OSError):
            os.utime(file)  # used now
    except OSError:
        return None
    return ids, offsets


def write_ids(file: Path, ids: np.ndarray, offsets: np.ndarray) -> None:
    """Write what :func:`src.tokenizer.encode` gave, whole or not at all; readable by this user alone."""
    file.parent.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(".tmp", f"{file.stem}.", file.parent)
    try:
        with open(descriptor, "wb+") as opened:
            opened.write(bytes(DIGEST))
            np.save(opened, ids, allow_pickle=False)
            np.save(opened, offsets, allow_pickle=False)
            opened.seek(DIGEST)
            digest = hashlib.file_digest(opened, "blake2b").digest()
            opened.seek(0)
            opened.write(digest)
            opened.flush()
            os.fsync(opened.fileno())
        os.replace(temporary, file)
    finally:
        Path(temporary).unlink(missing_ok=True)


def _name(tokenizer: Tokenizer, texts: Iterable[str]) -> str:
    """A digest of everything that the ids depend on; the tokenizer's JSON says where it truncates."""
    digest = hashlib.blake2b(f"{tokenizers.__version__}\n{tokenizer.to_str()}\n".encode(), digest_size=16)
    for text in texts:
        raw = text.encode()
        digest.update(len(raw).to_bytes(4, "little") + raw)
    return digest.hexdigest()


def _make_room(folder: Path) -> None:
    """Remove the files used least recently, all but the last, until the rest takes ROOM bytes at most."""
    with contextlib.suppress(OSError):  # another run may be at it too
        files = sorted(folder.glob(f"*{SUFFIX}"), key=lambda file: file.stat().st_mtime, reverse=True)
        taken = 0
        for left in folder.glob("*.tmp"):  # of runs that were killed
            if left.stat().st_mtime < time.time() - 86_400:
                left.unlink(missing_ok=True)
        for i, file in enumerate(files):
            taken += file.stat().st_size
            if i and taken > ROOM:
                file.unlink(missing_ok=True)
