"""A Hydra callback around the jobs of a sweep: it shares out the machine, notes failures and writes a leaderboard.

Everything it must remember lies on the disk, so that jobs may run in any process and on any machine.
"""

import ctypes
import gc
import json
import logging
import os
import sys
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

from hydra.core.utils import JobReturn, JobStatus
from hydra.experimental.callback import Callback
from hydra.types import RunMode
from omegaconf import DictConfig

from ..errors import UserError, print_lines, refuse, shown, tell
from ..runs.folder import claim, release
from ..runs.machine import Lock, Taken, cores, is_full, write_whole
from ..runs.run import Run

log = logging.getLogger(__name__)
ROWS_SHOWN = 20  # rows of the leaderboard that are printed
# The figure of a failed job, by ``mode``: a sweeper needs a finite one, and none is worse. (Losses have no bound.)
WORST = {"max": 0.0, "min": sys.float_info.max}
LAUNCHERS = {  # what a launcher's name begins with: its module, and the extra of pyproject.toml that brings it
    "joblib": ("hydra_plugins.hydra_joblib_launcher", "sweep"),
    "submitit": ("hydra_plugins.hydra_submitit_launcher", "cluster"),
    "slurm": ("hydra_plugins.hydra_submitit_launcher", "cluster"),
    "ray": ("hydra_plugins.hydra_ray_launcher", "ray"),
}
_held: list[Lock] = []  # the lock of this process's share of the machine; held until the process ends


class Sweep(Callback):
    """An entry of ``hydra.callbacks``; does nothing for a single run."""

    def __init__(self) -> None:
        self.workers = 1  # processes of this machine that run jobs side by side

    def on_multirun_start(self, config: DictConfig, **kwargs: object) -> None:
        """End the process with status 2 if another sweep writes into the folder: their job numbers would clash."""
        try:
            claim(Path(config.hydra.sweep.dir), key="hydra.sweep.dir")
        except UserError as error:
            refuse(error)  # raises SystemExit: of any other exception Hydra makes a warning
        for note in Path(config.hydra.sweep.dir).glob("*/failed.json"):
            note.unlink()
        if config.hydra.launcher._target_.endswith(".JoblibLauncher"):
            from joblib import effective_n_jobs

            self.workers = effective_n_jobs(config.hydra.launcher.n_jobs)

    def on_job_start(self, config: DictConfig, **kwargs: object) -> None:
        if self.workers > 1 and config.hydra.mode == RunMode.MULTIRUN:
            take_share(Path(config.hydra.sweep.dir), self.workers)

    def on_job_end(self, config: DictConfig, job_return: JobReturn, **kwargs: object) -> None:
        """Turn a failure into a note in the job's folder and the worst figure, so that the other jobs go on."""
        if config.hydra.mode != RunMode.MULTIRUN:
            return
        if job_return.status == JobStatus.FAILED:
            error = job_return._return_value
            mistake = isinstance(error, UserError)  # which was printed already
            if not mistake:
                log.error(f"The job failed: {config.hydra.overrides.task}", exc_info=error)
            words = str(error).strip() or type(error).__name__
            note = {"mistake": mistake, "error": words if mistake else f"{type(error).__name__}: {words}"}
            write_whole(Path(config.hydra.runtime.output_dir) / "failed.json", json.dumps(note, ensure_ascii=False))
            del error  # its traceback's frames hold the model
            job_return.return_value, job_return.status = WORST[config.get("mode", "max")], JobStatus.COMPLETED
        give_back_memory()

    def on_multirun_end(self, config: DictConfig, **kwargs: object) -> None:
        """Print and write the leaderboard; set the exit status if jobs failed.

        The status is 2 if every failure is a user's mistake (settings, data, a full disk), 1 for any other failure, and
        2 if there is no room for the leaderboard.
        """
        sweep, status = Path(config.hydra.sweep.dir), 0
        try:
            print_lines(f"\n{leaderboard(sweep)}\n\nAll of it: {sweep}")
        except OSError as error:
            if not is_full(error):
                raise
            tell(f"there is no leaderboard: {error}. Make room; then the same command goes on")
            status = 2
        failed = {note.parent.name: json.loads(note.read_text("utf-8")) for note in sweep.glob("*/failed.json")}
        release(sweep)
        if failed:
            lines = [f"  {name}: {failed[name]['error'].splitlines()[0]}" for name in sorted(failed, key=_by_number)]
            print(shown("\n".join([f"Jobs that failed, {len(failed)}:", *lines])), file=sys.stderr)
            status = 2 if all(note["mistake"] for note in failed.values()) else 1
        if status:
            raise SystemExit(status)


