"""A run imports what it uses."""

import subprocess
import sys

from tests.conftest import ROOT

UNUSED = ["scipy.signal", "scipy.stats", "sklearn", "pandas", "pyarrow", "onnx", "onnxruntime", "onnxscript", "fastapi"]
SCRIPT = f"""
import sys
from src.lean import import_lightning
import_lightning()
import src.checks, src.encoder, src.judge.best, src.progress, src.runs, src.summary  # as train.py does
print([name for name in {UNUSED} if name in sys.modules])
import scipy.signal, torch, torchmetrics
print(scipy.signal.windows.hamming(3).round(2).tolist(), hasattr(scipy.signal, "__file__"))
metric = torchmetrics.MeanMetric()
metric.update(torch.tensor([1.0, 3.0]))
print(metric.compute().item())
"""
WANTED = """
import sys

from src import lean

class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == "lightning":
            from scipy.signal import windows
            import scipy.signal.windows
            print(windows.hamming(3).round(2).tolist())
sys.meta_path.insert(0, Finder())
lean.import_lightning()
import scipy.signal
print(hasattr(scipy.signal, "__file__"))
"""


def said(script: str) -> list[str]:
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_nothing_that_a_run_does_not_use_and_the_real_module_for_who_needs_it_later() -> None:
    assert said(SCRIPT) == ["[]", "[0.08, 1.0, 0.08] True", "2.0"]


def test_the_real_module_for_who_needs_it_meanwhile() -> None:
    assert said(WANTED) == ["[0.08, 1.0, 0.08]", "True"]
