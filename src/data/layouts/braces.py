"""UIT-ViSFD's labels in one cell (https://github.com/LuongPhan/UIT-ViSFD): ``{CAMERA#Positive};{OTHERS};``.

Also with an entity and an attribute, ``{ROOMS#CLEANLINESS#Positive}``, and as VLSP 2018 writes it,
``{ROOMS#CLEANLINESS, positive}``.
"""

import re
from functools import lru_cache

from ...errors import quoted
from ..rows import clean_name

IN_BRACES = re.compile(r"\s*\{([^{};]*)\}\s*")
QUOTED = re.compile(r"""\s*(?:\{\s*['"]|\[|\()""")


def is_braces(text: str) -> bool:
    """Whether a cell has this layout, as its first letters show; ``{"`` begins an object of JSON."""
    return text.lstrip().startswith("{") and not QUOTED.match(text)


def braces_pairs(text: str) -> list[tuple[str, object]]:
    """Aspect and sentiment of each label; ``mentioned`` where a label has no sentiment. Raises ValueError."""
    found: list[tuple[str, object]] = []
    for part in text.split(";"):
        if part and not part.isspace():
            found += _labels(part)
    return found


@lru_cache(maxsize=4096)
def _labels(text: str) -> tuple[tuple[str, str], ...]:
    found, position = [], 0
    while position < len(text):
        match = IN_BRACES.match(text, position)
        pair = _pair(match[1]) if match else None
        if match is None or pair is None:
            raise ValueError(_malformed(text[position:]))
        found.append(pair)
        position = match.end()
        if text.startswith(",", position):
            position += 1
        elif position < len(text):
            raise ValueError(_malformed(text))
    return tuple(found)


def _pair(inner: str) -> tuple[str, str] | None:
    cut = max(inner.rfind("#"), inner.rfind(","))
    if cut < 0 and ":" in inner:
        cut = inner.rfind(":")
    name, said = (inner[:cut], inner[cut + 1 :]) if cut >= 0 else (inner, "mentioned")
    aspect = clean_name(name)
    if not aspect or not said.strip() or "," in aspect or any(quote in inner for quote in "'\""):
        return None
    return aspect, said


def _malformed(text: str) -> str:
    return f"malformed label at {quoted(text.strip())}; {{ASPECT#Sentiment}};{{ASPECT}}; is expected"
