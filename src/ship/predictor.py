"""A bundle's predictor: tokenizers, onnxruntime and numpy. The command, the service and the demo page all use this one.

Every call of the model gets one review: nothing is padded (a fifth faster than batches of mixed lengths), and the same
text gets the same bits whatever it comes with. int8 needs it too: it scales the activations of a call together. Every
thread takes reviews of its own: a tenth (float32) to a third (int8) faster than two threads at one short review.
"""

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnxruntime as ort
from tokenizers import Tokenizer

from ..answers.calibration import Calibration
from ..answers.decisions import Decisions
from ..answers.explanation import Explanation
from ..answers.thresholds import Thresholds
from ..errors import UserError
from ..labels import C, Labels
from ..runs.machine import cores
from ..tokens.tokenizer import check_texts, composed, encode, from_json, spans
from .bundle import INFO, MODEL, TOKENIZER, labels_of, read_whole

if TYPE_CHECKING:
    from ..judge.inference import RunPredictor

SLOW = ["SkipLayerNormFusion"]  # onnxruntime's fused kernel takes three times as long as the two it replaces

EXTERNAL = b"\x08location"  # how a tensor names the other file that holds it: a string with its length before it


class Predictor:
    """A loaded bundle. ``predict`` and the others may be called from several threads at once."""

    def __init__(self, info: dict[str, Any], tokenizer: Tokenizer, model: bytes, threads: int | None = None) -> None:
        if EXTERNAL in model:
            raise UserError(f"{MODEL}: keeps weights in other files; a bundle's model is one file")
        self.info = info
        self.labels: Labels = labels_of(info)
        self.task: str = info["task"]
        self.max_length: int = info["max_length"]
        self.decisions = Decisions(
            self.labels,
            self.task,
            Thresholds.from_dict(info["thresholds"]).array,
            Calibration.from_dict(info["calibration"]),
        )
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        options.log_severity_level = 3
        self._session = ort.InferenceSession(
            model, options, providers=["CPUExecutionProvider"], disabled_optimizers=SLOW
        )
        self._session._model_bytes = None  # onnxruntime keeps them for another provider, which there is not
        self._threads = threads or cores()
        self._pool = ThreadPoolExecutor(self._threads)
        self._tokenizer = tokenizer

    @classmethod
    def load(cls, folder: str | Path, threads: int | None = None) -> "Predictor":
        """Read a bundle, checking its hashes; ``threads`` default to the cores that the process may use.

        Raises UserError when it is no bundle, was changed, or its model cannot be loaded.
        """
        folder = Path(folder)
        info, contents = read_whole(folder)  # and loaded from what was checked, whatever lies there by now
        try:
            tokenizer = from_json(contents[TOKENIZER].decode(), info["max_length"])
            return cls(info, tokenizer, contents[MODEL], threads)
        except UserError as error:
            raise UserError([f"{folder}: {fault}" for fault in error.faults]) from error
        except Exception as error:  # both libraries raise their own kinds
            raise UserError(f"{folder}: cannot be loaded ({error})") from error

    def predict(self, texts: Sequence[str], *, all_aspects: bool = False) -> list[dict[str, Any]]:
        """An answer per text, in the order given, as :meth:`src.answers.decisions.Decisions.answers` describes it.

        Raises UserError, which names the texts by their number from 0 on, for what is no valid Unicode text.
        """
        return self.decisions.answers(*self.logits(texts), all_aspects=all_aspects)

    def logits(self, texts: Sequence[str]) -> tuple[np.ndarray | None, np.ndarray]:
        """``mentioned`` float32 [N, A] (None for task ``sentiment``) and ``sentiment`` float32 [N, A, C], in order."""
        check_texts(texts)
        ids, offsets = encode(self._tokenizer, texts, compact=False)
        a = len(self.labels.aspects)
        sentiment = np.zeros((len(texts), a, C), np.float32)
        mentioned = np.zeros((len(texts), a), np.float32) if self.task == "absa" else None

        def fill(rows: Iterable[int]) -> None:
            for i in rows:
                out = self.run(ids[None, offsets[i] : offsets[i + 1]].astype(np.int64))
                sentiment[i] = out["sentiment"][0]
                if mentioned is not None:
                    mentioned[i] = out["mentioned"][0]

        rows = iter(range(len(texts)))  # which the threads share: each takes the next one when it has done its last
        if self._threads == 1 or len(texts) < 2:
            fill(rows)
        else:
            list(self._pool.map(fill, [rows] * self._threads))
        return mentioned, sentiment

    def tokens(self, text: str) -> list[tuple[int, int]]:
        """Where each token but the special ones begins and ends, in characters of the text's NFC form."""
        return spans(self._tokenizer, text)

    def explain(self, text: str) -> dict[str, Any]:
        """What each word contributes to each answer, as :class:`src.answers.explanation.Explanation` describes it."""
        asked = self.explanation(text)
        return asked.answer(*self.logits(asked.texts))

    def explanation(self, text: str) -> Explanation:
        """What has to be asked to explain ``text``: for who asks it bit by bit."""
        return Explanation(composed(text), self.tokens(text), self.decisions)

    def run(self, ids: np.ndarray, mask: np.ndarray | None = None) -> dict[str, np.ndarray]:
        """One call of the model: token ids int64 [B, T], and the mask where some are padding -> logits by head."""
        names = ["sentiment", "mentioned"] if self.task == "absa" else ["sentiment"]
        inputs = {"input_ids": ids, "attention_mask": np.ones_like(ids) if mask is None else mask}
        return dict(zip(names, self._session.run(names, inputs), strict=True))


def open_predictor(path: str | Path, threads: int | None = None) -> "Predictor | RunPredictor":
    """A predictor for a bundle, or for a run's folder (which needs torch). Raises UserError if ``path`` is neither."""
    path = Path(path)
    if not (path / INFO).is_file() and (path / "summary.json").is_file():
        from ..judge.inference import RunPredictor  # brings torch

        return RunPredictor.load(path, threads)
    if not (path / INFO).is_file():
        raise UserError(f"{path}: neither a bundle (no {INFO} in it) nor a finished run (no summary.json)")
    return Predictor.load(path, threads)
