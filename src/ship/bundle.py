"""Read, check and write a bundle: the folder in which a trained model is handed on. It is written whole or not at all.

It holds ``model.onnx``, ``tokenizer.json``, ``README.md`` (the model card), ``training_texts.npy`` and ``bundle.json``,
which says what the logits mean and holds the SHA-256 of the other files and of itself. No file holds code or pickled
objects.
"""

import hashlib
import json
import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from ..answers.calibration import Calibration
from ..answers.figures import FIGURES
from ..answers.thresholds import Thresholds
from ..errors import UserError
from ..labels import Labels
from ..runs.contract import faults_of
from ..runs.machine import flush, sha256, told_as
from ..runs.run import counts_faults, named_labels
from ..runs.summary import LabelNames, Reading
from ..spelling import command

FORMAT = 1
INFO, ONNX, TOKENIZER, CARD = "bundle.json", "model.onnx", "tokenizer.json", "README.md"
SEEN = "training_texts.npy"  # hashes of the training texts: src.judge.leaks; older bundles have none
FILES = (ONNX, TOKENIZER, CARD)
MOST_BYTES = {INFO: 2**24, TOKENIZER: 2**28, CARD: 2**24, SEEN: 2**28, ONNX: 2**31}  # of ONNX at most 2 GiB
LONGEST = 2**15  # tokens of a text; attention takes memory with its square
PRECISIONS = ("fp32", "int8")
OTHER_HASH = "is not the file that was exported (its SHA-256 differs)"


def read_whole(folder: str | Path, card: bool = True) -> tuple[dict[str, Any], dict[str, bytes]]:
    """The content of ``bundle.json``, and the bytes of the other files by name.

    Each file is read once, and the bytes that are returned are those that were checked. Without ``card`` the model card
    is left out, which people may edit on the hub. Raises UserError that lists every fault: no bundle, another format,
    keys missing or wrong, files missing or changed.
    """
    folder = Path(folder)
    path = folder / INFO
    try:
        text = _read(path).decode()
        info: Any = json.loads(text, parse_constant=_no_number)
    except (FileNotFoundError, NotADirectoryError):
        run = folder if (folder / "summary.json").is_file() else Path("RUN")
        make = command("absa", ["export", str(run), "-o", str(run.parent / "BUNDLE")])
        raise UserError(f"{folder}: holds no {INFO}, so it is no bundle; make one: {make}") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from error
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path}: not valid JSON ({error})") from error
    if not isinstance(info, dict):
        raise UserError(f"{path}: expected a JSON object, got {type(info).__name__}")
    if info.get("format") != FORMAT:
        got = repr(info.get("format"))[:80]
        raise UserError(f"{path}: format {got}, but this version reads format {FORMAT}; export again")
    if "sha256" not in info:
        faults = [f'{path}: "sha256" is missing; export again']
    elif text != _rendered(info) or info["sha256"] != _own_hash(info):
        faults = [f"{path}: {OTHER_HASH}"]
    else:
        faults = [f"{path}: {fault}" for fault in _faults(info)]
    contents, changed = _contents(folder, info.get("files"), card)
    if faults + changed:
        raise UserError(faults + changed)
    return info, contents


def declared_labels(info: dict[str, Any]) -> Labels:
    """The labels that a checked ``bundle.json`` declares."""
    names: LabelNames = {**info["labels"], "sentiments": info["sentiments"]}  # type: ignore[typeddict-item]
    return named_labels(names)


def refuse_other(out: Path, info: dict[str, Any]) -> None:
    """Raise UserError where ``out`` holds the bundle of another run than that which ``info`` describes."""
    path = out / INFO
    if not path.is_file():
        return
    try:
        there: Any = json.loads(_read(path))
        keys = ("checkpoint",) if "checkpoint" in there else ("monitor", "val", "test")  # as older bundles have them
        one, other = (x if keys[0] in x else x["figures"] for x in (there, info))
        same = all(one.get(key) == other.get(key) for key in keys)
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        same = False
    if not same:
        raise UserError(f"{out}: holds the bundle of another run; --overwrite replaces it, another -o stands beside it")


def write_info(folder: Path, info: dict[str, Any]) -> None:
    """Write ``bundle.json`` over the files that already lie in ``folder``, with their hashes and its own.

    Raises UserError if a figure is NaN or infinite: JSON has no such numbers.
    """
    names = (*FILES, SEEN) if (folder / SEEN).exists() else FILES
    whole = info | {"format": FORMAT, "files": {name: sha256(folder / name) for name in names}}
    try:
        text = _rendered(whole | {"sha256": _own_hash(whole)})
    except ValueError as error:
        raise UserError(f"{INFO}: a figure is NaN or infinite, which JSON has not; no bundle was written") from error
    (folder / INFO).write_bytes(text.encode())


