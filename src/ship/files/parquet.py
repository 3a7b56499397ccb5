"""Parquet, a few thousand rows at a time: rows to be answered, and answers as columns beside those of the input."""

import json
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, BinaryIO

import pyarrow as pa
from pyarrow import parquet

from src.faults import Faults, quoted
from src.ship.files.rows import Place, Row, row_of, text_column_of

ROWS = 1024  # that are read at a time
GROUP = 10_000  # rows of a row group that is written


class ParquetSource:
    """A :class:`src.ship.files.rows.Source` over a Parquet file. What JSON lacks comes as text (dates: ISO 8601)."""

    def __init__(self, file: parquet.ParquetFile, column: str) -> None:
        self.columns: list[str] | None = list(file.schema_arrow.names)
        self.size: int | None = file.metadata.num_rows
        self._file, self._column = file, column
        self._next = 0

    @property
    def place(self) -> Place:
        return Place(self._next, self._next + 1)

    def seek(self, place: Place) -> None:
        self._next = place.offset

    def rows(self) -> Iterator[Row]:
        assert self.columns is not None
        try:
            for batch in batches(self._file, self._next):
                for cells in zip(*map(plain, batch.columns), strict=True):
                    self._next += 1
                    yield row_of(self._next, dict(zip(self.columns, cells, strict=True)), self._column)
        except (pa.ArrowException, OSError) as error:
            yield Row(self._next + 1, fault=f"damaged from this row on: {str(error).splitlines()[0]}")


def open_parquet(path: str, text_column: str | None, faults: Faults) -> ParquetSource | None:
    """A source over the file; None if ``faults`` say why there is none."""
    try:
        file = parquet.ParquetFile(path)
    except (pa.ArrowException, OSError) as error:
        faults.add(path, f"not a Parquet file: {str(error).splitlines()[0]}")
        return None
    names = file.schema_arrow.names
    if twice := {name for name in names if names.count(name) > 1}:
        for name in sorted(twice):
            faults.add(path, f"two columns are called {quoted(name)}")
        return None
    column = text_column_of(names, text_column, path, faults)
    return None if column is None else ParquetSource(file, column)


def batches(file: parquet.ParquetFile, start: int = 0) -> Iterator[pa.RecordBatch]:
    """The rows from ``start`` on; row groups before it are not read."""
    for group in range(file.num_row_groups):
        rows = file.metadata.row_group(group).num_rows
        if start < rows:
            for batch in file.iter_batches(ROWS, row_groups=[group], use_threads=False):
                if start < batch.num_rows:
                    yield batch.slice(start)
                start = max(0, start - batch.num_rows)
        else:
            start -= rows


def plain(values: pa.Array) -> list[Any]:
    """A column as Python values, what JSON lacks as text."""
    kind = values.type
    if pa.types.is_temporal(kind) or pa.types.is_decimal(kind):
        values = values.cast(pa.string())
    elif pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind):
        return [None if value is None else value.hex() for value in values.to_pylist()]
    listed: list[Any] = values.to_pylist()
    return listed


def write_beside(
    out: BinaryIO, source: str, fields: Sequence[tuple[str, type]], answers: Iterator[tuple[int, list[Any]]]
) -> None:
    """The rows of the Parquet file ``source`` that have an answer, with all their columns as they are, and it.

    ``answers``: the row's number from 1 on, and a value for each of ``fields``; ascending.
    """
    file = parquet.ParquetFile(source)
    schema = file.schema_arrow.remove_metadata()
    for name, kind in fields:
        schema = schema.append(pa.field(name, _TYPES[kind]))
    end = 0
    waiting = next(answers, None)
    with parquet.ParquetWriter(out, schema) as writer:
        for batch in batches(file):
            begin, end = end, end + batch.num_rows
            chosen, values = [], []
            while waiting is not None and waiting[0] <= end:
                chosen.append(waiting[0] - 1 - begin)
                values.append(waiting[1])
                waiting = next(answers, None)
            if chosen:
                taken = batch.take(pa.array(chosen))
                writer.write_batch(
                    pa.RecordBatch.from_arrays([*taken.columns, *_columns(values, fields)], schema=schema)
                )
            if waiting is None:
                return


def write_rows(out: BinaryIO, fields: Sequence[tuple[str, type]], rows: Iterable[list[Any]]) -> None:
    """Rows of Python values, one for each of ``fields``; what is of no simple type becomes JSON text."""
    schema = pa.schema([pa.field(name, _TYPES[kind]) for name, kind in fields])
    rows = iter(rows)
    with parquet.ParquetWriter(out, schema) as writer:
        while group := list(islice(rows, GROUP)):
            writer.write_batch(pa.RecordBatch.from_arrays(_columns(group, fields), schema=schema))


def _columns(rows: list[list[Any]], fields: Sequence[tuple[str, type]]) -> list[pa.Array]:
    columns = zip(*rows, strict=True)
    return [
        pa.array([_text(value) for value in column] if kind is str else column, _TYPES[kind])
        for column, (_, kind) in zip(columns, fields, strict=True)
    ]


def _text(value: Any) -> str | None:
    return value if value is None or isinstance(value, str) else json.dumps(value, ensure_ascii=False)


_TYPES = {str: pa.string(), int: pa.int64(), float: pa.float64(), bool: pa.bool_()}
