"""Tasks and configuration for Label Studio, and that what is annotated there is read as it was meant."""

import io
import json
import re
import string
from contextlib import suppress
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from src.cli import main
from src.data.reviews import read_reviews
from src.data.rows import clean_name
from src.data.tasks import label_config, prediction, task, told_names, write_tasks
from src.errors import UserError
from src.labels import IGNORE, Labels
from tests.annotating import export, export_min, predicted

LABELS = Labels(("Pin", "Màn hình", "SER&ACC", "ROOMS#CLEAN", "OTHERS"), ("OTHERS",))


def is_accepted(xml: str) -> dict[str, list[str]]:
    """What Label Studio checks of a configuration (label_config.py, its schema); control -> its choices."""
    view = ElementTree.fromstring(xml)
    assert view.tag == "View" and view.find("Text").get("value") == "$text"
    cleaned = ElementTree.tostring(view, encoding="unicode")
    names = re.findall(r'name="([^"]*)"', cleaned)
    assert len(set(names)) == len(names)
    found = {}
    for choices in view.iter("Choices"):
        assert choices.get("toName") == view.find("Text").get("name") and choices.get("name")
        assert all(choice.get("value") for choice in choices) and len(choices)
        found[choices.get("name")] = [choice.get("value") for choice in choices]
    return found


def test_the_configuration_has_buttons_for_what_each_aspect_can_have() -> None:
    three = ["positive", "negative", "neutral"]
    assert is_accepted(label_config(LABELS)) == {
        **dict.fromkeys(LABELS.aspects[:4], three),
        "OTHERS": ["mentioned"],
    }
    also = is_accepted(label_config(Labels(("text", 'a"<b>', "c\u200ed")), ["text"]))
    assert also == {"text": [*three, "mentioned"], 'a"<b>': three, "c\u200ed": three}
    assert "\u200e" not in label_config(Labels(("c\u200ed",)))


def test_names_that_would_not_come_back_are_refused() -> None:
    with pytest.raises(UserError) as told:
        label_config(Labels(("a\0b",), sentiments=("good", "so#so")))
    assert len(told.value.faults) == 2 and "XML" in told.value.faults[0] and "so#so" in told.value.faults[1]
    with pytest.raises(UserError) as told:
        label_config(Labels(("Pin", "", "PIN")))
    assert len(told.value.faults) == 2 and "no name" in told.value.faults[0] and "Pin, PIN" in told.value.faults[1]
    assert told_names(LABELS) == "" and "Title" in told_names(Labels(("Title", "Pin")))


