"""Loggers beside the CSV: what they need, and what each is told before and after the training."""

import os
import sys
from importlib.util import find_spec
from typing import Any

from lightning.pytorch.loggers import CSVLogger, Logger, TensorBoardLogger, WandbLogger

from ..errors import UserError
from ..runs.summary import Judged

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # else MLflow sends usage data to its vendor

LOGGER_PACKAGES = {  # Lightning's logger -> the extra of this project that installs its modules, and these modules
    "TensorBoardLogger": ("tensorboard", ("tensorboard",)),
    "WandbLogger": ("wandb", ("wandb",)),
    "MLFlowLogger": ("mlflow", ("mlflow", "sqlalchemy", "alembic")),
}


def logger_faults(loggers: dict[str, Any] | None) -> list[str]:
    """What is wrong with the ``logger`` group: no CSV, or a package that is not installed."""
    given = {name: call for name, call in (loggers or {}).items() if call is not None}
    faults = [] if "csv" in given else ["logger.csv: a run needs its metrics.csv; leave this logger in place"]
    for name, call in given.items():
        extra, modules = LOGGER_PACKAGES.get(str(call.get("_target_")).rpartition(".")[2], ("", ()))
        if missing := [module for module in modules if find_spec(module) is None]:
            faults.append(
                f"logger.{name}: {' and '.join(missing)} is not installed; pip install -c constraints.txt '.[{extra}]'"
            )
    return faults


def beside_the_csv(loggers: list[Logger]) -> list[Logger]:
    """All loggers but the CSV: they also get the settings and final figures, which the run has in ``summary.json``."""
    return [logger for logger in loggers if not isinstance(logger, CSVLogger)]


def begin(loggers: list[Logger], settings: dict[str, Any]) -> None:
    """Open every logger and give it the whole configuration.

    Raises UserError where one cannot be opened: no account, no server. Better now than after the first epoch.
    """
    if "wandb" in sys.modules and (before := sys.modules["wandb"].run):
        before.finish()  # an earlier job of this process ended without closing its own
    for logger in beside_the_csv(loggers):
        try:
            _ = logger.experiment  # type: ignore[attr-defined]
            logger.log_hyperparams(settings)
        except Exception as error:  # each library raises its own kinds
            name = type(logger).__name__.removesuffix("Logger")
            hint = "; `wandb login`, or WANDB_MODE=offline for none" if name == "Wandb" else ""
            reason = str(error).strip().split("\n")[0]
            raise UserError(f"logger: {name} cannot be written to ({reason}){hint}") from error


def log_outcome(loggers: list[Logger], judged: Judged, step: int) -> None:
    """Log the figures of the best checkpoint as ``best/val/NAME`` and ``best/test/NAME``, and close the loggers.

    ``judged`` is what :func:`src.judge.best.judge_best` returned.
    """
    figures = judged["figures"]
    values = {f"best/{split}/{name}": value for split, of in figures.items() for name, value in of.items()}
    for logger in beside_the_csv(loggers):
        logger.log_metrics(values, step=step)
        if isinstance(logger, TensorBoardLogger):
            logger.experiment.close()
        if isinstance(logger, WandbLogger):
            logger.experiment.finish()  # else the next job of this process would log into this run
