"""Which words made the model answer so: integrated gradients over the input embeddings."""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from src.judge.inference import load_best
from src.judge.mistakes import INVENTED, MISSED, Mistake, taking_turns
from src.judge.writing import pieces
from src.labels import SENTIMENTS
from src.lit_module import AspectSentimentModule
from src.runs import Run
from src.tokenizer import PAD_ID, from_json

STEPS = (8, 32, 128)  # points of the integral; more where fewer leave a gap
TOLERANCE = 0.05  # largest gap, relative to the attribution; what stays above it is not shown
ROW_TOKENS = 4096  # of one pass
MOST = 400  # mistakes explained


class Target(NamedTuple):
    """A difference of logits: what is explained. Positions in the last dimensions of a head's logits."""

    head: str  # "mentioned" [A] or "sentiment" [A, C]
    plus: tuple[int, ...] | None
    minus: tuple[int, ...] | None

    def of(self, logits: dict[str, Tensor]) -> Tensor:
        """float [B]."""
        of = logits[self.head].movedim(0, -1)  # [A, B] or [A, C, B]
        parts = [sign * of[where] for sign, where in ((1, self.plus), (-1, self.minus)) if where is not None]
        return torch.stack(parts).sum(0)


@dataclass
class Explanations:
    """Attributions to the words (:func:`pieces`) of some mistakes, by the mistake's position in the list."""

    words: dict[int, np.ndarray] = field(default_factory=dict)  # float [words], towards the model's answer
    gaps: list[float] = field(default_factory=list)  # of those shown
    refused: int = 0  # whose gap stayed above TOLERANCE


def explain(
    run: Run, max_length: int, texts: Sequence[str], mistakes: Sequence[Mistake], seconds: float
) -> Explanations:
    """Explain mistakes, every aspect and kind in turn, for at most ``seconds`` (loading included) and :data:`MOST`.

    Raises UserError for a run without its best checkpoint.
    """
    end = time.monotonic() + seconds
    explanations = Explanations()
    if not mistakes:
        return explanations
    explainer = Explainer(load_best(run), max_length)
    for i in taking_turns(mistakes)[:MOST]:
        if time.monotonic() > end:
            break
        words, gap = explainer(texts[mistakes[i].row], target_of(mistakes[i]), end)
        if gap <= TOLERANCE:
            explanations.words[i] = words
            explanations.gaps.append(gap)
        else:
            explanations.refused += 1
    return explanations


def target_of(mistake: Mistake) -> Target:
    """What speaks for the model's answer: the mention's logit or minus it, or the sentiment said minus the label's."""
    a = mistake.aspect
    if mistake.kind == MISSED:
        return Target("mentioned", None, (a,))
    if mistake.kind == INVENTED:
        return Target("mentioned", (a,), None)
    return Target("sentiment", (a, SENTIMENTS.index(mistake.said)), (a, SENTIMENTS.index(mistake.gold)))


class Explainer:
    """A model that is asked which words made its answer."""

    def __init__(self, module: AspectSentimentModule, max_length: int) -> None:
        if module.tokenizer_json is None:
            raise ValueError("the checkpoint holds no tokenizer")
        self.classifier = module.classifier.eval().float().requires_grad_(False)
        self.tokenizer: Any = from_json(module.tokenizer_json, max_length)

    def __call__(self, text: str, target: Target, end: float = math.inf) -> tuple[np.ndarray, float]:
        """Attribution of each word of :func:`pieces`, float64 [words], and the completeness gap.

        It is not made smaller where that would take longer than until ``end``, on the monotonic clock.
        """
        encoding = self.tokenizer.encode(text)
        ids = torch.tensor(encoding.ids)
        special = torch.tensor(encoding.special_tokens_mask).bool()
        for steps, more in zip(STEPS, (*STEPS[1:], 0), strict=True):
            started = time.monotonic()
            tokens, gap = self.attribute(ids, special, target, steps)
            now = time.monotonic()
            if gap <= TOLERANCE or now + (now - started) * more / steps > end:
                break
        return to_words(text, encoding.offsets, tokens), gap

    def attribute(self, ids: Tensor, special: Tensor, target: Target, steps: int) -> tuple[np.ndarray, float]:
        """Integrated gradients (Sundararajan et al. 2017, equation 1), int64 [T] -> float64 [T], and the gap.

        The path runs from the embedding of the padding token, special tokens kept, to that of ``ids``; the integral is
        by Gauss-Legendre quadrature. They add up to F(text) - F(baseline) (completeness, their proposition 1); the gap
        is how far they do not, relative to that difference or, where larger, to the sum of their sizes.
        """
        embedding = self.classifier.encoder.get_input_embeddings()
        pad = self.classifier.encoder.config.pad_token_id
        pad = PAD_ID if pad is None else pad
        there = embedding(ids)  # [T, H]
        start = torch.where(special[:, None], there, embedding(torch.full_like(ids, pad)))
        nodes, weights = np.polynomial.legendre.leggauss(steps)
        at = torch.tensor((nodes + 1) / 2, dtype=there.dtype)
        share = torch.tensor(weights / 2, dtype=torch.float64)
        gradient = torch.zeros(there.shape, dtype=torch.float64)
        rows = max(1, ROW_TOKENS // len(ids))
        for some, parts in zip(torch.split(at, rows), torch.split(share, rows), strict=True):
            points = (start + some[:, None, None] * (there - start)).requires_grad_()
            (slopes,) = torch.autograd.grad(self._value(ids, points, target).sum(), points)
            gradient += (parts[:, None, None] * slopes.double()).sum(0)
        tokens = (gradient * (there - start).double()).sum(-1)
        with torch.no_grad():
            ends = self._value(ids, torch.stack([there, start]), target).double()
        difference = float(ends[0] - ends[1])
        size = max(abs(difference), float(tokens.abs().sum()), 1e-9)
        return tokens.numpy(), abs(float(tokens.sum()) - difference) / size

    def _value(self, ids: Tensor, points: Tensor, target: Target) -> Tensor:
        """The target, float [B], for embeddings [B, T, H] in place of those of ``ids``; positions are the ids' own."""
        embedding = self.classifier.encoder.get_input_embeddings()
        hook = embedding.register_forward_hook(lambda *_: points)
        try:
            repeated = ids.expand(len(points), -1)
            return target.of(self.classifier(repeated, torch.ones_like(repeated)))
        finally:
            hook.remove()


def to_words(text: str, offsets: Sequence[tuple[int, int]], tokens: np.ndarray) -> np.ndarray:
    """Token attributions added up over :func:`pieces`. A token counts for the word in which its last letter stands."""
    starts = np.cumsum([0, *map(len, pieces(text))])[:-1]
    words = np.zeros(len(starts))
    for (start, end), value in zip(offsets, tokens, strict=True):
        while end - 1 > start and text[end - 1].isspace():
            end -= 1
        word = int(np.searchsorted(starts, max(start, end - 1), side="right")) - 1
        words[max(0, word)] += value
    return words
