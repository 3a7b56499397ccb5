#!/usr/bin/env python3
"""Test what a training survives: kills, damage, full disks, a clock set back, two runs in one folder, changing data.

    python benchmarks/torture.py                   the long form: 30 kills, every file of a run; three minutes
    python benchmarks/torture.py --short           two kills, one or a few of everything else; a minute
    python benchmarks/torture.py --only kills full_disk --json torture.json

Every fault is done to `train.py` itself, on the sample data and a tiny encoder, in float32 on the processor. The result
is compared with that of an undisturbed run: weights, predictions and figures, bit for bit. Each kind of fault has a
negative control: the same fault with the remedy switched off, which must do harm; else the kind proves nothing.
Trainings are forked from this process, which has done the slow imports. The exit status is 1 if anything did not hold.
"""

import argparse
import hashlib
import json
import os
import random
import resource
import runpy
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import torch
from lightning.fabric.plugins.io.torch_io import TorchCheckpointIO

import src.data.reviews
import src.judge.best
import src.model.torch_files
import src.runs
import src.runs.folder
import src.training.callbacks
import src.training.progress
import src.training.resume
import src.training.summary
from src.errors import UserError
from src.runs.run import Run
from src.training.callbacks import RandomState
from src.training.checkpoint import AtomicCheckpointIO

SETTINGS = [
    *("model=mini", "model.pretrained=false", "model.size.hidden_size=16", "model.size.layers=1", "model.size.heads=2"),
    *("model.size.intermediate_size=32", "model.size.vocab_size=1000", "trainer.precision=32-true"),
    *("trainer.accelerator=cpu", "trainer.max_epochs=2", "data.batch_size=64"),
    "trainer.save_every_minutes=1e-6",  # after every step, so that a kill within a save is likely
]
Before = Callable[[], None] | None


@dataclass
class Result:
    """The results of one kind of fault: how often it was tried, and how often the training survived it."""

    kind: str
    tried: int = 0
    held: int = 0
    control: str = "not run"  # what the fault did with the remedy off
    control_did_harm: bool = False
    notes: list[str] = field(default_factory=list)

    def count(self, held: bool, note: str) -> None:
        self.tried += 1
        self.held += held
        if not held:
            self.notes.append(note)

    def harm(self, done: bool, words: str) -> None:
        self.control, self.control_did_harm = words, done

    @property
    def ok(self) -> bool:
        return self.held == self.tried > 0 and self.control_did_harm


class Trainings:
    """Starts `train.py` in forked processes below one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.counted = 0

    def start(
        self, *words: str, before: Before = None, run: Path | None = None, more: dict[str, str] | None = None
    ) -> "Child":
        """Start a training. The new process first calls ``before``; ``more`` is added to its environment."""
        self.counted += 1
        log = self.folder / f"{self.counted}.log"
        command = [*SETTINGS, *([f"hydra.run.dir={run}"] if run else []), *words]
        pid = os.fork()
        if pid == 0:
            status = 1
            try:
                handle = os.open(log, os.O_WRONLY | os.O_CREAT)
                os.dup2(handle, 1)
                os.dup2(handle, 2)
                sys.stdout, sys.stderr = (os.fdopen(fd, "w", 1, closefd=False) for fd in (1, 2))
                os.environ.update(more or {})
                tempfile.tempdir = None  # so that $TMPDIR is read again
                os.chdir(ROOT)
                if before is not None:
                    before()
                sys.argv = ["train.py", *command]
                runpy.run_path(str(ROOT / "train.py"), run_name="__main__")
                status = 0
            except SystemExit as end:
                status = end.code if isinstance(end.code, int) else int(end.code is not None)
            except BaseException:
                import traceback

                traceback.print_exc()
            finally:
                sys.stdout.flush()
                sys.stderr.flush()
                os._exit(status)
        return Child(pid, log)

    def run(self, *words: str, **options: Any) -> "Child":
        child = self.start(*words, **options)
        child.wait()
        return child


class Child:
    """A training in a process of its own; ``status`` is None until it has ended."""

    def __init__(self, pid: int, log: Path) -> None:
        self.pid, self.log = pid, log
        self.status: int | None = None

    def wait(self, seconds: float = 300) -> int | None:
        """Wait at most ``seconds``. The exit status, negative for a signal; None if the training has not ended."""
        end = time.monotonic() + seconds
        while self.status is None and time.monotonic() < end:
            done, status = os.waitpid(self.pid, os.WNOHANG)
            if done:
                self.status = os.waitstatus_to_exitcode(status)
            else:
                time.sleep(0.005)
        return self.status

    def send(self, number: int) -> None:
        if self.status is None:
            os.kill(self.pid, number)

    @property
    def said(self) -> str:
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    @property
    def words(self) -> str:
        """The status and the end of the output, for a note."""
        return f"status {self.status}: ...{self.said[-300:]}"


def outcome(run: Path) -> dict[str, Any]:
    """Weights (as hashes), figures and predictions of a run: two equal runs give the same."""
    weights = {}
    for name in ("best", "last"):
        content = torch.load(run / "checkpoints" / f"{name}.ckpt", weights_only=True)
        flat = hashlib.sha256()
        for key, tensor in content["state_dict"].items():
            flat.update(key.encode() + tensor.numpy().tobytes())
        weights[name] = flat.hexdigest()
    summary = json.loads((run / "summary.json").read_text())
    names = ("best", "figures", "figures_untuned", "thresholds", "calibration", "steps")
    figures = {name: summary[name] for name in names}
    texts = {split: Run(run).predictions(split).read_text() for split in ("val", "test")}
    return weights | figures | texts


def finished(outputs: Path) -> Path:
    """The folder, below ``outputs``, of the run that has finished."""
    return next(f for f in outputs.iterdir() if (f / src.runs.run.SUMS).exists())


def resumed(t: Trainings, run: Path, reference: dict[str, Any], result: Result, *words: str) -> None:
    """Resume the run in its folder, and count whether its outcome is the reference's."""
    child = t.run("ckpt_path=last", *words, run=run)
    result.count(child.status == 0 and outcome(run) == reference, child.words)


