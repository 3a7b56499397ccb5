"""The predictor says what training said, needs no torch, and says the same of a text whatever comes with it."""

import json
import subprocess
import sys
import time
import unicodedata
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from src.answers.calibration import Calibration
from src.answers.decisions import Decisions
from src.answers.explanation import Explanation
from src.answers.predictions import read_predictions
from src.answers.predictor import Predictor
from src.cli import main
from src.errors import UserError
from src.labels import Labels
from src.runs.run import Run
from src.ship.bundle import SEEN, read_whole
from src.ship.predictor import OnnxModel, load, load_bundle, over_onnx
from tests.conftest import ROOT

HEAVY = ("torch", "transformers", "lightning", "hydra", "omegaconf", "torchmetrics", "sklearn", "scipy", "onnx")


@pytest.fixture(scope="module")
def predictor(exported) -> Predictor:
    return load_bundle(exported)


@pytest.fixture(scope="module")
def rows(trained) -> list[dict]:
    lines = (trained[0] / "predictions" / "test.jsonl").read_text(encoding="utf-8").rstrip("\n").split("\n")
    return [json.loads(line) for line in lines]


@pytest.fixture(scope="module")
def texts(rows) -> list[str]:
    return [row["text"] for row in rows]


# --- the same as in training ---


def test_the_decisions_are_those_of_training(predictor, rows, texts) -> None:
    said = [{name: a["sentiment"] for name, a in x["aspects"].items()} for x in predictor.predict(texts)]
    assert said == [row["predicted"] for row in rows]
    assert any(said)


def test_the_logits_are_those_of_training(predictor, trained, texts) -> None:
    run = Run(trained[0])
    stored = read_predictions(run.predictions("test"), run.labels)
    mentioned, sentiment = predictor.logits(texts)
    assert mentioned.dtype == sentiment.dtype == np.float32
    np.testing.assert_allclose(mentioned, stored.mentioned_logits, atol=2e-5)
    np.testing.assert_allclose(sentiment, stored.sentiment_logits, atol=2e-5)


def test_a_run_and_its_bundle_answer_alike(predictor, trained, exported, texts) -> None:
    run, bundle = load(trained[0]), load(exported)
    assert isinstance(bundle.model, OnnxModel) and not isinstance(run.model, OnnxModel)
    assert (run.labels, run.task, run.max_length) == (bundle.labels, bundle.task, bundle.max_length)
    for a, b in zip(run.predict(texts), bundle.predict(texts), strict=True):
        assert list(a["aspects"]) == list(b["aspects"])
        for aspect, answer in a["aspects"].items():
            assert answer["sentiment"] == b["aspects"][aspect]["sentiment"]
            assert answer["confidence"] == pytest.approx(b["aspects"][aspect]["confidence"], abs=2e-4)


# --- without torch ---


def test_it_needs_none_of_the_heavy_packages(exported) -> None:
    code = (
        "import sys\n"
        f"sys.modules.update(dict.fromkeys({HEAVY!r}))\n"  # None: importing one of them fails
        "from src.ship.predictor import load\n"
        f"answers = load({str(exported)!r}).predict(['Pin trâu'], all_aspects=True)\n"
        f"assert not [m for m in {HEAVY!r} if sys.modules[m] is not None]\n"
        "print(answers)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "aspects" in done.stdout


def test_it_imports_none_of_the_heavy_packages_where_they_are_installed() -> None:
    code = f"import sys, src.ship.predictor; print([m for m in {HEAVY!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stdout + done.stderr


# --- the same text, the same answer ---


def test_what_comes_along_changes_nothing(predictor, exported, texts) -> None:
    together = predictor.predict(texts, all_aspects=True)
    assert [predictor.predict([text], all_aspects=True)[0] for text in texts] == together
    assert predictor.predict(texts[::-1], all_aspects=True) == together[::-1]
    logits = predictor.logits(texts)
    for threads in (1, 2, 3):
        for mine, theirs in zip(load_bundle(exported, threads).logits(texts), logits, strict=True):
            np.testing.assert_array_equal(mine, theirs)


def test_several_threads_may_predict_at_once(predictor, texts) -> None:
    together = predictor.predict(texts)
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(predictor.predict, [texts] * 16)) == [together] * 16


