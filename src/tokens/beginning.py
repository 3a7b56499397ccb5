"""How much of a text is tokenised: its length is told after normalising, which can make 18 letters of one."""

import re

from tokenizers import Tokenizer

LETTERS = 32  # of a token, on average, at most; ViSoBERT's longest piece has 16
EXPANSION = 18  # letters that one becomes in NFKC, at most: U+FDFA
EXPANDING = re.compile("[\u2057\u2152-\u2177\u247d-\u2487\u2a0c\u321d\u321e\u3300-\u33d8\ufdf0-\ufdff]")  # more than 3
CHUNK = 512  # letters that are counted at once


def beginning(tokenizer: Tokenizer, text: str) -> str:
    """As much of a text as the tokenizer, which cuts at so many tokens, may read: the other letters cost only time.

    The letters are counted as the normaliser leaves them: one becomes up to :data:`EXPANSION`, and blanks in a row
    become one. So the tokens are those of the whole text, unless a word without blanks is as long as all that is read.
    """
    cut = tokenizer.truncation
    if cut is None:
        return text
    most = LETTERS * cut["max_length"]
    if len(text) * (EXPANSION if EXPANDING.search(text) else 3) <= most:
        return text
    normalise, read = tokenizer.normalizer, 0
    for start in range(0, len(text), CHUNK):
        part = text[start : start + CHUNK]
        read += len(normalise.normalize_str(part) if normalise is not None else part)
        if read > most:
            return text[: start + CHUNK]
    return text
