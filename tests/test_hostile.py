"""Folders from elsewhere: encoders, runs and bundles that claim too much are refused before they take memory."""

import json
import os
import shutil
import struct
import time
from pathlib import Path

import pytest
import torch

from src.errors import UserError
from src.judge.inference import load_best, load_run
from src.model.encoder import from_config, load_encoder
from src.model.sizes import bytes_of
from src.runs.run import Run
from src.ship.bundle import CARD, INFO, ONNX, TOKENIZER, read_whole
from src.ship.export import export_run
from src.ship.onnx_file import check_one_file
from src.tokens.tokenizer import PROBES, train_tokenizer
from src.training.checkpoint import AtomicCheckpointIO, amend_checkpoint
from tests.test_ship_bundle import CONTENT, fill
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


def onnx_bytes(**heads: int) -> bytes:
    """A model that gives zeros: a head for each name, with so many numbers a text (of the shape [B, number])."""
    import onnx
    from onnx import TensorProto, helper

    ids = [helper.make_tensor_value_info(n, TensorProto.INT64, ["B", "T"]) for n in ("input_ids", "attention_mask")]
    nodes, outputs, weights = [], [], []
    for name, size in heads.items():
        weights.append(helper.make_tensor(f"w_{name}", TensorProto.FLOAT, [1, size], [0.0] * size))
        nodes.append(helper.make_node("Identity", [f"w_{name}"], [name]))
        outputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, ["B", size]))
    graph = helper.make_graph(nodes, "g", ids, outputs, weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    return model.SerializeToString()


def field(number: int, content: bytes | int, long: bool = False) -> bytes:
    """A field of a protobuf message; ``long``: with a byte more in its numbers than they need."""

    def varint(value: int) -> bytes:
        out = b""
        while value > 127:
            out, value = out + bytes([value & 127 | 128]), value >> 7
        return out + (bytes([value | 128, 0]) if long else bytes([value]))

    if isinstance(content, int):
        return varint(number << 3) + varint(content)
    return varint(number << 3 | 2) + varint(len(content)) + content


EXTERNAL = field(1, 1) + field(2, 1) + field(8, b"w") + field(13, field(1, b"location") + field(2, b"secret"))


@pytest.mark.parametrize("long", [False, True])
@pytest.mark.parametrize(
    "wrap",
    [
        lambda t, f: f(7, f(5, t)),  # graph.initializer
        lambda t, f: f(7, f(15, f(1, t))),  # a sparse one's values
        lambda t, f: f(7, f(15, f(2, t))),  # its indices
        lambda t, f: f(7, f(1, f(5, f(5, t)))),  # a node's attribute
        lambda t, f: f(7, f(1, f(5, f(10, t)))),
        lambda t, f: f(7, f(1, f(5, f(22, f(1, t))))),
        lambda t, f: f(7, f(1, f(5, f(6, f(5, t))))),  # a graph within an attribute
        lambda t, f: f(7, f(1, f(5, f(11, f(5, t))))),
        lambda t, f: f(25, f(7, f(5, f(5, t)))),  # a function's node
        lambda t, f: f(20, f(1, f(5, t))),  # of training
    ],
)
def test_weights_in_other_files_are_found_wherever_they_stand(wrap, long) -> None:
    def told(number: int, content: bytes) -> bytes:
        return field(number, content, long)

    for tensor in (EXTERNAL, field(14, 1, long), field(13, field(1, b"location", True), long)):
        with pytest.raises(UserError, match="keeps weights in other files"):
            check_one_file(wrap(tensor, told))


def test_external_data_are_no_matter_of_their_spelling(tmp_path) -> None:
    """The same fields as onnx's own reader finds, and a whole model passes."""
    import onnx

    for content in (field(7, field(5, EXTERNAL)), field(7, field(5, EXTERNAL, True), True)):
        assert onnx.ModelProto.FromString(content).graph.initializer[0].external_data[0].value == "secret"
    check_one_file(onnx_bytes(sentiment=9, mentioned=3))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"\0\0\0\0ORTM" + bytes(100), "onnxruntime's own format"),
        (b"\x3a\xff\xff\xff\xff\x0f", "a field is longer"),
        (b"\x80" * 20, "does not end"),
        (b"\x3b", "cannot be told apart"),
        (b"\x3a", "does not end"),
    ],
)
def test_files_that_are_no_onnx(content, said) -> None:
    with pytest.raises(UserError, match=said):
        check_one_file(content)


def test_graphs_within_graphs_end() -> None:
    content = b""
    for _ in range(100):
        content = field(1, field(5, field(6, content)))
    with pytest.raises(UserError, match="deep"):
        check_one_file(field(7, content))


@pytest.mark.parametrize(
    ("heads", "said"),
    [
        ({"logits": 9}, "takes input_ids, attention_mask and gives logits; a model of task absa"),
        ({"sentiment": 9}, "and gives sentiment; a model"),
        ({"sentiment": 9, "mentioned": 5}, r"is float32 \(1, "),
    ],
)
def test_a_model_with_other_outputs_is_refused_in_words(heads, said) -> None:
    from src.ship.predictor import over_onnx

    tokenizer = train_tokenizer(PROBES, 400, 256)
    with pytest.raises(UserError, match=said):
        over_onnx(CONTENT, tokenizer, onnx_bytes(**heads), 1)


# --- sizes in settings -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "config",
    [
        {"model_type": "gpt2", "n_layer": 10**7},
        {"model_type": "swin", "depths": [10**7]},
        {"model_type": "swin", "depths": [[10**9 + 1]]},
        {"model_type": "funnel", "block_sizes": [10**7]},
        {"model_type": "bert", "num_hidden_layers": 999, "nested": {"deeper": [10**12]}},
        {"model_type": "xlm-roberta", "vocab_size": 64, "num_hidden_layers": 10**4},
    ],
)
def test_sizes_are_bounded_wherever_they_stand(tmp_path, encoder, config) -> None:
    began = time.process_time()
    with pytest.raises(UserError, match="describes no model"):
        load_best(saved(tmp_path, encoder_config=config))
    (encoder / "config.json").write_text(json.dumps({"vocab_size": 600} | config))
    for pretrained in (True, False):
        with pytest.raises(UserError, match=r"config\.json"):
            load_encoder(str(encoder), [], pretrained=pretrained)
    assert time.process_time() - began < 20


def test_a_setting_with_any_name_repeats_no_part_for_ever(monkeypatch) -> None:
    monkeypatch.setattr("src.model.sizes.PARTS", 200)
    built = []

    def build() -> torch.nn.Module:
        for _ in range(10**6):
            built.append(torch.nn.Linear(2, 2))
        return torch.nn.ModuleList(built)

    with pytest.raises(ValueError, match="more than 200 parts"):
        bytes_of({"unheard_of": 10**6}, build)
    assert len(built) <= 100


def test_a_checkpoint_without_a_tokenizer_is_refused_in_words(trained, tmp_path) -> None:
    run = Run(tmp_path / "run")
    shutil.copytree(trained[0], run.folder)
    amend_checkpoint(run.best, {"tokenizer": None})
    for work in (lambda: load_run(run.folder), lambda: export_run(run.folder, tmp_path / "bundle")):
        with pytest.raises(UserError, match=r"best\.ckpt: carries no tokenizer"):
            work()
