"""Measure prediction beside that of the peers: the rounds of ``run.py --only predict``."""

import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.measuring import measure, own, rounds

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
LINE = re.compile(r"^(.+?) +batch +(\d+) (by length|file order) +([\d.]+) reviews/s", re.M)


def predict_rounds(peer: Path | None, encoder: str, csv: str, rows: int, count: int, timeout: float) -> dict[str, Any]:
    """Make runs and bundles in ViSoBERT's shape and of the small encoder, then measure every way in turn.

    ``peer`` is the peers' program, which measures all its ways in one process, or None.
    """
    with tempfile.TemporaryDirectory() as name:
        big, small = (
            make_run(f"{name}/big", f"model.encoder={encoder}", "model=visobert"),
            make_run(f"{name}/small", "model=mini"),
        )
        quantised = ("--int8", "--max-drop=100")
        fp32, int8, mini, mini8 = (
            export(big, f"{name}/fp32"),
            export(big, f"{name}/int8", *quantised),
            export(small, f"{name}/mini"),
            export(small, f"{name}/mini8", *quantised),
        )
        program = [sys.executable, str(HERE / "predict_speed.py")]
        ways = {
            f"ours, {k}": ([*program, str(v), csv, "--rows", str(rows)], own)
            for k, v in (("torch", big), ("bundle fp32", fp32), ("bundle int8", int8))
        }
        for kind, bundle in (("fp32", mini), ("int8", mini8)):
            ways[f"ours, small encoder {kind}"] = ([*program, str(bundle), csv, "--rows", "0"], own)
        peers: dict[str, list[dict[str, Any]]] = {}
        results: dict[str, list[dict[str, Any]]] = {}
        for _ in range(count):
            if peer is not None:
                done = measure([sys.executable, str(peer), encoder, csv, "--rows", str(rows)], 3 * timeout)
                if "failed" in done:
                    peers.setdefault("peers", []).append(done)
                for way, size, order, speed in LINE.findall(done.get("output", "")):
                    peers.setdefault(f"{way.strip()}, {size} a batch, {order}", []).append(
                        {"reviews_per_second": float(speed), "mib": done["mib"]}
                    )
            for way, runs in rounds(ways, 1, timeout).items():
                results.setdefault(way, []).extend(runs)
    return peers | results


def make_run(folder: str, *overrides: str) -> Path:
    """Train a run for one step: speed does not depend on the model's quality."""
    command = [
        sys.executable,
        str(ROOT / "train.py"),
        *overrides,
        "trainer.max_epochs=1",
        "trainer.limit_train_batches=1",
    ]
    subprocess.run(
        [*command, "trainer.accelerator=cpu", f"hydra.run.dir={folder}"], check=True, capture_output=True, cwd=ROOT
    )
    return Path(folder)


def export(run: Path, out: str, *options: str) -> Path:
    """Export the run as a bundle to ``out``."""
    subprocess.run(
        [sys.executable, "-m", "src.cli", "export", str(run), "-o", out, *options],
        check=True,
        capture_output=True,
        cwd=ROOT,
    )
    return Path(out)
