"""Several processes train and judge as one would, stop together, and go on; with gloo on the processor."""

import copy
import os
import signal
import subprocess
import sys
import textwrap
import time

import lightning.pytorch as L
import numpy as np
import pytest
import torch

from src.focal import FocalLoss
from src.lit_module import AspectSentimentModule
from src.tokens.batching import Batches, BatchPlan
from src.training.callbacks import RandomState, StopSafely, TrainingStopped
from src.training.checkpoint import AtomicCheckpointIO
from src.training.devices import ddp
from tests.conftest import ROOT
from tests.processes import in_processes
from tests.test_lit_module import loader, trainer
from tests.test_training_checkpoint import Losses
from tests.tiny import tiny_module, tiny_split

EVAL = tiny_split(53, 1)


def still(**settings) -> AspectSentimentModule:
    """No dropout: what is left is arithmetic."""
    given = {"dropout": 0.0, "encoder_lr": 1e-3, "head_lr": 1e-3, "loss": FocalLoss(gamma=2.0, alpha=[1.0, 2.0, 3.0])}
    module = tiny_module(**(given | settings))
    for part in module.modules():
        if isinstance(part, torch.nn.Dropout):
            part.p = 0.0
    return module


def judged(folder, module, size, rank=0, world_size=1, **settings) -> dict[str, float]:
    run = trainer(folder, devices=world_size, logger=False, **settings)
    data = loader(EVAL, size, "sequential", rank=rank, world_size=world_size)
    return run.validate(module, data, verbose=False)[0]


@pytest.mark.parametrize(("size", "batches"), [(6, [5, 4]), (7, [4, 4]), (64, [1, 0])])
@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_figures_equal_one_processs_to_the_last_digit(tmp_path, size, batches, precision) -> None:
    """Also where one rank has fewer batches, or none at all."""
    module = still(threshold=0.45)
    assert [BatchPlan(EVAL.lengths, size, mode="sequential", rank=r, world_size=2).own for r in (0, 1)] == batches
    alone = judged(tmp_path, copy.deepcopy(module), size, precision=precision)
    assert len(set(alone.values())) > 4
    together = in_processes(
        2, lambda rank: judged(tmp_path, module, size, rank, 2, strategy=ddp(), precision=precision)
    )
    for figures in together:
        assert figures.pop("val/loss") == pytest.approx(alone["val/loss"], rel=1e-6), "float32 sums in another order"
        assert figures == {name: value for name, value in alone.items() if name != "val/loss"}


class Rates(L.Callback):
    def __init__(self) -> None:
        self.values: list[float] = []

    def on_train_batch_end(self, trainer, *_):
        self.values.append(trainer.optimizers[0].param_groups[0]["lr"])


def fitted(folder, data, evaluated, strategy="auto", **settings):
    module, rates = still(total_steps=9, weight_decay=0.1), Rates()
    run = trainer(
        folder,
        max_epochs=3,
        strategy=strategy,
        callbacks=[rates],
        gradient_clip_val=0.05,
        plugins=[AtomicCheckpointIO()],
        use_distributed_sampler=False,
        **settings,
    )
    run.fit(module, data, evaluated)
    figures = {name: float(value) for name, value in run.callback_metrics.items()}
    return figures, run.global_step, rates.values, module


def in_two(folder, strategy, keep=None):
    """Three epochs over 40 reviews in batches of 7: 6 batches, 3 steps an epoch."""

    def train(rank: int):
        data = loader(tiny_split(40), 7, seed=3, rank=rank, world_size=2)
        evaluated = loader(EVAL, 9, "sequential", rank=rank, world_size=2)
        figures, steps, rates, module = fitted(folder, data, evaluated, strategy(), devices=2)
        if keep is not None:
            module.trainer.save_checkpoint(keep, weights_only=True)
        return figures, steps, rates, {n: p.numpy() for n, p in module.state_dict().items()}

    return in_processes(2, train)


class Dealt(Batches):
    """One process's loader with the batches of two ranks in turn: what ``accumulate_grad_batches=2`` makes a step of."""

    def __iter__(self):
        pair = [BatchPlan(self.split.lengths, 7, seed=3, rank=r, world_size=2) for r in (0, 1)]
        for both in zip(*(plan.batches(self._epoch) for plan in pair), strict=True):
            yield from map(self.batch, both)


@pytest.fixture(scope="module")
def one(tmp_path_factory):
    split, folder = tiny_split(40), tmp_path_factory.mktemp("one")
    data = Dealt(split, BatchPlan(split.lengths, 7, seed=3))
    return fitted(folder, data, loader(EVAL, 9, "sequential"), accumulate_grad_batches=2)


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    return in_two(tmp_path_factory.mktemp("two"), ddp)


def assert_alike(one, two) -> None:
    figures, steps, rates, module = one
    for its_figures, its_steps, its_rates, weights in two:
        assert its_steps == steps == 9
        assert its_rates == rates[1::2], "the schedule counts steps, whatever they are made of"
        assert its_figures == pytest.approx(figures, rel=1e-4)
        for name, value in module.state_dict().items():
            np.testing.assert_allclose(weights[name], value.numpy(), atol=2e-5, err_msg=name)


