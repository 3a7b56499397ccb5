"""A masked language model over an encoder, as a LightningModule; and the encoder's folder, written at the end."""

import logging
from pathlib import Path
from typing import Any, Literal

import lightning.pytorch as L
import torch
from tokenizers import Tokenizer
from torch import Tensor, nn
from torch.nn import functional as F
from torchmetrics import MeanMetric
from transformers import AutoModelForMaskedLM, PreTrainedModel

from ..errors import UserError
from ..labels import IGNORE
from ..model.attention import packed_states
from ..model.dropout import replace_dropout
from ..model.encoder import Encoder
from ..model.hub import locate
from ..model.optim import adamw, clip, parameter_groups

log = logging.getLogger(__name__)
HEADS = ("lm_head", "cls")  # what the RoBERTa and the BERT families call the layers behind the encoder


def language_model(encoder: Encoder) -> PreTrainedModel:
    """transformers' masked language model around ``encoder``, with the head of its folder, if that has one.

    Raises UserError if ``encoder`` is of a kind that cannot be pre-trained further.
    """
    try:
        model: Any = AutoModelForMaskedLM.from_config(encoder.module.config, dtype=torch.float32)
    except ValueError as error:
        raise UserError(f"{encoder.name}: transformers knows no masked language model of its kind") from error
    if head_of(model) is None:
        raise UserError(f"{encoder.name}: only encoders of the BERT and RoBERTa families can be pre-trained further")
    if encoder.pretrained:
        model, info = AutoModelForMaskedLM.from_pretrained(
            locate(encoder.name), dtype=torch.float32, output_loading_info=True
        )
        if any(key.startswith(HEADS) for key in info["missing_keys"]):
            log.warning(f"{encoder.name} has no layers behind the encoder: those that guess words start at random")
    # the given encoder in place of the one just made: the settings have changed it (attention, dropout)
    setattr(model, model.base_model_prefix, encoder.module)
    model.tie_weights()
    trained: PreTrainedModel = model.train()
    return trained


def head_of(model: Any) -> Any:
    """The layers that turn hidden states into logits over the vocabulary; None if :data:`HEADS` does not name them."""
    return next((getattr(model, name) for name in HEADS if hasattr(model, name)), None)


class MaskedLanguageModel(L.LightningModule):
    """Predicts masked tokens. The loss is the cross entropy over the masked tokens of a batch, in nats.

    The head computes logits for the masked tokens alone: over all tokens, its product with the vocabulary would be most
    of the work. ``dropout`` replaces the encoder's own rate while it is pre-trained; the configuration that is written
    keeps the encoder's own.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        lr: float = 1e-3,
        weight_decay: float = 0.01,
        dropout: float = 0.0,
        schedule: Literal["cosine", "linear", "constant"] = "linear",
        warmup: float = 0.05,
        total_steps: int = 0,
    ) -> None:
        super().__init__()
        self.save_hyperparameters(ignore=["model"])
        self.model: Any = model
        replace_dropout(model)
        for part in model.modules():
            if isinstance(part, nn.Dropout):
                part.p = dropout
        self.tokenizer_json: str | None = None
        self.origin: dict[str, Any] = {}  # settings that a resumed run must share with this one
        self.val_loss = MeanMetric()

    def loss(self, batch: Any) -> tuple[Tensor, Tensor]:
        """The mean loss over the masked tokens (float32, no axes), and the number of masked tokens (int64, no axes).

        ``batch`` is one of :class:`src.pretraining.data.MaskedBatches`: ``targets`` int64 [B, T].
        """
        encoder, targets = self.model.base_model, batch["targets"]
        if "packing" in batch:
            states = packed_states(encoder, batch["input_ids"], batch["packing"])
        else:
            states = encoder(batch["input_ids"], attention_mask=batch["attention_mask"]).last_hidden_state
        hidden = torch.nonzero(targets.flatten() != IGNORE).squeeze(1)
        logits = head_of(self.model)(states.flatten(0, 1)[hidden])
        # a sum: the mean of a batch without masked tokens would be NaN; the sum is 0 and has no gradient
        total = F.cross_entropy(logits.float(), targets.flatten()[hidden], reduction="sum")
        return total / max(1, len(hidden)), hidden.new_tensor(len(hidden))

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        loss, _ = self.loss(batch)
        self.log("train/loss", loss.detach(), on_step=True, on_epoch=False)
        return loss

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        self.val_loss.update(*self.loss(batch))

    def on_validation_epoch_end(self) -> None:
        self.log("val/loss", self.val_loss.compute())
        self.val_loss.reset()

    def configure_optimizers(self) -> Any:
        h = self.hparams
        groups = parameter_groups(self, h["lr"], h["lr"], h["weight_decay"])
        betas = (0.9, 0.98)  # RoBERTa's
        return adamw(groups, self.trainer.precision, h["schedule"], h["total_steps"], h["warmup"], betas)

    def configure_gradient_clipping(
        self, optimizer: object, gradient_clip_val: float | None = None, gradient_clip_algorithm: str | None = None
    ) -> None:
        clip(self.parameters(), gradient_clip_val, gradient_clip_algorithm)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["tokenizer"], checkpoint["origin"] = self.tokenizer_json, self.origin


def write_encoder(model: PreTrainedModel, tokenizer: Tokenizer, folder: Path, dtype: torch.dtype) -> None:
    """Write config.json, model.safetensors (as ``dtype``) and tokenizer.json, which ``model.encoder=FOLDER`` reads."""
    folder.mkdir(parents=True, exist_ok=True)
    model.to(dtype).save_pretrained(folder)  # type: ignore[arg-type]
    tokenizer.save(str(folder / "tokenizer.json"))
