"""FAIL="WHEN RANK" python tests/failing.py WORDS...: train.py, but process RANK fails: in a step, or at the start."""

import os
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
when, rank = os.environ["FAIL"].split()  # not words: Lightning starts the others with the same words

if os.environ.get("RANK", os.environ.get("LOCAL_RANK", "0")) == rank:
    from src.errors import UserError
    from src.lit_module import AspectSentimentModule

    step = AspectSentimentModule.training_step

    def fail_in_a_step(self, batch, batch_idx):
        if batch_idx == 3:
            print(f"at {time.time()}", file=sys.stderr)
            raise RuntimeError("this step fails")
        return step(self, batch, batch_idx)

    def fail_at_the_start(*_, **__):
        print(f"at {time.time()}", file=sys.stderr)
        raise UserError("this start fails")

    if when == "step":
        AspectSentimentModule.training_step = fail_in_a_step
    else:
        import src.training.checks

        src.training.checks.check_config = fail_at_the_start

script = ROOT / "train.py"
exec(compile(script.read_text(encoding="utf-8"), script, "exec"), {"__name__": "__main__", "__file__": str(script)})
