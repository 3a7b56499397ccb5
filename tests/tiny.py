"""The smallest things that work: a 2-layer, 16-wide encoder, a few reviews, a module over them."""

from typing import Any

import numpy as np
import torch

from src.focal import FocalLoss
from src.labels import IGNORE
from src.lit_module import AspectSentimentModule
from src.model.encoder import from_config
from src.tokens.batching import TokenisedSplit

ASPECTS = ["Battery", "Camera", "OTHERS"]
CONFIG: dict[str, Any] = {
    "model_type": "xlm-roberta",
    "vocab_size": 64,
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "max_position_embeddings": 66,
    "type_vocab_size": 1,
    "pad_token_id": 1,
}


def tiny_module(seed: int = 0, **settings: Any) -> AspectSentimentModule:
    torch.manual_seed(seed)
    pooling = settings.get("pooling", "cls")
    given = {"head_width": 8, "loss": FocalLoss(gamma=2.0), "total_steps": 20, "encoder_lr": 1e-2, "head_lr": 1e-2}
    return AspectSentimentModule(
        ASPECTS, CONFIG, without_sentiment=["OTHERS"], encoder=from_config(CONFIG, pooling), **(given | settings)
    )


def tiny_split(n: int = 40, seed: int = 0) -> TokenisedSplit:
    """Reviews whose tokens give their labels away: token 10 + a means aspect a is mentioned, 20 + c its sentiment."""
    rng = np.random.default_rng(seed)
    mentioned = rng.random((n, 3)) < 0.5
    sentiment = np.where(mentioned, rng.integers(0, 3, (n, 3)), IGNORE).astype(np.int8)
    sentiment[:, 2] = IGNORE
    texts = []
    for i in range(n):
        said = [t for a in range(3) if mentioned[i, a] for t in (10 + a, *([20 + sentiment[i, a]] if a < 2 else []))]
        texts.append([0, *said, *rng.integers(30, 60, rng.integers(1, 9)), 2])
    offsets = np.concatenate([[0], np.cumsum([len(t) for t in texts])])
    return TokenisedSplit(np.concatenate(texts).astype(np.int32), offsets, mentioned, sentiment, 1)
