"""Run the trials of a study. Each is an ordinary run in a folder of its own, named by the trial's number."""

import json
import logging
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import hydra
from hydra._internal.callbacks import Callbacks
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.utils import run_job
from hydra.errors import HydraException
from hydra.types import HydraContext
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException
from optuna import Trial, TrialPruned
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.trial import TrialState

from ..errors import NoRoom, UserError
from ..model.hub import choose, locate
from ..model.optim import encoder_rate
from ..runs.folder import alone_in
from ..runs.machine import is_full
from ..runs.overrides import explained
from ..training.checks import check_config
from .multirun import give_back_memory
from .pruning import Prune
from .space import Space, acts, nearest_value, overrides
from .study import Search
from .study_page import write_page

log = logging.getLogger(__name__)
PATIENCE = 3  # trials that may fail at the start, one after the other, before the search ends
Train = Callable[..., float]  # the type of train.py's ``train``


def work(search: Search, train: Train) -> None:
    """Claim and run trials until the study has enough; rewrite the study's page after each.

    Raises UserError when the first :data:`PATIENCE` trials all fail, or the disk is full: later trials would fail, too.
    """
    failed = 0
    while (claimed := search.claim()) is not None:
        trial, values = claimed
        given = overrides(values)
        log.info(f"\nTrial {trial.number} of {search.trials}: {' '.join(given)}")
        log.info(run_trial(search, trial, [*search.fixed, *given], train))
        give_back_memory()
        write_page(search)
        if (failed := failed + 1 if failed_so_far(search) else 0) >= PATIENCE:
            raise UserError(
                f"the first {failed} trials failed; what they share is wrong. See {search.folder}/0/train.log"
            )


def run_trial(search: Search, trial: Trial, words: Sequence[str], train: Train) -> str:
    """Train in ``trial``'s folder, report the result to the study, and return it in words.

    A training that fails is reported as failed, and the next trial can begin. If the training is stopped (Ctrl-C,
    SIGTERM) or the disk is full (NoRoom, OSError), the exception is raised and nothing is reported: the process that
    takes up the study finishes this trial.
    """
    folder = search.folder / str(trial.number)

    def alone(config: Any) -> float:
        with alone_in(folder, config):
            return train(config, callbacks=[Prune(trial, search.figure)], again=True)

    returned = run_job(
        task_function=alone,
        config=composed_config(words, folder),
        job_dir_key="hydra.run.dir",
        job_subdir_key=None,
        hydra_context=_context(),
    )
    result = returned._return_value
    if isinstance(result, float):
        search.study.tell(trial, result)
        told = f"; best {best.value:.4f}, of trial {best.number}" if (best := search.best) else ""
        return f"Trial {trial.number}: {result:.4f}{told}"
    if isinstance(result, TrialPruned):
        search.study.tell(trial, state=TrialState.PRUNED)
        shutil.rmtree(folder / "checkpoints", ignore_errors=True)  # with ViSoBERT more than 300 MB
        return f"Trial {trial.number}: pruned {result}"
    if isinstance(result, NoRoom) or is_full(result):
        raise result
    mistake = isinstance(result, UserError)
    log.error(f"Trial {trial.number} failed: {result}", exc_info=None if mistake else result)
    trial.set_user_attr("error", f"{type(result).__name__}: {result}"[:1000])
    search.study.tell(trial, state=TrialState.FAIL)
    return f"Trial {trial.number}: failed"


def check(fixed: Sequence[str], space: Space, folder: Path) -> str:
    """Compose and check a configuration for every choice and both ends of every interval.

    Returns the name of the monitored figure. Raises UserError with the faults of all configurations.
    """
    ends = {key: _ends(d) for key, d in space.items()}
    first = {key: values[0] for key, values in ends.items()}
    points = [first, *(first | {key: value} for key, values in ends.items() for value in values[1:])]
    faults: dict[str, None] = {}
    figures: set[str] = set()
    for point in points:
        try:
            config = composed_config([*fixed, *overrides(point)], folder)
            HydraConfig.instance().set_config(config)
            with open_dict(config):
                del config["hydra"]
            settings: Any = OmegaConf.to_container(config, resolve=True)
            figures.add(settings["monitor"])
            check_config(settings, multirun=True)
        except UserError as error:
            faults |= dict.fromkeys(error.faults)
        except (HydraException, OmegaConfBaseException) as error:
            told = explained(error, words=[*fixed, *overrides(point)])
            faults |= dict.fromkeys(told.split("\n"))
    if len(figures) > 1:
        faults[f"the trials would go by different figures: {', '.join(sorted(figures))}"] = None
    if faults:
        raise UserError(list(faults))
    return figures.pop()


def defaults(fixed: Sequence[str], space: Space, folder: Path) -> dict[str, Any]:
    """What the settings of the space are without a search, or the nearest value that the space has; others left out."""
    config = composed_config(fixed, folder)
    if config.model.encoder == "auto":
        words = [word for word in fixed if not word.lstrip("+").startswith("model=")]
        config = composed_config([*words, f"model={choose()[0]}"], folder)
    choices = config.hydra.runtime.choices
    found: dict[str, Any] = {}
    for key, d in space.items():
        given = choices.get(key) if key in choices else OmegaConf.select(config, key.lstrip("+"))
        if key == "model.encoder_lr" and given == "auto":
            given = _rate(config.model.encoder)
        if (value := nearest_value(d, given)) is not None:
            found[key] = value
    return {key: value for key, value in found.items() if acts(key, found)}


def _rate(encoder: str) -> float | None:
    """What ``model.encoder_lr=auto`` stands for; None if the encoder is out of reach, which its training will say."""
    try:
        width: int = json.loads((locate(encoder, weights=False) / "config.json").read_bytes())["hidden_size"]
        return encoder_rate("auto", width)
    except (UserError, OSError, ValueError, KeyError, TypeError):
        return None


def _ends(d: BaseDistribution) -> list[Any]:
    return list(d.choices) if isinstance(d, CategoricalDistribution) else [d.low, d.high]  # type: ignore[attr-defined]


def composed_config(words: Sequence[str], folder: Path) -> DictConfig:
    """The configuration of a run in ``folder``, as ``train.py`` would compose it. Raises Hydra's own errors."""
    config = hydra.compose("config", list(words), return_hydra_config=True)
    with open_dict(config):
        config.hydra.run.dir = config.hydra.runtime.output_dir = str(folder)
    return config


def _context() -> HydraContext:
    main: Any = GlobalHydra.instance().hydra
    return HydraContext(config_loader=main.config_loader, callbacks=Callbacks())


def failed_so_far(search: Search) -> bool:
    """Whether trials have ended, and all of these have failed."""
    ended = [t.state for t in search.study.get_trials(deepcopy=False) if t.state.is_finished()]
    return bool(ended) and set(ended) == {TrialState.FAIL}
