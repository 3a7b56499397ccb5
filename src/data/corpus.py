"""Texts without labels, out of files of any format."""

import hashlib
import logging
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from typing import NamedTuple

from ..errors import Faults
from .formats import open_rows
from .rows import Row, text_column_of, with_text
from .texts import Texts

log = logging.getLogger(__name__)


class Corpus(NamedTuple):
    """Texts to learn from and texts held out, every text once; ``digest`` is a hash of all of them in their order."""

    train: Texts
    val: Texts
    digest: str


def read_corpus(
    files: str | Sequence[str],
    text_column: str | None = None,
    separator: str | None = None,
    val: float = 0.01,
    encoding: str | None = None,
    sheet: str | None = None,
) -> Corpus:
    """Read all ``files``; the fraction ``val`` of the texts is held out, chosen by text, whatever their order.

    Repeated texts count once, so that no text is both held out and in training. Rows without text, and rows that cannot
    be read, are left out with one warning a file. Raises UserError with every fault of the files.
    """
    faults, train, held = Faults(), Texts(), Texts()
    digest, seen = hashlib.sha256(), set[bytes]()
    for file in [files] if isinstance(files, str) else files:
        repeats, unread, first = 0, 0, ""
        for row in _rows(file, text_column, faults, separator=separator, encoding=encoding, sheet=sheet):
            if row.rest == "lost":
                faults.add(file, row.fault, row.line)
            elif row.fault:
                unread, first = unread + 1, first or f"line {row.line}: {row.fault}"
            if row.fault:
                continue
            key = hashlib.blake2b(row.text.strip().encode(), digest_size=8).digest()
            if key in seen:
                repeats += 1
                continue
            seen.add(key)
            digest.update(key)
            (held if int.from_bytes(key, "big") < val * 2**64 else train).append(row.text)
        if unread:
            log.warning(f"{file}: {unread:,} row{'s' * (unread > 1)} left out, the first at {first}")
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


def _rows(file: str, column: str | None, faults: Faults, **options: str | None) -> Iterable[Row]:
    with ExitStack() as opened:
        source = open_rows(file, opened, faults, **options)  # type: ignore[arg-type]
        text = text_column_of(source, None if source.columns == ["text"] else column, faults) if source else None
        if source is not None and text is not None:
            for note in source.notes:
                log.info(f"{file}: {note}")
            for row in source.rows():
                yield with_text(row, text)
