"""Texts in, answers out, over whatever computes the logits: a bundle's ONNX model, or a run's checkpoint in torch.

Every call of the model gets one review, or one window of a long one: nothing is padded (a fifth faster than batches of
mixed lengths), and the same text gets the same bits whatever it comes with. int8 depends on it, as all activations of a
call share one scale. Every thread takes reviews of its own: a tenth (float32) to a third (int8) faster than two threads
at one short review.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from tokenizers import Tokenizer

from ..data.nfc import composed
from ..errors import UserError
from ..labels import Labels
from ..tokens.tokenizer import check_texts, spans
from ..tokens.windows import Windowed, encode_whole, window_spans, windows
from .calibration import Calibration
from .decisions import Decisions
from .explanation import Explanation
from .table import Table
from .thresholds import Thresholds
from .windows import join, with_windows

if TYPE_CHECKING:
    import pyarrow as pa

# token ids and mask, int64 [B, T] -> float32 logits: ``sentiment`` [B, A, C]; for task ``absa`` ``mentioned`` [B, A]
Model = Callable[[np.ndarray, np.ndarray], dict[str, np.ndarray]]
ArrowRows = TypeVar("ArrowRows", bound="pa.RecordBatch | pa.Table")


class Predictor:
    """``predict`` and the others may be called from several threads at once if ``model`` may.

    ``info`` is a bundle's description or a run's summary: its ``task``, ``thresholds`` and ``calibration`` are read.
    ``tokenizer`` cuts at ``max_length`` tokens: a longer text is read in windows (:mod:`src.tokens.windows`). Up to
    ``threads`` reviews or windows are computed side by side.

    A predictor that :func:`src.ship.predictor.load` made pickles as the call that made it, so that a worker loads the
    model itself from the same path; any other cannot be pickled.
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
        self.made_by: Callable[[], Predictor] | None = None  # what a pickle holds

    def __reduce__(self) -> tuple[Any, ...]:
        if self.made_by is None:
            raise TypeError("a Predictor that visobert_absa.load did not make cannot be pickled")
        return self.made_by, ()

    def predict(self, texts: Sequence[str], *, all_aspects: bool = False) -> list[dict[str, Any]]:
        """An answer per text, in the order given, as :meth:`src.answers.decisions.Decisions.answers` describes it.

        Long texts also have ``windows`` and ``cut``: see :func:`src.answers.windows.told`. Raises UserError, which
        names the texts by their number from 0 on, for what is no valid Unicode text, and for what is no list of texts:
        one text, a dict, a set, a table.
        """
        no_list = isinstance(texts, str | bytes | Mapping | Set) or hasattr(texts, "columns")  # a DataFrame gives names
        if no_list or not isinstance(texts, Iterable):
            got = "a single text" if isinstance(texts, str | bytes) else type(texts).__name__
            raise UserError(f"expected a list of texts, such as [text], got {got}")
        read = self._read(list(texts))
        answers = self.decisions.answers(*join(read.first, *self._computed(read)), all_aspects=all_aspects)
        return with_windows(answers, read.first, read.cut)

    def predict_arrow(
        self, batch: ArrowRows, *, text_column: str | None = None, all_aspects: bool = False, first_line: int | None = 1
    ) -> ArrowRows:
        """A RecordBatch or Table of pyarrow with the columns of the answers behind its own, row for row.

        The columns are those of ``absa predict``'s Parquet file, and ``reason``: why a row has no answer (no text,
        another type, bytes that are not UTF-8), else null. :meth:`arrow_schema` tells them beforehand. The texts are in
        ``text_column``, by default the column that ``absa predict`` takes. ``line`` counts the rows from ``first_line``
        on; None leaves the column out, as where a batch does not know which rows of the input it holds. Raises
        UserError if there is no column of texts, if two columns have one name, and without pyarrow.
        """
        arrow, make_table = _arrow(), partial(Table, self.labels, self.task, all_aspects)
        answer = partial(self.predict, all_aspects=all_aspects)
        answered: ArrowRows = arrow.answered_rows(batch, text_column, make_table, answer, first_line)
        return answered

    def arrow_schema(
        self, schema: "pa.Schema", *, all_aspects: bool = False, first_line: int | None = 1
    ) -> "pa.Schema":
        """The schema of what :meth:`predict_arrow` makes of a batch of ``schema``. Raises UserError without pyarrow."""
        return _arrow().extended(schema, partial(Table, self.labels, self.task, all_aspects), first_line)

    def logits(self, texts: Sequence[str]) -> tuple[np.ndarray | None, np.ndarray]:
        """``mentioned`` float32 [N, A] (None for task ``sentiment``) and ``sentiment`` float32 [N, A, C], in order.

        Raises UserError as :meth:`predict`.
        """
        read = self._read(texts)
        return join(read.first, *self._computed(read))

    def logits_of_short(self, texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray | None, np.ndarray]:
        """Which texts are a single window, bool [N], and the logits of these, as :meth:`logits`; of others nothing.

        Raises UserError as :meth:`predict`.
        """
        read = self._read(texts)
        short = np.diff(read.first) == 1
        return short, *self._computed(read, read.first[:-1][short].tolist())

    def windows(self, text: str) -> tuple[list[str], int]:
        """The windows in which a text is read, and how many of its tokens are not: see :mod:`src.tokens.windows`.

        Raises UserError as :meth:`predict`.
        """
        check_texts([text])
        return windows(self._tokenizer, text)

    def _read(self, texts: Sequence[str]) -> Windowed:
        check_texts(texts)
        return encode_whole(self._tokenizer, texts, compact=False)

    def _computed(self, read: Windowed, windows: Sequence[int] | None = None) -> tuple[np.ndarray | None, np.ndarray]:
        """Logits of some windows, or of all: ``mentioned`` float32 [W, A] or None, ``sentiment`` float32 [W, A, C]."""
        windows = range(len(read.offsets) - 1) if windows is None else windows
        a, number = len(self.labels.aspects), len(windows)
        sentiment = np.zeros((number, a, len(self.labels.sentiments)), np.float32)
        mentioned = np.zeros((number, a), np.float32) if self.task == "absa" else None

        def fill(rows: Iterable[int]) -> None:
            for i in rows:
                at = windows[i]
                row = read.ids[None, read.offsets[at] : read.offsets[at + 1]].astype(np.int64)
                out = self.model(row, np.ones_like(row))
                sentiment[i] = out["sentiment"][0]
                if mentioned is not None:
                    mentioned[i] = out["mentioned"][0]

        rows = iter(range(number))  # all threads share it: each takes the next row when it is done with its last
        if self._threads == 1 or number < 2:
            fill(rows)
        else:
            list(self._pool.map(fill, [rows] * self._threads))
        return mentioned, sentiment

    def tokens(self, text: str) -> list[tuple[int, int]]:
        """Where each token of each window, without special ones, begins and ends, in characters of the text's NFC form.

        Raises UserError for what is no valid Unicode text.
        """
        check_texts([text])
        text = composed(text)
        return self._tokens(text, window_spans(self._tokenizer, text)[0])

    def _tokens(self, text: str, parts: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
        return [(a + start, b + start) for start, end in parts for a, b in spans(self._tokenizer, text[start:end])]

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
        check_texts([text])
        text = composed(text)
        parts, cut = window_spans(self._tokenizer, text)
        return Explanation(text, self._tokens(text, parts), self.decisions, parts, cut)


def _arrow() -> Any:
    try:
        from . import arrow
    except ModuleNotFoundError as error:
        if error.name != "pyarrow":
            raise
        raise UserError("pyarrow is not installed; pip install 'visobert-absa[parquet]'") from None
    return arrow
