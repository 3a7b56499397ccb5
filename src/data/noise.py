"""Training reviews as people type them: without diacritics, with slips of the keys, in teencode.

What a review becomes follows from the seed, the epoch and the review alone, so an epoch can be begun in its middle.
Only ``Random.random()`` is drawn from: Python promises to keep its numbers from version to version.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from random import Random

from .nfc import composed
from .teencode import SHORT_FORMS

_TONES = "sfrxj"  # Telex's keys for sắc, huyền, hỏi, ngã, nặng; VNI's are 1 to 5
_VOWELS = {  # a letter without a tone: its five tones, the letter on the keyboard, Telex's and VNI's key for the mark
    "a": ("áàảãạ", "a", "", ""),
    "ă": ("ắằẳẵặ", "a", "w", "8"),
    "â": ("ấầẩẫậ", "a", "a", "6"),
    "e": ("éèẻẽẹ", "e", "", ""),
    "ê": ("ếềểễệ", "e", "e", "6"),
    "i": ("íìỉĩị", "i", "", ""),
    "o": ("óòỏõọ", "o", "", ""),
    "ô": ("ốồổỗộ", "o", "o", "6"),
    "ơ": ("ớờởỡợ", "o", "w", "7"),
    "u": ("úùủũụ", "u", "", ""),
    "ư": ("ứừửữự", "u", "w", "7"),
    "y": ("ýỳỷỹỵ", "y", "", ""),
}


def _letters() -> dict[str, tuple[str, str, str, int]]:
    """Each letter with diacritics: its base letter, Telex's and VNI's key for the mark, the number of the tone."""
    found: dict[str, tuple[str, str, str, int]] = {"đ": ("d", "d", "9", 0)}
    for plain, (toned, base, telex, vni) in _VOWELS.items():
        for tone, letter in enumerate((plain, *toned)):
            if letter != base:
                found[letter] = (base, telex, vni, tone)
    return found | {k.upper(): (base.upper(), telex, vni, tone) for k, (base, telex, vni, tone) in found.items()}


_LETTERS = _letters()
_BARE = str.maketrans({letter: base for letter, (base, *_) in _LETTERS.items()})  # đẹp -> dep
_TONELESS = str.maketrans(  # đẹp -> đep
    {toned: plain for plain, (tones, *_) in _VOWELS.items() for toned in tones}
    | {toned.upper(): plain.upper() for plain, (tones, *_) in _VOWELS.items() for toned in tones}
)
_ROWS = ("qwertyuiop", "asdfghjkl", "zxcvbnm")
_WORD = re.compile(r"[^\W\d_]+")
_EMOJI = re.compile(
    "[\u2190-\u21ff\u2300-\u27bf\u2b00-\u2bff\ufe0f\u200d\u20e3\U0001f000-\U0001faff]+"
    r"|[:;=][-']?(?:[()]+|[DPp]+(?!\w))"  # ":D", and not the beginning of "điểm:Pin"
)
_OPEN = {"oa": "òóỏõọ", "oe": "òóỏõọ", "uy": "ùúủũụ"}  # syllables without a last consonant, whose tone has two places


def _moved_tones() -> dict[str, str]:
    """Two letters at a word's end, with the tone on the first or the second, to those with it on the other."""
    order = "àáảãạ", "èéẻẽẹ", "ỳýỷỹỵ"
    pairs = [
        (first + ending[1], ending[0] + second)
        for (ending, firsts), seconds in zip(_OPEN.items(), order, strict=True)
        for first, second in zip(firsts, seconds, strict=True)
    ]
    both = dict(pairs) | {new: old for old, new in pairs}
    return {case(old): case(new) for case in (str.lower, str.capitalize, str.upper) for old, new in both.items()}


_MOVED = _moved_tones()
_ENDING = re.compile(rf"(?<![qQ])(?:{'|'.join(_MOVED)})(?!\w)")


def _neighbours() -> dict[str, str]:
    found = {}
    for i, row in enumerate(_ROWS):
        for j, key in enumerate(row):
            near = row[max(j - 1, 0) : j] + row[j + 1 : j + 2]
            for other in _ROWS[max(i - 1, 0) : i] + _ROWS[i + 1 : i + 2]:
                near += other[max(j - 1, 0) : j + 1]
            found[key] = near
    return found


_NEAR = _neighbours()


