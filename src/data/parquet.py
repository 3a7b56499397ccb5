"""Parquet, a few thousand rows at a time: rows to be answered, and answers as columns beside those of the input."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import parquet

from ..errors import quoted
from .rows import Given, Place, Row, tell_repeated

ROWS = 1024  # rows read at a time, fewer where they are large
BYTES = 16 * 2**20  # of the rows that are read at a time
BUFFER = 2**20  # bytes of a column that are read ahead, in place of its whole chunk


class ParquetSource:
    """A :class:`src.data.rows.Source` over a Parquet file. Values that JSON lacks come as text (dates: ISO 8601)."""

    header = True
    binary: Collection[str]

    def __init__(self, name: str, file: parquet.ParquetFile, columns: list[str]) -> None:
        self.name, self.columns = name, columns
        self.size: int | None = file.metadata.num_rows
        kinds = zip(columns, file.schema_arrow.types, strict=True)
        self.binary = frozenset(column for column, kind in kinds if _is_binary(kind))
        self._file = file
        self._next = 0

    @property
    def place(self) -> Place:
        return Place(self._next, self._next + 1)

    def seek(self, place: Place) -> None:
        self._next = place.offset

    def rows(self) -> Iterator[Row]:
        try:
            for batch in batches(self._file, self._next):
                columns = [json_values(column) for column in batch.columns]
                for cells in zip(*columns, strict=True):
                    self._next += 1
                    row = dict(zip(self.columns, cells, strict=True))
                    bad = next((f"{quoted(k)}: {v.reason}" for k, v in row.items() if isinstance(v, Unreadable)), "")
                    yield Row(self._next, fault=bad) if bad else Row(self._next, row)
        except (pa.ArrowException, OSError) as error:
            fault = f"damaged from this row on: {str(error).splitlines()[0]}"
            yield Row(self._next + 1, fault=fault, rest="lost")


def open_parquet(given: Given) -> ParquetSource | None:
    """A source over a Parquet file on the disk. None, and a fault, for a stream or a file of another format.

    A stream will not do because Parquet is read from the end of the file.
    """
    if given.size is None:
        given.faults.add(given.name, "Parquet cannot be read from a stream; give a file")
        return None
    try:
        file = opened(str(Path(given.name).expanduser()))
    except (pa.ArrowException, OSError) as error:
        given.faults.add(given.name, f"not a Parquet file: {str(error).splitlines()[0]}")
        return None
    columns = [given.clean(name) if given.clean else name for name in file.schema_arrow.names]
    tell_repeated(columns, given.name, given.faults)
    return ParquetSource(given.name, file, columns)


def opened(path: str) -> parquet.ParquetFile:
    """A file whose columns are read piece by piece, however large its row groups are. Raises what pyarrow raises."""
    return parquet.ParquetFile(path, pre_buffer=False, buffer_size=BUFFER)


def batches(file: parquet.ParquetFile, start: int = 0) -> Iterator[pa.RecordBatch]:
    """The rows from ``start`` on; row groups before it are not read."""
    for group in range(file.num_row_groups):
        facts = file.metadata.row_group(group)
        rows = facts.num_rows
        few = max(1, min(ROWS, BYTES * rows // max(1, facts.total_byte_size)))
        if start < rows:
            for batch in file.iter_batches(few, row_groups=[group], use_threads=False):
                if start < batch.num_rows:
                    yield batch.slice(start)
                start = max(0, start - batch.num_rows)
        else:
            start -= rows


@dataclass(frozen=True)
class Unreadable:
    """Stands in place of a value that Python cannot hold."""

    reason: str


def json_values(values: pa.Array) -> list[Any]:
    """A column as values that JSON has, at any depth: times and decimals as text, bytes in hexadecimal.

    A value that Python cannot hold comes as :class:`Unreadable`.
    """
    try:
        if _is_simple(values.type):
            return list(values.to_pylist())
    except UnicodeDecodeError:
        pass  # value by value below, to say which one is wrong
    try:
        values = values.cast(_readable(values.type))
    except pa.ArrowInvalid as error:  # such as a time outside every calendar: find its row
        if len(values) == 1:
            return [Unreadable(str(error).splitlines()[0])]
        return [item for i in range(len(values)) for item in json_values(values.slice(i, 1))]
    except pa.ArrowNotImplementedError:
        pass  # _jsonable turns each value into text
    return [_plain(value) for value in values]


def _plain(value: pa.Scalar) -> object:
    try:
        return _jsonable(value.as_py())
    except UnicodeDecodeError as error:
        return Unreadable(f"the bytes are not UTF-8 (first bad byte: 0x{error.object[error.start]:02x})")
    except ValueError as error:
        return Unreadable(str(error))


def _jsonable(value: object) -> object:
    if value is None or isinstance(value, str | bool | int | float):
        return value
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, dict):
        return {str(key): _jsonable(item) for key, item in value.items()}
    return [_jsonable(item) for item in value] if isinstance(value, list | tuple) else str(value)


def _is_binary(kind: pa.DataType) -> bool:
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind))


def _is_simple(kind: pa.DataType) -> bool:
    """Whether JSON has all values of this type, so that none has to be converted."""
    kinds = pa.types
    texts = kinds.is_string(kind) or kinds.is_large_string(kind)
    return bool(texts or kinds.is_integer(kind) or kinds.is_floating(kind) or kinds.is_boolean(kind))


def _readable(kind: pa.DataType) -> pa.DataType:
    """``kind`` with text for times and decimals, at any depth. Arrow writes them: Python's times lack nanoseconds."""
    if pa.types.is_temporal(kind) or pa.types.is_decimal(kind):
        return pa.string()
    if pa.types.is_list(kind) or pa.types.is_fixed_size_list(kind):
        return pa.list_(_readable(kind.value_type))
    if pa.types.is_large_list(kind):
        return pa.large_list(_readable(kind.value_type))
    if pa.types.is_struct(kind):
        return pa.struct([(field.name, _readable(field.type)) for field in kind])
    if pa.types.is_map(kind):
        return pa.map_(_readable(kind.key_type), _readable(kind.item_type))
    return _readable(kind.value_type) if pa.types.is_dictionary(kind) else kind
