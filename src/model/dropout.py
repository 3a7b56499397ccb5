"""Dropout that draws its random numbers four at a time on a processor.

On a processor torch draws one number for each element, on one thread: a sixth of a small encoder's step in bfloat16.
Here one 64-bit draw holds four 16-bit numbers, which decide four elements; the rate is exact to 1 / 65,536.
"""

import torch
from torch import Tensor, nn

LEVELS = 2**16  # values of a 16-bit number


def dropout(x: Tensor, p: float, training: bool) -> Tensor:
    """As :func:`torch.nn.functional.dropout`, from the same generator, but dropping other elements.

    Float [...] -> the same shape and dtype.
    """
    dropped = round(p * LEVELS)  # of every 65,536 elements
    # torch.compile cannot trace these draws, and the dropout that it makes runs in parallel already
    if not training or dropped == 0 or x.device.type != "cpu" or dropped >= LEVELS or torch.compiler.is_compiling():
        return nn.functional.dropout(x, p, training)
    draws = torch.empty(-(-x.numel() // 4), dtype=torch.int64).random_(-(2**63), None).view(torch.int16)
    kept = torch.empty_like(x)  # compare straight into x's dtype: a boolean mask in between takes twice the time
    torch.ge(draws[: x.numel()].view(x.shape), dropped - LEVELS // 2, out=kept)
    return x * kept.mul_(LEVELS / (LEVELS - dropped))


class Dropout(nn.Dropout):
    """:class:`torch.nn.Dropout` over :func:`dropout`."""

    def forward(self, input: Tensor) -> Tensor:
        return dropout(input, self.p, self.training)


def replace_dropout(module: nn.Module) -> None:
    """Put :class:`Dropout` in place of every ``nn.Dropout`` within ``module``."""
    for parent in module.modules():
        for name, child in parent.named_children():
            if type(child) is nn.Dropout:
                setattr(parent, name, Dropout(child.p).train(child.training))
