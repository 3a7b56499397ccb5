"""The report: its figures are those of the summary and of scikit-learn; its files, policy, mistakes and curves."""

import ast
import csv
import html
import inspect
import json
import re
import shutil
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from sklearn.metrics import (
    average_precision_score,
    confusion_matrix,
    f1_score,
    precision_recall_curve,
    precision_score,
    recall_score,
)

from src.answers.calibration import Calibration
from src.answers.explanation import shades
from src.answers.figures import FIGURES, JOINT, told_left_out
from src.answers.predictions import Predictions, read_predictions, sigmoid, write_predictions
from src.answers.table import harmless
from src.data.findings import TOLD, notes_on
from src.data.joined import joined_hash
from src.data.reviews import FILE
from src.errors import NoRoom, UserError
from src.judge import evaluation, judgement, leaks, page, report, words
from src.judge.html import TEMPLATES, pieces, printable
from src.judge.inference import load_run
from src.judge.languages import told, vietnamese
from src.judge.leaks import leak_sentence
from src.judge.mistakes import INVENTED, KINDS, MISSED, WRONG, find_mistakes, taking_turns
from src.judge.noise import NOISES
from src.judge.page import average_precision, learning_curves, precision_recall, thinned
from src.judge.protocols import PROTOCOLS
from src.judge.relabel import suspect_cells, write_suspect_rows
from src.judge.report import SUSPECTS_FILE, json_block, write_report
from src.judge.suspects import rank_suspects
from src.judge.where import Location, places_of
from src.labels import IGNORE, SENTIMENTS, Labels
from src.runs.machine import sha256
from src.runs.run import Run
from src.ship import shares, shares_page
from tests.judging import LABELS, change_summary, make_run, predicted

HOSTILE = '<script>alert(1)</script> "><img src=x onerror=alert(2)> </script><!-- {{ 7 * 7 }} \u202e😍 ' + "ư" * 300


@pytest.fixture(scope="session")
def reported(trained, tmp_path_factory) -> tuple[Run, str]:
    """The report of a copy of the run, so that other tests find the run as training left it."""
    run = Run(shutil.copytree(trained[0], tmp_path_factory.mktemp("reported") / "run"))
    return run, write_report(run.folder).read_text(encoding="utf-8")


def figure_cells(text: str) -> dict[str, list[float | None]]:
    """figure -> the numbers of its row in the first table: model, low, high, the other answers."""
    text = in_language(text, "en")
    table = text[text.index("All reviews (") :].split("</table>")[0]
    rows = re.findall(r'<tr data-figure="(\w+)">(.*?)</tr>', table, re.S)
    cells = {name: re.findall(r'<data value="([^"]+)">([^<]+)</data>', row) for name, row in rows}
    for numbers in cells.values():
        assert all(f"{float(exact):.{len(shown.split('.')[1])}f}" == shown for exact, shown in numbers)
    return {name: [float(exact) for exact, _ in numbers] for name, numbers in cells.items()}


def in_language(text: str, language: str) -> str:
    """The page without what the style hides in a language, and without its scripts and style."""
    other = {"en": "vi", "vi": "en"}[language]
    text = re.sub(r"<(script|style).*?</\1>", "", text, flags=re.S)
    text = re.sub(rf'<span class="{other}">(?:(?!</?span).|<span class=\w\d>.*?</span>)*</span>', "", text, flags=re.S)
    return re.sub(
        r'<span class="(?:en|vi)">((?:(?!</?span).|<span class=\w\d>.*?</span>)*)</span>', r"\1", text, flags=re.S
    )


def error_block(text: str) -> dict:
    return json.loads(re.search(r'id="error-data">(.*?)</script>', text, re.S).group(1))


