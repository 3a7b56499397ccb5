"""Overrides as people type them: quoted where Hydra's grammar needs it, with a one-line message for each mistake."""

import re
from collections.abc import Iterable, Sequence
from difflib import SequenceMatcher
from functools import cache
from pathlib import Path
from typing import Any

from ..errors import UserError, did_you_mean, quoted
from ..spelling import override, pasted, quoted_value

CONF = Path(__file__).resolve().parents[2] / "conf"
# Hydra's own flags whose next word is their argument and no override
WITH_A_WORD = {"--cfg", "-c", "--package", "-p", "--config-path", "-cp", "--config-name", "-cn", "--config-dir", "-cd"}
WITH_A_WORD |= {"--info", "-i", "--experimental-rerun"}
FUNCTIONS = re.compile(r"(?:int|str|bool|float|choice|range|interval|tag|sort|shuffle|glob)\s*\(.*\)", re.DOTALL)
CLOSING = {"[": "]", "{": "}", "(": ")"}


# --- reading ---------------------------------------------------------------------------------------------------------


def as_typed(words: Sequence[str], several: bool = False) -> list[str]:
    """A command line for Hydra: overrides that its grammar refuses are quoted where that makes them plain values.

    Elements of a list are quoted the same way, and in a sweep (``-m``, or ``several``) the values of ``a,b``. Words
    that Hydra accepts stay as they are. Raises UserError with a line for each word that no quoting mends.
    """
    # Hydra refuses null as the choice of a group; `equal` is the choice with the same meaning
    words = [re.sub(r"\bnull\b", "equal", w) if w.startswith("loss/alpha=") else w for w in words]
    several = several or any(w == "-m" or w.startswith("--multi") or w == "hydra.mode=MULTIRUN" for w in words)
    if not several:  # the runs that a model learns from are one list
        words = [f"teacher=[{w[8:]}]" if w.startswith("teacher=") and len(_parts(w[8:])) > 1 else w for w in words]
    typed, faults = [], []
    for before, word in zip(["", *words], words, strict=False):
        if word.startswith("-") or before in WITH_A_WORD or accepted(word):
            typed.append(word)
        elif (mended := _mended(word, several)) is not None:
            typed.append(mended)
        else:
            faults.append(_fault(word))
    if faults:
        raise UserError(faults)
    return typed


def accepted(word: str) -> bool:
    """Whether Hydra's grammar takes a word as an override, and reads from it what stands there.

    Of a plain value that begins with two backslashes, the path of a share on Windows, it would drop one.
    """
    return _refusal(word) is None and not word.partition("=")[2].startswith("\\\\")


def _refusal(word: str) -> str | None:
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    try:
        OverridesParser.create().parse_override(word)
    except HydraException as error:
        return str(error).split("\n")[0] or "cannot be read"
    return None


def _mended(word: str, several: bool) -> str | None:
    key, _, given = word.partition("=")
    value = _quoted(given.strip(" \t"), several)
    mended = f"{key}={value}"
    return mended if value is not None and accepted(mended) else None


def _quoted(given: str, several: bool) -> str | None:
    """A refused value with quotes; None if it looks like another form than a plain value or a list of them."""
    parts = _parts(given)
    if several and len(parts) > 1 and all(parts):
        mended = [part if accepted(f"x={part}") else _quoted(part, False) for part in parts]
        return None if None in mended else ",".join(map(str, mended))
    if given.startswith("[") and given.endswith("]"):
        elements = _parts(given[1:-1])
        mended = [e if e and accepted(f"x=[{e}]") else _quoted(e, False) if e else None for e in elements]
        return None if None in mended else "[" + ",".join(map(str, mended)) + "]"
    if not given or given[0] in "'\"{" or FUNCTIONS.fullmatch(given) or (given[0] == "[" and "]" not in given):
        return None
    return quoted_value(given)


