"""Labels in one cell as people type them: ``BATTERY: Positive, CAMERA: Negative``.

Commas, semicolons, bars or line breaks stand between them.
"""

import re

from ...errors import quoted
from ..rows import clean_name

SIGNS = re.compile(r"[,;\n|]+")
NEITHER = re.compile(r"[{}\[\]]")  # in a name or a sentiment


def is_colon(text: str) -> bool:
    """Whether a cell is nothing but such labels."""
    parts = _parts(text) if ":" in text else []
    return bool(parts) and all(map(_pair, parts))


def colon_pairs(text: str) -> list[tuple[str, object]]:
    """Aspect and sentiment of each label. Raises ValueError."""
    found: list[tuple[str, object]] = []
    for part in _parts(text):
        pair = _pair(part)
        if pair is None:
            raise ValueError(f"malformed label at {quoted(part.strip())}; ASPECT: Sentiment, ... is expected")
        found.append(pair)
    return found


def _parts(text: str) -> list[str]:
    return [part for part in SIGNS.split(text) if part and not part.isspace()]


def _pair(part: str) -> tuple[str, str] | None:
    name, _, said = part.partition(":")
    aspect, said = clean_name(name), said.strip()
    return None if not aspect or not said or ":" in said or NEITHER.search(part) else (aspect, said)