def test_the_figures_are_those_of_the_summary(reported) -> None:
    run, text = reported
    summary = run.read_summary()
    cells = figure_cells(text)
    assert {name: cells[name][0] for name in summary["figures"]["test"]} == summary["figures"]["test"]
    for row in summary["per_aspect"]["test"]:
        shown = re.search(rf'<tr data-aspect="{row["aspect"]}">(.*?)</tr>', text, re.S).group(1)
        for key in ("precision", "recall", "f1", "pair_f1", "sentiment_f1", "sentiment_accuracy"):
            value = re.search(rf'data-key="{key}"><data value="([^"]+)"', shown).group(1)
            assert float(value) == row[key], (row["aspect"], key)


def test_the_figures_are_those_of_scikit_learn(reported) -> None:
    run, text = reported
    labels, p = run.labels, read_predictions(run.predictions("test"), run.labels)
    found = sigmoid(p.mentioned_logits) > np.array(run.read_summary()["thresholds"]["per_aspect"])
    cells = {name: numbers[0] for name, numbers in figure_cells(text).items()}
    assert cells["aspect_f1_micro"] == pytest.approx(f1_score(p.mentioned, found, average="micro", zero_division=0))
    assert cells["aspect_f1_macro"] == pytest.approx(f1_score(p.mentioned, found, average="macro", zero_division=0))
    known = p.sentiment != IGNORE
    gold, said = p.sentiment[known], p.sentiment_said()[known]
    assert cells["sentiment_f1"] == pytest.approx(f1_score(gold, said, average="macro", zero_division=0))
    assert cells["sentiment_accuracy"] == pytest.approx((gold == said).mean())
    each = []
    for a, aspect in enumerate(labels.aspects):
        mine, its = p.sentiment[known[:, a], a], p.sentiment_said()[known[:, a], a]
        each.append(f1_score(mine, its, labels=sorted(set(mine)), average="macro", zero_division=0))
        row = re.search(rf'<tr data-aspect="{aspect}">(.*?)</tr>', text, re.S).group(1)
        for key, score in (("precision", precision_score), ("recall", recall_score), ("f1", f1_score)):
            value = float(re.search(rf'data-key="{key}"><data value="([^"]+)"', row).group(1))
            assert value == pytest.approx(score(p.mentioned[:, a], found[:, a], zero_division=0)), (aspect, key)
    assert cells["sentiment_f1_per_aspect"] == pytest.approx(np.mean(each))
    assert cells["neutral_f1"] == pytest.approx(f1_score(gold == 2, said == 2, zero_division=0))
    hot = [(x[..., None] == np.arange(3)) for x in (p.sentiment, p.sentiment_said())]
    pairs = hot[0].reshape(len(found), -1), (hot[1] & found[..., None]).reshape(len(found), -1)
    assert cells["pair_f1"] == pytest.approx(f1_score(*pairs, average="micro", zero_division=0))
    text = in_language(text, "en")
    matrix = text[text.index("All aspects") :].split("</table>")[0]
    shown = [int(n) for n in re.findall(r'<td class="s\d+"><data value="(\d+)"', matrix)]
    assert shown == confusion_matrix(gold, said, labels=[0, 1, 2]).ravel().tolist()
    for a, aspect in enumerate(labels.aspects):
        caption = text[text.index(f"<figcaption><strong>{aspect}</strong>") :]
        value = float(re.search(r'average precision <data value="([^"]+)"', caption).group(1))
        assert value == pytest.approx(average_precision_score(p.mentioned[:, a], p.mentioned_logits[:, a]))


def test_noise_and_parts_of_the_reviews_are_shown(reported) -> None:
    run, text = reported
    section = text[text.index('<section id="robustness"') : text.index('<section id="aspects"')]
    assert re.findall(r'data-noise="([^"]+)"', section) == list(NOISES)
    sizes = [int(n) for n in re.findall(r'data-part="\d+ aspects?(?: and more)?">.*?<data value="(\d+)"', section)]
    assert sum(sizes) == len(read_predictions(run.predictions("test"), run.labels).texts)
    plain = re.search(r'data-noise="without diacritics">.*?</tr>', section, re.S).group(0)
    assert "May dep, pin trau" in plain
    clean, noisy = (float(re.search(r'model"><data value="([^"]+)"', row).group(1)) for row in (section, plain))
    assert noisy < clean


