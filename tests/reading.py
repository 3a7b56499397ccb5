"""Files as the one reader of rows sees them."""

from contextlib import ExitStack
from pathlib import Path

from src.data.formats import open_rows
from src.data.rows import Row, Source, clean_name, text_column_of, with_text
from src.errors import Faults


def opened(path: Path, faults: Faults, separator: str | None = None, clean: bool = False) -> Source | None:
    """The rows of a file; it is closed when they are forgotten."""
    return open_rows(str(path), ExitStack(), faults, separator=separator, clean=clean_name if clean else None)


def source(path: Path, data: bytes, separator: str | None = None) -> Source:
    """A file with these bytes. Raises UserError with its faults."""
    path.write_bytes(data)
    faults = Faults()
    found = opened(path, faults, separator)
    faults.raise_if_any()
    assert found is not None
    return found


def answerable(path: Path, data: bytes, text_column: str | None = None, separator: str | None = None) -> list[Row]:
    """Its rows with their texts. Raises UserError if there is no column of texts."""
    found, faults = source(path, data, separator), Faults()
    column = text_column_of(found, text_column, faults)
    faults.raise_if_any()
    assert column is not None
    return [with_text(row, column) for row in found.rows()]
