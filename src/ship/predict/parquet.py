"""Answers as columns of a Parquet file, beside those of the input."""

import json
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, BinaryIO

import pyarrow as pa
from pyarrow import parquet

from ...data.parquet import batches, opened


def write_beside(
    out: BinaryIO, source: str, fields: Sequence[tuple[str, type]], answers: Iterator[tuple[int, list[Any]]]
) -> None:
    """The rows of the Parquet file ``source`` that have an answer, with all their columns as they are, and it.

    ``answers``: the row's number from 1 on, and a value for each of ``fields``; ascending.
    """
    file = opened(source)
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


GROUP = 10_000  # rows of a row group that is written


_TYPES = {str: pa.string(), int: pa.int64(), float: pa.float64(), bool: pa.bool_()}