# --- faults that a process does to itself ---


def at_save(number: int, fault: Callable[[Any], None], remedy: bool) -> Before:
    """Do ``fault`` in the middle of the ``number``-th save: after half of its bytes are written.

    Without the remedy a checkpoint is written in place, over the earlier one, as torch.save does.
    """

    def patch() -> None:
        save, count = torch.save, [0]

        def half(content: Any, file: Any) -> None:
            count[0] += 1
            if count[0] == number:
                write, seen = file.write, [0]

                def counting(data: Any) -> int:
                    seen[0] += 1
                    if seen[0] == 40:
                        file.flush()
                        fault(file)
                    return write(data)

                file.write = counting
            save(content, file)

        def in_place(self: Any, checkpoint: Any, path: Any, storage_options: Any = None) -> None:
            Path(path).parent.mkdir(parents=True, exist_ok=True)
            with open(path, "wb") as file:
                half(checkpoint, Plain(file))

        if remedy:
            torch.save = half  # type: ignore[assignment]
        else:
            AtomicCheckpointIO.save_checkpoint = in_place  # type: ignore[method-assign]

    return patch


class Plain:
    """A file whose ``write`` can be replaced."""

    def __init__(self, file: Any) -> None:
        self.write, self.flush = file.write, file.flush


def kill_itself(_: Any = None) -> None:
    """End this process by SIGKILL, as a kill from outside at the worst moment would."""
    os.kill(os.getpid(), signal.SIGKILL)


