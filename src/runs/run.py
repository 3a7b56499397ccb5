"""What a run's folder holds, read and written in one place.

``.hydra/``, ``train.log``, ``metrics.csv``, ``checkpoints/{best,last,previous}.ckpt``, ``summary.json``,
``predictions/{val,test}.jsonl``, and of a finished run ``SHA256SUMS``; later ``report.html`` and ``bundle/``.
"""

import json
import platform
import re
import subprocess
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import UserError
from ..labels import SENTIMENTS, Labels
from ..spelling import command, override
from .contract import faults_of
from .machine import sha256, write_whole
from .summary import Environment, LabelNames, PretrainingSummary, Reading, Summary

if TYPE_CHECKING:
    from omegaconf import DictConfig

SUMS = "SHA256SUMS"  # as `sha256sum -c` reads it; checkpoints hold their own hash
UNLISTED = (SUMS, ".lock", ".lock.holder")
PACKAGES = ("torch", "lightning", "transformers", "tokenizers", "hydra-core", "omegaconf", "torchmetrics", "numpy")


class Run:
    """One training's folder."""

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)

    @property
    def best(self) -> Path:
        return self.folder / "checkpoints" / "best.ckpt"

    @property
    def last(self) -> Path:
        return self.folder / "checkpoints" / "last.ckpt"

    @property
    def teacher(self) -> Path:
        """What the run learned from beside the labels: :mod:`src.judge.teacher`."""
        return self.folder / "teacher.npz"

    @property
    def training_texts(self) -> Path:
        """A hash of every training text: :mod:`src.judge.leaks`."""
        return self.folder / "training_texts.npy"

    def predictions(self, split: str) -> Path:
        """The predictions file of ``split``. Raises UserError if the file is not the one that the run wrote."""
        path = self.folder / "predictions" / f"{split}.jsonl"
        self.check(path)
        return path

    def begin(self, config: "DictConfig | None" = None) -> None:
        """Prepare the folder for a run that starts or resumes in it, and write the run's settings, ``config``.

        Call it once nothing can refuse the run. An earlier ``metrics.csv`` is renamed, because the logger would delete
        it; earlier hashes are deleted, because the files will change. Raises OSError.
        """
        from .folder import is_first_process, write_settings  # imported here: reading a run needs no Hydra

        if not is_first_process():
            return
        if config is not None:
            write_settings(self.folder, config)
        (self.folder / SUMS).unlink(missing_ok=True)
        summary = self.folder / "summary.json"  # it tells of the earlier part only, until the run ends again
        if summary.exists():
            summary.replace(self.folder / "summary.earlier.json")
        current = self.folder / "metrics.csv"
        if current.exists():
            count = len(list(self.folder.glob("metrics.*.csv")))
            current.rename(self.folder / f"metrics.{count + 1}.csv")

    def seal(self) -> None:
        """Write the SHA-256 of every file of a finished run, so that :meth:`check` finds a later change.

        Checkpoints hold their own hash. Logs are left out: a sweep that skips the finished run adds a line there.
        """
        files = [path for path in self.folder.rglob("*") if path.is_file() and path.suffix not in (".ckpt", ".log")]
        names = sorted(path.relative_to(self.folder).as_posix() for path in files if path.name not in UNLISTED)
        text = f"# {len(names)} files\n" + "".join(f"{sha256(self.folder / name)}  {name}\n" for name in names)
        write_whole(self.folder / SUMS, text)

    def check(self, *paths: Path) -> None:
        """Raise UserError if ``paths``, or without any all listed files, differ from those that :meth:`seal` hashed.

        A run without hashes passes.
        """
        sums = self.folder / SUMS
        if not sums.exists():
            return
        lines = sums.read_bytes().decode(errors="replace").split("\n")
        listed = {line[66:]: line[:64] for line in lines if re.fullmatch(r"[0-9a-f]{64}  .+", line)}
        if lines[0] != f"# {len(listed)} files" or len(lines) != len(listed) + 2:
            raise UserError(f"{sums}: is damaged; delete it if you know that the run's files are as they were")
        faults = []
        for path in paths or [self.folder / name for name in listed]:
            if path.is_file() and sha256(path) != listed.get(path.relative_to(self.folder).as_posix()):
                faults.append(f"{path}: is not the file that the run wrote (its SHA-256 differs from that in {SUMS})")
            elif not path.is_file() and not paths:
                faults.append(f"{path}: is missing")
        if faults:
            raise UserError(faults)

    def write_summary(self, summary: Summary | PretrainingSummary) -> None:
        write_whole(self.folder / "summary.json", json.dumps(summary, ensure_ascii=False, indent=2) + "\n")

    def read_summary(self) -> Summary:
        """The summary of a training.

        Raises UserError when the folder holds no finished training, or when the file is damaged, with all keys that are
        missing or of another type.
        """
        path = self.folder / "summary.json"
        self.check(path)
        try:
            summary: Summary = json.loads(path.read_text(encoding="utf-8"))
        except (FileNotFoundError, NotADirectoryError):
            raise UserError(f"{self.folder}: holds no summary.json, so it is no finished run") from None
        except (ValueError, RecursionError) as error:
            raise UserError(f"{path}: not valid JSON ({error})") from error
        if faults := faults_of(summary, Summary):
            if not faults_of(summary, PretrainingSummary):
                again = command("train.py", ["model=mini", override("model.encoder", self.folder / "encoder")])
                raise UserError(
                    f"{self.folder}: its summary has no labels, as of a run of pretrain.py. To train from that: {again}"
                )
            more = [f"and {len(faults) - 20:,} more"] * (len(faults) > 20)
            raise UserError([f"{path}: {fault}" for fault in [*faults[:20], *more]])
        try:
            labels = named_labels(summary["labels"])
        except ValueError as error:
            raise UserError(f"{path}: labels: {error}") from error
        faults = counts_faults(summary, labels)
        faults += faults_of(summary["config"].get("data"), Reading, "config.data")
        if faults:
            raise UserError([f"{path}: {fault}" for fault in faults])
        return summary

    @property
    def labels(self) -> Labels:
        """Raises UserError as :meth:`read_summary`."""
        return named_labels(self.read_summary()["labels"])


