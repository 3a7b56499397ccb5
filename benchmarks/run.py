#!/usr/bin/env python3
"""Measure this project and its peers side by side: in turn, each in a process of its own.

    make bench                                             all of it: an hour or two on two cores without bfloat16
    python benchmarks/run.py --only train --rounds 1       a first look
    python benchmarks/run.py --peers path/to/peers --data path/to/data

Prints a table with the medians of the rounds, and writes all single values to ``--out`` (JSON). Without the peers'
programs only the project's own ways are measured; without the data they are measured on the project's own sample.
"""

import argparse
import json
import platform
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

PARTS = ("train", "mini", "gpu", "predict")
GPU_TOKENS = 16384
GPU_GFLOPS = 790e3  # dense bfloat16 of an H200; the table's shares refer to it on any GPU
HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
sys.path.insert(0, str(ROOT))

from benchmarks.measuring import measure, own, peer_train, rounds
from benchmarks.prediction import predict_rounds


def medians(results: dict[str, list[dict[str, Any]]]) -> dict[str, dict[str, Any]]:
    """For each way the median of every number, or the reason why there is none."""
    table: dict[str, dict[str, Any]] = {}
    for name, runs in results.items():
        numbers = {k for r in runs for k, v in r.items() if isinstance(v, (int, float))}
        table[name] = {k: statistics.median(r[k] for r in runs if k in r) for k in sorted(numbers)}
        table[name] |= {k: v for r in runs for k, v in r.items() if isinstance(v, str)}
    return table


def show(title: str, table: dict[str, dict[str, Any]], first: str, machine: float | None = None) -> str:
    """A Markdown table with speeds, also as multiples of the way ``first``; ``machine`` is its GFLOP/s, for shares."""
    base = table.get(first, {}).get("reviews_per_second")
    lines = [
        f"\n{title}\n",
        f"| | reviews/s | x {first} | tokens/s | computed per token | GFLOP/s (share) | MiB | start, s |",
    ]
    lines.append("|---|---|---|---|---|---|---|---|")
    for name, row in table.items():
        if "reviews_per_second" not in row:
            lines.append(f"| {name} | {row.get('failed', '?')} | | | | | | |")
            continue
        speed, gflops = row["reviews_per_second"], row.get("gflops")
        cells = [f"{speed:.1f}", f"{speed / base:.2f}" if base else "", f"{row.get('tokens_per_second', 0):.0f}"]
        cells += [f"{row['computed_per_token']:.2f}" if "computed_per_token" in row else ""]
        cells += [f"{gflops:.0f} ({gflops / machine:.2f})" if gflops and machine else ""]
        cells += [
            f"{row.get('gpu_mib') or row['mib']:.0f}",
            f"{row['seconds_to_first_step']:.1f}" if "seconds_to_first_step" in row else "",
        ]
        lines.append(f"| {name} | " + " | ".join(c if c != "0" else "" for c in cells) + " |")
    return "\n".join(lines)


def against(table: dict[str, dict[str, Any]]) -> str:
    """The speed of ``ours, lightning`` divided by that of each other way, one line each."""
    mine = table["ours, lightning"].get("reviews_per_second")
    pairs = {k: mine / v["reviews_per_second"] for k, v in table.items() if mine and "reviews_per_second" in v}
    return "\n" + "\n".join(f"ours, lightning / {k}: {v:.2f}" for k, v in pairs.items() if k != "ours, lightning")


def has_gpu() -> bool:
    """Whether torch finds a GPU; asked in another process, so that this one need not import torch."""
    asked = [sys.executable, "-c", "import sys, torch; sys.exit(not torch.cuda.is_available())"]
    return subprocess.run(asked, check=False).returncode == 0


def gpu_ways(command: list[str]) -> dict[str, Any]:
    """Training on a GPU in steps of 16 k tokens: padded, packed, and packed and compiled."""
    given = ["trainer.accelerator=gpu", f"data.tokens_per_batch={GPU_TOKENS}"]
    kinds = {"padded": ["data.packed=false"], "packed": [], "packed, compiled": ["model.compile=true"]}
    return {f"ours, {kind}": ([*command, *given, *words], own) for kind, words in kinds.items()}


