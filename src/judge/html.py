"""Templates, and untrusted text made fit for a page or a terminal."""

import base64
import hashlib
import json
import re
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

TEMPLATES = Path(__file__).with_name("templates")
CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ufffe\uffff]")  # not allowed in HTML; says nothing in text
WORD = re.compile(r"\S+")


def templates(autoescape: bool) -> Environment:
    """The templates of this folder; a name that they lack is an error. ``autoescape`` is for HTML."""
    loader = FileSystemLoader(TEMPLATES)
    return Environment(
        loader=loader, autoescape=autoescape, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )


def json_block(data: object) -> Markup:
    """JSON for a ``script`` element: no text in it can end the element or begin another."""
    text = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    for letter in "<>&\u2028\u2029":
        text = text.replace(letter, f"\\u{ord(letter):04x}")
    return Markup(text)


def printable(text: str) -> str:
    """``text`` with what HTML does not allow replaced by the replacement character."""
    return CONTROL.sub("\ufffd", text.encode("utf-8", "replace").decode("utf-8"))


def pieces(text: str) -> list[str]:
    """The words of a text, each with the blanks after it (the first also with those before); joined: the text."""
    starts = [match.start() for match in WORD.finditer(text)][1:]
    return [text[i:j] for i, j in zip([0, *starts], [*starts, len(text)], strict=True)]


def policy_hash(text: str) -> str:
    """The hash by which a Content-Security-Policy allows an inline style or script."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
