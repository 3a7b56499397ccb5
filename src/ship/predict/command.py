"""``absa predict``: check the arguments, load the model, answer the rows, and give the files their names."""

import sys
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...answers.table import Table
from ...data.rows import Source
from ...data.tasks import check_names
from ...errors import Faults, shown
from ...runs.machine import expanded
from ...spelling import pasted
from ..fetch import fetch
from .arguments import STREAM, check_model, check_target, format_of, is_stream, name_of, open_source
from .batch import answered, to_journal, to_stream
from .finish import finish
from .journal import Journal, State, fingerprint, model_hash
from .progress import Meter, duration
from .shards import Part, shard_of
from .target import Target
from .tasks import LABEL_STUDIO, Asked
from .writers import column_types

if TYPE_CHECKING:
    from ...answers.predictor import Predictor


def predict_file(
    model: str,
    file: str,
    out: str,
    *,
    output_format: str | None = None,
    input_format: str | None = None,
    text_column: str | None = None,
    separator: str | None = None,
    encoding: str | None = None,
    sheet: str | None = None,
    all_aspects: bool = False,
    safe_cells: bool = False,
    shard: str | None = None,
    budget: int | None = None,
    revision: str | None = None,
    resume: bool = False,
    overwrite: bool = False,
) -> int:
    """Answer every review of ``file`` into ``out`` (``-``: standard input, standard output); return the exit status.

    The status is 1 if rows could not be read: the errors file beside ``out`` holds their lines and the reasons. It is
    130 after Ctrl-C. Raises UserError, before the model is loaded, with everything that is wrong with the arguments and
    the input's header; later, if the model cannot be fetched or loaded or a file cannot be written.
    """
    faults, file = Faults(), str(expanded(file)) if file.startswith("~") else file
    check_model(model, revision, faults)
    target = None if out == STREAM else Target(out)
    form = format_of(out, output_format, faults)
    if safe_cells and form != "csv":
        faults.add("--safe-cells", "is for CSV, the one format that a spreadsheet runs formulas of; leave it out")
    part = shard_of(shard, file, faults)
    tasks = pasted(["--format", LABEL_STUDIO])
    if budget is not None and form != LABEL_STUDIO:
        faults.add(f"--budget {budget}", f"chooses tasks to annotate; add {tasks}, or leave it out")
    elif budget is not None and budget < 1:
        faults.add(f"--budget {budget}", "expected 1 at least")
    if target is not None:
        check_target(target, file, resume, overwrite, faults)
    elif resume:
        faults.add("--resume", "what went to standard output cannot be gone on with; give -o a file")
    if file == STREAM:
        faults.raise_if_any()  # now, rather than after waiting for somebody to type the input
    with ExitStack() as opened:
        reading = {"text_column": text_column, "separator": separator, "encoding": encoding, "sheet": sheet}
        source, column, kind = open_source(file, input_format, reading, opened, faults)
        faults.raise_if_any()
        assert source is not None
        at = fetch(model, revision)
        if part is not None:

            def again() -> Source:
                whole, *_ = open_source(file, kind, reading, opened, faults)
                faults.raise_if_any()
                assert whole is not None
                return whole

            source = Part(source, part, again, by_rows=kind == "parquet")
        for note in source.notes:
            print(shown(f"{name_of(file)}: {note}"), file=sys.stderr)
        if target is None:
            return _to_stdout(model, at.commit, source, column, name_of(file), all_aspects)
        options: dict[str, Any] = {
            "format": [form, kind],
            "text column": text_column,
            "separator": separator,
            "--all": all_aspects,
        }
        # absent from the journals of before they were there
        later = {
            "encoding": encoding,
            "sheet": sheet,
            "--safe-cells": safe_cells or None,
            "--shard": part and str(part),
            "--budget": budget,
        }
        options |= {name: given for name, given in later.items() if given is not None}
        identity = {"input": fingerprint(file), "model": model_hash(at.folder), **options}
        journal = Journal(target, identity, source.place, resumable=not is_stream(file))
        opened.callback(journal.close)
        check_target(target, file, resume, overwrite, faults)  # again: another command may just have finished it
        faults.raise_if_any()
        go_on = resume and target.begun
        if go_on:
            journal.go_on()
            source.seek(journal.state.place)
        return _to_file(
            model,
            at.commit,
            source,
            column,
            journal,
            go_on,
            form,
            None if is_stream(file) else file,
            kind,
            all_aspects or form == LABEL_STUDIO,
            safe_cells,
            budget,
        )


def _to_stdout(model: str, commit: str | None, source: Source, column: str, name: str, all_aspects: bool) -> int:
    meter = Meter(source.size, source.place.offset)
    try:
        meter.say("loading the model")
        predictor = _load(model, commit)
        meter.start()
        state = to_stream(answered(source, column, predictor, "jsonl", all_aspects), name, meter)
    except KeyboardInterrupt:
        meter.clear()
        return _stopped("")
    finally:
        meter.close()
    _close("standard output", state, 0, meter.seconds, "see above")
    return int(state.errors > 0)


def _to_file(
    model: str,
    commit: str | None,
    source: Source,
    column: str,
    journal: Journal,
    go_on: bool,
    form: str,
    file: str | None,
    kind: str,
    all_aspects: bool,
    safe_cells: bool,
    budget: int | None,
) -> int:
    target, before = journal.target, journal.state.rows + journal.state.errors
    meter = Meter(source.size, source.place.offset, before)
    try:
        meter.say("loading the model")
        predictor = _load(model, commit)
        asked = None
        if form == LABEL_STUDIO:
            check_names(predictor.labels)
            name = f"{Path(model).resolve().name} {journal.identity['model'][:8]}"
            asked = Asked(predictor.labels, name, column, budget)
        meter.start()
        if not go_on:
            journal.begin()
        if not journal.state.complete:
            keep_cells = not (kind == form == "parquet")  # finish copies the cells from the input
            to_journal(answered(source, column, predictor, form, all_aspects, keep_cells), journal, meter)
        seconds = meter.seconds
        meter.say(f"writing {target.answers.name}")
        make_table = partial(Table, predictor.labels, predictor.task, all_aspects)
        columns: Any = source.columns if source.header else None
        if columns is None and isinstance(source, Part) and form != "jsonl":
            columns = column_types(source.cells(column))  # those of the whole file, so that all parts have the same
        finish(target, journal.state, form, columns, file, kind, make_table, safe_cells, asked)
    except KeyboardInterrupt:
        meter.clear()
        hint = "--resume goes on from there" if journal.resumable else "a stream cannot be gone on with"
        return _stopped(f" after {journal.state.rows:,} reviews; {hint}")
    finally:
        meter.close()
    _close(str(target.answers), journal.state, before, seconds, str(target.errors))
    return int(journal.state.errors > 0)


def _stopped(how_far: str) -> int:
    print(f"stopped{how_far}", file=sys.stderr)
    return 130


def _load(model: str, commit: str | None) -> "Predictor":
    from ..predictor import load  # brings onnxruntime, which takes longer than all the checks

    return load(model, revision=commit)


def _close(name: str, state: State, before: int, seconds: float, errors: str) -> None:
    here = state.rows + state.errors - before
    text = f"{name}: {state.rows:,} reviews answered"
    text += f", {before:,} of the rows by an earlier command" if before else ""
    text += f"; {here:,} rows in {duration(seconds)}"
    text += f", {here / seconds:,.0f} a second" if seconds >= 1 else ""
    if state.errors:
        text += f"; {state.errors:,} row{'s' * (state.errors > 1)} could not be read: {errors}"
    print(shown(text), file=sys.stderr)
