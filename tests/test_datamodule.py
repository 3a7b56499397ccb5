"""Splits, counts, token ids and steps, from small files and from the real ones."""

import csv
import warnings

import lightning.pytorch as L
import numpy as np
import pytest

from src.datamodule import AspectDataModule
from src.errors import UserError
from src.focal import resolve_alpha
from src.labels import IGNORE, SENTIMENTS
from src.tokens.tokenizer import PROBES, from_json, train_tokenizer
from src.training.summary import cut_line
from tests.tiny import tiny_module

HEADER = ["data", "Battery", "Camera", "OTHERS"]
ROWS = [
    ["Pin trâu", "Positive", "", ""],
    ["Camera mờ, pin ổn", "Neutral", "Negative", ""],
    ["Máy đẹp", "", "", "mentioned"],
    ["Pin tệ quá", "negative", "", ""],
    ["Chụp đẹp 😍", "", "POSITIVE", "Mentioned"],
]


def write(path, rows, header=HEADER) -> str:
    with path.open("w", newline="", encoding="utf-8-sig") as file:
        csv.writer(file).writerows([header, *rows])
    return str(path)


@pytest.fixture
def files(tmp_path) -> dict:
    write(tmp_path / "train.csv", ROWS)
    write(tmp_path / "val.csv", ROWS[:3])
    return {"dir": str(tmp_path), "train": "train.csv", "val": "val.csv"}


@pytest.fixture(scope="module")
def tokenizer():
    return train_tokenizer([*PROBES, *(r[0] for r in ROWS)], 400, 64)


def test_counts_are_those_of_the_training_split(files) -> None:
    data = AspectDataModule(**files)
    assert data.labels.aspects == ("Battery", "Camera", "OTHERS")
    assert data.labels.without_sentiment == ("OTHERS",)
    assert data.class_counts.tolist() == [[1, 1, 1], [1, 1, 0], [0, 0, 0]]
    assert data.mention_counts.tolist() == [3, 2, 2]
    assert data.class_counts.dtype == data.mention_counts.dtype == np.int64


def test_batches_hold_the_reviews(files, tokenizer) -> None:
    data = AspectDataModule(**files, tokenizer=tokenizer, batch_size=2)
    data.setup()
    reviews = data.reviews("train")
    seen = set()
    for batch in data.train_dataloader():
        for i, row in enumerate(batch["row"].tolist()):
            seen.add(row)
            ids = batch["input_ids"][i][batch["attention_mask"][i].bool()].tolist()
            assert ids == tokenizer.encode(reviews.texts[row]).ids
            assert batch["mentioned"][i].tolist() == reviews.mentioned[row].astype(float).tolist()
            assert batch["sentiment"][i].tolist() == reviews.sentiment[row].tolist()
    assert seen == set(range(5))


def test_absent_neutral_fills_training_only_and_changes_no_count(files, tokenizer) -> None:
    plain = AspectDataModule(**files, tokenizer=tokenizer)
    filled = AspectDataModule(**files, tokenizer=tokenizer, absent="neutral")
    assert filled.class_counts.tolist() == plain.class_counts.tolist()
    before, after = plain.tokenised("train").sentiment, filled.tokenised("train").sentiment
    mentioned = plain.reviews("train").mentioned
    assert (after[~mentioned] == SENTIMENTS.index("neutral")).all()
    assert (after[mentioned] == before[mentioned]).all(), "mentioned without a sentiment stays ignored"
    assert (filled.tokenised("val").sentiment == plain.tokenised("val").sentiment).all()
    assert (before[~mentioned] == IGNORE).all()


@pytest.mark.parametrize(
    ("epochs", "accumulate", "limit", "expected"), [(1, 1, 1.0, 3), (4, 2, 1.0, 8), (2, 1, 2, 4), (2, 1, 0.7, 4)]
)
def test_steps_are_those_that_lightning_takes(files, tokenizer, tmp_path, epochs, accumulate, limit, expected) -> None:
    data = AspectDataModule(**files, tokenizer=tokenizer, batch_size=2, max_length=60)
    assert data.optimizer_steps(epochs, accumulate, limit) == expected
    trainer = L.Trainer(
        max_epochs=epochs,
        accumulate_grad_batches=accumulate,
        limit_train_batches=limit,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        accelerator="cpu",
    )
    module = tiny_module(total_steps=expected)
    module.classifier.encoder.resize_token_embeddings(tokenizer.get_vocab_size())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trainer.fit(module, datamodule=data)
    assert trainer.global_step == expected


