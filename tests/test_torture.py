"""The short form of `make torture`: faults done to the real script, each with the control that shows it does harm."""

import json
import subprocess
import sys

import pytest

from benchmarks.torture import Trainings, full_disk, outcome
from tests.conftest import ROOT


@pytest.mark.slow
def test_full_within_a_save_a_run_ends_as_if_nothing_had_been(tmp_path) -> None:
    trainings = Trainings(tmp_path)
    assert trainings.run(run=tmp_path / "reference").status == 0
    for result in full_disk(trainings, outcome(tmp_path / "reference"), short=True, seconds=0):
        assert result.ok and result.held == result.tried == 3, result


@pytest.mark.slow
def test_every_kind_of_fault_is_survived_and_every_control_does_harm(tmp_path) -> None:
    command = [sys.executable, "benchmarks/torture.py", "--short", "--json", str(tmp_path / "torture.json")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    results = json.loads((tmp_path / "torture.json").read_text())["results"]
    assert len(results) == 10
    assert all(r["ok"] and r["control_did_harm"] and r["held"] == r["tried"] > 0 for r in results)
