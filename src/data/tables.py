"""Rows out of CSV, TSV, JSONL and Parquet files, with the lines where they begin and everything that is wrong."""

import csv
import json
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain, islice
from pathlib import Path

from ..errors import Faults, quoted
from ..spelling import set_to, setting
from .files import CHANGED, is_there, read_lines, sha256_of

EXTENSIONS = (".csv", ".tsv", ".jsonl", ".parquet")
Rows = Iterator[tuple[int, dict[str, object]]]


@dataclass(frozen=True)
class Table:
    """A file that is being read. ``rows`` can be walked once and reports the faults it meets.

    ``columns`` are those of the header. A JSONL file has none (``header`` is False): they are then the keys of the rows
    read so far (the first 100 at the start), and any row may lack some. Names are NFC without surrounding blanks.
    """

    path: str
    sha256: str
    columns: list[str]
    header: bool
    rows: Rows


def open_table(path: str | Path, faults: Faults, separator: str | None = None) -> Table | None:
    """Check a file's bytes and open it as a table; None if there is nothing to read, which is then a fault."""
    path = str(path)
    extension = Path(path).suffix.lower()
    if not is_there(path, EXTENSIONS, faults):
        return None
    sha256 = sha256_of(path, faults, text=extension != ".parquet")
    if sha256 is None:
        return None
    if extension == ".parquet":
        return _open_parquet(path, sha256, faults)
    if extension == ".jsonl":
        return _open_jsonl(path, sha256, faults)
    return _open_csv(path, sha256, faults, separator or ("\t" if extension == ".tsv" else ","))


@lru_cache(maxsize=4096)
def clean_name(name: str) -> str:
    """A column's or an aspect's name as it is compared: NFC, no surrounding blanks."""
    return unicodedata.normalize("NFC", name).strip()


# --- CSV -------------------------------------------------------------------------------------------------------------


def _open_csv(path: str, sha256: str, faults: Faults, separator: str) -> Table | None:
    if len(separator) != 1 or separator in '"\r\n':
        faults.add(
            path, f"{setting('separator')}={quoted(separator)} must be one character, and no quote or line break"
        )
        return None
    before = len(faults)
    records = _records(path, sha256, faults, separator)
    line, names = next(records, (0, []))
    if not names:
        if len(faults) == before:
            faults.add(path, "the file is empty")
        return None
    if len(names) == 1:
        hints = {";": f"semicolon? Set {set_to('separator', ';')}", "\t": "tab? Call the file .tsv"}
        for other, hint in hints.items():
            if other in names[0]:
                faults.add(path, f"the header is a single column, {quoted(names[0])}; is the separator a {hint}", line)
                return None
    columns = [clean_name(name) for name in names]
    for i, name in enumerate(columns):
        if name in columns[:i]:
            faults.add(path, f"columns {columns.index(name) + 1} and {i + 1} are both called {quoted(name)}", line)
    return Table(path, sha256, columns, True, _csv_rows(records, columns, path, faults))


def _csv_rows(records: Iterator[tuple[int, list[str]]], columns: list[str], path: str, faults: Faults) -> Rows:
    before, line = len(faults), 0
    for line, cells in records:
        if len(cells) == len(columns):
            yield line, dict(zip(columns, cells, strict=True))
            continue
        message = f"the row has {len(cells)} cell{'s' * (len(cells) > 1)}, the header has {len(columns)}"
        if len(cells) > len(columns):
            message += "; a text that holds a separator needs double quotes"
        faults.add(path, message, line)
    if not line and len(faults) == before:
        faults.add(path, "the file has a header and no rows")


def _records(path: str, sha256: str, faults: Faults, separator: str) -> Iterator[tuple[int, list[str]]]:
    """The records of a CSV file that are not blank, header included, each with the line where it begins."""
    # The csv module refuses cells past 128 KiB. A missing quote would show as that, not as what it is.
    csv.field_size_limit(2**31 - 1)
    records = csv.reader(read_lines(path, sha256, faults), delimiter=separator, strict=True)
    line = 1
    try:
        for cells in records:
            if len(cells) > 1 or (cells and cells[0].strip()):
                yield line, cells
            line = records.line_num + 1
    except csv.Error as error:  # what follows a stray quote cannot be trusted: the file ends here
        if "end of data" in str(error):
            message = "the quoted cell that begins here is never closed"
        else:
            message = (
                "the quoted cell that begins here goes on after its closing quote; "
                'a quote inside a quoted text is written twice ("")'
            )
        rest = "".join(islice(read_lines(path, sha256, faults), line - 1, None))
        faults.add(path, message, line + _lines_before_bad_cell(rest, separator))