def test_what_cannot_answer_is_not_judged_in_noise(tmp_path) -> None:
    english, _ = report_of(tmp_path)
    assert "Not judged in noise: " in english and "data-noise" not in english and "data-part" in english


def test_the_page_is_whole_and_strict(reported) -> None:
    run, text = reported
    assert text.startswith("<!DOCTYPE html>") and text.rstrip().endswith("</html>")
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', text).group(1)
    assert html.unescape(policy).startswith("default-src 'none'; style-src 'sha256-") and "unsafe" not in policy
    outside = re.sub(r'<script type="application/json".*?</script>', "", text, flags=re.S)
    assert not re.search(r"""\b(src|href)=["'](?!#)|@import|url\(|\bstyle=|\bon\w+=""", outside)
    assert not re.search(
        r"\bNaN\b|\bUnknown\b|\bundefined\b|\bNone\b(?!:)", re.sub(r"<script.*?</script>", "", outside, flags=re.S)
    )
    assert len(text.encode()) < 2_000_000
    assert sorted(f.name for f in run.folder.iterdir() if f.name.startswith(".")) == [".hydra", ".lock"]


def test_the_errors_are_those_that_the_figures_count(reported) -> None:
    run, text = reported
    rows, data = run.read_summary()["per_aspect"]["test"], error_block(text)
    kinds = np.bincount([error["k"] for error in data["errors"]], minlength=3)
    hits = [round(row["recall"] * row["mentioned"]) for row in rows]
    assert kinds[0] == sum(row["mentioned"] - hit for row, hit in zip(rows, hits, strict=True))
    assert kinds[1] == sum(row["predicted"] - hit for row, hit in zip(rows, hits, strict=True))
    texts = dict(
        zip(*[vars(read_predictions(run.predictions("test"), run.labels))[k] for k in ("ids", "texts")], strict=True)
    )
    assert all("".join(review["w"]) == texts[review["id"]] for review in data["reviews"])
    explained = [error for error in data["errors"] if "x" in error]
    assert len(explained) > 50 and all(len(e["x"]) == len(data["reviews"][e["r"]]["w"]) for e in explained)


@pytest.mark.parametrize("task", ["absa", "sentiment"])
def test_a_run_without_checkpoint_metrics_texts_or_test_split_is_reported(tmp_path, task) -> None:
    folder = make_run(tmp_path / "run", task=task)
    change_summary(folder, figures={"val": {}})
    (tmp_path / "data" / "train.csv").unlink()
    text = write_report(folder).read_text(encoding="utf-8")
    for words_of_it in (
        "No tf-idf baseline",
        "these figures flatter the model",
        "No word is coloured",
        "no metrics.csv",
    ):
        assert words_of_it in text
    assert ("Is the aspect mentioned?" in text) == (task == "absa")
    assert {error["k"] for error in error_block(text)["errors"]} == ({0, 1, 2} if task == "absa" else {2})


def test_a_folder_that_is_no_run_is_a_users_mistake(tmp_path) -> None:
    with pytest.raises(UserError, match="no finished run"):
        write_report(tmp_path)


def test_hostile_texts_stay_text(tmp_path) -> None:
    folder = make_run(tmp_path / "run")
    file = folder / "predictions" / "test.jsonl"
    rows = [json.loads(line) | {"text": HOSTILE, "id": "<b>&"} for line in file.read_text().splitlines()]
    file.write_text("\n".join(map(json.dumps, rows)) + "\n")
    text = write_report(folder).read_text(encoding="utf-8")
    assert "<script>alert" not in text and "<img" not in text and "<b>" not in text
    assert "".join(error_block(text)["reviews"][0]["w"]) == HOSTILE


