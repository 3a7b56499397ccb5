"""Labels in one cell as people type them: ``BATTERY: Positive, CAMERA: Negative``.

Commas, semicolons, bars or line breaks stand between them.
"""

import re

from ...errors import quoted
from ..rows import clean_name

WITH_COLON = re.compile(r"\s*([^:{}\[\],;\n|]+?)\s*:\s*([^:{}\[\],;\n|]+?)\s*(?:[,;\n|]+|$)")


def is_colon(text: str) -> bool:
    """Whether a cell is nothing but such labels."""
    return re.fullmatch(f"(?:{WITH_COLON.pattern})+", text) is not None


def colon_pairs(text: str) -> list[tuple[str, object]]:
    """Aspect and sentiment of each label. Raises ValueError."""
    found: list[tuple[str, object]] = []
    position = 0
    while position < len(text):
        match = WITH_COLON.match(text, position)
        if not match:
            raise ValueError(
                f"malformed label at {quoted(text[position:].strip())}; ASPECT: Sentiment, ... is expected"
            )
        found.append((clean_name(match[1]), match[2]))
        position = match.end()
    return found
