"""A loss that the project does not know: trained, shown, resumed, exported, reported; and how it is let in."""

import os
import shutil
import sys
from pathlib import Path

import pytest
from hydra.core.hydra_config import HydraConfig
from omegaconf import OmegaConf
from torch import nn

from src.errors import UserError
from src.focal import FocalLoss
from src.judge import words
from src.judge.report import write_report
from src.losses import CrossEntropyLoss
from src.runs.run import Run
from src.ship import export
from src.training import loss as losses
from src.training.checks import check_config
from src.training.targets import OWN, find_class
from tests.conftest import ROOT, TINY
from tests.forking import run as forked
from tests.test_config import composed

POLY = '''
import torch
import torch.nn.functional as F
from torch import nn


class PolyLoss(nn.Module):
    """Cross entropy + epsilon (1 - p_t) (Leng et al. 2022)."""

    def __init__(self, epsilon: float = 1.0) -> None:
        super().__init__()
        self.register_buffer("epsilon", torch.tensor(epsilon))  # which goes into checkpoints

    def forward(self, logits, targets):
        labelled = targets != -100
        log_p = F.log_softmax(logits[labelled].float(), -1).gather(-1, targets[labelled].unsqueeze(-1))
        return (-log_p + self.epsilon * (1 - log_p.exp())).sum() / labelled.sum().clamp(min=1)

    def extra_repr(self):
        return f"epsilon={self.epsilon:g}"


class WeightedLoss(nn.Module):
    def __init__(self, alpha: float = 0.25) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(3), requires_grad=False)  # no method, as torch's losses have it


def no_class(): ...
'''
OTHERS = ["~loss.gamma", "~loss.label_smoothing", "~loss.normalization"]


