"""The demo page in a real browser: both languages, phone and keyboard, CSV in and out, hostile texts as text."""

import csv
import io
import shutil

import pytest

from src.answers.predictor import Predictor
from src.answers.table import Table
from src.ship.predictor import load_bundle
from tests.serving import Held, running, wait_for
from tests.test_judge_browser import ARGUMENTS

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
CHROMIUM = shutil.which("chromium")
if CHROMIUM is None:
    pytest.skip("there is no chromium", allow_module_level=True)

HOSTILE = (
    "<img src=x onerror=alert(1)> </span><script>alert(2)</script> \"'><b>pin trâu</b> \u202ekém\u202c </textarea>"
)
ROWS = [
    ["id", "comment", "stars"],
    ["1", 'Pin "trâu",\nmàn hình đẹp', "4"],
    ["2", "", "1"],
    ["3", "=HYPERLINK(1)", "+3"],
    ["4", HOSTILE, ""],
    ["5", "x" * 10_001, "@a"],
    ["6", "- giao nhanh", "-1.5"],
]


@pytest.fixture(scope="module")
def predictor(exported) -> Predictor:
    return load_bundle(exported)


@pytest.fixture(scope="module")
def held(predictor) -> Held:
    return Held(predictor)


@pytest.fixture(scope="module")
def service(held):
    with running(held, queue=600) as started:
        yield started


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as api:
        opened = api.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield opened
        opened.close()


@pytest.fixture
def page(browser, service):
    """The page, in English. Whatever the console says, and any request to elsewhere, fails the test."""
    context = browser.new_context(viewport={"width": 1280, "height": 900}, locale="en-US")
    opened = context.new_page()
    said: list[str] = []
    origin = f"http://127.0.0.1:{service.port}/"
    opened.on("console", lambda message: said.append(message.text))
    opened.on("pageerror", lambda error: said.append(str(error)))
    opened.on("dialog", lambda dialog: (said.append("dialog"), dialog.dismiss()))
    opened.on(
        "request", lambda r: None if r.url.startswith((origin, "data:", "blob:" + origin)) else said.append(r.url)
    )
    opened.goto(origin)
    wait_for(lambda: opened.locator("#about").text_content())
    opened.said = said
    yield opened
    context.close()
    assert said == []


def mentioning(predictor: Predictor) -> str:
    """A text of which the tiny model says something."""
    texts = ["Pin trâu", "Máy đẹp, giao hàng nhanh", "Camera kém, pin tụt nhanh", "Shop tệ", "Giá rẻ, máy mượt", "ok"]
    return next(t for t, a in zip(texts, predictor.predict(texts), strict=True) if len(a["aspects"]) > 1)


def analyse(page, text: str) -> None:
    page.fill("#text", text)
    page.click("#send")
    page.wait_for_selector("#result:not([hidden])")


def upload(page, rows: list[list[str]], name: str = "reviews.csv", encoding: str = "utf-8-sig") -> None:
    page.click("#tab-file")
    out = io.StringIO(newline="")
    csv.writer(out).writerows(rows)
    page.set_input_files("#file", {"name": name, "mimeType": "text/csv", "buffer": out.getvalue().encode(encoding)})
    page.wait_for_selector("#chosen:not([hidden])")  # the page reads the file beside us


def downloaded(page) -> list[list[str]]:
    with page.expect_download() as waiting:
        page.click("#download")
    assert waiting.value.suggested_filename == "reviews.answers.csv"
    raw = waiting.value.path().read_bytes()
    assert raw.startswith(b"\xef\xbb\xbf")
    return list(csv.reader(io.StringIO(raw.decode("utf-8-sig"), newline="")))


# --- one review ---


def test_a_review_gets_its_chips_and_words(page, predictor) -> None:
    text = mentioning(predictor)
    analyse(page, text)
    page.wait_for_selector("#words span")
    answer, told = predictor.predict([text])[0]["aspects"], predictor.explain(text)
    chips = page.locator(".chip")
    assert [chip.get_attribute("data-aspect") for chip in chips.all()] == list(answer)
    for chip, said in zip(chips.all(), answer.values(), strict=True):
        words = chip.inner_text()
        assert said["sentiment"] in words and f"{round(100 * said['confidence'])}%" in words
        assert chip.locator(".sign").inner_text() in "+−=" and said["sentiment"] in chip.get_attribute("class")
    assert page.locator("#words").inner_text() == text
    for i, aspect in enumerate(answer):
        chips.nth(i).hover()
        colours = [f"s{n}" if n > 0 else "against" if n < -1 else "" for n in told["shades"][aspect]]
        assert [span.get_attribute("class") or "" for span in page.locator("#words span").all()] == colours
    assert "ms" in page.locator("#timing").inner_text()
    assert "aspects found" in page.locator("#spoken").text_content()


