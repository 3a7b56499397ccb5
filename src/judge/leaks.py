"""Which of the judged texts were trained on: a run and its bundle keep a hash of every training text."""

import io
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..answers.figures import Counts, figures, total
from ..data.findings import text_keys
from ..errors import UserError
from ..labels import Labels
from ..runs.machine import write_whole
from ..runs.run import Run
from ..runs.summary import Summary, TrainedOn
from .baselines import splits_of

MOST_TEXTS = 16_000_000  # texts whose hashes are kept: 128 MB
_again: dict[str, np.ndarray] = {}  # keys that were made from training files, by what names those
UNKNOWN = "Whether any of these texts was trained on is not known: "


def write_keys(path: Path, texts: Sequence[str]) -> None:
    """Write the distinct :func:`src.data.findings.text_keys` of the training texts, sorted, as an .npy of uint64 [K].

    Equal texts are those of the data check: NFC, blanks collapsed, case kept. Of more than
    :data:`MOST_TEXTS` none is kept.
    """
    keys = np.unique(text_keys(texts))
    if len(keys) <= MOST_TEXTS:
        write_whole(path, lambda file: np.save(file, keys, allow_pickle=False))


def read_keys(content: bytes) -> np.ndarray:
    """The keys in the bytes of such a file. Raises ValueError if they are none."""
    keys: np.ndarray = np.load(io.BytesIO(content), allow_pickle=False)
    if keys.dtype != np.uint64 or keys.ndim != 1:
        raise ValueError(f"expected uint64 [K], got {keys.dtype} {list(keys.shape)}")
    return keys


def keys_of(run: Run, summary: Summary, labels: Labels) -> tuple[np.ndarray | None, str | None]:
    """The keys of a run's training texts; of an older run, which kept none, from its training file.

    None, and the reason in a sentence, if there are none to be had. Raises UserError if the run's file was changed.
    """
    path = run.training_texts
    if path.is_file():
        run.check(path)
        try:
            return read_keys(path.read_bytes()), None
        except (OSError, ValueError, EOFError) as error:
            return None, f"{UNKNOWN}{path} cannot be read ({error})."
    data = json.dumps([summary["config"]["data"], summary["data"]["splits"]], sort_keys=True, default=str)
    try:
        if data not in _again:  # the runs of a sweep share their training file
            _again[data] = np.unique(text_keys(splits_of(summary, labels).train.texts))
        return _again[data], None
    except UserError as error:
        return (
            None,
            f"{UNKNOWN}the run kept no hashes of its training texts, and its data cannot be read again: {error}",
        )


def seen(keys: np.ndarray | None, texts: Sequence[str]) -> np.ndarray | None:
    """bool [N]: whether each text is among the training texts; None if that is not known."""
    return None if keys is None else np.isin(text_keys(texts), keys)


def without_trained(each: Counts, known: np.ndarray, labels: Labels, task: str) -> TrainedOn:
    """How many reviews were trained on, and the figures without them; ``each`` per review, ``known`` bool [N]."""
    left = Counts(**{name: values[~known] for name, values in vars(each).items()})
    others = figures(total(left), labels, task) if known.any() and not known.all() else {}
    return {"reviews": int(known.sum()), "figures": {k: float(v) for k, v in others.items()}}


def leak_sentence(count: int, reviews: int, what: str = "these") -> str:
    """The sentence that every judgement has."""
    if not count:
        return f"None of {what} {reviews:,} texts was trained on."
    were = "was" if count == 1 else "were"
    share = f"{100 * count / reviews:.1f} %"
    return f"WARNING: {count:,} of {what} {reviews:,} texts {were} trained on ({share}); the figures flatter the model."
