"""A bundle: the folder that leaves training. Read and checked here, and written whole or not at all.

``model.onnx``, ``tokenizer.json``, ``README.md`` (the model card), and ``bundle.json``, which says what the logits mean
and holds the SHA-256 of the three others. Nothing in it is code, nothing is pickled.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from src.errors import UserError
from src.figures import FIGURES
from src.judge.calibration import Calibration
from src.judge.thresholds import Thresholds
from src.labels import SENTIMENTS, Labels
from src.ship.disk import flush

FORMAT = 1
INFO, MODEL, TOKENIZER, CARD = "bundle.json", "model.onnx", "tokenizer.json", "README.md"
FILES = (MODEL, TOKENIZER, CARD)
PRECISIONS = ("fp32", "int8")


def read_bundle(folder: str | Path) -> dict[str, Any]:
    """The content of ``bundle.json``, once it and the hashes of the other files are checked.

    Raises UserError that lists every fault: no bundle, another format, keys missing or wrong, files missing or changed.
    """
    folder = Path(folder)
    path = folder / INFO
    try:
        info: Any = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        raise UserError(f"{folder}: holds no {INFO}, so it is no bundle; make one: absa export RUN -o BUNDLE") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from error
    except ValueError as error:
        raise UserError(f"{path}: not valid JSON ({error})") from error
    if not isinstance(info, dict):
        raise UserError(f"{path}: expected a JSON object, got {type(info).__name__}")
    if info.get("format") != FORMAT:
        raise UserError(f"{path}: format {info.get('format')!r}, but this version reads format {FORMAT}; export again")
    if faults := [f"{path}: {fault}" for fault in _faults(info)] + _changed(folder, info.get("files")):
        raise UserError(faults)
    return info


def labels_of(info: dict[str, Any]) -> Labels:
    """The labels that a checked ``bundle.json`` declares."""
    return Labels(tuple(info["labels"]["aspects"]), tuple(info["labels"]["without_sentiment"]))


def write_info(folder: Path, info: dict[str, Any]) -> None:
    """Write ``bundle.json`` over the files that already lie in ``folder``, with their hashes."""
    whole = info | {"format": FORMAT, "files": {name: sha256(folder / name) for name in FILES}}
    (folder / INFO).write_text(json.dumps(whole, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")


@contextmanager
def written_whole(out: Path) -> Iterator[Path]:
    """A temporary folder beside ``out`` that takes its name once the block has ended, and vanishes if it fails.

    ``out`` may be an earlier bundle, which is replaced, or an empty folder. Raises UserError for anything else, before
    the block runs.
    """
    out = out.absolute()
    if out.exists() and not (out / INFO).is_file() and not (out.is_dir() and not any(out.iterdir())):
        raise UserError(f"{out}: is there already and is no bundle; give a folder that is not there yet")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(mkdtemp(prefix=f".{out.name}.", dir=out.parent))
    except OSError as error:
        raise UserError(f"{out}: cannot be written ({error.strerror})") from error
    try:
        yield temporary
        temporary.chmod(0o777 & ~_umask())  # mkdtemp's folders are closed to everybody else
        for path in (*temporary.iterdir(), temporary):
            flush(path)
        earlier = temporary.with_name(f"{temporary.name}.earlier")
        if out.exists():
            out.rename(earlier)  # a folder that holds something cannot be renamed over
        temporary.rename(out)
        flush(out.parent)
        shutil.rmtree(earlier, ignore_errors=True)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def sha256(path: Path) -> str:
    """Of a file's content, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _faults(info: dict[str, Any]) -> list[str]:
    """What is wrong with the values, whatever the files are."""
    kinds: dict[str, type] = {
        "labels": dict,
        "thresholds": dict,
        "calibration": dict,
        "encoder": dict,
        "figures": dict,
        "files": dict,
    }
    kinds |= {"agreement": dict, "versions": dict, "task": str, "precision": str, "max_length": int, "pad_id": int}
    faults = [f'"{key}" is missing' for key in (*kinds, "sentiments", "normalisation") if key not in info]
    faults += [
        f'"{key}": expected {kind.__name__}, got {info[key]!r}'
        for key, kind in kinds.items()
        if key in info and (not isinstance(info[key], kind) or isinstance(info[key], bool))
    ]
    if faults:
        return faults
    if info["task"] not in FIGURES:
        faults.append(f'"task": {info["task"]!r} is not one of {", ".join(FIGURES)}')
    if info["precision"] not in PRECISIONS:
        faults.append(f'"precision": {info["precision"]!r} is not one of {", ".join(PRECISIONS)}')
    if info["sentiments"] != list(SENTIMENTS):
        faults.append(f'"sentiments": expected {list(SENTIMENTS)}, got {info["sentiments"]!r}')
    if info["normalisation"] != "NFC":
        faults.append(f'"normalisation": expected "NFC", got {info["normalisation"]!r}')
    if info["max_length"] < 3:
        faults.append(f'"max_length": expected 3 tokens or more, got {info["max_length"]}')
    try:
        aspects = len(labels_of(info).aspects)
        if len(Thresholds.from_dict(info["thresholds"]).per_aspect) != aspects:
            faults.append(f'"thresholds": expected one for each of {aspects} aspects')
        Calibration.from_dict(info["calibration"])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        faults.append(f'"labels", "thresholds" or "calibration" cannot be read ({type(error).__name__}: {error})')
    return faults


def _changed(folder: Path, hashes: Any) -> list[str]:
    """Files that are missing, or are not those that were exported."""
    hashes = hashes if isinstance(hashes, dict) else {}
    faults = []
    for name in FILES:
        try:
            if sha256(folder / name) != hashes.get(name):
                faults.append(f"{folder / name}: is not the file that was exported (its SHA-256 differs)")
        except OSError as error:
            faults.append(f"{folder / name}: cannot be read ({error.strerror})")
    return faults


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
