"""What several test files share: the repository, real data where it is at hand, small data and tiny encoders."""

import csv
import os
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).resolve().parents[1]
REAL = ROOT.parent / "shared"

os.environ["HF_HUB_OFFLINE"] = "1"  # no test may reach for a network
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
torch.set_num_threads(1)  # tiny models: waking a second thread costs more than the work, the more so beside other tests


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
