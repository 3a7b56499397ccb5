"""A review that is longer than the encoder reads at once, in windows that together hold all of it.

A window is as many whole sentences as fit into the ``max_length`` tokens of the tokenizer; a longer sentence is cut
between words, a longer word between tokens. Training cuts a long review at its first window's end instead, because a
label cannot be given to a window. :mod:`src.answers.windows` joins what a model says of the windows.
"""

import re
import sys
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from itertools import accumulate
from typing import NamedTuple

import numpy as np
from tokenizers import Encoding, Tokenizer

from ..data.nfc import composed
from .beginning import beginning
from .tokenizer import encode

MOST_WINDOWS = 64  # windows of one review, some 16,000 tokens; what follows is not read, and the answer says so
GAP = re.compile(r"\s+")
ENDS, AFTER_END = frozenset(".!?…"), ")]}\"'”’»"  # what ends a sentence, and what may stand between the end and a blank


class Windowed(NamedTuple):
    """Texts as token ids: window ``w`` is ``ids[offsets[w]:offsets[w + 1]]``, text ``i`` has ``first[i]`` and on."""

    ids: np.ndarray  # uint16 or int32 [sum of lengths]
    offsets: np.ndarray  # int64 [W + 1]
    first: np.ndarray  # int64 [N + 1], each text's first window; one window for most texts
    cut: np.ndarray  # int64 [N], tokens of each text that no window holds


def encode_whole(tokenizer: Tokenizer, texts: Sequence[str], *, compact: bool = True) -> Windowed:
    """Token ids of all texts, the long ones in windows; ``compact`` as in :func:`src.tokens.tokenizer.encode`."""
    return windowed(tokenizer, texts, *encode(tokenizer, texts, compact=compact))


def windowed(tokenizer: Tokenizer, texts: Sequence[str], ids: np.ndarray, offsets: np.ndarray) -> Windowed:
    """The same for texts that :func:`src.tokens.tokenizer.encode` has made ``ids`` and ``offsets`` of.

    Texts that were not truncated keep their ids, so they cost nothing here.
    """
    count, cut = np.ones(len(texts), np.int64), np.zeros(len(texts), np.int64)
    parts: dict[int, list[str]] = {}
    for i in _full(tokenizer, offsets):
        parts[i], cut[i] = windows(tokenizer, texts[i])
        count[i] = len(parts[i])
    first = np.concatenate([[0], np.cumsum(count)])
    if not parts:
        return Windowed(ids, offsets, first, cut)
    some, ends = encode(tokenizer, [part for several in parts.values() for part in several], compact=False)
    pieces, lengths, done, at = [], [], 0, 0
    for i, several in parts.items():
        until = at + len(several)
        pieces += [ids[offsets[done] : offsets[i]], some[ends[at] : ends[until]].astype(ids.dtype)]
        lengths += [np.diff(offsets[done : i + 1]), np.diff(ends[at : until + 1])]
        done, at = i + 1, until
    pieces.append(ids[offsets[done] :])
    lengths.append(np.diff(offsets[done:]))
    return Windowed(np.concatenate(pieces), np.concatenate([[0], *lengths]).cumsum(), first, cut)


def windows(tokenizer: Tokenizer, text: str) -> tuple[list[str], int]:
    """The windows of a text, in NFC, and the number of tokens after the last one; most texts are one window."""
    text = composed(text)
    spans, cut = window_spans(tokenizer, text)
    return [text[a:b] for a, b in spans], cut