def test_examples_answer_on_a_click(page) -> None:
    buttons = page.locator("#examples button")
    assert buttons.count() == 4
    for button in buttons.all():
        button.click()
        page.wait_for_selector("#result:not([hidden])")
        assert page.input_value("#text")


def test_hostile_texts_show_as_text(page) -> None:
    analyse(page, HOSTILE + " Pin trâu Camera kém")
    wait_for(lambda: page.locator("#nothing").is_visible() or page.locator("#words").text_content())
    assert page.locator("img, #words script, #words b, #chips script").count() == 0
    if page.locator(".chip").count():
        assert page.locator("#words").text_content() == HOSTILE + " Pin trâu Camera kém"


def test_offsets_are_right_behind_emoji_and_in_nfd(page, predictor) -> None:
    import unicodedata

    text = unicodedata.normalize("NFD", "😍👍 " + mentioning(predictor))
    analyse(page, text)
    if predictor.predict([text])[0]["aspects"]:
        page.wait_for_selector("#words span")
        assert page.locator("#words span").all_inner_texts() == unicodedata.normalize("NFC", text).split()


def test_mistakes_are_told(page) -> None:
    page.click("#send")
    assert page.locator("#text-error").inner_text() == "Please write or paste a review first."
    page.fill("#text", "a" * 10_001)
    page.click("#send")
    assert page.locator("#text-error").inner_text() == "The review has 10,001 characters; 10,000 are the limit."
    page.get_by_role("button", name="Tiếng Việt").click()
    assert page.locator("#text-error").inner_text().startswith("Bài có 10.001 ký tự")
    page.fill("#text", " ")
    page.click("#send")
    assert page.locator("#text-error").inner_text() == "Vui lòng nhập hoặc dán một bài đánh giá."
    page.fill("#text", "tốt")
    page.click("#send")
    page.wait_for_selector("#result:not([hidden])")
    assert page.locator("#text-error").is_hidden()


@pytest.mark.parametrize("text", ["", "a" * 10_001])
def test_no_old_answer_stays_beside_a_message(page, predictor, text) -> None:
    analyse(page, mentioning(predictor))
    page.fill("#text", text)
    page.click("#send")
    assert page.locator("#text-error").is_visible() and page.locator("#result").is_hidden()


def test_a_busy_service_is_told(page, service) -> None:
    service.service.stopping = True
    page.fill("#text", "tốt")
    page.click("#send")
    page.wait_for_selector("#text-error:not([hidden])")
    service.service.stopping = False
    assert page.locator("#text-error").inner_text() == "The service is busy. Please try again in 5 s."
    assert [text for text in page.said if "503" not in text] == []  # the browser notes the status itself
    page.said.clear()


# --- languages, keyboard, screens ---


def test_both_languages_and_the_choice_is_kept(page, browser, service) -> None:
    everything = page.evaluate(
        "Object.keys(WORDS.en).filter((k) => !(k in WORDS.vi)).concat(Object.keys(WORDS.vi).filter((k) => !(k in WORDS.en)))"
    )
    assert everything == []
    assert page.get_attribute("html", "lang") == "en" and page.title() == "What a review says"
    page.get_by_role("button", name="Tiếng Việt").click()
    assert page.get_attribute("html", "lang") == "vi" and page.title() == "Bài đánh giá nói gì?"
    assert page.locator("#send").inner_text() == "Phân tích"
    page.reload()
    assert page.get_attribute("html", "lang") == "vi"
    assert page.get_attribute("[data-language=vi]", "aria-pressed") == "true"
    context = browser.new_context(locale="vi-VN")
    fresh = context.new_page()
    fresh.goto(f"http://127.0.0.1:{service.port}/")
    assert fresh.get_attribute("html", "lang") == "vi"
    context.close()