def test_data_in_a_script_element_cannot_end_it() -> None:
    data = {"a": "</script><!--<script>&\u2028\u2029"}
    block = json_block(data)
    assert not set("<>&\u2028\u2029") & set(block)
    assert json.loads(block) == data
    assert printable("a\0b\x1b\ud800\n") == "a\ufffdb\ufffd?\n"


@pytest.mark.parametrize("cell", ["=1+1", "+84", "-5", "@x", "\t=1", "\r=1", " =1", "＝1", "\u200b=HYPERLINK()"])
def test_no_cell_is_a_formula(cell) -> None:
    assert harmless(cell) == f"'{cell}"
    assert harmless("tốt = 5") == "tốt = 5"


def test_suspects_are_written_for_a_spreadsheet(tmp_path) -> None:
    p, labels = predicted("test"), Labels(("=cmd", "+Camera", "Price", "OTHERS"), ("OTHERS",))
    p.texts = ['=HYPERLINK("http://x")', *p.texts[1:]]
    p.mentioned_logits[:3] = np.where(p.mentioned[:3], -20, 20)
    suspects = rank_suspects(p, labels, Calibration())
    cells = [suspect_cells(s, labels, Location("=x.csv"), p.ids[s.review], p.texts[s.review]) for s in suspects]
    write_suspect_rows(tmp_path / SUSPECTS_FILE, cells)
    raw = (tmp_path / SUSPECTS_FILE).read_bytes()
    assert raw.startswith(b"\xef\xbb\xbf") and b"\r\n" in raw
    with (tmp_path / SUSPECTS_FILE).open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(suspects) >= 12
    assert not any(cell.startswith(("=", "+", "-", "@")) for row in rows for cell in row.values())
    assert [(r["kind"], float(r["confidence"])) for r in rows] == [(s.kind, round(s.confidence, 4)) for s in suspects]


def test_mistakes_by_hand() -> None:
    labels = Labels(("Battery", "OTHERS"), ("OTHERS",))
    p = Predictions(
        ["a", "b", "c"],
        ["", "", ""],
        np.array([[True, False], [True, True], [False, False]]),
        np.array([[0, IGNORE], [1, IGNORE], [IGNORE, IGNORE]]),
        np.array([[[0.0, 2.0, 0.0], [0, 0, 9]], [[0, 9, 0], [9, 0, 0]], [[0, 0, 3], [0, 0, 0]]], float),
        np.array([[3.0, -3.0], [-2.0, 4.0], [1.0, 2.0]]),
    )
    calibration = Calibration(sentiment=2.0, mentioned=0.5)
    found = find_mistakes(p, labels, calibration, np.full(2, 0.5))
    assert [(m.row, m.aspect, m.kind, m.gold, m.said) for m in found] == [
        (1, 0, MISSED, "negative", "not mentioned"),
        (2, 1, INVENTED, "not mentioned", "mentioned"),
        (2, 0, INVENTED, "not mentioned", "neutral"),
        (0, 0, WRONG, "positive", "negative"),
    ]
    expected = [1 - sigmoid(np.array(-4.0)), sigmoid(np.array(4.0)), sigmoid(np.array(2.0)), np.e / (np.e + 2)]
    assert [m.confidence for m in found] == pytest.approx(expected)
    assert [m.gold_confidence for m in found] == pytest.approx(
        [1 - expected[0], 1 - expected[1], 1 - expected[2], 1 / (np.e + 2)]
    )
    assert set(KINDS) == {m.kind for m in found} and SENTIMENTS[0] == "positive"


def test_every_aspect_and_kind_has_its_turn() -> None:
    mistakes = find_mistakes(predicted("test"), LABELS, Calibration(), np.full(4, 0.5))
    first = [mistakes[i] for i in taking_turns(mistakes)]
    groups = {(m.aspect, m.kind) for m in mistakes}
    assert {(m.aspect, m.kind) for m in first[: len(groups)]} == groups
    assert sorted(taking_turns(mistakes)) == list(range(len(mistakes)))


