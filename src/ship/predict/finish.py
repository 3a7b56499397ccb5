"""The end of ``absa predict``: turn the partial files into the files that were asked for."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from ...answers.table import MakeTable
from ...errors import UserError
from ...runs.machine import flush, replace, write_whole
from .journal import State
from .target import Target
from .tasks import Asked, write_asked
from .writers import column_types, partial_rows, write_csv

Header = list[str] | dict[str, type] | None


def finish(
    target: Target,
    state: State,
    form: str,
    columns: Header,
    source: str | None,
    kind: str,
    make_table: MakeTable,
    safe_cells: bool = False,
    asked: Asked | None = None,
) -> None:
    """Give the files their names; for ``form`` csv, parquet or label-studio (``asked``) the file is made first.

    ``columns`` are the input's columns, all texts where no type is told; None if it has no header. ``source`` is the
    input's path, None if it cannot be read again. Columns of a Parquet input keep their types. For ``safe_cells`` see
    ``write_csv`` in :mod:`src.ship.predict.writers`. After a kill at any point the whole function can run again. Raises
    UserError if a file cannot be written, for example because the disk is full: no answer is lost.
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
                    if asked is not None:
                        write_asked(file, target.partial, asked)
                        return
                    _write_table(file, target.partial, form, columns, parquet, make_table, safe_cells)

                write_whole(finished, write, temporary=finished)  # it is renamed below, after the errors file
            if target.partial_errors.exists():
                if state.errors:
                    replace(target.partial_errors, target.errors)
                else:
                    target.errors.unlink(missing_ok=True)  # errors of the output being replaced; later nobody can tell
                    target.partial_errors.unlink()
            replace(finished, target.answers)
            flush(target.answers.parent)  # before the journal is deleted: the renames must be on disk first
        target.partial.unlink(missing_ok=True)
        target.journal.unlink(missing_ok=True)
    except OSError as error:
        raise UserError(f"{target.answers}: cannot be written ({error.strerror or error}); {hint}") from error


def _write_table(
    file: BinaryIO,
    partial: Path,
    form: str,
    columns: Header,
    parquet: str | None,
    make_table: MakeTable,
    safe_cells: bool,
) -> None:
    if columns is None:
        columns = column_types(cells for _, cells, _ in partial_rows(partial))
    types = columns if isinstance(columns, dict) else dict.fromkeys(columns, str)
    table = make_table(types)
    if form == "parquet" and parquet:
        from .parquet import write_beside

        answers = ((line, table.cells(line, answer)) for line, _, answer in partial_rows(partial))
        write_beside(file, parquet, table.fields, answers)
        return

    def rows() -> Iterator[list[Any]]:
        for line, cells, answer in partial_rows(partial):
            yield [*map(cells.get, types), *table.cells(line, answer)]

    if form == "csv":
        write_csv(file, [*types, *(name for name, _ in table.fields)], rows(), safe_cells)
    else:
        from .parquet import write_rows

        write_rows(file, [*types.items(), *table.fields], rows())