def _parts(text: str) -> list[str]:
    """The parts of ``text`` between commas; a comma in closed quotes or brackets separates nothing."""
    parts, begin, i = [], 0, 0
    while i < len(text):
        letter = text[i]
        if letter == ",":
            parts.append(text[begin:i])
            begin = i + 1
        elif letter in CLOSING and (end := _closed(text, i)):
            i = end
        elif letter in "'\"" and not text[begin:i].strip():  # an apostrophe in a word quotes nothing
            closed = re.compile(rf"(?:[^\\{letter}]|\\.)*{letter}", re.DOTALL).match(text, i + 1)
            i = closed.end() - 1 if closed else i
        i += 1
    return [part.strip(" \t") for part in [*parts, text[begin:]]]


def _closed(text: str, begin: int) -> int:
    """Where the bracket at ``begin`` is closed; 0 where it is not."""
    depth, opening, closing = 0, text[begin], CLOSING[text[begin]]
    for i in range(begin, len(text)):
        depth += (text[i] == opening) - (text[i] == closing)
        if not depth:
            return i
    return 0


def _fault(word: str) -> str:
    key, equals, given = word.partition("=")
    if not equals:
        return f"{quoted(word)}: expected KEY=VALUE, such as trainer.max_epochs=5; a value with blanks needs quotes"
    if not accepted(f"{key}=0"):
        return f"{quoted(word)}: {quoted(key)} cannot be the name of a setting; expected KEY=VALUE without blanks at ="
    for opening, closing in {**CLOSING, '"': '"', "'": "'"}.items():
        if given.startswith(opening) and not given.endswith(closing):
            why = f"{opening} is never closed by {closing}"
            break
    else:
        why = (_refusal(word) or "").removeprefix("Error parsing override ")
    return f"{word}: cannot be read, {why}; as one plain value it is typed {pasted([override(key, given)])}"


# --- settings there are ----------------------------------------------------------------------------------------------


def no_such_setting(key: str, more: Iterable[str] = (), config: str = "config") -> str:
    """``trainer.epochs: no such setting; did you mean trainer.max_epochs?``

    The names suggested are settings of ``conf/{config}.yaml``, of every choice of its groups, and ``more``. Where none
    is like it, all those beside it are named, unless they are many.
    """
    if near := nearest(key, dict.fromkeys([*settings_of(config), *more])):
        return f"{key}: no such setting; did you mean {' or '.join(near)}?"
    beside = [name for name in settings_of(config) if "." in key and name.rpartition(".")[0] == key.rpartition(".")[0]]
    return f"{key}: no such setting" + (f"; there are {', '.join(beside)}" if 0 < len(beside) < 10 else "")


def nearest(key: str, names: Iterable[str]) -> list[str]:
    """The names most like ``key``, 3 at most: their last part equals its own, has its words, or is spelt like it."""
    group, _, last = key.replace("/", ".").replace("learning_rate", "lr").rpartition(".")
    words = set(last.split("_"))

    def likeness(name: str) -> float:
        its_group, _, its_last = name.rpartition(".")
        its_words = set(its_last.split("_"))
        same = 1.0 - 0.05 * len(its_words - words) if words <= its_words else 0.0
        return max(same, SequenceMatcher(None, last.lower(), its_last).ratio()) + 0.1 * (group == its_group)

    scores = {name: likeness(name) for name in names if name != key}
    best = max(scores.values(), default=0.0)
    near = sorted((name for name in scores if scores[name] > best - 0.04), key=lambda name: -scores[name])
    return near[:3] if best >= 0.7 else []


@cache
def settings_of(config: str) -> tuple[str, ...]:
    """The settings of ``conf/{config}.yaml``: its own, and those of every choice of the groups it is composed of."""
    from omegaconf import OmegaConf

    names: list[str] = []
    own: Any = OmegaConf.to_container(OmegaConf.load(CONF / f"{config}.yaml"))
    groups = [name for entry in own.get("defaults", []) if isinstance(entry, dict) for name in entry]
    for group in groups:
        for file in sorted((CONF / group).rglob("*.yaml")):
            package = re.search(r"^# @package (\S+)", file.read_text(encoding="utf-8"), re.M)
            if package is None or package[1] != "_global_":
                prefix = package[1] if package else group
                names += [prefix, *_names(OmegaConf.to_container(OmegaConf.load(file)), f"{prefix}.")]
    names += _names({key: given for key, given in own.items() if key != "hydra"})
    return tuple(dict.fromkeys(names))


