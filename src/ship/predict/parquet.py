"""Write Parquet files in which the answers' columns follow the input's columns."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, BinaryIO

import pyarrow as pa
from pyarrow import parquet

from ...answers.arrow import ARROW_TYPES, columns_of
from ...data.parquet import as_written, batches, opened, split_batch

GROUP = 10_000  # rows in a row group of a written file


def write_beside(
    out: BinaryIO, source: str, fields: Sequence[tuple[str, type]], answers: Iterator[tuple[int, list[Any]]]
) -> None:
    """Write the rows of the Parquet file ``source`` that have an answer: their columns unchanged, then the answer's.

    ``answers`` yields row numbers, from 1 on and ascending, each with a value for each of ``fields`` (name, type).
    """
    file = opened(source)
    schema = given = file.schema.remove_metadata()
    for name, kind in fields:
        schema = schema.append(pa.field(name, ARROW_TYPES[kind]))
    waiting = next(answers, None)
    end = waiting[0] - 1 if waiting else 0
    with parquet.ParquetWriter(out, schema) as writer:
        for batch in batches(file, end):
            begin, end = end, end + batch.num_rows
            chosen, values = [], []
            while waiting is not None and waiting[0] <= end:
                chosen.append(waiting[0] - 1 - begin)
                values.append(waiting[1])
                waiting = next(answers, None)
            if chosen:
                row = 0
                for piece, _ in split_batch(batch.take(pa.array(chosen))):
                    kept = [as_written(column, kind) for column, kind in zip(piece.columns, given.types, strict=True)]
                    own = columns_of(values[row : row + piece.num_rows], fields)
                    writer.write_batch(pa.RecordBatch.from_arrays([*kept, *own], schema=schema))
                    row += piece.num_rows
            if waiting is None:
                return


def write_rows(out: BinaryIO, fields: Sequence[tuple[str, type]], rows: Iterable[list[Any]]) -> None:
    """Write rows with a value for each of ``fields`` (name, type); in a str column other values become JSON."""
    schema = pa.schema([pa.field(name, ARROW_TYPES[kind]) for name, kind in fields])
    rows = iter(rows)
    with parquet.ParquetWriter(out, schema) as writer:
        while group := list(islice(rows, GROUP)):
            writer.write_batch(pa.RecordBatch.from_arrays(columns_of(group, fields), schema=schema))
