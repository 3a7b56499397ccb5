"""The whole configuration, checked before anything is built: one error that lists every fault.

The signatures are the schema: each configured call is bound to the constructor it names, so an unknown key, a missing
value and a value of the wrong kind are found in seconds, not after an epoch.
"""

import inspect
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch

from ..answers.thresholds import TUNED, thresholds_faults
from ..data.files import in_folder
from ..data.noise import noise_faults
from ..datamodule import meaning_faults
from ..errors import UserError
from ..lit_module import AspectSentimentModule
from ..model.hub import MINI
from ..runs.overrides import no_such_setting, settings_of
from .devices import compiler_missing, device_faults
from .loggers import logger_faults
from .loss import is_focal, loss_faults
from .monitor import monitor_faults
from .ranges import RANGES, SIZE_KEYS, range_faults
from .targets import as_yaml, find_class, fits, hints, target_faults, words

Parameters = Mapping[str, inspect.Parameter]
CONFIG_GROUPS = ("data", "task", "model", "loss", "trainer", "callbacks", "logger")
TOP_KEYS = (*CONFIG_GROUPS, "seed", "thresholds", "monitor", "mode", "teacher", "ckpt_path", "init_from")
# keys of the group model that load_encoder takes; AspectSentimentModule takes the others
ENCODER_KEYS = {"encoder": str, "pretrained": bool, "size": dict, "attention_dropout": float | None, "compile": bool}
OWN_ARGUMENTS = {"aspects", "without_sentiment", "sentiments"}  # and those that train.py makes
OWN_ARGUMENTS |= {"encoder_config", "encoder", "loss", "task", "total_steps"}
REFUSED = {  # settings of the Trainer that the schedule, early stopping or the final judgement could not follow
    "max_steps": "the schedule counts epochs; set trainer.max_epochs or trainer.limit_train_batches",
    "max_time": "the schedule counts epochs; set trainer.max_epochs",
    "fast_dev_run": "it writes no checkpoint to judge; trainer.max_epochs=1 trainer.limit_train_batches=2 is as fast",
    "overfit_batches": "it validates on training data; set trainer.limit_train_batches",
    "check_val_every_n_epoch": "the best epoch is chosen on validation, after every epoch",
    "val_check_interval": "the best epoch is chosen on validation, after every epoch",
}


def check_config(config: dict[str, Any], multirun: bool = False) -> None:
    """Raise UserError with every fault of a resolved configuration (plain dicts and lists)."""
    faults = [no_such_setting(key) for key in config if key not in TOP_KEYS]
    faults += call_faults(config)
    faults += model_faults(config["model"])
    own = is_focal(config["loss"])  # another loss may mean something else by these names
    faults += range_faults(config, tuple(entry for entry in RANGES if own or not entry[0].startswith("loss.")))
    sentiments, unclear = meaning_faults(config["data"])
    faults += unclear + noise_faults(config["data"].get("noise")) + loss_faults(config["loss"], sentiments)
    faults += monitor_faults(config) + thresholds_faults(config.get("thresholds", TUNED))
    faults += teacher_faults(config.get("teacher"))
    for name in ("best", "last"):
        if (config["callbacks"].get(name) or {}).get("filename") != name:
            faults.append(
                f"callbacks.{name}: a run needs its {name}.ckpt; leave this callback and its filename in place"
            )
    faults += _file_faults(config)
    if not isinstance(given := config.get("init_from"), str | None):
        faults.append(f"init_from={given}: expected the folder of a finished run")
    faults += trainer_faults(config["trainer"], multirun) + refused(config["trainer"]) + compile_faults(config)
    if multirun and config["ckpt_path"] is not None:
        faults.append("ckpt_path in a multirun: the same command with the same hydra.sweep.dir goes on with its jobs")
    if faults:
        raise UserError(faults)


