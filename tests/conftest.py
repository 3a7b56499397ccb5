"""What several test files share: the repository, real data where it is at hand, small data and tiny encoders."""

import csv
import gc
import os
import subprocess
import tempfile
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).resolve().parents[1]
REAL = ROOT.parent / "shared"

os.environ["HF_HUB_OFFLINE"] = "1"  # no test may reach for a network
_cache = tempfile.TemporaryDirectory()  # removed when the tests end
os.environ["XDG_CACHE_HOME"] = _cache.name  # nor write into the user's own
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("OMP_NUM_THREADS", "1")  # of the trainings that tests start, see below
torch.set_num_threads(1)  # tiny models: waking a second thread costs more than the work, the more so beside other tests


def pytest_collection_finish() -> None:
    """Leave what was imported out of every later garbage collection: each would take half a second."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def real_data() -> Path:
    folder = REAL / "data"
    if not folder.is_dir():
        pytest.skip("the real data sets are not beside the repository")
    return folder


@pytest.fixture(scope="session")
def visobert_folder() -> Path:
    folder = REAL / "visobert"
    if not folder.is_dir():
        pytest.skip("ViSoBERT's configuration and tokenizer are not beside the repository")
    return folder


def read_texts(file: Path, column: str) -> list[str]:
    with file.open(encoding="utf-8-sig", newline="") as opened:
        return [row[column] for row in csv.DictReader(opened) if row[column]]


@pytest.fixture(scope="session")
def real_texts(real_data: Path) -> list[str]:
    """Every text of both data sets, 20,000 or so."""
    texts = []
    for name in ("train", "validation", "test"):
        texts += read_texts(real_data / "seed" / f"{name}.csv", "data")
    for name in ("Train", "Dev", "Test"):
        texts += read_texts(real_data / "visfd" / f"{name}.csv", "comment")
    return texts


# --- the real script ---

TINY = [
    "model=mini",
    "model.pretrained=false",
    "model.encoder_lr=1e-3",
    "model.size.hidden_size=32",
    "model.size.layers=1",
    "model.size.heads=2",
    "model.size.intermediate_size=64",
    "trainer.precision=32-true",
    "data.batch_size=32",
]


def train(*overrides: str, cwd: Path = ROOT, timeout: int = 240) -> subprocess.CompletedProcess:
    from tests.forking import run  # once the environment of all tests stands

    return run([str(ROOT / "train.py"), *overrides], cwd=cwd, timeout=timeout)


@pytest.fixture(scope="session")
def trained(tmp_path_factory) -> tuple[Path, str]:
    """One run of two epochs with the settings as shipped, and what it printed."""
    folder = tmp_path_factory.mktemp("run")
    done = train(*TINY, "loss=focal", "loss.gamma=2", "trainer.max_epochs=2", f"hydra.run.dir={folder}")
    assert done.returncode == 0, done.stdout + done.stderr
    return folder, done.stdout + done.stderr


@pytest.fixture(scope="session")
def exported(trained, tmp_path_factory) -> Path:
    """A bundle of the run of :func:`trained`."""
    from src.ship.export import export_run

    return export_run(trained[0], tmp_path_factory.mktemp("exported") / "bundle")
