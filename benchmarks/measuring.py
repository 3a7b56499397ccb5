"""Run commands in turn, each in a process of its own, and measure seconds, peak memory and what they print."""

import json
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]


def measure(command: list[str], timeout: float) -> dict[str, Any]:
    """Run a command for at most ``timeout`` seconds, and measure it.

    Returns ``wall`` and ``cpu`` (seconds), ``mib`` (peak memory), and ``output``, or ``failed`` with the reason.
    """
    began = time.perf_counter()
    with tempfile.TemporaryFile("w+", encoding="utf-8") as out:
        process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT, cwd=ROOT)
        status = None
        while status is None and time.perf_counter() - began < timeout:
            pid, code, usage = os.wait4(process.pid, os.WNOHANG)
            status = code if pid else None
            time.sleep(0.05)
        if status is None:
            process.kill()
            _, _, usage = os.wait4(process.pid, 0)
        process.returncode = 0  # os.wait4 above has reaped it, so Popen must not wait
        out.seek(0)
        text = out.read()
    facts: dict[str, Any] = {"wall": time.perf_counter() - began, "mib": usage.ru_maxrss / 1024}
    facts["cpu"] = usage.ru_utime + usage.ru_stime
    if status is None:
        return facts | {"failed": f"not done in {timeout:.0f} s"}
    return facts | ({"output": text} if status == 0 else {"failed": text.strip().splitlines()[-1] if text else "?"})


def own(result: dict[str, Any]) -> dict[str, Any]:
    """Replace ``output`` by the JSON object that the project's own programs print last."""
    text = result.pop("output", "{}")
    return result | json.loads(text.strip().splitlines()[-1])


def peer_train(result: dict[str, Any]) -> dict[str, Any]:
    """Replace ``output`` by the speed that a peer prints, as in ``pad256   1.00 samples/s``."""
    found = re.search(r"([\d.]+) samples/s", result.pop("output", ""))
    return result | ({"reviews_per_second": float(found.group(1))} if found else {})


def rounds(ways: dict[str, Any], count: int, timeout: float) -> dict[str, list[dict[str, Any]]]:
    """Measure every way once a round (A B C A B C), so that a slow minute hits all; one that failed is left out."""
    results: dict[str, list[dict[str, Any]]] = {name: [] for name in ways}
    for number in range(count):
        for name, (command, parse) in ways.items():
            if any("failed" in r for r in results[name]):
                continue
            result = parse(measure(command, timeout))
            results[name].append(result)
            shown = f"{result['reviews_per_second']:.2f} reviews/s" if "reviews_per_second" in result else result
            print(f"round {number + 1}: {name:24s} {shown}", file=sys.stderr, flush=True)
    return results
