"""A run's best checkpoint behind the predictor's methods: what a bundle of it would answer, without exporting one."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from src.judge.calibration import Calibration
from src.judge.inference import load_best
from src.judge.thresholds import Thresholds
from src.labels import C, Labels
from src.lit_module import AspectSentimentModule
from src.runs import Run
from src.ship.answers import Decisions
from src.ship.predictor import check_texts
from src.tokenizer import encode, from_json


class RunPredictor:
    """As :class:`src.ship.predictor.Predictor`, over torch, on the processor, in float32."""

    def __init__(self, summary: dict[str, Any], labels: Labels, module: AspectSentimentModule) -> None:
        self.info, self.labels, self.task = summary, labels, module.task
        self.max_length: int = summary["config"]["data"]["max_length"]
        self.module = module
        self.decisions = Decisions(
            labels,
            module.task,
            Thresholds.from_dict(summary["thresholds"]).array,
            Calibration.from_dict(summary["calibration"]),
        )
        self._tokenizer = from_json(module.tokenizer_json or "", self.max_length)

    @classmethod
    def load(cls, folder: str | Path, threads: int | None = None) -> "RunPredictor":
        """Read a finished run. Raises UserError when it is none, or has lost its best checkpoint."""
        run = Run(folder)
        summary = run.read_summary()
        if threads:
            torch.set_num_threads(threads)
        return cls(summary, run.labels, load_best(run))

    def predict(self, texts: Sequence[str], *, all_aspects: bool = False) -> list[dict[str, Any]]:
        """As :meth:`src.ship.predictor.Predictor.predict`."""
        return self.decisions.answers(*self.logits(texts), all_aspects=all_aspects)

    def logits(self, texts: Sequence[str]) -> tuple[np.ndarray | None, np.ndarray]:
        """As :meth:`src.ship.predictor.Predictor.logits`."""
        check_texts(texts)
        ids, offsets = encode(self._tokenizer, texts, compact=False)
        a = len(self.labels.aspects)
        sentiment = np.zeros((len(texts), a, C), np.float32)
        mentioned = np.zeros((len(texts), a), np.float32) if self.task == "absa" else None
        with torch.inference_mode():
            for i in range(len(texts)):  # one at a time, as a bundle does: what comes along cannot change an answer
                row = torch.from_numpy(ids[None, offsets[i] : offsets[i + 1]].astype(np.int64))
                out = self.module(row, torch.ones_like(row))
                sentiment[i] = out["sentiment"][0].numpy()
                if mentioned is not None:
                    mentioned[i] = out["mentioned"][0].numpy()
        return mentioned, sentiment
