"""The short form of `make torture`: each kind of fault once or twice, done to the real script, each with its control."""

import json
import subprocess
import sys

import pytest

from tests.conftest import ROOT


def torture(tmp_path, *words: str) -> dict:
    command = [sys.executable, "benchmarks/torture.py", "--short", "--json", str(tmp_path / "torture.json"), *words]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads((tmp_path / "torture.json").read_text())


def test_killed_within_a_save_or_full_in_one_a_run_ends_as_if_nothing_had_been(tmp_path) -> None:
    results = torture(tmp_path, "--only", "full_disk")["results"]
    assert all(r["ok"] and r["control_did_harm"] and r["held"] == r["tried"] > 0 for r in results) and results


@pytest.mark.slow
def test_every_kind_of_fault_is_survived_and_every_control_does_harm(tmp_path) -> None:
    results = torture(tmp_path)["results"]
    assert len(results) == 10
    assert all(r["ok"] and r["control_did_harm"] and r["held"] == r["tried"] > 0 for r in results)
