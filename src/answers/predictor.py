"""Texts in, answers out, over whatever computes the logits: a bundle's ONNX model, or a run's checkpoint in torch.

Every call of the model gets one review: nothing is padded (a fifth faster than batches of mixed lengths), and the same
text gets the same bits whatever it comes with. int8 depends on it, as all activations of a call share one scale. Every
thread takes reviews of its own: a tenth (float32) to a third (int8) faster than two threads at one short review.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from tokenizers import Tokenizer

from ..labels import C, Labels
from ..tokens.tokenizer import check_texts, composed, encode, spans
from .calibration import Calibration
from .decisions import Decisions
from .explanation import Explanation
from .thresholds import Thresholds

# token ids and mask, int64 [B, T] -> float32 logits: ``sentiment`` [B, A, C]; for task ``absa`` ``mentioned`` [B, A]
Model = Callable[[np.ndarray, np.ndarray], dict[str, np.ndarray]]


class Predictor:
    """``predict`` and the others may be called from several threads at once if ``model`` may.

    ``info`` is a bundle's description or a run's summary: its ``task``, ``thresholds`` and ``calibration`` are read.
    ``tokenizer`` cuts what is longer than ``max_length`` tokens. Up to ``threads`` reviews are computed side by side.
    """

    def __init__(
        self, info: Mapping[str, Any], labels: Labels, max_length: int, tokenizer: Tokenizer, model: Model, threads: int
    ) -> None:
        self.info, self.labels, self.max_length, self.model = info, labels, max_length, model
        self.task: str = info["task"]
        self.decisions = Decisions(
            labels,
            self.task,
            Thresholds.from_dict(info["thresholds"]).array,
            Calibration.from_dict(info["calibration"]),
        )
        self._threads = threads
        self._pool = ThreadPoolExecutor(threads)
        self._tokenizer = tokenizer

    def predict(self, texts: Sequence[str], *, all_aspects: bool = False) -> list[dict[str, Any]]:
        """An answer per text, in the order given, as :meth:`src.answers.decisions.Decisions.answers` describes it.

        Raises UserError, which names the texts by their number from 0 on, for what is no valid Unicode text.
        """
        return self.decisions.answers(*self.logits(texts), all_aspects=all_aspects)

    def logits(self, texts: Sequence[str]) -> tuple[np.ndarray | None, np.ndarray]:
        """``mentioned`` float32 [N, A] (None for task ``sentiment``) and ``sentiment`` float32 [N, A, C], in order.

        Raises UserError as :meth:`predict`.
        """
        check_texts(texts)
        ids, offsets = encode(self._tokenizer, texts, compact=False)
        a = len(self.labels.aspects)
        sentiment = np.zeros((len(texts), a, C), np.float32)
        mentioned = np.zeros((len(texts), a), np.float32) if self.task == "absa" else None

        def fill(rows: Iterable[int]) -> None:
            for i in rows:
                row = ids[None, offsets[i] : offsets[i + 1]].astype(np.int64)
                out = self.model(row, np.ones_like(row))
                sentiment[i] = out["sentiment"][0]
                if mentioned is not None:
                    mentioned[i] = out["mentioned"][0]

        rows = iter(range(len(texts)))  # all threads share it: each takes the next row when it is done with its last
        if self._threads == 1 or len(texts) < 2:
            fill(rows)
        else:
            list(self._pool.map(fill, [rows] * self._threads))
        return mentioned, sentiment

    def tokens(self, text: str) -> list[tuple[int, int]]:
        """Where each token but the special ones begins and ends, in characters of the text's NFC form.

        Raises UserError for what is no valid Unicode text.
        """
        return spans(self._tokenizer, text)

    def explain(self, text: str) -> dict[str, Any]:
        """What each word contributes to each answer: see :meth:`src.answers.explanation.Explanation.answer`.

        Raises UserError as :meth:`tokens`.
        """
        asked = self.explanation(text)
        return asked.answer(*self.logits(asked.texts))

    def explanation(self, text: str) -> Explanation:
        """The explanation of ``text``, for callers that run its ``texts`` through the model themselves.

        Raises UserError as :meth:`tokens`.
        """
        tokens = self.tokens(text)  # first: it refuses what is no text
        return Explanation(composed(text), tokens, self.decisions)
