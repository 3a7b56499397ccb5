"""The page of a study, with Optuna's plots: one file that loads nothing else. And the command of the best trial."""

import html
from pathlib import Path

import optuna
from optuna.trial import FrozenTrial, TrialState

from ..runs.machine import write_whole
from ..spelling import command
from .space import overrides
from .study import Search


def write_page(search: Search) -> Path:
    """Write report.html into the study's folder and return its path. The file contains plotly's script (4 MB)."""
    study, complete = search.study, _complete(search)
    draw = optuna.visualization
    plots = [draw.plot_optimization_history(study, target_name=search.figure)] if complete else []
    if len({t.value for t in complete}) > 1:
        plots.append(draw.plot_param_importances(study, target_name=search.figure))
        plots.append(draw.plot_slice(study, target_name=search.figure))
    states = [t.state for t in study.get_trials(deepcopy=False)]
    counted = ", ".join(f"{states.count(state)} {state.name.lower()}" for state in TrialState if state in states)
    best = best_command(search, here=False) or "none is complete"
    told = f"{counted or 'no trial'}, of {search.trials} asked for. Best: {best}"
    title = html.escape(f"Search {search.folder.resolve().name}: {search.figure}")
    parts = [
        f'<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>{title}</title></head>',
        f"<body><h1>{title}</h1><p>{html.escape(told)}</p>",
        *(plot.to_html(full_html=False, include_plotlyjs=i == 0) for i, plot in enumerate(plots)),
        "</body></html>",
    ]
    path = search.folder / "report.html"
    write_whole(path, "\n".join(parts) + "\n")
    return path


def best_command(search: Search, here: bool = True) -> str | None:
    """The command that trains with the best trial's settings; None while no trial is complete. ``here``: as command."""
    best = search.best
    return None if best is None else command("train.py", [*search.fixed, *overrides(best.params)], here)


def _complete(search: Search) -> list[FrozenTrial]:
    return search.study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