def call_faults(config: dict[str, Any]) -> list[str]:
    """Faults of every call in a configuration: targets that may not be named, arguments that do not fit.

    Raises UserError as :func:`src.training.targets.own_modules`.
    """
    faults = target_faults({key: value for key, value in config.items() if key != "trainer"})
    faults += target_faults({k: v for k, v in config["trainer"].items() if k not in config}, "trainer.")
    # not checked against signatures: settings that may be "auto" until later, and those that this project reads itself
    apart: dict[str, tuple[str, ...]] = {"loss": ("alpha",), "trainer": ("precision", "save_every_minutes")}
    if config["trainer"].get("max_epochs") == "auto":
        apart["trainer"] += ("max_epochs",)
    for group in ("data", "loss", "trainer"):
        if settings := config.get(group):
            faults += _faults_of_call(group, {k: v for k, v in settings.items() if k not in apart.get(group, ())})
    for group in ("callbacks", "logger"):
        for name, call in (config[group] or {}).items():
            faults += _faults_of_call(f"{group}.{name}", call) if call is not None else []
    for group in ("callbacks", "logger"):
        if (given := config["trainer"].get(group)) not in (None, list((config[group] or {}).values())):
            faults.append(f"trainer.{group}={as_yaml(given)[:80]}: set {group}.NAME, as conf/{group}/ does")
    return faults + logger_faults(config["logger"])


def _faults_of_call(group: str, settings: dict[str, Any]) -> list[str]:
    """Faults of one ``_target_`` and its arguments against the signature of what it names."""
    made = find_class(settings.get("_target_"))
    if isinstance(made, str):
        return []  # target_faults has told it already
    given = {k: v for k, v in settings.items() if k != "_target_"}
    return argument_faults(group, given, inspect.signature(made).parameters, hints(made))


def model_faults(settings: dict[str, Any]) -> list[str]:
    """Faults of the group ``model``: arguments of the module and of the encoder, and the encoder's size."""
    parameters = inspect.signature(AspectSentimentModule).parameters
    own = {k: p for k, p in parameters.items() if k not in OWN_ARGUMENTS}
    given = {k: v for k, v in settings.items() if k not in ENCODER_KEYS}
    faults = argument_faults("model", given, own, hints(AspectSentimentModule), also=tuple(ENCODER_KEYS))
    for key, kind in ENCODER_KEYS.items():
        if key in settings and not fits(settings[key], kind):
            faults.append(f"model.{key}={settings[key]}: expected {words(kind)}")
    size = settings.get("size") or {}
    faults += [no_such_setting(f"model.size.{k}") for k in size if k not in SIZE_KEYS]
    if settings.get("encoder") == "mini" and settings.get("pretrained") is True:
        faults += _mini_faults(size)
    if {"hidden_size", "heads"} <= set(size) and size["hidden_size"] % size["heads"]:
        faults.append(f"model.size.hidden_size={size['hidden_size']}: not divisible by heads={size['heads']}")
    return faults


