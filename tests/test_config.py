"""Every shipped YAML composes, says how to use it, and passes the check; every mistake is found before anything is built."""

import re

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.hydra_config import HydraConfig
from omegaconf import OmegaConf, open_dict

import train
from src.errors import UserError
from src.training.building import with_epochs
from src.training.checks import check_config
from tests.conftest import ROOT

FILES = sorted((ROOT / "conf").rglob("*.yaml"))
CHOICES = [
    *(f"data={n}" for n in ("sample", "table", "visfd")),
    *(f"task={n}" for n in ("absa", "sentiment")),
    *(f"model={n}" for n in ("auto", "visobert", "visobert_14gb", "xlmr", "mini")),
    *(f"loss={n}" for n in ("focal", "ce")),
    *(f"loss/alpha={n}" for n in ("auto", "custom", "per_aspect", "equal")),
    *(f"data/noise={n}" for n in ("none", "typed")),
    *(f"trainer={n}" for n in ("default", "ddp")),
    *(f"callbacks={n}" for n in ("default", "ema")),
    *(f"logger={n}" for n in ("csv", "tensorboard", "wandb", "mlflow")),
    *(f"experiment={n}" for n in ("seed", "mini")),
    "hydra/launcher=slurm",
]
# of search.py and pretrain.py, tested with them; and of a package that the tests do not install
OTHERS = {"search", "pretrain", "sweep/optuna", "sweep/mini", "hydra/launcher/ray_cluster"}


def composed(tmp_path, *overrides: str) -> dict:
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        config = compose("config", list(overrides), return_hydra_config=True)
        with open_dict(config):
            config.hydra.runtime.output_dir = str(tmp_path)
        HydraConfig.instance().set_config(config)
        plain = OmegaConf.to_container(config, resolve=False)
        del plain["hydra"]
        resolved = train.plain(OmegaConf.create(plain))
    return resolved


def test_every_file_is_a_choice_that_is_tested() -> None:
    names = {str(f.relative_to(ROOT / "conf").with_suffix("")) for f in FILES}
    assert names == {"config", *(c.replace("=", "/") for c in CHOICES)} | OTHERS


@pytest.mark.parametrize("file", FILES, ids=lambda f: str(f.relative_to(ROOT / "conf")))
def test_every_file_opens_with_its_command(file) -> None:
    head = [line for line in file.read_text(encoding="utf-8").splitlines()[:4] if "@package" not in line]
    assert any(re.match(r"# +python (train|search|pretrain)\.py", line) for line in head) or file.name == "config.yaml"