def test_two_processes_train_what_one_does_with_the_same_batches(one, two) -> None:
    assert_alike(one, two)
    first, second = two
    assert first[0] == second[0], "every process sees the same figures, early stopping and best.ckpt go by them"
    assert all((first[3][name] == second[3][name]).all() for name in first[3])


class StopOne(Losses):
    """Only one of the processes gets the signal."""

    def on_train_batch_start(self, trainer, *rest):
        if trainer.global_rank == 1:
            super().on_train_batch_start(trainer, *rest)


def resumable(folder, rank, losses, ckpt_path=None):
    L.seed_everything(3, verbose=False)
    module = tiny_module(seed=5, dropout=0.3, total_steps=12)
    run = trainer(
        folder,
        max_epochs=4,
        devices=2,
        strategy=ddp(),
        callbacks=[losses, RandomState(), StopSafely(folder / "last.ckpt")],
        plugins=[AtomicCheckpointIO()],
        use_distributed_sampler=False,
    )
    data = [
        loader(tiny_split(40), seed=3, rank=rank, world_size=2),
        loader(EVAL, 16, "sequential", rank=rank, world_size=2),
    ]
    try:
        run.fit(module, *data, ckpt_path=ckpt_path, weights_only=True)
    except TrainingStopped:
        return losses.values, None
    return losses.values, {name: value.numpy() for name, value in module.state_dict().items()}


@pytest.mark.parametrize("stop_at", [1, 4])
def test_stopped_and_resumed_equals_uninterrupted_bit_for_bit(tmp_path, stop_at) -> None:
    """One rank is asked to stop within an epoch; both do, and each goes on with its own batches and dropout."""
    whole = in_processes(2, lambda rank: resumable(tmp_path / "a", rank, Losses()))
    stopped = in_processes(2, lambda rank: resumable(tmp_path, rank, StopOne(stop_at, signal.SIGTERM)))
    went_on = in_processes(2, lambda rank: resumable(tmp_path, rank, Losses(), tmp_path / "last.ckpt"))
    for (losses, weights), (first, none), (second, its_weights) in zip(whole, stopped, went_on, strict=True):
        assert none is None and len(first) == stop_at + 1
        assert first + second == losses
        assert all((weights[name] == its_weights[name]).all() for name in weights)
    states = torch.load(tmp_path / "last.ckpt", weights_only=True)["callbacks"]["RandomState"]
    assert not torch.equal(states["torch"], states["others"][0]["torch"]), "ranks draw dropout of their own"


@pytest.mark.parametrize("task", ["absa", "sentiment"])
@pytest.mark.parametrize("pooling", ["cls", "mean", "pooler"])
def test_every_parameter_has_a_part_in_every_loss(task, pooling) -> None:
    """Else the processes would wait for a gradient that never comes; also where nothing is labelled."""
    module = tiny_module(task=task, pooling=pooling)
    batch = tiny_split(4).batch(np.arange(4))
    batch["sentiment"][:] = -100
    module.log = lambda *_, **__: None
    module.training_step(batch, 0).backward()
    assert [name for name, parameter in module.named_parameters() if parameter.grad is None] == []


# --- the end of all processes ---

SCRIPT = """
import subprocess, sys, time
from types import SimpleNamespace
from src.training.ranks import together

others = [subprocess.Popen([sys.executable, "-c", code]) for code in {others}]
launcher = SimpleNamespace(procs=others)
try:
    with together(SimpleNamespace(strategy=SimpleNamespace(launcher=launcher))):
        {body}
finally:
    print([process.wait() for process in others], flush=True)
"""


@pytest.mark.parametrize(
    ("others", "body", "status", "says"),
    [
        (["import sys; sys.exit(2)", "import time; time.sleep(60)"], "time.sleep(60)", 2, ""),
        (["import os; os.kill(os.getpid(), 9)"], "time.sleep(60)", 137, ""),
        (["import sys; sys.exit(2)"], "time.sleep(0.02); raise RuntimeError('connection lost')", 2, ""),
        (["import time; time.sleep(60)"], "raise RuntimeError('of the first')", 1, "RuntimeError: of the first"),
        (["pass"], "others[0].wait(); time.sleep(0.5)", 0, ""),
    ],
)
def test_an_error_in_one_process_ends_all_with_its_status(others, body, status, says) -> None:
    began = time.monotonic()
    script = textwrap.dedent(SCRIPT).format(others=others, body=body)
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=30)
    assert time.monotonic() - began < 10
    assert done.returncode == status, done.stderr
    assert says in done.stderr and ("Traceback" in done.stderr) == bool(says)


def test_the_others_end_when_the_first_is_killed(tmp_path) -> None:
    """Even one that waits for it in a collective, which no signal reaches."""
    child = "import time; from src.training.ranks import follow; follow(); print('up', flush=True); time.sleep(60)"
    parent = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {child!r}]).wait()"
    second = os.environ | {"LOCAL_RANK": "1"}
    first = subprocess.Popen([sys.executable, "-c", parent], cwd=ROOT, env=second, stdout=subprocess.PIPE, text=True)
    assert first.stdout.readline() == "up\n"
    first.kill()
    began = time.monotonic()
    assert first.stdout.read() == ""  # its end of the pipe closes when the other is gone too
    assert time.monotonic() - began < 5
