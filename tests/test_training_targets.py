"""A configuration names classes of the project, torch and Lightning, and nothing else is imported, let alone called."""

import sys

import pytest

from src.errors import UserError
from src.training.checks import check_config
from src.training.targets import find_class, target_faults
from tests.test_config import composed


@pytest.mark.parametrize(
    "name",
    [
        *("os.system", "builtins.eval", "subprocess.Popen", "posix.system", "hydra.utils.call", "torchvision.X"),
        *("torch.os.system", "torch.sys.exit", "torch.load", "torch.hub.load", "lightning.pytorch.trainer.trainer.os.system"),
        *("src.cli.main", "src.data.files.Path", "torch.utils.cpp_extension.subprocess.Popen", "torch.ops.load_library"),
        *("srcs.checks.X", "src..X", "torch", "", None, 3, ["src.focal.FocalLoss"], "src.focal.Nothing", "torch.nn.no.X"),
    ],
)  # fmt: skip
def test_what_is_not_ours_is_refused(name) -> None:
    assert isinstance(find_class(name), str)


def test_what_is_not_ours_is_not_imported(tmp_path, monkeypatch) -> None:
    (tmp_path / "hostile_module.py").write_text("raise SystemExit('imported')")
    monkeypatch.syspath_prepend(tmp_path)
    assert "refused" in find_class("hostile_module.Loss")
    assert "hostile_module" not in sys.modules


@pytest.mark.parametrize("name", ["src.focal.FocalLoss", "lightning.pytorch.Trainer", "torch.nn.CrossEntropyLoss"])
def test_what_is_ours_is_found(name) -> None:
    assert find_class(name).__name__ == name.rpartition(".")[2]


def test_every_place_in_a_configuration_is_looked_at(tmp_path) -> None:
    overrides = [
        "loss._target_=os.system",
        "+trainer.strategy={_target_: subprocess.Popen, args: ls}",
        "+callbacks.mine={_target_: torch.os.system}",
        "logger.csv._target_=builtins.print",
        "+model.size.deep=[{_target_: builtins.eval}]",
    ]
    with pytest.raises(UserError) as error:
        check_config(composed(tmp_path, *overrides))
    refused = [fault.split("=")[0] for fault in error.value.faults if "_target_=" in fault]
    assert sorted(refused) == [
        "callbacks.mine._target_",
        "logger.csv._target_",
        "loss._target_",
        "model.size.deep.0._target_",
        "trainer.strategy._target_",
    ]
    assert target_faults(composed(tmp_path)) == []


def test_without_the_check_it_would_be_called(tmp_path) -> None:
    """The remedy is needed: Hydra calls what it is given, a list of a few names aside."""
    from hydra.utils import instantiate

    instantiate({"_target_": "zipfile.ZipFile", "file": str(tmp_path / "touched"), "mode": "w"})
    assert (tmp_path / "touched").exists()
