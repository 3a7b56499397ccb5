"""What Label Studio imports: tasks with predictions (https://labelstud.io/guide/predictions), and its configuration.

:mod:`src.data.layouts.label_studio` reads what comes back.
"""

import json
import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, BinaryIO
from xml.etree import ElementTree

from ..errors import CONTROLS, UserError, listed, quoted
from ..labels import Labels
from .layouts.label_studio import NOTE, TEXT_KEY
from .layouts.names import ID_COLUMNS, IGNORED_COLUMNS, MORE_IDS, TITLES, TOOL_COLUMNS
from .rows import TEXT_COLUMNS, plain_name
from .values import SAID

NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
# aspect: its sentiment, None where it carries none, and how sure that is, None if nobody says
Pressed = Mapping[str, tuple[str | None, float | None]]


def label_config(labels: Labels, also_mentioned: Collection[str] = ()) -> str:
    """The labelling configuration (XML) of a project for these labels.

    Each aspect has its own buttons, one for each sentiment; none pressed is "not mentioned". Aspects without
    sentiments, and those in ``also_mentioned``, have one for "mentioned". Raises UserError as :func:`check_names`.
    """
    check_names(labels)
    view = ElementTree.Element("View")
    text = _object(labels)
    ElementTree.SubElement(view, "Text", name=text, value=f"${TEXT_KEY}")
    for aspect, carries in zip(labels.aspects, labels.carries_sentiment, strict=True):
        ElementTree.SubElement(view, "Header", value=aspect, size="5")
        to = {"name": aspect, "toName": text, "choice": "single", "showInLine": "true"}
        choices = ElementTree.SubElement(view, "Choices", to)
        for sentiment in (*labels.sentiments * carries, *[SAID] * (not carries or aspect in also_mentioned)):
            ElementTree.SubElement(choices, "Choice", value=sentiment)
    ElementTree.indent(view)
    xml = ElementTree.tostring(view, encoding="unicode")
    return CONTROLS.sub(lambda found: f"&#{ord(found[0])};", xml)  # a terminal would act on it


def check_names(labels: Labels) -> None:
    """Raise UserError for names with which a project of Label Studio would not give back the labels."""
    faults = [
        f"{quoted(name)} has a character that XML does not allow, so Label Studio takes no such name"
        for name in (*labels.aspects, *labels.sentiments)
        if NOT_XML.search(name)
    ]
    faults += [
        f"the sentiment {quoted(name)}: an export of Label Studio would be read as an aspect and a sentiment; "
        "without # it is one"
        for name in labels.sentiments
        if "#" in name
    ]
    faults += ["an aspect has no name"] * ("" in labels.aspects)
    alike = Counter(name.casefold() for name in labels.aspects)
    twins = [name for name in labels.aspects if alike[name.casefold()] > 1]
    faults += [f"the aspects {listed(twins)} differ in case only; write them alike"] * bool(twins)
    if faults:
        raise UserError(faults)


def prediction(labels: Labels, said: Pressed, score: float, model: str) -> dict[str, Any]:
    """A prediction of a task: what is ``said`` of each aspect that is mentioned, by what is called ``model``.

    ``score`` 0..1 is that of the whole; Label Studio sorts by it.
    """
    text = _object(labels)
    results = [
        {
            "id": f"{number}",
            "from_name": aspect,
            "to_name": text,
            "type": "choices",
            "value": {"choices": [sentiment or SAID]},
            **({} if p is None else {"score": round(p, 4)}),
        }
        for number, (aspect, (sentiment, p)) in enumerate(said.items(), 1)
    ]
    return {"model_version": model, "score": round(score, 6), "result": results}


def task(
    text: str, predictions: Sequence[Mapping[str, Any]], meta: Mapping[str, Any], note: str = ""
) -> dict[str, Any]:
    """A task. ``meta`` comes back in the JSON export; ``note`` is shown in the list of tasks."""
    data = {TEXT_KEY: text} | ({NOTE: note} if note else {})
    return {"data": data, "predictions": list(predictions), "meta": dict(meta)}


def write_tasks(out: BinaryIO, tasks: Iterable[Mapping[str, Any]]) -> None:
    """Write tasks as Label Studio imports them: a JSON array, a task a line. Raises ValueError for a NaN."""
    before = "[\n"
    for each in tasks:
        out.write((before + json.dumps(each, ensure_ascii=False, allow_nan=False)).encode())
        before = ",\n"
    out.write(b"[]\n" if before == "[\n" else b"\n]\n")


def told_names(labels: Labels) -> str:
    """A warning of aspects whose answers the smaller export, JSON_MIN, would mix up with columns of its own; or ""."""
    own = {*TEXT_COLUMNS, *ID_COLUMNS, *IGNORED_COLUMNS, *MORE_IDS, *TITLES, *TOOL_COLUMNS}
    mixed = [aspect for aspect in labels.aspects if plain_name(aspect) in own]
    if not mixed:
        return ""
    return f"export as JSON, not JSON-MIN or CSV: these have columns of their own called {listed(mixed)}"


def _object(labels: Labels) -> str:
    """The name of the text in the configuration, where every name stands once."""
    name, taken = TEXT_KEY, frozenset(labels.aspects)
    while name in taken:
        name += "_"
    return name
