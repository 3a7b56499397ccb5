"""Packed batches: what is computed is what padded batches give, and no review sees another."""

from itertools import combinations

import numpy as np
import pytest
import torch
from torch.profiler import ProfilerActivity, profile
from torch.utils._pytree import tree_leaves

from src.errors import UserError
from src.model import attention
from src.model.attention import PLAIN, VARLEN
from src.model.classifier import AspectClassifier
from src.model.encoder import ROBERTA, compile_layers, from_config, set_attention_dropout
from src.tokens import packing
from src.tokens.batching import Batches, BatchPlan
from src.tokens.packing import STEP, TILE_COST, TILE_REVIEWS, TILE_WIDTH, pack, pad, tile_bounds, unpad
from src.training.checks import check_config
from tests.test_config import composed
from tests.tiny import CONFIG, tiny_module, tiny_split


def packed_batch(rows: np.ndarray, n: int = 41) -> dict:
    split = tiny_split(n)
    return Batches(split, BatchPlan(split.lengths), packed=True).batch(rows)


def outcome(module, batch: dict, packed: bool) -> tuple[dict, dict]:
    """Logits, and the gradient of a loss over all of them."""
    module.zero_grad()
    logits = module(batch["input_ids"], batch["attention_mask"], batch["packing"] if packed else None)
    sum(x.square().mean() for x in logits.values()).backward()
    return logits, {name: p.grad.clone() for name, p in module.named_parameters()}


def assert_alike(module, batch: dict) -> None:
    for a, b in zip(outcome(module, batch, False), outcome(module, batch, True), strict=True):
        assert a.keys() == b.keys()
        for name in a:
            torch.testing.assert_close(a[name], b[name], atol=1e-5, rtol=1e-5, msg=name)


# --- where the tokens stand ---


@pytest.mark.parametrize("width", [1, 3, 8, 70])
def test_every_token_is_packed_once(width) -> None:
    rng = np.random.default_rng(width)
    for reviews in range(1, 40):
        lengths = rng.integers(1, width + 1, reviews)
        p = pack(lengths, width)
        grid = np.arange(width) < lengths[:, None]
        cells = p.grid.cells
        n, tokens = len(cells), int(lengths.sum())
        assert len(set(cells.tolist())) == n and cells[:tokens].tolist() == np.flatnonzero(grid).tolist()
        assert not grid.ravel()[cells[tokens:]].any()
        assert n == grid.size or (n % STEP == 0 and tokens < n <= tokens + STEP)
        assert p.positions.tolist() == [*(i for k in lengths for i in range(1, k + 1)), *[0] * (n - tokens)]
        assert p.bounds.tolist() == [0, *np.cumsum(lengths), *([n] if n > tokens else [])]
        assert p.longest == np.diff(p.bounds).max() and p.bounds.dtype == torch.int32
        assert torch.equal(p.grid.masks[0].squeeze(1).squeeze(1) == 0, torch.from_numpy(grid))


def test_padding_and_packing_are_inverse_and_gradients_follow() -> None:
    p = pack(np.array([3, 1, 5]), 5).grid
    x = torch.randn(len(p.cells), 2, dtype=torch.float64, requires_grad=True)
    (grid,) = pad(x, p)
    assert grid.shape == (3, 5, 2) and torch.equal(unpad([grid], p), x)
    assert torch.equal(grid[2], x[4:9]) and torch.equal(grid[1, 0], x[3])
    weight = torch.randn(3, 5, 2, dtype=torch.float64) * (p.masks[0] == 0).view(3, 5, 1)  # none on padding
    (grid * weight).sum().backward()
    assert torch.equal(x.grad, weight.flatten(0, 1)[p.cells])


# --- tiles ---


