"""Five plain sentences at the head of a report: what goes well, what badly, against what, on how much, what next."""

from collections.abc import Sequence
from typing import Any

from ..runs.summary import Summary
from .contracts import Evaluation
from .judgement import MODEL
from .languages import Said, say
from .mistakes import INVENTED, MISSED, WRONG, Mistake
from .page import headline
from .words import SPLITS

FEW_REVIEWS = 30  # mentions of an aspect below which its figures are mostly chance
TINY = 100  # reviews below which no figure tells much
GOOD, POOR = 0.7, 0.5  # share of the labelled opinions found with the right sentiment


def five_sentences(e: Evaluation, summary: Summary, mistakes: Sequence[Mistake], best: int | None) -> list[Said]:
    """The sentences, each computed from the figures that the report shows; ``best`` is the epoch that was kept."""
    row = next(row for row in headline(e) if row["figure"] == ("pair_f1" if e["task"] == "absa" else "sentiment_f1"))
    return [_well(e, mistakes), _badly(e, mistakes), _compared(row), _on_how_much(e, row), _next(e, summary, row, best)]


def _score(e: Evaluation) -> str:
    return "pair_f1" if e["task"] == "absa" else "sentiment_f1"


def _ranked(e: Evaluation) -> list[dict[str, Any]]:
    """The aspects that can be judged, the best first; those with few mentions only where there are no others."""
    rows = [row for row in e["per_aspect"][MODEL] if row[_score(e)] is not None and row["mentioned"]]
    enough = [row for row in rows if row["mentioned"] >= FEW_REVIEWS]
    return sorted(enough or rows, key=lambda row: (-row[_score(e)], row["aspect"]))


def _counts(e: Evaluation, mistakes: Sequence[Mistake]) -> dict[str, int]:
    """Labelled opinions (pairs), those found rightly, and the errors by kind."""
    kinds = dict.fromkeys((MISSED, INVENTED, WRONG), 0)
    for m in mistakes:
        kinds[m.kind] += e["aspects"][m.aspect] not in e["without_sentiment"]
    return {"gold": e["pairs"], "missed": kinds[MISSED], "invented": kinds[INVENTED], "wrong": kinds[WRONG]}


def _well(e: Evaluation, mistakes: Sequence[Mistake]) -> Said:
    n = _counts(e, mistakes)
    if not n["gold"]:
        return say("No labelled opinion can be judged here.")
    right = max(0, n["gold"] - n["missed"] - n["wrong"])
    share, ranked = right / n["gold"], _ranked(e)
    values = {"right": right, "gold": n["gold"], "percent": f"{100 * share:.0f}"}
    if not ranked:
        return say("It gets {right} of {gold} labelled opinions right ({percent} %).", **values)
    values |= {"aspect": ranked[0]["aspect"], "score": float(ranked[0][_score(e)])}
    if share >= GOOD:
        return say(
            "It does well: {right} of {gold} labelled opinions are found with the right sentiment "
            "({percent} %), best on {aspect} (F1 {score}).",
            **values,
        )
    if share >= POOR:
        return say(
            "It does fairly: {right} of {gold} labelled opinions are found with the right sentiment "
            "({percent} %), best on {aspect} (F1 {score}).",
            **values,
        )
    return say(
        "It does little well yet: only {right} of {gold} labelled opinions are found with the right "
        "sentiment ({percent} %), best on {aspect} (F1 {score}).",
        **values,
    )


def _badly(e: Evaluation, mistakes: Sequence[Mistake]) -> Said:
    n, ranked = _counts(e, mistakes), _ranked(e)
    if not sum((n["missed"], n["invented"], n["wrong"])):
        return say("It makes no error on these reviews.")
    if e["task"] == "sentiment":
        told = say("It does badly where it gives another sentiment than the label ({wrong} times)", **n)
    else:
        told = say(
            "It does badly where it misses opinions ({missed}), gives them another sentiment "
            "({wrong}) or invents them ({invented})",
            **n,
        )
    if len(ranked) < 2:
        return say("{errors}.", errors=told)
    return say(
        "{errors}; it is weakest on {aspect} (F1 {score}).",
        errors=told,
        aspect=ranked[-1]["aspect"],
        score=float(ranked[-1][_score(e)]),
    )


def _compared(row: dict[str, Any]) -> Said:
    if not row["best_rival"]:
        return say("It is compared with nothing, as there is no baseline for this figure.")
    other = row["others"][row["best_rival"]]
    values = {
        "figure": say("<code>{name}</code>", name=row["figure"]),
        "value": float(row["value"]),
        "other": float(other),
        "rival": say(row["best_rival"]),
    }
    if other < row["interval"][0]:
        return say(
            "Compared with the best simple method ({rival}) it is better: {figure} {value} against {other}.", **values
        )
    if other < row["value"]:
        return say(
            "Compared with the best simple method ({rival}) it is not clearly better: {figure} "
            "{value} against {other}, which is within its interval.",
            **values,
        )
    return say(
        "Compared with the best simple method ({rival}) it is not better: {figure} {value} against {other}.", **values
    )


def _on_how_much(e: Evaluation, row: dict[str, Any]) -> Said:
    values = {
        "reviews": e["reviews"],
        "pairs": e["pairs"],
        "split": say(SPLITS[e["split"]]),
        "low": float(row["interval"][0]),
        "high": float(row["interval"][1]),
    }
    if e["reviews"] < TINY:
        return say(
            "This rests on {reviews} reviews of the {split} split with {pairs} labelled opinions, "
            "which is too few to rely on: the true figure may be anywhere from {low} to {high}.",
            **values,
        )
    return say(
        "This rests on {reviews} reviews of the {split} split with {pairs} labelled opinions; on "
        "other reviews of this kind expect {low} to {high}.",
        **values,
    )


def _next(e: Evaluation, summary: Summary, row: dict[str, Any], best: int | None) -> Said:
    """What helps most, by the first rule that applies."""
    encoder, epochs = summary.get("encoder", {}), summary.get("epochs", {})
    rival = row["others"].get(row["best_rival"]) if row["best_rival"] else None
    trained = dict(
        zip(e["aspects"], summary.get("mention_counts") or [sum(c) for c in summary["class_counts"]], strict=True)
    )
    if e["reviews"] < TINY:
        return say("Next: label more reviews to judge by, {n} at least.", n=TINY)
    if encoder and (not encoder.get("pretrained", True) or encoder.get("name") == "mini"):
        return say(
            "Next: train the large pre-trained encoder (<code>model=visobert</code>); this one is "
            "small or began from nothing."
        )
    if rival is not None and rival >= row["value"]:
        return say(
            "Next: label more reviews or train longer; at present {rival} is as good and costs less.",
            rival=say(row["best_rival"]),
        )
    if best and epochs and best == epochs["run"]:
        return say("Next: train longer, as the last epoch was still the best.")
    ranked = _ranked(e)
    if ranked:
        weakest = ranked[-1]["aspect"]
        return say(
            "Next: read the errors on {aspect} below, mend wrong labels, and label more reviews that "
            "speak of it (training has {n}).",
            aspect=weakest,
            n=int(trained.get(weakest, 0)),
        )
    return say("Next: read the errors below and mend wrong labels.")
