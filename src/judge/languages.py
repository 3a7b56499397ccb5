"""The texts of pages in both languages: English stands where it is used, ``templates/vi.toml`` has the Vietnamese.

A text without Vietnamese is shown in English, marked as such, so that a new one breaks no page; the tests name it.
"""

import re
import tomllib
from collections.abc import Mapping
from functools import cache
from typing import NamedTuple

from markupsafe import Markup, escape

from .html import TEMPLATES, policy_hash, printable, templates

SWAPPED = str.maketrans(".,", ",.")  # 1,096.5 -> 1.096,5
SAID_VALUES = ("positive", "negative", "neutral", "mentioned", "not mentioned", "missed", "invented", "wrong sentiment")
GAP_IN_TEXT = re.compile(r"\{(\w+)\}")
ENGLISH_NUMBER = re.compile(r"[+-]?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?")


class Said(NamedTuple):
    """A text in both languages, escaped. In a template it shows as two elements, of which the style hides one."""

    en: Markup
    vi: Markup | None  # None: there is no Vietnamese

    def __html__(self) -> Markup:
        if self.vi is None:
            return Markup('<span class="untold" lang="en">{}</span>').format(self.en)
        if self.vi == self.en:
            return self.en
        return Markup('<span class="en">{}</span><span class="vi">{}</span>').format(*self)

    @property
    def both(self) -> Markup:
        """Attributes from which the page's script takes the element's text."""
        return Markup('data-en="{}" data-vi="{}"').format(self.en, self.en if self.vi is None else self.vi)

    def attribute(self, name: str = "aria-label") -> Markup:
        """An attribute of an element whose value follows the language."""
        return Markup('{}="{}" {} data-of="{}"').format(Markup(name), self.en, self.both, name)

    def element(self, name: str) -> Markup:
        """An element that holds text alone, such as ``option`` or SVG's ``title``."""
        return Markup("<{0} {1}>{2}</{0}>").format(Markup(name), self.both, self.en)


def say(text: str, /, **values: object) -> Said:
    """A text of ours, which may hold markup and ``{holes}``; values are escaped, numbers written as a language does.

    An int gets separators, a float three digits after the point; a :class:`Said` comes in the same language.
    """
    found = vietnamese().get(text)
    return Said(_filled(text, values, False), None if found is None else _filled(found, values, True))


def told(sentence: str) -> Said:
    """A sentence that was made elsewhere, in English: found in the dictionary as it is, or by its holes."""
    if sentence in vietnamese():
        return Said(escape(sentence), escape(vietnamese()[sentence]))
    for pattern, text in _patterns():
        if found := pattern.fullmatch(sentence):
            return say(text, **{name: _inner(value) for name, value in found.groupdict().items()})
    return Said(escape(printable(sentence)), None)


def number_said(written: str) -> Said:
    """A number, or a share such as ``1,234.5 %``, that was written as in English."""
    return Said(escape(written), escape(written.translate(SWAPPED)))


@cache
def vietnamese() -> Mapping[str, str]:
    """English text -> Vietnamese."""
    with (TEMPLATES / "vi.toml").open("rb") as file:
        return {en: vi for table in tomllib.load(file).values() for en, vi in table.items()}


@cache
def _patterns() -> list[tuple[re.Pattern[str], str]]:
    found = []
    for text in vietnamese():
        if GAP_IN_TEXT.search(text) and "<" not in text:
            parts = GAP_IN_TEXT.split(text)
            whole = "".join(f"(?P<{part}>.+)" if i % 2 else re.escape(part) for i, part in enumerate(parts))
            if sum(map(len, parts[::2])) > 12:  # a text that is nearly all holes fits everything
                found.append((re.compile(whole, re.S), text))
    return found


def _inner(value: str) -> object:
    """What stands in a hole: a number, a known word, a name, or an English message, marked as such."""
    if ENGLISH_NUMBER.fullmatch(value):
        return number_said(value)
    if value in vietnamese():
        return say(value)
    message = Markup('<i lang="en">{}</i>').format(printable(value))
    return Said(escape(printable(value)), message) if " " in value else value


def _filled(text: str, values: Mapping[str, object], is_vietnamese: bool) -> Markup:
    def shown(value: object) -> Markup:
        if isinstance(value, Said):
            return (value.vi if is_vietnamese else None) or value.en
        if isinstance(value, int | float):
            number = f"{value:,}" if isinstance(value, int) else f"{value:.3f}"
            return Markup(number.translate(SWAPPED) if is_vietnamese else number)
        return value if isinstance(value, Markup) else escape(printable(str(value)))

    return Markup(text).format(**{name: shown(value) for name, value in values.items()})


def script_texts() -> dict[str, str]:
    """The Vietnamese of what the page's script says by ``t("...")``, and of the answers and kinds that it shows."""
    keys = re.findall(r'\bt\("([^"]+)"', (TEMPLATES / "report.js").read_text(encoding="utf-8"))
    return {key: vietnamese()[key] for key in [*keys, *SAID_VALUES] if key in vietnamese()}


def page_in_both(template: str, context: Mapping[str, object], *scripts: str) -> str:
    """Render a page with every value escaped; its script switches languages, then runs ``scripts`` of this folder.

    Its policy allows one style and one script alone, by their hashes.
    """
    environment = templates(autoescape=True)
    environment.filters["printable"] = printable
    environment.globals |= {"_": say, "told": told}
    own: dict[str, object] = {}
    for name, files in (("style", ["report.css"]), ("script", ["languages.js", *scripts])):
        text = "".join((TEMPLATES / file).read_text(encoding="utf-8") for file in files)
        own |= {name: Markup(text), f"{name}_hash": policy_hash(text)}
    return environment.get_template(template).render({**context, **own})