def _names(settings: object, prefix: str = "") -> list[str]:
    found = []
    for key, given in settings.items() if isinstance(settings, dict) else ():
        if key not in ("defaults", "_target_"):
            found += [f"{prefix}{key}", *_names(given, f"{prefix}{key}.")]
    return found


# --- what Hydra says -------------------------------------------------------------------------------------------------


def explained(error: Exception, config: str = "config", words: Sequence[str] = ()) -> str:
    """An error of Hydra or OmegaConf about the command line ``words``, in one line.

    Hydra stops at the first override that is wrong, so the others are composed again without it: a line for each.
    """
    told, left = [_said(error, config)], _composable(words)
    while wrong := [w for w in left if told[-1][1] in (w.lstrip("+~"), w.lstrip("+~").partition("=")[0])]:
        left = [word for word in left if word not in wrong]
        if (refused := _refused(config, left)) is None:
            break
        told.append(_said(refused, config))
    return "\n".join(dict.fromkeys(line for line, about in told if about or line == told[0][0]))


def _composable(words: Sequence[str]) -> list[str]:
    """The overrides of a command line, of a sweep's values the first, and the folder of ``--config-dir``.

    Empty for another configuration than the program's own, which cannot be composed here.
    """
    from hydra.core.override_parser.overrides_parser import OverridesParser

    found = []
    for before, word in zip(["", *words], words, strict=False):
        if before in ("--config-dir", "-cd"):
            found.append(override("hydra.searchpath", [str(Path(word).absolute())]))
        elif before in ("--config-name", "-cn", "--config-path", "-cp"):
            return []
        elif not word.startswith("-") and before not in WITH_A_WORD:
            parsed = OverridesParser.create().parse_override(word)
            first = parsed.is_discrete_sweep() and next(parsed.sweep_string_iterator())
            found.append(f"{word.partition('=')[0]}={first}" if first else word)
    return found


def _refused(config: str, overrides: list[str]) -> Exception | None:
    """What Hydra says against composing these overrides; None if nothing."""
    from hydra import compose, initialize_config_dir
    from hydra.core.global_hydra import GlobalHydra
    from hydra.errors import HydraException

    before, GlobalHydra.instance().hydra = GlobalHydra.instance().hydra, None
    try:
        with initialize_config_dir(str(CONF), version_base="1.3"):
            compose(config, overrides)
    except HydraException as error:
        return error
    finally:
        GlobalHydra.instance().hydra = before
    return None


def _said(error: Exception, config: str) -> tuple[str, str]:
    """An error in one line, and the override or the setting that it is about, as far as that is known."""
    said = str(error).strip()
    if match := re.match(r"Could not (?:override|delete from config\.) '(.+?)'", said):
        return no_such_setting(match[1], config=config), match[1]
    if match := re.search(r"Could not find '(.+)/([^/'\n]+)'", said):
        choices = tuple(re.findall(r"^\t(\S+)$", said, re.M))
        known = f"expected one of {', '.join(choices)}{did_you_mean(match[2], choices)}" if choices else "see conf/"
        return f"{match[1]}={match[2]}: no such choice; {known}", match[1]
    if match := re.match(r"Ambiguous value for argument '(.*)'$", said, re.M):
        key, _, given = match[1].partition("=")
        one, many = pasted([override(key, given)]), pasted([f"{key}=[{given}]"])
        return f"{match[1]}: several values are a sweep, which needs -m; one value is typed {one}, a list {many}", key
    lines = [line.strip() for line in said.split("\n") if line.strip() and not line.startswith("See https:")]
    kept = [line.rstrip(".:,") for line in lines if not line.startswith(("object_type=", "reference_type="))]
    return "; ".join(kept), ""