def leaderboard(sweep: Path) -> str:
    """The text of ``absa compare`` for a sweep's folder, grouped over seeds if there are several.

    Also writes it to ``leaderboard.md`` and ``leaderboard.json``. If the runs cannot be compared, for example because
    their test sets differ, the text is the reason, and nothing is written.
    """
    from ..judge.candidates import find_runs
    from ..judge.compare import comparison
    from ..judge.contracts import Comparison
    from ..judge.text import comparison_text

    try:
        runs, _ = find_runs([sweep])
        by = "seed" if len({Run(run).read_summary()["config"].get("seed") for run in runs}) > 1 else None
        result = comparison([sweep], by)
    except UserError as error:
        return f"There is no leaderboard: {error}"
    whole = comparison_text(result, by)
    write_whole(sweep / "leaderboard.md", f"# {sweep.resolve().name}\n\n```\n{whole}\n```\n")
    write_whole(sweep / "leaderboard.json", json.dumps(result, ensure_ascii=False, indent=2) + "\n")
    more = len(result["rows"]) - ROWS_SHOWN
    shown: Comparison = {**result, "rows": result["rows"][:ROWS_SHOWN]}
    return comparison_text(shown, by) + f"\n\n{more:,} more rows: {sweep / 'leaderboard.md'}" if more > 0 else whole


def take_share(sweep: Path, workers: int) -> None:
    """Give this process its share of the machine's cores, and a GPU of its own if there are several.

    The process takes the first of ``workers`` places that no other process holds; its lock ends with the process. Must
    be called before anything has touched a GPU: CUDA reads its environment variable only once.
    """
    import torch

    if _held:
        return
    place = _take_place(sweep / ".places", workers)
    torch.set_num_threads(max(1, min(torch.get_num_threads(), cores() // workers)))
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    gpus = visible.split(",") if visible else [str(i) for i in range(torch.cuda.device_count())]
    if len(gpus) > 1:
        os.environ["CUDA_VISIBLE_DEVICES"] = gpus[place % len(gpus)]


def _take_place(folder: Path, workers: int) -> int:
    for place in range(workers):
        with suppress(Taken):
            _held.append(Lock(folder / f"{place}.lock"))
            return place
    return 0  # all are held: an earlier sweep in this folder was killed, but its processes have not ended yet


def give_back_memory() -> None:
    """Give memory that a job has freed back to the system and the GPU: the next job may need it in other pieces."""
    import torch

    gc.collect()
    if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        torch.cuda.empty_cache()
    with suppress(OSError, AttributeError):
        ctypes.CDLL("libc.so.6").malloc_trim(0)  # glibc keeps freed memory for itself


def check_launcher(words: list[str]) -> None:
    """Raise UserError where the command line asks for a launcher whose package is not installed."""
    for word in words:
        name = word.partition("hydra/launcher=")[2]
        for beginning, (module, extra) in LAUNCHERS.items():
            if name.startswith(beginning) and not _there(module):
                raise UserError(f"hydra/launcher={name}: is not installed; pip install -c constraints.txt '.[{extra}]'")


def _there(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # the parent package is missing, too
        return False


def _by_number(name: str) -> tuple[int, str]:
    head = name.split(".")[0]
    return (int(head), name) if head.isdigit() else (sys.maxsize, name)