def test_what_a_screen_reader_says_follows_the_language(page, predictor) -> None:
    """Names and announcements too, also those that were made before the switch; none is read as Vietnamese wrongly."""
    analyse(page, mentioning(predictor))
    page.wait_for_selector("#words span")
    upload(page, ROWS)
    page.click("#start")
    page.wait_for_selector("#summary:not([hidden])")
    heard = """() => [...document.querySelectorAll("[aria-label], [role=status], [role=alert], [data-t], #told-head, #rate")]
      .filter((e) => !e.closest(".languages button")).map((e) => [e.id || e.dataset.label || e.dataset.t || e.dataset.aspect,
      e.getAttribute("aria-label") || e.textContent, e.closest("[lang]").lang])"""
    english = page.evaluate(heard)
    page.click("[data-language=vi]")
    vietnamese = page.evaluate(heard)
    assert {lang for *_, lang in english} == {"en"} and {lang for *_, lang in vietnamese} == {"vi"}
    same = [name for (name, a, _), (_, b, _) in zip(english, vietnamese, strict=True) if a == b and a]
    assert same == []
    assert page.locator("#file-spoken").text_content() == "Xong: 4 bài đánh giá."
    assert page.locator("#spoken").text_content().startswith("Tìm thấy")
    assert page.get_attribute("#words", "lang") == "vi"  # a review is Vietnamese, whatever the page speaks


def test_vietnamese_wordings(page, predictor) -> None:
    page.click("[data-language=vi]")
    analyse(page, mentioning(predictor))
    page.wait_for_selector("#words span")
    assert "độ tin cậy" in page.locator(".chip .word").first.inner_text()
    assert page.locator("#told-head").inner_text().startswith("Những từ dẫn đến kết quả “")
    assert "củng cố kết quả" in page.locator("#legend").inner_text()
    upload(page, [["review"], *([f"pin trâu {i}"] for i in range(1200))])
    page.click("#start")
    page.wait_for_selector("#summary:not([hidden])")
    page.evaluate("work.seconds = 1200 / 1096; showProgress()")
    assert page.locator("#rate").inner_text() == "Đã xử lý 1.200/1.200 dòng (1.096 dòng/giây)"
    assert not [said for said in page.evaluate("Object.values(WORDS.vi)") if "dịch vụ" in said.lower()]


def test_ten_sentiments_look_different(page) -> None:
    names = [f"kind {i}" for i in range(9)] + ["negative"]
    told = page.evaluate(
        """(names) => {
          facts = { ...facts, aspects: ["Battery"], sentiments: names };
          const aspects = Object.fromEntries(names.map((name) => [name, { sentiment: name, confidence: 0.5 }]));
          result = { answer: { aspects }, told: null, all: 1, inside: 1, chosen: names[0], text: "a" };
          showResult();
          return [...document.querySelectorAll(".chip")].map((chip) => {
            const style = getComputedStyle(chip);
            return [chip.querySelector(".sign").textContent, style.color, style.backgroundColor, style.boxShadow];
          });
        }""",
        names,
    )
    signs, colours, backs, shadows = map(set, zip(*told, strict=True))
    assert len(signs) == len(colours) == len(backs) == 10 and shadows == {"none"}


def test_the_keyboard_reaches_everything(page, predictor) -> None:
    page.focus("#tab-text")
    page.keyboard.press("ArrowRight")
    assert page.evaluate("document.activeElement.id") == "tab-file" and page.locator("#panel-file").is_visible()
    assert (
        page.get_attribute("#tab-text", "tabindex") == "-1"
        and page.get_attribute("#tab-file", "aria-selected") == "true"
    )
    page.keyboard.press("Home")
    assert page.evaluate("document.activeElement.id") == "tab-text" and page.locator("#panel-text").is_visible()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "text"
    page.keyboard.insert_text(mentioning(predictor))
    page.keyboard.press("Control+Enter")
    page.wait_for_selector("#words span")
    second = page.locator(".chip").nth(1)
    second.focus()
    assert second.get_attribute("aria-pressed") == "true"
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"


