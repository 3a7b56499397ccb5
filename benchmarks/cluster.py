"""Reviews a second on Ray and Spark with one worker and with two, against ``absa predict`` on the same rows.

    python benchmarks/cluster.py bundle/ reviews.csv --column comment --engines .venv-engines/bin

Each way answers few rows and then many, in processes of its own; what more rows take is its speed, and the rest is its
start. Seconds of the processor are added up over all processes of a way, so they hold on a busy machine, too.
"""

import argparse
import csv
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

import psutil
import pyarrow as pa
from pyarrow import parquet

ROOT = Path(__file__).resolve().parents[1]
MANY = 100e6  # reviews, of which the last column is


def write_rows(file: Path, texts: list[str], rows: int) -> Path:
    """``texts``, repeated, with ids."""
    given = [texts[i % len(texts)] for i in range(rows)]
    parquet.write_table(pa.table({"id": range(rows), "text": given}), file, row_group_size=500)
    return file


def seconds_of(commands: list[list[str]], environment: dict[str, str], cwd: Path) -> tuple[float, float]:
    """Wall seconds of commands side by side, and seconds of the processor of all their processes."""
    began = time.perf_counter()
    with (cwd / "said").open("w") as said:
        started = [psutil.Popen(c, env=environment, cwd=cwd, stdout=said, stderr=said) for c in commands]
        busy: dict[psutil.Process, float] = {}
        while any(one.poll() is None for one in started):
            for one in started:
                try:
                    everyone = [one, *one.children(recursive=True)]
                    busy |= {p: sum(p.cpu_times()[:2]) for p in everyone if p.is_running()}
                except psutil.Error:  # one has just ended: its last look counts
                    continue
            time.sleep(0.2)
    if any(one.returncode for one in started):
        raise SystemExit((cwd / "said").read_text(encoding="utf-8", errors="replace")[-3000:])
    return time.perf_counter() - began, sum(busy.values())


def ways(engines: Path, model: str, file: Path, out: Path) -> dict[str, list[list[str]]]:
    """Name of a way and its commands, which run side by side."""
    absa = [str(engines / "absa"), "predict", model, str(file), "-o"]
    found = {
        "absa predict": [[*absa, f"{out}.parquet"]],
        "absa predict --shard, 2 at a time": [[*absa, f"{out}-{i}.parquet", "--shard", f"{i}/2"] for i in (1, 2)],
    }
    for workers in (1, 2):
        ray = [str(engines / "python"), str(ROOT / "examples" / "predict_ray.py"), model, str(file), str(out)]
        size = str(max(0.05, file.stat().st_size / 2**20))  # some files for each worker
        found[f"Ray, {workers} worker{'s' * (workers > 1)}"] = [
            [*ray, "--id-column", "id", "--workers", str(workers), "--megabytes", size]
        ]
        spark = [str(engines / "spark-submit"), "--master", f"local[{workers}]", "--conf", "spark.ui.enabled=false"]
        spark += [str(ROOT / "examples" / "predict_spark.py"), model, str(file), str(out), "--id-column", "id"]
        found[f"Spark, {workers} worker{'s' * (workers > 1)}"] = [[*spark, "--rows-per-file", "500"]]
    return found


def main() -> None:
    """Measure every way in turn, and print a table."""
    p = argparse.ArgumentParser()
    p.add_argument("bundle", type=Path)
    p.add_argument("csv", type=Path)
    p.add_argument("--column", default="data")
    p.add_argument("--engines", type=Path, default=ROOT / ".venv-engines" / "bin", help="made by make test-cluster")
    p.add_argument("--rows", type=int, nargs=2, default=[500, 10_500])
    a = p.parse_args()
    with a.csv.open(encoding="utf-8-sig", newline="") as file:
        texts = [row[a.column] for row in csv.DictReader(file) if row[a.column]]
    told = {"OMP_NUM_THREADS": "1", "RAY_ADDRESS": "local", "RAY_USAGE_STATS_ENABLED": "0", "RAY_worker_niceness": "0"}
    told |= {"SPARK_LOCAL_IP": "127.0.0.1", "PYSPARK_PYTHON": str(a.engines.absolute() / "python")}
    measured: dict[str, list[tuple[float, float]]] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for rows in a.rows:
            file = write_rows(folder / f"{rows}.parquet", texts, rows)
            out = folder / "out"
            for way, commands in ways(a.engines.absolute(), str(a.bundle.absolute()), file, out).items():
                took = seconds_of(commands, os.environ | told | {"HOME": name}, folder)
                measured.setdefault(way, []).append(took)
                print(f"{way}: {rows} rows in {took[0]:.1f} s, {took[1]:.1f} s of the processor", file=sys.stderr)
                for left in folder.glob("out*"):
                    shutil.rmtree(left) if left.is_dir() else left.unlink()
    more = a.rows[1] - a.rows[0]
    print("| | start, s | reviews/s | x absa predict | processor, ms a review | 100 M reviews, days of one core |")
    print("|---|---|---|---|---|---|")
    first = None
    for way, ((few, busy_few), (many, busy_many)) in measured.items():
        speed, busy = more / (many - few), (busy_many - busy_few) / more
        first = first or speed
        start = few - a.rows[0] / speed
        cells = [way, f"{start:.0f}", f"{speed:.0f}", f"{speed / first:.2f}", f"{busy * 1000:.1f}"]
        print(f"| {' | '.join(cells)} | {busy * MANY / 86400:.1f} |")


if __name__ == "__main__":
    main()
