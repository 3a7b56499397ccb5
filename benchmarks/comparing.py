"""False alarms and power of `absa compare`, simulated on the test predictions of runs that differ in their seed alone.

    python benchmarks/comparing.py sweeps/seeds

Runs are drawn into two "settings" of 1 to 4 seeds each, without replacement, on resampled test reviews, many times: no
difference is there, so what has p < 0.05 is a false alarm. For the power one setting is made worse by a point of
pair_f1: right pairs, the same ones in all of its runs, become wrong.
"""

import argparse
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from src.answers.figures import Counts, f1
from src.judge.candidates import find_runs, read_candidate, refuse_other_tests
from src.judge.intervals import difference, p_value

POINT = 0.01
Arrays = list[np.ndarray]  # of a run, int [N] each: pairs that are right, pairs said, gold pairs


def counted(counts: Counts, carries: np.ndarray) -> Arrays:
    """Per review what ``pair_f1`` is made of, int64 [N] each."""
    hit, said, gold = counts.pair_hit[:, carries], counts.pair_said[:, carries], counts.confusion[:, carries]
    return [x.reshape(len(x), -1).sum(1) for x in (hit, said, gold)]


def made_worse(counts: Counts, carries: np.ndarray, draw: np.ndarray) -> Counts:
    """The counts where right pairs whose ``draw``, float [N, A], is low are wrong, so that pair_f1 falls by a point."""
    hits = counts.pair_hit[:, carries].any(-1)
    _, said, gold = (x.sum() for x in counted(counts, carries))
    lost = POINT * (said + gold) / 2
    return replace(counts, pair_hit=counts.pair_hit & ~(draw < lost / hits.sum())[:, :, None])


def figure(runs: list[Arrays], weights: np.ndarray) -> np.ndarray:
    """pair_f1 of each run over reviews weighted by ``weights`` [draws, N]: float64 [runs, draws]."""
    return np.array([f1(*(weights @ x for x in run)) for run in runs])


def simulate(counts: list[Counts], carries: np.ndarray, rounds: int, draws: int) -> dict[str, dict[int, list[float]]]:
    """p-values by seeds per setting: without a difference, with one, and of two runs by the reviews alone."""
    rng, n = np.random.default_rng(0), len(counts[0].mentioned_hit)
    found: dict[str, dict[int, list[float]]] = {"null": {}, "point": {}}
    for _ in range(rounds):
        drawn = np.bincount(rng.integers(0, n, n), minlength=n).astype(float)  # the reviews of this test set
        weights = rng.multinomial(n, drawn / n, draws).astype(np.float32)
        plain = [counted(c, carries) for c in counts]
        worse = [
            counted(made_worse(c, carries, chance), carries)
            for chance in [rng.random((n, len(carries)))]
            for c in counts
        ]
        at = {
            name: (figure(runs, drawn[None])[:, 0], figure(runs, weights))
            for name, runs in (("a", plain), ("b", worse))
        }
        for k in range(1, len(counts) // 2 + 1):
            for _ in range(20):
                order = rng.permutation(len(counts))
                one, other = order[:k], order[k : 2 * k]
                for kind, name in (("null", "a"), ("point", "b")):
                    p = difference(at["a"][0][one], at[name][0][other], at["a"][1][one], at[name][1][other])[2]
                    found[kind].setdefault(k, []).append(p)
                    if k > 1:  # what was printed before seeds counted: a bootstrap of the means over reviews
                        means = [at[x][1][rows].mean(0) for x, rows in (("a", one), (name, other))]
                        value = at["a"][0][one].mean() - at[name][0][other].mean()
                        found.setdefault(f"{kind}, reviews alone", {}).setdefault(k, []).append(
                            p_value(float(value), means[0] - means[1])
                        )
    return found


def main() -> None:
    """Print a table: seeds per setting, false alarms and power."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", help="a multirun over seeds: python train.py -m seed=1,2,3,4,5,6,7,8 ...")
    parser.add_argument("--rounds", type=int, default=50, help="test sets of resampled reviews")
    parser.add_argument("--draws", type=int, default=400, help="of the bootstrap in each")
    given = parser.parse_args()
    candidates = [read_candidate(folder) for folder in find_runs([given.folder])[0]]
    refuse_other_tests(candidates)
    carries = np.array(candidates[0].labels.carries_sentiment)
    counts = [c.each for c in candidates]
    single = figure([counted(c, carries) for c in counts], np.ones((1, len(counts[0].mentioned_hit))))[:, 0]
    print(f"{len(counts)} runs, pair_f1 {single.mean():.4f}, deviation over seeds {single.std(ddof=1):.4f}, ", end="")
    print(f"{len(counts[0].mentioned_hit):,} reviews; {given.rounds} test sets, 20 draws of seeds each\n")
    found = simulate(counts, carries, given.rounds, given.draws)
    print("| seeds a setting | false alarms | power, one point | false alarms, reviews alone | power, reviews alone |")
    print("|---:|---:|---:|---:|---:|")
    for k in found["null"]:
        kinds = ("null", "point", "null, reviews alone", "point, reviews alone")
        shares = [np.mean(np.array(found[kind].get(k, found[kind.split(",")[0]][k])) < 0.05) for kind in kinds]
        print(f"| {k} | " + " | ".join(f"{100 * share:.1f} %" for share in shares) + " |")


if __name__ == "__main__":
    main()
