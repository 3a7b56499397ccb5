"""What grows with the number of reviews, and how: time in proportion, memory by a few hundred bytes, logits not at all."""

import gc
import time
import tracemalloc
from pathlib import Path

import lightning.pytorch as L
import numpy as np
import pytest
import torch

from benchmarks.scale import write_rows
from src.data.texts import Texts
from src.datamodule import AspectDataModule
from src.judge.best import predict
from src.judge.inference import load_best
from src.lit_module import AspectSentimentModule
from src.runs.run import Run
from src.tokens.batching import Batches, BatchPlan
from src.tokens.tokenizer import from_json, train_tokenizer
from tests.conftest import ROOT
from tests.tiny import tiny_module, tiny_split

SAMPLE = ROOT / "data" / "sample"


@pytest.fixture(scope="module")
def tokenizer():
    return train_tokenizer(["Máy đẹp, pin trâu nhưng camera hơi kém 0123456789"] * 2, 400, 256)


def start(file: Path, tokenizer) -> AspectDataModule:
    """Everything that a run does with its training reviews before and in its first epoch."""
    data = AspectDataModule(str(file), tokenizer=tokenizer)
    data.setup()
    assert data.class_counts.sum() and data.findings.lines()
    for _ in data.train_dataloader():
        pass
    return data


def short_rows(file: Path, count: int) -> Path:
    rows = (f"pin tốt {i},{'' if i % 3 else 'positive'},negative,,\n" for i in range(count))
    file.write_text("text,A,B,C,D\n" + "".join(rows), encoding="utf-8")
    return file


@pytest.mark.slow
def test_memory_of_a_review(tmp_path, tokenizer) -> None:
    """At most 400 bytes for one like the sample's, whose letters and tokens take 285: 115 for all the rest."""
    peaks, needed = [], []
    for count in (1_000, 9_000):
        file = write_rows(tmp_path / f"{count}.csv", count)
        tracemalloc.start()
        data = start(file, tokenizer)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        tokens = data.tokenised("train")
        assert tokens.ids.dtype == np.uint16
        needed.append(sum(len(text.encode()) for text in data.reviews("train").texts) + tokens.ids.nbytes)
    rest = (peaks[1] - peaks[0] - (needed[1] - needed[0])) / 8_000
    assert 0 < rest < 115


@pytest.mark.slow
def test_time_is_in_proportion(tmp_path, tokenizer) -> None:
    """16 times the reviews take about 16 times as long; 256 times would be a step that goes through all for each."""
    seconds = []
    for count in (4_000, 64_000):
        file = short_rows(tmp_path / f"{count}.csv", count)
        times = []
        for _ in range(2):
            began = time.process_time()
            start(file, tokenizer)
            times.append(time.process_time() - began)
        seconds.append(min(times))
    assert seconds[1] / seconds[0] < 25


def test_a_share_of_the_file_copies_no_text(tmp_path, tokenizer) -> None:
    data = AspectDataModule(str(short_rows(tmp_path / "a.csv", 100)), val=0.2, test=0.2, tokenizer=tokenizer)
    blocks = {id(data.reviews(name).texts._block) for name in ("train", "val", "test")}
    assert len(blocks) == 1 and isinstance(data.reviews("val").texts, Texts)


# --- what evaluation and prediction keep -----------------------------------------------------------------------------


class OnDevice:
    """Stands for a tensor on a GPU: it is there until it is moved away."""

    def __init__(self, tensor: torch.Tensor, there: set) -> None:
        self.tensor, self.there = tensor, there
        there.add(self)

    def to(self, device: torch.device, **_) -> torch.Tensor:
        assert torch.device(device).type == "cpu"
        self.there.remove(self)
        return self.tensor


def test_logits_leave_the_device_batch_by_batch(trained, monkeypatch) -> None:
    run, there, most = Run(trained[0]), set(), []
    step = AspectSentimentModule.predict_step

    def on_device(self, batch, batch_idx):
        most.append(len(there))
        return {name: OnDevice(tensor, there) for name, tensor in step(self, batch, batch_idx).items()}

    monkeypatch.setattr(AspectSentimentModule, "predict_step", on_device)
    module = load_best(run)
    data = AspectDataModule(
        "train.csv", "validation.csv", dir=str(SAMPLE), tokenizer=from_json(module.tokenizer_json, 256)
    )
    data.eval_batch_size = 8
    trainer = L.Trainer(accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False)
    found = predict(trainer, module, data, "val", run.best)
    assert len(most) == -(-len(found.ids) // 8) > 5
    assert set(most) == {0} and not there, "no batch's logits are there when the next one begins"


def test_evaluation_keeps_counts_and_no_logits() -> None:
    """The module's tensors take as much after many batches as after one."""
    module, split = tiny_module().eval(), tiny_split(400)

    def kept(batches: int) -> int:
        for i, batch in zip(range(batches), Batches(split, BatchPlan(split.lengths, batch_size=8)), strict=False):
            with torch.no_grad():
                module.validation_step(batch, i)
        gc.collect()
        return sum(x.numel() for x in gc.get_objects() if type(x) is torch.Tensor)

    module.log = module.log_dict = lambda *_, **__: None
    assert kept(40) < kept(1) + 1_000, "39 batches of logits are 3,744 numbers"
