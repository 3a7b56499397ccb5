"""Answers for a batch of Arrow's: the input's columns, the answers' columns, and a reason where there is no answer.

The columns are those of a Parquet file that ``absa predict`` writes, value for value. A row that cannot be answered
stays where it is, with nulls, so that the output has the rows of the input.
"""

from collections.abc import Callable, Sequence
from typing import Any

import pyarrow as pa

from ..data.lines import LIMIT
from ..data.parquet import Unreadable, is_binary, json_values, sizes_of
from ..data.rows import TEXT_COLUMNS, Row, clean_name, text_candidates, with_text
from ..data.text_rows import TOO_LONG
from ..errors import UserError, did_you_mean, listed, quoted
from .table import MakeTable, Table, as_text, free_name

ARROW_TYPES = {str: pa.string(), int: pa.int64(), float: pa.float64(), bool: pa.bool_()}
VIEWS = {pa.string_view(): pa.large_string(), pa.binary_view(): pa.large_binary()}  # few functions take views
HELD_ROWS = 1024  # rows whose answers are held as dicts
Answering = Callable[[list[str]], list[dict[str, Any]]]


def extended(schema: pa.Schema, make_table: MakeTable, first_line: int | None) -> pa.Schema:
    """The schema of the output for the input's ``schema``. Without a ``first_line`` there is no column ``line``."""
    for name, kind in _fields(schema.names, make_table(schema.names), first_line):
        schema = schema.append(pa.field(name, ARROW_TYPES[kind]))
    return schema


def answered_rows(
    rows: Any, text_column: str | None, make_table: MakeTable, answer: Answering, first_line: int | None
) -> Any:
    """A RecordBatch, or a Table, with the answers' columns. Raises UserError as :func:`answered_batch`."""
    if isinstance(rows, pa.RecordBatch):
        return answered_batch(rows, text_column, make_table, answer, first_line)
    if not isinstance(rows, pa.Table):
        raise UserError(f"expected a RecordBatch or a Table of pyarrow, got {type(rows).__name__}")
    column_of_texts(rows.schema.names, text_column)  # a table without rows may have no batch
    line, done = first_line, []
    for batch in rows.to_batches():
        done.append(answered_batch(batch, text_column, make_table, answer, line))
        line = None if line is None else line + batch.num_rows
    return pa.Table.from_batches(done, extended(rows.schema, make_table, first_line))


def answered_batch(
    batch: pa.RecordBatch, text_column: str | None, make_table: MakeTable, answer: Answering, first_line: int | None
) -> pa.RecordBatch:
    """``batch`` with the answers' columns. Raises UserError if it has no column of texts, or two of one name."""
    names = batch.schema.names
    column, table = column_of_texts(names, text_column), make_table(names)
    texts = batch.column(names.index(column))
    fields = _fields(names, table, first_line)
    parts = [
        columns_of(_rows(texts.slice(at, HELD_ROWS), column, table, answer, first_line, at), fields)
        for at in range(0, len(texts), HELD_ROWS)
    ]
    own = [pa.concat_arrays(column) for column in zip(*parts, strict=True)] if parts else columns_of([], fields)
    return pa.RecordBatch.from_arrays([*batch.columns, *own], schema=extended(batch.schema, make_table, first_line))


def column_of_texts(names: Sequence[str], wanted: str | None) -> str:
    """The column of texts: the one ``wanted``, else by its name, as ``absa predict`` finds it. Raises UserError."""
    if repeated := sorted({name for name in names if names.count(name) > 1}):
        raise UserError(f"several columns are called {listed(repeated)}; rename them")
    there = names if wanted is not None else text_candidates(names)
    found = next((name for name in there if wanted is None or clean_name(name) == clean_name(wanted)), None)
    if found is not None:
        return found
    if wanted is not None:
        among = f"{listed(names)}{did_you_mean(wanted, tuple(names))}"
        raise UserError(f"there is no column {quoted(wanted)} (text_column) among {among}")
    raise UserError(
        f"no column of texts among {listed(names)} (one of {', '.join(TEXT_COLUMNS[:6])}); name it with text_column="
    )


def columns_of(rows: Sequence[Sequence[Any]], fields: Sequence[tuple[str, type]]) -> list[pa.Array]:
    """Rows, with a value for each of ``fields`` (name, type), as columns; in a str column other values become JSON."""
    columns = zip(*rows, strict=True) if rows else [()] * len(fields)
    return [
        pa.array([as_text(value) for value in column] if kind is str else column, ARROW_TYPES[kind])
        for column, (_, kind) in zip(columns, fields, strict=True)
    ]


def _fields(names: Sequence[str], table: Table, first_line: int | None) -> list[tuple[str, type]]:
    own = table.fields[first_line is None :]
    return [*own, (free_name("reason", {*names, *(name for name, _ in own)}), str)]


def _rows(
    texts: pa.Array, column: str, table: Table, answer: Answering, first_line: int | None, before: int
) -> list[list[Any]]:
    """A row of cells for each of ``texts``, of which ``before`` come before these in the batch."""
    if texts.type in VIEWS:
        texts = texts.cast(VIEWS[texts.type])
    kind = texts.type.value_type if pa.types.is_dictionary(texts.type) else texts.type
    values = texts.to_pylist() if is_binary(kind) else json_values(texts)  # json_values makes text of bytes
    read = [_read(value, size, column) for value, size in zip(values, sizes_of(texts).tolist(), strict=True)]
    answers = iter(answer([row.text for row in read if not row.fault]))
    rows = []
    for line, row in enumerate(read, before + (first_line or 1)):
        if row.fault:
            cells = [line, *[None] * (len(table.fields) - 1), row.fault]
        else:
            cells = [*table.cells(line, next(answers)), None]
        rows.append(cells[first_line is None :])
    return rows


def _read(text: object, size: int, column: str) -> Row:
    if isinstance(text, Unreadable):
        return Row(0, fault=f"{quoted(column)}: {text.reason}")
    return with_text(Row(0, {column: text}), column) if size <= LIMIT else Row(0, fault=f"the row is {TOO_LONG}")
