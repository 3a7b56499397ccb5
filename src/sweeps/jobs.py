"""The folder of each job of a sweep. Equal overrides get the same folder, so that no finished job is trained again.

A process that runs jobs imports this module, as it registers the resolvers that the configuration uses.
"""

import json
import logging
import sys
from collections.abc import Iterator, Sequence
from itertools import count
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import OmegaConf

from ..errors import UserError
from ..runs.run import Run
from ..runs.settings import differences, known_settings
from ..spelling import command, override

ROOT = Path(__file__).resolve().parents[2]
log = logging.getLogger(__name__)
searching: list[str] = []  # the command line of a search, while one runs: its trainings may add words to sys.argv


def job_folder(sweep: str | Path, number: int, overrides: Sequence[str]) -> str:
    """The name, below ``sweep``, of the folder of the job with these overrides.

    If an earlier sweep ran the same overrides, the folder is that job's: numbers shift when a sweep's values change,
    but a folder keeps its job. Otherwise it is ``number``, or ``number.2`` and so on if another job has that folder.
    """
    mine, sweep = _noted(overrides), Path(sweep)
    notes = {file.parent.parent.name: _lines(file) for file in sweep.glob("*/.hydra/overrides.yaml")}
    numbered = _names(number)
    return next((name for name in sorted(notes) if notes[name] == mine), None) or next(
        name for name in numbered if name not in notes
    )


def take_up(run: Run, settings: dict[str, Any]) -> float | None:
    """The monitored figure if the run in this folder has finished; else None.

    If the run was interrupted, ``settings["ckpt_path"]`` is set to its last checkpoint. Raises UserError if the run
    finished with other settings.
    """
    if (earlier := finished(run, settings)) is not None:
        log.info(f"Finished before, with {settings['monitor']} {earlier:.4f}: {run.folder}")
    elif run.last.is_file():
        settings["ckpt_path"] = str(run.last)
        log.info(f"Going on from {run.last}")
    return earlier


def finished(run: Run, settings: dict[str, Any]) -> float | None:
    """The monitored figure of the run in this folder; None if it has not finished, or its summary is damaged.

    Raises UserError if it finished with other settings, for example because a YAML file was changed since: the results
    are not overwritten.
    """
    try:
        summary = run.read_summary()
        best, config = float(summary["best"]), dict(summary["config"])
    except (UserError, KeyError, TypeError, ValueError):
        return None
    now = json.loads(json.dumps(settings))  # as a summary holds it: tuples become lists
    told = differences(*(known_settings({"config": c, "data": {"splits": {}}}) for c in (config, now)))
    if told:
        faults = [f"{run.folder}: has finished, and {text}" for text in told]
        raise UserError([*faults, "Its results stay. For the new settings name another hydra.sweep.dir."])
    return best


def command_again() -> str:
    """The command that goes on with the sweep: this process's command line, with the sweep's folder added."""
    if searching:
        return command("search.py", searching[1:])
    named = any(word.startswith("hydra.sweep.dir=") for word in sys.argv)
    folder = [] if named else [override("hydra.sweep.dir", HydraConfig.get().sweep.dir)]
    return command("train.py", [*sys.argv[1:], *folder])


def command_to_go_on(program: str) -> str:
    """The command that resumes the single run that is being trained, in the same folder.

    It is built from what Hydra composed, not from sys.argv: a run may also be started from Python.
    """
    hydra = HydraConfig.get()
    folders = [s.path for s in hydra.runtime.config_sources if s.provider == "command-line"]
    flags = [word for folder in folders for word in ("--config-dir", folder)]
    name = str(hydra.job.config_name)
    flags += [] if name in ("config", "pretrain") else ["--config-name", name]
    given = [*hydra.overrides.task, *hydra.overrides.hydra]
    same = [o for o in given if o.partition("=")[0].lstrip("+") not in ("ckpt_path", "hydra.run.dir", "hydra.mode")]
    folder = override("hydra.run.dir", hydra.runtime.output_dir)
    return command(program, [*flags, *same, folder, "ckpt_path=last"])


def _names(number: int) -> Iterator[str]:
    yield str(number)
    yield from (f"{number}.{again}" for again in count(2))


def _noted(overrides: Sequence[str]) -> list[str]:
    """Overrides as Hydra writes them into a job's folder, sorted: their order on the command line does not matter."""
    return sorted(OmegaConf.to_yaml(OmegaConf.create(list(overrides))).splitlines())


def _lines(file: Path) -> list[str]:
    return sorted(file.read_text(encoding="utf-8", errors="replace").splitlines())


# replace=True: the jobs of a multirun share one process
OmegaConf.register_new_resolver("project", lambda path: str(ROOT / path), replace=True)
OmegaConf.register_new_resolver("job_folder", job_folder, replace=True)
