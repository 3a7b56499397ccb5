"""Label Studio's exports (https://labelstud.io/guide/export): JSON, JSON_MIN and CSV.

In JSON a task is ``{"data": {"text": ...}, "annotations": [{"result": [...]}]}``, and a result holds choices (the
control's name is the aspect) or spans with labels. JSON_MIN and CSV are wide tables, a column for each control, beside
the columns of the tool. A task without an annotation, or whose annotator skipped it, is not labelled: that is not a
review that mentions nothing. :mod:`src.data.tasks` writes the tasks.
"""

import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

from ...errors import kind_of, listed, quoted
from ..rows import Place, Row, Source, text_candidates

OF_A_TASK = {"annotations", "predictions"}  # one of them stands beside its data
OF_REGIONS = ("labels", "hypertextlabels", "paragraphlabels")
READ_KEYS = {"choices", "taxonomy", "text", *OF_REGIONS}  # keys of results' values; texts are comments
DIFFER = "annotations of one task differ; keep one row of each task, or export as JSON and mark one as ground truth"
TEXT_KEY = "text"  # the key of the text in a task's data
NOTE = "note"  # what the data of a task may hold beside the text: words for the annotator
OF_THE_TABLE = ("annotator", "annotation_id", "lead_time", "created_at", "updated_at")  # of the tool, in its tables


def is_table(columns: Sequence[str]) -> bool:
    """Whether columns are those of JSON_MIN or CSV."""
    return sum(name in columns for name in OF_THE_TABLE) >= 3


def is_export(columns: Sequence[str]) -> bool:
    """Whether the keys of rows are those of a task."""
    return "data" in columns and not OF_A_TASK.isdisjoint(columns)


def is_annotated(row: Mapping[str, Any]) -> bool:
    """Whether somebody has annotated a row of JSON_MIN or CSV, or one of :func:`flat`."""
    return row["labels"] is not None if "labels" in row else row.get("annotation_id", 0) not in (None, "")


def flat(source: Source) -> Source:
    """The source with a row ``id``, ``text``, ``labels`` for each task; labels are None where it is not annotated."""
    return _Tasks(source)


class _Tasks:
    header = False
    layout: str | None = "label-studio"

    def __init__(self, tasks: Source) -> None:
        self._tasks = tasks
        self.name, self.binary, self.size, self.notes = tasks.name, tasks.binary, tasks.size, tasks.notes
        self.columns = ["id", "text", "labels"]

    @property
    def place(self) -> Place:
        return self._tasks.place

    def seek(self, place: Place) -> None:
        self._tasks.seek(place)

    def rows(self) -> Iterator[Row]:
        for row in self._tasks.rows():
            yield row if row.fault else _flat(row)


def _flat(row: Row) -> Row:
    cells = row.cells
    data, annotations, meta = cells.get("data"), cells.get("annotations", []), cells.get("meta")
    if not isinstance(data, dict) or not isinstance(annotations, list):
        return Row(row.line, fault='no task of Label Studio: "data" and "annotations" are expected')
    kept = [each for each in annotations if isinstance(each, dict) and not each.get("was_cancelled")]
    if len(kept) > 1:
        kept = [each for each in kept if each.get("ground_truth")] or kept
    try:
        said = [_labels(each.get("result") or []) for each in kept]
        text = _text(data)
    except ValueError as error:
        return Row(row.line, fault=str(error))
    if any(sorted(map(str, labels)) != sorted(map(str, said[0])) for labels in said[1:]):
        fault = (
            f"the task has {len(kept)} annotations that differ; export one of each task, or mark one as ground truth"
        )
        return Row(row.line, fault=fault)
    name = meta.get("id") if isinstance(meta, dict) else None  # of the file that the task was made from
    name = cells.get("id") if name is None else name
    return Row(row.line, {"id": name, "text": text, "labels": said[0] if said else None})


