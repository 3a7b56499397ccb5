"""``absa suspects``: labels of the files one trains on that look wrong, as a table or as tasks to go through."""

import csv
import io
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from ..answers.table import harmless
from ..data.convert import CELL, escaped
from ..data.files import check_output, in_folder
from ..data.reviews import Columns, Reviews
from ..data.sheet_rows import sheet_rows
from ..data.splits import labels_of, load_files
from ..data.tasks import check_names, prediction, task, write_tasks
from ..errors import Faults, UserError, did_you_mean
from ..labels import IGNORE, Labels
from ..runs.machine import expanded, told_as, write_whole
from ..runs.run import Run
from ..spelling import table
from .mistakes import KINDS
from .suspects import ABSENT, CONFIDENT, PRESENT, Suspect, rank_suspects
from .where import Location

SUSPECT_COLUMNS = ("file", "row", "line", "id", "aspect", "kind", "label", "likelier", "confidence", "label_confidence")
FORMATS_OUT = {".csv": "csv", ".xlsx": "xlsx", ".json": "label-studio"}
AS_LABELLED, BY_THE_MODEL = "labels of the file", "small encoder and tf-idf"  # the two predictions of a task
FEWEST_REVIEWS = 50  # reviews, below which a model of the rest says nothing of a label
PRINTED = 10  # suspects that are printed


def find_suspects(
    files: Sequence[str],
    out: str,
    folds: int = 5,
    seed: int = 0,
    epochs: int | None = None,
    output_format: str | None = None,
    overwrite: bool = False,
    **columns: Any,
) -> str:
    """Write the suspected labels of ``files``, or of the training file of a run, to ``out``; returns what to print.

    ``columns`` are fields of :class:`src.data.reviews.Columns`; for a run they are those of its training. Raises
    UserError with all faults, before anything is trained.
    """
    path = expanded(out)
    told = FORMATS_OUT.get(path.suffix.lower())
    if told is None or output_format not in (None, told):
        hint = did_you_mean(path.suffix.lower(), tuple(FORMATS_OUT))
        raise UserError(
            f"{out}: the table is written as .csv or .xlsx, tasks of Label Studio as .json, told from the name{hint}"
            if told is None
            else f"{out}: the name says {told}, not {output_format}; leave --format out, or change the name"
        )
    faults = Faults()
    check_output(out, files, overwrite, faults)
    faults.raise_if_any()
    if path.suffix.lower() == ".xlsx":
        import openpyxl  # noqa: F401  # where it is missing, this is told first
    if folds < 2:
        raise UserError(f"--folds {folds}: expected 2 at least")
    if epochs is not None and epochs < 1:
        raise UserError(f"--epochs {epochs}: expected 1 at least")
    if not files:
        raise UserError("name a labelled file, or the folder of a run")
    reviews, labels = read_labelled(files, **columns)
    if told == "label-studio":
        check_names(labels)
    if len(reviews) < max(FEWEST_REVIEWS, folds):
        raise UserError(f"{reviews.path}: {len(reviews):,} reviews; {max(FEWEST_REVIEWS, folds)} are needed at least")

    from .crossed import cross_predict

    suspects = rank_suspects(cross_predict(reviews, labels, folds, seed, epochs), labels)
    places = _places([reviews.file_and_line(int(line)) for line in reviews.lines])
    names = [""] * len(reviews) if reviews.names is None else reviews.names
    cells = [suspect_cells(s, labels, places[s.review], names[s.review], reviews.texts[s.review]) for s in suspects]
    with told_as(path, "give the command again"):
        if told == "label-studio":
            made = suspect_tasks(suspects, cells, reviews, labels)
            write_whole(path, lambda file: write_tasks(file, made))
        else:
            write_suspect_rows(path, cells)
    return "\n".join([*suspects_told(suspects, cells, int(reviews.mentioned.sum())), str(path)])


def read_labelled(files: Sequence[str], **columns: Any) -> tuple[Reviews, Labels]:
    """The reviews of labelled files, or of the training files of one run, and their labels."""
    if len(files) == 1 and Path(files[0]).is_dir():
        run = Run(files[0])
        data = run.read_summary()["config"]["data"]
        known: dict[str, Any] = {name: data[name] for name in Columns._fields if name in data} | columns
        known |= {"aspects": run.labels.aspects, "sentiments": run.labels.sentiments}
        train: Any = in_folder(data["train"], data.get("dir"))
        splits, _ = load_files({"train": train}, Columns(**known))
        return splits["train"], run.labels
    splits, aspects = load_files({"train": list(files)}, Columns(**columns))
    return splits["train"], labels_of(aspects, splits["train"])