@pytest.mark.parametrize("seed", range(5))
def test_curves_are_those_of_scikit_learn(seed) -> None:
    rng = np.random.default_rng(seed)
    scores, gold = np.round(rng.normal(size=300), 1), rng.random(300) < 0.2
    precision, recall = precision_recall(scores, gold)
    expected = precision_recall_curve(gold, scores)
    assert np.allclose(precision[::-1], expected[0][:-1]) and np.allclose(recall[::-1], expected[1][:-1])
    assert average_precision(precision, recall) == pytest.approx(average_precision_score(gold, scores))
    few = thinned(*precision_recall(rng.normal(size=5000), rng.random(5000) < 0.2))
    assert len(few[0]) <= 120 and few[1][-1] == 1


def test_learning_curves_join_what_was_resumed(tmp_path) -> None:
    (tmp_path / "metrics.1.csv").write_text("epoch,step,train/loss,val/loss\n0,9,,0.9\n0,9,0.8,\n1,19,,nan\n")
    (tmp_path / "metrics.csv").write_text("epoch,step,train/loss,val/loss\n1,19,0.6,\n1,19,,0.7\n2,29,,0.5\n")
    found = learning_curves(tmp_path)
    assert found["series"] == {"train/loss": {1: 0.8, 2: 0.6}, "val/loss": {1: 0.9, 2: 0.7, 3: 0.5}}
    assert found["resumed"] == [2]
    (tmp_path / "metrics.csv").write_text("epoch,step,train/loss,val/loss\n0,9,0.3,\n")
    assert learning_curves(tmp_path) == {"series": {"train/loss": {1: 0.3}}, "resumed": []}, "begun anew"
    assert learning_curves(tmp_path / "none")["series"] == {}


@pytest.mark.parametrize("text", ["", " ", "a", " a  b\nc ", "😍" * 3, "x" * 300 + " y", "a\u200fb \u202e c"])
def test_pieces_are_the_text(text) -> None:
    assert "".join(pieces(text)) == text
    assert len(pieces(text)) == max(1, len(text.split()))


def test_the_page_holds_no_more_errors_than_it_has_room_for(monkeypatch) -> None:
    p = predicted("test")
    mistakes = find_mistakes(p, LABELS, Calibration(), np.full(4, 0.5))
    places = [Location()] * len(p.texts)
    assert page.fitting(mistakes, p, places) == mistakes
    monkeypatch.setattr(page, "SHOWN_BYTES", 5000)
    kept = page.fitting(mistakes, p, places)
    assert 0 < len(kept) < len(mistakes)
    assert len(str(json_block(page.error_data(kept, p, LABELS, places, {}, ()))).encode()) < 6000


def test_shades_are_relative_to_the_strongest_word() -> None:
    assert shades(np.array([0.5, -1.0, 0.0, 0.1])) == [2, -4, 0, 0]
    assert shades(np.zeros(2)) == [0, 0] and shades(np.zeros(0)) == []
    assert shades(np.array([0.01, 0.05])) == [0, 2], "what hardly matters is not strong"


def test_the_words_have_the_colours_that_the_service_gives_them(reported) -> None:
    run, text = reported
    data, predictor = error_block(text), load_run(run.folder)
    invented = [e for e in data["errors"] if "x" in e and data["kinds"][e["k"]] == INVENTED][:5]
    assert invented
    for error in invented:
        asked = predictor.explanation("".join(data["reviews"][error["r"]]["w"]))
        assert error["x"] == asked.answer(*predictor.logits(asked.texts))["shades"][data["aspects"][error["a"]]]


def test_it_is_written_whole(tmp_path, monkeypatch) -> None:
    folder = make_run(tmp_path / "run")
    monkeypatch.setattr("src.runs.machine.replace", lambda *_: (_ for _ in ()).throw(OSError("full")))
    with pytest.raises(NoRoom, match=r"report.html: cannot be written \(full\)"):
        write_report(folder)
    assert not list(folder.glob(".*tmp")) and not (folder / "report.html").exists()


