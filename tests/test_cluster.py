"""examples/ on Ray and Spark themselves, in processes, with kills; `make test-cluster` makes their environment.

Each engine gets the same reviews twice: the first time all of it is killed, the second time one of its workers.
"""

import os
import subprocess
import time
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
from pyarrow import parquet
from pyarrow.dataset import dataset

from tests.conftest import ROOT
from tests.engines import answered_by_absa, assert_same_answers, write_reviews

pytestmark = pytest.mark.cluster
ROWS = 4000
LONGEST = 900  # seconds; engines take half a minute to start, and minutes beside other work


@pytest.fixture(scope="module")
def engines() -> Path:
    """The folder of the programs of an environment with [serve,parquet,engines]."""
    folder = (ROOT / os.environ.get("ENGINES", ".venv-engines/bin")).absolute()
    if not folder.is_dir():
        pytest.skip("Ray and Spark have an environment of their own: make test-cluster")
    return folder


@pytest.fixture(scope="module")
def given(exported, tmp_path_factory) -> tuple[Path, Path, object]:
    file = write_reviews(tmp_path_factory.mktemp("cluster") / "in.parquet", ROWS)
    return exported, file, answered_by_absa(exported, file)


class Started:
    """An example in a process with its engine's own; what it prints goes into a file."""

    def __init__(self, engines: Path, command: list[object], log: Path) -> None:
        home = log.parent / "home"
        home.mkdir(exist_ok=True)
        told = {"PATH": f"{engines}{os.pathsep}{os.environ['PATH']}", "HOME": str(home), "OMP_NUM_THREADS": "1"}
        told |= {"RAY_ADDRESS": "local", "RAY_USAGE_STATS_ENABLED": "0", "RAY_worker_niceness": "0"}
        told |= {"SPARK_LOCAL_IP": "127.0.0.1", "PYSPARK_PYTHON": str(engines / "python")}
        self.log = log
        with log.open("w") as out:
            self.process = subprocess.Popen(
                [str(word) for word in command], cwd=log.parent, env=os.environ | told, stdout=out, stderr=out
            )

    def wait_until(self, what) -> list:
        """What ``what`` finds, as soon as it finds something."""
        deadline = time.monotonic() + LONGEST
        while not (found := what()):
            assert self.process.poll() is None and time.monotonic() < deadline, self.said()
            time.sleep(0.05)
        return found

    def family(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children(recursive=True)

    def workers(self, kind: str) -> list[psutil.Process]:
        """Those with ``kind`` in their command line that have no children: Spark forks its workers from one alike."""
        found = []
        for process in self.family():
            with suppress(psutil.Error):  # it has ended meanwhile
                found += [process] * (kind in " ".join(process.cmdline()) and not process.children())
        return found

    def kill_all(self) -> None:
        """As where the machine is lost."""
        everyone = [psutil.Process(self.process.pid), *self.family()]
        for process in everyone:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        self.process.wait()
        psutil.wait_procs(everyone, timeout=30)

    def said(self) -> str:
        return self.log.read_text(encoding="utf-8", errors="replace")[-5000:]

    def end(self) -> str:
        status = self.process.wait(LONGEST)
        assert status == 0, self.said()
        return self.said()


def killed_twice(engines: Path, command: list[object], written, worker: str, folder: Path) -> None:
    """All of it is killed, then the same command again, in which one worker is; ``written`` are files that are done."""
    first = Started(engines, command, folder / "first.log")
    try:
        first.wait_until(lambda: len(written()) >= 2)
    finally:
        first.kill_all()
    done = {path: path.read_bytes() for path in written()}
    rows = sum(parquet.read_metadata(path).num_rows for path in done)
    assert 0 < rows < ROWS
    second = Started(engines, command, folder / "second.log")
    try:
        second.wait_until(lambda: len(written()) > len(done))
        second.wait_until(lambda: second.workers(worker))[0].kill()
        assert f"{ROWS} reviews" in second.end()
    finally:
        if second.process.poll() is None:
            second.kill_all()
    assert {path: path.read_bytes() for path in done} == done


def test_ray_answers_as_absa_predict_does_and_goes_on_after_kills(engines, given, tmp_path) -> None:
    bundle, file, expected = given
    out, checkpoint = tmp_path / "answers", tmp_path / "answers.checkpoint"

    def written() -> list[Path]:
        names = [path.stem for path in checkpoint.glob("*.parquet") if not path.stem.endswith(".pending")]
        return sorted(path for path in out.glob("*.parquet") if any(path.name.startswith(name) for name in names))

    command = [engines / "python", ROOT / "examples" / "predict_ray.py", bundle, file, out]
    command += ["--id-column", "id", "--text-column", "comment", "--workers", "2", "--megabytes", "0.1"]
    killed_twice(engines, command, written, "MapBatches(Answers)", tmp_path)
    assert_same_answers(dataset(out).to_table(), expected, ROWS)


def test_spark_answers_as_absa_predict_does_and_goes_on_after_kills(engines, given, tmp_path) -> None:
    bundle, file, expected = given
    out = tmp_path / "answers"
    command = [engines / "spark-submit", "--master", "local[2,4]", "--conf", "spark.ui.enabled=false"]
    command += [ROOT / "examples" / "predict_spark.py", bundle, file, out]
    command += ["--id-column", "id", "--text-column", "comment", "--rows-per-file", "250"]
    killed_twice(engines, command, lambda: sorted(out.glob("part-*.parquet")), "pyspark.daemon", tmp_path)
    assert_same_answers(dataset(out).to_table(), expected, ROWS)
