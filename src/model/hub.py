"""Where an encoder's files are: in a folder, in the local cache, or on the model hub - decided within seconds."""

import hashlib
import http.client
import re
import threading
import urllib.error
import urllib.request
from pathlib import Path

from ..errors import UserError
from ..runs.machine import expanded, sha256
from ..tokens.tokenizer import SENTENCEPIECE

VISOBERT = "uitnlp/visobert"
MINI = Path(__file__).resolve().parents[2] / "assets" / "mini"  # the small encoder in this repository
HUB_SECONDS = 3.0  # how long the hub may take to answer before it counts as out of reach
HUB_ID = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*")  # user/name
WEIGHTS = ("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json")


def choose(encoder: str = VISOBERT) -> tuple[str, str]:
    """What ``model=auto`` trains: ("visobert" | "mini", the reason), decided within a few seconds."""
    if cached(encoder) is not None:
        return "visobert", f"the weights of {encoder} are in the local cache"
    answer = _ask(f"{encoder}/resolve/main/config.json")
    if answer is not None and answer.startswith(b"{"):  # not the log-in page of a proxy
        return "visobert", f"the model hub has {encoder}; it is downloaded once and kept"
    why = "does not answer" if answer is None else f"does not give {encoder}"
    return "mini", f"the weights of {encoder} are not in the local cache and the model hub {why}"


def locate(encoder: str, weights: bool = True) -> Path:
    """The folder of an encoder: that of ``mini``, the one given, the local cache's, or a new download.

    Raises UserError if the folder lacks a file, if the name is no hub id, or if the hub does not give the encoder.
    """
    folder = MINI if encoder == "mini" else expanded(encoder)
    if folder.is_dir():
        need = [] if not weights or _has_weights(folder) else ["weights (model.safetensors or pytorch_model.bin)"]
        need += [] if (folder / "config.json").is_file() else ["config.json"]
        if need:
            hint = "; model.pretrained=false starts from random weights" if weights and need[0] != "config.json" else ""
            raise UserError(f"model.encoder={encoder}: the folder holds no {' and no '.join(need)}{hint}")
        return folder
    if not HUB_ID.fullmatch(encoder):
        raise UserError(f"model.encoder={encoder}: no such folder, and not a hub id such as {VISOBERT}")
    if (found := cached(encoder, weights)) is not None:
        return found
    if not hub_answers():
        raise UserError(
            f"model.encoder={encoder}: not in the local cache, and the model hub does not answer within "
            f"{HUB_SECONDS:.0f} s.\n"
            f"  - with another machine: `hf download {encoder} --local-dir visobert` there, copy the folder here, "
            "then model.encoder=visobert\n"
            "  - through a mirror: set HF_ENDPOINT\n"
            "  - without it: model=mini trains a small encoder that needs no download"
        )
    return _download(encoder)


def weights_hash(folder: Path) -> str:
    """The SHA-256 over those of the files of weights in ``folder``, as 64 hexadecimal digits. Raises OSError."""
    files = sorted(folder.glob("*.safetensors")) or sorted(folder.glob("pytorch_model*.bin"))
    return hashlib.sha256("".join(map(sha256, files)).encode()).hexdigest()


def cached(encoder: str, weights: bool = True) -> Path | None:
    """The hub cache's complete copy of an encoder, or None. Never touches the network."""
    from huggingface_hub import try_to_load_from_cache

    config = try_to_load_from_cache(encoder, "config.json")
    if not isinstance(config, str):
        return None
    folder = Path(config).parent
    tokenizer = any((folder / name).is_file() for name in ("tokenizer.json", SENTENCEPIECE))
    return folder if tokenizer and (_has_weights(folder) or not weights) else None


def hub_answers(seconds: float = HUB_SECONDS) -> bool:
    """Whether the hub answers at all."""
    return _ask("", seconds) is not None


def _ask(path: str, seconds: float = HUB_SECONDS) -> bytes | None:
    """The first bytes of the hub's answer; b"" for a refusal, None for no answer within ``seconds``.

    A thread bounds the time of the name look-up too; the hub client would retry for 25 s.
    """
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        return None
    answers: list[bytes] = []

    def ask() -> None:
        try:
            with urllib.request.urlopen(f"{constants.ENDPOINT}/{path}", timeout=seconds) as response:
                answers.append(response.read(100_000))
        except urllib.error.HTTPError:
            answers.append(b"")
        except (OSError, ValueError, http.client.HTTPException):  # no network; an endpoint that is no address
            pass

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(seconds)
    return answers[0] if answers else None


def _download(encoder: str) -> Path:
    from huggingface_hub import HfApi, snapshot_download

    try:
        files = set(HfApi().list_repo_files(encoder))
        if "config.json" not in files or not files & set(WEIGHTS):
            more = "; the bundle there was pushed without its encoder (absa push --run RUN)"
            raise UserError(
                f"model.encoder={encoder}: its repository on the hub holds no config.json with weights beside it"
                + more * ("bundle.json" in files)
            )
        safe = any(name.endswith(".safetensors") and "/" not in name for name in files)
        wanted = ["config.json", "tokenizer.json", SENTENCEPIECE, "*.safetensors*" if safe else "pytorch_model*.bin*"]
        ignore = ["*/*"]  # other frameworks' copies
        return Path(snapshot_download(encoder, allow_patterns=wanted, ignore_patterns=ignore, etag_timeout=10))
    except UserError:
        raise
    except Exception as error:  # the client raises a dozen kinds of error when a network fails
        reason = str(error).strip().split("\n")[0] or type(error).__name__
        raise UserError(f"model.encoder={encoder}: the hub would not give it: {reason}") from error


def _has_weights(folder: Path) -> bool:
    return any((folder / name).is_file() for name in WEIGHTS)
