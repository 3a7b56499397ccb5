"""Masked-language pre-training: what is hidden, what is read, what a stopped run goes on with."""

import csv
import gzip
import json
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch

import pretrain as script
from src.data.corpus import read_corpus
from src.errors import UserError
from src.labels import IGNORE
from src.pretraining.data import PretrainingData
from src.pretraining.masking import mask_words, vocabulary_of
from src.tokens.tokenizer import MASK, train_tokenizer
from tests.conftest import ROOT
from tests.forking import run
from tests.many import call

SAMPLE = ROOT / "data" / "sample" / "train.csv"


@pytest.fixture(scope="module")
def texts() -> list[str]:
    with SAMPLE.open(encoding="utf-8-sig", newline="") as file:
        return list(dict.fromkeys(row["data"] for row in csv.DictReader(file)))


@pytest.fixture(scope="module")
def tokenizer(texts):
    return train_tokenizer(texts, 500, 64)


@pytest.fixture(scope="module")
def vocabulary(tokenizer):
    return vocabulary_of(tokenizer, MASK)


# --- masking ---


def batch_of(tokenizer, texts) -> torch.Tensor:
    encoded = [e.ids for e in tokenizer.encode_batch(texts)]
    width = max(map(len, encoded))
    return torch.tensor([ids + [1] * (width - len(ids)) for ids in encoded])


def test_a_word_is_hidden_with_all_its_tokens(tokenizer, vocabulary) -> None:
    ids = batch_of(tokenizer, ["zzzqqq xxwwyy qqqxxx, zzwwvv!"] * 400)
    _, targets = mask_words(ids, vocabulary, 0.4, torch.Generator().manual_seed(0))
    words = vocabulary.begins[ids[0]].cumsum(0)
    several = [w for w in words.unique() if (words == w).sum() > 1 and not vocabulary.special[ids[0][words == w]].any()]
    assert len(several) >= 3
    for word in several:
        hidden = targets[:, words == word] != IGNORE
        assert (hidden.all(1) | ~hidden.any(1)).all()
        assert 0.3 < hidden.all(1).float().mean() < 0.5


def test_the_share_and_what_stands_in_its_place(tokenizer, vocabulary, texts) -> None:
    ids = batch_of(tokenizer, texts[:300])
    shown, targets = mask_words(ids, vocabulary, 0.3, torch.Generator().manual_seed(1))
    chosen = targets != IGNORE
    ordinary = ~vocabulary.special[ids]
    assert chosen[ordinary].float().mean() == pytest.approx(0.3, abs=0.02)
    assert not chosen[~ordinary].any()  # begin, end and padding are never guessed
    assert torch.equal(targets[chosen], ids[chosen]) and torch.equal(shown[~chosen], ids[~chosen])
    masked, kept = shown[chosen] == vocabulary.mask_id, shown[chosen] == ids[chosen]
    assert masked.float().mean() == pytest.approx(0.8, abs=0.02)
    assert kept.float().mean() == pytest.approx(0.1, abs=0.02)
    assert not vocabulary.special[shown[chosen & (shown != vocabulary.mask_id)]].any()


def test_a_sign_is_a_word_of_its_own(tokenizer, vocabulary) -> None:
    ids = tokenizer.encode("pin tốt, máy đẹp!").ids
    names = [tokenizer.id_to_token(i) for i in ids]
    begins = vocabulary.begins[torch.tensor(ids)].tolist()
    assert all(begin for name, begin in zip(names, begins, strict=True) if name in (",", "!"))
    assert all(begin == name.startswith("▁") for name, begin in zip(names, begins, strict=True) if name.isalpha())


def test_of_visobert_too(visobert_folder) -> None:
    from src.tokens.tokenizer import load_tokenizer

    tokenizer = load_tokenizer(visobert_folder, 64)
    vocabulary = vocabulary_of(tokenizer, MASK)
    assert vocabulary.mask_id == 15001 and vocabulary.special[[0, 1, 2, 3, 15001]].all()
    assert int(vocabulary.special.sum()) == 5


# --- files ---


def test_every_kind_of_file_gives_the_same_texts(tmp_path, texts) -> None:
    lines = [t for t in texts if "\n" not in t][:200]
    (tmp_path / "a.txt").write_text("\n".join(lines), encoding="utf-8")
    with gzip.open(tmp_path / "b.txt.gz", "wt", encoding="utf-8") as file:
        file.write("\n".join(lines))
    with (tmp_path / "c.csv").open("w", encoding="utf-8-sig", newline="") as file:
        csv.writer(file).writerows([["id", "comment"], *([i, t] for i, t in enumerate(lines))])
    with gzip.open(tmp_path / "d.jsonl.gz", "wt", encoding="utf-8") as file:
        file.writelines(json.dumps({"text": t}) + "\n" for t in lines)
    first, *others = (
        read_corpus(str(tmp_path / name), val=0.1) for name in ("a.txt", "b.txt.gz", "c.csv", "d.jsonl.gz")
    )
    assert len(first.train) + len(first.val) == len(lines) and 5 < len(first.val) < 50
    assert all(other == first for other in others)


