"""Folders from elsewhere: encoders, runs and bundles that claim too much are refused before they take memory."""

import json
import os
import struct
from pathlib import Path

import pytest
import torch

from src.errors import UserError
from src.judge.inference import load_best
from src.model.encoder import from_config, load_encoder
from src.runs.run import Run
from src.ship.bundle import CARD, INFO, ONNX, TOKENIZER, read_whole
from src.tokens.tokenizer import PROBES, train_tokenizer
from src.training.checkpoint import AtomicCheckpointIO
from tests.test_ship_bundle import fill
from tests.tiny import CONFIG, tiny_module


@pytest.fixture
def encoder(tmp_path) -> Path:
    folder = tmp_path / "encoder"
    from_config(CONFIG | {"vocab_size": 600, "max_position_embeddings": 258}, "cls").save_pretrained(folder)
    train_tokenizer(PROBES, 400, 256).save(str(folder / "tokenizer.json"))
    load_encoder(str(folder), [])
    return folder


def changed(folder: Path, **values) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


@pytest.mark.parametrize(
    "sizes",
    [
        {"vocab_size": 900_000_000, "hidden_size": 100_000, "num_attention_heads": 1},
        {"hidden_size": 10**12, "num_attention_heads": 1},
        {"num_hidden_layers": 10**6},
        {"intermediate_size": 10**8},
    ],
)
def test_an_encoder_larger_than_its_weights_is_refused_before_it_takes_memory(encoder, sizes) -> None:
    changed(encoder, **sizes)
    with pytest.raises(UserError, match=r"config.json"):
        load_encoder(str(encoder), [])
    if "vocab_size" not in sizes:
        with pytest.raises(UserError, match=r"config.json"):
            load_encoder(str(encoder), [], pretrained=False) if "layers" in str(sizes) else load_encoder(
                str(encoder), []
            )


def test_code_beside_the_weights_is_not_run(encoder) -> None:
    (encoder / "evil.py").write_text(f"open({str(encoder / 'boom')!r}, 'w')\nclass Evil: pass\n")
    changed(encoder, auto_map={"AutoConfig": "evil.Evil", "AutoModel": "evil.Evil"}, model_type="evil")
    with pytest.raises(UserError, match="not a configuration that transformers knows"):
        load_encoder(str(encoder), [])
    changed(encoder, model_type="xlm-roberta")
    load_encoder(str(encoder), [])
    assert not (encoder / "boom").exists()


def test_weights_that_are_code_or_a_header_of_100_gigabytes(encoder) -> None:
    weights = encoder / "model.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(struct.pack("<Q", 100 * 10**9) + whole[8:])
    with pytest.raises(UserError, match="its weights cannot be loaded"):
        load_encoder(str(encoder), [])
    weights.unlink()

    class Bomb:
        def __reduce__(self):
            return os.system, (f"touch {encoder}/boom",)

    torch.save({"x": Bomb(), "fill": torch.zeros(100_000)}, encoder / "pytorch_model.bin")
    with pytest.raises(UserError, match=r"refused: it names code posix\.system"):
        load_encoder(str(encoder), [])
    assert not (encoder / "boom").exists()


@pytest.mark.parametrize(
    "content",
    [
        *(b"", b"{}", b"[" * 100_000, b'{"version": "1.0"}', b"\xff\xfe"),
        b'{"model": {"type": "BPE", "vocab": {"a": 0}, "merges": ["a b"]}}',
        b'{"model": {"type": "Unigram", "unk_id": 99, "vocab": [["a", 0.0]]}}',
        b'{"model": {"type": "BPE", "vocab": {}, "merges": []}, "added_tokens": [{"id": 99999999999, "content": "x"}]}',
    ],
)
def test_a_tokenizer_that_is_none(encoder, content) -> None:
    (encoder / "tokenizer.json").write_bytes(content)
    with pytest.raises(UserError, match=r"tokenizer\.json"):
        load_encoder(str(encoder), [])


def test_a_tokenizer_without_end_is_not_read(encoder) -> None:
    os.truncate(encoder / "tokenizer.json", 100 * 10**9)
    with pytest.raises(UserError, match=r"100,000,000,000 bytes are no tokenizer"):
        load_encoder(str(encoder), [])


def saved(tmp_path, **changes) -> Run:
    module = tiny_module()
    content = {"state_dict": module.state_dict(), "hyper_parameters": dict(module.hparams) | changes, "loops": {}}
    more = {"pytorch-lightning_version": "2.6.6", "tokenizer": None, "origin": {}, "global_step": 0, "epoch": 0}
    AtomicCheckpointIO().save_checkpoint(content | more, tmp_path / "checkpoints" / "best.ckpt")
    return Run(tmp_path)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"head_width": 10**12}, "describes a model of"),
        ({"encoder_config": {**CONFIG, "vocab_size": 10**9}}, "describes a model of"),
        ({"encoder_config": {**CONFIG, "num_hidden_layers": 10**6}}, "describes no model"),
        ({"encoder_config": {**CONFIG, "model_type": "evil"}}, "describes no model"),
        ({"aspects": 3}, "describes no model"),
        ({"encoder_config": None}, "describes no model"),
    ],
)
def test_a_checkpoint_that_describes_more_than_it_holds(tmp_path, changes, said) -> None:
    load_best(saved(tmp_path / "fine"))
    with pytest.raises(UserError, match=said):
        load_best(saved(tmp_path, **changes))


# --- bundles ---


@pytest.mark.parametrize("name", [INFO, ONNX, TOKENIZER, CARD])
def test_files_of_a_bundle_without_end_are_not_read(tmp_path, name) -> None:
    folder = fill(tmp_path / "b")
    os.truncate(folder / name, 100 * 10**9)
    with pytest.raises(UserError, match=rf"{name}: 100,000,000,000 bytes, and .* at most are read"):
        read_whole(folder)
    (folder / name).unlink()
    os.mkfifo(folder / name)  # reading it would wait for ever
    with pytest.raises(UserError, match=rf"{name}: is no file"):
        read_whole(folder)
    (folder / name).unlink()
    (folder / name).symlink_to("/dev/zero")
    with pytest.raises(UserError, match=rf"{name}: is no file"):
        read_whole(folder)


@pytest.mark.parametrize(
    "text",
    [
        "[" * 10_000_000,
        '{"format": ' + "9" * 10_000_000 + "}",
        '{"format": "' + "x" * 10_000_000 + '"}',
        '{"a": ' * 1_000_000 + "1" + "}" * 1_000_000,
    ],
)
def test_json_bombs_end_in_a_few_words(tmp_path, text) -> None:
    folder = fill(tmp_path / "b")
    (folder / INFO).write_text(text)
    with pytest.raises(UserError) as error:
        read_whole(folder)
    assert len(str(error.value)) < 1000


def test_a_bundles_values_are_never_shown_whole(tmp_path) -> None:
    with pytest.raises(UserError) as error:
        read_whole(fill(tmp_path / "b", task=["x"] * 1_000_000, sentiments="y" * 1_000_000))
    assert len(str(error.value)) < 1000
