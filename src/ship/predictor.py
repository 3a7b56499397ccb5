"""Make a predictor from a folder: from a bundle, with onnxruntime and numpy, or from a run, which needs torch.

``absa predict`` and the service with its demo page use these predictors.
"""

import os
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
from tokenizers import Tokenizer

from ..answers.predictor import Predictor
from ..errors import UserError, listed
from ..labels import Labels
from ..runs.machine import cores
from ..tokens.tokenizer import from_json
from .bundle import INFO, ONNX, TOKENIZER, declared_labels, read_whole
from .fetch import fetch
from .onnx_file import check_one_file

SLOW = ["SkipLayerNormFusion"]  # onnxruntime's fused kernel takes three times as long as the two kernels it replaces
INPUTS = {"input_ids", "attention_mask"}


class OnnxModel:
    """A bundle's model as a :data:`src.answers.predictor.Model`.

    Raises UserError if its weights lie in other files, or if it has other inputs or outputs.
    """

    def __init__(self, model: bytes, task: str) -> None:
        try:
            check_one_file(model)
        except UserError as error:
            raise UserError(f"{ONNX}: {error}") from error
        options = ort.SessionOptions()
        options.add_session_config_entry("session.load_model_format", "ONNX")
        options.intra_op_num_threads = 1
        options.log_severity_level = 3
        self.session = ort.InferenceSession(
            model, options, providers=["CPUExecutionProvider"], disabled_optimizers=SLOW
        )
        self.session._model_bytes = None  # onnxruntime keeps the bytes for another provider, and there is none
        self._heads = ["sentiment", "mentioned"] if task == "absa" else ["sentiment"]
        takes, gives = (
            [node.name for node in nodes()] for nodes in (self.session.get_inputs, self.session.get_outputs)
        )
        if set(takes) != INPUTS or not set(self._heads) <= set(gives):
            raise UserError(
                f"{ONNX}: takes {listed(takes)} and gives {listed(gives)}; a model of task {task} takes "
                f"{listed(sorted(INPUTS))} and gives {listed(self._heads)}"
            )

    def __call__(self, ids: np.ndarray, mask: np.ndarray) -> dict[str, np.ndarray]:
        out = self.session.run(self._heads, {"input_ids": ids, "attention_mask": mask})
        return dict(zip(self._heads, out, strict=True))


def load(path: str | os.PathLike[str], *, threads: int | None = None, revision: str | None = None) -> Predictor:
    """A predictor for the bundle at ``path`` or of that name on the hub, or for a run's folder (which needs torch).

    A path that is there is never looked for on the hub, nor is a :class:`~pathlib.Path`. ``revision`` is a branch, a
    tag or a commit of the hub's repository. ``threads`` reviews are computed side by side, by default as many as there
    are cores: 1 where workers share the machine. Raises UserError if ``path`` is neither, if the bundle was changed
    since its export, for fewer threads than 1, and as :func:`src.ship.fetch.fetch`.
    """
    if threads is not None and not (isinstance(threads, int) and threads >= 1):
        raise UserError(f"threads={threads!r}: expected a number, 1 or more")
    found, commit = fetch(path, revision)
    folder = found.absolute()
    if not (folder / INFO).is_file() and (folder / "summary.json").is_file():
        from ..judge.inference import load_run  # brings torch

        predictor = load_run(found, threads)
    elif (folder / INFO).is_file():
        predictor = load_bundle(found, threads, from_hub=commit is not None)
    elif not folder.is_dir():
        raise UserError(f"{path}: there is no such folder, so neither a bundle nor a finished run")
    else:
        raise UserError(f"{path}: neither a bundle (no {INFO} in it) nor a finished run (no summary.json)")
    again = str(folder) if commit is None else str(path)
    predictor.made_by = partial(load, again, threads=threads, revision=commit)  # workers load the same commit
    return predictor


def load_bundle(folder: str | Path, threads: int | None = None, from_hub: bool = False) -> Predictor:
    """Check a bundle's hashes and load it; ``threads`` defaults to the number of cores that the process may use.

    ``from_hub``: its card may have been edited there. Raises UserError if ``folder`` is no bundle, was changed since
    its export, or cannot be loaded.
    """
    folder = Path(folder)
    try:
        info, contents = read_whole(
            folder, card=not from_hub
        )  # what was checked is loaded, even if the files change now
    except UserError as error:
        again = (
            f"{folder.parents[1]}: delete this folder, and it is fetched again; else the repository itself is at fault"
        )
        raise UserError([*error.faults, *[again] * from_hub]) from error
    try:
        tokenizer = from_json(contents[TOKENIZER].decode(), info["max_length"])
        return over_onnx(info, tokenizer, contents[ONNX], threads)
    except UserError as error:
        raise UserError([f"{folder}: {fault}" for fault in error.faults]) from error
    except Exception as error:  # tokenizers and onnxruntime raise exceptions of their own
        raise UserError(f"{folder}: cannot be loaded ({error})") from error


def over_onnx(info: dict[str, Any], tokenizer: Tokenizer, model: bytes, threads: int | None = None) -> Predictor:
    """A predictor made of the contents of a bundle: ``bundle.json``, the tokenizer and the bytes of the model.

    Raises UserError if the model keeps its weights in other files.
    """
    computed, labels = OnnxModel(model, info["task"]), declared_labels(info)
    _try(computed, labels, tokenizer.get_vocab_size())
    return Predictor(info, labels, info["max_length"], tokenizer, computed, threads or cores())


def _try(model: OnnxModel, labels: Labels, tokens: int) -> None:
    """Ask for the first and the last token. Raises UserError if the model cannot, or gives logits of another shape."""
    ids = np.array([[0, max(0, tokens - 1)]], np.int64)
    try:
        out = model(ids, np.ones_like(ids))
    except Exception as error:  # onnxruntime has errors of its own
        raise UserError(f"{ONNX}: cannot compute the tokens of the tokenizer ({str(error)[:200]})") from error
    a = len(labels.aspects)
    for head, logits in out.items():
        shape = (1, a, len(labels.sentiments)) if head == "sentiment" else (1, a)
        found = getattr(logits, "shape", None)
        if found != shape or logits.dtype != np.float32:
            kind = getattr(logits, "dtype", type(logits).__name__)
            raise UserError(f"{ONNX}: {head} is {kind} {found}; float32 {shape} is expected")