def _places(files_and_lines: Sequence[tuple[str, int]]) -> list[Location]:
    rows = np.zeros(len(files_and_lines), np.int64)
    for file in dict.fromkeys(file for file, _ in files_and_lines):
        at = [i for i, (other, _) in enumerate(files_and_lines) if other == file]
        rows[at] = sheet_rows(file, np.array([files_and_lines[i][1] for i in at]))
    return [Location(file, row, line) for (file, line), row in zip(files_and_lines, rows.tolist(), strict=True)]


def suspect_cells(s: Suspect, labels: Labels, place: Location, name: str, text: str) -> list[Any]:
    """A row of the table, without its verdict; ``name`` is the review's id."""
    numbers = [round(s.confidence, 4), round(s.label_confidence, 4)]
    where = [place.file, place.row, place.line, name, labels.aspects[s.aspect]]
    return [*where, s.kind, s.given, s.likelier, *numbers, "", text]


def suspect_tasks(
    suspects: Sequence[Suspect], cells: Sequence[Sequence[Any]], reviews: Reviews, labels: Labels
) -> Iterator[dict[str, Any]]:
    """A task for each review with suspects, in their order; ``cells`` are the rows of the table.

    Its predictions are the labels as they stand, and the same with all likelier ones; its note names the suspects.
    """
    of_review: dict[int, list[int]] = {}
    for number, suspect in enumerate(suspects):
        of_review.setdefault(suspect.review, []).append(number)
    for i, numbers in of_review.items():
        said: dict[str, tuple[str | None, float | None]] = {
            aspect: (None if c == IGNORE else labels.sentiments[c], None)
            for aspect, there, c in zip(
                labels.aspects, reviews.mentioned[i], reviews.sentiment[i].tolist(), strict=True
            )
            if there
        }
        likelier, notes = dict(said), []
        for s in (suspects[number] for number in numbers):
            aspect = labels.aspects[s.aspect]
            notes.append(f"{aspect}: {s.given}, likelier {s.likelier} ({s.confidence:.0%})")
            if s.given != ABSENT:
                said[aspect] = (said[aspect][0], s.label_confidence)
            likelier[aspect] = (None if s.likelier == PRESENT else s.likelier, s.confidence)
            if s.likelier == ABSENT:
                del likelier[aspect]
        file, row, line, name, *_ = cells[numbers[0]]
        meta = ({"id": name} if name else {}) | {"file": file, "row": row, "line": line}
        first = suspects[numbers[0]]
        both = [
            prediction(labels, said, first.label_confidence, AS_LABELLED),
            prediction(labels, likelier, first.confidence, BY_THE_MODEL),
        ]
        yield task(reviews.texts[i], both, meta, "; ".join(notes))


def suspects_told(suspects: Sequence[Suspect], cells: Sequence[Sequence[Any]], mentions: int) -> list[str]:
    """What is printed: how many suspects of each kind the model is sure of, and the first suspects."""
    sure = Counter(s.kind for s in suspects if s.sure)
    kinds = ", ".join(f"{sure[kind]:,} {kind}" for kind in KINDS)
    shown = [[str(c[i]) for i in (1, 3, 4, 5, 6, 7, 8)] for c in cells[:PRINTED]]
    return [
        f"{len(cells):,} labels are contradicted, beside {mentions:,} mentions. Of {CONFIDENT:.0%} and more: {kinds}.",
        "The first are the likeliest errors; it is for you to say which are.",
        table([["row", "id", "aspect", "kind", "label", "likelier", "confidence"], *shown], left=6),
    ]


def write_suspect_rows(path: Path, cells: Sequence[Sequence[Any]]) -> None:
    """Write the table whole or not at all: CSV for a spreadsheet, or an Excel workbook. Raises OSError."""
    head = [*SUSPECT_COLUMNS, "verdict", "text"]
    if path.suffix.lower() == ".csv":
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\r\n")
        writer.writerows([harmless(c) if isinstance(c, str) else c for c in row] for row in [head, *cells])
        write_whole(path, "\ufeff" + out.getvalue())  # without a byte order mark Excel garbles Vietnamese
        return
    from openpyxl import Workbook
    from openpyxl.cell import WriteOnlyCell

    book = Workbook(write_only=True)
    sheet = book.create_sheet("suspects")
    sheet.freeze_panes = "A2"
    for row in [head, *cells]:
        written = [WriteOnlyCell(sheet, value=escaped(c)[:CELL] if isinstance(c, str) else c) for c in row]
        for cell, value in zip(written, row, strict=True):
            if isinstance(value, str):
                cell.data_type = "s"  # a text that begins with = is no formula
        sheet.append(written)

    def write(file: BinaryIO) -> None:
        book.save(file)

    write_whole(path, write)
