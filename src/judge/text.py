"""Evaluations and comparisons as tables for a terminal."""

from collections.abc import Sequence

from ..answers.figures import told_left_out
from ..spelling import cell, table, visible
from .contracts import Compared, Comparison, Evaluation, Measured, Robustness, Section
from .leaks import leak_sentence
from .slices import LEAST_REVIEWS

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
        leak_line(e["trained_on"], e["reviews"]),
        _section(e, e["all"], "All reviews"),
    ]
    if e["trained_on"] and e["unseen"]["reviews"]:
        parts.append(_section(e, e["unseen"], f"The {e['unseen']['reviews']:,} reviews that were not trained on"))
    if mixed:
        parts.append(
            _section(e, e["mixed"], f"The {mixed:,} reviews that mix sentiments ({100 * mixed / e['reviews']:.1f} %)")
        )
    if protocol is not None:
        parts.append(_protocol(e, protocol))
    if e["robustness"] is not None:
        parts.append(_robustness(e, e["robustness"]))
    parts += [_slices(e), _aspects(e), _confusions(e), _calibration(e)]
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


def _robustness(e: Evaluation, r: Robustness) -> str:
    figure, others = r["figure"], BESIDE[e["task"]]
    measured, rival = e["all"], e["all"]["figures"].get("tf-idf")
    clean, level = measured["figures"]["model"], f"{100 * e['bootstrap']['level']:g} % interval"
    rows = [["", "changed", figure, level, "minus clean", level, *(["tf-idf"] if rival else []), *others]]
    cells = [cell(clean[figure], 4), between(measured["intervals"][figure]), "", ""]
    beside = [cell(rival[figure], 4)] if rival else []
    rows.append(["as they are", "", *cells, *beside, *(cell(clean[name], 4) for name in others)])
    for kind in r["kinds"]:
        low, high = kind["difference_interval"]
        cells = [cell(kind["figures"][figure], 4), between(kind["intervals"][figure])]
        cells += [f"{kind['difference']:+.4f}", f"{low:+.3f} to {high:+.3f}"]
        beside = [cell(kind["tfidf"], 4)] if rival else []
        last = [cell(kind["figures"][name], 4) for name in others]
        rows.append([kind["kind"], f"{kind['changed']:,}", *cells, *beside, *last])
    told = [f"Not judged, for want of time: {', '.join(r['skipped'])}"] if r["skipped"] else []
    return "\n".join(["Robustness: the same reviews in noise, thresholds as above", table(rows), *told])


def _slices(e: Evaluation) -> str:
    figure, *_ = e["all"]["figures"]["model"]
    others, rival = BESIDE[e["task"]], "tf-idf" in e["answers"]
    level = f"{100 * e['bootstrap']['level']:g} % interval"
    rows = [["", "reviews", figure, level, *(["tf-idf"] if rival else []), *others]]
    for part in e["slices"]:
        interval = part["intervals"].get(figure)
        cells = [cell(part["figures"][figure], 4), between(interval) if interval else "-"]
        cells += [cell(part["tfidf"], 4)] if rival else []
        rows.append([part["name"], f"{part['reviews']:,}", *cells, *(cell(part["figures"][o], 4) for o in others)])
    worst = worst_sentence(e)
    return "\n".join(["By parts of the reviews", table(rows), *([worst] if worst else [])])