@pytest.mark.parametrize("lengths", [[64] * 4 + [8] * 28, [250, 9, 200, 60, 61, 3, 9], [90] * 28 + [1], [64] * 8 + [7]])
def test_tiles_hold_the_reviews_in_order(lengths, monkeypatch) -> None:
    monkeypatch.setattr(packing, "TILE_COST", 50)
    lengths = np.array(lengths)
    p = pack(lengths, int(lengths.max()), tiled=True)
    masks, cells, tokens = p.tiles.masks, p.tiles.cells, lengths.sum()
    assert len(masks) == 2
    assert [n for mask in masks for n in (mask == 0).sum((1, 2, 3)).tolist()] == lengths.tolist()
    assert all(mask.size(0) % TILE_REVIEWS == 0 for mask in masks[:-1])
    assert all(mask.size(-1) % TILE_WIDTH == 0 for mask in masks)
    real = torch.cat([mask.flatten() for mask in masks]) == 0
    assert cells[:tokens].equal(torch.nonzero(real).flatten()) and not real[cells[tokens:]].any()
    assert p.tiles.back[cells[:tokens]].equal(torch.arange(tokens)) and (p.tiles.back[~real] >= tokens).all()
    x = torch.arange(len(cells))
    assert unpad(pad(x, p.tiles), p.tiles)[:tokens].equal(x[:tokens])


