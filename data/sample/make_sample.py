"""Write the sample: synthetic Vietnamese phone reviews with the sentiments of eleven aspects.

    python data/sample/make_sample.py            # rewrites train.csv, validation.csv, test.csv beside this file
    python data/sample/make_sample.py /tmp/here  # writes them there

Same bytes every time: one seed, standard library only. The words are in phrases.py.
"""

import csv
import random
import re
import sys
import unicodedata
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

from phrases import (
    CLOSINGS,
    EMOJI,
    OPENINGS,
    PARTICLES,
    PHRASES,
    PLAIN_LINKS,
    SAME_LINKS,
    SLOTS,
    STORIES,
    STRETCHED,
    TEENCODE,
    TURN_LINKS,
)

SEED = 20260
SIZES = {"train": 440, "validation": 80, "test": 80}
SENTIMENTS = ("Positive", "Negative", "Neutral")

# Pairs per thousand: which aspects people write about, and how. Neutral is rare, Others too, a price is mostly praised.
SHARES = {
    "Battery": (32, 70, 12),
    "Camera": (21, 43, 12),
    "Performance": (36, 48, 10),
    "Display": (22, 26, 9),
    "Design": (63, 19, 9),
    "Packaging": (43, 34, 8),
    "Price": (73, 7, 9),
    "Shop_Service": (32, 53, 13),
    "Shipping": (66, 44, 9),
    "General": (75, 64, 25),
    "Others": (2, 2, 13),
}
WEIGHTS = {(a, s): share for a, shares in SHARES.items() for s, share in zip(SENTIMENTS, shares, strict=True)}
ASPECTS_PER_REVIEW = (48, 28, 14, 6, 3, 1)  # weights of 1, 2, ... 6 aspects
AT_LEAST = {"train": 6, "validation": 1, "test": 1}  # reviews that start from each (aspect, sentiment)
SAME_SENTIMENT = 0.8  # chance that a further aspect takes the first one's sentiment
HELD_OUT = 0.18  # of the phrases of four words or more: kept out of train
UNSEEN = 0.35  # chance that validation and test draw a clause from the phrases that train lacks

Pair = tuple[str, str]
Pool = dict[Pair, tuple[list[str], list[str]]]  # pair -> (phrases of train, phrases that only this split has)


def pools() -> dict[str, Pool]:
    """The phrases each split may use. Held-out phrases go half to validation, half to test."""
    rng = random.Random(SEED)
    found: dict[str, Pool] = {split: {} for split in SIZES}
    for aspect, stocks in PHRASES.items():
        for sentiment, stock in zip(SENTIMENTS, stocks, strict=True):
            long_enough = [phrase for phrase in stock if len(phrase.split()) >= 4]
            held = rng.sample(long_enough, max(2, round(HELD_OUT * len(stock))))
            seen = [phrase for phrase in stock if phrase not in held]
            half = len(held) // 2
            only = {"train": [], "validation": held[:half], "test": held[half:]}
            for split in SIZES:
                found[split][aspect, sentiment] = (seen, only[split])
    return found


def first_pairs(split: str, rng: random.Random) -> list[Pair]:
    """One (aspect, sentiment) per review to start from: in proportion, and none forgotten."""
    size, total = SIZES[split], sum(WEIGHTS.values())
    counts = {pair: max(AT_LEAST[split], round(size * weight / total)) for pair, weight in WEIGHTS.items()}
    while (surplus := sum(counts.values()) - size) != 0:
        counts[max(counts, key=counts.__getitem__)] -= 1 if surplus > 0 else -1
    deck = [pair for pair, count in counts.items() for _ in range(count)]
    rng.shuffle(deck)
    return deck


def draw_labels(first: Pair, rng: random.Random) -> dict[str, str]:
    """Further aspects for a review; most share the first one's sentiment, so that few reviews are mixed."""
    labels = dict([first])
    wanted = rng.choices(range(1, 7), ASPECTS_PER_REVIEW)[0]
    while len(labels) < wanted:
        same = rng.random() < SAME_SENTIMENT
        free = [pair for pair in WEIGHTS if pair[0] not in labels and (not same or pair[1] == first[1])]
        aspect, sentiment = rng.choices(free, [WEIGHTS[pair] for pair in free])[0]
        if aspect != "General" or sentiment in (first[1], "Neutral"):  # a verdict does not contradict the review
            labels[aspect] = sentiment
    return labels


def draw_clauses(labels: dict[str, str], pool: Pool, rng: random.Random) -> list[tuple[str, str, str]]:
    """(aspect, sentiment, phrase), one or two per label: praise and blame in groups, the general verdict often last."""
    groups = rng.sample(SENTIMENTS, 3)
    order = sorted(rng.sample(sorted(labels), len(labels)), key=lambda aspect: groups.index(labels[aspect]))
    if "General" in order and rng.random() < 0.6:
        order.append(order.pop(order.index("General")))
    clauses = []
    for aspect in order:
        seen, unseen = pool[aspect, labels[aspect]]
        stock = unseen if unseen and rng.random() < UNSEEN else seen
        count = 2 if len(stock) > 1 and rng.random() < 0.45 else 1
        clauses += [(aspect, labels[aspect], phrase) for phrase in rng.sample(stock, count)]
    return clauses


def prose(clauses: list[tuple[str, str, str]], rng: random.Random) -> str:
    """The clauses in one line, with a turn ("nhưng", "được cái") where the sentiment changes."""
    text = clauses[0][2]
    for (last, before, _), (aspect, now, phrase) in pairwise(clauses):
        if "Others" in (last, aspect) or (aspect == "General" and now == before):
            links = PLAIN_LINKS
        elif aspect == "General":
            links = (", nhưng ", ". nhưng ", ". ")
        else:
            links = SAME_LINKS if now == before else TURN_LINKS[now]
        text += rng.choice(links) + phrase
    return text


