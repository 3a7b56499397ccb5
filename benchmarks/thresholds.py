"""What tuned detection thresholds gain over 0.5, by the number of validation reviews.

    python benchmarks/thresholds.py RUN RUN ... --out benchmarks/thresholds.svg

For each run, and for tf-idf on the first one's data: validation sets of 50 to all reviews, drawn 20 times without
replacement, thresholds tuned on each, and the difference to 0.5 in pair_f1 and aspect_f1_macro on the whole test split.
"before" is the method until now: the best cuts on all reviews, the one cut as it is, an aspect's drawn to that by 10
mentions. Prints a Markdown table, and with --out draws it.
"""

import argparse
import sys
from collections.abc import Iterable
from html import escape
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from src.answers import thresholds
from src.answers.figures import evaluate, figures
from src.answers.predictions import Predictions, read_predictions, sigmoid
from src.judge.baselines import predictions_by_tfidf, splits_of
from src.labels import Labels
from src.runs.run import Run

SIZES = (50, 100, 200, 400)
DRAWS = 20
NAMES = ("pair_f1", "aspect_f1_macro")


def taken(p: Predictions, rows: np.ndarray) -> Predictions:
    """The predictions at ``rows``, int [M], without ids and texts."""
    return Predictions([], [], *(x[rows] for x in (p.mentioned, p.sentiment, p.sentiment_logits, p.mentioned_logits)))


def now(p: Predictions, labels: Labels) -> np.ndarray:
    """Thresholds, float [A], as training tunes them."""
    return thresholds.tune_thresholds(p, labels).array


def before(p: Predictions, labels: Labels) -> np.ndarray:
    """Thresholds, float [A], as training tuned them in version 0.2."""
    right = p.sentiment_said() == p.sentiment
    return sigmoid(thresholds._cuts_on(p.mentioned_logits, p.mentioned, right, p.sentiment, labels)[1])


def points(p: Predictions, cut: float | np.ndarray, labels: Labels) -> np.ndarray:
    """NAMES in points (hundredths)."""
    values = figures(evaluate(p, cut), labels, "absa")
    return 100 * np.array([float(values[name]) for name in NAMES])


def gains(val: Predictions, test: Predictions, labels: Labels, rows: np.ndarray, size: int) -> np.ndarray:
    """What each method gains over 0.5 on ``test``: float64 [draws, methods, NAMES]; ``rows`` of val may be drawn."""
    at_half, found = points(test, 0.5, labels), []
    for draw in range(DRAWS if size < len(rows) else 1):
        drawn = np.random.default_rng([size, draw]).permutation(rows)[:size]
        found.append([points(test, tune(taken(val, drawn), labels), labels) - at_half for tune in (now, before)])
    return np.array(found)


def drawing(table: dict[str, dict[int, np.ndarray]]) -> str:
    """An SVG with a panel for each model: mean gain in pair_f1 by the number of reviews, and its range over draws."""
    wide, high, left, top = 230, 190, 42, 28
    every = np.concatenate([x[:, :, 0].ravel() for found in table.values() for x in found.values()])
    low, most = min(every.min(), 0), max(every.max(), 0)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{left + wide * len(table)}" height="{high + 2 * top + 14}"'
    ]
    parts[0] += ' font-family="sans-serif" font-size="11"><rect width="100%" height="100%" fill="white"/>'
    for i, (name, found) in enumerate(table.items()):
        start, sizes = left + i * wide, list(found)
        x = start + 8 + (wide - 40) * np.log(np.array(sizes) / sizes[0]) / np.log(sizes[-1] / sizes[0])

        def y(value: np.ndarray | float) -> np.ndarray:
            return top + high * (most - np.asarray(value)) / (most - low)

        parts.append(f'<text x="{start + 8}" y="16" font-weight="bold">{escape(name)}</text>')
        parts.append(f'<path d="M{start} {y(0):.1f}h{wide - 24}" stroke="#999"/>')
        for method, colour in ((1, "#b4530a"), (0, "#1f5fbf")):
            of = [found[size][:, method, 0] for size in sizes]
            upper, lower, mean = (y(np.array([f(v) for v in of])) for f in (np.max, np.min, np.mean))
            ring = [*zip(x, upper, strict=True), *zip(x[::-1], lower[::-1], strict=True)]
            parts.append(f'<polygon points="{_points(ring)}" fill="{colour}" opacity=".15"/>')
            line = _points(zip(x, mean, strict=True))
            parts.append(f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts += [
            f'<text x="{a:.1f}" y="{top + high + 14}" text-anchor="middle">{n}</text>'
            for a, n in zip(x, sizes, strict=True)
        ]
        if not i:
            ticks = np.arange(np.ceil(2 * low) / 2, most, 0.5)
            parts += [f'<text x="{left - 6}" y="{y(t) + 4:.1f}" text-anchor="end">{t:+.1f}</text>' for t in ticks]
    words = "points of pair_f1 on test over thresholds of 0.5, by validation reviews; blue: now, orange: before"
    return "\n".join([*parts, f'<text x="{left}" y="{top + high + 34}">{words}</text></svg>', ""])


def _points(pairs: Iterable[tuple[float, float]]) -> str:
    return " ".join(f"{a:.1f},{b:.1f}" for a, b in pairs)


def main() -> None:
    """Print the table; with --out also draw it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", help="folders of finished runs of one data set")
    parser.add_argument(
        "--halves", action="store_true", help="judge on the half of val that is not drawn from, not test"
    )
    parser.add_argument("--out", type=Path, help="a drawing, .svg")
    given = parser.parse_args()
    runs = [Run(folder) for folder in given.runs]
    labels = runs[0].labels
    models = {}
    for run in runs:
        models[run.folder.name] = tuple(read_predictions(run.predictions(split), labels) for split in ("val", "test"))
    splits = splits_of(runs[0].read_summary(), labels)
    models["tf-idf"] = predictions_by_tfidf(splits, labels, models[runs[0].folder.name][1])
    table: dict[str, dict[int, np.ndarray]] = {}
    print("| model | reviews | now | worst draw | before | worst draw | aspect_f1_macro: now | before |")
    print("|---|---:|---:|---:|---:|---:|---:|---:|")
    for name, (val, test) in models.items():
        rows = np.random.default_rng(0).permutation(len(val.mentioned))
        if given.halves:
            half = len(rows) // 2
            rows, test = rows[:half], taken(val, rows[half:])
        for size in (*(size for size in SIZES if size < len(rows)), len(rows)):
            found = gains(val, test, labels, rows, size)
            table.setdefault(name, {})[size] = found
            mean, worst = found.mean(0), found.min(0)
            cells = [mean[0, 0], worst[0, 0], mean[1, 0], worst[1, 0], mean[0, 1], mean[1, 1]]
            print(f"| {name} | {size:,} | " + " | ".join(f"{x:+.2f}" for x in cells) + " |", flush=True)
    if given.out:
        given.out.write_text(drawing(table), encoding="utf-8")


if __name__ == "__main__":
    main()
