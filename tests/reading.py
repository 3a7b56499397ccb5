"""Files as the one reader of rows sees them."""

import logging
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from src.data.corpus import read_corpus
from src.data.formats import open_rows
from src.data.options import OF_TEXTS
from src.data.report import check_files
from src.data.rows import Row, Source, clean_name, text_column_of, with_text
from src.errors import Faults, UserError
from src.labels import Labels
from src.ship.predict.arguments import open_source
from src.ship.predict.batch import chunks
from src.spelling import as_options


def opened(path: Path, faults: Faults, separator: str | None = None, clean: bool = False) -> Source | None:
    """The rows of a file; it is closed when they are forgotten."""
    return open_rows(str(path), ExitStack(), faults, separator=separator, clean=clean_name if clean else None)


def source(path: Path, data: bytes, separator: str | None = None) -> Source:
    """A file with these bytes. Raises UserError with its faults."""
    path.write_bytes(data)
    faults = Faults()
    found = opened(path, faults, separator)
    faults.raise_if_any()
    assert found is not None
    return found


def answerable(path: Path, data: bytes, text_column: str | None = None, separator: str | None = None) -> list[Row]:
    """Its rows with their texts. Raises UserError if there is no column of texts."""
    found, faults = source(path, data, separator), Faults()
    column = text_column_of(found, text_column, faults)
    faults.raise_if_any()
    assert column is not None
    return [with_text(row, column) for row in found.rows()]


# --- what each command says of a file ---------------------------------------------------------------------------------


def refused_by(path: Path, caplog: pytest.LogCaptureFixture, aspect: str = "Camera") -> dict[str, list[str]]:
    """The faults of a file that it takes no model to find, by command; none where the command accepts the file."""
    return {
        "check": _faults_of(check_files, [str(path)]),
        "evaluate": _by_evaluate(path, aspect),
        "predict": _by_predict(path),
        "pretraining": _by_pretraining(path, caplog),
    }


def _faults_of(command: Callable[..., object], *given: Any) -> list[str]:
    try:
        with as_options():
            command(*given)
    except UserError as error:
        return error.faults
    return []


def _by_evaluate(path: Path, aspect: str) -> list[str]:
    """A run without a checkpoint, which is not looked for before the file has been read."""
    from src.judge.inference import predict_labelled

    run: Any = SimpleNamespace(read_summary=lambda: {"config": {"data": {}}}, labels=Labels((aspect,)))
    return _faults_of(predict_labelled, run, path)


def _by_predict(path: Path) -> list[str]:
    """Whole files before the model is loaded; rows as lines in the errors file."""
    faults = Faults()
    with ExitStack() as opened, as_options():
        rows, column, _ = open_source(str(path), None, dict.fromkeys(OF_TEXTS), opened, faults)
        if found := _faults_of(faults.raise_if_any):
            return found
        assert rows is not None
        bad = [row for chunk in chunks(rows, column) for row in chunk.rows if row.fault]
        return [f"{path}:{row.line}: {row.fault}" for row in bad]


def _by_pretraining(path: Path, caplog: pytest.LogCaptureFixture) -> list[str]:
    """Whole files and what is lost end it; other rows are left out, with a warning that quotes the first."""
    caplog.clear()
    told = [fault for fault in _faults_of(read_corpus, [str(path)]) if not fault.startswith("data.texts")]
    warnings = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    return told or [f"{path}:{text.partition('the first at line ')[2]}" for text in warnings]
