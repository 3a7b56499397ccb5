#!/usr/bin/env python3
"""Measure cost against the number of reviews: seconds and memory of each stage before training, and of a whole start.

    python benchmarks/scale.py                              1 k to 1 M reviews: some eight minutes on two cores
    python benchmarks/scale.py --rows 1000 10000            a first look

The reviews are the sample's, repeated, each with a running number behind its text so that no two are equal. Each size
has two processes of its own. One runs the stages one by one, as a data module does; a stage's memory is the process's
peak until the end of the stage, imports included. The other is `train.py` with a tiny encoder, from the command line to
the end of a run of five steps. Prints a Markdown table; writes ``--out`` (JSON) and, where matplotlib is installed, a
plot beside it.
"""

import argparse
import csv
import itertools
import json
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
SAMPLE = ROOT / "data" / "sample"
sys.path.insert(0, str(ROOT))

from benchmarks.measuring import measure, own

STAGES = ("read", "check", "train tokenizer", "tokenise", "batch")
TINY = ("hidden_size=32", "layers=1", "heads=2", "intermediate_size=64")


def write_rows(target: Path, count: int) -> Path:
    """A CSV file of ``count`` different reviews with a text and a label, made from the sample's."""
    with (SAMPLE / "train.csv").open(encoding="utf-8", newline="") as file:
        header, *rows = csv.reader(file)
    rows = [row for row in rows if row[0].strip() and any(row[1:])]
    with target.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        writer.writerows([f"{row[0]} {i}", *row[1:]] for i, row in zip(range(count), itertools.cycle(rows)))
    return target


def take_stages(file: Path) -> dict[str, Any]:
    """Seconds (wall and processor) of each stage, and the peak memory (MiB) until its end."""
    from src.data.findings import compare, text_keys
    from src.data.reviews import read_reviews
    from src.model.encoder import some_of
    from src.tokens.batching import Batches, BatchPlan, TokenisedSplit
    from src.tokens.tokenizer import encode, train_tokenizer

    seconds: dict[str, float] = {}
    cpu: dict[str, float] = {}
    mib = {"start": peak()}

    def timed(stage: str, work: Callable[[], Any]) -> Any:
        wall, processor = time.perf_counter(), time.process_time()
        result = work()
        seconds[stage], cpu[stage], mib[stage] = time.perf_counter() - wall, time.process_time() - processor, peak()
        return result

    reviews, _ = timed("read", lambda: read_reviews(file))
    timed("check", lambda: compare({"train": reviews}, {"train": text_keys(reviews.texts)}))
    tokenizer = timed("train tokenizer", lambda: train_tokenizer(some_of(reviews.texts), 8000, 256))
    ids, offsets = timed("tokenise", lambda: encode(tokenizer, reviews.texts))
    split = TokenisedSplit(ids, offsets, reviews.mentioned, reviews.sentiment, 1)
    timed("batch", lambda: sum(1 for _ in Batches(split, BatchPlan(split.lengths))))
    return {"rows": len(reviews), "seconds": seconds, "cpu_seconds": cpu, "mib": mib}


def peak() -> float:
    """Peak memory of this process so far, MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def train(file: Path, folder: Path) -> dict[str, Any]:
    """Run ``train.py`` for five steps: wall seconds, peak MiB, and the seconds until training begins."""
    overrides = [f"data.train={file}", f"hydra.run.dir={folder / 'run'}"]
    overrides += ["model=mini", "model.pretrained=false", *(f"model.size.{setting}" for setting in TINY)]
    overrides += ["trainer.limit_train_batches=5", "trainer.max_epochs=1", "trainer.accelerator=cpu"]
    result = measure([sys.executable, "train.py", *overrides], 1200)
    if "failed" in result:
        raise SystemExit(result["failed"])
    result.pop("output")
    return result | {"start_up": json.loads((folder / "run" / "summary.json").read_text())["seconds"]["start_up"]}


def measured(rows: int) -> dict[str, Any]:
    """Measure one size, in two processes of its own."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        file = write_rows(folder / "reviews.csv", rows)
        stages = measure([sys.executable, __file__, "--stages", str(file)], 1200)
        if "failed" in stages:
            raise SystemExit(stages["failed"])
        return {**own(stages), "train": train(file, folder)}


