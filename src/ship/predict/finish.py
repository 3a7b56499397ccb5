"""The end of ``absa predict``: what was gathered takes its form and its name."""

from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Any, BinaryIO

from ...errors import UserError
from ...runs.machine import flush, replace, write_whole
from .journal import State
from .target import Target
from .writers import Table, column_types, gathered, write_csv

MakeTable = Callable[[Collection[str]], Table]  # given the names that the input's columns have taken


def finish(
    target: Target,
    state: State,
    form: str,
    columns: list[str] | None,
    source: str | None,
    kind: str,
    make_table: MakeTable,
) -> None:
    """Give the files their names, a table first being made of ``form`` csv or parquet.

    ``columns`` are the input's, None where it has no header; ``source`` is the input, None where it cannot be read
    again. Of a Parquet file the columns keep their types. After a kill at any point of it, all of it can be done again.
    Raises UserError where the disk is full, and the like; nothing is lost by it.
    """
    hint = f"every review is answered{', and --resume finishes the file' * (source is not None)}"
    try:
        if target.partial.exists():
            if target.partial_errors.exists() and (owner := target.owner_of_errors(source)):
                raise UserError(f"{target.errors}: may be that of {owner}, which has appeared since; move it; {hint}")
            finished = target.partial
            if form != "jsonl":
                finished, parquet = target.temporary, source if kind == "parquet" else None

                def write(file: BinaryIO) -> None:
                    _write_table(file, target.partial, form, columns, parquet, make_table)

                write_whole(finished, write, temporary=finished)  # its name is given below, after that of the errors
            if target.partial_errors.exists():
                if state.errors:
                    replace(target.partial_errors, target.errors)
                else:
                    target.errors.unlink(missing_ok=True)  # of what is being overwritten, while this one can tell
                    target.partial_errors.unlink()
            replace(finished, target.answers)
            flush(target.answers.parent)  # or the journal could be gone before the names are there
        target.partial.unlink(missing_ok=True)
        target.journal.unlink(missing_ok=True)
    except OSError as error:
        raise UserError(f"{target.answers}: cannot be written ({error.strerror or error}); {hint}") from error


def _write_table(
    file: BinaryIO, partial: Path, form: str, columns: list[str] | None, parquet: str | None, make_table: MakeTable
) -> None:
    types = column_types(partial) if columns is None else dict.fromkeys(columns, str)
    table = make_table(types)
    if form == "parquet" and parquet:
        from .parquet import write_beside

        answers = ((line, table.cells(line, answer)) for line, _, answer in gathered(partial))
        write_beside(file, parquet, table.fields, answers)
        return

    def rows() -> Iterator[list[Any]]:
        for line, cells, answer in gathered(partial):
            yield [*map(cells.get, types), *table.cells(line, answer)]

    if form == "csv":
        write_csv(file, [*types, *(name for name, _ in table.fields)], rows())
    else:
        from .parquet import write_rows

        write_rows(file, [*types.items(), *table.fields], rows())