@pytest.mark.parametrize("language", ["vi", "en"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_shows_it_whole(page, predictor, language, scheme) -> None:
    page.emulate_media(color_scheme=scheme)
    page.set_viewport_size({"width": 360, "height": 740})
    page.click(f"[data-language={language}]")
    analyse(page, mentioning(predictor) + " " + "w" * 300)
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    upload(page, [*ROWS, ["7", "tốt", "y" * 200]], name="n" * 120 + ".csv")
    page.click("#start")
    page.wait_for_selector("#summary:not([hidden])")
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    bright = page.evaluate("getComputedStyle(document.body).backgroundColor.match(/\\d+/)[0] > 128")
    assert bright == (scheme == "light")
    small = page.evaluate(
        "[...document.querySelectorAll('button, select')].filter((e) => e.checkVisibility() && e.getBoundingClientRect().height < 36).length"
    )
    assert small == 0


# --- a file ---


def test_a_file_comes_back_with_its_answers(page, predictor) -> None:
    upload(page, ROWS)
    assert page.locator("#file-facts").inner_text() == "6 rows, 3 columns"
    assert page.locator("#column option:checked").inner_text() == "comment"
    page.click("#start")
    page.wait_for_selector("#summary:not([hidden])")
    assert page.locator("#summary-facts").inner_text() == "4 reviews, 2 skipped"
    page.uncheck("#safe")
    header, *rows = downloaded(page)
    aspects = predictor.labels.aspects
    as_predict_has_it = [name for name, _ in Table(predictor.labels, predictor.task, False, ROWS[0]).fields]
    assert header == [*ROWS[0], *as_predict_has_it, "note"]
    assert [row[:3] for row in rows] == ROWS[1:]
    assert [row[3] for row in rows] == ["2", "4", "5", "6", "7", "8"]  # the first review takes two lines
    assert [row[4:6] for row in rows] == [["", ""] if row[-1] else ["1", "0"] for row in rows]
    assert [row[-1] for row in rows] == ["", "no text", "", "", "too long", ""]
    counted = dict.fromkeys(("positive", "negative", "neutral"), 0)
    for row, (_, text, _) in zip(rows, ROWS[1:], strict=True):
        answer = predictor.predict([text])[0]["aspects"] if row[-1] == "" else {}
        for i, aspect in enumerate(aspects):
            said = answer.get(aspect)
            expected = [said["sentiment"], said["confidence"]] if said else ["", ""]
            got = row[6 + 2 * i : 8 + 2 * i]
            assert [got[0], float(got[1]) if got[1] else ""] == expected
            if said:
                counted[said["sentiment"]] += 1
    cells = page.locator("#chart tr").evaluate_all(
        "rows => rows.map((r) => [...r.querySelectorAll('td')].map((c) => Number(c.textContent)))"
    )
    assert [sum(column) for column in zip(*cells, strict=True)] == list(counted.values())
    assert page.locator("#chart tr").count() == len(aspects)


def test_rows_longer_than_the_header_lose_nothing(page, predictor) -> None:
    upload(page, [["id", "comment"], ["1", "tốt", "more", "still more"], ["2", "kém"]])
    page.click("#start")
    page.wait_for_selector("#summary:not([hidden])")
    header, *rows = downloaded(page)
    assert header[:5] == ["id", "comment", "", "", "line"]
    assert [row[:4] for row in rows] == [["1", "tốt", "more", "still more"], ["2", "kém", "", ""]]
    assert {len(row) for row in (header, *rows)} == {len(header)}


def test_aspects_may_have_the_names_of_what_every_object_has(page) -> None:
    told = page.evaluate(
        """() => {
          facts.aspects = ["constructor", "__proto__", "toString"];
          table = { separator: ",", header: ["t"], rows: [["a"]] };
          const said = JSON.parse('{"__proto__": {"sentiment": "positive", "confidence": 0.5}}');
          work = { answers: new Map([[0, said]]), read: new Map(), notes: new Map() };
          return [resultCsv(), aspectName("constructor"), aspectName("__proto__")];
        }"""
    )
    assert told[0].split("\r\n")[1] == "a,,1,0,,,positive,0.5,,,"
    assert told[1:] == ["constructor", "__proto__"]


def test_formulas_are_disarmed_unless_unticked(page) -> None:
    upload(page, ROWS)
    page.click("#start")
    page.wait_for_selector("#summary:not([hidden])")
    rows = downloaded(page)[1:]
    assert (
        rows[2][1:3] == ["'=HYPERLINK(1)", "+3"] and rows[4][2] == "'@a" and rows[5][1:3] == ["'- giao nhanh", "-1.5"]
    )


FILES = {
    "semicolons": ("a;review\n1;tốt\n2;kém", [["a", "review"], ["1", "tốt"], ["2", "kém"]]),
    "tabs": ("a\treview\r1\ttốt\r", [["a", "review"], ["1", "tốt"]]),
    "one column": ("review\ntốt\n\n\nkém\n", [["review"], ["tốt"], ["kém"]]),
    "never closed": ('a,b\n"x ""y"" z",5" wide\n"","""', 3),
    "quoted": ('a,b\r\n"x ""y"",\r\n z",5" wide\r\n"",""""\r\n', [["a", "b"], ['x "y",\r\n z', '5" wide'], ["", '"']]),
    "empty cells": ("a,b,c\n,,\n1,,3\n,2,", [["a", "b", "c"], ["", "", ""], ["1", "", "3"], ["", "2", ""]]),
    "cut": ('a,b\n1,"x', 2),
    "ragged": ("a,b\n1\n1,2,3", [["a", "b"], ["1"], ["1", "2", "3"]]),
}


def test_csv_is_read_as_python_reads_it(page) -> None:
    script = "(text) => { try { return parseCsv(text, separatorOf(text)); } catch (e) { return e.line; } }"
    found = {name: page.evaluate(script, text) for name, (text, _) in FILES.items()}
    assert found == {name: rows for name, (_, rows) in FILES.items()}


def test_files_that_cannot_be_read_are_told(page) -> None:
    page.click("#tab-file")

    def give(data: bytes) -> str:
        page.set_input_files("#file", {"name": "a.csv", "mimeType": "text/csv", "buffer": data})
        page.wait_for_selector("#file-error:not([hidden])")
        assert page.locator("#chosen").is_hidden()
        return page.locator("#file-error").inner_text()

    assert "not UTF-8" in give("review\nmáy".encode("cp1258", "replace"))
    assert "no rows" in give(b"review\n")
    assert "This is an Excel file" in give(b"PK\x03\x04rest") and "Excel" in give(b"\xd0\xcf\x11\xe0\xa1\xb1")
    assert "line 3 is never closed" in give(b'review\n"a"\n"b\n\nc')
    page.set_input_files("#file", {"name": "a.csv", "mimeType": "text/csv", "buffer": "review\nmáy".encode("utf-16")})
    page.wait_for_selector("#chosen:not([hidden])")
    assert page.locator("#file-error").is_hidden() and page.locator("#preview").inner_text() == "máy"


def test_a_long_file_can_be_stopped_and_what_is_there_be_had(page, held) -> None:
    upload(page, [["review"], *([f"pin trâu {i}"] for i in range(5000))])
    page.click("#start")
    wait_for(lambda: page.evaluate("document.getElementById('progress').value > 0"))
    held.gate.clear()
    page.click("#cancel")
    held.gate.set()
    page.wait_for_selector("#summary:not([hidden])")
    assert "Cancelled after" in page.locator("#rate").inner_text()
    notes = [row[-1] for row in downloaded(page)[1:]]
    assert len(notes) == 5000 and 0 < notes.count("") < 5000 and set(notes) == {"", "not analysed"}


@pytest.mark.slow
def test_a_busy_service_is_waited_for(page, service) -> None:
    upload(page, [["review"], *([f"pin trâu {i}"] for i in range(100))])
    service.service.stopping = True
    page.click("#start")
    wait_for(lambda: "going on in 5 s" in page.locator("#rate").text_content())
    service.service.stopping = False
    page.wait_for_selector("#summary:not([hidden])")
    assert page.locator("#summary-facts").inner_text() == "100 reviews, 0 skipped"
    assert [text for text in page.said if "503" not in text] == []
    page.said.clear()


def test_a_violation_of_the_policy_would_be_seen(page) -> None:
    """The checks of this file can fail: a script without the hash is refused, and the console says so."""
    page.evaluate(
        "document.body.append(Object.assign(document.createElement('script'), { textContent: 'document.title = 1' }))"
    )
    wait_for(lambda: page.evaluate("1") and page.said)
    assert "Content Security Policy" in page.said[0] and page.title() != "1"
    page.said.clear()
