"""What another run's weights are worth when aspects are added: init_from against training anew, on UIT-ViSFD.

    python -m benchmarks.init_from path/to/UIT-ViSFD --folder runs/init

A first run is trained on nine tenths of Train.csv, labelled for five of the eleven aspects. Then the last tenth is
labelled for all of them, and trained on from the small encoder and from that run. Dev.csv validates and Test.csv tests,
with the labels of the same aspects. Prints a Markdown table; the same command goes on with what is in --folder.
"""

import argparse
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.annotation import NAMES, write_rows
from src.data.reviews import read_reviews
from src.runs.run import Run
from train import train

KNOWN = ["SCREEN", "FEATURES", "PERFORMANCE", "DESIGN", "GENERAL"]  # those of the first run: every second one
SETTINGS = ["experiment=mini", "model.r_drop=0", "model.rare_aspects=0", "data=table", "trainer.precision=32-true"]
WAYS = ("anew", "init_from")


def main() -> None:
    """Train the runs that are not in --folder yet, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="the folder of Train.csv, Dev.csv and Test.csv")
    parser.add_argument("--folder", type=Path, required=True, help="where the runs go, and are found again")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    given = parser.parse_args()
    folder = given.folder.absolute()
    folder.mkdir(parents=True, exist_ok=True)
    splits = {name: read_reviews(given.data / f"{name}.csv", aspects=NAMES)[0] for name in ("Train", "Dev", "Test")}
    order = np.random.default_rng(0).permutation(len(splits["Train"])).tolist()
    tenth = len(order) // 10
    for aspects, name, rows in ((KNOWN, "known", order[tenth:]), (NAMES, "all", order[:tenth])):
        write_rows(folder / f"{name}.jsonl", splits["Train"], rows, aspects)
        for split in ("Dev", "Test"):
            write_rows(folder / f"{name}-{split}.jsonl", splits[split], list(range(len(splits[split]))), aspects)

    def run(name: str, files: str, aspects: list[str], *settings: str) -> Run:
        if not (folder / name / "summary.json").is_file():
            ends = {"train": "", "val": "-Dev", "test": "-Test"}
            paths = [f"data.{key}={folder / files}{end}.jsonl" for key, end in ends.items()]
            train(
                [*SETTINGS, *paths, f"data.aspects=[{','.join(aspects)}]", f"hydra.run.dir={folder / name}", *settings]
            )
        return Run(folder / name)

    first = run("first", "known", KNOWN, "trainer.max_epochs=3")
    found: dict[str, list[list[float]]] = {way: [] for way in WAYS}
    for seed in given.seeds:
        for way in WAYS:
            begin = [f"init_from={first.folder}"] if way == "init_from" else []
            done = run(f"{way}-{seed}", "all", NAMES, f"seed={seed}", *begin).read_summary()
            f1 = {row["aspect"]: row["pair_f1"] for row in done["per_aspect"]["test"] if row["aspect"] != "OTHERS"}
            known, new = ([f1[a] for a in f1 if (a in KNOWN) is there] for there in (True, False))
            found[way].append([done["figures"]["test"]["pair_f1"], float(np.mean(known)), float(np.mean(new))])
    print("| begins with | pair_f1 | of each seed | mean of the five known aspects | of the five new ones |")
    print("|---|---:|---|---:|---:|")
    for way, values in found.items():
        mean = np.mean(values, 0)
        each = ", ".join(f"{value[0]:.3f}" for value in values)
        print(f"| {way} | {mean[0]:.3f} | {each} | {mean[1]:.3f} | {mean[2]:.3f} |")


if __name__ == "__main__":
    main()