@dataclass(frozen=True)
class Noise:
    """With which chance, in 0..1, a training review is changed in each way, independently of the other ways."""

    stripped: float = 0.0  # no diacritics: "may dep"
    partly: float = 0.0  # no diacritics in a fifth to four fifths of the words
    typing: float = 0.0  # 1 to 5 % of the letters: the key beside it, left out, twice, changed places with the next
    telex: float = 0.0  # keys of Telex or VNI left in up to a third of the words: "đep5", "ddepj"
    teencode: float = 0.0  # short forms, of about half of the words that have one: "ko", "đc", "sp"
    stretched: float = 0.0  # the last letter of some words, three to six times: "đẹppp"
    emoji: float = 0.0  # emoji and emoticons left out
    tones: float = 0.0  # tones on the other letter: "hoà" for "hòa"

    def __bool__(self) -> bool:
        return any(getattr(self, kind.name) for kind in fields(self))

    def __call__(self, text: str, *place: int) -> str | None:
        """``text`` (str) as it is read at ``place``, such as (seed, epoch, row); None where it stays as it is."""
        rng = Random(repr(place))
        chance = rng.random
        drawn = [kind.name for kind in fields(self) if chance() < getattr(self, kind.name)]
        if not drawn:
            return None
        changed = text = composed(text)
        for kind, change in _KINDS.items():
            if kind in drawn:
                changed = change(changed, rng)
        return changed if changed != text and changed.strip() else None


def noise_faults(given: object) -> list[str]:
    """Faults of the setting ``data.noise``: None, or chances by the names of the kinds."""
    if given is None:
        return []
    if not isinstance(given, Mapping):
        return [
            f"data.noise={given}: expected chances, as data.noise.stripped=0.3 gives one; data/noise=typed has some"
        ]
    faults = [f"data.noise.{key}: no such kind of noise; {', '.join(_KINDS)}" for key in given if key not in _KINDS]
    for key, value in given.items():
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if key in _KINDS and not (number and 0 <= value <= 1):
            faults.append(f"data.noise.{key}={value}: expected a chance in [0, 1]")
    return faults


def _stripped(text: str, rng: Random) -> str:
    return text.translate(_BARE)


def _partly(text: str, rng: Random) -> str:
    share = 0.2 + 0.6 * rng.random()
    return _WORD.sub(lambda word: word[0].translate(_BARE) if rng.random() < share else word[0], text)


def _telex(text: str, rng: Random) -> str:
    """Keys of an input method that was off, or gave up on a word: all of them, or the one for the tone alone."""
    share, vni, tone_alone = rng.random() / 3, rng.random() < 0.5, rng.random() < 0.5

    def typed(word: re.Match[str]) -> str:
        if rng.random() >= share:
            return word[0]
        found = [_LETTERS[letter] for letter in word[0] if letter in _LETTERS]
        tone = max((tone for *_, tone in found), default=0)
        last = "" if not tone else str(tone) if vni else _TONES[tone - 1]
        if tone_alone:
            keys = word[0].translate(_TONELESS) + last
        else:
            each = (_LETTERS.get(letter, (letter, "", "")) for letter in word[0])
            keys = "".join(base + (v if vni else t) for base, t, v, *_ in each) + last
        return keys.upper() if len(word[0]) > 1 and word[0].isupper() else keys

    return _WORD.sub(typed, text)


def _teencode(text: str, rng: Random) -> str:
    share = 0.3 + 0.4 * rng.random()

    def shortened(word: re.Match[str]) -> str:
        forms = SHORT_FORMS.get(word[0].lower(), (word[0],))  # none of "ſản phẩm", which equals "sản phẩm" without case
        return forms[int(rng.random() * len(forms))] if rng.random() < share else word[0]

    return _LONG_FORM.sub(shortened, text)


def _stretched(text: str, rng: Random) -> str:
    def longer(word: re.Match[str]) -> str:
        return word[0] + word[0][-1].translate(_BARE) * (2 + int(4 * rng.random())) if rng.random() < 0.1 else word[0]

    return _WORD.sub(longer, text)


def _emoji(text: str, rng: Random) -> str:
    return _EMOJI.sub("", text)


def _tones(text: str, rng: Random) -> str:
    return _ENDING.sub(lambda ending: _MOVED[ending[0]], text)


def _typing(text: str, rng: Random) -> str:
    chance, rate, typed, skip = rng.random, 0.01 + 0.04 * rng.random(), [], False
    for i, letter in enumerate(text):
        if skip:  # it has changed places with the letter before
            skip = False
        elif chance() >= rate or not letter.isalpha():
            typed.append(letter)
        else:
            slip, key = chance(), letter.translate(_BARE)
            near = _NEAR.get(key.lower(), key)
            if slip < 0.4:
                other = near[int(chance() * len(near))]
                typed.append(other.upper() if letter.isupper() else other)
            elif slip < 0.6:
                typed.append(letter * 2)
            elif slip < 0.8 and i + 1 < len(text):
                typed.append(text[i + 1] + letter)
                skip = True
    return "".join(typed)


_KINDS = {  # in the order in which they happen: short forms are of words with diacritics, and slips come last
    "teencode": _teencode,
    "tones": _tones,
    "stretched": _stretched,
    "emoji": _emoji,
    "telex": _telex,
    "partly": _partly,
    "stripped": _stripped,
    "typing": _typing,
}
_LONG_FORM = re.compile(
    rf"(?<!\w)(?:{'|'.join(sorted(map(re.escape, SHORT_FORMS), key=len, reverse=True))})(?!\w)", re.IGNORECASE
)
