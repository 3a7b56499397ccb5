"""The page of a study: how it went, what mattered, every trial, and the command of the best. One file, as of a run."""

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import optuna
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.trial import FrozenTrial, TrialState

from src.judge.report import TEMPLATES
from src.judge.writing import policy_hash, printable, write_whole
from src.search import charts
from src.search.charts import Point
from src.search.space import overrides
from src.search.study import Search

OWN = Path(__file__).with_name("templates")
SHOWN_STATES = {
    TrialState.COMPLETE: "complete",
    TrialState.PRUNED: "pruned",
    TrialState.FAIL: "failed",
    TrialState.RUNNING: "running or left",
}


def write_page(search: Search) -> Path:
    """Write report.html into the study's folder; its path."""
    figure = search.figure
    trials = search.study.get_trials(deepcopy=False)
    judged = [t for t in trials if t.value is not None]
    complete = [t for t in trials if t.state == TrialState.COMPLETE]
    style = "".join(
        (folder / name).read_text("utf-8") for folder, name in ((TEMPLATES, "report.css"), (OWN, "search.css"))
    )
    shares = importances(search.study, complete)
    context = {
        "name": search.folder.resolve().name,
        "figure": figure,
        "asked": search.trials,
        "states": {name: sum(t.state == state for t in trials) for state, name in SHOWN_STATES.items()},
        "best": max(complete, key=_value, default=None),
        "command": best_command(search),
        "fixed": search.fixed,
        "history": charts.history(_points(judged), figure) if judged else None,
        "importance": charts.importance(shares) if shares else None,
        "slices": [slice_of(key, d, judged, figure) for key, d in ordered(search.space, shares)] if judged else [],
        "keys": list(search.space),
        "rows": [row(t, search.space) for t in sorted(trials, key=_rank)],
        "style": Markup(style),
        "style_hash": policy_hash(style),
    }
    environment = Environment(
        loader=FileSystemLoader(OWN), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["printable"] = printable
    path = search.folder / "report.html"
    write_whole(path, environment.get_template("search.html.j2").render(context))
    return path


def best_command(search: Search) -> str | None:
    """What one types to train the best trial's settings; None while no trial is complete."""
    complete = search.study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    if not complete:
        return None
    best = max(complete, key=_value)
    return shlex.join(["python", "train.py", *search.fixed, *overrides(best.params)])


def importances(study: optuna.Study, complete: Sequence[FrozenTrial]) -> dict[str, float]:
    """Each setting's share of the differences between complete trials (PED-ANOVA, Watanabe et al. 2023); {} if unknown.

    Adds up to 1; of few trials it says little.
    """
    if len({t.value for t in complete}) < 2 or len(complete) < 4:
        return {}
    try:
        return dict(optuna.importance.get_param_importances(study))
    except (RuntimeError, ValueError):  # too few values, or too alike
        return {}


def slice_of(key: str, d: BaseDistribution, judged: Sequence[FrozenTrial], figure: str) -> Markup:
    """The figure over one setting."""
    points = [Point(t.number, t.params[key], _value(t), t.state == TrialState.PRUNED) for t in judged]
    choices = [str(c) for c in d.choices] if isinstance(d, CategoricalDistribution) else None
    return charts.slice_of(key, points, figure, choices, log=getattr(d, "log", False))


def ordered(space: dict[str, BaseDistribution], shares: dict[str, float]) -> list[tuple[str, BaseDistribution]]:
    """What is searched, the most important first."""
    return sorted(space.items(), key=lambda item: -shares.get(item[0], 0.0))


def row(t: FrozenTrial, space: dict[str, BaseDistribution]) -> dict[str, Any]:
    """A trial in the table."""
    seconds = (
        (t.datetime_complete - t.datetime_start).total_seconds() if t.datetime_complete and t.datetime_start else None
    )
    return {
        "number": t.number,
        "state": SHOWN_STATES.get(t.state, t.state.name.lower()),
        "value": t.value,
        "epochs": len(t.intermediate_values),
        "seconds": seconds,
        "values": [_shown(t.params.get(key)) for key in space],
        "error": t.user_attrs.get("error"),
    }


def _points(judged: Sequence[FrozenTrial]) -> list[Point]:
    return [Point(t.number, " ".join(overrides(t.params)), _value(t), t.state == TrialState.PRUNED) for t in judged]


def _value(t: FrozenTrial) -> float:
    return t.value if t.value is not None else 0.0


def _shown(value: Any) -> str:
    return "–" if value is None else f"{value:.3g}" if isinstance(value, float) else str(value)


def _rank(t: FrozenTrial) -> tuple[int, float, int]:
    """Complete trials first, best first; then pruned ones; the others last."""
    place = {TrialState.COMPLETE: 0, TrialState.PRUNED: 1}.get(t.state, 2)
    return place, -(_value(t)), t.number
