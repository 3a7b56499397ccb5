"""Report the monitored figure to Optuna after every epoch, and end a trial that the pruner gives up."""

import lightning.pytorch as L
from optuna import Trial, TrialPruned
from optuna.study import StudyDirection

from ..training.callbacks import better, validation_loss

BEST = "best"  # attribute of a trial: figure and validation loss of its best epoch, which decides between equal trials


class Prune(L.Callback):
    """Reports ``monitor`` with the number of the epoch, from 0; raises TrialPruned when the study's pruner says so.

    Notes the best epoch's figure and loss in the trial. A trial is never ended after its last epoch, as its training is
    done by then. Training must run in one process (no ddp): other processes do not know the trial.
    """

    def __init__(self, trial: Trial, monitor: str) -> None:
        self.trial, self.monitor = trial, monitor
        self._mode = "min" if trial.study.direction == StudyDirection.MINIMIZE else "max"
        steps = trial.study.get_trials(deepcopy=False)[trial.number].intermediate_values
        self._told = max(steps, default=-1)  # last epoch reported; a resumed trial may repeat it

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        epoch = trainer.current_epoch
        figure, loss = float(trainer.callback_metrics[self.monitor]), validation_loss(trainer)
        if epoch > self._told:
            self.trial.report(figure, epoch)
            if better(figure, loss, self.trial.user_attrs.get(BEST), self._mode):
                self.trial.set_user_attr(BEST, [figure, loss])
        if epoch + 1 != trainer.max_epochs and self.trial.should_prune():
            raise TrialPruned(f"after epoch {epoch + 1}")
