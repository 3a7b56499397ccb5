"""The page of a study, with Optuna's plots: one file that loads nothing else. And the command of the best trial."""

import html
from pathlib import Path
from typing import Literal

import optuna
from optuna.trial import FrozenTrial, TrialState

from ..runs.machine import write_whole
from ..spelling import command
from .space import acts, overrides
from .study import Search


def write_page(search: Search) -> Path:
    """Write report.html into the study's folder and return its path. The file contains plotly's script (4 MB)."""
    study, complete = search.study, _complete(search)
    draw = optuna.visualization
    plots = [draw.plot_optimization_history(study, target_name=search.figure)] if complete else []
    if len({t.value for t in complete}) > 1:
        for asked, names, title in _weighed(complete, search.direction):
            plot = draw.plot_param_importances(asked, params=names, target_name=search.figure)
            plots.append(plot.update_layout(title=title))
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


def _weighed(
    complete: list[FrozenTrial], direction: Literal["minimize", "maximize"]
) -> list[tuple[optuna.Study, list[str], str]]:
    """Trials, settings and title of each plot of importances.

    One weighs the settings that act in every trial, over all trials; one for each other setting weighs it beside those,
    over the trials in which it acts.
    """
    trials = [_acting(trial) for trial in complete]
    known = list(dict.fromkeys(name for trial in trials for name in trial.params))
    always = [name for name in known if all(name in trial.params for trial in trials)]
    found = []
    for name in [None, *(name for name in known if name not in always)]:
        names = always if name is None else [*always, name]
        among = [trial for trial in trials if all(name in trial.params for name in names)]
        if names and len({trial.value for trial in among}) > 1:
            study = optuna.create_study(direction=direction)
            study.add_trials(among)
            title = f"What mattered, over {len(among):,} trials" + (f" in which {name} acts" if name else "")
            found.append((study, names, title))
    return found


def _acting(trial: FrozenTrial) -> FrozenTrial:
    """The trial without the values that had no effect; older studies hold such."""
    names = [name for name in trial.params if acts(name, trial.params)]
    params, kinds = ({name: of[name] for name in names} for of in (trial.params, trial.distributions))
    return optuna.trial.create_trial(params=params, distributions=kinds, value=trial.value)


def _complete(search: Search) -> list[FrozenTrial]:
    return search.study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
