"""Hydra's syntax for sweeps -> Optuna's distributions (the search space); a trial's values -> overrides."""

from collections.abc import Container, Mapping, Sequence
from typing import Any

import yaml
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import IntervalSweep, Override, RangeSweep
from hydra.errors import HydraException
from optuna import Trial
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
    distribution_to_json,
)

from ..answers.figures import LOSS
from ..errors import UserError
from ..runs.overrides import explained
from ..spelling import value as spelled

Space = dict[str, BaseDistribution]
WITHOUT = {"loss.gamma": ("loss", ("ce",))}  # setting: beside which choices of which other one it has no effect


def split(words: Sequence[str]) -> tuple[list[str], list[str], Space]:
    """Command line -> overrides of the search itself (``sweep...``), fixed overrides of every trial, the search space.

    Raises UserError with every word that is no override, or from which no distribution can be made.
    """
    own, fixed, space, faults = [], [], {}, []
    for word in words:
        if word in ("-m", "--multirun"):
            faults.append(f"{word}: a search runs many trials by itself; leave it out")
            continue
        try:
            [override] = OverridesParser.create().parse_overrides([word])
        except HydraException as error:
            faults.append(explained(error))
            continue
        if override.key_or_group.split(".")[0] == "sweep":
            own.append(word)
        elif override.key_or_group.split(".")[0].split("/")[0] == "hydra":
            faults.append(f"{word}: a search has no settings of Hydra's; the folder is sweep.dir=...")
        elif override.is_sweep_override():
            try:
                space[override.get_key_element()] = distribution(override)
            except ValueError as error:
                faults.append(f"{word}: {error}")
        else:
            fixed.append(word)
    if faults:
        raise UserError(faults)
    return own, fixed, space


def configured_space(given: Mapping[str, str | None], fixed: Sequence[str]) -> Space:
    """The space of a configuration, ``{"loss.gamma": "interval(0, 5)"}``, without the keys that the command line fixes.

    Raises UserError with every entry that is no space.
    """
    _, rest, space = split([f"{key}={words}" for key, words in given.items() if words is not None])
    if rest:
        raise UserError(
            [f"sweep.space: {word} is one value; expected interval(...), range(...) or choice(...)" for word in rest]
        )
    held = {word.partition("=")[0].lstrip("+") for word in fixed}
    return {key: value for key, value in space.items() if key not in held}


def comparable(space: Space, typed: Container[str]) -> tuple[Space, str]:
    """The space of a search for the lowest validation loss, and what is to be said about it.

    Settings of the loss are left out, as losses of different ones do not compare; what the command line asks for
    (``typed``) stays. Raises UserError if nothing is left.
    """
    of_loss = [key for key in space if _acts_on_loss(key)]
    asked = [key for key in of_loss if key in typed]
    kept = {key: d for key, d in space.items() if key not in of_loss or key in asked}
    why = "losses of trials that differ in them do not compare"
    if not kept:
        raise UserError(
            f"monitor={LOSS}: nothing to search without {', '.join(of_loss)}: {why}. Name other settings, or search by "
            "a figure"
        )
    told = []
    if left := [key for key in of_loss if key not in asked]:
        told.append(f"Going by {LOSS}, so not searched: {', '.join(left)}; {why}.")
    if asked:
        told.append(
            f"WARNING: {', '.join(asked)}: {why}. The trial with the lowest {LOSS} need not be the best model; hold "
            "them fixed, or search by a figure."
        )
    return kept, "\n".join(told)


def _acts_on_loss(key: str) -> bool:
    name = key.lstrip("+").replace("/", ".")
    return name.split(".")[0] == "loss" or name in (
        "model.detection_loss",
        "model.detection_weight",
        "model.rare_aspects",
    )


def distribution(override: Override) -> BaseDistribution:
    """``interval(0, 5)``, ``int(interval(1, 9))``, ``tag(log, interval(...))``, ``range(1, 9)``, ``a,b``.

    Raises ValueError, with the reason, if the interval or range is empty.
    """
    value = override.value()
    if isinstance(value, IntervalSweep):
        low, high, log = value.start, value.end, "log" in value.tags
        assert low is not None and high is not None
        if not low < high or (log and low <= 0):
            raise ValueError("an interval goes from the lower end to the higher" + ", above 0 with log" * log)
        whole = isinstance(low, int) and isinstance(high, int)
        return IntDistribution(int(low), int(high), log) if whole else FloatDistribution(low, high, log)
    if isinstance(value, RangeSweep) and not value.shuffle:
        numbers = list(value.range())
        if not numbers:
            raise ValueError("an empty range")
        if all(isinstance(n, int) for n in numbers) and value.step > 0:
            return IntDistribution(numbers[0], numbers[-1], step=int(value.step))
    # spelled as Hydra spells them: a search then tries the same values as a sweep of the same words
    return CategoricalDistribution(list(dict.fromkeys(override.sweep_string_iterator())))


def suggest(trial: Trial, space: Space) -> dict[str, Any]:
    """Ask Optuna for a trial's values; a resumed trial keeps the values that it has.

    A setting of :data:`WITHOUT` is asked for only where it acts, so that the sampler learns of it there alone.
    """
    values: dict[str, Any] = {}
    for key, d in sorted(space.items(), key=lambda item: item[0] in WITHOUT):  # last what depends on others
        if key not in trial.params and not acts(key, values):
            continue
        if isinstance(d, FloatDistribution):
            values[key] = trial.suggest_float(key, d.low, d.high, log=d.log)
        elif isinstance(d, IntDistribution):
            values[key] = trial.suggest_int(key, d.low, d.high, step=d.step, log=d.log)
        elif isinstance(d, CategoricalDistribution):
            values[key] = trial.suggest_categorical(key, d.choices)
    return {key: values[key] for key in space if key in values}


def acts(key: str, values: Mapping[str, Any]) -> bool:
    """Whether a setting has an effect beside the other ``values`` of a trial."""
    return key not in WITHOUT or values.get(WITHOUT[key][0]) not in WITHOUT[key][1]


def nearest_value(d: BaseDistribution, given: Any) -> Any:
    """The value of a distribution that is nearest to ``given``; None if no value of it is near."""
    if isinstance(d, CategoricalDistribution):
        return next((c for c in d.choices if str(c) == spelled(given) or _plain(str(c)) == given), None)
    if isinstance(given, bool) or not isinstance(given, int | float):
        return None
    assert isinstance(d, FloatDistribution | IntDistribution)
    held = min(max(given, d.low), d.high)
    return (
        d.low + round((held - d.low) / (d.step or 1)) * (d.step or 1) if isinstance(d, IntDistribution) else float(held)
    )


def _plain(choice: str) -> Any:
    try:
        return yaml.safe_load(choice)
    except yaml.YAMLError:
        return choice


def overrides(values: Mapping[str, Any]) -> list[str]:
    """A trial's values as overrides for the command line of ``train.py``."""
    return [f"{key}={value}" for key, value in values.items()]


def noted(space: Space) -> dict[str, str]:
    """The space as JSON texts, by key: it is stored in a study and compared when the study is taken up again."""
    return {key: distribution_to_json(space[key]) for key in sorted(space)}
