"""Unicode's composed form NFC, in time proportional to the text whatever it holds."""

import unicodedata

SHORT = 500  # characters, up to which the square of a run of marks is no matter


def composed(text: str) -> str:
    """The text in NFC.

    ``unicodedata`` sorts a run of combining marks in time that grows with its square, and lets no other thread work
    meanwhile; tokenizers does not, but takes fifty times as long for an ordinary review.
    """
    if len(text) <= SHORT:
        return unicodedata.normalize("NFC", text)
    from tokenizers import normalizers  # imported here: most files hold no text as long as that

    return str(normalizers.NFC().normalize_str(text))


def without_marks(text: str) -> str:
    """The text with the marks taken off its letters, ``đ`` as ``d``; of a long text only the beginning."""
    letters = unicodedata.normalize("NFD", text[:SHORT].replace("đ", "d"))
    return "".join(letter for letter in letters if not unicodedata.combining(letter))
