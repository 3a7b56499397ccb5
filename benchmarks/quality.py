#!/usr/bin/env python3
"""Does speed cost quality? The same training with and without each shortcut, over seeds: quality.py [SETTING ...]

    python benchmarks/quality.py                                                 the sample data
    python benchmarks/quality.py data=visfd data.dir=path/to/UIT-ViSFD trainer.max_epochs=3

Settings go to every run. Prints a Markdown table: mean and standard deviation of the test figures over the seeds.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
WAYS = {  # no way without packing: tests/test_tokens_packing.py shows that it gives the same to 1e-5
    "bucketed, bfloat16": ["trainer.precision=bf16-mixed"],
    "random order, bfloat16": ["trainer.precision=bf16-mixed", "data.batching=random"],
    "bucketed, float32": ["trainer.precision=32-true"],
}
FIGURES = ("pair_f1", "aspect_f1_macro", "sentiment_f1")


def main() -> None:
    """Run the trainings one after the other, and print a row for each way."""
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    p.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS))
    p.add_argument("settings", nargs="*")
    a = p.parse_intermixed_args()  # settings may stand behind options
    print(f"| | {' | '.join(FIGURES)} | seconds of training |\n|---|{'---|' * (len(FIGURES) + 1)}")
    for way in a.ways:
        summaries = [run([*a.settings, *WAYS[way], f"seed={seed}"]) for seed in a.seeds]
        cells = []
        for name in FIGURES:
            values = [s["figures"]["test"][name] for s in summaries]
            cells.append(f"{statistics.mean(values):.3f} ± {statistics.stdev(values) if len(values) > 1 else 0:.3f}")
        cells.append(f"{statistics.median(s['seconds']['fit'] for s in summaries):.0f}")
        print(f"| {way} | {' | '.join(cells)} |", flush=True)


def run(settings: list[str]) -> dict:
    """The summary of one training of the small encoder."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, str(ROOT / "train.py"), "model=mini", "trainer.accelerator=cpu", *settings]
        subprocess.run([*command, f"hydra.run.dir={folder}"], check=True, capture_output=True, cwd=ROOT)
        return json.loads((Path(folder) / "summary.json").read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