def test_no_texts_no_answers(predictor) -> None:
    assert predictor.predict([]) == []


# --- texts as they come ---

ODD = [
    "",
    " ",
    "\0",
    "pin\0trâu",
    "😍😍",
    "\u202epin tốt\u202c",
    "</s> <mask> <pad>",
    "\u2028",
    "a" * 5000,
    "tốt " * 3000,
]


@pytest.mark.parametrize("text", ODD, ids=range(len(ODD)))
def test_any_text_is_answered(predictor, text) -> None:
    (answer,) = predictor.predict([text], all_aspects=True)
    assert set(answer["all"]) == set(predictor.labels.aspects)
    assert all(0 <= p <= 1 for row in answer["all"].values() for p in row.values())
    predictor.tokens(text)
    predictor.explain(text[:200])


def test_nfd_and_nfc_get_one_answer(predictor, texts) -> None:
    assert predictor.predict([unicodedata.normalize("NFD", text) for text in texts]) == predictor.predict(texts)


def test_what_holds_no_list_of_texts_is_refused(predictor) -> None:
    """A dict and a DataFrame give their names one by one, and these were answered."""

    class DataFrame(list):
        columns = ("text",)

    for texts in ("Pin", {"a": "Pin"}, {"Pin"}, DataFrame(["text"]), None, 5):
        with pytest.raises(UserError, match="a list of texts"):
            predictor.predict(texts)
    assert len(predictor.predict(("Pin", "Giá"))) == len(predictor.predict(np.array(["Pin", "Giá"]))) == 2


def test_what_is_no_text_is_refused_by_number(predictor) -> None:
    with pytest.raises(UserError) as error:
        predictor.predict(["tốt", "\ud83d", None, "pin \udc00"])
    assert [fault.split(":")[0] for fault in error.value.faults] == ["text 1", "text 2", "text 3"]
    assert "U+DC00, at 4" in error.value.faults[2]


# --- tokens and words ---


def test_tokens_cover_the_text_without_its_spaces(predictor) -> None:
    text = "Pin  trâu, 120Hz 😍"
    spans = predictor.tokens(unicodedata.normalize("NFD", text))
    covered = {i for a, b in spans for i in range(a, b)}
    assert covered >= {i for i, letter in enumerate(text) if letter != " "}
    assert all(not text[a:b].startswith(" ") for a, b in spans)


def test_a_words_weight_is_what_leaving_it_out_costs(predictor, texts) -> None:
    text = next(t for t, answer in zip(texts, predictor.predict(texts), strict=True) if answer["aspects"])
    told = predictor.explain(text)
    assert [told["text"][w["start"] : w["end"]] for w in told["words"]] == text.split()
    aspect, weights = next(iter(told["weights"].items()))
    a, w = predictor.labels.aspects.index(aspect), told["words"][2]
    m, s = predictor.logits([text, text[: w["start"]] + text[w["end"] :]])
    calibration = predictor.decisions.calibration
    sentiment = np.exp(s[:, a] / calibration.sentiment)
    pair = (sentiment / sentiment.sum(-1, keepdims=True))[:, s[0, a].argmax()]
    log = np.log(pair / (1 + np.exp(-m[:, a] / calibration.mentioned)))
    assert weights[2] == pytest.approx(log[0] - log[1], abs=2e-4)
    assert any(weights)


def test_every_word_of_a_long_text_may_weigh(predictor) -> None:
    told = predictor.explain("hôm nay trời đẹp " * 200 + "pin trâu")
    assert len(told["words"]) == 802 and told["windows"] > 1
    assert told["windows"] == predictor.predict([told["text"]])[0]["windows"]


def test_words_out_of_reach_weigh_nothing(predictor) -> None:
    told = predictor.explain("pin trâu " * 20_000)
    assert told["windows"] == 64 and told["cut"] > 0
    assert all(set(weights[-1000:]) == {0.0} for weights in told["weights"].values())