def worst_sentence(e: Evaluation) -> str | None:
    """Which part of the reviews the model does worst on; None where fewer than two are large enough to tell."""
    part, (figure, *_) = e["worst"], e["all"]["figures"]["model"]
    if part is None:
        return None
    return (
        f'Worst on the part "{part["name"]}": {figure} {part["figures"][figure]:.3f} '
        f"({between(part['intervals'][figure])}, {part['reviews']:,} reviews); "
        f"parts below {LEAST_REVIEWS} do not count."
    )


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
    """The leaderboard of a comparison (its layout: :mod:`src.judge.contracts`), what its rows are, changed reviews."""
    c, figure = comparison, comparison["figure"]
    others, many = BESIDE[c["task"]], len(c["rows"]) > 1
    pooled = any(len(row["runs"]) > 1 for row in c["rows"])
    leaks = any(row["unseen"] for row in c["rows"])
    head = ["", "", *(["runs"] if pooled else []), f"val {figure}", f"test {figure}", *(["sd"] if pooled else [])]
    head += ["test, not trained on"] * leaks
    rows = [[*head, "minus first", "95 % interval", "p", "lost", "gained", *others]]
    apart = _apart([row["name"] for row in c["rows"]])
    for place, row in enumerate(c["rows"], 1):
        cells = [str(place), apart[place - 1], *([str(len(row["runs"]))] if pooled else []), cell(row["validation"], 4)]
        cells += [cell(row["figures"][figure], 4), *([cell(row["sd"][figure], 4)] if pooled else [])]
        cells += [cell(row["unseen"].get(figure), 4)] * leaks
        if row["difference"] is None or row["changes"] is None:
            cells += [""] * 5
        else:
            d = row["difference"][figure]
            cells += [f"{d['value']:+.4f}", f"{d['low']:+.3f} to {d['high']:+.3f}", _p(d["p_holm"])]
            cells += [f"{len(rows_of):,}" for rows_of in (row["changes"]["lost"], row["changes"]["gained"])]
        rows.append(cells + [cell(row["figures"][name], 4) for name in others])
    of = f", means over {by}" if by else ""
    first = f", best {c['ranked_by']} {figure} first" if many else ""
    parts = [leak_line(c["trained_on"], c["reviews"])] if c["trained_on"] else []
    runs = f"{len(c['folders'])} run{'s' * (len(c['folders']) > 1)}"
    parts += [f"{runs} on {c['reviews']:,} test reviews{first}{of}\n{table(rows, 2)}"]
    if many:
        parts.append("\n".join(["Rows", *(_row_line(place, row) for place, row in enumerate(c["rows"], 1))]))
    if not c["differs"] and len(c["folders"]) > 1:
        parts.append("Their configurations do not differ.")
    if many:
        parts.append(_how(c))
    if len(c["rows"]) == 2:
        parts.append(_in_a_line(c))
    parts += ["\n".join([title, *lines]) for title, lines in changes]
    return "\n\n".join([*parts, *c["notes"]])


def _apart(names: Sequence[str]) -> list[str]:
    """The names without the words that all of them have; whole where nothing would be left."""
    shared = set.intersection(*(set(name.split()) for name in names)) if len(names) > 1 else set()
    return [" ".join(word for word in name.split() if word not in shared) or name for name in names]


def _p(p: float) -> str:
    return "<0.001" if p < 0.001 else f"{p:.3f}"


def _row_line(place: int, row: Compared) -> str:
    folders = ", ".join(row["runs"][:8]) + f" and {len(row['runs']) - 8} more" * (len(row["runs"]) > 8)
    return f"{place}  {visible(row['name'])}\n   {visible(folders)}"


def _how(c: Comparison) -> str:
    """What is for choosing, what p covers, what the counts are."""
    choose = "val is for choosing: rows are in its order. test is for reporting, and says nothing of which to choose.\n"
    single = sum(len(row["runs"]) == 1 for row in c["rows"])
    covers = "p: two-sided, over reviews and seeds (readers and cases of Obuchowski & Rockette 1995)"
    if single == len(c["rows"]):
        covers = (
            "p: two-sided, over reviews alone (paired bootstrap). With one run each the seed's part is UNKNOWN: two "
            "seeds of one\n   setting can differ as much. Train seed=1,2,3 of each and compare --by seed"
        )
    elif single:
        covers += (
            ",\n   the seeds' part of a single run taken from the other row's; where both are single it is unknown"
        )
    number = f" p is corrected for {len(c['rows']) - 1} comparisons (Holm)." if len(c["rows"]) > 2 else ""
    return (
        f"{choose if c['ranked_by'] == 'validation' else ''}{covers}.{number}\n"
        "lost, gained: reviews that the first row has wholly right and this one not, and the other way round."
    )


def _in_a_line(c: Comparison) -> str:
    """The difference of two rows in one sentence."""
    one, other = c["rows"]
    figure = c["figure"]
    d = (other["difference"] or {})[figure]
    runs = [len(row["runs"]) for row in (one, other)]
    seeds = f"{runs[0]} and {runs[1]} runs" if max(runs) > 1 else "one run each, the seed's part unknown"
    return visible(
        f"test {figure}: {one['name']} {one['figures'][figure]:.4f}, {other['name']} {other['figures'][figure]:.4f}; "
        f"difference {-100 * d['value']:+.2f} points (95 % {-100 * d['high']:+.2f} to {-100 * d['low']:+.2f}, "
        f"p {_p(d['p'])}; {seeds}, {c['reviews']:,} paired reviews)"
    )


def leak_line(count: int | None, reviews: int) -> str:
    """How many of the judged texts were trained on: a warning where there are any."""
    return "Trained on: not known, see below." if count is None else leak_sentence(count, reviews)
