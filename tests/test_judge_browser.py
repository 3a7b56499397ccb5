"""The report in a real browser: no error, nothing asked of any network, filters, and untrusted texts as text."""

import json
import re
import shutil
from pathlib import Path

import pytest

from src.answers.predictions import write_predictions
from src.judge.report import write_report
from src.ship.shares_page import summarise
from tests.judging import LABELS, make_run, predicted
from tests.test_judge_report import HOSTILE

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
CHROMIUM = shutil.which("chromium")
if CHROMIUM is None:
    pytest.skip("there is no chromium", allow_module_level=True)
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
TEXTS = [
    HOSTILE,
    "màn hình đẹp " * 400,
    "x" * 300 + " 😍 \u202eabc\u200f \u2066def",
    "Đt này màn hình rất đẹp nha shop",
]


@pytest.fixture(scope="module")
def report(tmp_path_factory) -> Path:
    """A report whose errors have texts of every kind."""
    folder = make_run(tmp_path_factory.mktemp("browser") / "run")
    p = predicted("test")
    p.texts = [TEXTS[i % len(TEXTS)] if i % 5 == 0 else text for i, text in enumerate(p.texts)]
    p.ids = [f"<i>{i}</i>" for i in p.ids]
    write_predictions(folder / "predictions" / "test.jsonl", p, LABELS)
    return write_report(folder)


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as api:
        opened = api.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield opened
        opened.close()


@pytest.fixture
def page(browser, report):
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    opened = context.new_page()
    said: list[str] = []
    opened.on("console", lambda message: said.append(message.text))
    opened.on("pageerror", lambda error: said.append(str(error)))
    opened.on("dialog", lambda dialog: (said.append("dialog"), dialog.dismiss()))
    opened.on("request", lambda request: said.append(request.url) if request.url != report.as_uri() else None)
    opened.goto(report.as_uri())
    yield opened
    context.close()
    assert said == []


def errors(page) -> list[str]:
    return page.locator("#error-list .error").all_inner_texts()


def total(page) -> int:
    words = page.locator("#error-count").inner_text()
    return int(words.split()[0].replace(",", "")) if words[0].isdigit() else 0


def test_it_opens_without_a_word_and_without_a_request(page) -> None:
    assert "Report of run" in page.title()
    assert len(errors(page)) == 25 and total(page) > 25
    assert page.locator("svg.chart").count() > 20


def test_a_violation_of_the_policy_would_be_seen(browser, report, tmp_path) -> None:
    """The checks of this file can fail: a script of another hash is refused, and the console says so."""
    changed = tmp_path / "changed.html"
    changed.write_text(report.read_text(encoding="utf-8").replace("</body>", "<script>alert(3)</script></body>"))
    context = browser.new_context()
    opened = context.new_page()
    said: list[str] = []
    opened.on("console", lambda message: said.append(message.text))
    opened.goto(changed.as_uri())
    assert any("Content Security Policy" in message for message in said)
    context.close()


def test_hostile_texts_show_as_text(page) -> None:
    page.fill("#search", "alert(1)")
    first = page.locator("#error-list .error .text").first
    assert first.text_content() == HOSTILE
    assert page.locator("img").count() == 0 and page.locator("section script").count() == 0
    assert page.locator("#error-list i").count() == 0


def test_the_filters_filter(page) -> None:
    data = json.loads(page.locator("#error-data").text_content())
    everything = data["errors"]
    assert total(page) == len(everything)
    page.select_option("#aspect", label="Camera")
    assert total(page) == sum(e["a"] == 1 for e in everything)
    page.select_option("#kind", label="wrong sentiment")
    assert total(page) == sum(e["a"] == 1 and e["k"] == 2 for e in everything)
    assert all("Camera" in text and "wrong sentiment" in text for text in errors(page))
    page.fill("#confidence", "60")
    assert total(page) == sum(e["a"] == 1 and e["k"] == 2 and e["c"] >= 0.6 for e in everything)
    page.get_by_role("button", name="Clear the filters").click()
    # A reset filters only after it. Not wait_for_function: it asks again by eval, which the report's policy refuses.
    playwright.expect(page.locator("#error-count")).to_have_text(re.compile(f"^{len(everything):,} "))
    page.check("[name=suspect]")
    assert total(page) == sum("q" in e for e in everything)
    page.fill("#search", "no review says this")
    assert "No error fits" in page.locator("#error-count").inner_text()


def test_the_search_finds_words_with_and_without_marks(page) -> None:
    page.fill("#search", "man hinh rat dep")
    found = total(page)
    page.fill("#search", "MÀN HÌNH RẤT ĐẸP")
    assert total(page) == found > 0
    page.fill("#search", "mán hình rất đẹp")
    assert total(page) == 0


def test_keyboard_and_more(page) -> None:
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.locator("#more").focus()
    page.keyboard.press("Enter")
    assert len(errors(page)) == min(50, total(page))
    assert page.evaluate("document.activeElement.className") == "error"
    long = page.locator("#error-list .text").filter(has_text="more characters")
    page.fill("#search", "màn hình đẹp màn hình đẹp")
    assert long.first.get_attribute("tabindex") == "0"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 768, 1280])
def test_nothing_is_wider_than_the_window(page, width, scheme) -> None:
    page.emulate_media(color_scheme=scheme)
    page.set_viewport_size({"width": width, "height": 800})
    for details in page.locator("details").all():
        details.evaluate("element => { element.open = true; }")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    bright = page.evaluate("getComputedStyle(document.body).backgroundColor.match(/\\d+/)[0] > 128")
    assert bright == (scheme == "light")


def test_it_prints(page) -> None:
    page.emulate_media(media="print", color_scheme="dark")
    assert page.locator("nav").is_hidden() and page.locator("#filters").is_hidden()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert len(page.pdf()) > 10_000


def test_the_switch_speaks_both_languages_here_and_on_the_page_of_shares(browser, page, tmp_path) -> None:
    """Numbers and the list of errors follow; a name of the user's, such as that of a group, stays as it is."""
    number = page.locator("#summary data").first
    assert "." in number.inner_text() and " errors, " in page.locator("#error-count").inner_text()
    page.get_by_role("button", name="Tiếng Việt").click()
    assert "," in number.inner_text() and " lỗi, " in page.locator("#error-count").inner_text()
    answers = tmp_path / "answers.csv"
    rows = ["text,shop,Pin_sentiment,Pin_confidence", *["pin tốt,v1.2,positive,0.9"] * 1200, "tệ,v2,negative,0.9"]
    answers.write_text("\n".join(rows), encoding="utf-8")
    summarise(str(answers), by="shop")
    for width, language, shown in ((1280, "vi", "99,9 %"), (400, "vi", "1.200"), (400, "en", "1,200")):
        context = browser.new_context(viewport={"width": width, "height": 900}, locale=language)
        opened = context.new_page()
        said: list[str] = []
        opened.on("console", lambda message, said=said: said.append(message.text))
        opened.goto((tmp_path / "answers.csv.summary.html").as_uri())
        text = opened.locator("body").inner_text()
        assert (
            shown in text and ("tích cực" in text) == (language == "vi") and ("positive" in text) != (language == "vi")
        )
        assert "v1.2" in opened.locator("svg.chart text").all_text_contents()
        assert opened.evaluate("document.documentElement.scrollWidth") <= width and said == []
        context.close()