def with_tokens(table: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Add tokens/s to the peers' rows: they train on the same reviews, so a review has as many tokens as ours."""
    known = [r["tokens_per_second"] / r["reviews_per_second"] for r in table.values() if "tokens_per_second" in r]
    for row in table.values():
        if known and "reviews_per_second" in row:
            row.setdefault("tokens_per_second", row["reviews_per_second"] * known[0])
    return table


def main() -> None:
    """Run all rounds, then print the tables."""
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--rounds", type=int, default=3)
    p.add_argument("--rows", type=int, default=192)
    p.add_argument("--timeout", type=float, default=600, help="seconds a way may take in one round")
    p.add_argument("--only", nargs="+", choices=PARTS, default=[p for p in PARTS if p != "gpu" or has_gpu()])
    p.add_argument("--peers", type=Path, default=ROOT.parent / "shared" / "peers")
    p.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    p.add_argument("--out", type=Path, default=HERE / "results.json")
    a = p.parse_args()
    python, real = sys.executable, (a.data / "seed" / "train.csv").is_file()
    csv = str(a.data / "seed" / "train.csv" if real else ROOT / "data" / "sample" / "train.csv")
    peers = a.peers.is_dir() and real
    result: dict[str, Any] = {
        "machine": own(measure([python, str(HERE / "matmul.py")], 60)) | {"cpu": platform.processor()}
    }
    print(f"matrix products, GFLOP/s: {result['machine']}", file=sys.stderr)
    with tempfile.TemporaryDirectory() as folder:
        encoder = f"{folder}/encoder"
        maker = a.peers / "random_visobert.py" if peers else HERE / "random_encoder.py"
        subprocess.run([python, str(maker), encoder], check=True, capture_output=True)
        ours = [python, str(HERE / "train_speed.py")]
        if "train" in a.only:
            ways: dict[str, Any] = {}
            for way in ("pad256", "dynamic", "hf", "hf-best") if peers else ():
                script = [python, str(a.peers / "train_speed.py"), encoder, csv, "--rows", str(a.rows), "--ways", way]
                ways[way] = (script, peer_train)
            if peers and result["machine"]["bfloat16"] < result["machine"]["float32"]:  # the peers' best is in bfloat16
                ways["hf-best, float32"] = ([python, str(HERE / "hf_float32.py"), *ways["hf-best"][0][1:]], peer_train)
            mine = [*ours, encoder, csv, "--rows", str(a.rows)]
            for way in ("lightning", "bare"):
                ways[f"ours, {way}"] = ([*mine, "--way", way], own)
            ways["ours, 2,048 tokens a step"] = ([*mine, "data.tokens_per_batch=2048"], own)
            result["train"] = rounds(ways, a.rounds, a.timeout)
        if "gpu" in a.only:
            result["gpu"] = rounds(gpu_ways([*ours, encoder, csv, "--rows", "100000"]), a.rounds, a.timeout)
        if "mini" in a.only:
            ways = {
                f"ours, {w}": ([*ours, "mini", csv, "--rows", str(10 * a.rows), "--way", w], own)
                for w in ("stock", "lightning", "bare")
            }
            result["mini"] = rounds(ways, a.rounds, a.timeout)
        if "predict" in a.only:
            peer = a.peers / "predict_speed.py" if peers else None
            result["predict"] = predict_rounds(peer, encoder, csv, a.rows, a.rounds, a.timeout)
    a.out.write_text(json.dumps(result, indent=1) + "\n")
    best = max(result["machine"]["float32"], result["machine"]["bfloat16"])
    for key, title in (
        ("train", "Training, ViSoBERT's shape"),
        ("gpu", f"Training on a GPU, ViSoBERT's shape, {GPU_TOKENS} tokens a step"),
        ("mini", "Training, the small encoder"),
        ("predict", "Prediction"),
    ):
        if key in result:
            table = with_tokens(medians(result[key]))
            machine = GPU_GFLOPS if key == "gpu" else best
            if key in ("train", "mini"):
                print(against(table))
            print(show(title, table, "pad256" if "pad256" in table else next(iter(table)), machine))


if __name__ == "__main__":
    main()
