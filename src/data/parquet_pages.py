"""The headers of a Parquet file's pages, read before any page is unpacked: what the file claims to hold.

A page of a few bytes can claim any size, and one dictionary entry can stand for any number of rows, so the sizes are
compared with the file's own first. Headers are Thrift's compact protocol
(https://github.com/apache/parquet-format, ``PageHeader``).
"""

from collections.abc import Iterator
from typing import Any, BinaryIO, NamedTuple

from .lines import LIMIT

RATIO = 1_000  # bytes that a byte of a file may stand for, as in gzip, whose most is 1,032
FREE_BYTES = 64 * 2**20  # bytes that every file may have, however small it is
PAGE = 128 * 2**20  # bytes of a page, at most; DuckDB writes pages of 100 MB, others of one
WIDE = 4096  # bytes of a value of fixed width, at most; a hash has 64
HEADER = 2**16  # bytes in which a page's header is looked for first; its statistics may make it longer
DELTA_BYTE_ARRAY = 7  # the encoding in which a value repeats the beginning of the one before it
AS_DICTIONARY = (0, 2, 8)  # encodings that pyarrow can read as a dictionary: plain, and the two with a dictionary


class Excess(ValueError):
    """The file claims more than it may; ``str()`` says what."""


class Page(NamedTuple):
    """``size`` and ``packed`` in bytes, ``values`` for data pages, and the number of their encoding."""

    size: int
    packed: int
    values: int
    encoding: int


def most_of(file_bytes: int) -> int:
    """Bytes that the contents of a file of this size may take."""
    return FREE_BYTES + RATIO * file_bytes


def check_pages(file: BinaryIO, metadata: Any, schema: Any, file_bytes: int) -> tuple[list[int], set[int]]:
    """The columns (by number) that cannot be read as dictionaries, and the size of their largest page by row group.

    A value of such a column can be as large as its page, whatever that holds. ``metadata`` and ``schema`` are those of
    pyarrow. Reads the headers of all pages, nothing else. Raises Excess for a file that claims more than
    :func:`most_of` its size, or larger pages or values than any that is read here; ValueError, LookupError, TypeError
    or AttributeError for headers that are none.
    """
    for column in (schema.column(i) for i in range(len(schema.names))):
        if column.physical_type == "FIXED_LEN_BYTE_ARRAY" and column.length > WIDE:
            raise Excess(f"values of {column.length:,} bytes, and {WIDE:,} at most are read")
    claimed, packed, others = 0, 0, set()
    largest: list[list[int]] = []  # [row group][column]
    for group in range(metadata.num_row_groups):
        facts = metadata.row_group(group)
        largest.append([0] * facts.num_columns)
        for i in range(facts.num_columns):
            column, described = facts.column(i), schema.column(i)
            packed += max(0, column.total_compressed_size)
            if packed > file_bytes:
                raise Excess(f"columns of {packed:,} bytes and more in a file of {file_bytes:,}")
            # in a list, one row may hold all the values of the column
            width = max(8, described.length) if described.max_repetition_level else 0
            for page in pages(file, column):
                if page.size > PAGE or page.size > max(LIMIT, RATIO * page.packed):
                    raise Excess(f"a page of {page.size:,} bytes, packed in {page.packed:,}")
                if page.encoding not in AS_DICTIONARY:
                    others.add(i)
                if page.encoding == DELTA_BYTE_ARRAY and width:
                    width = max(width, page.size)
                claimed += max(page.size, page.values * width)
                largest[-1][i] = max(largest[-1][i], page.size)
            if claimed > most_of(file_bytes):
                raise Excess(f"{claimed:,} bytes and more, packed in {file_bytes:,}")
    return [max((sizes[i] for i in others), default=0) for sizes in largest], others


def pages(file: BinaryIO, column: Any) -> Iterator[Page]:
    """The pages of a column of one row group, from their headers alone."""
    starts = [column.data_page_offset, column.dictionary_page_offset or 0]
    start = min(at for at in starts if at > 0)
    end = start + column.total_compressed_size
    while start < end:
        header, size = _header(file, start)
        unpacked, packed = header[2], header[3]
        if unpacked < 0 or packed < 0:
            raise ValueError("a page of less than no bytes")
        data = header.get(5) or header.get(8) or {}  # version 1 and 2
        yield Page(unpacked, packed, data.get(1, 0), data.get(2 if 5 in header else 4, 0))
        start += size + packed


def _header(file: BinaryIO, at: int) -> tuple[dict[int, Any], int]:
    """The fields of a page's header by number, and its size in bytes."""
    wanted = HEADER
    while True:
        file.seek(at)
        data = file.read(wanted)
        try:
            header, end = _struct(data, 0, 0)
        except IndexError:
            if len(data) < wanted or wanted >= LIMIT:
                raise
            wanted *= 16
        else:
            return header, end


def _struct(data: bytes, at: int, depth: int) -> tuple[dict[int, Any], int]:
    """A struct as {field: value}: integers, truth values and structs; other kinds are passed over."""
    if depth > 8:
        raise ValueError("a header within headers")
    fields: dict[int, Any] = {}
    number = 0
    while kind := data[at]:
        at += 1
        if kind >> 4:
            number += kind >> 4
        else:
            number, at = _zigzag(data, at)
        fields[number], at = _value(data, at, kind & 15, depth)
    return fields, at + 1


def _value(data: bytes, at: int, kind: int, depth: int) -> tuple[Any, int]:
    if kind in (1, 2):  # true, false: the kind is the value
        return kind == 1, at
    if kind == 3:  # a byte
        return data[at], at + 1
    if kind in (4, 5, 6):
        return _zigzag(data, at)
    if kind == 7:  # a double
        return None, at + 8
    if kind == 8:  # bytes
        size, at = _varint(data, at)
        return None, at + size
    if kind == 12:
        return _struct(data, at, depth + 1)
    raise ValueError(f"no header has a field of kind {kind}")


def _zigzag(data: bytes, at: int) -> tuple[int, int]:
    value, at = _varint(data, at)
    return (value >> 1) ^ -(value & 1), at


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        value |= (data[at] & 127) << shift
        at += 1
        if data[at - 1] < 128:
            return value, at
        shift += 7
        if shift > 63:
            raise ValueError("a number without end")