def _lines_before_bad_cell(text: str, separator: str) -> int:
    """How many line ends precede the first cell whose quotes are wrong, in text that begins with a record."""
    stop = re.escape(separator)
    cell = re.compile(rf'(?:"[^"]*+(?:""[^"]*+)*+"|(?!")[^\r\n{stop}]*+)(?:{stop}|\r\n?|\n)')
    position = 0
    while match := cell.match(text, position):
        position = match.end()
    return len(re.findall(r"\r\n?|\n", text[:position]))


# --- JSONL -----------------------------------------------------------------------------------------------------------


def _open_jsonl(path: str, sha256: str, faults: Faults) -> Table | None:
    before = len(faults)
    columns: list[str] = []
    rows = _jsonl_rows(path, sha256, columns, faults)
    head = list(islice(rows, 100))
    if not head and len(faults) == before:
        faults.add(path, "the file is empty")
    return Table(path, sha256, columns, False, chain(head, rows)) if head else None


def _jsonl_rows(path: str, sha256: str, columns: list[str], faults: Faults) -> Rows:
    seen: set[str] = set()
    decode = json.JSONDecoder(object_pairs_hook=_object).decode
    for line, text in enumerate(read_lines(path, sha256, faults), 1):
        if text.isspace():
            continue
        try:
            row = decode(text)
            if "\\ud" in text.lower():  # only an escape can smuggle half a character into UTF-8
                json.dumps(row, ensure_ascii=False).encode()
        except UnicodeEncodeError:
            faults.add(path, "the text holds half of a character (a lone surrogate); was an emoji cut?", line)
        except json.JSONDecodeError as error:
            faults.add(path, f"not valid JSON: {error.msg} at column {error.colno}", line)
        except (ValueError, RecursionError) as error:
            faults.add(path, f"not valid JSON: {error}", line)
        else:
            if not isinstance(row, dict):
                faults.add(path, f"one JSON object a line is expected, this is a {type(row).__name__}", line)
                continue
            if not row.keys() <= seen:
                columns += [name for name in row if name not in seen]
                seen.update(row)
            yield line, row


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    row = {clean_name(key): value for key, value in pairs}
    if len(row) < len(pairs):
        for key, value in pairs:
            if row[clean_name(key)] != value:
                raise ValueError(f"the key {quoted(key)} is there twice with different values")
    return row


# --- Parquet ---------------------------------------------------------------------------------------------------------


def _open_parquet(path: str, sha256: str, faults: Faults) -> Table | None:
    try:
        import pyarrow as pa  # type: ignore[import-untyped, import-not-found, unused-ignore]
        from pyarrow import parquet
    except ImportError:
        faults.add(path, "reading Parquet needs pyarrow; pip install .[parquet]")
        return None
    try:
        file = parquet.ParquetFile(Path(path).expanduser(), buffer_size=1 << 20)
    except (pa.ArrowException, OSError) as error:
        faults.add(path, f"not a Parquet file: {str(error).splitlines()[0]}")
        return None
    columns = [clean_name(name) for name in file.schema_arrow.names]
    if not file.metadata.num_rows:
        faults.add(path, "the file has columns and no rows")
        return None
    for name in {name for name in columns if columns.count(name) > 1}:
        faults.add(path, f"two columns are called {quoted(name)}")

    def rows() -> Rows:
        number = 0
        try:
            for batch in file.iter_batches(batch_size=4096):
                for cells in zip(*(column.to_pylist() for column in batch.columns), strict=True):
                    number += 1
                    yield number, dict(zip(columns, cells, strict=True))
        except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
            faults.add(path, f"damaged after this row: {str(error).splitlines()[0]}", number)
        if sha256_of(path, faults, text=False) != sha256:
            faults.add(path, CHANGED)

    return Table(path, sha256, columns, True, rows())
