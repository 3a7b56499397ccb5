"""What other runs say of the training reviews, for a model that learns from them beside the labels (distillation).

The teacher is the mean of the runs' logits: the geometric mean of their distributions (Hinton et al. 2015, section 1),
which any temperature softens afterwards. It is computed once, and the run keeps it: a run that goes on needs the
teacher's folders no more.
"""

import hashlib
import logging
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..data.findings import text_keys
from ..data.reviews import Reviews
from ..datamodule import AspectDataModule
from ..errors import UserError, listed
from ..labels import Labels
from ..model.torch_files import DamagedFile
from ..runs.machine import write_whole
from ..runs.run import Run
from ..runs.summary import TeacherFacts
from ..spelling import override, pasted
from ..training.devices import device_of
from .candidates import find_runs
from .inference import answering_of
from .leaks import keys_of, seen

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Teacher:
    """The mean logits of ``runs`` for every training review, and what they were made of."""

    logits: np.ndarray  # float16 [N, A, C + 1]: of the sentiments, then of a mention (0 for task "sentiment")
    asked: tuple[str, ...]  # the setting
    runs: tuple[str, ...]  # the folders that it named, or that lie below it
    reviews: str  # a hash of the training reviews' texts, the aspects and the sentiments, in order

    @property
    def hash(self) -> str:
        return hashlib.sha256(self.logits.tobytes()).hexdigest()

    def facts(self, settings: dict[str, Any]) -> TeacherFacts:
        """For ``summary.json``; ``settings``: group ``model``."""
        weight, temperature = settings["teacher_weight"], settings["teacher_temperature"]
        return {"runs": list(self.runs), "logits": self.hash, "weight": weight, "temperature": temperature}

    def write(self, run: Run) -> None:
        """Keep it in the run's folder. Raises OSError."""
        arrays: dict[str, Any] = vars(self)
        write_whole(run.teacher, lambda file: np.savez(file, allow_pickle=False, **arrays))


def teacher_of(
    settings: dict[str, Any], data: AspectDataModule, run: Run, checkpoint: Path | None, first: bool
) -> Teacher | None:
    """The teacher that the setting ``teacher`` names; None where it is null.

    A run that goes on from ``checkpoint``, and every process of a training but the ``first``, reads what was kept.
    Raises UserError for folders that hold no run, and for runs of another task or with other aspects or sentiments.
    """
    if (given := settings.get("teacher")) is None:
        return None
    asked = (given,) if isinstance(given, str) else tuple(given)
    train = data.splits.train
    reviews = _hash_of(train, data.labels)
    kept = [run] if not first or checkpoint is not None else []
    kept += [Run(checkpoint.parent.parent)] if checkpoint is not None else []
    for earlier in (_read(one.teacher) for one in kept):
        if earlier is not None and (earlier.asked, earlier.reviews) == (asked, reviews):
            return earlier
    folders, unfinished = _found(asked)
    if run.folder.resolve() in [folder.resolve() for folder in folders]:
        raise UserError(f"teacher={run.folder}: is the folder of this very run; give it another, hydra.run.dir=FOLDER")
    if unfinished:
        log.warning(f"teacher: left out, because they are not finished: {listed([str(f) for f in unfinished])}")
    task = settings["task"]["name"]
    orders = [_order(folder, data.labels, task) for folder in folders]
    if faults := [fault for found in orders if isinstance(found, list) for fault in found]:
        raise UserError(faults)
    mean = np.zeros((len(train), len(data.labels.aspects), len(data.labels.sentiments) + 1), np.float32)
    device = device_of(settings["trainer"]["accelerator"])
    for folder, order in zip(folders, orders, strict=True):
        assert not isinstance(order, list)
        _warn_of_leaks(Run(folder), data)
        mean += _logits(Run(folder), train.texts, order, device) / len(folders)
    return Teacher(mean.astype(np.float16), asked, tuple(map(str, folders)), reviews)