def gold(labels: Labels, rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
    mentioned = rng.random((n, len(labels.aspects))) < 0.4
    said = np.where(mentioned, rng.integers(0, len(labels.sentiments), mentioned.shape), IGNORE)
    said[:, ~np.array(labels.carries_sentiment)] = IGNORE
    return mentioned, said


def made(labels: Labels, texts: list[str], seed: int) -> tuple[list[dict], np.ndarray, np.ndarray]:
    """Tasks whose predictions are these labels."""
    mentioned, said = gold(labels, np.random.default_rng(seed), len(texts))
    tasks = []
    for i, text in enumerate(texts):
        answer = {
            labels.aspects[a]: (None if said[i, a] == IGNORE else labels.sentiments[said[i, a]], 0.7)
            for a in np.flatnonzero(mentioned[i])
        }
        tasks.append(task(text, [prediction(labels, answer, 0.5, "m")], {"id": f"r{i}", "line": i}))
    out = io.BytesIO()
    write_tasks(out, tasks)
    return json.loads(out.getvalue()), mentioned, said


def holds(path, labels: Labels, texts: list[str], mentioned: np.ndarray, said: np.ndarray, ids: bool) -> None:
    reviews, aspects = read_reviews(path, aspects=labels.aspects, sentiments=labels.sentiments)
    assert aspects == tuple(map(clean_name, labels.aspects)) and list(reviews.texts) == texts
    assert np.array_equal(reviews.mentioned, mentioned) and np.array_equal(reviews.sentiment, said)
    if ids:
        assert list(reviews.ids) == [f"r{i}" for i in range(len(texts))]


NAME = st.text(string.ascii_letters + "ăêộ &#.-_'\"<>/(){}[]0", min_size=2, max_size=12).map(
    lambda name: f"K{' '.join(name.split())}z"  # no name that means a column, a sentiment or nothing at all
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(names=st.lists(NAME, min_size=1, max_size=5, unique_by=clean_name), seed=st.integers(0, 99), four=st.booleans())
def test_tasks_annotated_with_their_own_predictions_read_back_to_them(tmp_path, names, seed, four) -> None:
    aspects = tuple(map(clean_name, names))
    if len({a.casefold() for a in aspects}) < len(aspects):
        return
    sentiments = ("positive", "negative", "neutral", *["very good/bad"] * four)
    labels = Labels(aspects, aspects[1:2] if len(aspects) > 2 else (), sentiments)
    texts = [f'bài "số" {i}\npin {"tốt" if i % 2 else "tệ"} 😍' for i in range(9)]
    tasks, mentioned, said = made(labels, texts, seed)
    if not mentioned.any():
        return
    is_accepted(label_config(labels))
    pressed = [predicted(t) for t in tasks]
    holds(export(tmp_path / "e.json", tasks, pressed), labels, texts, mentioned, said, ids=True)
    holds(export_min(tmp_path / "m.json", tasks, pressed), labels, texts, mentioned, said, ids=False)


def test_tasks_that_nobody_annotated_are_left_out_and_counted(tmp_path) -> None:
    texts = [f"bài số {i}" for i in range(6)]
    tasks, *_ = made(LABELS, texts, 3)
    pressed = [{"Pin": "positive"}, {}, None, {"Pin": "negative"}, None, {"OTHERS": "mentioned"}]
    reviews, _ = read_reviews(export(tmp_path / "e.json", tasks, pressed, skip=[3]))
    assert list(reviews.texts) == [texts[i] for i in (0, 1, 5)] and len(reviews.without_label) == 3
    assert list(reviews.silent) == [1]  # annotated: it mentions nothing
    small, _ = read_reviews(export_min(tmp_path / "m.json", tasks, pressed))
    assert list(small.texts) == [texts[i] for i in (0, 1, 3, 5)] and len(small.without_label) == 2


def result(kind: str, value: dict, name: str = "Pin", id_: str = "") -> dict:
    return {"id": id_ or name, "from_name": name, "to_name": "text", "type": kind, "value": value}


def annotated(path, results: list[list], data: dict | None = None, **marked) -> dict[str, str]:
    """The labels of a task with these annotations, beside another task, as they are read: aspect -> sentiment."""
    said = [{"result": each, "was_cancelled": False, "ground_truth": False} for each in results]
    said[-1] |= marked
    other = [{"result": [result("choices", {"choices": ["negative"]})]}]
    tasks = [{"data": data or {"text": "pin tốt"}, "annotations": said}, {"data": {"text": "x"}, "annotations": other}]
    path.write_text(json.dumps(tasks), encoding="utf-8")
    reviews, aspects = read_reviews(path)
    assert reviews.texts[0] == "pin tốt"
    said = [(aspects[a], reviews.sentiment[0, a]) for a in np.flatnonzero(reviews.mentioned[0])]
    return {aspect: "mentioned" if code == IGNORE else reviews.sentiments[code] for aspect, code in said}


GOOD, BAD = (result("choices", {"choices": [word]}) for word in ("positive", "negative"))
SPAN = {"start": 0, "end": 3, "text": "pin"}


@pytest.mark.parametrize(
    ("results", "said"),
    [
        ([result("taxonomy", {"taxonomy": [["Pin", "positive"], ["Giá", "negative"]]}, "t")], ["positive", "negative"]),
        ([result("hypertextlabels", {**SPAN, "hypertextlabels": ["Pin#positive"]}, "l")], ["positive"]),
        ([result("choices", {"choices": "positive"})], ["positive"]),
        (
            [  # a span with an aspect, and its sentiment
                *(result("labels", {**SPAN, "labels": [a]}, "l", i) for i, a in enumerate(("Pin", "Giá"), 1)),
                *(
                    result("choices", {**SPAN, "choices": [s]}, "s", i)
                    for i, s in enumerate(("positive", "negative"), 1)
                ),
            ],
            ["positive", "negative"],
        ),
        (
            [GOOD, result("textarea", {"text": ["vì thế"]}, "why"), result("rating", {"rating": 2}, "hard")],
            ["positive"],
        ),
        ([result("textarea", {"text": ["vì thế"]}, "why")], []),
    ],
    ids=["taxonomy", "hypertext", "one choice", "regions", "beside comments", "a comment alone"],
)
def test_other_controls_are_read(tmp_path, results, said) -> None:
    assert annotated(tmp_path / "e.json", [results]) == dict(zip(("Pin", "Giá"), said, strict=False))


def test_an_annotation_that_cannot_be_read_does_not_count_as_mentioning_nothing(tmp_path) -> None:
    with pytest.raises(UserError, match="rating alone"):
        annotated(tmp_path / "e.json", [[result("rating", {"rating": 4})]])


@pytest.mark.parametrize("odd", [5, "x", [], {"a": 1}, None, [[5]], [None]])
def test_an_odd_result_is_no_traceback(tmp_path, odd) -> None:
    for results in (odd, [result("taxonomy", {"taxonomy": odd})], [result("labels", {"labels": odd}, id_=odd)]):
        with suppress(UserError):
            annotated(tmp_path / "e.json", [results])


def test_several_annotations_of_a_task_must_agree(tmp_path) -> None:
    path = tmp_path / "e.json"
    assert annotated(path, [[GOOD], [GOOD]]) == {"Pin": "positive"}
    assert annotated(path, [[BAD], [GOOD]], ground_truth=True) == {"Pin": "positive"}
    assert annotated(path, [[GOOD], [BAD]], was_cancelled=True) == {"Pin": "positive"}
    for results in ([[GOOD], [BAD]], [[GOOD], [GOOD], []]):
        with pytest.raises(UserError, match=r"annotations that differ; .* ground truth"):
            annotated(path, results)


@pytest.mark.parametrize("end", ["json", "csv"])
def test_several_annotations_of_a_task_in_a_table_must_agree(tmp_path, end) -> None:
    tool = {"annotator": 1, "annotation_id": 5, "lead_time": 2.0}
    rows = [{"text": text, "id": id_, "Pin": said, **tool} for text, id_, said in (("a", 1, "positive"), ("b", 2, ""))]
    path = tmp_path / f"m.{end}"
    for more, reviews in ((rows[0] | {"annotator": 2}, 2), (rows[0] | {"Pin": "negative"}, 0), (rows[1], 2)):
        table = [*rows, more]
        lines = [",".join(rows[0]), *(",".join(map(str, row.values())) for row in table)]
        path.write_text(json.dumps(table) if end == "json" else "\n".join(lines), encoding="utf-8")
        if reviews:
            assert len(read_reviews(path)[0]) == reviews
        else:
            with pytest.raises(UserError, match="annotations of one task differ"):
                read_reviews(path)


def test_the_text_of_a_task_is_found_by_its_name(tmp_path) -> None:
    path = tmp_path / "e.json"
    for data in ({"review": "pin tốt", "sku": "s1"}, {"what": "pin tốt", "stars": 5}):
        assert annotated(path, [[GOOD]], data) == {"Pin": "positive"}
    with pytest.raises(UserError, match="which of what, sku is the task's text"):
        annotated(path, [[GOOD]], {"what": "pin tốt", "sku": "s1"})


@pytest.mark.parametrize("name", ["tasks.json", "export.json"])
def test_a_file_without_any_annotation_says_so(tmp_path, name, capsys) -> None:
    tasks, *_ = made(LABELS, ["một", "hai"], 3)
    path = tmp_path / name
    if name == "tasks.json":
        with path.open("wb") as file:
            write_tasks(file, tasks)
    else:
        export(path, tasks, [None, None])
    with pytest.raises(UserError, match="none of the 2 tasks is annotated"):
        read_reviews(path)


def test_a_note_is_no_aspect(tmp_path) -> None:
    tasks = [
        task(f"bài {i}", [prediction(LABELS, {"Pin": ("positive", None)}, 0.5, "m")], {}, "Pin: ?") for i in (1, 2)
    ]
    pressed = [{"Pin": "positive"}, {"Pin": "negative"}]
    for path in (export(tmp_path / "e.json", tasks, pressed), export_min(tmp_path / "m.json", tasks, pressed)):
        assert read_reviews(path)[1] == ("Pin",)


def test_label_config_of_a_model_a_file_and_names(exported, trained, tmp_path, capsys) -> None:
    found = []
    for words in ([exported], [trained[0]], [tmp_path / "a.csv"], ["--aspects", "Pin", "Giá"]):
        (tmp_path / "a.csv").write_text("text,Pin,Giá\nmột,positive,mentioned\nhai,,negative\n", encoding="utf-8")
        main(["label-config", *map(str, words)])
        found.append(is_accepted(capsys.readouterr().out))
    three = ["positive", "negative", "neutral"]
    assert found[0] == found[1] and found[0]["Battery"] == three and found[0]["Others"] == three
    assert found[2:] == [{"Pin": three, "Giá": [*three, "mentioned"]}, {"Pin": three, "Giá": three}]
    for words in ([], [str(exported), "--aspects", "Pin"], ["--aspects", "Pin", "Pin"], [str(tmp_path)]):
        with pytest.raises(SystemExit) as end:
            main(["label-config", *words])
        assert end.value.code == 2 and capsys.readouterr().err.startswith("error: ")


def test_the_configuration_costs_as_much_for_each_aspect_however_many_there_are(monkeypatch) -> None:
    """The name of the text was sought among all aspects for every aspect: 20,000 took eight seconds."""
    sought: list[int] = []
    monkeypatch.setattr("src.data.tasks._object", lambda labels: sought.append(len(labels.aspects)) or "text")
    label_config(Labels(tuple(f"a{i}" for i in range(500))))
    assert sought == [500]
