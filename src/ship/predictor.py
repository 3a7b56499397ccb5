"""Make a predictor from a folder: from a bundle, with onnxruntime and numpy, or from a run, which needs torch.

``absa predict`` and the service with its demo page use these predictors.
"""

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
from tokenizers import Tokenizer

from ..answers.predictor import Predictor
from ..errors import UserError
from ..runs.machine import cores
from ..tokens.tokenizer import from_json
from .bundle import INFO, ONNX, TOKENIZER, declared_labels, read_whole

SLOW = ["SkipLayerNormFusion"]  # onnxruntime's fused kernel takes three times as long as the two kernels it replaces

# how an ONNX file names the other file in which a tensor lies: the key ``location``, with its length before it
EXTERNAL = b"\x08location"


class OnnxModel:
    """A bundle's model as a :data:`src.answers.predictor.Model`. Raises UserError if its weights lie in other files."""

    def __init__(self, model: bytes, task: str) -> None:
        if EXTERNAL in model:
            raise UserError(f"{ONNX}: keeps weights in other files; a bundle's model is one file")
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        options.log_severity_level = 3
        self.session = ort.InferenceSession(
            model, options, providers=["CPUExecutionProvider"], disabled_optimizers=SLOW
        )
        self.session._model_bytes = None  # onnxruntime keeps the bytes for another provider, and there is none
        self._heads = ["sentiment", "mentioned"] if task == "absa" else ["sentiment"]

    def __call__(self, ids: np.ndarray, mask: np.ndarray) -> dict[str, np.ndarray]:
        out = self.session.run(self._heads, {"input_ids": ids, "attention_mask": mask})
        return dict(zip(self._heads, out, strict=True))


def open_predictor(path: str | Path, threads: int | None = None) -> Predictor:
    """A predictor for a bundle, or for a run's folder (which needs torch). Raises UserError if ``path`` is neither."""
    path = Path(path)
    if not (path / INFO).is_file() and (path / "summary.json").is_file():
        from ..judge.inference import load_run  # brings torch

        return load_run(path, threads)
    if not (path / INFO).is_file():
        raise UserError(f"{path}: neither a bundle (no {INFO} in it) nor a finished run (no summary.json)")
    return load_bundle(path, threads)


def load_bundle(folder: str | Path, threads: int | None = None) -> Predictor:
    """Check a bundle's hashes and load it; ``threads`` defaults to the number of cores that the process may use.

    Raises UserError if ``folder`` is no bundle, was changed since its export, or cannot be loaded.
    """
    folder = Path(folder)
    info, contents = read_whole(folder)  # the bytes that were checked are loaded, even if the files change now
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
    computed = OnnxModel(model, info["task"])
    return Predictor(info, declared_labels(info), info["max_length"], tokenizer, computed, threads or cores())
