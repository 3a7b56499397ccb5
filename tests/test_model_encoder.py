"""Where an encoder comes from, and that it is the one that was asked for."""

import json
import shutil
from pathlib import Path

import pytest
import torch

from src.errors import UserError
from src.model import hub
from src.model.encoder import from_config, load_encoder
from src.model.hub import cached, choose, hub_answers, locate
from src.tokens.tokenizer import PROBES, train_tokenizer
from tests.hub import small_hub
from tests.tiny import CONFIG


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A tiny encoder with the layout of a published one."""
    path = tmp_path_factory.mktemp("encoder")
    torch.manual_seed(0)
    from_config(CONFIG | {"vocab_size": 600}, "pooler").save_pretrained(path)
    train_tokenizer(PROBES, 400, 64).save(str(path / "tokenizer.json"))
    return path


def state(module) -> dict:
    return {k: v.clone() for k, v in module.state_dict().items()}


@pytest.mark.parametrize("layout", ["safetensors", "bin"])
def test_weights_arrive_in_float32_and_train_mode(folder: Path, tmp_path: Path, layout: str) -> None:
    original = load_encoder(str(folder), [], max_length=60)
    shutil.copytree(folder, tmp_path / "copy")
    weights = {
        k: v.half()
        for k, v in load_encoder(str(folder), [], pooling="pooler", max_length=60).module.state_dict().items()
    }
    if layout == "bin":
        (tmp_path / "copy" / "model.safetensors").unlink()
        torch.save(weights, tmp_path / "copy" / "pytorch_model.bin")
    else:
        from safetensors.torch import save_file

        save_file(weights, tmp_path / "copy" / "model.safetensors", {"format": "pt"})
    loaded = load_encoder(str(tmp_path / "copy"), [], max_length=60)
    assert {p.dtype for p in loaded.module.parameters()} == {torch.float32}, "whatever type the file has"
    assert all(m.training for m in loaded.module.modules())
    assert loaded.pretrained and "pre-trained" in loaded.weights
    for name, value in original.module.state_dict().items():
        torch.testing.assert_close(loaded.module.state_dict()[name], value, atol=1e-3, rtol=1e-3)


def test_pooler_only_where_it_is_used(folder: Path) -> None:
    assert load_encoder(str(folder), [], max_length=60).module.pooler is None
    assert load_encoder(str(folder), [], pooling="pooler", max_length=60).module.pooler is not None


def test_a_missing_pooler_is_said_and_missing_layers_are_refused(folder: Path, tmp_path: Path, caplog) -> None:
    whole = load_encoder(str(folder), [], pooling="pooler", max_length=60).module.state_dict()
    shutil.copytree(folder, tmp_path / "copy")
    (tmp_path / "copy" / "model.safetensors").unlink()
    file = tmp_path / "copy" / "pytorch_model.bin"
    torch.save({k: v for k, v in whole.items() if not k.startswith("pooler")}, file)
    load_encoder(str(tmp_path / "copy"), [], max_length=60)
    assert "pooler" not in caplog.text
    load_encoder(str(tmp_path / "copy"), [], pooling="pooler", max_length=60)
    assert "no weights for its pooler" in caplog.text
    torch.save({k: v for k, v in whole.items() if "layer.1." not in k}, file)
    with pytest.raises(UserError, match="lack 16 tensors"):
        load_encoder(str(tmp_path / "copy"), [], max_length=60)


def test_broken_files_are_one_message(folder: Path, tmp_path: Path) -> None:
    for name in ("model.safetensors", "config.json", "tokenizer.json"):
        copy = tmp_path / name
        shutil.copytree(folder, copy)
        (copy / name).write_bytes((folder / name).read_bytes()[:100])
        with pytest.raises(UserError, match=str(copy)):
            load_encoder(str(copy), [], max_length=60)


def test_a_tokenizer_with_more_tokens_than_embeddings_is_refused(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path / "copy")
    from_config(CONFIG, "cls").save_pretrained(tmp_path / "copy")
    with pytest.raises(UserError, match="they do not belong together"):
        load_encoder(str(tmp_path / "copy"), [], max_length=60)


def test_pretrained_false_takes_the_architecture_only(folder: Path) -> None:
    torch.manual_seed(1)
    fresh = load_encoder(str(folder), [], max_length=60, pretrained=False)
    loaded = load_encoder(str(folder), [], max_length=60)
    assert not fresh.pretrained and "random" in fresh.weights
    assert state(fresh.module).keys() == state(loaded.module).keys()
    name = "embeddings.word_embeddings.weight"
    assert not torch.equal(state(fresh.module)[name], state(loaded.module)[name])


def test_config_rebuilds_the_architecture_from_plain_values(folder: Path) -> None:
    loaded = load_encoder(str(folder), [], max_length=60)
    plain = json.loads(json.dumps(loaded.config))
    rebuilt = from_config(plain, "cls")
    rebuilt.load_state_dict(loaded.module.state_dict())
    ids = torch.tensor([[0, 5, 7, 2]])
    with torch.no_grad():
        assert torch.equal(rebuilt.eval()(ids)[0], loaded.module.eval()(ids)[0])


def test_too_long_for_its_positions(folder: Path) -> None:
    with pytest.raises(UserError, match=r"data.max_length=65: this encoder has positions for 64 tokens"):
        load_encoder(str(folder), [], max_length=65)
    load_encoder(str(folder), [], max_length=64)


def test_mini_is_made_of_the_texts() -> None:
    size = {"vocab_size": 400, "hidden_size": 16, "layers": 1, "heads": 2, "intermediate_size": 32}
    torch.manual_seed(0)
    mini = load_encoder("mini", PROBES, pooling="mean", max_length=40, pretrained=False, size=size)
    assert not mini.pretrained and "starts from nothing" in mini.weights
    ids = torch.tensor([mini.tokenizer.encode("Máy đẹp " * 100).ids])
    assert ids.shape[1] == 40
    assert mini.module(ids)[0].shape == (1, 40, 16)


def test_folders_and_names_that_hold_no_encoder(tmp_path: Path, folder: Path) -> None:
    with pytest.raises(UserError, match="no such folder, and not a hub id"):
        locate("nowhere")
    with pytest.raises(UserError, match="not a hub id"):
        locate("foo/bar baz")
    with pytest.raises(UserError, match=r"no weights .* and no config.json"):
        locate(str(tmp_path))
    shutil.copy(folder / "config.json", tmp_path)
    with pytest.raises(UserError, match=r"no weights .*model.pretrained=false"):
        locate(str(tmp_path))
    assert locate(str(tmp_path), weights=False) == tmp_path


# --- the hub ---------------------------------------------------------------------------------------------------------


def test_without_network_auto_takes_mini_and_visobert_says_what_to_do(monkeypatch) -> None:
    monkeypatch.setattr(hub, "cached", lambda *_: None)
    monkeypatch.setattr(hub, "_ask", lambda *_: None)
    name, why = choose()
    assert name == "mini" and "does not answer" in why
    with pytest.raises(UserError) as error:
        locate("uitnlp/visobert")
    assert all(words in str(error.value) for words in ("hf download", "HF_ENDPOINT", "model=mini"))


def test_auto_takes_visobert_when_it_is_cached_or_the_hub_answers(monkeypatch, folder: Path) -> None:
    monkeypatch.setattr(hub, "cached", lambda *_: folder)
    assert choose()[0] == "visobert"
    monkeypatch.setattr(hub, "cached", lambda *_: None)
    monkeypatch.setattr(hub, "_ask", lambda *_: b'{"model_type": "xlm-roberta"}')
    assert choose()[0] == "visobert"
    for page in (b"", b"<html>please log in</html>"):
        monkeypatch.setattr(hub, "_ask", lambda *_, page=page: page)
        assert choose()[0] == "mini" and "does not give" in choose()[1]


def test_an_endpoint_that_is_no_address_is_silence(monkeypatch) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "ENDPOINT", "hf-mirror.example")
    assert not hub_answers(0.5)


def test_a_hub_that_hangs_is_given_up_on_in_time(monkeypatch) -> None:
    import socket
    import time

    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    with socket.socket() as silent:  # accepts, never answers
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{silent.getsockname()[1]}")
        start = time.monotonic()
        assert not hub_answers(0.5)
        assert time.monotonic() - start < 2


@pytest.fixture
def hub_with_encoder(folder: Path, tmp_path: Path):
    """A model hub on this machine with a repository, tiny/encoder, that also has another framework's files."""
    with small_hub() as there:
        files = {file.name: file.read_bytes() for file in folder.iterdir()}
        there.put("tiny/encoder", {**files, "tf_model.h5": b"x", "onnx/model.onnx": b"x"})
        there.put("tiny/bundle", {"bundle.json": b"{}", "model.onnx": b"x"})
        yield there.url, there.served, tmp_path / "cache"


