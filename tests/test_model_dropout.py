"""Dropout: the share, the scale, the gradient, the generator."""

import pytest
import torch
from torch import nn

from src.model.dropout import Dropout, dropout, replace_dropout
from tests.tiny import tiny_module


@pytest.mark.parametrize("p", [0.1, 0.3, 0.5, 0.9])
def test_share_and_mean(p) -> None:
    torch.manual_seed(0)
    out = dropout(torch.ones(1_000_003), p, training=True)  # not a multiple of four
    assert (out == 0).double().mean().item() == pytest.approx(p, abs=0.002)
    assert out.double().mean().item() == pytest.approx(1.0, abs=0.01)
    assert out[out != 0].unique().tolist() == pytest.approx([1 / (1 - p)], rel=1e-4)


def test_elements_are_independent() -> None:
    """Neighbours share a draw of the generator; they must not share their fate, in any distance or period of four."""
    torch.manual_seed(0)
    kept = (dropout(torch.ones(400_000), 0.5, training=True) != 0).double() - 0.5
    for distance in range(1, 9):
        assert abs((kept[:-distance] * kept[distance:]).mean().item()) < 0.0025  # 6 deviations
    for lane in range(4):
        assert abs(kept[lane::4].mean().item()) < 0.005


def test_gradient_is_the_mask() -> None:
    torch.manual_seed(0)
    x = torch.randn(7, 5, 3, requires_grad=True)
    out = dropout(x, 0.4, training=True)
    out.sum().backward()
    torch.testing.assert_close(x.grad * x, out)
    assert 0 < (x.grad == 0).sum() < x.numel()


def test_the_generator_decides() -> None:
    x = torch.ones(1000)
    draws = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        draws.append(dropout(x, 0.5, training=True))
    assert torch.equal(draws[0], draws[1]) and not torch.equal(draws[0], draws[2])


@pytest.mark.parametrize(("p", "training"), [(0.5, False), (0.0, True), (1.0, True)])
def test_edges_are_as_in_torch(p, training) -> None:
    x = torch.randn(10)
    assert torch.equal(dropout(x, p, training), nn.functional.dropout(x, p, training))


def test_types_and_strides() -> None:
    x = torch.randn(6, 4).t()
    out = dropout(x, 0.5, training=True)
    assert out.shape == x.shape and ((out == 0) | torch.isclose(out, 2 * x)).all()
    assert dropout(x.bfloat16(), 0.5, training=True).dtype == torch.bfloat16
    assert dropout(torch.empty(0, 3), 0.5, training=True).shape == (0, 3)


def test_every_dropout_of_a_model_is_replaced() -> None:
    module = tiny_module()
    kinds = {type(m) for m in module.modules() if isinstance(m, nn.Dropout)}
    assert kinds == {Dropout}
    layer = nn.Sequential(nn.Dropout(0.25)).eval()
    replace_dropout(layer)
    assert layer[0].p == 0.25 and not layer[0].training