def test_long_reviews_are_cut_for_training_told_and_predicted_whole(files, tmp_path, tokenizer) -> None:
    long = "Pin trâu lắm. " * 30
    write(tmp_path / "train.csv", [*ROWS, [long, "Positive", "", ""]])
    write(tmp_path / "val.csv", [ROWS[0], [long, "", "Negative", ""], ROWS[1]])
    data = AspectDataModule(**files, tokenizer=tokenizer, max_length=64)
    lost = len(from_json(tokenizer.to_str(), 10**6).encode(long)) - 64
    assert data.beyond("train").tolist() == [0, 0, 0, 0, 0, lost] and data.beyond("test").tolist() == []
    assert data.tokenised("train").longest == data.tokenised("val").longest == 64
    line = cut_line(data, 510)
    assert f"train 1 of 6 texts (16.7 %), {lost:,} of their tokens" in line and "val 1 of 3 texts" in line
    assert "data.max_length up to 510 cuts fewer" in line and "up to" not in cut_line(data, 64)
    loader, first = data.predict_loader("val")
    windows = int(first[2] - first[1])
    assert first.tolist() == [0, 1, 1 + windows, 2 + windows] and windows > 1
    (batch,) = loader
    assert sorted(batch["row"].tolist()) == list(range(2 + windows))
    assert batch["mentioned"][batch["row"] == 1].tolist() == [[0, 1, 0]]


def test_short_reviews_are_told_of_by_nothing(files, tokenizer) -> None:
    data = AspectDataModule(**files, tokenizer=tokenizer, max_length=64)
    assert cut_line(data, 510) == ""
    assert data.predict_loader("val")[1].tolist() == [0, 1, 2, 3]


def test_shares_of_one_file(tmp_path, tokenizer) -> None:
    rows = [[f"Pin tốt số {i}", "Positive" if i % 2 else "Negative", "", ""] for i in range(50)]
    data = AspectDataModule(write(tmp_path / "all.csv", rows), val=0.1, test=0.2, tokenizer=tokenizer)
    sizes = [len(data.reviews(s)) for s in ("train", "val", "test")]
    assert sizes == [35, 5, 10]
    again = AspectDataModule(str(tmp_path / "all.csv"), val=0.1, test=0.2, seed=99)
    assert again.reviews("test").texts == data.reviews("test").texts, "the run's seed does not choose the test set"


def test_faults_of_all_files_come_together(files, tmp_path) -> None:
    write(tmp_path / "train.csv", [["Pin", "Postive", "", ""]])
    write(tmp_path / "val.csv", [["Pin", "Positive", "Positive", ""], ["Pin", "", "so so", ""]])
    with pytest.raises(UserError) as error:
        _ = AspectDataModule(**files).labels
    text = str(error.value)
    assert "train.csv:2" in text and 'did you mean "Positive"' in text and "val.csv:3" in text


def test_the_real_counts_and_the_alpha_they_give(real_data) -> None:
    data = AspectDataModule("train_balanced.csv", "validation.csv", "test.csv", dir=str(real_data / "seed"))
    totals = data.class_counts.sum(0)
    assert totals.tolist() == [9880, 9734, 9427]
    assert totals.sum() == 29_041
    assert [round(a, 4) for a in resolve_alpha("auto", data.class_counts)] == [0.9798, 0.9945, 1.0269]
    per_aspect = np.array(resolve_alpha("per_aspect", data.class_counts))
    assert per_aspect.shape == (11, 3)


def test_the_real_dirty_file_loads(real_data) -> None:
    data = AspectDataModule("train.csv", "validation.csv", "test.csv", dir=str(real_data / "seed"))
    report = "\n".join(data.findings.lines())
    assert "rows without text, left out: 3" in report
    assert len(data.reviews("train")) == 7299, "the rows without text are those without a label"
