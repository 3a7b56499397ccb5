"""A study in a folder: one SQLite file. Several processes of one machine may work on it; any of them may be killed.

SQLite is used rather than Optuna's journal file: when a process is killed, SQLite undoes its transaction and its locks
end. A journal file keeps the killed process's half-written line; the next process appends to that line, and from then
on the journal cannot be read. Its lock file stays behind, too. (On NFS neither SQLite's locks nor those here hold.)
"""

import logging
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import optuna
from optuna.pruners import BasePruner
from optuna.samplers import BaseSampler
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial, TrialState

from ..answers.figures import LOSS
from ..errors import UserError
from ..runs.folder import make
from ..runs.machine import Lock, Taken, replace
from ..runs.settings import differences
from .pruning import BEST
from .space import Space, noted, suggest

log = logging.getLogger(__name__)


class Search:
    """A study, as one process works on it. ``sampler(seed=...)`` makes the sampler of a trial."""

    def __init__(
        self,
        folder: Path,
        space: Space,
        fixed: Sequence[str],
        figure: str,
        sampler: Callable[..., BaseSampler],
        pruner: BasePruner,
        trials: int,
        seed: int,
        defaults: Mapping[str, Any] | None = None,
    ) -> None:
        """Begin a study in ``folder``, or take up the study that is there.

        ``trials`` is the number of trials over all processes; ``figure`` names the monitored figure, of which
        the study looks for the highest value, or ``val/loss``, of which it looks for the lowest; ``defaults`` are the
        first trial's values, as far as they are known. Raises UserError if the study in the folder has another space,
        other fixed settings, or goes the other way.
        """
        self.folder, self.space, self.fixed, self.figure = folder, space, list(fixed), figure
        self.trials, self.seed, self._sampler = trials, seed, sampler
        self._held: Lock | None = None
        make(folder, "sweep.dir")
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        with self._alone():
            if not self.file.exists():
                self._begin(defaults or {})
            storage = RDBStorage(f"sqlite:///{self.file}", engine_kwargs={"connect_args": {"timeout": 60}})
            self.study = optuna.load_study(study_name="search", storage=storage, pruner=pruner)
            self._check_same()

    @property
    def file(self) -> Path:
        return self.folder / "study.db"

    def claim(self) -> tuple[optuna.Trial, dict[str, Any]] | None:
        """The next trial for this process, with its values; None when there are enough trials.

        A trial that a killed process has left comes first: its number, values and folder stay, and its training goes
        on. Every new trial has a sampler of its own, seeded with the trial's number: which values a study tries does
        not depend on where it was interrupted, and no two processes try the same values.
        """
        with self._alone():
            known = self.study.get_trials(deepcopy=False)
            for left in known:
                if left.state == TrialState.RUNNING and self._hold(left.number):
                    log.info(f"Trial {left.number} was left by a process that is gone; it goes on here")
                    self.study.sampler = self._sampler(seed=self.seed + left.number)
                    trial = optuna.Trial(self.study, left._trial_id)
                    return trial, suggest(trial, self.space)
            begun = sum(trial.state != TrialState.WAITING for trial in known)
            if begun >= self.trials:
                return None
            self.study.sampler = self._sampler(seed=self.seed + begun)
            trial = self.study.ask()
            self._hold(trial.number)
            return trial, suggest(trial, self.space)

    @property
    def direction(self) -> Literal["minimize", "maximize"]:
        return "minimize" if self.figure == LOSS else "maximize"

    @property
    def best(self) -> FrozenTrial | None:
        """The complete trial with the best figure, of equal ones that with the lower loss; None if there is none."""
        sign = -1.0 if self.direction == "minimize" else 1.0

        def rank(trial: FrozenTrial) -> tuple[float, float]:
            return sign * (trial.value or 0.0), -trial.user_attrs.get(BEST, [0.0, math.inf])[1]

        complete = self.study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        return max(complete, key=rank, default=None)

    def _hold(self, number: int) -> bool:
        """Lock the trial until this process ends or takes another one. False if another process holds the trial."""
        try:
            held = Lock(self.folder / ".locks" / f"{number}.lock")
        except Taken:
            return False
        if self._held is not None:
            self._held.free()  # a process has one trial at a time
        self._held = held
        return True

    @contextmanager
    def _alone(self) -> Iterator[None]:
        lock = Lock(self.folder / ".locks" / "study.lock", wait=True)
        try:
            yield
        finally:
            lock.free()

    def _begin(self, defaults: Mapping[str, Any]) -> None:
        """Create the file under another name, then rename it: a kill must not leave half of Optuna's tables in it."""
        new = self.file.with_name("study.db.new")
        new.unlink(missing_ok=True)
        storage = RDBStorage(f"sqlite:///{new}")
        study = optuna.create_study(study_name="search", storage=storage, direction=self.direction)
        study.set_user_attr("space", noted(self.space))
        study.set_user_attr("fixed", sorted(self.fixed))
        if defaults:
            study.enqueue_trial(dict(defaults))
        storage.remove_session()
        storage.engine.dispose()
        replace(new, self.file)

    def _check_same(self) -> None:
        earlier: Mapping[str, Any] = self.study.user_attrs
        fixed = [{"what it holds fixed": " ".join(given)} for given in (earlier["fixed"], sorted(self.fixed))]
        ways = [{"the study's direction": way} for way in (self.study.direction.name.lower(), self.direction)]
        told = differences(*fixed) + differences(*ways) + differences(earlier["space"], noted(self.space))
        if told:
            name = f"sweep.dir={self.folder}: holds another study: "
            raise UserError([*(name + text for text in told), "Name another sweep.dir, or give what it began with."])
