"""Reviews that `absa predict --budget` chooses against random ones: what a round of annotation teaches.

    python -m benchmarks.annotation path/to/UIT-ViSFD --out benchmarks/annotation.svg

From 300 labelled reviews of Train.csv: train the small encoder, choose 100 of the other reviews, label them (from the
file), train anew on all; three rounds, three seeds. All ways begin with the same 300 reviews and model. Every model is
tuned, and its best epoch chosen, on 400 reviews of Dev.csv; a way of choosing may be chosen by `val` alone. `--folder`
keeps what was trained: the same command goes on there. Prints a Markdown table, and with --out draws it.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.suspects import NAMES as ASPECTS
from benchmarks.thresholds import _points
from src.answers.teaching import BETA, certainty, choose_reviews, gradient
from src.data.reviews import Reviews, read_reviews
from src.labels import IGNORE
from src.runs.run import Run
from train import train

SETTINGS = ["experiment=mini", "model.r_drop=0", "data=table", "data.batch_size=16", "trainer.precision=32-true"]
NAMES = ASPECTS.split()
FIGURES = ("pair_f1", "aspect_f1_macro")
VALIDATION = 400  # reviews: the first of Dev.csv


def badge(texts: list[str], answers: list[dict], count: int, rng: np.random.Generator) -> list[int]:
    """As `absa predict --budget` chooses: the least certain, and of these what BADGE draws."""
    pool = np.argsort([certainty(answer) for answer in answers], kind="stable")[: BETA * count].tolist()
    picked = choose_reviews([texts[i] for i in pool], np.array([gradient(answers[i]) for i in pool]), count)
    return [pool[i] for i in picked]


def least_certain(texts: list[str], answers: list[dict], count: int, rng: np.random.Generator) -> list[int]:
    """The least certain alone."""
    return np.argsort([certainty(answer) for answer in answers], kind="stable")[:count].tolist()


def at_random(texts: list[str], answers: list[dict], count: int, rng: np.random.Generator) -> list[int]:
    """Any reviews."""
    return rng.permutation(len(texts))[:count].tolist()


WAYS: dict[str, Callable] = {"random": at_random, "chosen": badge, "least certain": least_certain}


def write_rows(path: Path, reviews: Reviews, rows: list[int], aspects: list[str] = NAMES) -> None:
    """The reviews at ``rows`` as JSON lines, with the labels of ``aspects``."""
    lines = []
    for i in rows:
        labels = {
            name: "mentioned" if c == IGNORE else reviews.sentiments[c]
            for name, there, c in zip(NAMES, reviews.mentioned[i], reviews.sentiment[i].tolist(), strict=True)
            if there and name in aspects
        }
        lines.append(json.dumps({"text": reviews.texts[i], "labels": labels}, ensure_ascii=False) + "\n")
    path.write_text("".join(lines), encoding="utf-8")


def trained(folder: Path, reviews: Reviews, rows: list[int], data: Path, seed: int, epochs: int) -> Run:
    """The run in ``folder``, trained on the reviews at ``rows`` unless it is there."""
    folder.mkdir(parents=True, exist_ok=True)
    run = Run(folder / "run")
    if not (run.folder / "summary.json").is_file():
        write_rows(folder / "train.jsonl", reviews, rows)
        val, _ = read_reviews(data / "Dev.csv", aspects=NAMES)
        write_rows(folder / "val.jsonl", val, list(range(VALIDATION)))
        files = [f"data.train={folder / 'train.jsonl'}", f"data.val={folder / 'val.jsonl'}"]
        files.append(f"data.test={data / 'Test.csv'}")
        names = f"data.aspects=[{','.join(NAMES)}]"
        given = [f"seed={seed}", f"trainer.max_epochs={epochs}", f"hydra.run.dir={run.folder}", "data.leaks=warn"]
        train([*SETTINGS, *files, names, "data.ignore_columns=[n_star,date_time]", *given])
    return run


def curve(way: str, seed: int, given: argparse.Namespace, reviews: Reviews, texts: list[str]) -> list[dict]:
    """The figures of each round: ``{"reviews": 300, "pairs": ..., "val": {...}, "test": {...}}``."""
    from src.judge.inference import load_run

    rng = np.random.default_rng([seed, len(way)])
    order = np.random.default_rng(seed).permutation(len(texts)).tolist()
    rows, found = order[: given.start], []
    for number in range(given.rounds + 1):
        where = given.folder / f"{seed}" / (f"{way}-{number}" if number else "start")
        run = trained(where, reviews, rows, given.data, seed, given.epochs)
        figures = run.read_summary()["figures"]
        pairs = int((reviews.sentiment[rows] != IGNORE).sum())
        kept = {split: {name: figures[split][name] for name in FIGURES} for split in ("val", "test")}
        found.append({"reviews": len(rows), "pairs": pairs, **kept})
        if number < given.rounds:
            taken = set(rows)
            left = [i for i in order if i not in taken]
            asked = [texts[i] for i in left]
            answers = [] if way == "random" else load_run(run.folder).predict(asked, all_aspects=True)
            rows = rows + [left[i] for i in WAYS[way](asked, answers, given.add, rng)]
    return found


def main() -> None:
    """Train, print the table, and draw it with --out."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="the folder of Train.csv, Dev.csv and Test.csv")
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=["random", "chosen"])
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--start", type=int, default=300)
    parser.add_argument("--add", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--folder", type=Path, help="where the runs go, and are found again (default: a temporary one)")
    parser.add_argument("--out", type=Path, help="a drawing, .svg")
    given = parser.parse_args()
    if given.folder is None:
        given.folder = Path(tempfile.mkdtemp())
    given.folder, given.data = given.folder.absolute(), given.data.absolute()
    reviews, _ = read_reviews(given.data / "Train.csv", aspects=NAMES)
    texts = list(reviews.texts)
    work = partial(curve, given=given, reviews=reviews, texts=texts)
    table: dict[str, list[list[dict]]] = {way: [] for way in given.ways}
    for seed in given.seeds:
        for way in given.ways:
            table[way].append(work(way, seed))
            print(f"seed {seed}, {way}: {json.dumps(table[way][-1])}", file=sys.stderr, flush=True)
    print(told(table))
    if given.out:
        given.out.write_text(drawing(table), encoding="utf-8")


def told(table: dict[str, list[list[dict]]]) -> str:
    """A Markdown table: a row for each way and round, means over the seeds, and each seed's ``pair_f1`` on test."""
    head = "| reviews | way | pairs | val pair_f1 | test pair_f1 | of each seed | test aspect_f1_macro |"
    lines = [head, "|---:|---|---:|---:|---:|---|---:|"]
    for number in range(len(next(iter(table.values()))[0])):
        for way, seeds in table.items():
            there = [found[number] for found in seeds]
            each = ", ".join(f"{x['test']['pair_f1']:.3f}" for x in there)
            means = [
                np.mean([x[split][name] for x in there])
                for split, name in (("val", "pair_f1"), ("test", "pair_f1"), ("test", "aspect_f1_macro"))
            ]
            pairs = f"{np.mean([x['pairs'] for x in there]):,.0f}"
            cells = [f"{there[0]['reviews']:,}", way, pairs, *(f"{m:.3f}" for m in means[:2]), each, f"{means[2]:.3f}"]
            lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def drawing(table: dict[str, list[list[dict]]]) -> str:
    """An SVG: ``pair_f1`` on test by labelled reviews; thin lines are seeds, the thick one their mean."""
    wide, high, left, top = 420, 230, 52, 20
    values = {way: np.array([[x["test"]["pair_f1"] for x in found] for found in seeds]) for way, seeds in table.items()}
    sizes = [x["reviews"] for x in next(iter(table.values()))[0]]
    low, most = min(v.min() for v in values.values()), max(v.max() for v in values.values())
    xs = left + 10 + (wide - 40) * (np.array(sizes) - sizes[0]) / (sizes[-1] - sizes[0])

    def line(row: np.ndarray, colour: str, width: float) -> str:
        points = _points(zip(xs, top + high * (most - row) / (most - low), strict=True))
        return f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="{width}"/>'

    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{left + wide}" height="{high + 2 * top + 30}"']
    parts[0] += ' font-family="sans-serif" font-size="11"><rect width="100%" height="100%" fill="white"/>'
    for tick in np.arange(np.ceil(low * 50) / 50, most, 0.02):
        y = top + high * (most - tick) / (most - low)
        parts.append(f'<path d="M{left} {y:.1f}h{wide - 20}" stroke="#ddd"/>')
        parts.append(f'<text x="{left - 6}" y="{y + 4:.1f}" text-anchor="end">{tick:.2f}</text>')
    colours = ["#b4530a", "#1f5fbf", "#3a8f3a"]
    for colour, each in zip(colours, values.values(), strict=False):
        parts += [line(row, colour, 0.7) for row in each]
        parts.append(line(each.mean(0), colour, 2.5))
    for x, size in zip(xs, sizes, strict=True):
        parts.append(f'<text x="{x:.1f}" y="{top + high + 16}" text-anchor="middle">{size}</text>')
    legend = ", ".join(f'<tspan fill="{colour}">{way}</tspan>' for colour, way in zip(colours, values, strict=False))
    parts.append(f'<text x="{left}" y="{top + high + 36}">pair_f1 on test by labelled reviews: {legend}</text></svg>')
    return "\n".join([*parts, ""])


if __name__ == "__main__":
    main()