@pytest.mark.slow
def test_a_hub_id_is_downloaded_once_and_then_found_offline(hub_with_encoder) -> None:
    """In a process of its own: the hub client reads its settings when it is imported."""
    import os
    import subprocess
    import sys

    url, served, cache = hub_with_encoder
    code = (
        "from src.model.hub import cached, locate; from src.model.encoder import load_encoder\n"
        "assert cached('tiny/encoder') is None\n"
        "print(load_encoder('tiny/encoder', [], max_length=60).weights)\n"
        "assert cached('tiny/encoder') is not None\n"
        "for name in ('tiny/missing', 'tiny/bundle'):\n"
        "    try: locate(name)\n"
        "    except Exception as error: print(type(error).__name__, error)\n"
    )
    environment = os.environ | {
        "HF_ENDPOINT": url,
        "HF_HUB_CACHE": str(cache),
        "HF_HUB_OFFLINE": "0",
        "HF_HUB_DISABLE_XET": "1",
    }
    first = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert first.returncode == 0, first.stderr
    assert "pre-trained, from" in first.stdout
    assert "UserError model.encoder=tiny/missing: the hub would not give it" in first.stdout
    assert "no config.json with weights beside it; the bundle there was pushed without its encoder" in first.stdout
    assert sorted(served) == ["config.json", "model.safetensors", "tokenizer.json"]
    offline = (
        "from src.model.encoder import load_encoder; print(load_encoder('tiny/encoder', [], max_length=60).weights)"
    )
    environment |= {"HF_HUB_OFFLINE": "1"}
    second = subprocess.run([sys.executable, "-c", offline], env=environment, capture_output=True, text=True)
    assert second.returncode == 0, second.stderr
    assert len(served) == 3, "nothing is asked for twice"


def test_a_cache_without_weights_does_not_count(tmp_path: Path, monkeypatch) -> None:
    assert cached("nobody/nothing") is None
