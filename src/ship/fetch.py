"""A model by its name on the Hugging Face hub: the folder of its bundle, from the hub or from the local cache."""

import os
import sys
from pathlib import Path
from typing import NamedTuple

from ..errors import UserError, did_you_mean, shown
from ..spelling import override, pasted
from .bundle import CARD, INFO, ONNX, SEEN, TOKENIZER

WANTED = [INFO, ONNX, TOKENIZER, SEEN, CARD]  # no other file of a repository is fetched: none that could hold code
CLIENT = "the model hub needs huggingface_hub; pip install 'visobert-absa[serve]'"


class Fetched(NamedTuple):
    """A model's folder. ``commit`` is that of the hub's repository, 40 hexadecimal digits; None of a folder on disk."""

    folder: Path
    commit: str | None


def is_hub_name(model: str | os.PathLike[str]) -> bool:
    """Whether ``model`` is a name such as ``user/name``, and nothing of that name lies on the disk."""
    if not isinstance(model, str) or os.path.lexists(model):
        return False
    from ..model.hub import HUB_ID  # brings tokenizers

    return HUB_ID.fullmatch(model) is not None


def name_fault(model: str | os.PathLike[str], revision: str | None) -> str:
    """What is wrong with a name and its revision, before any network is asked; an empty text if nothing is."""
    first = Path(str(model)).parts[:1]
    if revision is not None and not is_hub_name(model):
        return f"revision {revision}: only names of the model hub (user/name) have revisions, and this is none"
    if revision is None and is_hub_name(model) and Path(*first).is_dir():
        near = did_you_mean(Path(str(model)).name, tuple(path.name for path in Path(*first).iterdir()))
        return (
            f"there is no such folder in {first[0]}{near or ';'} if it is a name of the model hub, say so: "
            "--revision main, from Python revision='main'"
        )
    return ""


def fetch(model: str | os.PathLike[str], revision: str | None = None) -> Fetched:
    """The folder of ``model``: the path itself, or for a name of the hub the files of its bundle in the local cache.

    ``revision`` is a branch, a tag or a commit, by default ``main``. The hub is asked for the newest commit and given
    up on after seconds; then what the cache has is taken, and a line on standard error says so. A commit that the cache
    has is taken without a question. What the files hold is not checked here. Raises UserError if the name is mistyped,
    unknown or that of no bundle, if the hub is needed and out of reach, and without huggingface_hub.
    """
    if fault := name_fault(model, revision):
        raise UserError(f"{model}: {fault}")
    if not is_hub_name(model):
        return Fetched(Path(model), None)
    name = str(model)
    try:
        from huggingface_hub import HfApi, constants, snapshot_download
    except ModuleNotFoundError as error:
        raise UserError(f"{name}: no such folder, and {CLIENT}") from error
    from ..model.hub import HUB_SECONDS, hub_answers

    if revision is not None and constants.REGEX_COMMIT_OID.fullmatch(revision) and (kept := _kept(name, revision)):
        return kept
    told = f"{name}: no such folder here"
    print(shown(f"{told}; asking the model hub, {constants.ENDPOINT}"), file=sys.stderr)
    if not hub_answers():
        if kept := _kept(name, revision):
            print(shown(f"the model hub does not answer: {kept.commit} in the local cache is taken"), file=sys.stderr)
            return kept
        raise UserError(
            f"{told} or in the local cache, and the model hub does not answer within {HUB_SECONDS:.0f} s.\n"
            f"  - with another machine: `hf download {name} --local-dir bundle` there, and copy the folder here\n"
            "  - through a mirror: set HF_ENDPOINT"
        )
    try:
        if INFO not in HfApi().list_repo_files(name, revision=revision):
            raise UserError(
                f"{name}: the repository on the model hub holds no {INFO}, so it is no bundle (absa push puts one "
                f"there); an encoder is taken by {pasted([override('model.encoder', name)])}"
            )
        folder = Path(snapshot_download(name, revision=revision, allow_patterns=WANTED, etag_timeout=10))
    except UserError:
        raise
    except Exception as error:  # the client raises a dozen kinds of error
        raise UserError(f"{told}, and {hub_fault(error, revision)}") from error
    return Fetched(folder, folder.name)


def hub_fault(error: Exception, revision: str | None = None) -> str:
    """Why the hub refused, as the part of a sentence, from what its client raised."""
    from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, RepositoryNotFoundError, RevisionNotFoundError

    status = error.response.status_code if isinstance(error, HfHubHTTPError) else 0
    if isinstance(error, GatedRepoError):
        return "the repository on the model hub is given on request only: ask on its page, then `hf auth login`"
    if isinstance(error, RepositoryNotFoundError):
        return "the model hub has no repository of that name, or it is private: `hf auth login` first"
    if isinstance(error, RevisionNotFoundError):
        return f"its repository on the model hub has no revision {revision}"
    if status in (401, 403):
        return "the model hub does not let you: `hf auth login` with a token that may (write, to push)"
    reason = getattr(error, "server_message", None) or str(error)
    return f"the model hub would not: {reason.strip().splitlines()[0] if reason.strip() else type(error).__name__}"


def _kept(name: str, revision: str | None) -> Fetched | None:
    """What the local cache has of the bundle, if it is whole. Never touches the network."""
    from huggingface_hub import snapshot_download

    try:
        folder = Path(snapshot_download(name, revision=revision, allow_patterns=WANTED, local_files_only=True))
    except (OSError, ValueError):  # not there, or a part of it
        return None
    return Fetched(folder, folder.name) if all((folder / file).is_file() for file in (INFO, ONNX, TOKENIZER)) else None
