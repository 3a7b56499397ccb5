"""Which reviews to label next: those of which the model is unsure, and, of so many, those that are unlike each other.

Unsure: the least probable answers (least confidence; Culotta and McCallum 2005, "Reducing Labeling Effort for
Structured Prediction Tasks"). Unlike each other: BADGE (Ash et al. 2020, "Deep Batch Active Learning by Diverse,
Uncertain Gradient Lower Bounds"), which draws by k-means++ (Arthur and Vassilvitskii 2007) among the gradients that the
answers would give if they were the labels. A bundle gives no hidden states, so tf-idf of the words stands in for them.
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any
from zlib import crc32

import numpy as np

from ..data.nfc import composed

ONE_WORD = re.compile(r"\w+")
HASHED = 1024  # of a review's tf-idf vector: words are hashed to so many places
BETA = 10  # reviews, the least certain, among which one is chosen (Zhdanov 2019, "Diverse mini-batch Active Learning")


def certainty(answer: Mapping[str, Any]) -> float:
    """The probability that all of an answer is right, if its aspects were independent: 0..1.

    ``answer`` is one of :meth:`src.answers.decisions.Decisions.answers`, with ``all``.
    """
    p = 1.0
    for aspect, given in answer["all"].items():
        said = answer["aspects"].get(aspect)
        p *= said["confidence"] if said else 1 - given["mentioned"] if "mentioned" in given else 1.0
    return p


def gradient(answer: Mapping[str, Any]) -> np.ndarray:
    """The gradient of the loss at the outputs if the answer were the label, float32 [A x (1 + C)].

    It is short where the model is sure. ``answer`` is one with ``all``. A sentiment counts by how likely its aspect is
    mentioned.
    """
    values: list[float] = []
    for aspect, given in answer["all"].items():
        said = answer["aspects"].get(aspect)
        there = given.get("mentioned", float(said is not None))
        values.append(there - (said is not None))
        sentiments = {name: p or 0.0 for name, p in given.items() if name != "mentioned"}
        top = said["sentiment"] if said else max(sentiments, key=lambda name: sentiments[name], default=None)
        values += [there * (p - (name == top)) if any(sentiments.values()) else 0.0 for name, p in sentiments.items()]
    return np.array(values, np.float32)


def choose_reviews(texts: Sequence[str], gradients: np.ndarray, budget: int, seed: int = 0) -> list[int]:
    """The positions of ``budget`` reviews, in the order in which they are chosen.

    ``texts`` [N] are unlabelled reviews and ``gradients`` float32 [N, G] their :func:`gradient`. The same arguments
    give the same reviews.
    """
    rng, words = np.random.default_rng(seed), tf_idf(texts)
    squared = (gradients**2).sum(1)  # the length of the outer product of gradient and words, whose length is 1
    chosen: list[int] = []
    nearest = np.full(len(texts), np.inf)  # squared distance to the nearest that is chosen
    while len(chosen) < min(budget, len(texts)):
        if not chosen:
            one = int(squared.argmax())
        elif (total := nearest.sum()) > 0:
            one = int(rng.choice(len(texts), p=nearest / total))
        else:  # all that is left is the same as one that is chosen
            one = next(i for i in range(len(texts)) if i not in set(chosen))
        chosen.append(one)
        alike = (gradients @ gradients[one]) * (words @ words[one])
        nearest = np.minimum(nearest, np.maximum(squared + squared[one] - 2 * alike, 0).astype(np.float64))
        nearest[chosen] = 0
    return chosen


def choose_answered(reviews: Sequence[tuple[str, Mapping[str, Any]]], budget: int) -> list[int]:
    """As :func:`choose_reviews`, of texts with the answers to them."""
    gradients = np.stack([gradient(answer) for _, answer in reviews])
    return choose_reviews([text for text, _ in reviews], gradients, budget)


def surest_last(sure: Sequence[float]) -> list[int]:
    """The positions of the reviews, by :func:`certainty`, those of equal certainty in their order."""
    order: list[int] = np.argsort(sure, kind="stable").tolist()
    return order


def tf_idf(texts: Sequence[str]) -> np.ndarray:
    """A vector of length 1 for each text, float32 [N, HASHED]: its words by their number and by how rare they are."""
    counts = [
        Counter(crc32(word.encode()) % HASHED for word in ONE_WORD.findall(composed(t).casefold())) for t in texts
    ]
    vectors = np.zeros((len(texts), HASHED), np.float32)
    for row, count in zip(vectors, counts, strict=True):
        row[list(count)] = [1 + np.log(n) for n in count.values()]
    vectors *= 1 + np.log((1 + len(texts)) / (1 + (vectors > 0).sum(0)))
    lengths: np.ndarray = np.sqrt((vectors**2).sum(1, keepdims=True))
    unit: np.ndarray = vectors / np.maximum(lengths, 1e-9)
    return unit
