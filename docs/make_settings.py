"""Write docs/settings.md from conf/: `python docs/make_settings.py`. A test holds the page and conf/ equal.

The words of the page are the comments in the YAML files: one behind a setting explains that setting, and those at the
top of a file explain the file.
"""

import re
from collections.abc import Iterator
from itertools import groupby, takewhile
from pathlib import Path
from typing import NamedTuple

import yaml

ROOT = Path(__file__).resolve().parents[1]
CONF, PAGE = ROOT / "conf", ROOT / "docs" / "settings.md"
ORDER = (  # the page's sections: heading, and the files or folders/ of conf/ for it
    ("train.py", ("config",)),
    ("data", ("data/table", "data/visfd", "data/")),
    ("task", ("task/",)),
    ("model", ("model/visobert", "model/mini", "model/")),
    ("loss", ("loss/focal", "loss/ce", "loss/")),
    ("loss/alpha", ("loss/alpha/",)),
    ("data/noise", ("data/noise/none", "data/noise/")),
    ("trainer", ("trainer/default", "trainer/")),
    ("callbacks", ("callbacks/default", "callbacks/")),
    ("logger", ("logger/",)),
    ("experiment", ("experiment/",)),
    ("search.py", ("search", "sweep/optuna", "sweep/")),
    ("pretrain.py", ("pretrain",)),
    ("hydra/launcher", ("hydra/launcher/",)),
)
HEAD = """# Settings

Made from the comments in `conf/` by `python docs/make_settings.py`; change the comment there, not this page. Every
setting is changed on the command line by its full name (`python train.py loss.gamma=1`), in a YAML file of your own in
`conf/experiment/`, or from Python (`train(["loss.gamma=1"])`). `python train.py --cfg job` prints the values of a run
before it starts. A file that builds on another one has the settings of that one, too.
"""
COMMAND = re.compile(r"(?:\w+=\S+ )?python \w+\.py(?: \S+)*")
INNER = ("_target_", "_partial_", "hydra")  # classes, and Hydra's own: no settings that people change


class Setting(NamedTuple):
    """A line of a YAML file: its full name, the value as it is written there, and the comment behind it."""

    name: str
    value: str
    words: str


def page() -> str:
    """The whole page."""
    left = {f.relative_to(CONF).with_suffix("").as_posix(): f for f in sorted(CONF.rglob("*.yaml"))}
    parts = [HEAD]
    for heading, names in ORDER:
        parts.append(f"## {heading}\n")
        for name in names:
            for found in [n for n in left if name in (n, n[: n.rfind("/") + 1])]:
                parts.append(section(left.pop(found)))
    if left:
        raise ValueError(f"no section of the page takes {', '.join(left)}")
    return "\n".join(parts)


def section(file: Path) -> str:
    """What one YAML file says, as Markdown."""
    lines = file.read_text(encoding="utf-8").splitlines()
    parts = [f"### `conf/{file.relative_to(CONF).as_posix()}`\n", *_head(lines)]
    base, choices, rows = [], [], []
    for setting in settings(file):
        group, default = setting.name.partition(" ")[::2]
        if not default:
            rows.append(setting)
        elif group:
            choices.append(Setting(group, setting.value, setting.words))
        else:
            base.append(setting.value)
    if base:
        parts.append(f"Builds on {', '.join(f'`{name}`' for name in base)}.\n")
    for title, part in (("choice", choices), ("setting", rows)):
        if part:
            parts.append(f"| {title} | value | |\n|---|---|---|")
            parts += [f"| `{name}` | `{_cell(value)}` | {_cell(words)} |" for name, value, words in part]
            parts.append("")
    return "\n".join(parts)


def settings(file: Path) -> Iterator[Setting]:
    """The settings of a YAML file, in its order. The name of an entry of its defaults list ends in " default"."""
    text = file.read_text(encoding="utf-8")
    lines = text.splitlines()
    group = file.relative_to(CONF).parent.as_posix().lstrip(".")
    package = re.search(r"^# @package (\S+)", text, re.M)
    prefix = package[1].replace("_global_", "") if package else group.replace("/", ".")

    def walk(node: yaml.Node | None, name: str) -> Iterator[Setting]:
        if not isinstance(node, yaml.MappingNode):
            return
        for key, value in node.value:
            if key.value == "defaults" and name == prefix:
                yield from _defaults(value, lines, group)
            elif key.value not in INNER:
                full = f"{name}.{key.value}".lstrip(".")
                if isinstance(value, yaml.MappingNode):
                    if words := _comment(lines, key.end_mark):
                        yield Setting(full, "", words)
                    yield from walk(value, full)
                else:
                    written = text[value.start_mark.index : value.end_mark.index]
                    words = _comment(lines, value.end_mark)
                    if words or not written.startswith("${"):  # what refers to other settings is plumbing
                        yield Setting(full, written, words)

    yield from walk(yaml.compose(text), prefix)


def _defaults(node: yaml.Node, lines: list[str], within: str) -> Iterator[Setting]:
    for entry in node.value:
        if isinstance(entry, yaml.ScalarNode):
            if entry.value != "_self_":
                yield Setting(" default", entry.value, "")
        else:
            for key, value in entry.value:
                name = key.value.removeprefix("override ")
                group = name[1:] if name.startswith("/") else f"{within}/{name}".lstrip("/")
                yield Setting(f"{group} default", value.value, _comment(lines, value.end_mark))


def _comment(lines: list[str], end: yaml.Mark) -> str:
    """The comment behind a value, with the lines of comment below it."""
    here = lines[end.line][end.column :].lstrip(" :")
    if not here.startswith("#"):
        return ""
    words = [here]
    for line in lines[end.line + 1 :]:
        if not re.match(r"\s+#", line):
            break
        words.append(line.strip())
    return " ".join(w.lstrip("# ") for w in words)


def _head(lines: list[str]) -> Iterator[str]:
    """The comments at the top of a file, in their order: commands as blocks of code, words as paragraphs."""
    said = [line[1:].strip() for line in takewhile(lambda line: line.startswith("#"), lines)]
    said = [line for line in said if not line.startswith("@package")]
    for kind, part in groupby(said, lambda line: "" if not line else "code" if COMMAND.match(line) else "words"):
        if kind == "words":
            yield " ".join(" ".join(part).split()) + "\n"
        elif kind == "code":
            pairs = [(m[0], line[m.end() :].strip()) for line in part if (m := COMMAND.match(line))]
            width = max(len(command) for command, rest in pairs if rest) if any(rest for _, rest in pairs) else 0
            yield "\n".join(f"    {c:<{width}}  # {rest}" if rest else f"    {c}" for c, rest in pairs) + "\n"


def _cell(text: str) -> str:
    return text.replace("|", "\\|") or " "


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8", newline="\n")
    print(PAGE)
