#!/usr/bin/env python3
"""Measure the service under load, beside the predictor alone: service_load.py BUNDLE CSV [--column data]

    python benchmarks/service_load.py bundle/ data/sample/test.csv
    python benchmarks/service_load.py bundle/ data/sample/test.csv --seconds 60 --clients 16 --texts 16

First the predictor alone, on all the texts at once; then ``absa serve`` in a process of its own, asked over loopback by
``--clients`` connections, each with the next request of ``--texts`` texts as soon as it has its answer; then the
predictor alone again; then ten times as many texts a second as the service answered. Every answer is compared with the
predictor's. The load generator takes its share of the same processor. Prints a table, and one JSON object last.
"""

import argparse
import asyncio
import csv
import json
import os
import random
import signal
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.measuring import measure, own
from src.ship.http.limits import Limits
from src.ship.predictor import load_bundle

REQUESTS = 64  # different requests
HEAD = "POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"


@dataclass
class Tally:
    """The answers of one load."""

    milliseconds: list[float] = field(default_factory=list)
    refused: int = 0  # answers 503 with Retry-After
    wrong: int = 0  # answers that are not the predictor's
    errors: list[str] = field(default_factory=list)


def main() -> None:
    """Measure and print."""
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("bundle", type=Path)
    p.add_argument("csv", type=Path)
    p.add_argument("--column", default="data")
    p.add_argument("--rows", type=int, default=192, help="of the predictor alone; 0: all")
    p.add_argument("--clients", type=int, default=16)
    p.add_argument("--texts", type=int, default=16, help="in one request")
    p.add_argument("--seconds", type=float, default=60)
    p.add_argument("--overload-seconds", type=float, default=20)
    a = p.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # raises, so that the service is stopped too
    requests, needed = prepare(a.bundle, a.csv, a.column, a.texts)
    command = [sys.executable, str(ROOT / "benchmarks" / "predict_speed.py"), str(a.bundle), str(a.csv)]
    command += ["--rows", str(a.rows), "--column", a.column]

    def predictor_alone() -> float:
        return float(own(measure(command, 300))["reviews_per_second"])

    alone = [predictor_alone()]
    serve = [sys.executable, "-m", "src.cli", "serve", str(a.bundle), "--port", "0"]
    process = subprocess.Popen(serve, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        assert process.stdout is not None
        port = int(process.stdout.readline().split("127.0.0.1:")[1].split()[0])
        memory = [peak(process.pid)]
        asyncio.run(load(port, requests, a.clients, 2))  # warm
        used, own_use = cpu(process.pid), time.process_time()
        usual = asyncio.run(load(port, requests, a.clients, a.seconds))
        used, own_use = cpu(process.pid) - used, time.process_time() - own_use
        speed = len(usual.milliseconds) * a.texts / a.seconds
        if not speed:
            sys.exit(f"no answer within {a.seconds:g} s: {usual.errors[:5]}")
        memory.append(peak(process.pid))
        alone.append(predictor_alone())
        # each waits for its answer, so ten times as many are needed as a full queue holds
        crowd = 10 * (a.clients + Limits().queue // a.texts)
        many = asyncio.run(load(port, requests, crowd, a.overload_seconds, 10 * speed / a.texts))
        memory.append(peak(process.pid))
        after = asyncio.run(load(port, requests, 1, 1))
        process.send_signal(signal.SIGTERM)
        status = process.wait(60)
    finally:
        process.kill()
    base = statistics.mean(alone)
    asked = (len(many.milliseconds) + many.refused) * a.texts / a.overload_seconds
    result: dict[str, Any] = {
        "clients": a.clients,
        "texts_per_request": a.texts,
        "predictor_alone": alone,
        "texts_per_second": speed,
        "share_of_predictor": speed / base,
        "cpu_ms_per_text": {
            name: 1000 * seconds / (max(1, len(usual.milliseconds)) * a.texts)
            for name, seconds in (("service", used), ("load_generator", own_use))
        }
        | {"predictor_alone": 1000 * needed},
        **quantiles(usual.milliseconds),
        "refused": usual.refused,
        "wrong": usual.wrong + many.wrong + after.wrong,
        "errors": (usual.errors + many.errors + after.errors)[:5],
        "overload": {
            "times": asked / speed,
            "answered_per_second": len(many.milliseconds) * a.texts / a.overload_seconds,
            "refused": many.refused,
            **quantiles(many.milliseconds),
        },
        "mib": {"start": memory[0], "after_load": memory[1], "after_overload": memory[2]},
        "exit_status": status,
    }
    print(table(result))
    print(json.dumps(result))


def prepare(bundle: Path, source: Path, column: str, size: int) -> tuple[list[tuple[bytes, bytes]], float]:
    """The requests as bytes, each with the beginning of its right answer; and processor seconds a text.

    The seconds are those of the predictor alone; ``size`` is the number of texts in a request.
    """
    with source.open(encoding="utf-8-sig", newline="") as file:
        texts = [row[column] for row in csv.DictReader(file) if row[column].strip()]
    texts = random.Random(0).choices(texts, k=REQUESTS * size)
    predictor = load_bundle(bundle)
    predictor.predict(texts[:8])
    requests, seconds = [], 0.0
    for i in range(0, len(texts), size):
        chosen = texts[i : i + size]
        body = json.dumps({"texts": chosen}).encode()
        head = f"{HEAD}Content-Length: {len(body)}\r\n\r\n"
        began = time.process_time()
        answers = predictor.predict(chosen)
        seconds += time.process_time() - began
        right = json.dumps({"answers": answers}, ensure_ascii=False, separators=(",", ":")).encode()
        requests.append((head.encode() + body, right[:-1]))
    return requests, seconds / len(texts)


async def load(
    port: int, requests: list[tuple[bytes, bytes]], clients: int, seconds: float, rate: float = 0.0
) -> Tally:
    """Send requests for ``seconds``: each client as fast as it is answered, or all together ``rate`` a second."""
    tally = Tally()
    end = time.perf_counter() + seconds

    async def client(number: int) -> None:
        due = time.perf_counter() + (number / rate if rate else 0)
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for i in range(number, 1 << 60):
            if rate:
                await asyncio.sleep(max(0.0, due - time.perf_counter()))
                due += clients / rate
            if time.perf_counter() > end:
                break
            data, right = requests[i % len(requests)]
            began = time.perf_counter()
            writer.write(data)
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
            body = await reader.readexactly(length)
            if b"connection: close" in head.lower():  # the next request needs another connection
                writer.close()
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
            count(tally, head, body, right, 1000 * (time.perf_counter() - began), time.perf_counter() <= end)
        writer.close()

    done = await asyncio.gather(*(client(n) for n in range(clients)), return_exceptions=True)
    tally.errors += [repr(error) for error in done if error is not None]
    return tally


def count(tally: Tally, head: bytes, body: bytes, right: bytes, milliseconds: float, in_time: bool) -> None:
    """Check an answer and add it to the tally; an answer after the end is checked, but not counted."""
    if head.startswith(b"HTTP/1.1 200"):
        tally.wrong += not body.startswith(right + b",")
        if in_time:
            tally.milliseconds.append(milliseconds)
    elif head.startswith(b"HTTP/1.1 503") and b"retry-after: " in head.lower():
        tally.refused += in_time
    else:
        tally.errors.append(head.split(b"\r\n")[0].decode())


def quantiles(milliseconds: list[float]) -> dict[str, float]:
    """The median and the 99th percentile of the answered requests."""
    cuts = statistics.quantiles(milliseconds, n=100) if len(milliseconds) > 1 else [0.0] * 99
    return {"p50_ms": cuts[49], "p99_ms": cuts[98]}


def peak(pid: int) -> float:
    """Peak memory of a process so far, MiB."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def cpu(pid: int) -> float:
    """Processor seconds (user and system) of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def table(r: dict[str, Any]) -> str:
    """The main results as a Markdown table."""
    over, mib = r["overload"], r["mib"]
    rows = {
        "predictor alone, reviews/s, before and after": " and ".join(f"{speed:.0f}" for speed in r["predictor_alone"]),
        f"service, {r['clients']} clients, {r['texts_per_request']} texts a request, reviews/s": (
            f"{r['texts_per_second']:.0f} ({r['share_of_predictor']:.2f} of the predictor)"
        ),
        "processor time per review: predictor alone, service, load generator": ", ".join(
            f"{r['cpu_ms_per_text'][name]:.2f} ms" for name in ("predictor_alone", "service", "load_generator")
        ),
        "p50, p99": f"{r['p50_ms']:.0f} ms, {r['p99_ms']:.0f} ms",
        "refused, wrong, errors": f"{r['refused']}, {r['wrong']}, {len(r['errors'])}",
        f"overload, which reached {over['times']:.1f} times the capacity: answered, reviews/s": (
            f"{over['answered_per_second']:.0f}"
        ),
        "refused with 503; p50, p99 of the answered": (
            f"{over['refused']}; {over['p50_ms']:.0f} ms, {over['p99_ms']:.0f} ms"
        ),
        "peak memory until the start, the end of the load, the end of the overload": " / ".join(
            f"{m:.0f} MiB" for m in mib.values()
        ),
    }
    return "\n".join(["| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows.items())])


if __name__ == "__main__":
    main()
