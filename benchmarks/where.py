"""Where the time of a training step goes: torch's profiler, with its operators in five kinds."""

from collections.abc import Callable
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile

KINDS = {
    "matrix products": ("aten::mm", "aten::addmm", "aten::bmm", "aten::baddbmm", "aten::_addmm_activation"),
    "random numbers": ("aten::bernoulli_", "aten::random_"),
    "copies and casts": ("aten::copy_",),
    "optimizer, clipping": ("aten::_fused_adamw_", "aten::_foreach", "aten::linalg_vector_norm"),
}


def shares(work: Callable[[], Any]) -> dict[str, float]:
    """The share of each kind in the operators' own processor time while ``work`` runs. Raises SystemExit on a GPU."""
    if torch.cuda.is_available():
        raise SystemExit("--profile tells where a processor's time goes; on a GPU take torch's profiler or Nsight")
    with profile(activities=[ProfilerActivity.CPU]) as seen:
        work()
    events = seen.key_averages()
    total = sum(e.self_cpu_time_total for e in events)
    kinds = {k: sum(e.self_cpu_time_total for e in events if e.key.startswith(v)) / total for k, v in KINDS.items()}
    return kinds | {"element by element, and the rest": 1 - sum(kinds.values())}