def _mini_faults(size: dict[str, Any]) -> list[str]:
    """Faults of ``model.size`` that asks for another size than the pre-trained small encoder has."""
    try:
        config = json.loads((MINI / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return [f"model=mini: {MINI} holds no encoder; model.pretrained=false starts one from nothing"]
    return [
        f"model.size.{key}={size[key]}: the pre-trained small encoder has {config[SIZE_KEYS[key]]}; "
        "model.pretrained=false starts one of any size from nothing"
        for key in SIZE_KEYS
        if key in size and size[key] != config[SIZE_KEYS[key]]
    ]


def argument_faults(
    group: str, given: dict[str, Any], parameters: Parameters, hints: dict[str, Any], also: tuple[str, ...] = ()
) -> list[str]:
    """Faults of the values ``given`` in ``group`` against a signature and its annotations; ``also``: further keys."""
    faults = []
    open_ended = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    for key, value in given.items():
        if key not in parameters and not open_ended and f"{group}.{key}" in settings_of("config"):
            faults.append(f"{group}.{key}: what {group}._target_ names takes none; ~{group}.{key} leaves it out")
        elif key not in parameters and not open_ended:
            faults.append(no_such_setting(f"{group}.{key}", [f"{group}.{name}" for name in (*parameters, *also)]))
        elif not fits(value, hints.get(key, Any)):
            faults.append(f"{group}.{key}={as_yaml(value)}: expected {words(hints[key])}")
    needed = (k for k, p in parameters.items() if p.default is p.empty and p.kind is not p.VAR_KEYWORD)
    return faults + [f"{group}.{key}: is missing" for key in needed if key not in given and key != "self"]


def _file_faults(config: dict[str, Any]) -> list[str]:
    faults, data = [], config["data"]
    if data.get("val") is None:
        faults.append("data.val=null: training needs a validation split; a file, or a share such as data.val=0.1")
    for key in ("train", "val", "test"):
        value = data.get(key)
        if value == "???":
            faults.append(f"data.{key}: is missing; a file, e.g. data.{key}={key}.csv")
        elif isinstance(value, int | float) and not 0 < value < 1:
            faults.append(f"data.{key}={value}: a share of the training file is between 0 and 1")
    if data.get("dir") == "???":
        faults.append("data.dir: is missing; the folder of the files, e.g. data.dir=path/to/visfd")
    elif data.get("dir") is not None and not Path(str(data["dir"])).is_dir():
        faults.append(f"data.dir={data['dir']}: no such folder")
    elif data.get("train") != "???":
        given = data["train"] if isinstance(data["train"], list) else [data["train"]]
        missing = [file for file in given if not Path(str(in_folder(file, data.get("dir")))).is_file()]
        faults += [f"data.train={f}: no such file" + (f" in {data['dir']}" if data["dir"] else "") for f in missing]
    checkpoint = config["ckpt_path"]
    if checkpoint not in (None, "last") and not Path(checkpoint).is_file() and Path(checkpoint).name != "last.ckpt":
        faults.append(f"ckpt_path={checkpoint}: no such file; ckpt_path=last takes the newest run's")
    return faults


def teacher_faults(teacher: object) -> list[str]:
    """The fault of the setting ``teacher`` if it is no folder and no list of folders; whether they exist comes later.

    A run that goes on needs its teacher no more.
    """
    given = teacher if isinstance(teacher, list) else [teacher] * (teacher is not None)
    if teacher == [] or not all(isinstance(one, str) and one for one in given):
        return [f"teacher={as_yaml(teacher)}: expected folders of runs, such as teacher=outputs/a,outputs/b, or null"]
    return []


def compile_faults(config: dict[str, Any]) -> list[str]:
    """The fault of ``model.compile=true`` on a machine that lacks what torch compiles with."""
    if config["model"].get("compile") is True and (missing := compiler_missing(config["trainer"].get("accelerator"))):
        return [f"model.compile=true: torch compiles with {missing}, and there is none; set model.compile=false"]
    return []


def trainer_faults(trainer: dict[str, Any], multirun: bool) -> list[str]:
    """Faults of the Trainer's device, precision, number of processes and number of epochs."""
    faults, accelerator = [], trainer.get("accelerator", "auto")
    there = {
        "auto": True,
        "cpu": True,
        "gpu": torch.cuda.is_available() or torch.backends.mps.is_available(),
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
    }
    if accelerator not in there:
        faults.append(f"trainer.accelerator={accelerator}: expected one of {', '.join(there)}")
    elif not there[accelerator]:
        why = "torch finds none" + ("" if torch.version.cuda else " (this torch is the CPU build)")
        faults.append(f"trainer.accelerator={accelerator}: {why}; trainer.accelerator=cpu runs on the processor")
    precisions = ("auto", "32-true", "bf16-mixed", "16-mixed", "bf16-true")
    if str(trainer.get("precision")) not in (*precisions, "32", "bf16"):
        faults.append(f"trainer.precision={trainer.get('precision')}: expected one of {', '.join(precisions)}")
    faults += device_faults(trainer, multirun)
    if trainer.get("max_epochs") is None:
        faults.append("trainer.max_epochs=null: expected an integer, at least 1, or auto")
    return faults


def refused(trainer: dict[str, Any], keys: Iterable[str] = tuple(REFUSED)) -> list[str]:
    """Faults of the Trainer's settings among ``keys`` that are given; :data:`REFUSED` has the reasons."""
    return [f"trainer.{key}={trainer[key]}: {REFUSED[key]}" for key in keys if trainer.get(key)]
