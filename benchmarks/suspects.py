"""How many changed labels stand among the first suspects: ``absa suspects`` on UIT-ViSFD, 5 % of its labels changed.

    python -m benchmarks.suspects path/to/UIT-ViSFD --reviews 600 --seeds 0 1 2
    python -m benchmarks.suspects path/to/UIT-ViSFD --reviews 0 --seeds 0 1 2          # the whole training file
    python -m benchmarks.suspects path/to/UIT-ViSFD --change thirds                    # a third of each kind

``any``: a label with a sentiment becomes another of its values, one of the two other sentiments or "not mentioned".
``thirds``: a third get another sentiment, a third are blanked, and as many blank cells get a sentiment. Which labels
are changed follows from the seed, as do folds and trainings. Labels that were wrong before count as right here.
"""

import argparse
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from src.answers.calibration import fit_calibration
from src.answers.predictions import Predictions
from src.data.reviews import Reviews, read_reviews
from src.data.splits import labels_of
from src.judge.crossed import averaged, by_encoder, by_tfidf, folds_of
from src.judge.suspects import rank_suspects
from src.labels import IGNORE, Labels

NAMES = "SCREEN CAMERA FEATURES BATTERY PERFORMANCE STORAGE DESIGN PRICE GENERAL SER&ACC OTHERS"


def changed(reviews: Reviews, change: str, seed: int, share: float = 0.05) -> tuple[Reviews, np.ndarray]:
    """The reviews with a share of their labels changed, and which cells were, bool [N, A]."""
    rng = np.random.default_rng(seed)
    mentioned, sentiment = reviews.mentioned.copy(), reviews.sentiment.copy()
    cells = np.argwhere(sentiment != IGNORE)
    blank = rng.permutation(np.argwhere(~mentioned[:, :-1]))
    which = np.zeros(mentioned.shape, bool)
    for j, (i, a) in enumerate(rng.permutation(cells)[: round(share * len(cells))]):
        kind = j % 3 if change == "thirds" else int(rng.integers(3)) // 2  # 0: another sentiment, 1: blank, 2: invent
        if kind == 2:
            i, a = blank[j]
            mentioned[i, a], sentiment[i, a] = True, rng.integers(3)
        elif kind == 1:
            mentioned[i, a], sentiment[i, a] = False, IGNORE
        else:
            sentiment[i, a] = rng.choice([c for c in range(3) if c != sentiment[i, a]])
        which[i, a] = True
    return replace(reviews, mentioned=mentioned, sentiment=sentiment), which


def plain(predictions: Predictions, labels: Labels) -> list[tuple[int, int]]:
    """Every cell, the least probable label first."""
    mentioned, sentiments = fit_calibration(predictions, labels).probabilities(predictions)
    assert mentioned is not None
    known = predictions.sentiment != IGNORE
    of = np.take_along_axis(sentiments, np.where(known, predictions.sentiment, 0)[..., None], -1)[..., 0]
    p = np.where(predictions.mentioned, mentioned * np.where(known, of, 1), 1 - mentioned)
    return [divmod(int(k), p.shape[1]) for k in np.argsort(p, axis=None, kind="stable")]


def main() -> None:
    """Print a row for each seed, opinion and order."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--reviews", type=int, default=600)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--change", choices=("any", "thirds"), default="any")
    parser.add_argument("--without-encoder", action="store_true", help="tf-idf alone: seconds")
    given = parser.parse_args()
    reviews, aspects = read_reviews(given.data / "Train.csv", aspects=NAMES.split())
    if given.reviews:
        reviews = reviews.take(np.arange(given.reviews))
    print("| seed | changed | opinion | order | first 50 | first 100 | seconds |\n|---|---|---|---|---|---|---|")
    for seed in given.seeds:
        noisy, which = changed(reviews, given.change, seed)
        labels, fold = labels_of(aspects, noisy), folds_of(noisy, 5, seed)
        started = time.monotonic()
        opinions = {"tf-idf": by_tfidf(noisy, labels, fold)}
        seconds = {"tf-idf": time.monotonic() - started}
        if not given.without_encoder:
            opinions["small encoder"] = by_encoder(noisy, labels, fold, seed)
            seconds["small encoder"] = time.monotonic() - started - seconds["tf-idf"]
            opinions["both"] = averaged([*opinions.values()], labels)
            seconds["both"] = time.monotonic() - started
        for name, said in opinions.items():
            turns = [(s.review, s.aspect) for s in rank_suspects(said, labels)]
            orders = {"label's probability": plain(said, labels), "in turns": turns}
            for order, cells in orders.items():
                hits = [sum(which[cell] for cell in cells[:n]) for n in (50, 100)]
                row = (seed, which.sum(), name, order, *hits, f"{seconds[name]:.0f}")
                print("|", " | ".join(map(str, row)), "|", flush=True)


if __name__ == "__main__":
    main()
