"""What differs between runs, as one would type it, and names for them made of that: ``loss=ce loss/alpha=equal``."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..runs.settings import differing
from ..runs.summary import Summary
from ..spelling import override

ENCODER, CONTENT = "model.encoder", "encoder content"  # the setting as typed; a hash of the weights it stood for
EVERYTHING = "experiment"  # the group whose choices set anything


def choices_of(summary: Summary, folder: Path) -> dict[str, str]:
    """The choice of each group of ``conf/`` that a run was composed of; of older runs Hydra's."""
    known: Any = summary.get("choices")
    file = folder / ".hydra" / "hydra.yaml"
    if known is None and file.is_file():
        text = file.read_text(encoding="utf-8", errors="replace")
        block = re.search(r"^  runtime:\n(?:    .*\n)*?    choices:\n((?:      .*\n)+)", text, re.M)
        known = dict(re.findall(r"^      ([\w/]+): (\S+)$", block[1], re.M)) if block else {}
    return {k: str(v) for k, v in (known or {}).items() if not k.startswith("hydra/") and str(v) != "null"}


def typed_keys(summary: Summary) -> set[str]:
    """The settings and groups that a run's command line named."""
    return {word.partition("=")[0].lstrip("+~") for word in summary.get("overrides", [])}


def settle_encoders(settings: Sequence[dict[str, Any]]) -> None:
    """Make ``model.encoder`` equal for runs whose encoders hold the same weights, and different for others, in place.

    It shows what was typed; with the hash of the weights behind it where one name stood for several.
    """
    names: dict[Any, str] = {}  # by content, where it is known
    for s in settings:
        content = s.get(CONTENT)
        names.setdefault(content or s.get(ENCODER), str(s.get(ENCODER)))
    for s in settings:
        content = s.pop(CONTENT, None)
        if ENCODER in s:
            name = names[content or s[ENCODER]]
            several = content and sum(other == name for other in names.values()) > 1
            s[ENCODER] = f"{name} ({content[:8]})" if several else name


def differing_as_typed(
    settings: Sequence[Mapping[str, Any]], choices: Sequence[Mapping[str, str]], typed: set[str]
) -> dict[str, list[Any]]:
    """``{setting or group: [value of each run]}`` for all that differs, groups first; None where a run has none.

    A setting that follows from a group's choice, as ``loss._target_`` from ``loss``, is left out unless a command line
    (``typed``) named it.
    """
    groups = {group: of for group, of in differing(choices).items() if None not in of or group == EVERYTHING}
    groups = {g: of for g, of in groups.items() if g in typed or not _follows(g, of, groups)}
    found = {key: of for key, of in differing(settings).items() if key in typed or not _follows(key, of, groups)}
    found = {key: of for key, of in found.items() if not key.endswith(" file") or not _given_by(of, found, "data.")}
    return groups | found


def row_name(settings: Mapping[str, Any]) -> str:
    """The words that one types for these settings; "" for none."""
    return " ".join(override(k, v) if " " not in k else f"{k} {v}" for k, v in settings.items() if v is not None)


def belongs(key: str, setting: str) -> bool:
    """Whether ``key`` is ``setting``, a copy of it (``data.seed`` of ``seed``), or a part of the group ``setting``."""
    dotted = setting.replace("/", ".")
    return key in (setting, dotted) or key.endswith(f".{dotted}") or key.startswith((f"{dotted}.", f"{setting}/"))


def _follows(key: str, values: list[Any], groups: Mapping[str, list[Any]]) -> bool:
    """Whether the value follows from the choice of another group that may set it."""
    dotted = key.replace("/", ".")

    def covers(group: str) -> bool:
        part = dotted.startswith(f"{group.replace('/', '.')}.") or dotted == group.replace("/", ".")
        return group != key and (group == EVERYTHING or part or (group == "data" and key.endswith(" file")))

    return any(covers(group) and _function(of, values) for group, of in groups.items())


def _given_by(values: list[Any], others: Mapping[str, list[Any]], prefix: str) -> bool:
    return any(k.startswith(prefix) and _function(of, values) for k, of in others.items())


def _function(of: list[Any], values: list[Any]) -> bool:
    """Whether equal entries of ``of`` always go with equal ``values``."""
    known: dict[str, Any] = {}
    return all(known.setdefault(repr(given), value) == value for given, value in zip(of, values, strict=True))
