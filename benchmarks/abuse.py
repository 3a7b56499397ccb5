#!/usr/bin/env python3
"""Abuse the service for two minutes while a polite client asks small questions: abuse.py BUNDLE [--seconds 120]

    python benchmarks/abuse.py bundle/

Starts ``absa serve`` in a process of its own and asks it over loopback alone. A polite client sends one short text ten
times a second, first alone for a while, then beside ``--abusers`` clients, each of which takes the kinds of abuse below
in turn, at random (seeded). Prints a table, and one JSON object last: p50 and p99 of the small requests, how many were
refused (503) or lost (no answer, or another status), what the abusers were answered, memory before, at most and after,
and how the service ended. The exit status is 1 if a small request was lost or the service did not end well.
"""

import argparse
import asyncio
import json
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.service_load import quantiles

SMALL = "Máy đẹp, pin trâu nhưng camera hơi kém"
WAIT = 15.0  # seconds for any answer
Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


def request(path: str, body: object, **headers: str) -> bytes:
    """A whole POST; ``headers`` are added, or replace those that it has."""
    data = body if isinstance(body, bytes) else json.dumps(body, ensure_ascii=False).encode()
    named = {"Host": "localhost", "Content_Type": "application/json", "Content_Length": str(len(data))} | headers
    head = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in named.items())
    return f"POST {path} HTTP/1.1\r\n{head}\r\n".encode() + data


MARKS = "a" + "\u0345" + "\u0300" * 4999 + "\u0316" * 4999
WHOLE: dict[str, Callable[[random.Random], bytes]] = {
    "combining marks": lambda _: request("/explain", {"text": MARKS}),
    "marks to predict": lambda _: request("/predict", {"texts": [MARKS] * 20}),
    "words without tokens": lambda _: request("/explain", {"text": "\u200b\x01 " * 3_000}),
    "letters that become 18": lambda _: request("/predict", {"texts": ["\ufdfa" * 10_000] * 34}),
    "few letters, many tokens": lambda _: request("/predict", {"texts": ["\ufdfa" * 249] * 8}),
    "10,000 words": lambda _: request("/explain", {"text": "a " * 5_000}),
    "lists of 256": lambda _: request("/predict", {"texts": [SMALL] * 256, "all": True}),
    "nested JSON": lambda _: request("/predict", b"[" * 200_000),
    "a long number": lambda _: request("/predict", b'{"text": ' + b"9" * 100_000 + b"}"),
    "bytes at random": lambda rng: request("/predict", rng.randbytes(2_000)),
    "no HTTP": lambda rng: rng.randbytes(200) + b"\r\n\r\n",
    "two lengths": lambda _: request("/predict", {"text": SMALL}, Transfer_Encoding="chunked"),
    "half a surrogate": lambda _: request("/predict", b'{"text": "\\ud800"}'),
    "too large": lambda _: request("/predict", b"x", Content_Length="99999999999"),
    "a long head": lambda _: request("/predict", {"text": SMALL}, X="y" * 100_000),
    "other paths": lambda rng: f"GET /{rng.random()}/../../etc/passwd HTTP/1.1\r\nHost: localhost\r\n\r\n".encode(),
}


async def slow_head(c: Connection, _: random.Random) -> None:
    """A byte of a head every half second."""
    for byte in request("/predict", {"text": SMALL})[:20]:
        c[1].write(bytes([byte]))
        await asyncio.sleep(0.5)


async def leaves(c: Connection, _: random.Random) -> None:
    """Ask for much and leave before the answer."""
    c[1].write(request("/predict", {"texts": [SMALL] * 256}))
    await c[1].drain()
    await asyncio.sleep(0.05)
    c[1].transport.abort()


async def half_a_body(c: Connection, _: random.Random) -> None:
    """Announce a body and send half of it."""
    c[1].write(request("/predict", b'{"text": "a', Content_Length="1000"))
    await asyncio.sleep(3)


async def reads_nothing(c: Connection, _: random.Random) -> None:
    """Ask again and again, and read no answer."""
    c[1].write(request("/predict", {"texts": [SMALL] * 64, "all": True}) * 20)
    await asyncio.sleep(5)


PARTLY = {f.__name__.replace("_", " "): f for f in (slow_head, leaves, half_a_body, reads_nothing)}


async def ask(port: int, data: bytes) -> str:
    """The status of the answer, or why there is none."""
    try:
        async with asyncio.timeout(WAIT):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            try:
                writer.write(data)
                line = await reader.readline()
                await reader.read(1 << 16)
                return line.split(b" ")[1].decode() if line.startswith(b"HTTP/1.1 ") else "closed"
            finally:
                writer.transport.abort()
    except TimeoutError:
        return "no answer"
    except OSError as error:
        return type(error).__name__


