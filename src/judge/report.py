"""The report: one HTML file that shows all of a run, without anything from outside it."""

import base64
import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from src.errors import UserError
from src.judge import charts, words
from src.judge.curves import average_precision, learning_curves, precision_recall, thinned
from src.judge.evaluation import AT_HALF, MODEL, decide, evaluation
from src.judge.mistakes import KINDS, Mistake, find_mistakes, ranked_suspects, write_suspects
from src.judge.settings import known_settings
from src.judge.writing import printable, write_whole
from src.findings import TOLD
from src.labels import SENTIMENTS, Labels
from src.predictions import Predictions, read_predictions, sigmoid
from src.runs import Run

TEMPLATES = Path(__file__).with_name("templates")
SUSPECTS_FILE = "suspected_label_errors.csv"
SECONDS = 95.0  # for everything but the page itself; the attributions get what the rest leaves of it
LEAST, MOST = 10.0, 70.0  # seconds for the attributions
SHOWN_BYTES = 1_000_000  # of mistakes with their texts: half of what a page may weigh
SHOWN_LETTERS = 2000  # of a review
SHOWN_SUSPECTS = 100


def write_report(folder: str | Path) -> Path:
    """Write RUN/report.html and RUN/suspected_label_errors.csv; the report's path.

    A run without test split is reported on its validation split. Raises UserError where the folder is no finished run
    or has no labelled predictions.
    """
    started = time.monotonic()
    run = Run(folder)
    summary, labels = run.read_summary(), run.labels
    split = "test" if "test" in summary["figures"] else "val"
    predictions = read_predictions(run.predictions(split), labels)
    judged = evaluation(run, predictions, split)
    decisions = decide(run, summary, labels)
    mistakes = find_mistakes(predictions, labels, decisions.calibration, decisions.thresholds.array)
    write_suspects(run.folder / SUSPECTS_FILE, mistakes, predictions, labels)
    shown = _fitting(mistakes, predictions)
    seconds = min(MOST, max(LEAST, SECONDS - (time.monotonic() - started)))
    attributions, told = _attributions(run, summary, predictions, shown, seconds)
    context = {
        "run": run.folder.resolve().name,
        "summary": summary,
        "e": judged,
        "split": words.SPLITS[split],
        "words": words,
        "charts": charts,
        "headline": _headline(judged),
        "tiles": list(judged["all"]["figures"][MODEL])[:6:2] if judged["task"] == "absa" else list(judged["all"]["figures"][MODEL])[:3],
        "curves": _curves(predictions, labels, judged),
        "calibrated_thresholds": decisions.calibration.threshold(decisions.thresholds.array),
        "learning": _learning(run.folder, summary, judged["task"]),
        "findings": _findings(summary),
        "settings": known_settings(summary),
        "mistakes": mistakes,
        "kinds": {kind: sum(m.kind == kind for m in mistakes) for kind in KINDS},
        "left_out": len(mistakes) - len(shown),
        "attribution_note": told,
        "suspects": [_suspect(m, predictions, labels) for m in ranked_suspects(mistakes)[:SHOWN_SUSPECTS]],
        "suspects_number": sum(m.suspect for m in mistakes),
        "suspects_file": SUSPECTS_FILE,
        "sentiments": SENTIMENTS,
        "data": json_block(_error_data(shown, predictions, labels, attributions)),
    }
    path = run.folder / "report.html"
    write_whole(path, render("report.html.j2", context))
    return path


def render(name: str, context: Mapping[str, Any]) -> str:
    """A template filled in, everything escaped, with the style and script that its policy allows by their hashes."""
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"printable": printable}
    style, script = ((TEMPLATES / f"report.{kind}").read_text(encoding="utf-8") for kind in ("css", "js"))
    trusted = {"style": Markup(style), "script": Markup(script)}  # noqa: S704 - the project's own files
    hashes = {f"{name}_hash": _hash(text) for name, text in trusted.items()}
    return environment.get_template(name).render(context | trusted | hashes)


def json_block(data: Any) -> Markup:
    """JSON that can stand in a ``script`` element: no text in it can end the element or begin another."""
    text = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    for letter in "<>&\u2028\u2029":
        text = text.replace(letter, f"\\u{ord(letter):04x}")
    return Markup(text)  # noqa: S704 - escaped above, for where it stands


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