def test_the_work_of_an_explanation_is_bounded(predictor) -> None:
    text = "pin trâu " * 1100
    asked = predictor.explanation(text)
    windows, cut = predictor.windows(text)
    assert asked.texts[: len(windows)] == windows and not cut
    assert len(windows) + 100 < len(asked.texts) <= len(windows) + 256
    assert max(map(len, asked.texts)) < 9 * predictor.max_length
    assert predictor.explanation(" ").texts == [" "]
    assert max(map(len, predictor.explanation("a" * 9000).texts)) < 9000


def test_a_long_text_gets_the_same_answer_from_the_run_and_from_its_bundle(trained, predictor) -> None:
    """From torch and from ONNX."""
    run = load(trained[0], threads=1)
    filler = "hôm đó mình đi dạo quanh hồ rồi ghé quán nước ngồi nói chuyện. "
    long = [filler * n + text for n, text in ((24, "Pin trâu, màn hình đẹp."), (40, "Camera mờ!"), (90, "Giá tốt"))]
    for one, other in zip(run.predict(long, all_aspects=True), predictor.predict(long, all_aspects=True), strict=True):
        assert one["windows"] == other["windows"] > 1
        assert one["aspects"].keys() == other["aspects"].keys()
        for aspect, values in one["all"].items():
            assert values == pytest.approx(other["all"][aspect], abs=1e-3)


def test_words_without_a_token_are_not_asked_about(predictor) -> None:
    """There are never more texts than tokens, whatever stands between them."""
    text = "\u200b " * 300 + "pin tốt" + " \u200b" * 300
    asked = Explanation(text, [(0, 0), (599, 603), (604, 606), (606, 607)], predictor.decisions)
    blank = "\u200b " * 300
    assert asked.texts == [text, blank + " tốt", blank + "pin "]
    mentioned, sentiment = predictor.logits(asked.texts)
    told = asked.answer(mentioned, sentiment)
    assert len(told["words"]) == 602
    for weights in told["weights"].values():
        assert set(weights[:300]) | set(weights[302:]) == {0.0}
    text = "\u200b\x01 " * 3000
    assert len(predictor.explanation(text).texts) <= 64 + 256


@pytest.mark.parametrize(
    "word", ["\x01", "\u200b", "\ufeff", "\u200c", "\u2060", "\u00ad", "\ufe0f", "\u202e", "\u3164"]
)
def test_a_text_is_asked_about_as_often_as_it_has_tokens(predictor, word) -> None:
    for text in (f"{word} " * 3000, f"pin tốt {f'{word} ' * 3000}", f"{f'a{word} ' * 300}tốt", f" {word} ", word):
        asked = predictor.explanation(text)
        tokens = [span for span in predictor.tokens(text) if span[0] < span[1]]
        assert len(asked.texts) <= max(1, len(asked._windows)) + min(len(tokens), 256)


def test_combining_marks_cost_what_other_characters_do(predictor) -> None:
    began = time.perf_counter()
    predictor.explanation("a" + "\u0301\u0323" * 12_000)
    assert time.perf_counter() - began < 1  # several seconds where the time grows with the square


# --- what logits mean ---

LABELS = Labels(("Pin", "Máy", "Khác"), ("Khác",))


def test_an_answer_in_numbers() -> None:
    decisions = Decisions(LABELS, "absa", np.array([0.5, 0.9, 0.2]), Calibration(0.5, 2.0))
    mentioned = np.array([[2.0, 2.0, -1.0]])  # 0.88, 0.88, 0.27 before calibration
    sentiment = np.array([[[0.0, 1.0, 0.0], [3.0, 0.0, 0.0], [0.0, 5.0, 0.0]]])
    (answer,) = decisions.answers(mentioned, sentiment, all_aspects=True)
    p = 1 / (1 + np.exp(-1.0))
    q = np.exp(2) / (np.exp(2) + 2)
    assert list(answer["aspects"]) == ["Pin", "Khác"]
    assert answer["aspects"]["Pin"] == {
        "sentiment": "negative",
        "confidence": round(p * q, 4),
        "mentioned": round(p, 4),
    }
    other = round(1 / (1 + np.exp(0.5)), 4)
    assert answer["aspects"]["Khác"] == {"sentiment": None, "confidence": other, "mentioned": other}
    assert answer["all"]["Máy"]["mentioned"] == round(p, 4)
    assert answer["all"]["Khác"] == {"mentioned": other, "positive": None, "negative": None, "neutral": None}
    json.dumps(answer)