def test_what_is_held_out_is_not_learned_from(tmp_path, texts) -> None:
    (tmp_path / "a.txt").write_text("\n".join([*texts, *texts]), encoding="utf-8")
    corpus = read_corpus(str(tmp_path / "a.txt"), val=0.2)
    assert len(corpus.train) + len(corpus.val) == len({t for text in texts for t in text.split("\n")})
    assert not set(corpus.train) & set(corpus.val)


def test_all_faults_of_files_at_once(tmp_path) -> None:
    (tmp_path / "a.xls").write_text("x")
    (tmp_path / "b.txt.gz").write_bytes(gzip.compress(b"mot hai\nba bon\n" * 5000)[:-20])
    with pytest.raises(UserError) as error:
        read_corpus([str(tmp_path / name) for name in ("a.xls", "b.txt.gz", "c.txt")])
    told = "\n".join(error.value.faults)
    assert "a.xls: the format is told from the name" in told
    assert ": damaged from this row on: " in told and "c.txt: there is no such file" in told


# --- batches ---


def loader(path: Path, tokenizer, **settings):
    data = PretrainingData(str(path), val=0.1, max_length=64, tokens_per_batch=256, **settings)
    data.tokenizer = tokenizer
    return data


def test_other_words_are_hidden_in_every_epoch_and_the_same_in_validation(tokenizer, tmp_path, texts) -> None:
    (tmp_path / "a.txt").write_text("\n".join(texts[:100]), encoding="utf-8")
    data = loader(tmp_path / "a.txt", tokenizer)
    train, val = data.train_dataloader(), data.val_dataloader()

    def hidden(batches, epoch: int) -> dict[int, list[int]]:
        batches.set_epoch(epoch)
        return {
            int(row): targets.tolist()
            for batch in batches
            for row, targets in zip(batch["row"], batch["targets"], strict=True)
        }

    first, again, other = hidden(train, 0), hidden(train, 0), hidden(train, 1)
    assert first == again
    assert sum(first[row] != other[row] for row in first) > 0.8 * len(first)
    assert hidden(val, 0) == hidden(val, 1)


# --- the script ---

SMALL = [
    "model.pretrained=false",
    "model.size.hidden_size=32",
    "model.size.layers=1",
    "model.size.heads=2",
    "model.size.intermediate_size=64",
    "model.size.vocab_size=600",
    "data.max_length=64",
    "data.tokens_per_batch=1024",
    "data.val=0.1",
    "trainer.precision=32-true",
]


def pretrain(*overrides: str, cwd: Path = ROOT) -> subprocess.CompletedProcess:
    return run([str(ROOT / "pretrain.py"), f"data.texts={SAMPLE}", *SMALL, *overrides], cwd=cwd)


@pytest.fixture(scope="module")
def pretrained(tmp_path_factory) -> tuple[Path, dict]:
    folder = tmp_path_factory.mktemp("pretrained")
    done = pretrain("trainer.max_epochs=3", f"hydra.run.dir={folder}")
    assert done.returncode == 0, done.stdout + done.stderr
    return folder, json.loads((folder / "summary.json").read_text())


def test_it_learns_and_leaves_an_encoder_that_training_takes(pretrained, tmp_path) -> None:
    from src.model.encoder import load_encoder

    folder, summary = pretrained
    with (folder / "metrics.csv").open() as file:
        losses = [float(row["val/loss"]) for row in csv.DictReader(file) if row["val/loss"]]
    assert losses[-1] < losses[0] < np.log(600) and summary["figures"]["val/loss"] == pytest.approx(
        losses[-1], abs=1e-4
    )
    encoder = load_encoder(str(folder / "encoder"), texts=(), pooling="mean", max_length=64)
    weights = torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
    for name, value in encoder.module.state_dict().items():
        assert torch.equal(value, weights[f"model.roberta.{name}"]), name
    assert encoder.tokenizer.encode("pin tốt").ids


