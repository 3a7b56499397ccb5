"""The names of all files that belong to one output of ``absa predict``."""

import glob
import os
from pathlib import Path

from ...runs.machine import expanded
from .writers import OUTPUT_FORMATS


class Target:
    """The files of one output, all in its folder. Outputs with one stem (a.csv, a.jsonl) share the file ``errors``."""

    def __init__(self, out: str) -> None:
        self.answers = Path(os.path.realpath(expanded(out)))
        self.errors = self.answers.with_name(f"{self.answers.stem}.errors.jsonl")
        self.partial = self._named("partial")
        self.partial_errors = self._named("errors.partial")
        self.journal = self._named("journal")
        self.temporary = self._named("tmp")
        self.lock = self._named("lock")

    @property
    def all(self) -> tuple[Path, ...]:
        return (
            *(self.answers, self.errors, self.partial, self.partial_errors),
            *(self.journal, self.temporary, self.lock, self._named("lock.holder")),
        )

    @property
    def begun(self) -> bool:
        """Whether an earlier command left something unfinished."""
        return self.journal.exists()

    def under_way(self) -> Path | None:
        """Another output with the same errors file whose command has not finished; None if there is none."""
        for path in self._beside("*.journal"):
            if path.with_suffix("").stem == self.answers.stem and path != self.journal:
                return path.with_suffix("")
        return None

    def owner_of_errors(self, source: str | None) -> Path | None:
        """Another output (not the input ``source``) to which the existing errors file may belong; or None."""
        if not self.errors.exists():
            return None
        for path in self._beside("*"):
            told = path.suffix.lower().lstrip(".") in (*OUTPUT_FORMATS, "json") and path.stem == self.answers.stem
            if told and path != self.answers and not (source and Path(source).exists() and path.samefile(source)):
                return path
        return None

    def _beside(self, end: str) -> list[Path]:
        return sorted(self.answers.parent.glob(f"{glob.escape(self.answers.stem)}.{end}"))

    def _named(self, suffix: str) -> Path:
        return self.answers.with_name(f"{self.answers.name}.{suffix}")