@contextmanager
def written_whole(out: Path) -> Iterator[Path]:
    """A temporary folder beside ``out``: renamed to ``out`` when the block ends, deleted if the block fails.

    ``out`` may be missing, an earlier bundle, which is replaced, an empty folder, or a link to one of these. Raises
    UserError for anything else, also for a bundle with other files in its folder; it checks before and after the block.
    """
    out = Path(os.path.realpath(out))  # so that a link stays, and leads to the new bundle
    _check_replaceable(out)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(mkdtemp(prefix=f".{out.name}.", dir=out.parent))
    except OSError as error:
        raise UserError(f"{out}: cannot be written ({error.strerror})") from error
    try:
        with told_as(out, "give the command again; nothing was written"):
            yield temporary
        os.umask(mask := os.umask(0))
        temporary.chmod(0o777 & ~mask)  # mkdtemp closes its folders to everybody else
        with told_as(out, "give the command again; nothing was written"):
            for path in (*temporary.iterdir(), temporary):
                flush(path)
        _check_replaceable(out)  # again: an export takes minutes, and the folder may have changed
        _take_place(temporary, out)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _check_replaceable(out: Path) -> None:
    """Raises UserError unless ``out`` is missing, an empty folder, or a folder that holds a bundle and nothing else."""
    try:
        names = {path.name for path in out.iterdir()}
    except FileNotFoundError:
        return
    except NotADirectoryError:
        raise UserError(f"{out}: is no folder; give a folder that is not there yet") from None
    except OSError as error:
        raise UserError(f"{out}: cannot be read ({error.strerror})") from error
    if names and INFO not in names:
        raise UserError(f"{out}: is there already and is no bundle; give a folder that is not there yet")
    if foreign := sorted(names - {INFO, SEEN, *FILES}):
        told = ", ".join(foreign[:5]) + (f" and {len(foreign) - 5} more" if len(foreign) > 5 else "")
        raise UserError(f"{out}: holds more than a bundle, and replacing it would delete {told}; move that elsewhere")


def _take_place(temporary: Path, out: Path) -> None:
    """Rename ``temporary`` to ``out``; if that fails, put the earlier folder back."""
    earlier = temporary.with_name(f"{temporary.name}.earlier")
    replaced = out.exists()
    try:
        if replaced:
            out.rename(earlier)  # a rename cannot replace a folder that is not empty
        try:
            temporary.rename(out)
        except BaseException:
            if replaced:
                earlier.rename(out)
            raise
    except OSError as error:
        raise UserError(f"{out}: cannot be written ({error.strerror})") from error
    flush(out.parent)
    shutil.rmtree(earlier, ignore_errors=True)


def _no_number(name: str) -> None:
    raise ValueError(f"{name} is no number")


def _rendered(info: dict[str, Any]) -> str:
    return json.dumps(info, ensure_ascii=False, indent=2, allow_nan=False) + "\n"


def _own_hash(info: dict[str, Any]) -> str:
    """The SHA-256 of ``bundle.json`` without the key that holds it."""
    return _sha256(_rendered({key: value for key, value in info.items() if key != "sha256"}).encode())


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _faults(info: dict[str, Any]) -> list[str]:
    """What is wrong with the values of ``bundle.json``, without a look at the other files."""
    kinds: dict[str, type] = {
        "labels": dict,
        "thresholds": dict,
        "calibration": dict,
        "encoder": dict,
        "sentiments": list,
        "figures": dict,
        "files": dict,
    }
    kinds |= {"agreement": dict, "versions": dict, "task": str, "precision": str, "max_length": int, "pad_id": int}
    faults = [f'"{key}" is missing' for key in (*kinds, "normalisation") if key not in info]
    faults += [
        f'"{key}": expected {kind.__name__}, got {repr(info[key])[:80]}'
        for key, kind in kinds.items()
        if key in info and (not isinstance(info[key], kind) or isinstance(info[key], bool))
    ]
    if faults:
        return faults
    if info["task"] not in FIGURES:
        faults.append(f'"task": {info["task"]!r} is not one of {", ".join(FIGURES)}')
    if info["precision"] not in PRECISIONS:
        faults.append(f'"precision": {info["precision"]!r} is not one of {", ".join(PRECISIONS)}')
    if info["normalisation"] != "NFC":
        faults.append(f'"normalisation": expected "NFC", got {info["normalisation"]!r}')
    if not 3 <= info["max_length"] <= LONGEST:
        faults.append(f'"max_length": expected 3 to {LONGEST:,} tokens, got {str(info["max_length"])[:80]}')
    try:
        labels = declared_labels(info)
        aspects = len(labels.aspects)
        faults += counts_faults(info, labels)
        if len(Thresholds.from_dict(info["thresholds"]).per_aspect) != aspects:
            faults.append(f'"thresholds": expected one for each of {aspects} aspects')
        Calibration.from_dict(info["calibration"])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        faults.append(f'"labels", "thresholds" or "calibration" cannot be read ({type(error).__name__}: {error})')
    faults += [f'"reading": {fault}' for fault in faults_of(info.get("reading", {}), Reading)]
    return faults


def _contents(folder: Path, hashes: object, card: bool) -> tuple[dict[str, bytes], list[str]]:
    """The bytes of the files by name, and a fault for each that is missing or was changed since the export."""
    hashes = hashes if isinstance(hashes, dict) else {}
    contents, faults = {}, []
    for name in [name for name in (*FILES, *[SEEN] * (SEEN in hashes)) if card or name != CARD]:
        try:
            contents[name] = _read(folder / name)
        except UserError as error:
            faults += error.faults
            continue
        except OSError as error:
            faults.append(f"{folder / name}: cannot be read ({error.strerror})")
            continue
        if _sha256(contents[name]) != hashes.get(name):
            faults.append(f"{folder / name}: {OTHER_HASH}")
    return contents, faults


def _read(path: Path) -> bytes:
    """A file's bytes. Raises UserError before reading if it is no regular file, or larger than its MOST_BYTES."""
    found = path.stat()
    if not stat.S_ISREG(found.st_mode):  # reading a pipe or a device might never end
        raise UserError(f"{path}: is no file")
    if found.st_size > MOST_BYTES[path.name]:
        raise UserError(f"{path}: {found.st_size:,} bytes, and {MOST_BYTES[path.name]:,} at most are read")
    return path.read_bytes()