def _text(data: Mapping[str, Any]) -> object:
    """The text of a task: what has a usual name for texts, else the only text. Raises ValueError."""
    if TEXT_KEY in data:
        return data[TEXT_KEY]
    texts = text_candidates(data) or [name for name, value in data.items() if isinstance(value, str)]
    if len(texts) > 1 and not text_candidates(data):
        raise ValueError(f"which of {listed(texts)} is the task's text? Call it {quoted(TEXT_KEY)}")
    return data[texts[0]] if texts else None


def _labels(results: Any) -> list[list[Any]]:
    """The labels of an annotation, as :mod:`src.data.layouts.lists` reads them. Raises ValueError if it can read none.

    Choices for a region have the region's id: they are the sentiments of its labels.
    """
    if not isinstance(results, list):
        raise ValueError(f"the results of an annotation are a list, this is {kind_of(results)}")
    read = [(each, each["value"]) for each in results if isinstance(each, dict) and isinstance(each.get("value"), dict)]
    regions = {str(each.get("id")) for each, value in read if _of_region(value)}
    said = {
        str(each.get("id")): choices
        for each, value in read
        if (choices := _choices(value)) and str(each.get("id")) in regions
    }
    labels: list[list[Any]] = []
    for each, value in read:
        key, choices = str(each.get("id")), _choices(value)
        labels += [[name, said[key]] if key in said else [name] for name in _of_region(value)]
        paths = value.get("taxonomy")
        labels += [
            path for path in (paths if isinstance(paths, list) else []) if path
        ]  # a path, such as ["Pin", "positive"]
        if choices and key not in said:
            whole = all(isinstance(choice, str) and "#" in choice for choice in choices)
            labels += [[choice] for choice in choices] if whole else [[str(each.get("from_name", "")), choices]]
    unread = sorted({str(each.get("type")) for each, value in read if value.keys().isdisjoint(READ_KEYS)})
    if unread and not labels:
        raise ValueError(
            f"the annotation holds {listed(unread)} alone; choices, labels of spans and taxonomies are read"
        )
    return labels


def _choices(value: Mapping[str, Any]) -> list[Any]:
    choices = value.get("choices") or []
    return choices if isinstance(choices, list) else [choices]


def _of_region(value: Mapping[str, Any]) -> list[Any]:
    return next((value[key] for key in OF_REGIONS if isinstance(value.get(key), list)), [])


def chosen(cell: object) -> object:
    """A cell of JSON_MIN or CSV: several choices of one control are ``{"choices": [...]}``, in CSV as a text.

    Raises ValueError for what :func:`once` has marked.
    """
    if cell is DIFFER:
        raise ValueError(DIFFER)
    if isinstance(cell, str) and cell.startswith(("{", "[")):
        with suppress(ValueError, RecursionError):
            cell = json.loads(cell)
    return cell["choices"] if isinstance(cell, dict) and set(cell) == {"choices"} else cell


def each_choice(cell: object) -> list[object]:
    """What was chosen in a cell, as of the regions of a review, which are a list."""
    found = chosen(cell)
    return found if isinstance(found, list) else [found]


def once(
    rows: Iterable[tuple[int, dict[str, Any]]], name: str | None, others: Collection[str]
) -> Iterator[tuple[int, Any]]:
    """The rows of JSON_MIN or CSV, without those that say of a task what an earlier one does.

    A task has a row for each annotation, with its id in the column ``name``; ``others`` are no labels. A row that says
    something else than the first of its task is marked: a label is :data:`DIFFER`.
    """
    first: dict[str, dict[str, Any]] = {}
    for line, cells in rows:
        said = {aspect: cell for aspect, cell in cells.items() if aspect not in others and cell not in ("", None)}
        key = None if name is None else cells.get(name)
        before = said if key in ("", None) else first.setdefault(str(key), said)
        if before is said:
            yield line, cells
        elif before != said:
            yield line, {**cells, next(iter({**before, **said})): DIFFER}
