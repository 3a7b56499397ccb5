"""Texts without labels, out of plain text, CSV, TSV and JSONL files, packed with gzip or not."""

import gzip
import hashlib
import logging
import zlib
from collections.abc import Iterable, Sequence
from io import BufferedReader
from pathlib import Path
from typing import Any, NamedTuple

from ..errors import Faults, did_you_mean
from .text_rows import open_text
from .texts import Texts

FORMATS = ("txt", "csv", "tsv", "jsonl")

log = logging.getLogger(__name__)


class Corpus(NamedTuple):
    """Texts to learn from and texts held out, every text once; ``digest`` names them all, in their order."""

    train: Texts
    val: Texts
    digest: str


def read_corpus(
    files: str | Sequence[str], text_column: str | None = None, separator: str | None = None, val: float = 0.01
) -> Corpus:
    """Read all ``files``; the share ``val`` of the texts is held out, chosen by text, whatever their order.

    Repeated texts count once: what is held out is not in training. Rows without text, or that cannot be read, are left
    out with one warning a file. Raises UserError with every fault of the files.
    """
    faults, train, held = Faults(), Texts(), Texts()
    digest, seen = hashlib.sha256(), set[bytes]()
    for file in [files] if isinstance(files, str) else files:
        repeats, unread, first = 0, 0, ""
        for line, text, fault in _rows(file, text_column, separator, faults):
            if fault:
                unread, first = unread + 1, first or f"line {line}: {fault}"
                continue
            key = hashlib.blake2b(text.strip().encode(), digest_size=8).digest()
            if key in seen:
                repeats += 1
                continue
            seen.add(key)
            digest.update(key)
            (held if int.from_bytes(key, "big") < val * 2**64 else train).append(text)
        if unread:
            log.warning(f"{file}: {unread:,} rows left out, the first at {first}")
        if repeats:
            log.info(f"{file}: {repeats:,} repeated texts left out")
    if not len(faults) and min(len(train), len(held)) < 1:
        faults.add(
            "data.texts",
            f"{len(train)} texts to learn from, {len(held)} held out: at least one of each is "
            "needed; data.val=0.1 holds out a tenth",
        )
    faults.raise_if_any()
    return Corpus(train, held, digest.hexdigest())


def _rows(file: str, column: str | None, separator: str | None, faults: Faults) -> Iterable[tuple[int, str, str]]:
    path = Path(file).expanduser()
    zipped = path.suffix.lower() == ".gz"
    form = (path.with_suffix("") if zipped else path).suffix.lower().lstrip(".")
    if not path.is_file():
        names = tuple(f.name for f in path.parent.iterdir()) if path.parent.is_dir() else ()
        faults.add(file, f"there is no such file{did_you_mean(path.name, names)}")
        return
    if form not in FORMATS:
        known = ", ".join(f".{f}" for f in FORMATS)
        faults.add(file, f"the format is told from the name: {known}, each also with .gz behind it")
        return
    try:
        with path.open("rb") as plain:
            opened: Any = BufferedReader(gzip.GzipFile(fileobj=plain)) if zipped else plain
            source = open_text(opened, None, file, form, column, separator or ("\t" if form == "tsv" else ","), faults)
            for row in source.rows() if source else ():
                yield row.line, row.text, row.fault
    except (OSError, EOFError, zlib.error) as error:  # gzip tells a damaged file by any of them
        faults.add(file, f"cannot be read ({error})")
