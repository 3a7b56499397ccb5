"""How much of a text is tokenised where the normaliser makes many letters of one, such as 18 of U+FDFA.

Any other text is tokenised whole, in time that its length bounds: to count its letters would cost a quarter more.
"""

import re

from tokenizers import Tokenizer

LETTERS = 32  # of a token, on average, at most; ViSoBERT's longest piece has 16
EXPANDING = re.compile("[\u2057\u2152-\u2177\u247d-\u2487\u2a0c\u321d\u321e\u3300-\u33d8\ufdf0-\ufdff]")  # more than 3
RARE = 18  # letters to one of these, which becomes 18 at most: together they are no more than the text again
CHUNK = 512  # letters that are counted at once


def beginning(tokenizer: Tokenizer, text: str, letters: int | None = None) -> str:
    """As much of a text as makes ``letters`` when it is normalised, or more; all of it if few letters become many.

    ``letters`` is by default what the tokenizer, which cuts at so many tokens, may read. The tokens are then those of
    the whole text, unless a word without blanks is as long as all that is read.
    """
    if letters is None:
        if tokenizer.truncation is None:
            return text
        letters = LETTERS * tokenizer.truncation["max_length"]
    if len(text) <= letters // RARE or RARE * len(EXPANDING.findall(text)) <= len(text):
        return text
    normalise, read = tokenizer.normalizer, 0
    for start in range(0, len(text), CHUNK):
        part = text[start : start + CHUNK]
        read += len(normalise.normalize_str(part) if normalise is not None else part)
        if read > letters:
            return text[: start + CHUNK]
    return text
