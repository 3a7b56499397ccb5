"""The answers as tasks of Label Studio, the least certain first, or those alone whose labels would teach most."""

import json
from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from ...data.layouts.names import ID_COLUMNS, MORE_IDS
from ...data.nfc import composed
from ...data.rows import plain_name
from ...data.tasks import prediction, task, write_tasks
from ...labels import Labels

LABEL_STUDIO = "label-studio"  # the format's name


class Asked(NamedTuple):
    """What tasks are made with: the model's labels, what it is called, the column of texts, and how many at most."""

    labels: Labels
    model: str
    column: str
    budget: int | None


def write_asked(out: BinaryIO, partial: Path, asked: Asked) -> None:
    """Write the rows of a partial file, whose answers have ``all``, as tasks.

    Memory: 16 bytes a row, and a megabyte for each 25 tasks of the budget.
    """
    from ...answers.teaching import BETA, certainty, surest_last  # brings numpy, which --help does without

    with partial.open("rb") as file:
        sure, places = array("d"), array("q")
        place = 0
        for line in file:
            sure.append(certainty(json.loads(line)[2]))
            places.append(place)
            place += len(line)
        order = surest_last(sure)
        if asked.budget is not None:
            order = _teaching(file, places, order, BETA * asked.budget, asked)
        write_tasks(out, _tasks(file, [(places[i], sure[i]) for i in order], asked))


def _teaching(file: BinaryIO, places: "array[int]", order: list[int], most: int, asked: Asked) -> list[int]:
    """The rows that are chosen among the first ``most`` of the ``order`` whose texts differ, in this order."""
    from ...answers.teaching import choose_answered

    pool: dict[str, tuple[int, dict[str, Any]]] = {}  # text -> its first row, and the answer
    for i in order:
        _, cells, answer = _read(file, places[i])
        pool.setdefault(composed(cells[asked.column]).strip(), (i, answer))
        if len(pool) == most:
            break
    rows = [i for i, _ in pool.values()]
    assert asked.budget is not None
    if len(rows) <= asked.budget:
        return rows
    answered = [(text, answer) for text, (_, answer) in pool.items()]
    return [rows[at] for at in sorted(choose_answered(answered, asked.budget))]


def _tasks(file: BinaryIO, rows: list[tuple[int, float]], asked: Asked) -> Iterator[dict[str, Any]]:
    for place, sure in rows:
        line, cells, answer = _read(file, place)
        said = {aspect: (one["sentiment"], one["confidence"]) for aspect, one in answer["aspects"].items()}
        names = {plain_name(name): cell for name, cell in cells.items()}
        named = [names[name] for name in (*ID_COLUMNS, *MORE_IDS) if names.get(name) not in (None, "")]
        row = {name: cell for name, cell in cells.items() if name != asked.column}
        meta = ({"id": named[0]} if named else {}) | {"line": line} | ({"row": row} if row else {})
        score = sure ** (1 / len(asked.labels.aspects))  # of an aspect, on average: the products are all small
        yield task(cells[asked.column], [prediction(asked.labels, said, score, asked.model)], meta)


def _read(file: BinaryIO, place: int) -> tuple[int, dict[str, Any], dict[str, Any]]:
    file.seek(place)
    line, cells, answer = json.loads(file.readline())
    return line, cells, answer