def test_task_sentiment_answers_for_every_aspect_that_carries_one() -> None:
    decisions = Decisions(LABELS, "sentiment", np.full(3, 0.5), Calibration(1.0, None))
    (answer,) = decisions.answers(None, np.zeros((1, 3, 3)), all_aspects=True)
    assert answer["aspects"] == {name: {"sentiment": "positive", "confidence": 0.3333} for name in ("Pin", "Máy")}
    assert "mentioned" not in answer["all"]["Pin"]


# --- loading ---


FILES = ["model.onnx", "tokenizer.json", "README.md", "bundle.json"]


def flipped(exported: Path, folder: Path, name: str, place: float) -> Path:
    """A copy of the bundle with one bit of a file turned round."""
    for file in exported.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    content = bytearray((folder / name).read_bytes())
    content[int(place * (len(content) - 1))] ^= 1
    (folder / name).write_bytes(content)
    return folder


@pytest.mark.parametrize("place", [0.0, 0.3, 0.5, 0.77, 1.0])
@pytest.mark.parametrize("name", FILES)
def test_a_changed_byte_is_not_loaded(exported, tmp_path, name, place) -> None:
    with pytest.raises(UserError) as error:
        load_bundle(flipped(exported, tmp_path, name, place))
    (fault,) = error.value.faults
    assert fault.startswith(f"{tmp_path / name}: ")
    assert fault.endswith("is not the file that was exported (its SHA-256 differs)") or name == "bundle.json"


@pytest.mark.parametrize("command", ["predict", "serve"])
def test_the_commands_say_so_in_one_line(exported, tmp_path, capsys, command) -> None:
    folder = flipped(exported, tmp_path, "bundle.json", 0.5)
    reviews = tmp_path / "reviews.csv"
    reviews.write_text("text\nPin trâu\n", encoding="utf-8")
    rest = [str(reviews), "-o", str(tmp_path / "out.csv")] if command == "predict" else ["--port", "0"]
    with pytest.raises(SystemExit) as stop:
        main([command, str(folder), *rest])
    assert stop.value.code == 2
    told = capsys.readouterr().err
    assert told.startswith(f"error: {folder / 'bundle.json'}: ") and told.count("\n") == 1


def test_what_was_hashed_is_what_is_loaded(exported, monkeypatch) -> None:
    read: list[str] = []
    monkeypatch.setattr(Path, "read_bytes", lambda self: (read.append(self.name), self.open("rb").read())[1])
    monkeypatch.setattr(Path, "read_text", lambda self, **_: pytest.fail(f"{self} is read again"))
    predictor = load_bundle(exported, 1)
    assert sorted(read) == sorted([*FILES, SEEN])
    assert predictor.model.session._model_bytes is None  # half a gigabyte of a large encoder's


def test_weights_in_other_files_are_refused(exported, tmp_path) -> None:
    import onnx

    info, model = read_whole(exported)[0], onnx.load(exported / "model.onnx")
    onnx.save(model, tmp_path / "m.onnx", save_as_external_data=True, location="weights", size_threshold=0)
    with pytest.raises(UserError, match="keeps weights in other files"):
        over_onnx(info, None, (tmp_path / "m.onnx").read_bytes())


def test_the_vocabulary_is_not_copied_for_every_text(exported, monkeypatch) -> None:
    predictor = load_bundle(exported, 1)
    told, tokenizer = predictor.predict(["pin trâu"]), predictor._tokenizer

    class Watched:
        encode_batch_fast, truncation = tokenizer.encode_batch_fast, tokenizer.truncation  # and nothing else

    monkeypatch.setattr(predictor, "_tokenizer", Watched())
    assert predictor.predict(["pin trâu"]) == told


def test_what_is_neither_bundle_nor_run_is_refused(tmp_path) -> None:
    with pytest.raises(UserError, match="neither a bundle"):
        load(tmp_path)
