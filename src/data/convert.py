"""``absa convert``: files of any layout as one table that every command reads, told at most its own sentiments."""

import csv
import gzip
import io
import json
import re
from collections.abc import Iterable, Iterator
from importlib.util import find_spec
from itertools import chain, islice
from types import SimpleNamespace
from typing import Any, BinaryIO, cast

import numpy as np

from ..errors import Faults, UserError
from ..labels import SENTIMENTS
from ..runs.machine import expanded, told_as, write_whole
from ..spelling import override, pasted, set_list
from .columns import layout_of
from .files import check_output, named_format
from .findings import compare, notes_on, text_keys
from .report import counts_table
from .reviews import Columns, Reviews
from .rows import plain_name
from .splits import labels_of, load_files
from .values import SAID, Values

WRITTEN = {"csv": None, "tsv": None, "jsonl": None, "xlsx": ("openpyxl", "excel"), "parquet": ("pyarrow", "parquet")}
SHEET_ROWS, CELL = 2**20, 32_767  # of a sheet of Excel; letters of a cell
ROWS_AT_ONCE = 10_000  # rows
TO_ESCAPE = re.compile("[\0-\b\v\f\r\x0e-\x1f\ufffe\uffff]|_(?=x[0-9A-Fa-f]{4}_)")


def convert(files: list[str], out: str, overwrite: bool = False, **columns: Any) -> str:
    """Write the reviews of ``files`` as one table to ``out``, whose name gives the format; what was read and left out.

    ``columns`` are fields of :class:`src.data.reviews.Columns`. A column for each aspect, unless a name of an aspect
    would be taken for something else: then one column ``labels``. Raises UserError for all that is wrong, before
    anything is written.
    """
    form, zipped = named_format(out)
    target = expanded(out)
    faults = Faults()
    if not files:
        faults.add("convert", "name a file to convert")
    if form not in WRITTEN or (zipped and WRITTEN[form]):
        faults.add(out, f"the format is told from the name: .{', .'.join(WRITTEN)}, .csv.gz, .tsv.gz or .jsonl.gz")
    elif (package := WRITTEN[form]) and find_spec(package[0]) is None:
        faults.add(out, f"writing it needs {package[0]}; pip install '.[{package[1]}]'")
    else:
        check_output(out, files, overwrite, faults)
    faults.raise_if_any()
    splits, aspects = load_files({"all": files}, Columns(**columns))
    reviews = splits["all"]
    labels = labels_of(aspects, reviews)
    findings = compare(splits, {"all": text_keys(reviews.texts)})
    findings.notes = notes_on(labels, splits)
    with told_as(target, "give the command again"):
        write_whole(target, lambda file: _write(file, form, zipped, reviews, aspects))
    told = [line.replace("all: ", "read: ", 1) for line in findings.lines()]
    told += ["", counts_table(labels, reviews), "", f"{out}: {len(reviews):,} reviews written"]
    if reviews.sentiments != SENTIMENTS:
        names = list(reviews.sentiments)
        in_training = pasted([override("data.sentiments", names)])
        told.append(f"Its sentiments are its own: {set_list('sentiments', names)} reads it, in training {in_training}")
    return "\n".join(told)


# --- writing ---------------------------------------------------------------------------------------------------------


def _write(file: BinaryIO, form: str, zipped: bool, reviews: Reviews, aspects: tuple[str, ...]) -> None:
    if zipped:  # without a time and a name: the same reviews give the same bytes
        with gzip.GzipFile("", "wb", fileobj=file, mtime=0) as inner:
            _write(cast(BinaryIO, inner), form, False, reviews, aspects)
        return
    header, rows = _table(reviews, aspects, wide=form != "jsonl" and _is_plain(aspects))
    if form == "jsonl":
        for row in rows:
            *first, (name, labels) = zip(header, row, strict=True)
            line = {**dict(first), name: dict(json.loads(labels))}
            file.write((json.dumps(line, ensure_ascii=False) + "\n").encode())
    elif form == "xlsx":
        _write_excel(file, header, rows)
    elif form == "parquet":
        _write_parquet(file, header, rows)
    else:
        text = io.TextIOWrapper(file, encoding="utf-8-sig" if form == "csv" else "utf-8", newline="")
        writer = csv.writer(text, delimiter="\t" if form == "tsv" else ",")
        writer.writerow(header)
        writer.writerows(rows)
        text.detach()  # flushes, and leaves the file open


def _table(reviews: Reviews, aspects: tuple[str, ...], wide: bool) -> tuple[list[str], Iterator[list[str]]]:
    """The header and the rows: a column for each aspect, or a column ``labels`` with a list of pairs as JSON."""
    names = (*reviews.sentiments, SAID)
    codes = np.where(reviews.mentioned, np.where(reviews.sentiment >= 0, reviews.sentiment, len(names) - 1), -1)
    ids = None if reviews.names is None or "id" in map(plain_name, aspects) else reviews.names

    def rows() -> Iterator[list[str]]:
        for i, (text, row) in enumerate(zip(reviews.texts, codes, strict=True)):
            first = [text] if ids is None else [ids[i], text]
            if wide:
                yield [*first, *("" if code < 0 else names[code] for code in row)]
            else:
                said = [[aspect, names[code]] for aspect, code in zip(aspects, row, strict=True) if code >= 0]
                yield [*first, json.dumps(said, ensure_ascii=False)]

    return ["id"] * (ids is not None) + ["text", *(aspects if wide else ("labels",))], rows()


def _is_plain(aspects: tuple[str, ...]) -> bool:
    """Whether columns with these names are read as aspects, and as nothing else."""
    header = SimpleNamespace(name="", columns=["id", "text", *aspects], header=True, binary=(), layout=None, notes=[])
    layout = layout_of(header, Columns(), [], Values(), Faults())  # no file is read
    found = [name for name in header.columns if layout and name not in layout.others]
    return layout is not None and (layout.name, layout.text) == ("wide", "text") and found == list(aspects)


def _write_excel(file: BinaryIO, header: list[str], rows: Iterable[list[str]]) -> None:
    from openpyxl import Workbook
    from openpyxl.cell import WriteOnlyCell

    book = Workbook(write_only=True)
    sheet = book.create_sheet("reviews")
    for number, row in enumerate(chain([header], rows), 1):
        cells = []
        for text in row:
            if len(text) > CELL:
                raise UserError(
                    f"row {number:,} has a text of {len(text):,} letters, a cell of Excel {CELL:,}; write .csv"
                )
            cell = WriteOnlyCell(sheet, value=escaped(text))
            cell.data_type = "s"  # a text that begins with = is no formula
            cells.append(cell)
        if number > SHEET_ROWS:
            raise UserError(f"a sheet of Excel has {SHEET_ROWS:,} rows at most; write .csv")
        sheet.append(cells)
    book.save(file)


def _write_parquet(file: BinaryIO, header: list[str], rows: Iterator[list[str]]) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    schema = pa.schema([(name, pa.string()) for name in header])
    with parquet.ParquetWriter(file, schema) as writer:
        while chunk := list(islice(rows, ROWS_AT_ONCE)):
            columns = [pa.array([cell or None for cell in column], pa.string()) for column in zip(*chunk, strict=True)]
            writer.write_batch(pa.record_batch(columns, schema=schema))


def escaped(text: str) -> str:
    """A text as Excel writes it: letters that XML lacks as ``_x000D_``."""
    return TO_ESCAPE.sub(lambda match: f"_x{ord(match[0]):04X}_", text)
