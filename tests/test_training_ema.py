"""callbacks=ema: what is judged and kept is the average, and a resumed run averages on."""

import lightning.pytorch as L
import pytest
import torch
from lightning.pytorch.callbacks import EMAWeightAveraging

from src.training.callbacks import RandomState, SaveEvery
from src.training.checkpoint import AtomicCheckpointIO
from tests.test_config import composed
from tests.test_lit_module import loader, trainer
from tests.test_training_checkpoint import Losses
from tests.tiny import tiny_module, tiny_split

DECAY = 0.8


class Weights(L.Callback):
    """The sentiment head's bias after every step."""

    def __init__(self) -> None:
        self.after: list[torch.Tensor] = []

    def on_train_batch_end(self, trainer, module, *_):
        self.after.append(module.classifier.sentiment.bias.detach().clone())


def fit(folder, ckpt_path=None):
    L.seed_everything(3, verbose=False)
    module = tiny_module(seed=5, dropout=0.3, total_steps=20)
    losses, weights = Losses(), Weights()
    average = EMAWeightAveraging(decay=DECAY)
    saving = SaveEvery(1e-9, str(folder / "last.ckpt"))
    run = trainer(
        folder,
        max_epochs=2,
        callbacks=[losses, weights, RandomState(), average, saving],
        plugins=[AtomicCheckpointIO()],
    )
    run.fit(module, loader(tiny_split(40), seed=3), ckpt_path=ckpt_path, weights_only=True)
    return module, losses.values, weights.after


def test_the_group_composes(tmp_path) -> None:
    given = composed(tmp_path, "callbacks=ema", "callbacks.ema.decay=0.9")["callbacks"]
    assert given["ema"]["decay"] == 0.9 and {"best", "last", "random_state"} < set(given)


def test_a_checkpoint_holds_the_average(tmp_path) -> None:
    start = tiny_module(seed=5, dropout=0.3).classifier.sentiment.bias.detach().clone()
    _, _, after = fit(tmp_path)
    kept = torch.load(tmp_path / "last.ckpt", weights_only=True)
    step, name = kept["global_step"], "classifier.sentiment.bias"
    average = start
    for number, bias in enumerate(after[:step]):
        average = bias if number == 0 else DECAY * average + (1 - DECAY) * bias
    torch.testing.assert_close(kept["state_dict"][name], average)
    assert torch.equal(kept["current_model_state"][name], after[step - 1])
    assert not torch.allclose(kept["state_dict"][name], after[step - 1])


def test_a_resumed_run_goes_on_averaging(tmp_path) -> None:
    straight, losses, _ = fit(tmp_path / "whole")
    last = tmp_path / "whole" / "last.ckpt"
    done = torch.load(last, weights_only=True)["global_step"]
    again, rest, _ = fit(tmp_path / "again", ckpt_path=last)
    assert rest == pytest.approx(losses[done:], abs=0) and rest
    assert all(map(torch.equal, straight.state_dict().values(), again.state_dict().values()))