def window_spans(tokenizer: Tokenizer, text: str) -> tuple[list[tuple[int, int]], int]:
    """Where the windows of ``text``, which is in NFC, begin and end, and the number of tokens after the last one.

    Of a text whose letters become many when they are normalised, no more is tokenised than the windows may hold; the
    number is then an estimate, as if what follows were like what was read.
    """
    letters = (MOST_WINDOWS + 1) * _limit(tokenizer)
    while True:
        part = beginning(tokenizer, text, letters)
        encodings, total, room = _encodings(tokenizer, part)
        enough = (MOST_WINDOWS + 1) * room
        if len(part) == len(text) or total > enough:
            break
        letters += letters * enough // max(1, total)
    total = total * len(text) // max(1, len(part))
    if total <= room:
        return [(0, len(text))], 0
    ends: list[int] = []  # of the tokens, in characters
    for encoding in encodings[: MOST_WINDOWS + 1]:
        found = zip(encoding.offsets, encoding.special_tokens_mask, strict=True)
        ends += [end for (_, end), special in found if not special]
    ends = list(accumulate(ends, max))  # ascending even if a tokenizer's normaliser moves characters
    gaps = [gap.span() for gap in GAP.finditer(text)]
    words = [end for _, end in gaps]  # where they begin
    sentences = [end for start, end in gaps if _between_sentences(text, start, end)]
    spans: list[tuple[int, int]] = []
    start = token = 0
    while token < len(ends) and len(spans) < MOST_WINDOWS:
        stop = len(text)
        if token + room < len(ends):
            low, high = ends[token], ends[token + room]
            stop = _last(sentences, low, high) or _last(words, low, high) or _between_tokens(ends, token, room)
        spans += _fitting(tokenizer, text, start, stop) if total <= len(ends) else [(start, stop)]
        start, token = stop, bisect_right(ends, stop)
    return spans, total - min(token, len(ends))


def _fitting(tokenizer: Tokenizer, text: str, start: int, stop: int) -> list[tuple[int, int]]:
    """The window, or where by itself it has a token more than within the text, those that together hold it."""
    if start == 0 and stop == len(text):
        return [(start, stop)]
    return [(start + a, start + b) for a, b in window_spans(tokenizer, text[start:stop])[0]]


def beyond(tokenizer: Tokenizer, texts: Sequence[str], offsets: np.ndarray) -> np.ndarray:
    """How many tokens of each text truncation takes away, int64 [N]; ``offsets`` int64 [N + 1] of the encoded texts."""
    lost = np.zeros(len(texts), np.int64)
    for i in _full(tokenizer, offsets):
        _, total, room = _encodings(tokenizer, texts[i])
        lost[i] = max(0, total - room)
    return lost


def _full(tokenizer: Tokenizer, offsets: np.ndarray) -> list[int]:
    """The texts that may be longer than their tokens: those of as many tokens as truncation leaves."""
    return np.flatnonzero(np.diff(offsets) >= _limit(tokenizer)).tolist()


def _limit(tokenizer: Tokenizer) -> int:
    """The tokens that truncation leaves, special ones included; without truncation no text is long."""
    return int((tokenizer.truncation or {"max_length": sys.maxsize})["max_length"])


def _encodings(tokenizer: Tokenizer, text: str) -> tuple[list[Encoding], int, int]:
    """The text's tokens, in encodings of one length; their number, and the number that fits into one window."""
    first = tokenizer.encode(text)
    encodings = [first, *first.overflowing]
    special = sum(first.special_tokens_mask)
    return encodings, sum(map(len, encodings)) - special * len(encodings), _limit(tokenizer) - special


def _between_sentences(text: str, start: int, end: int) -> bool:
    """Whether the blanks from ``start`` to ``end`` stand between two sentences."""
    return "\n" in text[start:end] or text[max(0, start - 4) : start].rstrip(AFTER_END)[-1:] in ENDS


def _last(starts: list[int], low: int, high: int) -> int | None:
    """The last of ``starts``, ascending, that is at least ``low`` and below ``high``."""
    i = bisect_left(starts, high) - 1
    return starts[i] if i >= 0 and starts[i] >= low else None


def _between_tokens(ends: list[int], token: int, room: int) -> int:
    """Where to cut a word that fills a window: less than full, as its parts may have a few tokens more."""
    full = max(token + 1, token + room - max(1, room // 16))
    before = bisect_left(ends, ends[full])  # a character of several tokens stays whole
    return ends[before - 1] if before > token else ends[full]
