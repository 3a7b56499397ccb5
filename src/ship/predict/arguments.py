"""Check the arguments of ``absa predict`` before any model is loaded, and gather every fault."""

import os
import sys
from collections.abc import Mapping
from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ...data.files import FORMATS, is_there, named_format, unknown_format
from ...data.formats import open_rows
from ...data.rows import Source, text_column_of
from ...data.text_rows import sniff
from ...errors import Faults
from ...spelling import pasted
from ..bundle import INFO
from .target import Target
from .tasks import LABEL_STUDIO
from .writers import OUTPUT_FORMATS

STREAM = "-"


def check_model(model: str, faults: Faults) -> None:
    """Add a fault unless ``model`` is the folder of a bundle or of a finished run, as its files show."""
    path = Path(model)
    if not path.is_dir():
        faults.add(model, "there is no such folder; a bundle (absa export) or a run is expected")
    elif not (path / INFO).is_file() and not (path / "summary.json").is_file():
        faults.add(model, f"neither a bundle (no {INFO} in it) nor a finished run (no summary.json)")


def format_of(out: str, given: str | None, faults: Faults) -> str:
    """The format of the output, from ``--format`` or the file's name; else adds a fault."""
    if out == STREAM:
        if given not in (None, "jsonl"):
            faults.add(f"--format {given}", "standard output gets jsonl; give -o a file")
        return "jsonl"
    form = given or Path(out).suffix.lower().lstrip(".")
    if form not in (*OUTPUT_FORMATS, LABEL_STUDIO):
        tasks = f"; {pasted(['--format', LABEL_STUDIO])} writes its tasks" * (form == "json")
        told = f"the format is told from the name (.{', .'.join(OUTPUT_FORMATS)}), or given with --format"
        faults.add(out, told + tasks)
    elif form == LABEL_STUDIO and Path(out).suffix.lower() != ".json":
        faults.add(out, f"--format {LABEL_STUDIO} writes JSON, and Label Studio goes by the name: call it .json")
    elif form == "parquet" and find_spec("pyarrow") is None:
        faults.add(out, "writing Parquet needs pyarrow; pip install '.[parquet]'")
    return form


def open_source(
    file: str, given: str | None, reading: Mapping[str, str | None], opened: ExitStack, faults: Faults
) -> tuple[Source | None, str, str]:
    """The rows of ``file``, the column of their texts, and the format of the file.

    ``reading`` are the options that say how a file is read (:data:`src.data.options.OF_TEXTS`). ``file`` stays open as
    long as ``opened``. The rows are None if faults were added.
    """
    separator, text_column = reading["separator"], reading["text_column"]
    name = name_of(file)
    stream: Any = sys.stdin.buffer if file == STREAM else None
    if stream is None and not is_there(file, faults, pipes=True):
        return None, "", ""
    kind = given or (sniff(stream) if stream else named_format(file)[0])
    if kind not in FORMATS:
        faults.add(name, f"{unknown_format(file)}; it can be given with --input-format")
    elif separator is not None and kind not in ("csv", "tsv"):
        faults.add("--separator", f"is for CSV, {name} is {kind}")
    elif text_column is not None and kind == "txt":
        faults.add("--text-column", f"is for files with columns; of {name}, each line is a review")
    else:
        options: Any = {name: reading[name] for name in ("separator", "encoding", "sheet")}
        source = open_rows(name, opened, faults, **options, form=kind, stream=stream, pipes=True)
        return source, (text_column_of(source, text_column, faults) if source else None) or "", kind
    return None, "", kind


def check_target(target: Target, file: str, resume: bool, overwrite: bool, faults: Faults) -> None:
    """Add a fault if the target cannot be written, or if writing it would destroy a file."""
    answers, folder = target.answers, target.answers.parent
    streams = is_stream(file)
    if resume and streams:
        faults.add("--resume", f"{name_of(file)} cannot be read again from where it was; give a file")
    if not folder.is_dir():
        faults.add(str(answers), f"there is no folder {folder}")
    elif answers.exists() and not answers.is_file():
        faults.add(str(answers), "is there and is no file; -o - writes to standard output")
    elif not os.access(folder, os.W_OK | os.X_OK):
        faults.add(str(answers), f"the folder {folder} cannot be written")
    elif not streams and any(path.exists() and path.samefile(file) for path in target.all if Path(file).exists()):
        faults.add(str(answers), f"writing it would overwrite the input {file}; choose another name")
    elif target.begun and not (resume or overwrite):
        hint = "--overwrite begins anew" if streams else "--resume goes on, --overwrite begins anew"
        faults.add(str(target.partial), f"an earlier command was cut off: {hint}")
    elif not overwrite and not target.begun:
        for path in (target.answers, target.errors):
            if path.exists() and not (path == target.errors and target.owner_of_errors(file)):
                faults.add(str(path), "is there already; --overwrite replaces it")
    if folder.is_dir() and not (target.begun and resume):
        if owner := target.owner_of_errors(file):
            faults.add(str(target.errors), f"may be that of {owner}; move it, or choose another name")
        elif other := target.under_way():
            faults.add(str(other), f"is not finished and will want {target.errors}, too; choose another name")


def is_stream(file: str) -> bool:
    """Whether ``file`` can be read only once, as standard input or a pipe can."""
    return file == STREAM or (Path(file).exists() and not Path(file).is_file())


def name_of(file: str) -> str:
    """The name by which messages call ``file``."""
    return "standard input" if file == STREAM else file