def body(clauses: list[tuple[str, str, str]], rng: random.Random) -> str:
    """The clauses with what people write around them: opening, story, closing, lists, a form's first lines."""
    # "Used for two months" before "haven't tried much" would be odd.
    early = any(re.search(r"\b(mới|chưa) ", phrase) for _, _, phrase in clauses)
    openings = [opening for opening in OPENINGS if not (early and "{t}" in opening)]
    if len(clauses) > 1 and rng.random() < 0.12:
        bullet = rng.choice(("- ", "+ ", "", "* "))
        lines = [bullet + phrase for _, _, phrase in clauses]
        return "\n".join(([rng.choice(openings)] if rng.random() < 0.5 else []) + lines)
    text = prose(clauses, rng)
    if clauses[-1][0] != "Others" and rng.random() < 0.15:
        text += " " + rng.choice(PARTICLES)
    if len(clauses) == 1 and rng.random() < 0.2:
        return text
    if rng.random() < 0.08:
        story = rng.sample(STORIES, rng.randint(1, 4))
        text = ". ".join([rng.choice(openings), *story, text])
    elif rng.random() < 0.6:
        text = rng.choice(openings) + rng.choice((", ", ", ", ". ")) + text
    if rng.random() < 0.4:
        text += rng.choice((". ", ", ")) + rng.choice(CLOSINGS)
    if rng.random() < 0.07:
        text = "Màu: {c}\n" + rng.choice(("Bộ nhớ: 128GB", "Bộ nhớ: 64GB", "Loại máy: mới")) + "\n" + text
    return text


def without_marks(text: str) -> str:
    letters = (c for c in unicodedata.normalize("NFD", text) if not unicodedata.combining(c))
    return "".join(letters).replace("đ", "d").replace("Đ", "D")


def teencode(text: str, share: float, rng: random.Random) -> str:
    """Chat spellings ("không" -> "ko") for about this share of the words that have one; one spelling per review."""
    chosen = {word: rng.choice(spellings) if rng.random() < share else word for word, spellings in TEENCODE.items()}
    words = "|".join(sorted(chosen, key=len, reverse=True))
    return re.sub(rf"\b({words})\b", lambda m: chosen[m[1]], text)


def capitals(text: str) -> str:
    return re.sub(r"(^|[.!?] |\n)([^\W\d_])", lambda m: m[1] + m[2].upper(), text)


def stretch(text: str, rng: random.Random) -> str:
    """One emphatic word drawn out: "đẹp" -> "đẹpppp"."""
    found = list(re.finditer(rf"\b({'|'.join(STRETCHED)})\b", text))
    if not found:
        return text
    word = rng.choice(found)
    return text[: word.end()] + without_marks(word[1][-1]) * rng.randint(2, 5) + text[word.end() :]


def slip(text: str, rng: random.Random) -> str:
    """One typing slip: two neighbouring letters swapped inside a word."""
    words = list(re.finditer(r"\b[^\W\d_]{4,}\b", text))
    if not words:
        return text
    at = rng.choice(words).start() + rng.randint(1, 2)
    return text[:at] + text[at + 1] + text[at] + text[at + 2 :]


def type_out(text: str, sentiments: set[str], rng: random.Random) -> str:
    """Fill the slots and write the text the way phones and hurry do."""
    text = text.format(**{slot: rng.choice(words) for slot, words in SLOTS.items()})
    text = re.sub(r"\?[,.]", "?", text)
    text = teencode(text, rng.choices((0, 0.4, 0.9), (55, 30, 15))[0], rng)
    if rng.random() < 0.1:
        text = stretch(text, rng)
    if rng.random() < 0.08:
        text = slip(text, rng)
    punctuation = rng.choices(("{}", "", " {}", "..."), (72, 14, 8, 6))[0]
    if punctuation != "{}":
        text = re.sub(r"([,.]) ", lambda m: punctuation.format(m[1]) + " ", text)
    if rng.random() < 0.65:
        text = capitals(text)
    if not text.endswith("?"):
        text += rng.choice(("", "", "", ".", ".", "!", "..."))
    if len(sentiments) == 1 and rng.random() < 0.25:
        emoji = rng.choice(EMOJI[min(sentiments)])
        text += " " + emoji * rng.choice((1, 1, 2, 3) if len(emoji) == 1 else (1,))
    if rng.random() < 0.07:
        text = without_marks(text)
    elif rng.random() < 0.035:
        text = text.upper()
    return unicodedata.normalize("NFC", text)


def reviews() -> Iterator[tuple[str, str, dict[str, str]]]:
    """(split, text, labels); texts that differ only in marks, case or punctuation count as the same and are redrawn."""
    rng = random.Random(SEED)
    used = {""}
    for split, pool in pools().items():
        for first in first_pairs(split, rng):
            key = ""
            while key in used:
                labels = draw_labels(first, rng)
                text = type_out(body(draw_clauses(labels, pool, rng), rng), set(labels.values()), rng)
                key = re.sub(r"\W", "", without_marks(text.lower()))
            used.add(key)
            yield split, text, labels


def main(folder: Path) -> None:
    rows: dict[str, list[list[str]]] = {split: [] for split in SIZES}
    for split, text, labels in reviews():
        rows[split].append([text, *(labels.get(aspect, "") for aspect in SHARES)])
    for split, lines in rows.items():
        with (folder / f"{split}.csv").open("w", encoding="utf-8", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows([["data", *SHARES], *lines])


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent)
