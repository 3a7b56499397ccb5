"""The files of one output, and the lock that keeps a second command off them."""

import fcntl
import glob
import os
from pathlib import Path

from ...errors import UserError
from .writers import FORMATS


class Target:
    """The files of one output, all in its folder. Outputs of one stem (a.csv, a.jsonl) share ``errors`` alone."""

    def __init__(self, out: str) -> None:
        self.answers = Path(os.path.realpath(Path(out).expanduser()))
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
            *(self.journal, self.temporary, self.lock),
        )

    @property
    def begun(self) -> bool:
        """Whether an earlier command left something unfinished."""
        return self.journal.exists()

    def under_way(self) -> Path | None:
        """Another output that is not finished and will want the same errors file."""
        for path in self._beside("*.journal"):
            if path.with_suffix("").stem == self.answers.stem and path != self.journal:
                return path.with_suffix("")
        return None

    def owner_of_errors(self, source: str | None) -> Path | None:
        """Another output, and not the input ``source``, to which the errors file that is there may belong."""
        if not self.errors.exists():
            return None
        for path in self._beside("*"):
            told = path.suffix.lower().lstrip(".") in FORMATS and path.stem == self.answers.stem
            if told and path != self.answers and not (source and Path(source).exists() and path.samefile(source)):
                return path
        return None

    def _beside(self, end: str) -> list[Path]:
        return sorted(self.answers.parent.glob(f"{glob.escape(self.answers.stem)}.{end}"))

    def _named(self, suffix: str) -> Path:
        return self.answers.with_name(f"{self.answers.name}.{suffix}")


class Lock:
    """Held from before a journal is read until the files have their names. A kill frees it, though its file stays."""

    def __init__(self, path: Path) -> None:
        """Raises UserError if another command holds it, or the folder cannot be written."""
        self._path = path
        try:
            while True:
                self._file = path.open("ab")
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if self._is_there():
                    return
                self._file.close()  # its holder has taken it away since it was opened
        except BlockingIOError:
            self._file.close()
            raise UserError(f"{path.with_suffix('')}: another absa predict is writing it") from None
        except OSError as error:
            raise UserError(f"{path}: cannot be written ({error.strerror})") from error

    def _is_there(self) -> bool:
        try:
            return os.path.samestat(os.fstat(self._file.fileno()), self._path.stat())
        except FileNotFoundError:
            return False

    def free(self) -> None:
        self._path.unlink(missing_ok=True)  # while it is held: nobody else's is taken away
        self._file.close()
