"""The report: one HTML file that shows all of a run and loads nothing from elsewhere."""

import math
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from ..answers.figures import SENTIMENT, told_left_out
from ..answers.predictions import read_predictions
from ..errors import UserError
from ..labels import SENTIMENTS
from ..runs.machine import told_as, write_whole
from ..runs.run import Run
from ..runs.settings import known_settings
from ..spelling import command, from_here
from . import charts, page, words
from .evaluation import decide, evaluation, shown_split
from .html import json_block
from .languages import page_in_both, say, script_texts
from .mistakes import KINDS, Mistake, find_mistakes, taking_turns
from .places import without_places
from .relabel import suspect_cells, write_suspect_rows
from .robustness import InNoise, LogitsOf, answers_in_noise, noisy_reviews
from .suspects import rank_suspects
from .verdict import five_sentences
from .where import places_of

SUSPECTS_FILE = "suspected_label_errors.csv"
SHOWN_SUSPECTS = 100
TILES = {"absa": ("pair_f1", "aspect_f1_macro", "sentiment_f1"), "sentiment": SENTIMENT}
NOISE_SECONDS, SECONDS = 60.0, 95.0  # from the start: to answer the reviews in noise, and to colour the words of errors
LEAST_SECONDS, MOST_SECONDS = 10.0, 70.0  # seconds that colouring gets at least and at most
MOST_REVIEWS = 400  # reviews whose words are coloured, at most


def write_report(folder: str | Path, all_noise: bool = False) -> Path:
    """Write RUN/report.html and RUN/suspected_label_errors.csv; the report's path.

    ``all_noise``: the reviews are judged in every kind of noise, however long that takes; else in those that can be
    answered within a minute, and the report names the command for the others. A run without test split is reported on
    its validation split. Raises UserError where the folder is no finished run or has no labelled predictions.
    """
    started = time.monotonic()
    run = Run(folder)
    summary, labels = run.read_summary(), run.labels
    split = shown_split(summary)
    predictions = read_predictions(run.predictions(split), labels)
    decisions = decide(run, summary, labels)
    mistakes = find_mistakes(predictions, labels, decisions.calibration, decisions.thresholds.array)
    places = places_of(summary, split, predictions)
    shown = page.fitting(mistakes, predictions, places)
    answering, not_in_noise = _answering(run)
    noise_end, end = (math.inf, math.inf) if all_noise else (started + NOISE_SECONDS, started + SECONDS)
    with ThreadPoolExecutor(
        1
    ) as beside:  # while tf-idf is trained: first the reviews in noise, then the coloured words
        noise = noisy_reviews(predictions.texts) if answering else {}
        in_noise = InNoise(noise, beside.submit(answers_in_noise, noise, answering, noise_end)) if answering else None
        colouring = beside.submit(_weights, run, predictions.texts, shown, end)
        judged = evaluation(run, predictions, split, in_noise=in_noise)
        weights, notes = colouring.result()
    suspects = rank_suspects(predictions, labels, decisions.calibration)
    sure = {(s.review, s.aspect) for s in suspects if s.sure}
    cells = [
        suspect_cells(s, labels, places[s.review], predictions.ids[s.review], predictions.texts[s.review])
        for s in suspects
    ]
    cut = without_places(summary, str(run.folder.resolve()))
    public = cut(summary)  # the report is sent to others
    learned = page.learning(run.folder, summary, judged["task"])
    errors = page.error_data(shown, predictions, labels, places, weights, sure)
    context = {
        "run": run.folder.resolve().name,
        "summary": public,
        "e": judged | {"notes": cut(judged["notes"])},
        "split": say(words.SPLITS[split]),
        "data_file": Path(public["data"].get("splits", {}).get(split, {}).get("path", "")).name or split,
        "level": say("{percent} % interval", percent=f"{100 * judged['bootstrap']['level']:g}"),
        "known_sentiments": {*SENTIMENTS, "mentioned", "not mentioned"},
        "sentences": five_sentences(judged, public, mistakes, learned["best"] if learned else None),
        "words": words,
        "charts": charts,
        "told_left_out": told_left_out,
        "headline": page.headline(judged),
        "part_said": page.part_said,
        "worst": page.worst_said(judged),
        "not_in_noise": cut(not_in_noise),
        "every_noise": cut(command("absa", ["report", from_here(run.folder), "--robustness"], here=False)),
        "tiles": TILES[judged["task"]],
        "curves": page.curves(predictions, labels, judged),
        "confident_thresholds": decisions.calibration.threshold(decisions.thresholds.array).tolist(),
        "learning": learned,
        "findings": page.findings(public),
        "settings": cut(known_settings(summary)),
        "mistakes": mistakes,
        "sentiment_totals": np.sum(summary["class_counts"], axis=0).tolist(),
        "kinds": {kind: sum(m.kind == kind for m in mistakes) for kind in KINDS},
        "shown": len(shown),
        "notes": cut(notes),
        "suspects": [page.suspect(s, predictions, labels, places[s.review]) for s in suspects[:SHOWN_SUSPECTS]],
        "suspects_number": len(suspects),
        "suspects_sure": len(sure),
        "suspects_file": SUSPECTS_FILE,
        "sentiments": labels.sentiments,
        "data": json_block(errors | {"texts": script_texts()}),
    }
    path = run.folder / "report.html"
    with told_as(path, "give the command again"):
        write_suspect_rows(run.folder / SUSPECTS_FILE, cells)
        write_whole(path, page_in_both("report.html.j2", context, "report.js"))
    return path


def _answering(run: Run) -> tuple[LogitsOf | None, str | None]:
    """What the model answers to reviews in noise; or None, and why not, for the reader."""
    from .inference import answering_of  # imports torch

    try:
        return answering_of(run), None
    except UserError as error:
        return None, f"Not judged in noise: {error}"


def _weights(
    run: Run, texts: Sequence[str], mistakes: Sequence[Mistake], end: float
) -> tuple[dict[int, np.ndarray], list[str]]:
    """The weight of each word, float64 [words], by the mistake's position, and notes for the reader.

    The words are explained as the service explains them, every aspect and kind in turn, until ``end``.
    """
    import torch

    from .inference import load_run  # imports torch

    if not mistakes:
        return {}, []
    now = time.monotonic()
    end = min(now + MOST_SECONDS, max(now + LEAST_SECONDS, end))
    try:
        predictor = load_run(run.folder, max(1, torch.get_num_threads() - 1))  # leaves tf-idf a core
    except UserError as error:
        return {}, [f"No word is coloured: {error}"]
    drops: dict[int, np.ndarray] = {}  # [words, A] of a review
    weights = {}
    for i in taking_turns(mistakes):
        m = mistakes[i]
        if m.row not in drops:
            if time.monotonic() > end or len(drops) == MOST_REVIEWS:
                continue
            asked = predictor.explanation(texts[m.row].encode("utf-8", "replace").decode())
            drops[m.row] = asked.drops(*predictor.logits(asked.texts))
        weights[i] = drops[m.row][:, m.aspect]
    note = (
        f"Words are coloured in {len(weights):,} of these {len(mistakes):,} errors: "
        "in every aspect and kind the most confident ones."
    )
    return weights, [note]
