"""``absa suspects``: labels of the files one trains on that look wrong, as a table to go through."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from ..data.files import in_folder
from ..data.reviews import Columns, Reviews
from ..data.sheet_rows import sheet_rows
from ..data.splits import labels_of, load_files
from ..data.texts import Texts
from ..errors import UserError, did_you_mean
from ..labels import Labels
from ..runs.machine import told_as, write_whole
from ..runs.run import Run
from ..spelling import table
from .mistakes import CONFIDENT, harmless
from .suspects import Ranked, Suspect, rank_suspects

HEAD = ("file", "row", "line", "id", "aspect", "kind", "label", "likelier", "confidence", "label_confidence")
FORMATS_OUT = (".csv", ".xlsx")
FEWEST = 50  # reviews, below which a model of the rest says nothing of a label
SHOWN = 10  # suspects that are printed


def find_suspects(
    files: Sequence[str], out: str, folds: int = 5, seed: int = 0, epochs: int | None = None, **columns: Any
) -> str:
    """Write the suspected labels of ``files``, or of the training file of a run, to ``out``; returns what to print.

    ``columns`` are fields of :class:`src.data.reviews.Columns`; for a run they are those of its training. Raises
    UserError with all faults, before anything is trained.
    """
    path = Path(out)
    if path.suffix.lower() not in FORMATS_OUT:
        hint = did_you_mean(path.suffix.lower(), FORMATS_OUT)
        raise UserError(f"{out}: the table is written as .csv or .xlsx, told from the name{hint}")
    if not path.absolute().parent.is_dir():
        raise UserError(f"{out}: there is no folder {path.parent}")
    if path.suffix.lower() == ".xlsx":
        import openpyxl  # type: ignore[import-untyped]  # noqa: F401  # where it is missing, this is told first
    if folds < 2:
        raise UserError(f"--folds {folds}: expected 2 at least")
    if epochs is not None and epochs < 1:
        raise UserError(f"--epochs {epochs}: expected 1 at least")
    read, labels = read_files(files, **columns)
    reviews, owner = joined(list(read.values()))
    if len(reviews) < max(FEWEST, folds):
        raise UserError(f"{', '.join(read)}: {len(reviews):,} reviews; {max(FEWEST, folds)} are needed at least")

    from .crossed import cross_predict

    ranked = rank_suspects(cross_predict(reviews, labels, folds, seed, epochs), labels)
    rows = np.concatenate([sheet_rows(one.path, one.lines) for one in read.values()])
    cells = [_cells(s, reviews, labels, [*read][owner[s.review]], int(rows[s.review])) for s in ranked.suspects]
    with told_as(path, "give the command again"):
        write_suspect_rows(path, cells)
    return "\n".join([*told(ranked, cells, int(reviews.mentioned.sum())), str(path)])


def read_files(files: Sequence[str], **columns: Any) -> tuple[dict[str, Reviews], Labels]:
    """The reviews of labelled files, or of the training file of one run, by path, and their labels."""
    if len(files) == 1 and Path(files[0]).is_dir():
        run = Run(files[0])
        data = run.read_summary()["config"]["data"]
        told = {name: data[name] for name in Columns._fields if name in data} | columns
        told |= {"aspects": run.labels.aspects, "sentiments": run.labels.sentiments}
        train = str(in_folder(data["train"], data.get("dir")))
        read, _ = load_files({train: train}, Columns(**told))
        return read, run.labels
    read, aspects = load_files({file: file for file in files}, Columns(**columns))
    whole, _ = joined(list(read.values()))
    return read, labels_of(aspects, whole)


def joined(parts: Sequence[Reviews]) -> tuple[Reviews, np.ndarray]:
    """All reviews as one split, and the number of the part, int64 [N], that each is from."""
    first = parts[0]
    whole = Reviews(
        first.path,
        first.sha256,
        Texts(text for part in parts for text in part.texts),
        Texts(name for part in parts for name in part.ids) if any(p.names is not None for p in parts) else None,
        np.concatenate([part.lines for part in parts]),
        np.concatenate([part.mentioned for part in parts]),
        np.concatenate([part.sentiment for part in parts]),
        sentiments=first.sentiments,
    )
    return whole, np.repeat(np.arange(len(parts)), [len(part) for part in parts])


def _cells(s: Suspect, reviews: Reviews, labels: Labels, file: str, row: int) -> list[Any]:
    name = "" if reviews.names is None else harmless(reviews.names[s.review])
    numbers = [round(s.confidence, 4), round(s.label_confidence, 4)]
    where = [harmless(file), row, int(reviews.lines[s.review]), name, harmless(labels.aspects[s.aspect])]
    return [*where, s.kind, s.given, s.likelier, *numbers, "", harmless(reviews.texts[s.review])]


def told(ranked: Ranked, cells: Sequence[Sequence[Any]], mentions: int) -> list[str]:
    """What is printed: how many suspects of each kind the model is sure of, and the first suspects."""
    kinds = ", ".join(f"{n:,} {kind}" for kind, n in ranked.sure.items())
    shown = [[str(c[i]) for i in (1, 3, 4, 5, 6, 7, 8)] for c in cells[:SHOWN]]
    return [
        f"{len(cells):,} labels are contradicted, beside {mentions:,} mentions. Of {CONFIDENT:.0%} and more: {kinds}.",
        "The first are the likeliest errors; it is for you to say which are.",
        table([["row", "id", "aspect", "kind", "label", "likelier", "confidence"], *shown], left=6),
    ]


def write_suspect_rows(path: Path, cells: Sequence[Sequence[Any]]) -> None:
    """Write the table whole or not at all: CSV for a spreadsheet, or an Excel workbook. Raises OSError."""
    head = [*HEAD, "verdict", "text"]
    if path.suffix.lower() == ".csv":
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\r\n")
        writer.writerows([head, *cells])
        write_whole(path, "\ufeff" + out.getvalue())  # without a byte order mark Excel garbles Vietnamese
        return
    from openpyxl import Workbook
    from openpyxl.cell.cell import ILLEGAL_CHARACTERS_RE  # type: ignore[import-untyped]

    book = Workbook(write_only=True)
    sheet = book.create_sheet("suspects")
    sheet.freeze_panes = "A2"
    for row in [head, *cells]:
        sheet.append([ILLEGAL_CHARACTERS_RE.sub("\ufffd", c) if isinstance(c, str) else c for c in row])

    def write(file: BinaryIO) -> None:
        book.save(file)

    write_whole(path, write)
