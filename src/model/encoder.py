"""The encoder with its tokenizer: published weights from a folder, or random weights from a configuration."""

import json
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from tokenizers import Tokenizer
from torch import nn
from transformers import AutoConfig, AutoModel, PreTrainedModel
from transformers.modeling_layers import GradientCheckpointingLayer

from ..errors import UserError
from ..runs.summary import EncoderFacts
from ..tokens.tokenizer import PAD_ID, load_tokenizer, train_tokenizer
from .hub import locate, weights_hash
from .sizes import bytes_of, check_numbers
from .torch_files import check_weights

ENOUGH = 100_000  # texts that a tokenizer is trained on, at most
POSITIONS = 512  # tokens that the small encoder has room for, at least

log = logging.getLogger(__name__)
ROBERTA = ("roberta", "xlm-roberta", "xlm-roberta-xl", "camembert")  # families whose positions start at pad_id + 1


@dataclass
class Encoder:
    """An encoder ready for training: module in train mode, tokenizer, and where its weights came from."""

    module: PreTrainedModel
    tokenizer: Tokenizer
    name: str
    weights: str  # a sentence part: "pre-trained, from FOLDER" or "random: ..."
    pretrained: bool
    sha256: str | None = None  # of pre-trained weights

    @property
    def config(self) -> dict[str, Any]:
        """Plain values from which :func:`from_config` builds the same architecture offline."""
        config: dict[str, Any] = self.module.config.to_diff_dict()
        return config

    @property
    def facts(self) -> EncoderFacts:
        """Which encoder this is, for the summary of a run."""
        known: EncoderFacts = {"name": self.name, "weights": self.weights, "pretrained": self.pretrained}
        if self.sha256 is not None:
            known["sha256"] = self.sha256
        return known

    @property
    def packs(self) -> bool:
        """Whether the encoder can compute packed rows: :mod:`src.tokens.packing` must know how it counts positions."""
        return self.module.config.model_type in ROBERTA and bool(self.module._supports_attention_backend)

    @property
    def pad_id(self) -> int:
        return pad_id_of(self.module.config)


def load_encoder(
    encoder: str,
    texts: Sequence[str],
    *,
    pooling: str = "cls",
    max_length: int = 256,
    pretrained: bool = True,
    size: dict[str, int] | None = None,
    attention_dropout: float | None = None,
    compile: bool = False,
) -> Encoder:
    """Build an encoder: ``mini`` (the project's own), a hub id, or a folder.

    ``pretrained=False`` takes only the configuration and the tokenizer and starts from random weights. For ``mini`` it
    takes neither: ``size`` sets the architecture, and the tokenizer is trained on ``texts``.
    ``attention_dropout`` replaces the encoder's own rate; ``compile`` has torch compile the layers when they are first
    used. Raises UserError if a file is missing, damaged or cannot be downloaded, if the weights do not belong to the
    architecture, and if the encoder does not have the pooler, the positions or the dropout that are asked for.
    """
    if encoder == "mini" and not pretrained:
        built = _mini(texts, pooling, max_length, **(size or {}))
    else:
        built = _published(encoder, pooling, max_length, pretrained)
    if attention_dropout is not None:
        set_attention_dropout(built.module, attention_dropout)
    if compile:
        compile_layers(built.module)
    return built


def set_attention_dropout(module: PreTrainedModel, rate: float) -> None:
    """Set the rate at which training drops attention weights. Raises UserError if the encoder has no such setting."""
    if not hasattr(module.config, "attention_probs_dropout_prob"):
        raise UserError(
            f"model.attention_dropout={rate}: not known of a {module.config.model_type} encoder; leave it out"
        )
    module.config.attention_probs_dropout_prob = rate
    for part in module.modules():
        dropout = getattr(part, "dropout", None)
        if hasattr(part, "query") and isinstance(dropout, nn.Dropout):
            dropout.p = rate


def compile_layers(module: PreTrainedModel) -> None:
    """Compile every layer in place, so that weights keep their names: one compilation serves all layers."""
    for part in module.modules():
        if isinstance(part, GradientCheckpointingLayer):  # what transformers calls a layer, in every architecture
            part.compile(dynamic=True)  # the number of tokens differs from batch to batch


def _published(encoder: str, pooling: str, max_length: int, pretrained: bool) -> Encoder:
    folder = locate(encoder, weights=pretrained)
    tokenizer = load_tokenizer(folder, max_length)
    try:
        check_numbers(json.loads((folder / "config.json").read_bytes()))
        config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
        if not isinstance(getattr(config, "vocab_size", None), int):
            raise ValueError("it says no vocab_size, so it is no encoder of texts")
    except Exception as error:  # the configuration may be anything, and each architecture has its own errors
        raise UserError(f"{folder}/config.json: not a configuration that transformers knows ({error})") from error
    check_positions(config, max_length)
    if tokenizer.get_vocab_size() > config.vocab_size:
        raise UserError(
            f"{folder}: the tokenizer has {tokenizer.get_vocab_size()} tokens, the encoder {config.vocab_size} "
            "embeddings; they do not belong together"
        )
    _check_claims(folder, config, pooling, pretrained)
    if not pretrained:
        module = from_config(config.to_dict(), pooling)
        return Encoder(module, tokenizer, encoder, "random: model.pretrained=false", pretrained=False)
    # float32 is asked for, because transformers 5 keeps the file's own type; no pooler unless it is used, because most
    # checkpoints have none and it would be random. Its table of missing keys is hidden: they are checked below
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    try:
        module, info = AutoModel.from_pretrained(
            folder, dtype=torch.float32, output_loading_info=True, trust_remote_code=False, **_pooler(config, pooling)
        )
    except Exception as error:  # truncated, of other sizes, not weights at all: each library has its own error
        reason = str(error).strip().split("\n")[0] or type(error).__name__
        raise UserError(f"{folder}: its weights cannot be loaded ({reason}); was the download complete?") from error
    missing = sorted(k for k in info["missing_keys"] if not k.startswith("pooler."))
    if missing:
        raise UserError(
            f"{folder}: its weights lack {len(missing)} tensors of its own config.json "
            f"({', '.join(missing[:3])}, ...); they would start at random. Take the folder as its authors published it."
        )
    if any(k.startswith("pooler.") for k in info["missing_keys"]):
        log.warning("%s has no weights for its pooler: model.pooling=pooler starts it at random", encoder)
    words = (
        "pre-trained on Vietnamese reviews, in this repository" if encoder == "mini" else f"pre-trained, from {folder}"
    )
    return Encoder(module.train(), tokenizer, encoder, words, pretrained=True, sha256=weights_hash(folder))


