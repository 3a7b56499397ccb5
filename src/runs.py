"""What a run's folder holds, read and written in one place.

``.hydra/``, ``train.log``, ``metrics.csv``, ``checkpoints/{best,last}.ckpt``, ``summary.json``,
``predictions/{val,test}.jsonl``; later ``report.html`` and ``bundle/``.
"""

import json
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path
from typing import Any

from src.errors import UserError
from src.labels import Labels
from src.ranks import rank

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

    def predictions(self, split: str) -> Path:
        return self.folder / "predictions" / f"{split}.jsonl"

    def keep_earlier_metrics(self) -> None:
        """Move a ``metrics.csv`` of before aside: the logger of a run that goes on in this folder would delete it."""
        current = self.folder / "metrics.csv"
        if current.exists() and not rank():
            count = len(list(self.folder.glob("metrics.*.csv")))
            current.rename(self.folder / f"metrics.{count + 1}.csv")

    def amend_best(self, values: dict[str, Any]) -> None:
        """Add plain values, such as the detection thresholds, to the best checkpoint."""
        from src.checkpoint import AtomicCheckpointIO  # brings torch, which reading a run does not need

        io = AtomicCheckpointIO()
        io.save_checkpoint(io.load_checkpoint(self.best) | values, self.best)

    def write_summary(self, summary: dict[str, Any]) -> None:
        path = self.folder / "summary.json"
        temporary = path.with_name(".summary.json.tmp")
        temporary.write_text(json.dumps(summary, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
        temporary.replace(path)

    def read_summary(self) -> dict[str, Any]:
        """Raises UserError when the folder is not that of a finished run."""
        path = self.folder / "summary.json"
        try:
            summary: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        except (FileNotFoundError, NotADirectoryError):
            raise UserError(f"{self.folder}: holds no summary.json, so it is no finished run") from None
        except ValueError as error:
            raise UserError(f"{path}: not valid JSON ({error})") from error
        return summary

    @property
    def labels(self) -> Labels:
        labels = self.read_summary()["labels"]
        return Labels(tuple(labels["aspects"]), tuple(labels["without_sentiment"]))


def environment() -> dict[str, Any]:
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
        head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=here, capture_output=True, text=True, check=True)
        dirty = subprocess.run(["git", "status", "--porcelain", "-uno"], cwd=here, capture_output=True, text=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return head.stdout.strip() + ("+changes" if dirty.stdout.strip() else "")