def report_of(tmp_path, quality: float = 1.5, **change) -> tuple[str, str]:
    """The report of a made-up run, in English and in Vietnamese."""
    folder = make_run(tmp_path / "run", quality)
    (tmp_path / "data" / "train.csv").unlink()  # no tf-idf: seconds
    if change:
        change_summary(folder, **change)
    text = write_report(folder).read_text(encoding="utf-8")
    return in_language(text, "en"), in_language(text, "vi")


def verdict(text: str) -> list[str]:
    part = re.search(r'<ul class="verdict".*?</ul>', text, re.S).group(0)
    return [html.unescape(re.sub("<.*?>", "", one)) for one in re.findall(r"<li>(.*?)</li>", part, re.S)]


def test_every_text_has_both_languages() -> None:
    known, holes = vietnamese(), re.compile(r"\{\w+\}")
    judge = TEMPLATES.parent
    sources = [*TEMPLATES.glob("*.html.j2"), *TEMPLATES.glob("*.js"), *judge.glob("*.py"), Path(shares_page.__file__)]
    calls = re.compile(r'\b(?:_|say|t)\(\s*((?:"[^"]*"\s*)+)')  # a literal, or several that Python joins
    said_in = [found for file in sources for found in calls.findall(file.read_text(encoding="utf-8"))]
    used = {"".join(re.findall(r'"([^"]*)"', literals)) for literals in said_in}
    used |= {*words.FIGURE_NAMES.values(), *words.FIGURE_WORDS.values(), *words.ANSWER_WORDS.values(), words.MICRO_F1}
    used |= {*words.ANSWER_WORDS, *words.TASKS.values(), *words.SPLITS.values(), *KINDS, *SENTIMENTS, *TOLD.values()}
    parts = ("{a} to {b} words", "{a} aspect", "{a} aspects", "{a} aspects and more", "{a} star", "{a} stars")
    used |= {*NOISES, *parts, "with diacritics", "without diacritics", "as they are"}
    assert used - known.keys() - {"...", "{text}"} == set()
    for english, said in known.items():
        assert sorted(holes.findall(english)) == sorted(holes.findall(said)), english


class Few:
    """A split of 4,000 reviews, most of which mention nothing; its second aspect has sentiments by mistake."""

    mention_counts, silent = np.array([0, 1000]), range(3000)
    class_counts = np.array([[0, 1000, 0], [0, 0, 500]])

    def __len__(self) -> int:
        return 4000


def sentences_made_elsewhere() -> set[str]:
    """The sentences that pages take from other modules: called for, or read from the source with x in each hole."""
    found = {*told_left_out({figure: ["Pin", "GENERAL"] for figure in (*FIGURES["absa"], *JOINT)})}
    found |= {leak_sentence(n, 2224).removeprefix("WARNING: ") for n in (1, 5, 1500)}
    found |= {*TOLD.values()}
    found |= {f"{p.words[0].upper()}{p.words[1:]}." for p in PROTOCOLS.values()}
    found |= {
        words.other_encoder({"encoder": e}) for e in ({"pretrained": False}, {"pretrained": True, "name": "mini"})
    }
    found |= {words.alpha_rows({"loss": loss})[0] for loss in ({"a": 1}, {"alpha": None})}
    found |= {*notes_on(Labels(("Pin", "OTHERS"), ("OTHERS",)), {"train": Few()})}
    for module in (evaluation, judgement, leaks, report, shares):
        tree = ast.parse(inspect.getsource(module))
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.Module) and ast.get_docstring(node):
                node.body = node.body[1:]
        ours = ast.walk(WithoutErrors().visit(tree))
        made = {as_said(node, module) for node in ours if isinstance(node, ast.JoinedStr | ast.Constant)}
        found |= {text for text in made if re.match(r"[A-Z][a-z]+ \S+ \S", text) and text != leaks.UNKNOWN}
    return found - {"None of x x texts was trained on."}  # which pages leave out