def growth(sizes: list[dict[str, Any]], value: Callable[[dict[str, Any]], float]) -> list[float | None]:
    """What each further review adds to ``value``, from one size to the next; None for the first size."""
    steps = [(value(b) - value(a)) / (b["rows"] - a["rows"]) for a, b in itertools.pairwise(sizes)]
    return [None, *steps]


def table(sizes: list[dict[str, Any]]) -> str:
    """A Markdown table: processor seconds, which a busy machine changes little; MiB; bytes for each further review."""
    lines = ["| | " + " | ".join(f"{size['rows']:,}" for size in sizes) + " |", "|---" * (len(sizes) + 1) + "|"]

    def line(name: str, cells: list[str]) -> None:
        lines.append(f"| {name} | " + " | ".join(cells) + " |")

    for stage in STAGES:
        seconds = [(size["cpu_seconds"][stage], size["rows"]) for size in sizes]
        line(f"{stage}: s (µs a review)", [f"{total:.2f} ({1e6 * total / rows:.1f})" for total, rows in seconds])
    line("`train.py`: s", [f"{size['train']['cpu']:.1f}" for size in sizes])
    for name, value in (
        ("stages", lambda size: size["mib"]["batch"]),
        ("`train.py`", lambda size: size["train"]["mib"]),
    ):
        line(f"{name}, peak: MiB", [f"{value(size):.0f}" for size in sizes])
        more = growth(sizes, lambda size, value=value: value(size) * 2**20)  # type: ignore[misc]
        line(f"{name}, bytes for each review more", ["" if x is None else f"{x:.0f}" for x in more])
    return "\n".join(lines)


def plot(sizes: list[dict[str, Any]], target: Path) -> None:
    """Plot the seconds of every stage, and peak memory, against the number of reviews."""
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams |= {"svg.hashsalt": "scale", "svg.fonttype": "none"}  # a small file, the same each time
    from matplotlib import pyplot

    rows = [size["rows"] for size in sizes]
    figure, (left, right) = pyplot.subplots(1, 2, figsize=(10, 4.2), layout="constrained")
    for stage in STAGES:
        left.loglog(rows, [size["cpu_seconds"][stage] for size in sizes], marker="o", markersize=3, label=stage)
    last = sizes[-1]["cpu_seconds"]["tokenise"]
    left.loglog(rows, [last * n / rows[-1] for n in rows], color="0.6", linestyle=":", label="linear")
    left.set(xlabel="reviews", ylabel="processor's seconds", title="each stage")
    left.legend(fontsize=8)
    right.semilogx(rows, [size["train"]["mib"] for size in sizes], marker="o", markersize=3, label="train.py")
    right.semilogx(rows, [size["mib"]["batch"] for size in sizes], marker="o", markersize=3, label="stages")
    base = sizes[0]["train"]["mib"]
    bound = [base + 400 * n / 2**20 for n in rows]
    right.semilogx(rows, bound, color="0.6", linestyle=":", label="400 bytes a review")
    right.set(xlabel="reviews", ylabel="MiB", title="peak memory", ylim=(0, None))
    right.legend(fontsize=8)
    figure.savefig(target, metadata={"Date": None})


def main() -> None:
    """Measure all sizes, then write the table and the plot."""
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--rows", type=int, nargs="+", default=[1_000, 10_000, 100_000, 1_000_000])
    p.add_argument("--out", type=Path, default=HERE / "scale.json")
    p.add_argument("--stages", type=Path, help=argparse.SUPPRESS)  # the stages of one size, in their own process
    a = p.parse_args()
    if a.stages:
        print(json.dumps(take_stages(a.stages)))
        return
    sizes = []
    for rows in a.rows:
        sizes.append(measured(rows))
        print(f"{rows:,} reviews: {sizes[-1]}", file=sys.stderr, flush=True)
    a.out.write_text(json.dumps(sizes, indent=1) + "\n")
    print(table(sizes))
    try:
        plot(sizes, a.out.with_suffix(".svg"))
    except ImportError:
        print("no plot: matplotlib is not installed", file=sys.stderr)


if __name__ == "__main__":
    main()
