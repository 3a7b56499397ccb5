"""The options of commands that read data files, the same for all; in training they are the settings ``data.*``."""

import argparse
from typing import Any

from .layouts.names import LAYOUTS

FILE_KINDS = "CSV, TSV, JSONL, JSON, XML, text (each also as .gz), XLSX or Parquet"
ONE_BY_ONE = {"action": "append", "metavar": "NAME"}  # a list; src.spelling.one_by_one takes it apart before argparse
OPTIONS: dict[str, dict[str, Any]] = {
    "aspects": {**ONE_BY_ONE, "help": "the aspects there may be (default: those of the training file)"},
    "text_column": {"help": "default: data, text, review, comment, content, sentence or another usual name"},
    "label_column": {"help": "default: label or labels, or a column in which every cell holds labels"},
    "ignore_columns": {**ONE_BY_ONE, "help": "columns that are neither text nor aspects"},
    "separator": {"help": "of CSV (default: told from the header)"},
    "encoding": {"help": "of text that is not UTF-8, e.g. cp1258 (never guessed)"},
    "sheet": {"help": "of an Excel file (default: the first with rows)"},
    "layout": {"metavar": "LAYOUT", "help": f"of the labels (default: told from the file): {', '.join(LAYOUTS)}"},
    "sentiments": {**ONE_BY_ONE, "help": "default: positive negative neutral"},
    "values": {"help": "what cells mean, e.g. 0=,1=positive,2=negative (nothing: not mentioned)"},
    "several": {"help": "what several sentiments for one aspect count as: a sentiment | mentioned"},
    "unlabelled": {
        "choices": ("keep", "drop"),
        "help": "rows without labels: they mention nothing (keep, the default)",
    },
}
OF_TEXTS = ("text_column", "separator", "encoding", "sheet")  # what it takes to read texts
LISTS = tuple("--" + name.replace("_", "-") for name in OPTIONS if "action" in OPTIONS[name])
OF_A_RUN = ("aspects", "sentiments")  # what a run fixes


def add_file_options(command: argparse.ArgumentParser, *names: str) -> None:
    """Add the options called ``names``, by default all. One that is not given is None."""
    for name in names or OPTIONS:
        command.add_argument("--" + name.replace("_", "-"), **OPTIONS[name])


def given_options(options: dict[str, Any]) -> dict[str, Any]:
    """The options that were given, as fields of :class:`src.data.reviews.Columns`; ``options`` loses them."""
    return {name: value for name in OPTIONS if (value := options.pop(name, None)) is not None}
