"""What correcting shares gains: on a run's test predictions, whole and in groups that complain more or less.

    python -m benchmarks.shares outputs/DATE/TIME [MORE ...]

Groups are drawn from test, reviews with one negative pair ``x`` times as likely as those without (with more: ``x``
squared). Errors are means over the aspects that carry sentiments and over the draws, in points: of the share of reviews
that blame the aspect, and of the share of negatives among its mentions. ``exact`` is the adjusted count without
validation's own shares.
"""

import argparse

import numpy as np

from src.answers import shares
from src.answers.predictions import read_predictions
from src.answers.shares import corrected, corrected_with_draws, validation_table
from src.answers.thresholds import Thresholds
from src.labels import IGNORE
from src.runs.run import Run

GROUPS = ((1.0, 0), (1.0, 300), (3.0, 300), (3.0, 1000), (1 / 3, 1000))  # x, reviews; 0: all of test, once
DRAWS = 6
WAYS = ("plain", "corrected", "exact")


def estimates(counts: np.ndarray, table: np.ndarray) -> dict[str, np.ndarray]:
    """Shares of the states, float64 [A, C + 1], by name of the way."""
    found = {"plain": counts / counts.sum(-1, keepdims=True)}
    found["corrected"], _ = corrected_with_draws(counts, table, 100)
    weight, shares.WEIGHT = shares.WEIGHT, 0.0
    found["exact"] = corrected(counts, table, rounds=1000)
    shares.WEIGHT = weight
    return found


def main() -> None:
    """Print a row for each run and kind of group."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", nargs="+")
    print("| run | negatives | reviews | plain | corrected | exact |\n|---|---|---|---|---|---|")
    for folder in parser.parse_args().runs:
        run = Run(folder)
        labels, cuts = run.labels, Thresholds.from_dict(run.read_summary()["thresholds"]).array
        table = validation_table(read_predictions(run.predictions("val"), labels), labels, cuts)
        test = read_predictions(run.predictions("test"), labels)
        carries, negative = np.array(labels.carries_sentiment), labels.sentiments.index("negative")
        states = len(labels.sentiments)
        answer = np.where(test.detected(cuts), np.where(carries, test.sentiment_said(), 0), states)
        gold = np.where(test.mentioned & (test.sentiment != IGNORE), test.sentiment, states)
        rng = np.random.default_rng(0)
        for times, size in GROUPS:
            errors: dict[str, list[tuple[float, float]]] = {}
            weight = times ** np.minimum((gold == negative).sum(1), 2.0)
            for _ in range(DRAWS if size else 1):
                rows = rng.choice(len(gold), size, p=weight / weight.sum()) if size else np.arange(len(gold))
                said, true = (_counts(which[rows], states + 1) for which in (answer, gold))
                for way, found in estimates(said, table).items():
                    off = np.abs(found - true / len(rows))[carries, negative].mean()
                    among = np.abs(_among(found, negative) - _among(true, negative))[carries].mean()
                    errors.setdefault(way, []).append((100 * off, 100 * among))
            told = [" / ".join(f"{value:.2f}" for value in np.mean(errors[w], 0)) for w in WAYS]
            print("|", " | ".join([folder, f"x {times:.2g}", str(size or len(gold)), *told]), "|", flush=True)
            if not size and "PRICE" in labels.aspects:
                a = labels.aspects.index("PRICE")
                price = {way: _among(found, negative)[a] for way, found in estimates(said, table).items()}
                told = [f"{way} {100 * share:.1f} %" for way, share in price.items()]
                print(
                    f"PRICE, negatives among mentions: true {100 * _among(true, negative)[a]:.1f} %, {', '.join(told)}"
                )


def _counts(states: np.ndarray, k: int) -> np.ndarray:
    return np.stack([np.bincount(column, minlength=k) for column in states.T])


def _among(found: np.ndarray, state: int) -> np.ndarray:
    share: np.ndarray = found[:, state] / np.maximum(found[:, :-1].sum(-1), 1e-12)
    return share


if __name__ == "__main__":
    main()
