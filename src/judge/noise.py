"""Reviews as people also type them: the kinds of noise in which a model is judged.

They are written apart from any noise that training may use, so that a model is not judged by what it learnt letter for
letter; ``words joined`` is not to be trained on at all. Every kind is a function of a text in NFC and a source of
chance. The same seed, kind and text give the same noise, whatever stands around the text.
"""

import random
import re
import unicodedata
from collections.abc import Callable, Sequence
from itertools import product

from ..data.nfc import composed

_LETTERS = 0.03  # of the letters: dropped, swapped with the next one, or doubled
_SHORTENED = 0.7  # of the words and phrases in _SHORT_FORMS
_KEYED = 0.2  # of the words with marks
_STRETCHED = 0.15  # of the words
_JOINED = 0.2  # of the blanks between two words
_TONES = {
    "\u0300": "f2",
    "\u0301": "s1",
    "\u0309": "r3",
    "\u0303": "x4",
    "\u0323": "j5",
}  # mark -> key in Telex, in VNI
_SHAPES = {"ă": "w8", "â": "a6", "ê": "e6", "ô": "o6", "ơ": "w7", "ư": "w7", "đ": "d9"}
_MARKS = (*_TONES, "\u0302", "\u0306", "\u031b")  # those of Vietnamese: tones, circumflex, breve, horn
# Our own list, of the kind that lexical normalization undoes: https://aclanthology.org/2024.eacl-long.85 (ViLexNorm)
_SHORT_FORMS = {
    "không": ("ko", "k", "hok", "khg"),
    "được": ("dc", "đc", "đk"),
    "điện thoại": ("đt", "dt"),
    "sản phẩm": ("sp",),
    "nhân viên": ("nv",),
    "màn hình": ("mh",),
    "bình thường": ("bt", "bthg"),
    "bảo hành": ("bh",),
    "bây giờ": ("bi h", "bh"),
    "chất lượng": ("chất lg",),
    "cảm ơn": ("tks", "cám ơn"),
    "nói chung": ("nch",),
    "mọi người": ("mn",),
    "người": ("ng",),
    "mình": ("mk", "mik"),
    "những": ("nhg", "nhữg"),
    "nhưng": ("nhưg", "nhug"),
    "nhiều": ("nhìu", "nhju"),
    "cũng": ("cg", "cx"),
    "trước": ("trc",),
    "thích": ("thik", "thix"),
    "biết": ("bít", "bik"),
    "muốn": ("mún",),
    "luôn": ("lun",),
    "với": ("vs", "vz"),
    "vậy": ("v", "zậy"),
    "rồi": ("r", "gòi"),
    "quá": ("wá", "qá"),
    "chưa": ("chx",),
    "làm": ("lm",),
    "thôi": ("thui",),
    "gì": ("j",),
    "yêu": ("iu",),
    "anh": ("a",),
    "em": ("e",),
}
_WORD = re.compile(r"[^\W\d_]+")
_BLANK = re.compile(r"(?<=\w)[ \t]+(?=\w)")
_PHRASE = re.compile(rf"(?<!\w)(?:{'|'.join(_SHORT_FORMS)})(?!\w)", re.IGNORECASE)  # longer ones stand first
_EMOJI = re.compile(
    "(?<![ \t])[ \t]*"
    "(?:[\U0001f000-\U0001faff\u2600-\u27bf\u231a-\u23ff\u2b1b\u2b1c\u2b50\u2b55\u3030\u303d\u3297\u3299]"
    "[\ufe0e\ufe0f\u200d\u20e3\U000e0020-\U000e007f]*|[#*0-9]\ufe0f?\u20e3)+"
)

_Noise = Callable[[str, random.Random], str]


def noisy(kind: str, text: str, seed: int = 0) -> str:
    """``text``, in NFC, with the noise called ``kind``, one of :data:`NOISES`."""
    text = composed(text)
    return NOISES[kind](text, random.Random(f"{seed} {kind} {text.encode('utf-8', 'replace').decode()}"))


def changed_by(kind: str, texts: Sequence[str], seed: int = 0) -> dict[int, str]:
    """The noisy text by its position, of those that the noise changes."""
    made = ((i, composed(text), noisy(kind, text, seed)) for i, text in enumerate(texts))
    return {i: after for i, before, after in made if after != before}


def _without_diacritics(text: str, rng: random.Random) -> str:
    """No mark on any letter, ``đ`` as ``d``: "máy đẹp" -> "may dep"."""
    return text.translate(_PLAIN)