class WithoutErrors(ast.NodeTransformer):
    """Leaves out what is raised, and the parts of an f-string, which are no sentences."""

    def visit_Raise(self, node: ast.Raise) -> None:
        return None

    def visit_JoinedStr(self, node: ast.JoinedStr) -> ast.JoinedStr:
        node.parts, node.values = node.values, []
        return node


def as_said(node: ast.JoinedStr | ast.Constant, module: ModuleType) -> str:
    """The text of a literal; in a hole stands a constant of the module, else x."""
    if isinstance(node, ast.Constant):
        return str(node.value)
    names = [getattr(getattr(part, "value", None), "id", "") for part in node.parts]
    holes = [str(getattr(module, name)) if name.isupper() else "x" for name in names]
    return "".join(p.value if isinstance(p, ast.Constant) else h for p, h in zip(node.parts, holes, strict=True))


def test_every_sentence_made_elsewhere_has_vietnamese() -> None:
    sentences = sentences_made_elsewhere()
    assert len(sentences) > 25
    assert {sentence for sentence in sentences if told(sentence).vi is None} == set()


def test_numbers_in_vietnamese_have_its_comma_and_its_dots() -> None:
    said = told(leak_sentence(1500, 48_224).removeprefix("WARNING: "))
    assert "1,500 of these 48,224 texts were trained on (3.1 %)" in said.en
    assert "1.500 trên 48.224 văn bản này đã dùng để huấn luyện (3,1 %)" in said.vi
    assert told("model never mentions v1.2").vi.endswith("v1.2"), "a name stays"


def test_no_english_is_left_in_the_vietnamese_report(tmp_path) -> None:
    _, text = report_of(tmp_path)
    body = text[text.index("<body") :]
    attributes = re.findall(r'data-vi="([^"]*)"', body)
    for hidden in (r"<code>.*?</code>", r"<pre>.*?</pre>", r'<i lang="en">.*?</i>', r'<p class="text".*?</p>'):
        body = re.sub(hidden, " ", body, flags=re.S)
    body = re.sub(r"<(\w+)[^>]*data-vi=[^>]*>[^<]*</\1>", " ", body)  # its text is in the attribute
    body = re.sub(r'<dd>[^<]*</dd>|<span class="term">.*?</span>|lang="en">English<', " ", body)
    left = html.unescape(" ".join([*attributes, re.sub("<[^>]*>", " ", body)]))
    left = re.sub(r"\S+\.(?:ckpt|csv|jsonl?|npy)\b", " ", left)  # names of files
    found = {w for w in re.findall(r"[^\W\d_]+", left) if COMMON.fullmatch(w)}
    assert found == set()
    assert 'class="untold"' not in text  # a sentence without Vietnamese


COMMON = re.compile(  # words that no Vietnamese text and no name of this run has
    "the|of|and|is|are|was|were|not|with|without|reviews?|aspects?|sentiment|labels?|labelled|model|errors?|figures?|"
    "share|right|wrong|missed|invented|threshold|interval|best|others?|mentioned|positive|negative|neutral|detected|"
    "recall|precision|confidence|epoch|loss|training|validation|before|after|all"
)


@pytest.mark.parametrize(
    ("quality", "first", "third"),
    [(6.0, "It does well", "it is better"), (0.2, "It does little well yet", "it is not better")],
)
def test_five_sentences_say_what_the_figures_say(tmp_path, quality, first, third) -> None:
    english, vietnamese_text = report_of(tmp_path, quality)
    said, cung = verdict(english), verdict(vietnamese_text)
    assert len(said) == len(cung) == 5 and all(a != b for a, b in zip(said, cung, strict=True))
    assert said[0].startswith(first) and third in said[2] and "120 reviews of the test split" in said[3]
    assert said[4].startswith("Next: ") and cung[4].startswith("Tiếp theo: ")
    value = float(re.search(r"pair_f1 ([\d.]+) against", said[2]).group(1))
    assert value == pytest.approx(figure_cells(english)["pair_f1"][0], abs=0.0005)
    assert f"{value:.3f}".replace(".", ",") in cung[2]