def named_labels(names: LabelNames) -> Labels:
    """Labels as ``summary.json`` and a bundle write them down. Raises ValueError as :class:`~src.labels.Labels`."""
    sentiments = tuple(names.get("sentiments", SENTIMENTS))
    return Labels(tuple(names["aspects"]), tuple(names["without_sentiment"]), sentiments)


def counts_faults(found: Mapping[str, Any], labels: Labels) -> list[str]:
    """What is wrong with ``class_counts`` [A][C] and ``mention_counts`` [A], read from a file, beside its labels."""
    a, c = len(labels.aspects), len(labels.sentiments)
    faults = []
    counts = found.get("class_counts", [[0] * c] * a)
    if faults_of(counts, list[list[int]]) or len(counts) != a or any(len(row) != c or min(row) < 0 for row in counts):
        faults.append(f"class_counts: expected {c} counts for each of {a} aspects")
    counts = found.get("mention_counts", [0] * a)
    if faults_of(counts, list[int]) or len(counts) != a or min(counts) < 0:
        faults.append(f"mention_counts: expected a count for each of {a} aspects")
    return faults


def environment() -> Environment:
    """Versions of the packages that a result depends on, Python, platform, and the project's commit if it has one."""
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": {name: version(name) for name in PACKAGES},
        "commit": _commit(),
    }


def _commit() -> str | None:
    """The checked-out commit, with ``+changes`` where tracked files differ from it; None outside a checkout."""
    here = Path(__file__).resolve().parent
    try:
        head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=here, capture_output=True, check=True)
        dirty = subprocess.run(["git", "status", "--porcelain", "-uno"], cwd=here, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return head.stdout.decode().strip() + ("+changes" if dirty.stdout.strip() else "")