def _typing_errors(text: str, rng: random.Random) -> str:
    """Some letters dropped, swapped with the next one or doubled, one as likely as the other: "đẹp" -> "đpẹ"."""
    letters, i = list(text), 0
    while i < len(letters):
        if letters[i].isalpha() and rng.random() < _LETTERS:
            act = rng.randrange(3)
            if act == 0:
                letters[i] = ""
            elif act == 1:
                letters[i] *= 2
            elif i + 1 < len(letters) and letters[i + 1].isalpha():
                letters[i : i + 2] = letters[i + 1], letters[i]
                i += 1
        i += 1
    return "".join(letters)


def _teencode(text: str, rng: random.Random) -> str:
    """Abbreviations: "không được" -> "ko dc"."""

    def short(found: re.Match[str]) -> str:
        forms = _SHORT_FORMS.get(found[0].lower(), ())  # none of "ſp", which is no "sp" but equals it without case
        return rng.choice(forms) if forms and rng.random() < _SHORTENED else found[0]

    return _PHRASE.sub(short, text)


def _keys_left(text: str, rng: random.Random) -> str:
    """Marks left as the keys of Telex or of VNI, one of them a review: "đẹp" -> "ddepj" or "d9ep5"."""
    method = rng.randrange(2)

    def typed(found: re.Match[str]) -> str:
        word = found[0]
        keys = _keys(word, method)
        return keys if keys != word and rng.random() < _KEYED else word

    return _WORD.sub(typed, text)


def _stretched(text: str, rng: random.Random) -> str:
    """The last letter of some words typed two to four times more, without its marks: "quá" -> "quáaaa"."""

    def longer(found: re.Match[str]) -> str:
        word = found[0]
        if len(word) < 2 or rng.random() >= _STRETCHED:
            return word
        return word + word[-1].translate(_PLAIN) * rng.randint(2, 4)

    return _WORD.sub(longer, text)


def _without_emoji(text: str, rng: random.Random) -> str:
    """No emoji, nor the blanks before one."""
    return _EMOJI.sub("", text)


def _tones_moved(text: str, rng: random.Random) -> str:
    """The tone mark of open oa, oe and uy on the other vowel, as the other spelling has it: "hòa" <-> "hoà"."""
    return _OPEN_SYLLABLE.sub(lambda found: _MOVED[found[0]], text)


def _words_joined(text: str, rng: random.Random) -> str:
    """Some words without the blank between them: "máy đẹp" -> "máyđẹp"."""
    return _BLANK.sub(lambda found: "" if rng.random() < _JOINED else found[0], text)


def _keys(word: str, method: int) -> str:
    """A word as it is typed in Telex (0) or VNI (1), the tone at the end."""
    typed, tone = "", ""
    for letter in word:
        parts = unicodedata.normalize("NFD", letter)
        tone = next((_TONES[mark][method] for mark in parts if mark in _TONES), tone)
        bare = unicodedata.normalize("NFC", "".join(part for part in parts if part not in _TONES))
        key = _SHAPES.get(bare.lower())
        typed += bare.translate(_PLAIN) + (key[method] if key else "")
    keys = typed + tone
    return keys.upper() if len(word) > 1 and word.isupper() else keys


def _plain() -> dict[int, str]:
    """For ``str.translate``: every letter with Vietnamese marks without them, and nothing for a mark alone."""
    plain = {ord(mark): "" for mark in _MARKS} | {ord("đ"): "d", ord("Đ"): "D"}
    for code in (*range(0xC0, 0x250), *range(0x1E00, 0x1F00)):
        parts = unicodedata.normalize("NFD", chr(code))
        if len(parts) > 1 and set(parts[1:]) <= set(_MARKS):
            plain[code] = parts[0]
    return plain


def _moved() -> dict[str, str]:
    """Two vowels with the tone mark on one of them -> the same with it on the other, in both cases of both letters."""
    moved: dict[str, str] = {}
    for vowels, tone in product(("oa", "oe", "uy"), _TONES):
        for first, second in product(*((vowel, vowel.upper()) for vowel in vowels)):
            old, new = (unicodedata.normalize("NFC", t) for t in (first + tone + second, first + second + tone))
            moved |= {old: new, new: old}
    return moved


_PLAIN, _MOVED = _plain(), _moved()
_OPEN_SYLLABLE = re.compile(rf"(?<![qQ])(?:{'|'.join(_MOVED)})(?![^\W\d_])")
NOISES: dict[str, _Noise] = {
    "without diacritics": _without_diacritics,
    "typing errors": _typing_errors,
    "teencode": _teencode,
    "Telex and VNI keys": _keys_left,
    "stretched letters": _stretched,
    "words joined": _words_joined,
    "tone marks moved": _tones_moved,
    "without emoji": _without_emoji,
}
