"""What every logger beside the CSV is told, read back with its own tools; none of them reaches for a network.

TensorBoard: end to end, in tests/test_training_devices.py.
"""

from importlib.util import find_spec

import pytest
from hydra.utils import instantiate
from lightning.pytorch.loggers import TensorBoardLogger

from src.errors import UserError
from src.training import loggers
from src.training.checks import check_config
from src.training.loggers import begin, log_outcome
from tests.test_config import composed
from tests.test_lit_module import loader, trainer
from tests.tiny import tiny_module, tiny_split

JUDGED = {"figures": {"val": {"pair_f1": 0.5}, "test": {"pair_f1": 0.25}}}
SETTINGS = {"seed": 42, "loss": {"gamma": 2.0, "alpha": "auto"}, "data": {"aspects": None}}


def logged(tmp_path, monkeypatch, name: str) -> list:
    """One epoch of a tiny model with the logger as its page has it, as train.py does it."""
    monkeypatch.chdir(tmp_path)
    made = [instantiate(call) for call in composed(tmp_path, f"logger={name}")["logger"].values()]
    begin(made, SETTINGS)
    run = trainer(tmp_path, logger=made)
    run.fit(tiny_module(), loader(tiny_split(40)), loader(tiny_split(16, 1), mode="sequential"))
    log_outcome(made, JUDGED, run.global_step)
    assert (tmp_path / "metrics.csv").read_text().count("val/pair_f1,") == 1, "the CSV is there in each case"
    return made


@pytest.mark.slow
def test_mlflows_store_holds_figures_and_config(tmp_path, monkeypatch) -> None:
    made = logged(tmp_path, monkeypatch, "mlflow")
    from mlflow.tracking import MlflowClient

    client = MlflowClient(f"sqlite:///{tmp_path}/mlflow.db")
    (run,) = client.search_runs([client.get_experiment_by_name("visobert-absa").experiment_id])
    assert run.info.run_id == made[1].run_id and run.info.status == "FINISHED"
    assert run.data.metrics["best/test/pair_f1"] == 0.25 and run.data.metrics["best/val/pair_f1"] == 0.5
    assert {"val/pair_f1", "val/sentiment_f1", "train/loss"} <= run.data.metrics.keys()
    assert run.data.params["seed"] == "42" and run.data.params["loss/gamma"] == "2.0"
    assert not (tmp_path / "mlruns").exists()


@pytest.mark.slow
def test_wandb_writes_its_folder_without_account_or_network(tmp_path, monkeypatch) -> None:
    for name, value in {"WANDB_MODE": "offline", "WANDB_SILENT": "true", "WANDB_ERROR_REPORTING": "false"}.items():
        monkeypatch.setenv(name, value)
    for name in ("HOME", "WANDB_CONFIG_DIR", "WANDB_CACHE_DIR", "NETRC"):
        monkeypatch.setenv(name, str(tmp_path / "home"))  # no account
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    logged(tmp_path, monkeypatch, "wandb")
    import wandb

    assert wandb.run is None, "the next job of this process begins one of its own"
    wandb.teardown()
    (folder,) = (tmp_path / "wandb").glob("offline-run-*")
    (journal,) = folder.glob("run-*.wandb")
    written = journal.read_bytes()
    for word in (b"best/test/pair_f1", b"val/sentiment_f1", b"train/loss", b"gamma", b"visobert-absa"):
        assert word in written


@pytest.mark.parametrize("name", ["tensorboard", "wandb", "mlflow"])
def test_a_missing_package_is_one_message_with_its_pip_line(tmp_path, monkeypatch, name) -> None:
    config = composed(tmp_path, f"logger={name}")
    check_config(config)
    for package in loggers.LOGGER_PACKAGES.values():
        for module in package[1]:
            assert find_spec(module), "what `dev` installs"
    monkeypatch.setattr(loggers, "find_spec", lambda module: None if module == name else True)
    with pytest.raises(UserError) as error:
        check_config(config)
    assert error.value.faults == [
        f"logger.{name}: {name} is not installed; pip install -c constraints.txt '.[{name}]'",
    ]


def test_the_csv_is_needed(tmp_path) -> None:
    with pytest.raises(UserError, match=r"logger.csv: a run needs its metrics.csv"):
        check_config(composed(tmp_path, "logger=tensorboard", "logger.csv=null"))


def test_a_logger_that_cannot_be_opened_is_a_users_mistake(tmp_path) -> None:
    (tmp_path / "file").write_text("")
    made = TensorBoardLogger(tmp_path / "file", name="", version="x")
    with pytest.raises(UserError, match=r"logger: TensorBoard cannot be written to \(.*File exists"):
        begin([made], SETTINGS)