def no_more_room(_: Any) -> None:
    """Limit the size of this process's files to 30,000 bytes: the system refuses to write more."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, 30_000))


# --- the kinds of faults ---


def kills(t: Trainings, reference: dict[str, Any], short: bool, seconds: float) -> Iterator[Result]:
    """Send kill -9 at random moments of starting, training, saving, judging and resuming, until each run is done."""
    result = Result("kill -9 at a random moment, then ckpt_path=last")
    whole, runs = Result("runs killed on the way, equal to the undisturbed one bit for bit"), 0
    rng, inside = random.Random(7), 0
    while result.tried < (2 if short else 30):
        runs += 1
        outputs = t.folder / f"kills{runs}"
        folder = "run" if runs % 2 else "${now:%H-%M-%S-%f}"  # one folder for all attempts, or a new one for each
        own = [f"hydra.run.dir={outputs / folder}"]
        killed = 0
        while True:
            begun = any(f.name != "best.ckpt" for f in outputs.glob("*/checkpoints/*.ckpt"))
            child = t.start(*own, *(["ckpt_path=last"] if begun else []))
            enough = killed >= (2 if short else 6)
            child.wait(300 if enough else rng.uniform(0.2, 1.0) * seconds)
            if child.status is not None:
                whole.count(child.status == 0 and outcome(finished(outputs)) == reference, child.words)
                break
            child.send(signal.SIGKILL)
            child.wait()
            killed += 1
            inside += any(outputs.glob("*/checkpoints/.*.partial"))
            for file in outputs.glob("*/checkpoints/*.ckpt"):
                try:
                    src.model.torch_files.check_archive(file)
                except UserError as error:
                    result.notes.append(str(error))
            result.count(not result.notes, "a checkpoint is damaged")
    for number in (signal.SIGTERM, signal.SIGINT) if short else (signal.SIGTERM, signal.SIGINT) * 3:
        run = t.folder / f"asked{whole.tried}"
        child = t.start(run=run)
        while child.wait(0.02) is None and not (run / "checkpoints" / "last.ckpt").exists():
            pass
        child.wait(rng.uniform(0, 0.1) * seconds)
        child.send(number)
        child.wait()
        if child.status == 130:
            resumed(t, run, reference, whole)
        else:
            whole.count(child.status == 0 and outcome(run) == reference, child.words)  # the fit was over before
    run = t.folder / "in-save"
    child = t.run(run=run, before=at_save(7, kill_itself, remedy=True))
    result.count(child.status == -signal.SIGKILL, child.words)
    inside += 1
    resumed(t, run, reference, whole)
    result.notes.append(f"{inside} of them within a save")
    run = t.folder / "in-save-control"
    t.run(run=run, before=at_save(7, kill_itself, remedy=False))
    bad = [f.name for f in (run / "checkpoints").glob("*.ckpt") if damaged(f)]
    result.harm(bool(bad), f"written in place, a kill within a save leaves {', '.join(bad) or 'nothing'} damaged")
    yield result

    def forget() -> None:
        RandomState.load_state_dict = lambda self, state: None  # type: ignore[method-assign]

    run = t.folder / "forgets"
    t.run(run=run, before=at_save(7, kill_itself, remedy=True))
    t.run("ckpt_path=last", run=run, before=forget)
    differs = outcome(run) != reference
    whole.harm(differs, f"without the random state the weights {'differ' if differs else 'are the same'}")
    yield whole


def damaged(file: Path) -> bool:
    """Whether a checkpoint is not whole."""
    try:
        src.model.torch_files.check_archive(file)
    except UserError:
        return True
    return False


def corruption(t: Trainings, reference: dict[str, Any], short: bool, seconds: float) -> Iterator[Result]:
    """Flip a bit in, or cut the end off, each file of a finished run but its log, one file at a time."""
    result, rng = Result("a flipped bit or a cut end in any file of a finished run but its log"), random.Random(11)
    run, silent = t.folder / "reference", 0
    files = (p for p in run.rglob("*") if p.is_file() and p.stat().st_size)
    for path in sorted(p for p in files if p.name != ".lock" and p.suffix != ".log"):
        whole, name = path.read_bytes(), str(path.relative_to(run))
        for i in range(2 if short else 20):
            content = bytearray(whole)
            if i % 2:
                del content[rng.randrange(len(content)) :]
            else:
                content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
            path.write_bytes(bytes(content))
            result.count(found(run, path), f"{name}: damage {i} was not found")
            silent += not found_by_plain_readers(path)
        path.write_bytes(whole)
    Run(run).check()
    result.harm(silent > 0, f"of the same, plain torch.load, json and YAML readers miss {silent} of {result.tried}")
    yield result
    last = Result("a damaged last.ckpt, resumed from the one before it")
    for i in range(1 if short else 4):
        run = t.folder / f"damaged{i}"
        t.run(run=run, before=at_save(9, kill_itself, remedy=True))
        file = run / "checkpoints" / "last.ckpt"
        if i % 2:
            os.truncate(file, rng.randrange(file.stat().st_size))
        else:
            content = bytearray(file.read_bytes())
            content[rng.randrange(len(content))] ^= 1
            file.write_bytes(bytes(content))
        resumed(t, run, reference, last)
    run = t.folder / "damaged-control"
    t.run(run=run, before=at_save(9, kill_itself, remedy=True))
    os.truncate(run / "checkpoints" / "last.ckpt", 1000)
    (run / "checkpoints" / "previous.ckpt").unlink()
    child = t.run("ckpt_path=last", run=run)
    last.harm(child.status == 2, f"with one kept instead of two the run cannot go on (status {child.status})")
    yield last


def found(run: Path, path: Path) -> bool:
    """Whether the project's own reader of the file finds the damage."""
    try:
        if path.suffix == ".ckpt":
            AtomicCheckpointIO().load_checkpoint(path)
        else:
            Run(run).check()
    except UserError:
        return True
    return False


