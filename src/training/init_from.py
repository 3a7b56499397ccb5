"""``init_from=RUN``: a training that begins with another run's weights, with its own aspects and sentiments."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig

from ..data.rows import clean_name
from ..data.values import key_of
from ..errors import UserError
from ..lit_module import AspectSentimentModule
from ..model.encoder import Encoder, check_positions, compile_layers, from_config, set_attention_dropout
from ..model.hub import locate
from ..runs.machine import sha256
from ..runs.run import Run
from ..spelling import override, pasted
from ..tokens.tokenizer import from_json
from .checkpoint import load_module
from .ranges import SIZE_KEYS
from .resume import open_checkpoint


@dataclass(frozen=True)
class Earlier:
    """What a training begins with: an earlier run's module, or its own where it goes on (``origin`` is then kept)."""

    module: AspectSentimentModule
    origin: list[str]  # the run as it was given, and the SHA-256 of its checkpoint

    def encoder(self, source: dict[str, Any], max_length: int) -> Encoder:
        """The encoder with its weights, and its tokenizer.

        ``source`` are the settings of :func:`src.model.encoder.load_encoder`. Raises UserError as that does.
        """
        was = self.module
        built = from_config(was.hparams["encoder_config"], was.hparams["pooling"])
        built.load_state_dict(was.classifier.encoder.state_dict())
        check_positions(built.config, max_length)
        if source.get("attention_dropout") is not None:
            set_attention_dropout(built, source["attention_dropout"])
        if source.get("compile"):
            compile_layers(built)
        assert was.tokenizer_json is not None
        words = f"of the run {self.origin[0]}, trained further"
        tokenizer = from_json(was.tokenizer_json, max_length)
        return Encoder(built, tokenizer, source["encoder"], words, pretrained=True, sha256=self.origin[1])

    def take_heads(self, module: AspectSentimentModule) -> list[str]:
        """Give the heads of ``module`` the weights of the aspects and sentiments that both have; say which, by lines.

        Names are compared as those of labels are: aspects in NFC, sentiments in any case, too.
        """
        was, now = self.module, module
        old, new = was.classifier, now.classifier
        new.trunk.load_state_dict(old.trunk.state_dict())
        rows = {clean_name(name): row for row, name in enumerate(was.labels.aspects)}
        columns = {key_of(name): column for column, name in enumerate(was.labels.sentiments)}
        pairs = [(c, columns[key_of(s)]) for c, s in enumerate(now.labels.sentiments) if key_of(s) in columns]
        detects = old.mentioned is not None and new.mentioned is not None
        kept = {row: rows[name] for row, a in enumerate(now.labels.aspects) if (name := clean_name(a)) in rows}
        with torch.no_grad():
            for row, from_row in kept.items():
                for c, from_c in pairs:
                    here, there = row * new.sentiments + c, from_row * old.sentiments + from_c
                    new.sentiment.weight[here] = old.sentiment.weight[there]
                    new.sentiment.bias[here] = old.sentiment.bias[there]
                if new.mentioned is not None and old.mentioned is not None:
                    new.mentioned.weight[row] = old.mentioned.weight[from_row]
                    new.mentioned.bias[row] = old.mentioned.bias[from_row]
                if new.queries is not None and old.queries is not None:
                    new.queries[row] = old.queries[from_row]
        fresh = [s for c, s in enumerate(now.labels.sentiments) if c not in dict(pairs)]
        told = [f"Begins with the weights of {self.origin[0]}: encoder, tokenizer, and of the heads"]
        told += [f"  {a}: {'kept' if row in kept else 'new, begins fresh'}" for row, a in enumerate(now.labels.aspects)]
        names = {clean_name(name) for name in now.labels.aspects}
        told += [f"  {a}: left out, it is not in these data" for a in was.labels.aspects if clean_name(a) not in names]
        told += [f"  the sentiment {name}: new, begins fresh in every aspect" for name in fresh]
        used = {column for _, column in pairs}
        gone = [name for column, name in enumerate(was.labels.sentiments) if column not in used]
        told += [f"  the sentiment {name}: left out, it is not one of this run's" for name in gone]
        if new.mentioned is not None and not detects:
            told.append("  detection of the aspects: new, that run has none (task=sentiment)")
        return told


