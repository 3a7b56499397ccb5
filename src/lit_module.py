"""Training, validation and prediction of an :class:`AspectClassifier`, as a LightningModule."""

from collections.abc import Callable, Sequence
from typing import Any, Literal

import lightning.pytorch as L
import torch
from torch import Tensor, nn
from torchmetrics import MeanMetric

from .labels import IGNORE, SENTIMENTS, Batch, Labels
from .losses import DETECTION_LOSSES, distillation, divergence, rare_weights
from .model.classifier import AspectClassifier, Pooling
from .model.encoder import from_config
from .model.metrics import AspectFigures
from .model.optim import adamw, clip, encoder_rate, parameter_groups
from .tokens.packing import Packing


class AspectSentimentModule(L.LightningModule):
    """Aspect detection and sentiment classification over one encoder.

    ``task="absa"``: two heads, loss = sentiment loss + ``detection_weight`` x detection loss; ``task="sentiment"``: the
    sentiment head alone. ``encoder`` is the loaded encoder; without it one is initialised from ``encoder_config``, so
    that a checkpoint loads offline, without data, from plain hyper-parameters alone. ``loss`` maps (logits [B, A, C],
    targets [B, A]) to a scalar; a module that only predicts needs none. The losses of several batches are averaged with
    the weight ``loss.weight(targets)`` if the loss has such a method, else with the number of labelled pairs. With
    ``r_drop`` > 0 every review runs twice, under two dropout masks, and ``r_drop`` times the
    :func:`src.losses.divergence` of the two outputs is added. Where a batch has the logits of a ``teacher``, a share
    ``teacher_weight`` of the loss is :func:`src.losses.distillation` at ``teacher_temperature``. ``mention_shares``,
    the share of the training reviews that mentions each aspect, is where detection begins; with ``rare_aspects`` > 0 a
    mention weighs by it (:func:`src.losses.rare_weights`). Learning rates are per optimizer step: linear warm-up over
    the fraction ``warmup`` of ``total_steps``, then ``schedule`` down to 0.
    """

    carries: Tensor  # float32 [A], 1.0 = the aspect has a sentiment
    mention_weights: Tensor | None  # float32 [A], how much a mention counts in detection's loss; None: all alike

    def __init__(
        self,
        aspects: Sequence[str],
        encoder_config: dict[str, Any],
        task: Literal["absa", "sentiment"] = "absa",
        without_sentiment: Sequence[str] = (),
        sentiments: Sequence[str] = SENTIMENTS,
        encoder: nn.Module | None = None,
        loss: nn.Module | None = None,
        pooling: Pooling = "cls",
        head_width: int = 512,
        dropout: float = 0.3,
        detection_loss: Literal["bce", "focal", "asymmetric"] = "bce",
        detection_weight: float = 1.0,
        rare_aspects: float = 0.0,
        mention_shares: Sequence[float] | None = None,
        threshold: float = 0.5,
        encoder_lr: float | Literal["auto"] = 2e-5,
        head_lr: float = 2e-5,
        weight_decay: float = 0.01,
        r_drop: float = 0.0,
        teacher_weight: float = 0.5,
        teacher_temperature: float = 2.0,
        schedule: Literal["cosine", "linear", "constant"] = "cosine",
        warmup: float = 0.06,
        total_steps: int = 0,
    ) -> None:
        super().__init__()
        self.save_hyperparameters(ignore=["encoder", "loss", "mention_shares"])
        self.labels = Labels(tuple(aspects), tuple(without_sentiment), tuple(sentiments))
        self.task, self.threshold = task, threshold
        self.classifier = AspectClassifier(
            encoder if encoder is not None else from_config(encoder_config, pooling),
            len(self.labels.aspects),
            len(self.labels.sentiments),
            detect=task == "absa",
            pooling=pooling,
            head_width=head_width,
            dropout=dropout,
        )
        self.loss = loss
        self.detection_loss: Callable[..., Tensor] = DETECTION_LOSSES[detection_loss]
        self.detection_weight, self.r_drop = detection_weight, r_drop
        carries = torch.tensor(self.labels.carries_sentiment, dtype=torch.float32)  # [A]
        self.register_buffer("carries", carries, persistent=False)
        shares = None if mention_shares is None else torch.tensor(mention_shares, dtype=torch.float64)
        if shares is not None:
            self.classifier.start_at(shares)
        weights = None
        if rare_aspects and task == "absa":  # without the shares they are a checkpoint's
            weights = torch.ones(len(self.labels.aspects)) if shares is None else rare_weights(shares, rare_aspects)
        self.register_buffer("mention_weights", weights)
        self.teacher_weight, self.teacher_temperature = teacher_weight, teacher_temperature
        # the checkpoint stores these two under keys of their own
        self.tokenizer_json: str | None = None
        self.origin: dict[str, Any] = {}  # data hashes and settings that a resumed run must share
        # EpochLine reports a NaN; a check by the metric would wait for the GPU at every step
        self.train_loss = MeanMetric(nan_strategy="disable")
        for stage in ("val", "test"):
            # validation is also measured at its best threshold; on test no threshold may be chosen
            setattr(self, f"{stage}_figures", AspectFigures(self.labels, task, threshold, cut=stage == "val"))
            for head in self.heads:
                setattr(self, f"{stage}_{head}_loss", MeanMetric())

    @property
    def encoder_rate(self) -> float:
        """The encoder's learning rate, before the schedule."""
        return encoder_rate(self.hparams["encoder_lr"], self.classifier.encoder.config.hidden_size)

    @property
    def heads(self) -> tuple[str, ...]:
        return ("sentiment", "mentioned") if self.task == "absa" else ("sentiment",)

    def forward(self, input_ids: Tensor, attention_mask: Tensor, packing: Packing | None = None) -> dict[str, Tensor]:
        """int64 [B, T] twice -> logits: ``sentiment`` [B, A, C]; ``mentioned`` [B, A] for task ``absa``."""
        logits: dict[str, Tensor] = self.classifier(input_ids, attention_mask, packing)
        return logits

    # --- steps -------------------------------------------------------------------------------------------------------

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        logits = self(batch["input_ids"], batch["attention_mask"], batch.get("packing"))
        total = self._to_learn(logits, batch)
        if self.r_drop:
            again = self(batch["input_ids"], batch["attention_mask"], batch.get("packing"))
            total = (total + self._to_learn(again, batch)) / 2
            total = total + self.r_drop * divergence(logits, again, batch["sentiment"] != IGNORE)
        self.train_loss.update(total.detach(), len(batch["row"]))
        self.log("train/loss", self.train_loss, on_step=False, on_epoch=True)
        return total

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        self._evaluate("val", batch)

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        self._evaluate("test", batch)

    def predict_step(self, batch: Batch, batch_idx: int) -> dict[str, Tensor]:
        """``row`` int64 [B] and the float32 logits of ``forward``."""
        logits = self(batch["input_ids"], batch["attention_mask"])
        return {"row": batch["row"]} | {head: logits[head].float() for head in self.heads}

    def on_validation_epoch_end(self) -> None:
        self._log_figures("val")

    def on_test_epoch_end(self) -> None:
        self._log_figures("test")

    # --- optimizer ---------------------------------------------------------------------------------------------------

    def configure_optimizers(self) -> Any:
        h = self.hparams
        groups = parameter_groups(self.classifier, self.encoder_rate, h["head_lr"], h["weight_decay"])
        return adamw(groups, self.trainer.precision, h["schedule"], h["total_steps"], h["warmup"])

    def configure_gradient_clipping(
        self, optimizer: object, gradient_clip_val: float | None = None, gradient_clip_algorithm: str | None = None
    ) -> None:
        clip(self.parameters(), gradient_clip_val, gradient_clip_algorithm)

    # --- what a checkpoint holds -------------------------------------------------------------------------------------

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["labels"] = self.labels.lists()
        checkpoint["tokenizer"] = self.tokenizer_json
        checkpoint["origin"] = self.origin
        if not self.trainer.is_last_batch:  # within an epoch: a resumed run goes on with its mean loss
            checkpoint["train_loss"] = {k: float(getattr(self.train_loss, k)) for k in ("mean_value", "weight")}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self.tokenizer_json = checkpoint["tokenizer"]
        self.origin = checkpoint["origin"] | self.origin  # a resumed run's own values win: they were checked
        for name, value in checkpoint.get("train_loss", {}).items():
            getattr(self.train_loss, name).fill_(value)
        if self.loss is None:  # a module that only predicts has no place for the buffers of the loss
            for name in [name for name in checkpoint["state_dict"] if name.startswith("loss.")]:
                del checkpoint["state_dict"][name]

    # --- within ------------------------------------------------------------------------------------------------------

    def _losses(self, logits: dict[str, Tensor], batch: Batch) -> dict[str, Tensor]:
        if self.loss is None:
            raise RuntimeError("this module was loaded to predict; give it a loss to train or to measure its loss")
        losses: dict[str, Tensor] = {"sentiment": self.loss(logits["sentiment"], batch["sentiment"])}
        if self.task == "absa":
            losses["mentioned"] = self._detection(logits["mentioned"], batch["mentioned"])
        return losses

    def _detection(self, logits: Tensor, targets: Tensor) -> Tensor:
        """The loss of logits [B, A]; where mentions of rare aspects weigh more, of logits raised by log weight.

        So raised, cross entropy is least where the logits are those of the true probabilities, as without weights
        (logit adjustment: Menon et al. 2021), so that probabilities and thresholds mean what they meant.
        """
        if self.mention_weights is None:
            return self.detection_loss(logits, targets)
        weight = torch.where(targets > 0, self.mention_weights, 1.0)
        return self.detection_loss(logits + self.mention_weights.log(), targets, weight=weight)

    def _to_learn(self, logits: dict[str, Tensor], batch: Batch) -> Tensor:
        """The loss by the labels; where there is a teacher, a share of it by the teacher's logits in its place."""
        total = self._total(self._losses(logits, batch))
        if "teacher" not in batch:
            return total
        teacher = {"sentiment": batch["teacher"][..., :-1], "mentioned": batch["teacher"][..., -1]}
        if self.task == "absa":  # sentiments of an aspect that is not mentioned were never trained
            pairs = teacher["mentioned"].sigmoid() * self.carries
        else:
            pairs = (batch["sentiment"] != IGNORE).float()
        taught = self._total(distillation(logits, teacher, pairs, self.teacher_temperature))
        return (1 - self.teacher_weight) * total + self.teacher_weight * taught

    def _total(self, losses: dict[str, Tensor]) -> Tensor:
        if "mentioned" not in losses:
            return losses["sentiment"]
        return losses["sentiment"] + self.detection_weight * losses["mentioned"]

    def _evaluate(self, stage: str, batch: Batch) -> None:
        logits = self(batch["input_ids"], batch["attention_mask"])
        if batch.get("repeated"):
            return
        getattr(self, f"{stage}_figures").update(
            logits.get("mentioned"), logits["sentiment"].argmax(-1), batch["mentioned"].bool(), batch["sentiment"]
        )
        if self.loss is None:
            return
        for head, loss in self._losses(logits, batch).items():
            weight = self._loss_weight(head, batch)  # each batch's mean counts by the targets it averages
            getattr(self, f"{stage}_{head}_loss").update(loss, weight)

    def _loss_weight(self, head: str, batch: Batch) -> Tensor:
        if head == "mentioned":
            return batch["mentioned"].new_tensor(batch["mentioned"].numel())
        weigh: Callable[[Tensor], Tensor] | None = getattr(self.loss, "weight", None)  # in torch's own losses a tensor
        return weigh(batch["sentiment"]) if callable(weigh) else (batch["sentiment"] != IGNORE).sum()

    def _log_figures(self, stage: str) -> None:
        figures = getattr(self, f"{stage}_figures")
        self.log_dict({f"{stage}/{name}": value for name, value in figures.compute().items()})
        figures.reset()
        if self.loss is not None:
            means = {head: getattr(self, f"{stage}_{head}_loss") for head in self.heads}
            self.log(f"{stage}/loss", self._total({head: mean.compute() for head, mean in means.items()}))
            for mean in means.values():
                mean.reset()