def from_config(config: dict[str, Any], pooling: str) -> PreTrainedModel:
    """A randomly initialised encoder of the architecture that ``config`` describes, in train mode.

    Raises UserError if ``pooling`` asks for a pooler that the architecture does not have.
    """
    settings = {k: v for k, v in config.items() if k not in ("model_type", "architectures", "dtype")}
    described = AutoConfig.for_model(config["model_type"], **settings)
    module: PreTrainedModel = AutoModel.from_config(described, dtype=torch.float32, **_pooler(described, pooling))
    module.train()
    return module


def pad_id_of(config: Any) -> int:
    """The id of the padding token in the configuration of an encoder, :data:`PAD_ID` where that names none."""
    return PAD_ID if config.pad_token_id is None else int(config.pad_token_id)


def _check_claims(folder: Path, config: Any, pooling: str, pretrained: bool) -> None:
    """Before weights are read, raise UserError if a file holds code, or fewer bytes than config.json needs."""
    files = [file for pattern in ("*.safetensors", "pytorch_model*.bin") for file in folder.glob(pattern)]
    for file in files if pretrained else ():
        if file.suffix == ".bin":
            check_weights(file)
    described = config.to_dict()
    try:
        # bytes of float32, of which a file has a quarter at least: one byte a weight
        need = bytes_of(described, lambda: from_config(described, pooling)) // 4
    except (ValueError, TypeError, RuntimeError, OverflowError) as error:
        raise UserError(f"{folder}/config.json: no encoder can be made of it ({error})") from error
    there = sum(file.stat().st_size for file in files)
    if pretrained and need > there:
        raise UserError(f"{folder}: config.json describes {need:,} weights, and their files have {there:,} bytes")


def _mini(
    texts: Sequence[str],
    pooling: str,
    max_length: int,
    vocab_size: int = 10000,
    hidden_size: int = 256,
    layers: int = 2,
    heads: int = 4,
    intermediate_size: int = 1024,
) -> Encoder:
    tokenizer = train_tokenizer(some_of(texts), vocab_size, max_length)
    config = {
        "model_type": "xlm-roberta",
        "vocab_size": -(-tokenizer.get_vocab_size() // 8) * 8,
        "hidden_size": hidden_size,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "intermediate_size": intermediate_size,
        "attention_probs_dropout_prob": 0.0,  # dropping them takes a fifth of a step on a processor
        # positions start at pad_id + 1; there are POSITIONS at least, because later texts may be longer than these
        "max_position_embeddings": max(max_length, POSITIONS) + PAD_ID + 1,
        "type_vocab_size": 1,
        "pad_token_id": PAD_ID,
    }
    words = f"random: a {layers}-layer, {hidden_size}-wide encoder that starts from nothing"
    return Encoder(from_config(config, pooling), tokenizer, "mini", words, pretrained=False)


def some_of(texts: Sequence[str]) -> Iterator[str]:
    """All texts, or a random sample of :data:`ENOUGH`, always the same one, in the order of ``texts``.

    A sample has the same frequent pieces, and training a tokenizer on a text takes as long as tokenising it.
    """
    if len(texts) <= ENOUGH:
        return iter(texts)
    drawn = np.random.default_rng(0).choice(len(texts), ENOUGH, replace=False, shuffle=False)
    return (texts[i] for i in sorted(drawn.tolist()))


def _pooler(config: Any, pooling: str) -> dict[str, bool]:
    """``add_pooling_layer`` for the families that take it. Raises UserError if another one is to have a pooler."""
    if config.model_type in ("bert", *ROBERTA):
        return {"add_pooling_layer": pooling == "pooler"}
    if pooling == "pooler":
        raise UserError(f"model.pooling=pooler: a {config.model_type} encoder has no pooler; take cls or mean")
    return {}


def positions(config: Any) -> int | None:
    """The most tokens that an encoder reads at once; None where it has no limit."""
    limit: int | None = getattr(config, "max_position_embeddings", None)
    if limit is None or limit < 0:
        return None
    if config.model_type in ROBERTA:
        limit -= pad_id_of(config) + 1
    return limit


def check_positions(config: Any, max_length: int) -> None:
    """Raise UserError if an encoder has no room for texts of ``max_length`` tokens."""
    limit = positions(config)
    if limit is not None and max_length > limit:
        raise UserError(f"data.max_length={max_length}: this encoder has positions for {limit} tokens at most")
