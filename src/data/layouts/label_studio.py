"""Label Studio's exports (https://labelstud.io/guide/export): JSON, JSON_MIN and CSV.

In JSON a task is ``{"data": {"text": ...}, "annotations": [{"result": [...]}]}``, and a result holds choices (the
control's name is the aspect) or spans with labels. JSON_MIN and CSV are wide tables, a column for each control, beside
the columns of the tool. A task without an annotation, or whose annotator skipped it, is not labelled: that is not a
review that mentions nothing. :mod:`src.data.tasks` writes the tasks.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ..rows import Place, Row, Source

OF_A_TASK = {"annotations", "predictions"}  # one of them stands beside its data
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
    if len(kept) > 1:
        fault = f"the task has {len(kept)} annotations; export one of each task, or mark one as ground truth"
        return Row(row.line, fault=fault)
    labels: list[list[Any]] = []
    for result in kept[0].get("result") or () if kept else ():
        if isinstance(result, dict) and isinstance(value := result.get("value"), dict):
            labels += _said(result, value)
    texts = [value for value in data.values() if isinstance(value, str)]
    text = data.get("text", texts[0] if len(texts) == 1 else None)
    name = meta.get("id") if isinstance(meta, dict) else None  # of the file that the task was made from
    name = cells.get("id") if name is None else name
    return Row(row.line, {"id": name, "text": text, "labels": labels if kept else None})


def _said(result: Mapping[str, Any], value: Mapping[str, Any]) -> list[list[Any]]:
    name = str(result.get("from_name", ""))
    if isinstance(choices := value.get("choices"), list):
        whole = all(isinstance(choice, str) and "#" in choice for choice in choices)
        return [[choice] for choice in choices] if whole else [[name, choices]]
    if isinstance(labels := value.get("labels"), list):
        return [[label] for label in labels]
    return []


def chosen(cell: object) -> object:
    """A cell of JSON_MIN: several choices of one control are ``{"choices": [...]}``."""
    return cell["choices"] if isinstance(cell, dict) and set(cell) == {"choices"} else cell
