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
