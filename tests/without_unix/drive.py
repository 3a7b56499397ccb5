"""Several of the project's commands, one after another in this process: `drive.py COMMANDS.json RESULTS.json`.

Importing torch once is most of what the tests save by this. Each command is a list of words, the first being train,
search, pretrain, absa, or stopped (absa predict with a Ctrl-C after the second piece of its work).
"""

import json
import logging
import os
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

import pretrain
import search
import train
from src import cli
from src.lit_module import AspectSentimentModule
from src.ship import export
from src.ship.predict import batch
from src.ship.predict.progress import Meter

batch.SAVE = 0.0  # seconds: a journal after every piece
made: list[bytes] = []
to_onnx = export.to_onnx


def once(module: AspectSentimentModule, path: Path) -> None:
    """The graph of the first export for the second one, of the same run: making it takes ten seconds."""
    if made:
        path.write_bytes(made[0])
    else:
        to_onnx(module, path)
        made.append(path.read_bytes())


export.to_onnx = once


def stopped(*words: str) -> int:
    calls, show = [], Meter.show

    def interrupt(self: Meter, *given: int) -> None:
        calls.append(given)
        if len(calls) == 2:
            raise KeyboardInterrupt
        show(self, *given)

    Meter.show = interrupt
    try:
        return absa(*words)
    finally:
        Meter.show = show


def absa(*words: str) -> int:
    return status_of(lambda: cli.main(words))


def program(main: Callable[[], None], *words: str) -> int:
    sys.argv = [f"{main.__module__}.py", *words]
    handlers = logging.root.handlers[:]
    os.environ["HYDRA_MAIN_MODULE"] = "__main__"  # the configuration is found beside the program's file
    try:
        return status_of(main)
    finally:
        logging.root.handlers[:] = handlers


def status_of(function: Callable[[], None]) -> int:
    try:
        function()
    except SystemExit as end:
        return int(end.code or 0)
    return 0


def run(name: str, words: list[str]) -> int:
    programs = {"train": train.main, "search": search.main, "pretrain": pretrain.main}
    try:
        if name in programs:
            return program(programs[name], *words)
        return stopped(*words) if name == "stopped" else absa(*words)
    except Exception:
        traceback.print_exc()
        return 70


def main() -> None:
    commands, results = map(Path, sys.argv[1:])
    statuses = {}
    for key, (name, *words) in json.loads(commands.read_text(encoding="utf-8")).items():
        print(f"\n=== {key}", flush=True)
        print(f"\n=== {key}", file=sys.stderr, flush=True)
        statuses[key] = run(name, words)
        results.write_text(json.dumps(statuses), encoding="utf-8")


if __name__ == "__main__":
    main()
