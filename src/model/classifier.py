"""Encoder plus heads: a plain module, without Lightning or Hydra."""

from typing import Any, Literal

import torch
from torch import Tensor, nn

from ..tokens.packing import Packing
from .attention import packed_states
from .dropout import replace_dropout
from .last_layer import keep_first_token

Pooling = Literal["cls", "mean", "label", "pooler"]


class AspectClassifier(nn.Module):
    """For each of ``aspects`` aspects: is it mentioned (task ``absa``), and with which of ``sentiments`` sentiments?

    Head: Linear(H, ``head_width``) -> ReLU -> dropout -> outputs. ``pooling`` makes one vector of a review: ``cls`` the
    first token, ``mean`` the mean over its tokens, ``pooler`` the encoder's own dense tanh layer over the first token.
    ``label`` makes a vector for each aspect: the mean over the tokens weighted by the aspect's own attention,
    softmax(hidden @ query) (Mullenbach et al. 2018, section 2.2).
    """

    def __init__(
        self,
        encoder: Any,
        aspects: int,
        sentiments: int = 3,
        *,
        detect: bool,
        pooling: Pooling = "cls",
        head_width: int = 512,
        dropout: float = 0.3,
    ) -> None:
        super().__init__()
        self.encoder: Any = encoder.train()  # from_pretrained returns eval mode, in which dropout would stay off
        self.aspects, self.sentiments, self.pooling = aspects, sentiments, pooling
        if pooling in ("cls", "pooler"):
            keep_first_token(encoder)
        width = encoder.config.hidden_size
        # queries of zero: the attention begins as the mean over tokens
        self.queries = nn.Parameter(torch.zeros(aspects, width)) if pooling == "label" else None
        self.trunk = nn.Sequential(nn.Linear(width, head_width), nn.ReLU(), nn.Dropout(dropout))
        self.sentiment = nn.Linear(head_width, aspects * sentiments)
        self.mentioned = nn.Linear(head_width, aspects) if detect else None
        replace_dropout(self)

    def forward(self, input_ids: Tensor, attention_mask: Tensor, packing: Packing | None = None) -> dict[str, Tensor]:
        """Ids and mask int64 [B, T] -> logits ``sentiment`` [B, A, C] and, with ``detect``, ``mentioned`` [B, A].

        Given the batch's ``packing`` the encoder skips the padding positions; the logits are the same.
        """
        if packing is None:
            hidden = self.encoder(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        else:
            hidden = packed_states(self.encoder, input_ids, packing)
        features = self.trunk(self._pool(hidden, attention_mask))  # [B, head_width]; label: [B, A, head_width]
        logits = {"sentiment": self._outputs(self.sentiment, features).view(-1, self.aspects, self.sentiments)}
        if self.mentioned is not None:
            logits["mentioned"] = self._outputs(self.mentioned, features)
        return logits

    def start_at(self, shares: Tensor) -> None:
        """Set the detection biases to the log odds of each aspect's share of the reviews, float [A].

        Otherwise every aspect starts at probability 0.5, and training must first unlearn that for the rare ones (the
        prior of Lin et al. 2017, section 3.3).
        """
        if self.mentioned is not None:
            with torch.no_grad():
                self.mentioned.bias.copy_(torch.logit(shares, eps=1e-3))

    def _pool(self, hidden: Tensor, attention_mask: Tensor) -> Tensor:
        if self.pooling == "pooler":
            pooled: Tensor = self.encoder.pooler(hidden)
            return pooled
        if self.pooling == "cls":
            return hidden[:, 0]
        if self.queries is not None:
            weights = (hidden @ self.queries.T).float().masked_fill(attention_mask.unsqueeze(-1) == 0, -torch.inf)
            return weights.softmax(1).to(hidden.dtype).transpose(1, 2) @ hidden  # [B, A, H]
        weight = attention_mask.unsqueeze(-1).to(hidden.dtype)
        return (hidden * weight).sum(1) / weight.sum(1)

    def _outputs(self, layer: nn.Linear, features: Tensor) -> Tensor:
        """``layer`` applied to [B, W]; to [B, A, W], each aspect's rows of ``layer`` to that aspect's features."""
        if self.queries is None:
            said: Tensor = layer(features)
            return said
        weight = layer.weight.view(self.aspects, -1, features.size(-1)).to(features.dtype)  # [A, outputs, W]
        # matmul, because an exported einsum transposes the weights for every review: a twentieth of the review's time
        return (features.unsqueeze(-2) @ weight.mT).flatten(1) + layer.bias  # [B, A, 1, W] @ [A, W, outputs]


def parameter_count(module: nn.Module) -> int:
    """The number of trainable parameters; shared ones count once."""
    return sum(p.numel() for p in module.parameters() if p.requires_grad)