def earlier(given: str, checkpoint: Path | None, model: dict[str, Any], source: dict[str, Any]) -> Earlier:
    """What ``init_from=given`` begins with; with a ``checkpoint``, that of a run begun so, which goes on.

    ``model`` and ``source`` are the settings of the module and of its encoder. Raises UserError if there is no such
    run, if the checkpoint was begun otherwise, and for settings that another encoder or other heads would need.
    """
    if checkpoint is not None:
        path, saved = open_checkpoint(checkpoint)
        origin: Any = saved["origin"].get("init_from")
        if not isinstance(origin, list) or len(origin) != 2 or _same(str(origin[0])) != _same(given):
            began = f"with init_from={origin[0]}" if isinstance(origin, list) and origin else "without init_from"
            raise UserError(
                f"ckpt_path={path} goes on with a run that began {began}, and init_from={given} begins a new one; "
                "leave one of the two out"
            )
        return _checked(Earlier(load_module(path), [given, str(origin[1])]), model, source, "")
    run = Run(given)
    if not run.folder.is_dir():
        raise UserError(f"init_from={given}: there is no such folder; that of a finished run is expected")
    try:
        summary = run.read_summary()
        if not run.best.is_file():
            raise UserError(f"{run.folder}: holds no checkpoints/best.ckpt")
        module = load_module(run.best)
    except UserError as error:
        raise UserError([f"init_from={given}: {fault}" for fault in error.faults]) from None
    apart = ("model.encoder=", "model.pretrained=", "model.size.", "model.pooling=", "model.head_width=")
    words = [f"model={summary['choices'].get('model', 'mini')}"] if summary["choices"] else []
    words += [word for word in summary["overrides"] if word.lstrip("+").startswith(apart)]
    return _checked(Earlier(module, [given, sha256(run.best)]), model, source, pasted(words))


def _checked(found: Earlier, model: dict[str, Any], source: dict[str, Any], remedy: str) -> Earlier:
    given, was = found.origin[0], found.module.hparams
    faults = [
        f"init_from={given}: model.{key} is {model[key]} here and {was[key]} there: "
        + pasted([override(f"model.{key}", was[key])])
        for key in ("pooling", "head_width")
        if key in model and model[key] != was[key]
    ]
    there, here = found.module.classifier.encoder.config, _asked(source)
    differ = [key for key, value in here.items() if getattr(there, key, None) != value]
    if differ:
        what = ", ".join(f"{key} {getattr(there, key, None)}, not {here[key]}" for key in differ)
        faults.append(
            f"init_from={given}: its encoder is not {override('model.encoder', source['encoder'])} ({what})"
            + f"; that run's settings: {remedy}" * bool(remedy)
        )
    if not isinstance(found.module.tokenizer_json, str):
        faults.append(f"init_from={given}: its checkpoint carries no tokenizer")
    if faults:
        raise UserError(faults)
    return found


def _asked(source: dict[str, Any]) -> dict[str, Any]:
    """The facts of the encoder's shape that the settings ask for, under the names of ``config.json``."""
    if source["encoder"] == "mini" and source.get("pretrained") is False:
        size = source.get("size") or {}  # how many tokens there are depends on the texts
        return {SIZE_KEYS[key]: value for key, value in size.items() if key != "vocab_size"}
    folder = locate(source["encoder"], weights=False)
    try:
        config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
    except Exception as error:  # the configuration may be anything
        raise UserError(f"{folder}/config.json: not a configuration that transformers knows ({error})") from error
    names = ("model_type", *SIZE_KEYS.values())
    return {name: getattr(config, name) for name in names if hasattr(config, name)}


def _same(path: str) -> str:
    return os.path.normcase(Path(path).resolve())
