"""Evaluations and comparisons as tables for a terminal."""

from collections.abc import Sequence

from ..answers.figures import told_left_out
from ..spelling import cell, table
from .contracts import Comparison, Evaluation, Measured, Section

BESIDE = {  # figures of the leaderboard after the one that ranks, so that a row fits a terminal
    "absa": ("aspect_f1_macro", "sentiment_f1"),
    "sentiment": ("sentiment_f1_per_aspect", "sentiment_accuracy"),
}
HEAD_WORDS = {"mentioned": "mention", "sentiment": "sentiment"}


def evaluation_text(evaluation: Evaluation, protocol: str | None = None) -> str:
    """All tables of an evaluation (its layout: :mod:`src.judge.contracts`), with ``protocol`` if it is given."""
    e = evaluation
    mixed = e["mixed"]["reviews"]
    parts = [
        f"{e['run']}, {e['split']}: {e['reviews']:,} reviews{_silent(e)}, {e['pairs']:,} pairs; task {e['task']}",
        _section(e, e["all"], "All reviews"),
    ]
    if mixed:
        parts.append(
            _section(e, e["mixed"], f"The {mixed:,} reviews that mix sentiments ({100 * mixed / e['reviews']:.1f} %)")
        )
    if protocol is not None:
        parts.append(_protocol(e, protocol))
    parts += [_aspects(e), _confusions(e), _calibration(e)]
    notes = list(e["notes"])
    return "\n\n".join([*parts, *notes])


def _silent(e: Evaluation) -> str:
    return f" ({e['silent']:,} mention no aspect)" if e["silent"] else ""


def between(interval: Sequence[float]) -> str:
    """An interval as ``0.720 to 0.747``."""
    return f"{interval[0]:.3f} to {interval[1]:.3f}"


def _section(e: Evaluation, section: Section, title: str) -> str:
    return f"{title}\n{_figures(e, section)}"


def _figures(e: Evaluation, judged: Measured) -> str:
    first, *others = e["answers"]
    level = f"{100 * e['bootstrap']['level']:g} % interval"
    rows = [["", first, level, *others]]
    for figure, value in judged["figures"][first].items():
        beside = [cell(judged["figures"][name][figure], 4) for name in others]
        rows.append([figure, cell(value, 4), between(judged["intervals"][figure]), *beside])
    return "\n".join([table(rows), *told_left_out(judged["left_out"])])


def _protocol(e: Evaluation, name: str) -> str:
    judged = e["protocols"].get(name)
    if judged is None:
        return f"{name}: not for task {e['task']}"
    published = [f"{figure} {value:.4f}" for figure, value in judged["published"].items()]
    beside = f"\nPublished ({judged['source']}): {', '.join(published)}" if published else ""
    return f"{name}: {judged['words']}\n{_figures(e, judged)}{beside}"


def _aspects(e: Evaluation) -> str:
    columns = {"aspect": "aspect", "mentioned": "gold"}
    if e["task"] == "absa":
        columns |= {"predicted": "said", "threshold": "threshold", "precision": "precision", "recall": "recall"}
        columns |= {"f1": "F1", "pair_f1": "pair F1"}
    columns |= {"sentiment_accuracy": "sent. acc.", "sentiment_f1": "sent. F1"}
    rivals = [name for name in e["per_aspect"] if not name.startswith("model")]
    key = "f1" if e["task"] == "absa" else "sentiment_f1"
    rows = [[*columns.values(), *(f"{'F1' if key == 'f1' else 'sent. F1'} {name}" for name in rivals)]]
    for a, row in enumerate(e["per_aspect"]["model"]):
        cells = [row[k] if k == "aspect" else cell(row[k]) for k in columns]
        rows.append([*cells, *(cell(e["per_aspect"][name][a][key]) for name in rivals)])
    return f"Per aspect\n{table(rows)}"


def _confusions(e: Evaluation) -> str:
    short = abbreviated(e["sentiments"])
    rows = [["aspect", *(f"{gold}>{said}" for gold in short for said in short)]]
    for name, confusion in [
        *((row["aspect"], row["confusion"]) for row in e["per_aspect"]["model"]),
        ("all", e["confusion"]),
    ]:
        if name not in e["without_sentiment"]:
            rows.append([name, *(f"{n:,}" for line in confusion for n in line)])
    return f"Sentiments, gold > said, aspects given\n{table(rows)}"


def abbreviated(names: Sequence[str]) -> list[str]:
    """The first letters of each name: as few as tell them apart, three at least."""
    length = next((n for n in range(3, 41) if len({name[:n] for name in names}) == len(names)), 41)
    return [name[:length] for name in names]


def _calibration(e: Evaluation) -> str:
    calibration = e["calibration"]
    rows = [["head", "temperature", "ECE before", "after", "Brier before", "after"]]
    for head, after in calibration["after"].items():
        before = calibration["before"][head]
        pairs = [cell(x, 4) for key in ("ece", "brier") for x in (before[key], after[key])]
        temperature = calibration["temperatures"]["mentioned" if head == "mentioned" else "sentiment"]
        rows.append([HEAD_WORDS[head], cell(temperature), *pairs])
    return f"Calibration, temperatures fitted on validation\n{table(rows)}"


def comparison_text(comparison: Comparison, by: str | None, changes: Sequence[tuple[str, Sequence[str]]] = ()) -> str:
    """The leaderboard of a comparison (its layout: :mod:`src.judge.contracts`), what differs, and changed reviews."""
    c = comparison
    others = BESIDE[c["task"]]
    pooled = any(len(row["runs"]) > 1 for row in c["rows"])
    head = ["", "run", *(["runs"] if pooled else []), c["figure"], *(["sd"] if pooled else [])]
    rows = [[*head, "minus best", "95 % interval", "p", "lost", "gained", *others]]
    for place, row in enumerate(c["rows"], 1):
        cells = [str(place), row["name"]]
        cells += [str(len(row["runs"]))] * pooled + [cell(row["figures"][c["figure"]], 4)]
        cells += [cell(row["sd"][c["figure"]], 4)] * pooled
        if row["difference"] is None or row["changes"] is None:
            cells += [""] * 5
        else:
            d = row["difference"][c["figure"]]
            cells += [f"{d['value']:+.4f}", f"{d['low']:+.3f} to {d['high']:+.3f}", f"{d['p']:.3f}"]
            cells += [f"{len(rows_of):,}" for rows_of in (row["changes"]["lost"], row["changes"]["gained"])]
        rows.append(cells + [cell(row["figures"][name], 4) for name in others])
    of = f", mean over {by}" if by else ""
    parts = [
        f"{len(c['folders'])} runs on {c['reviews']:,} test reviews, best {c['figure']} first{of}\n{table(rows, 2)}"
    ]
    if keys := list(c["rows"][0]["settings"]):
        lines = [[str(place), *(str(row["settings"][key]) for key in keys)] for place, row in enumerate(c["rows"], 1)]
        parts.append(f"What differs in their configurations\n{table([['', *keys], *lines], len(keys) + 1)}")
    elif len(c["rows"]) > 1:
        parts.append("Their configurations do not differ.")
    if len(c["rows"]) > 1:
        parts.append(
            "p: two-sided, paired bootstrap over reviews, not corrected for the number of rows.\n"
            "lost, gained: reviews that the best row has wholly right and this one not, and the other way round."
        )
    parts += ["\n".join([title, *lines]) for title, lines in changes]
    return "\n\n".join([*parts, *c["notes"]])
