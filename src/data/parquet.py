"""Parquet, a few thousand rows at a time: rows to be answered, and answers as columns beside those of the input."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import parquet

from ..errors import quoted
from ..runs.machine import expanded
from .lines import LIMIT
from .parquet_pages import RATIO, Excess, check_pages, most_of
from .rows import Given, Place, Row, tell_repeated
from .text_rows import TOO_LONG

ROWS = 1024  # rows read at a time, fewer where they are large
BYTES = 16 * 2**20  # of the rows that are read at a time
BUFFER = 2**20  # bytes of a column that are read ahead, in place of its whole chunk
EXPANDED = f"its rows take more than {RATIO:,} times the bytes of the file, so no more of them are read"


class Opened(NamedTuple):
    """A Parquet file. ``schema`` is as it was written; texts are read as dictionaries, whose repeats take no memory."""

    file: parquet.ParquetFile
    schema: pa.Schema
    largest: list[int]  # see check_pages
    most: int  # bytes that its rows may take


class ParquetSource:
    """A :class:`src.data.rows.Source` over a Parquet file. Values that JSON lacks come as text (dates: ISO 8601)."""

    header = True
    binary: Collection[str]
    layout: str | None = None

    def __init__(self, name: str, source: Opened, columns: list[str]) -> None:
        self.name, self.columns = name, columns
        self.notes: list[str] = []
        self.size: int | None = source.file.metadata.num_rows
        kinds = zip(columns, source.schema.types, strict=True)
        self.binary = frozenset(column for column, kind in kinds if is_binary(kind))
        self._source = source
        self._next = 0

    @property
    def place(self) -> Place:
        return Place(self._next, self._next + 1)

    def seek(self, place: Place) -> None:
        self._next = place.offset

    def rows(self) -> Iterator[Row]:
        taken = 0  # bytes of the rows so far
        try:
            for batch in batches(self._source, self._next):
                for piece, size in split_batch(batch):
                    taken += size
                    if taken > self._source.most:
                        yield Row(self._next + 1, fault=EXPANDED, rest="lost")
                        return
                    if size > LIMIT:  # a row alone
                        self._next += 1
                        yield Row(self._next, fault=f"the row is {TOO_LONG}")
                        continue
                    columns = [json_values(column) for column in piece.columns]
                    for cells in zip(*columns, strict=True):
                        self._next += 1
                        row = dict(zip(self.columns, cells, strict=True))
                        bad = next(
                            (f"{quoted(k)}: {v.reason}" for k, v in row.items() if isinstance(v, Unreadable)), ""
                        )
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
        source = opened(str(expanded(given.name)))
    except Excess as error:
        given.faults.add(given.name, f"claims to hold {error}; no file of reviews does")
        return None
    except (pa.ArrowException, OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        given.faults.add(given.name, f"not a Parquet file: {(str(error).splitlines() or [''])[0]}")
        return None
    columns = [given.clean(name) if given.clean else name for name in source.schema.names]
    tell_repeated(columns, given.name, given.faults)
    return ParquetSource(given.name, source, columns)


def opened(path: str) -> Opened:
    """A file whose columns are read piece by piece, however large its row groups are.

    Raises Excess for a file that claims too much for its size, and whatever pyarrow and
    :func:`src.data.parquet_pages.check_pages` raise.
    """
    options: dict[str, Any] = {"pre_buffer": False, "buffer_size": BUFFER}
    written = parquet.ParquetFile(path, **options)
    described, size = written.schema, expanded(path).stat().st_size
    with expanded(path).open("rb") as file:
        largest, others = check_pages(file, written.metadata, described, size)
    leaves = (described.column(i) for i in range(len(described.names)) if i not in others)
    texts = [leaf.path for leaf in leaves if leaf.physical_type == "BYTE_ARRAY" and leaf.logical_type.type != "DECIMAL"]
    file_ = parquet.ParquetFile(path, read_dictionary=texts, metadata=written.metadata, **options)
    return Opened(file_, written.schema_arrow, largest, most_of(size))


def batches(source: Opened, start: int = 0) -> Iterator[pa.RecordBatch]:
    """The rows from ``start`` on; row groups before it are not read."""
    for group in range(source.file.num_row_groups):
        facts = source.file.metadata.row_group(group)
        rows = facts.num_rows
        few = max(1, min(ROWS, BYTES * rows // max(1, facts.total_byte_size)))
        if source.largest[group]:
            few = max(1, min(few, BYTES // source.largest[group]))
        if start < rows:
            for batch in source.file.iter_batches(few, row_groups=[group], use_threads=False):
                if start < batch.num_rows:
                    yield batch.slice(start)
                start = max(0, start - batch.num_rows)
        else:
            start -= rows


def split_batch(batch: pa.RecordBatch) -> Iterator[tuple[pa.RecordBatch, int]]:
    """A batch in pieces, each with its bytes once it is expanded: :data:`BYTES` at most, or a single row of more."""
    sizes = np.sum([sizes_of(column) for column in batch.columns], axis=0, dtype=np.int64, initial=0)
    ends = np.cumsum(np.broadcast_to(sizes, batch.num_rows))
    begin = done = 0
    while begin < batch.num_rows:
        end = max(begin + 1, int(np.searchsorted(ends, done + BYTES, side="right")))
        yield batch.slice(begin, end - begin), int(ends[end - 1]) - done
        begin, done = end, int(ends[end - 1])


def sizes_of(values: pa.Array) -> np.ndarray:
    """About how many bytes each value takes once it is expanded, int64 [N]; nothing is expanded to find out."""
    kinds, kind = pa.types, values.type
    if isinstance(values, pa.ExtensionArray):
        return sizes_of(values.storage)
    if kinds.is_dictionary(kind):
        each = np.append(sizes_of(values.dictionary), 0)
        least, most = pc.min_max(values.indices).as_py().values()  # None where all are null
        if least is not None and not 0 <= least <= most < len(values.dictionary):  # pyarrow would read elsewhere
            raise pa.ArrowInvalid("a value that its dictionary does not have")
        return np.asarray(each[pc.fill_null(values.indices, len(each) - 1).to_numpy(zero_copy_only=False)])
    if kinds.is_string(kind) or kinds.is_large_string(kind) or is_binary(kind):
        lengths = pc.fill_null(pc.binary_length(values), 0)
        return np.asarray(lengths.to_numpy(zero_copy_only=False), dtype=np.int64) + 8
    if kinds.is_struct(kind):
        return np.sum([sizes_of(field) for field in values.flatten()], axis=0, dtype=np.int64, initial=0) + np.full(
            len(values), 8
        )
    if kinds.is_map(kind) or kinds.is_list(kind) or kinds.is_large_list(kind):
        parts = [values.keys, values.items] if kinds.is_map(kind) else [values.values]
        ends = np.append(0, np.cumsum(np.sum([sizes_of(part) for part in parts], axis=0)))
        offsets = values.offsets.to_numpy()
        return np.asarray(ends[offsets[1:]] - ends[offsets[:-1]]) + 8
    if kinds.is_fixed_size_list(kind):
        ends = np.append(0, np.cumsum(sizes_of(values.values)))
        offsets = (np.arange(len(values) + 1) + values.offset) * kind.list_size
        return np.asarray(ends[offsets[1:]] - ends[offsets[:-1]]) + 8
    return np.full(len(values), 16)


def as_written(values: pa.Array, kind: pa.DataType) -> pa.Array:
    """A column with the type that it has in the file, texts no longer as dictionaries."""
    try:
        return values.cast(kind)
    except (pa.ArrowNotImplementedError, pa.ArrowInvalid):  # such as the keys of a map
        return pa.array(values.to_pylist(), kind)


@dataclass(frozen=True)
class Unreadable:
    """Stands in place of a value that Python cannot hold."""

    reason: str


def json_values(values: pa.Array) -> list[Any]:
    """A column as values that JSON has, at any depth: times and decimals as text, bytes in hexadecimal.

    A value that Python cannot hold comes as :class:`Unreadable`.
    """
    if pa.types.is_dictionary(values.type):
        values = values.dictionary_decode()
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


def is_binary(kind: pa.DataType) -> bool:
    """Whether values of this type are bytes."""
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