def _found(asked: Sequence[str]) -> tuple[list[Path], list[Path]]:
    try:
        return find_runs(asked)
    except UserError as error:
        raise UserError([f"teacher={fault}" for fault in error.faults]) from None


def _order(folder: Path, labels: Labels, task: str) -> tuple[np.ndarray, np.ndarray] | list[str]:
    """Where the run has each of ``labels``: positions int64 [A] and [C]; or why it cannot teach them."""
    try:
        run = Run(folder)
        summary, its = run.read_summary(), run.labels
    except UserError as error:
        return [f"teacher={fault}" for fault in error.faults]
    at, faults = pasted([override("teacher", str(folder))]), []
    if summary["task"] != task:
        faults.append(f"{at}: is of task {summary['task']}, and this run of task {task}")
    if lacking := [name for name in labels.aspects if name not in its.aspects]:
        faults.append(f"{at}: knows nothing of {listed(lacking)}; its aspects are {', '.join(its.aspects)}")
    if missing := [name for name in labels.sentiments if name not in its.sentiments]:
        faults.append(f"{at}: has no sentiment {listed(missing)}; its sentiments are {', '.join(its.sentiments)}")
    silent = [a for a in its.without_sentiment if a in labels.aspects and a not in labels.without_sentiment]
    if silent:
        faults.append(f"{at}: learned no sentiment of {listed(silent)}, and the training data has some")
    if not run.best.is_file():
        faults.append(f"{at}: holds no checkpoints/best.ckpt")
    if faults:
        return faults
    aspects = np.array([its.aspects.index(name) for name in labels.aspects])
    return aspects, np.array([its.sentiments.index(name) for name in labels.sentiments])


def _logits(run: Run, texts: Sequence[str], order: tuple[np.ndarray, np.ndarray], device: str) -> np.ndarray:
    """The run's logits in this training's order of aspects and sentiments, float32 [N, A, C + 1].

    Long reviews are read whole, in windows of the run's own length.
    """
    mentioned, sentiment = answering_of(run, device=device, shown=f"Teacher {run.folder.name}")(texts)
    detected = mentioned if mentioned is not None else np.zeros(sentiment.shape[:2], np.float32)
    aspects, sentiments = order
    ordered: np.ndarray = np.concatenate([sentiment[..., sentiments], detected[..., None]], -1)[:, aspects]
    return ordered


def _warn_of_leaks(run: Run, data: AspectDataModule) -> None:
    """Log a warning if the run was trained on reviews that this training is judged by."""
    keys, _ = keys_of(run, run.read_summary(), run.labels)
    own = np.unique(text_keys(data.splits.train.texts))
    for split in ("val", "test"):
        reviews = data.reviews(split)
        if reviews is None or (known := seen(keys, reviews.texts)) is None:
            continue
        if (new := known & ~np.isin(text_keys(reviews.texts), own)).any():
            log.warning(
                f"WARNING: the teacher {run.folder} was trained on {int(new.sum()):,} of the {len(reviews):,} texts of "
                f"the {split} split; the figures flatter what learns from it."
            )


def _hash_of(reviews: Reviews, labels: Labels) -> str:
    digest = hashlib.sha256(repr((labels.aspects, labels.sentiments)).encode())
    for text in reviews.texts:
        digest.update(hashlib.sha256(text.encode("utf-8", "replace")).digest())
    return digest.hexdigest()


def _read(path: Path) -> Teacher | None:
    """What :meth:`Teacher.write` wrote; None if there is none, or none that can be read."""
    try:
        with np.load(path, allow_pickle=False) as kept:
            asked, runs = (tuple(map(str, kept[name])) for name in ("asked", "runs"))
            return Teacher(kept["logits"], asked, runs, str(kept["reviews"]))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, DamagedFile) as error:
        log.warning(f"{path}: cannot be read ({error}); the teacher is asked again")
        return None