def test_too_few_reviews_are_called_too_few(tmp_path) -> None:
    folder = make_run(tmp_path / "run", 6.0)
    file = folder / "predictions" / "test.jsonl"
    file.write_text("".join(file.read_text(encoding="utf-8").splitlines(True)[:12]), encoding="utf-8")
    (tmp_path / "data" / "train.csv").unlink()
    said = verdict(in_language(write_report(folder).read_text(encoding="utf-8"), "en"))
    assert "too few to rely on" in said[3] and "label more reviews to judge by" in said[4]


def test_a_confidence_is_rounded_once(tmp_path) -> None:
    p = predicted("test")
    logits = np.full_like(p.mentioned_logits, 20.0) * (2 * p.mentioned - 1)
    logits[0] = np.where(p.mentioned[0], -np.log(0.99949 / (1 - 0.99949)), logits[0])  # 99.9 %, but 0.9995
    p = replace(p, mentioned_logits=logits)
    listed = next(m for m in find_mistakes(p, LABELS, Calibration(), np.full(4, 0.5)) if m.row == 0)
    row = page.suspect(next(s for s in rank_suspects(p, LABELS, Calibration()) if s.review == 0), p, LABELS, Location())
    block = page.error_data([listed], p, LABELS, [Location()] * len(p.texts), {}, ())["errors"][0]
    assert row["confidence"] == block["c"] == 0.9995
    assert f"{100 * row['confidence']:.2f}" == "99.95"


def test_reviews_are_named_by_what_their_file_has(tmp_path) -> None:
    """The row that a spreadsheet shows, of a file that is as it was; else its line, in the file of a split of several."""
    p = predicted("test")
    p = replace(p, ids=[f"r{i}" for i in range(len(p.texts))], lines=list(range(2, 2 + 2 * len(p.texts), 2)))
    file = tmp_path / "test.csv"
    file.write_text("id,text\n" + "".join(f'{name},"two\nlines"\n' for name in p.ids), encoding="utf-8")
    facts = {"path": str(file), "sha256": sha256(file)}
    summary = {"data": {"splits": {"test": facts}}, "config": {"data": {"test": str(file)}}}
    places = places_of(summary, "test", p)
    assert places == [Location("test.csv", 2 + i, 2 + 2 * i) for i in range(len(p.texts))]
    m = find_mistakes(p, LABELS, Calibration(), np.full(4, 0.5))[0]
    assert page.error_data([m], p, LABELS, places, {}, ())["reviews"][0]["row"] == 2 + m.row
    assert places[0].told("2") == {} and places[0].told("r1") == {"row": 2}
    assert places_of(summary, "test", replace(p, lines=None)) == [Location()] * len(p.texts)

    two = {"path": f"{file}, {file}", "sha256": joined_hash([sha256(file)] * 2)}
    summary = {"data": {"splits": {"test": two}}, "config": {"data": {"test": ["test.csv"] * 2, "dir": str(tmp_path)}}}
    assert places_of(summary, "test", replace(p, lines=[4, FILE + 6])) == [
        Location("test.csv", 3, 4),
        Location("test.csv", 4, 6),
    ]
    file.write_text("another", encoding="utf-8")
    (place,) = places_of(summary, "test", replace(p, lines=[FILE + 6]))
    assert place == Location("test.csv", None, 6) and place.told("r1") == {"line": 6}

    write_predictions(tmp_path / "p.jsonl", p, LABELS)
    assert read_predictions(tmp_path / "p.jsonl", LABELS).lines == p.lines