def test_another_run_begins_where_the_last_one_ended(pretrained) -> None:
    """With the layers behind the encoder, too: a fresh head would have to be learned first."""
    from src.model.encoder import load_encoder
    from src.pretraining.masked_lm import language_model

    folder, _ = pretrained
    encoder = load_encoder(str(folder / "encoder"), texts=(), pooling="mean", max_length=64)
    weights = torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
    state = language_model(encoder).state_dict()
    assert all(torch.equal(value, weights[f"model.{name}"]) for name, value in state.items())


def test_an_encoder_without_such_a_model_is_refused(tmp_path) -> None:
    from src.model.encoder import Encoder, from_config
    from src.pretraining.masked_lm import language_model

    gpt = from_config({"model_type": "gpt2", "n_embd": 16, "n_layer": 1, "n_head": 2, "vocab_size": 50}, "mean")
    with pytest.raises(UserError, match="gpt: transformers knows no masked language model"):
        language_model(Encoder(gpt, None, "gpt", "random", pretrained=False))


def test_a_stopped_run_goes_on_as_if_it_had_not(pretrained, tmp_path) -> None:
    """Stopped in the middle of an epoch; then equal to the last bit."""
    folder, _ = pretrained
    stop = tmp_path / "stop.py"
    stop.write_text(
        "import os, runpy, signal, sys\n"
        f"sys.path.insert(0, {str(ROOT)!r})\n"
        "from src.pretraining.masked_lm import MaskedLanguageModel as Model\n"
        "step = Model.training_step\n"
        "def stopping(self, batch, batch_idx):\n"
        "    if self.global_step == 6:\n"
        "        os.kill(os.getpid(), signal.SIGTERM)\n"
        "    return step(self, batch, batch_idx)\n"
        "Model.training_step = stopping\n"
        f"runpy.run_path({str(ROOT / 'pretrain.py')!r}, run_name='__main__')\n"
    )
    words = [f"data.texts={SAMPLE}", *SMALL, "trainer.max_epochs=3", f"hydra.run.dir={tmp_path / 'run'}"]
    done = run([str(stop), *words])
    assert done.returncode == 130, done.stdout + done.stderr
    last = tmp_path / "run" / "checkpoints" / "last.ckpt"
    assert torch.load(last, weights_only=True)["global_step"] == 7
    done = pretrain("trainer.max_epochs=3", f"hydra.run.dir={tmp_path / 'on'}", f"ckpt_path={last}")
    assert done.returncode == 0, done.stdout + done.stderr
    ours, theirs = (
        torch.load(f / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"] for f in (tmp_path / "on", folder)
    )
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


def test_all_faults_of_settings_at_once() -> None:
    done = pretrain("data.mask=2", "+pretraining.lrr=3", "pretraining.save_as=int8", "data.texts=???")
    assert done.returncode == 2
    assert all(w in done.stderr for w in ("data.mask=2", "lrr", "save_as=int8", "data.texts: is missing")), done.stderr


def test_a_mistake_in_the_texts_is_told_without_a_traceback(tmp_path, capsys) -> None:
    words = ["data.texts=nothere.txt", "model.pretrained=false", f"hydra.run.dir={tmp_path}"]
    assert call(script.main, *words) == 2
    assert capsys.readouterr().err == "error: nothere.txt: there is no such file\n"


def test_a_sweep_of_them_writes_over_no_earlier_one(tmp_path, capsys) -> None:
    (tmp_path / "0").mkdir()
    (tmp_path / "0" / "summary.json").write_text("{}")
    words = [f"data.texts={SAMPLE}", "model.pretrained=false", "seed=1,2", f"hydra.sweep.dir={tmp_path}"]
    assert call(script.main, "-m", *words) == 2
    assert f"error: {tmp_path}/0: holds a run already (summary.json)" in capsys.readouterr().err
    assert (tmp_path / "0" / "summary.json").read_text() == "{}" and not (tmp_path / "1").exists()


def test_a_timed_run_ends_with_an_encoder(tmp_path) -> None:
    done = pretrain("trainer.max_epochs=500", "trainer.max_time=00:00:00:02", f"hydra.run.dir={tmp_path}")
    assert done.returncode == 0, done.stdout + done.stderr
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary["steps"] > 0 and (tmp_path / "encoder" / "model.safetensors").is_file()


def test_damage_within_a_zipped_file_is_told(tmp_path, texts) -> None:
    packed = bytearray(gzip.compress("\n".join(texts).encode()))
    packed[len(packed) // 2] ^= 255
    (tmp_path / "a.txt.gz").write_bytes(bytes(packed))
    with pytest.raises(UserError, match=r"a.txt.gz:\d+: damaged from this row on"):
        read_corpus(str(tmp_path / "a.txt.gz"))