@pytest.fixture
def own_module(tmp_path, monkeypatch) -> Path:
    """A working directory with a module of the user's own, under a name that no other test has imported."""
    (tmp_path / "my_losses.py").write_text(POLY, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.delitem(sys.modules, "my_losses", raising=False)
    yield tmp_path
    sys.modules.pop("my_losses", None)


@pytest.fixture
def let_in(own_module, monkeypatch) -> Path:
    monkeypatch.setenv(OWN, "other, my_losses")
    return own_module


@pytest.mark.slow
def test_a_loss_of_the_users_own_from_training_to_report(own_module, exported, monkeypatch) -> None:
    run = Run(own_module / "run")

    def train(*more: str) -> str:
        given = [*TINY, "loss._target_=my_losses.PolyLoss", "+loss.epsilon=2.0", *OTHERS, f"hydra.run.dir={run.folder}"]
        done = forked([str(ROOT / "train.py"), *given, *more], env=os.environ | {OWN: "my_losses"}, timeout=120)
        assert done.returncode == 0, done.stderr
        return done.stdout

    printed = train("trainer.max_epochs=1")
    assert "Loss:       PolyLoss(epsilon=2)\n" in printed
    assert "PolyLoss takes no class weights: loss.alpha=auto is ignored" in printed
    printed = train("trainer.max_epochs=2", "ckpt_path=last")
    assert "epoch  2/2" in printed and "epoch  1/2" not in printed
    told = run.read_summary()["loss"]
    assert told == {"_target_": "my_losses.PolyLoss", "epsilon": 2.0, "description": "PolyLoss(epsilon=2)"}

    # none of these needs the module
    report = write_report(run.folder).read_text(encoding="utf-8")
    assert "<dd>PolyLoss(epsilon=2)</dd>" in report and "this loss takes none" in report
    monkeypatch.setattr(export, "to_onnx", lambda _, path: shutil.copy(exported / "model.onnx", path))  # for the time
    monkeypatch.setattr(export, "agreement", lambda *_: {"texts": 64, "largest_difference": 0.0})
    export.export_run(run.folder, own_module / "bundle")
    card = (own_module / "bundle" / "README.md").read_text(encoding="utf-8")
    assert "PolyLoss(epsilon=2)" in card and "(alpha): this loss takes none." in card
    assert "my_losses" not in sys.modules


def test_no_module_is_let_in_but_by_whoever_types_the_command(own_module, monkeypatch) -> None:
    told = find_class("my_losses.PolyLoss")
    assert "refused" in told and told.endswith(
        "if you trust my_losses.py, set ABSA_TARGETS=my_losses in the environment"
    )
    assert "my_losses" not in sys.modules and "ABSA" not in find_class("subprocess.Popen")
    monkeypatch.setenv(OWN, "my_losses")
    assert find_class("my_losses.PolyLoss").__name__ == "PolyLoss"
    for name in ("my_losses.no_class", "my_losses.nn", "my_losses.F"):
        assert find_class(name) == "refused: this is no class that my_losses defines"
    assert "refused" in find_class("subprocess.Popen")
    assert sys.path[-1] == str(own_module), "behind everything else"


def test_a_file_cannot_let_in(let_in, monkeypatch) -> None:
    monkeypatch.setattr(HydraConfig, "initialized", lambda: True)
    monkeypatch.setattr(HydraConfig, "get", lambda: OmegaConf.create({"job": {"env_set": {OWN: "my_losses"}}}))
    with pytest.raises(UserError, match=r"hydra.job.env_set.ABSA_TARGETS: refused"):
        find_class("my_losses.PolyLoss")


def test_arguments_are_checked_as_those_of_any_loss(let_in) -> None:
    check_config(composed(let_in, "loss._target_=my_losses.PolyLoss", "+loss.epsilon=-3", *OTHERS))
    check_config(composed(let_in, "loss._target_=my_losses.WeightedLoss", "loss.alpha=0.5", *OTHERS))
    with pytest.raises(UserError) as error:
        check_config(composed(let_in, "loss._target_=my_losses.PolyLoss", "+loss.epsilon=much", "+loss.epsilom=1"))
    names = ("gamma", "label_smoothing", "normalization")
    assert error.value.faults == [
        *(f"loss.{name}: what loss._target_ names takes none; ~loss.{name} leaves it out" for name in names),
        "loss.epsilon=much: expected a number",
        "loss.epsilom: no such setting; did you mean loss.epsilon?",
    ]
    with pytest.raises(UserError, match=r"expected a class of torch.nn.Module"):
        check_config(composed(let_in, "loss._target_=src.labels.Labels"))


@pytest.mark.parametrize("alpha", ["auto", "per_aspect", "custom", "equal"])
def test_the_group_alpha_is_nothing_to_a_loss_without_weights(let_in, caplog, alpha) -> None:
    settings = composed(let_in, "loss._target_=my_losses.PolyLoss", f"loss/alpha={alpha}", *OTHERS)["loss"]
    assert losses.alpha_of(settings, [[1, 2, 3]]) is None and losses.with_alpha(settings, None) == {
        "_target_": "my_losses.PolyLoss"
    }
    made = losses.make_loss(settings, None)
    assert losses.description(made, settings) == "PolyLoss(epsilon=1)"
    assert ("takes no class weights" in caplog.text) == (alpha != "equal")


def test_data_without_a_sentiment_are_told_of_its_weight(caplog) -> None:
    of_auto = {"_target_": "src.focal.FocalLoss", "alpha": "auto", "gamma": 2.0}
    with caplog.at_level("INFO"):
        assert losses.alpha_of(of_auto, [[3, 1, 0], [3, 1, 0]]) == [8 / 12, 2.0, 1.0]
        assert caplog.messages == ["loss.alpha=auto: no training pair is neutral, so the weight of that class is 1"]
        losses.alpha_of(of_auto | {"alpha": "equal"}, [[3, 1, 0]])
        losses.alpha_of(of_auto, [[3, 1]], ("positive", "negative"))
    assert len(caplog.messages) == 1


def test_what_is_printed_of_a_loss() -> None:
    of_auto = {"_target_": "src.focal.FocalLoss", "alpha": "auto", "gamma": 0.5}
    made = losses.make_loss(of_auto, losses.alpha_of(of_auto, [[1, 1, 2], [3, 0, 2]]))
    told = "FocalLoss(gamma=0.5, alpha=[0.7500, 3.0000, 0.7500]), alpha auto"
    assert isinstance(made, FocalLoss) and losses.description(made, of_auto) == told
    assert (
        losses.description(CrossEntropyLoss(), {"_target_": "src.losses.CrossEntropyLoss"})
        == "CrossEntropyLoss(alpha=None)"
    )
    told = losses.description(nn.HuberLoss(delta=2.0), {"_target_": "torch.nn.HuberLoss", "delta": 2.0})
    assert told == "HuberLoss(delta=2.0)", "by its settings, where it says nothing itself"


def test_a_run_of_before_losses_described_themselves_is_told_by_its_settings() -> None:
    loss = {"_target_": "src.focal.FocalLoss", "gamma": 2.0, "alpha": None, "alpha_setting": None}
    assert words.run_facts({"task": "absa", "loss": loss})["Loss"] == "FocalLoss(gamma=2.0)"
    assert words.alpha_rows({"loss": loss}) == ("equal weights", [])
