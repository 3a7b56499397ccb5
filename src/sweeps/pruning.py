"""Tells Optuna the monitored figure after every epoch, and ends a trial that has no hope."""

import lightning.pytorch as L
from optuna import Trial, TrialPruned


class Prune(L.Callback):
    """Reports ``monitor`` with the number of the epoch, from 0; raises TrialPruned when the study's pruner says so.

    Never after the last epoch: all that is left then is to judge it. Needs one process (no ddp), as only that knows
    the trial.
    """

    def __init__(self, trial: Trial, monitor: str) -> None:
        self.trial, self.monitor = trial, monitor
        steps = trial.study.get_trials(deepcopy=False)[trial.number].intermediate_values
        self._told = max(steps, default=-1)  # by a process that was killed; the same epoch may come again

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        epoch = trainer.current_epoch
        if epoch > self._told:
            self.trial.report(float(trainer.callback_metrics[self.monitor]), epoch)
        if epoch + 1 != trainer.max_epochs and self.trial.should_prune():
            raise TrialPruned(f"after epoch {epoch + 1}")