async def abuse(port: int, seed: int, end: float, seen: Counter[str]) -> None:
    """One abuser, until ``end``."""
    rng = random.Random(seed)
    while time.monotonic() < end:
        name = rng.choice([*WHOLE, *PARTLY])
        if name in WHOLE:
            seen[f"{name}: {await ask(port, WHOLE[name](rng))}"] += 1
            continue
        try:
            c = await asyncio.open_connection("127.0.0.1", port)
            await PARTLY[name](c, rng)
            c[1].transport.abort()
            seen[f"{name}: done"] += 1
        except OSError:
            seen[f"{name}: closed"] += 1


async def polite(port: int, end: float, rate: float) -> tuple[list[float], Counter[str]]:
    """Milliseconds of the answered small requests, and all statuses, until ``end``; none waits for another."""
    took: list[float] = []
    seen: Counter[str] = Counter()

    async def once() -> None:
        began = time.perf_counter()
        status = await ask(port, request("/predict", {"text": SMALL}, Connection="close"))
        seen[status] += 1
        if status == "200":
            took.append(1000 * (time.perf_counter() - began))

    asked: list[Awaitable[None]] = []
    while time.monotonic() < end:
        asked.append(asyncio.ensure_future(once()))
        await asyncio.sleep(1 / rate)
    await asyncio.gather(*asked)
    return took, seen


def memory(pid: int, name: str = "VmRSS") -> float:
    """Memory of a process, MiB."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    return int(status.split(f"{name}:")[1].split()[0]) / 1024


def main() -> None:
    """Measure and print."""
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("bundle", type=Path)
    p.add_argument("--seconds", type=float, default=120)
    p.add_argument("--alone", type=float, default=15, help="seconds of the polite client alone, before and after")
    p.add_argument("--abusers", type=int, default=20)
    p.add_argument("--rate", type=float, default=10, help="small requests a second")
    p.add_argument("--seed", type=int, default=0)
    a = p.parse_args()
    serve = [sys.executable, "-m", "src.cli", "serve", str(a.bundle), "--port", "0"]
    process = subprocess.Popen(serve, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        assert process.stdout is not None
        port = int(process.stdout.readline().split("127.0.0.1:")[1].split()[0])
        alone, _ = asyncio.run(polite(port, time.monotonic() + a.alone, a.rate))
        before, seen = memory(process.pid), Counter[str]()

        async def both() -> tuple[list[float], Counter[str]]:
            end = time.monotonic() + a.seconds
            abusers = [abuse(port, a.seed + i, end, seen) for i in range(a.abusers)]
            found, *_ = await asyncio.gather(polite(port, end, a.rate), *abusers)
            return found

        beside, statuses = asyncio.run(both())
        again, after_statuses = asyncio.run(polite(port, time.monotonic() + a.alone, a.rate))
        after, most = memory(process.pid), memory(process.pid, "VmHWM")
        began = time.monotonic()
        process.send_signal(signal.SIGTERM)
        status = process.wait(60)
        ended = time.monotonic() - began
    finally:
        process.kill()
    lost = sum(n for said, n in (statuses + after_statuses).items() if said not in ("200", "503"))
    result = {
        "seconds": a.seconds,
        "abusers": a.abusers,
        "abuses": sum(seen.values()),
        "small": {"alone": quantiles(alone), "beside_abuse": quantiles(beside), "after": quantiles(again)},
        "statuses": dict(statuses),
        "refused": statuses["503"],
        "lost": lost,
        "mib": {"before": before, "most": most, "after": after},
        "exit_status": status,
        "seconds_to_end": ended,
        "answers_to_abuse": dict(sorted(seen.items())),
    }
    print("| | p50 | p99 |\n|---|---|---|")
    for name, q in result["small"].items():
        print(f"| small requests, {name.replace('_', ' ')} | {q['p50_ms']:.0f} ms | {q['p99_ms']:.0f} ms |")
    print(
        f"\nof {sum(statuses.values())} small requests beside {sum(seen.values())} abuses: "
        f"{statuses['503']} refused, {lost} lost"
    )
    print(
        f"memory before, at most, after: {before:.0f}, {most:.0f}, {after:.0f} MiB; "
        f"ended after {ended:.1f} s, status {status}"
    )
    print(json.dumps(result))
    if lost or status:
        sys.exit(1)


if __name__ == "__main__":
    main()