def found_by_plain_readers(path: Path) -> bool:
    """Whether the library that reads such a file would find the damage by itself."""
    import yaml

    try:
        if path.suffix == ".ckpt":
            torch.load(path, weights_only=True)
        elif path.suffix == ".json":
            json.loads(path.read_text(encoding="utf-8"))
        elif path.suffix == ".jsonl":
            [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        elif path.suffix == ".yaml":
            yaml.safe_load(path.read_text(encoding="utf-8"))
        else:
            path.read_text(encoding="utf-8")
    except Exception:
        return True
    return False


def other_disk(t: Trainings, reference: dict[str, Any], short: bool, seconds: float) -> Iterator[Result]:
    """Kill a training within a save while $TMPDIR is on another file system: a file moved from there is copied."""
    result = Result("killed within a save, with $TMPDIR on another file system")
    elsewhere = Path("/dev/shm")
    if not elsewhere.is_dir() or elsewhere.stat().st_dev == t.folder.stat().st_dev:
        result.notes.append("skipped: /dev/shm is no other file system here")
        yield result
        return
    with tempfile.TemporaryDirectory(dir=elsewhere) as there:
        for i in range(1 if short else 3):
            run = t.folder / f"tmpdir{i}"
            child = t.run(run=run, before=at_save(5 + 3 * i, kill_itself, remedy=True), more={"TMPDIR": there})
            clean = child.status == -signal.SIGKILL and not list(Path(there).iterdir())
            child = t.run("ckpt_path=last", run=run, more={"TMPDIR": there})
            result.count(clean and child.status == 0 and outcome(run) == reference, child.words)
        run = t.folder / "tmpdir-control"

        def lightnings_own() -> None:
            AtomicCheckpointIO.save_checkpoint = TorchCheckpointIO.save_checkpoint  # type: ignore[method-assign]
            copy, count = shutil.copyfile, [0]

            def half(source: Any, target: Any, **options: Any) -> Any:
                count[0] += 1
                if count[0] == 7:
                    content = Path(source).read_bytes()
                    Path(target).write_bytes(content[: len(content) // 2])
                    kill_itself()
                return copy(source, target, **options)

            shutil.copyfile = half

        t.run(run=run, before=lightnings_own, more={"TMPDIR": there})
        bad = [f.name for f in (run / "checkpoints").glob("*.ckpt") if damaged(f)]
        result.harm(bool(bad), f"Lightning's own saving leaves {', '.join(bad) or 'nothing'} damaged")
    yield result


def full_disk(t: Trainings, reference: dict[str, Any], short: bool, seconds: float) -> Iterator[Result]:
    """Fill the disk in the middle of a save: a message, status 2, the earlier checkpoint whole. Then make room."""
    result = Result("the disk is full in the middle of a save, then has room again")
    for number in (7,) if short else (2, 7, 12):
        run = t.folder / f"full{number}"
        child = t.run(run=run, before=at_save(number, no_more_room, remedy=True))
        said = child.status == 2 and "cannot be written: File too large" in child.said and "Traceback" not in child.said
        result.count(said and not any(map(damaged, (run / "checkpoints").glob("*.ckpt"))), child.words)
        resumed(t, run, reference, result)
    child = t.run(run=t.folder / "no-room", before=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, 30_000)))
    result.count(child.status == 2 and "ulimit -f" in child.said and "Traceback" not in child.said, child.words)
    run = t.folder / "full-control"
    t.run(run=run, before=at_save(7, no_more_room, remedy=False))
    bad = [f.name for f in (run / "checkpoints").glob("*.ckpt") if damaged(f)]
    result.harm(bool(bad), f"written in place, {', '.join(bad) or 'nothing'} is lost")
    yield result


def read_only(t: Trainings, reference: dict[str, Any], short: bool, seconds: float) -> Iterator[Result]:
    """Run in a folder that cannot be written: /proc, a file in place of a folder, and mode 555 unless we are root."""
    result = Result("a run folder that cannot be written: one message, status 2, at once")
    closed = t.folder / "closed"
    closed.mkdir(mode=0o555)
    places = [Path("/proc/visobert/run"), Path("/dev/null/run"), *([] if os.geteuid() == 0 else [closed / "run"])]
    if os.geteuid() == 0:
        result.notes.append("mode 555 is not tried: root may write there")
    for place in places:
        child = t.run(run=place)
        said = "cannot be written" in child.said and "Traceback" not in child.said
        result.count(child.status == 2 and said, child.words)
    child = t.run("~hydra.callbacks.folder", run=places[0])
    traceback = "Traceback" in child.said
    result.harm(traceback, f"without the check it ends in {'a traceback' if traceback else 'words'}")
    yield result


def clock(t: Trainings, reference: dict[str, Any], short: bool, seconds: float) -> Iterator[Result]:
    """Set the clock back a day every time it is read, and kill the training within the first epoch."""

    def set_back() -> None:
        now = [time.time()]

        def back() -> float:
            now[0] -= 86_400
            return now[0]

        time.time = back

    def trusting() -> None:
        set_back()
        src.training.callbacks.time = type("", (), {"monotonic": staticmethod(time.time)})  # type: ignore[assignment]

    def in_first_epoch(patch: Callable[[], None]) -> Before:
        def both() -> None:
            patch()
            steps = [0]

            def fifth(*_: Any) -> None:
                steps[0] += 1
                if steps[0] == 5:
                    kill_itself()

            RandomState.on_train_batch_start = fifth  # type: ignore[method-assign]

        return both

    result = Result("a clock that is set back, and a kill within an epoch")
    run = t.folder / "clock"
    t.run(run=run, before=in_first_epoch(set_back))
    result.count((run / "checkpoints" / "last.ckpt").exists(), "nothing was saved within the epoch")
    child = t.run("ckpt_path=last", run=run, before=set_back)
    result.count(child.status == 0 and outcome(run) == reference, child.words)
    spent = json.loads((run / "summary.json").read_text())["seconds"] if child.status == 0 else {"": -1}
    result.count(all(s >= 0 for s in spent.values()), f"seconds in summary.json: {spent}")
    child = t.run(run=run)
    said = "holds a run already" in child.said
    result.count(child.status == 2 and said, f"a folder of the same name was written over: {child.words}")
    run = t.folder / "clock-control"
    t.run(run=run, before=in_first_epoch(trusting))
    lost = not (run / "checkpoints" / "last.ckpt").exists()
    result.harm(lost, f"by the clock that is set, {'nothing' if lost else 'something'} was saved within the epoch")
    yield result


def two_runs(t: Trainings, reference: dict[str, Any], short: bool, seconds: float) -> Iterator[Result]:
    """Start a second run into the folder of a run that is still training."""
    result = Result("two runs started into one folder: the second is refused, the first undisturbed")
    for i in range(1 if short else 3):
        run = t.folder / f"two{i}"
        first = t.start(run=run)
        while first.wait(0.02) is None and not (run / ".hydra" / "overrides.yaml").exists():
            pass
        first.wait(i * 0.3 * seconds)
        second = t.run("seed=1", run=run)
        said = ("another run is writing there", "holds a run already")  # the latter if the first had finished
        refused = second.status == 2 and any(words in second.said for words in said)
        first.wait()
        kept = "seed=1" not in (run / ".hydra" / "overrides.yaml").read_text()
        result.count(refused and kept and first.status == 0 and outcome(run) == reference, second.words)

    def unlocked() -> None:
        src.runs.folder.Lock = lambda _: type("", (), {"free": staticmethod(lambda: None)})  # type: ignore

    run = t.folder / "two-control"
    first = t.start(run=run, before=unlocked)
    while first.wait(0.02) is None and not (run / ".hydra" / "overrides.yaml").exists():
        pass
    second = t.run("seed=1", run=run, before=unlocked)
    first.wait()
    mixed = "seed=1" in (run / ".hydra" / "overrides.yaml").read_text()
    result.harm(mixed, f"without the lock the first run's settings are {'written over' if mixed else 'kept'}")
    yield result


def changing_data(t: Trainings, reference: dict[str, Any], short: bool, seconds: float) -> Iterator[Result]:
    """Let a data file grow between the two times that it is read."""
    result = Result("a data file that changes while it is read: refused")

    def growing(checked: bool, path: Path, row: bytes) -> Before:
        def patch() -> None:
            read, known = src.data.reviews.hash_of, dict[str, str | None]()

            def then_grow(name: str, faults: Any) -> str | None:
                if name in known and not checked:
                    return known[name]  # the control: the second hash is not computed
                first = name not in known
                known[name] = read(name, faults)
                if first and name == str(path):
                    with path.open("ab") as file:
                        file.write(row)
                return known[name]

            src.data.reviews.hash_of = then_grow  # type: ignore[attr-defined]

        return patch

    whole = (ROOT / "data" / "sample" / "train.csv").read_bytes()
    row = b"pin xem phim " + b"," * whole.split(b"\n")[0].count(b",") + b"\n"  # a text, and no aspect
    quick = ["trainer.max_epochs=1", "trainer.limit_train_batches=1"]
    for i in range(1 if short else 3):
        path = t.folder / f"grows{i}.csv"
        path.write_bytes(whole)
        child = t.run(f"data.train={path}", *quick, run=t.folder / f"grows{i}", before=growing(True, path, row))
        result.count(child.status == 2 and "the file changed while it was read" in child.said, child.words)
    path = t.folder / "grows.csv"
    path.write_bytes(whole)
    child = t.run(f"data.train={path}", *quick, run=t.folder / "grows", before=growing(False, path, row))
    result.harm(child.status == 0, f"unchecked, it is trained on under the hash of another (status {child.status})")
    yield result


KINDS = {f.__name__: f for f in (kills, corruption, other_disk, full_disk, read_only, clock, two_runs, changing_data)}


@contextmanager
def workplace(keep: Path | None) -> Iterator[Path]:
    """A temporary folder that is deleted at the end, or ``keep``, which stays."""
    if keep is not None:
        keep.mkdir(parents=True)
        yield keep
    else:
        with tempfile.TemporaryDirectory(prefix="torture") as folder:
            yield Path(folder)


def main() -> int:
    """Run all kinds, one after the other; print a table and, if asked for, write JSON."""
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--short", action="store_true")
    p.add_argument("--only", nargs="+", choices=KINDS, default=list(KINDS))
    p.add_argument("--json", type=Path)
    p.add_argument("--keep", type=Path, help="a new folder for the runs, to look at them afterwards")
    a = p.parse_args()
    torch.set_num_threads(1)
    os.environ |= {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false", "OMP_NUM_THREADS": "1"}
    began, results = time.monotonic(), []
    with workplace(a.keep) as folder:
        t = Trainings(folder)
        first = time.monotonic()
        child = t.run(run=folder / "reference")
        if child.status != 0:
            print(f"the undisturbed run failed: {child.said}", file=sys.stderr)
            return 1
        seconds = time.monotonic() - first
        reference = outcome(folder / "reference")
        for name in a.only:
            for result in KINDS[name](t, reference, a.short, seconds):
                results.append(result)
                print(f"{'ok ' if result.ok else 'NOT'}  {result.held}/{result.tried}  {result.kind}", flush=True)
                print(f"       control: {result.control}", *result.notes[:5], sep="\n       ", flush=True)
    print("\n| fault | held | control |\n|---|---|---|")
    print("\n".join(f"| {r.kind} | {r.held} of {r.tried} | {r.control} |" for r in results))
    minutes = (time.monotonic() - began) / 60
    print(f"\n{t.counted} trainings, {minutes:.1f} minutes; the undisturbed one took {seconds:.1f} s")
    if a.json:
        facts = {"short": a.short, "trainings": t.counted, "minutes": round(minutes, 1), "torch": torch.__version__}
        facts["results"] = [asdict(r) | {"ok": r.ok} for r in results]
        a.json.write_text(json.dumps(facts, indent=2, ensure_ascii=False) + "\n")
    return 0 if all(r.ok for r in results) else 1


if __name__ == "__main__":
    sys.exit(main())
