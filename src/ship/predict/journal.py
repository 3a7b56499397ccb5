"""Output that survives a kill: it is written under another name, with a journal that says how much of it is on disk.

``answers.jsonl.partial`` and ``answers.jsonl.errors.partial`` grow. Once both are on disk, ``answers.jsonl.journal`` is
replaced by one that holds their sizes and the place in the input to go on from. A command that goes on cuts both files
back to these sizes: rows that were answered after the journal was written are answered again, to the same bytes.
"""

import hashlib
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO

from ...data.rows import Place
from ...errors import UserError
from ...runs.machine import Lock, Taken, sha256, write_whole
from ..bundle import INFO
from .target import Target

VERSION = 2  # of the journal: goes up when the names or contents of these files change


@dataclass(frozen=True)
class State:
    """How far the work has come: rows answered, faulty rows (``errors``), bytes of both files, the place after them."""

    place: Place
    rows: int = 0
    errors: int = 0
    answers_bytes: int = 0
    errors_bytes: int = 0
    complete: bool = False  # every row of the input is in the files


class Journal:
    """The growing files of a target; it holds the target's lock until ``close``.

    ``identity`` names what must be the same for the work to go on. ``resumable`` says whether the input can be read
    again; messages offer --resume only then. Raises UserError if another command has the target, or the lock file
    cannot be written.
    """

    def __init__(self, target: Target, identity: dict[str, Any], begin: Place, resumable: bool = True) -> None:
        self.target, self.identity, self.resumable = target, identity, resumable
        self.state = State(begin)
        try:
            self._lock = Lock(target.lock)
        except Taken as other:
            raise UserError(f"{target.answers}: another absa predict is writing it ({other})") from None
        except OSError as error:
            raise UserError(f"{target.lock}: cannot be written ({error.strerror})") from error
        self._answers: BinaryIO | None = None
        self._errors: BinaryIO | None = None

    def begin(self) -> None:
        """Start with empty files. Raises UserError if they cannot be written."""
        self._open()
        self._save()

    def go_on(self) -> None:
        """Start from where an earlier command was.

        Raises UserError if its journal is damaged or of another version, if it began with another identity, if a file
        is shorter than its journal says, or if a file cannot be written.
        """
        path = self.target.journal
        try:
            known = json.loads(path.read_text(encoding="utf-8"))
            version, identity, state = known["version"], dict(known["identity"]), known["state"]
            if version == VERSION:
                self.state = State(**(state | {"place": Place(*state["place"])}))
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            reason = f"{type(error).__name__}: {error}"
            raise UserError(f"{path}: cannot be read ({reason}); --overwrite begins anew") from error
        if version != VERSION:
            raise UserError(
                f"{path}: is of version {version!r}, this absa predict goes on with version {VERSION}; finish it with "
                "the version that began it, or --overwrite to begin anew"
            )
        names = {**self.identity, **identity}
        differs = [name for name in names if identity.get(name) != self.identity.get(name)]
        if differs:
            raise UserError(
                f"{self.target.partial}: was begun with {' and '.join(f'another {name}' for name in differs)}, so it "
                "cannot go on; give what it was begun with, or --overwrite to begin anew"
            )
        for file, size in (
            (self.target.partial, self.state.answers_bytes),
            (self.target.partial_errors, self.state.errors_bytes),
        ):
            found = file.stat().st_size if file.exists() else 0
            if found < size and not (self.state.complete and not file.exists()):
                raise UserError(f"{file}: has {found:,} bytes, its journal says {size:,}; --overwrite begins anew")
        if not self.state.complete:
            self._open()

    def append(self, answers: bytes, errors: bytes, rows: int, refused: int, place: Place) -> None:
        """Append the answers and errors of some rows; ``place`` is the input's place after them.

        Raises UserError if a file cannot be written.
        """
        assert self._answers and self._errors
        self._write(self._answers, self.target.partial, answers)
        self._write(self._errors, self.target.partial_errors, errors)
        old = self.state
        self.state = State(
            place,
            old.rows + rows,
            old.errors + refused,
            old.answers_bytes + len(answers),
            old.errors_bytes + len(errors),
        )

    def save(self, complete: bool = False) -> None:
        """Write everything to disk, then the journal: a kill later loses nothing. Raises UserError if it cannot."""
        if self._answers and self._errors:
            try:
                os.fsync(self._answers.fileno())
                os.fsync(self._errors.fileno())
            except OSError as error:
                raise self._unwritable(self.target.partial, error) from error
        if complete:
            self._close_files()  # they are renamed next
        self.state = State(**(asdict(self.state) | {"place": self.state.place, "complete": complete}))
        self._save()

    def close(self) -> None:
        """Close the files and release the target's lock."""
        self._close_files()
        self._lock.free(remove=True)

    def _close_files(self) -> None:
        for file in (self._answers, self._errors):
            if file:
                file.close()
        self._answers = self._errors = None

    def _save(self) -> None:
        content = {"version": VERSION, "identity": self.identity, "state": asdict(self.state)}
        temporary = self.target.journal.with_name(f"{self.target.journal.name}.tmp")
        try:
            write_whole(self.target.journal, json.dumps(content, indent=1) + "\n", temporary)
        except OSError as error:
            raise self._unwritable(self.target.journal, error) from error

    def _open(self) -> None:
        self._answers = self._opened(self.target.partial, self.state.answers_bytes)
        self._errors = self._opened(self.target.partial_errors, self.state.errors_bytes)

    def _opened(self, path: Path, size: int) -> BinaryIO:
        try:
            file = path.open("ab", buffering=0)
            file.truncate(size)
        except OSError as error:
            raise self._unwritable(path, error) from error
        return file

    def _write(self, file: BinaryIO, path: Path, data: bytes) -> None:
        rest = memoryview(data)
        try:
            while rest:
                rest = rest[file.write(rest) :]
        except OSError as error:
            raise self._unwritable(path, error) from error

    def _unwritable(self, path: Path, error: OSError) -> UserError:
        hint = ""
        if self.target.partial.exists():
            hint = f"; what is finished is kept{', and --resume goes on from it' * self.resumable}"
        return UserError(f"{path}: cannot be written ({error.strerror}){hint}")


def fingerprint(file: str) -> dict[str, Any]:
    """Size, time of change and a hash of the first MiB, to recognise a file; empty for a stream."""
    if not Path(file).is_file():
        return {}
    with open(file, "rb") as opened:
        facts = os.fstat(opened.fileno())
        head = hashlib.sha256(opened.read(2**20)).hexdigest()
    return {"bytes": facts.st_size, "modified_ns": facts.st_mtime_ns, "sha256_of_first_mib": head}


def model_hash(model: str) -> str:
    """A hash of ``bundle.json``, which holds its files' hashes; or of a run's summary and best checkpoint."""
    path = Path(model)
    best = path / "checkpoints" / "best.ckpt"
    total = hashlib.sha256()
    for file in [path / INFO] if (path / INFO).is_file() else [path / "summary.json", best]:
        if file.is_file():
            total.update(bytes.fromhex(sha256(file)))
    return total.hexdigest()