@pytest.mark.parametrize("choice", CHOICES)
def test_every_choice_composes_and_passes_the_check(tmp_path, choice, monkeypatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    (tmp_path / "x.csv").write_text("data,A\n")
    more = {
        "data=table": [f"data.train={tmp_path}/x.csv"],
        "data=visfd": [f"data.dir={tmp_path}", "data.train=x.csv"],
        "experiment=seed": [f"data.dir={tmp_path}", "data.train=x.csv"],
    }
    config = composed(tmp_path, choice, *more.get(choice, []))
    if "auto" not in choice:
        check_config(config)


def test_alpha_is_a_group_and_a_value(tmp_path) -> None:
    for override, expected in {
        "loss/alpha=auto": "auto",
        "loss/alpha=per_aspect": "per_aspect",
        "loss/alpha=custom": [1.0, 1.2, 1.5],
        "loss/alpha=equal": None,
        "loss.alpha=null": None,
        "loss.alpha=auto": "auto",
        "loss.alpha=[1.0,1.2,1.5]": [1.0, 1.2, 1.5],
    }.items():
        for loss in ("focal", "ce"):
            assert composed(tmp_path, f"loss={loss}", override)["loss"]["alpha"] == expected
    assert composed(tmp_path)["loss"]["alpha"] == "auto"


def test_the_originals_recipe(tmp_path) -> None:
    got = composed(tmp_path, "experiment=seed", "data.dir=x")
    flat = {
        "task": got["task"]["name"],
        "monitor": got["monitor"],
        **{k: got["data"][k] for k in ("train", "absent", "max_length", "batch_size")},
        **{
            k: got["model"][k]
            for k in ("encoder", "pooling", "encoder_lr", "head_lr", "weight_decay", "schedule", "warmup")
        },
        **{k: got["trainer"][k] for k in ("max_epochs", "accumulate_grad_batches", "gradient_clip_val")},
        **{k: got["loss"][k] for k in ("gamma", "alpha")},
    }
    assert flat == {
        "task": "sentiment",
        "monitor": "val/sentiment_f1",
        "train": "train_balanced.csv",
        "absent": "neutral",
        "max_length": 256,
        "batch_size": 32,
        "encoder": "uitnlp/visobert",
        "pooling": "pooler",
        "encoder_lr": 2e-5,
        "head_lr": 2e-5,
        "weight_decay": 0.01,
        "schedule": "cosine",
        "warmup": 0.06,
        "max_epochs": 15,
        "accumulate_grad_batches": 2,
        "gradient_clip_val": 1.0,
        "gamma": 2.0,
        "alpha": "auto",
    }


MISTAKES = {
    "+loss.gama=2": r"loss.gama: no such setting; did you mean loss.gamma\?",
    "+looss=1": r"looss: no such setting; did you mean loss\?",
    "+data.batchsize=3": r"data.batchsize: no such setting; did you mean data.batch_size\?",
    "+model.poling=cls": r"model.poling: no such setting; did you mean model.pooling\?",
    "+trainer.max_epoch=3": r"trainer.max_epoch: no such setting; did you mean trainer.max_epochs\?",
    "+callbacks.best.monitr=x": r"callbacks.best.monitr: no such setting; did you mean callbacks.best.monitor\?",
    "loss.gamma=-1": r"loss.gamma=-1: expected a number, at least 0",
    "loss.gamma=two": r"loss.gamma=two: expected a number",
    "loss.alpha=[1.0,1.2]": r"2 numbers for 3 sentiments \(positive, negative, neutral\)",
    "loss._target_=src.focal.Nothing": r"loss._target_=src.focal.Nothing: cannot be imported",
    "model.pooling=first": r"model.pooling=first: expected cls, mean, label, pooler",
    "model.rare_aspects=-1": r"model.rare_aspects=-1: expected a number, at least 0",
    "model.dropout=1": r"model.dropout=1: expected a number in \[0, 1\)",
    "model.detection_loss=hinge": r"model.detection_loss=hinge: expected bce, focal, asymmetric",
    "model.pretrained=7": r"model.pretrained=7: expected true or false",
    "data.batching=sorted": r"data.batching=sorted: expected bucketed, random",
    "data.leaks=ignore": r"data.leaks=ignore: expected warn, drop, error",
    "data.absent=zero": r"data.absent=zero: expected mask, neutral",
    "data.batch_size=0": r"data.batch_size=0: expected at least 1 review",
    "data.batch_size=1.5": r"data.batch_size=1.5: expected an integer",
    "data.val=null": r"data.val=null: training needs a validation split",
    "data.val=1.5": r"data.val=1.5: a share of the training file is between 0 and 1",
    "data.train=nowhere.csv": r"data.train=nowhere.csv: no such file",
    "data.dir=nowhere": r"data.dir=nowhere: no such folder",
    "monitor=val/loss": r"the lowest loss is the best; set mode=min",
    "monitor=val/pair_f2": r'monitor=val/pair_f2: task absa logs .*did you mean "val/pair_f1"\?',
    "mode=min": r"mode=min: a figure is better when higher",
    "trainer.accelerator=gpu": r"trainer.accelerator=gpu: torch finds none",
    "trainer.accelerator=tpuu": r"trainer.accelerator=tpuu: expected one of",
    "trainer.precision=8": r"trainer.precision=8: expected one of auto",
    "trainer.max_epochs=0": r"trainer.max_epochs=0: expected at least 1",
    "ckpt_path=nowhere.ckpt": r"ckpt_path=nowhere.ckpt: no such file",
    "trainer.save_every_minutes=0": r"trainer.save_every_minutes=0: expected more than 0 minutes",
    "trainer.save_every_minutes=often": r"callbacks.timed.minutes=often: expected a number or null",
    "loss.alpha=autp": r'loss.alpha=autp: .*did you mean "auto"',
    "trainer.devices=2": r"trainer.devices=2: trainer=default trains on one device",
    "trainer.max_epochs=null": r"trainer.max_epochs=null: expected an integer, at least 1, or auto",
    "trainer.max_epochs=many": r"trainer.max_epochs=many: expected an integer",
    "trainer.limit_val_batches=0": r"trainer.limit_val_batches=0: expected more than 0",
    "+trainer.max_steps=3": r"trainer.max_steps=3: the schedule counts epochs",
    "+trainer.fast_dev_run=true": r"trainer.fast_dev_run=True: it writes no checkpoint",
    "~callbacks.best": r"callbacks.best: a run needs its best.ckpt",
    "callbacks.last.filename=x": r"callbacks.last: a run needs its last.ckpt",
    "seed=-1": r"seed=-1: expected an integer",
    "seed=a": r"seed=a: expected an integer",
}


@pytest.fixture(autouse=True)
def no_gpu(monkeypatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setattr("torch.backends.mps.is_available", lambda: False)


@pytest.mark.parametrize("override", MISTAKES)
def test_a_mistake_is_one_message(tmp_path, override) -> None:
    with pytest.raises(UserError, match=MISTAKES[override]):
        check_config(composed(tmp_path, override))


def test_all_mistakes_come_together(tmp_path) -> None:
    wrong = ["+loss.gama=2", "model.pooling=first", "data.batch_size=0", "trainer.accelerator=gpu", "monitor=val/loss"]
    with pytest.raises(UserError) as error:
        check_config(composed(tmp_path, *wrong))
    assert len(error.value.faults) == len(wrong)


def test_task_sentiment_has_other_figures_to_monitor(tmp_path) -> None:
    assert composed(tmp_path, "task=sentiment")["monitor"] == "val/sentiment_f1"
    with pytest.raises(UserError, match="task sentiment logs"):
        check_config(composed(tmp_path, "task=sentiment", "monitor=val/pair_f1"))


def test_as_many_epochs_as_the_reviews_call_for(tmp_path) -> None:
    """The settings stay as typed, for a job of a sweep is known again by them."""
    settings = composed(tmp_path, "trainer.max_epochs=auto")
    check_config(settings)
    assert with_epochs(settings, 600)["trainer"] == settings["trainer"] | {"max_epochs": 18}
    assert settings["trainer"]["max_epochs"] == "auto"
    assert with_epochs(given := composed(tmp_path, "trainer.max_epochs=7"), 600) == given


def test_null_leaves_a_callback_out(tmp_path) -> None:
    check_config(composed(tmp_path, "callbacks.early_stopping=null"))