def tile_cost(lengths: np.ndarray, bounds: list[int]) -> int:
    """Of attention, in cells."""
    widths = [-(-int(lengths[a]) // TILE_WIDTH) * TILE_WIDTH for a in bounds[:-1]]
    tiles = zip(widths, np.diff(bounds).tolist(), strict=True)
    return sum(-(-n // TILE_REVIEWS) * TILE_REVIEWS * width**2 + TILE_COST for width, n in tiles)


@pytest.mark.parametrize("longest", [60, 120, 250])
def test_tiles_cost_little_more_than_the_least(longest) -> None:
    rng = np.random.default_rng(longest)
    for _ in range(30):
        lengths = -np.sort(-rng.integers(3, longest + 1, 32))
        cuts = (c for k in range(8) for c in combinations(range(4, 32, 4), k))  # every way to cut
        least = min(tile_cost(lengths, [0, *c, 32]) for c in cuts)
        assert tile_cost(lengths, tile_bounds(lengths)) <= 1.3 * least


def test_like_lengths_are_not_cut_nor_is_a_graphics_card_s_batch() -> None:
    assert tile_bounds(np.full(64, 200)) == [0, 64]
    assert tile_bounds(np.array([200] * 4 + [20] * 28)) == [0, 4, 32]
    mixed = np.array([250, 200, 150, 90, 60, 60, 60, 60, 9, 9])
    assert len(pack(mixed, 250, tiled=True).tiles.masks) == 2
    for alone in (pack(mixed, 250), pack(mixed[4:], 60, tiled=True)):
        assert alone.tiles is alone.grid and len(alone.grid.masks) == 1


# --- the same as padded ---


@pytest.mark.parametrize("pooling", ["cls", "mean", "label", "pooler"])
@pytest.mark.parametrize("kind", [PLAIN, VARLEN])
def test_packed_equals_padded(kind, pooling) -> None:
    module = tiny_module(pooling=pooling).eval()
    module.classifier.encoder.set_attn_implementation(kind)
    for rows in (np.arange(41), np.arange(3), np.array([7])):
        assert_alike(module, packed_batch(rows))


@pytest.mark.parametrize("pooling", ["cls", "label"])
def test_attention_in_tiles_equals_attention_in_one_grid(pooling, monkeypatch) -> None:
    monkeypatch.setattr(packing, "TILE_COST", 50)
    module = tiny_module(pooling=pooling).eval()
    module.classifier.encoder.set_attn_implementation(PLAIN)
    lengths = tiny_split(41).lengths
    for rows in (np.argsort(-lengths, kind="stable"), np.arange(41)):  # as batches are, and in disorder
        batch = packed_batch(rows)
        assert len(batch["packing"].tiles.shapes) > 1
        assert_alike(module, batch)


@pytest.mark.parametrize("kind", [PLAIN, VARLEN])
@pytest.mark.parametrize("family", ROBERTA)
def test_every_family_that_packs(family, kind) -> None:
    torch.manual_seed(0)
    encoder = from_config(CONFIG | {"model_type": family}, "cls")
    encoder.set_attn_implementation(kind)
    assert_alike(AspectClassifier(encoder, 3, detect=True, head_width=8).eval(), packed_batch(np.arange(20)))


def test_an_attention_that_knows_no_packing_is_found_out(monkeypatch) -> None:
    """The control: transformers' own kinds attend from one review to the next, silently."""
    module = tiny_module(pooling="mean").eval()
    module.classifier.encoder.set_attn_implementation("sdpa")
    batch = packed_batch(np.arange(5))
    with pytest.raises(ValueError, match="'sdpa' does not know packed rows"):
        assert_alike(module, batch)
    monkeypatch.setattr(attention, "PLAIN", "sdpa")
    packed = batch["packing"]
    batch["packing"] = packed._replace(grid=packed.grid._replace(masks=(None,)))
    with pytest.raises(AssertionError, match="sentiment"):
        assert_alike(module, batch)


@pytest.mark.parametrize("kind", [PLAIN, VARLEN])
def test_no_review_sees_another(kind) -> None:
    module = tiny_module(pooling="mean").eval()
    module.classifier.encoder.set_attn_implementation(kind)
    batch = packed_batch(np.arange(9))
    before = module(batch["input_ids"], batch["attention_mask"], batch["packing"])
    batch["input_ids"][4, 1] = 63 - batch["input_ids"][4, 1]
    after = module(batch["input_ids"], batch["attention_mask"], batch["packing"])
    others = [i for i in range(9) if i != 4]
    for head in before:
        assert torch.equal(before[head][others], after[head][others])
        assert not torch.equal(before[head][4], after[head][4])


def by_bounds(query, key, value, bounds, key_bounds, longest, key_longest, scale):
    """What torch's ``varlen_attn`` documents, written out: [N, heads, d], one review after the other."""
    assert torch.equal(bounds, key_bounds) and bounds.dtype == torch.int32
    assert longest == key_longest == int(bounds.diff().max())
    out = []
    for a, b in zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True):
        q, k, v = (x[a:b].transpose(0, 1) for x in (query, key, value))
        out.append((torch.softmax(q @ k.transpose(1, 2) * scale, -1) @ v).transpose(0, 1))
    return torch.cat(out)


def test_the_gpu_kernel_is_told_the_bounds_of_the_reviews(monkeypatch) -> None:
    monkeypatch.setattr(attention, "takes_packed", lambda query: True)
    monkeypatch.setattr(attention, "varlen_attn", by_bounds)
    module = tiny_module(pooling="mean").eval()
    module.classifier.encoder.set_attn_implementation(VARLEN)
    for rows in (np.arange(41), np.arange(3), np.array([7])):
        assert_alike(module, packed_batch(rows))


def test_the_gpu_kernel_exists_in_this_torch() -> None:
    import inspect

    assert list(inspect.signature(attention.varlen_attn).parameters)[:6] == [
        *("query", "key", "value", "cu_seq_q", "cu_seq_k", "max_q")
    ]
    assert not attention.takes_packed(torch.zeros(1, 2, 3, 4))  # a processor has none


# --- training ---


def test_dropout_is_on_in_packed_training() -> None:
    module = tiny_module(dropout=0.0).train()
    module.classifier.encoder.set_attn_implementation(PLAIN)
    for part in module.modules():  # of attention's weights, and no other
        if isinstance(part, torch.nn.Dropout):
            part.p = 0.0
    set_attention_dropout(module.classifier.encoder, 0.5)
    batch = packed_batch(np.arange(5))
    a, b = (module(batch["input_ids"], batch["attention_mask"], batch["packing"])["sentiment"] for _ in range(2))
    assert not torch.equal(a, b)


def test_a_step_never_asks_a_tensor_for_its_value() -> None:
    """On a GPU that would wait for everything before it."""
    module = tiny_module().train()
    module.classifier.encoder.set_attn_implementation(PLAIN)
    module.log = lambda *_, **__: None
    batch = packed_batch(np.arange(30))
    split = tiny_split(41)
    loader = Batches(split, BatchPlan(split.lengths), packed=True)

    def asked(work) -> int:
        with profile(activities=[ProfilerActivity.CPU]) as seen:
            work()
        return sum(e.count for e in seen.key_averages() if e.key in ("aten::_local_scalar_dense", "aten::nonzero"))

    def step() -> None:
        module.training_step(loader.batch(np.arange(30)), 0).backward()
        module.configure_gradient_clipping(None, 1.0, "norm")  # the fused optimizer asks on a processor alone

    assert asked(step) == 0
    assert asked(lambda: batch["mentioned"].sum().item()) == 1, "the control: this is how it would show"


def test_the_gpu_kernel_is_left_out_where_weights_are_to_be_dropped(monkeypatch) -> None:
    monkeypatch.setattr(attention, "takes_packed", lambda query: True)
    monkeypatch.setattr(attention, "varlen_attn", None)  # calling it would fail
    module = tiny_module().train()
    module.classifier.encoder.set_attn_implementation(VARLEN)
    batch = packed_batch(np.arange(5))
    module(batch["input_ids"], batch["attention_mask"], batch["packing"])
    set_attention_dropout(module.classifier.encoder, 0.0)
    with pytest.raises(TypeError, match="not callable"):
        module(batch["input_ids"], batch["attention_mask"], batch["packing"])


@pytest.mark.parametrize("packed", [True, False])
def test_every_tensor_is_made_where_the_batch_is_wanted(packed) -> None:
    split = tiny_split(20)
    batch = Batches(split, BatchPlan(split.lengths), "meta", packed).batch(np.arange(9))
    tensors = tree_leaves(batch)
    assert {x.device.type for x in tensors if isinstance(x, torch.Tensor)} == {"meta"}


# --- compiled ---


@pytest.mark.slow
@pytest.mark.parametrize("packed", [True, False])
def test_a_layer_in_training_is_one_graph(packed, monkeypatch) -> None:
    monkeypatch.setattr(packing, "TILE_COST", 50)
    module = tiny_module().train()
    module.classifier.encoder.set_attn_implementation(PLAIN)
    for layer in module.classifier.encoder.encoder.layer:
        layer.compile(dynamic=True, backend="eager", fullgraph=True)  # raises where the compiler has to give up
    for n in (41, 3, 20):
        outcome(module, packed_batch(np.arange(n)), packed)


def test_compiling_leaves_the_names_and_is_refused_without_a_compiler(monkeypatch, tmp_path) -> None:
    module = tiny_module()
    names = list(module.state_dict())
    compile_layers(module.classifier.encoder)
    assert list(module.state_dict()) == names
    layers = module.classifier.encoder.encoder.layer
    assert len(layers) == 2 and all(layer._compiled_call_impl is not None for layer in layers)
    monkeypatch.setattr("shutil.which", lambda name: None)
    with pytest.raises(UserError, match=r"model\.compile=true: torch compiles with a C\+\+ compiler"):
        check_config(composed(tmp_path, "model=mini", "model.compile=true", "trainer.accelerator=cpu"))


@pytest.mark.slow
@pytest.mark.parametrize("packed", [True, False])
def test_compiled_equals_eager(packed) -> None:
    module = tiny_module().eval()
    module.classifier.encoder.set_attn_implementation(PLAIN)
    batches = [packed_batch(np.arange(n)) for n in (41, 3, 20)]
    eager = [outcome(module, batch, packed) for batch in batches]
    compile_layers(module.classifier.encoder)
    for batch, (logits, gradients) in zip(batches, eager, strict=True):
        got_logits, got_gradients = outcome(module, batch, packed)
        torch.testing.assert_close(got_logits, logits, atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(got_gradients, gradients, atol=1e-5, rtol=1e-4)
