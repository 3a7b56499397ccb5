#!/usr/bin/env python3
"""Speed of this machine's matrix products in float32 and bfloat16: the best of several, GFLOP/s, as one JSON object."""

import json
import time

import torch

SHAPE = (1536, 768, 3072)  # m, k, n of a step of 32 reviews through ViSoBERT's widest layer


def rate(dtype: torch.dtype, budget: float = 3.0) -> float:
    """GFLOP/s of the fastest product within ``budget`` seconds."""
    m, k, n = SHAPE
    a, b = torch.randn(m, k).to(dtype), torch.randn(k, n).to(dtype)
    best, end = float("inf"), time.perf_counter() + budget
    while time.perf_counter() < end:
        began = time.perf_counter()
        a @ b
        best = min(best, time.perf_counter() - began)
    return 2 * m * k * n / best / 1e9


if __name__ == "__main__":
    print(
        json.dumps(
            {"float32": rate(torch.float32), "bfloat16": rate(torch.bfloat16), "threads": torch.get_num_threads()}
        )
    )
