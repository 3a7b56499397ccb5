"""``absa push``: put a bundle into a repository of the Hugging Face hub, with its encoder and a card."""

import re
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from ..errors import UserError, quoted
from ..runs.machine import sha256
from ..runs.run import Run
from ..spelling import command, override, pasted
from .bundle import CARD, INFO, ONNX, SEEN, TOKENIZER, read_whole, write_info
from .fetch import CLIENT, hub_fault

if TYPE_CHECKING:
    from huggingface_hub import HfApi, ModelInfo

CONFIG, WEIGHTS_FILE = "config.json", "model.safetensors"  # of the encoder, as transformers reads them
PUSHED = {INFO, ONNX, TOKENIZER, SEEN, CONFIG, WEIGHTS_FILE}  # what a push replaces or, where it has none, deletes
BRANCH = re.compile(r"(?!.*\.\.)\w[\w./-]*(?<!/)")
USE = "## From the hub"


def push(
    bundle: str | Path,
    name: str,
    run_folder: str | Path | None = None,
    private: bool = False,
    revision: str | None = None,
    dry_run: bool = False,
) -> str:
    """Put the bundle into the repository ``name`` (user/name) in one commit; what to print.

    The encoder's configuration and weights (safetensors) come from the run that the bundle was made of: ``run_folder``,
    else the folder in which the bundle lies if it is that run, else they are left out, which is told. The card gets the
    repository's name and how the model is used; ``bundle.json`` the hash of that card. ``revision`` is a branch. Raises
    UserError for what is no whole bundle or another run, for a repository that holds something else or is public where
    a private one was asked for, where the hub refuses or is out of reach, and without huggingface_hub.
    """
    try:
        from huggingface_hub import HfApi, constants
    except ModuleNotFoundError as error:
        raise UserError(CLIENT) from error
    from ..model.hub import HUB_ID, HUB_SECONDS, hub_answers

    if not HUB_ID.fullmatch(name):
        raise UserError(f"{name}: no name of a repository; user/name is expected")
    if revision is not None and not BRANCH.fullmatch(revision):
        raise UserError(
            f"--revision {quoted(revision)}: no name of a branch; letters, digits, - _ . and / are expected"
        )
    info, contents = read_whole(bundle)
    run = _run_of(Path(bundle), info, run_folder)
    with TemporaryDirectory() as temporary:
        folder = Path(temporary)
        for file, content in contents.items():
            (folder / file).write_bytes(content)
        card = hub_card(contents[CARD].decode(errors="replace"), name, revision)
        (folder / CARD).write_text(card, encoding="utf-8")
        write_info(folder, info)
        if run is not None:
            _save_encoder(run, folder)
        files = sorted(folder.iterdir(), key=lambda path: path.name)
        where = f"{constants.ENDPOINT}/{name}" + f"/tree/{revision}" * bool(revision)
        told = [f"  {path.stat().st_size:>13,}  {path.name}" for path in files]
        if run is None:
            told.append(
                f"Without the encoder, so {pasted([override('model.encoder', name)])} will not take it: --run names "
                f"the run that {bundle} was made of"
            )
        if dry_run:
            return "\n".join([f"{where} would get (bytes):", *told])
        if not hub_answers():
            raise UserError(f"{name}: the model hub does not answer within {HUB_SECONDS:.0f} s; nothing was pushed")
        try:
            commit = _upload(HfApi(), name, private, revision, files)
        except UserError:
            raise
        except Exception as error:  # the client raises a dozen kinds of error
            raise UserError(f"{name}: {hub_fault(error, revision)}") from error
    return "\n".join([f"{where} has (bytes):", *told, f"commit {commit}"])


def hub_card(text: str, name: str, revision: str | None = None) -> str:
    """A bundle's model card for the repository ``name``: its name in the metadata and the title, and how it is used.

    A card without metadata gets the language, the task and tags. Raises UserError for metadata that is no YAML.
    """
    from huggingface_hub import ModelCard

    try:
        card = ModelCard(text)
        data: Any = card.data
        data.language = data.language or "vi"
        data.pipeline_tag = data.pipeline_tag or "text-classification"
        data.tags = data.tags or ["aspect-based-sentiment-analysis", "vietnamese"]
        data.library_name = data.library_name or "visobert-absa"
        if data.eval_results:
            data.model_name = name.partition("/")[2]
        head = data.to_yaml()
    except Exception as error:  # the YAML parser's own, and others for keys of another kind
        raise UserError(f"{CARD}: its metadata cannot be read ({str(error).splitlines()[0]})") from error
    body = re.sub(rf"^{USE}\n.*?(?=^## |\Z)", "", card.text.strip() + "\n", flags=re.M | re.S).strip()
    title = f"# {name.partition('/')[2]}"
    body = re.sub(r"\A# .*", title, body) if body.startswith("# ") else f"{title}\n\n{body}".strip()
    at, option = (f", revision={revision!r}", ["--revision", revision]) if revision else ("", [])
    predict, serve = ["predict", name, "reviews.csv", "-o", "answers.csv", *option], ["serve", name, *option]
    use = [
        USE,
        "",
        "```python",
        "from visobert_absa import load",
        "",
        f'load("{name}"{at}).predict(["Pin trâu, camera hơi mờ"])',
        "```",
        "",
        f"    {command('absa', predict, here=False)}",
        f"    {command('absa', serve, here=False)}",
    ]
    return f"---\n{head}\n---\n\n{body}\n\n" + "\n".join(use) + "\n"


def _run_of(bundle: Path, info: dict[str, Any], given: str | Path | None) -> Run | None:
    """The run that the bundle was made of, told by the hash of its checkpoint. Raises UserError for another one."""
    run = Run(bundle.resolve().parent if given is None else given)
    same = run.best.is_file() and info.get("checkpoint") == sha256(run.best)
    if given is None:
        return run if same else None
    run.read_summary()
    if not run.best.is_file():
        raise UserError(f"--run {given}: holds no checkpoints/best.ckpt")
    if not same:
        raise UserError(f"--run {given}: {bundle} was made of another checkpoint; name its run, or export this one")
    return run


def _save_encoder(run: Run, folder: Path) -> None:
    """Write the encoder of the run's best checkpoint as transformers reads it, float32, in one file of weights."""
    import transformers

    from ..judge.inference import load_best

    transformers.logging.disable_progress_bar()
    load_best(run).classifier.encoder.save_pretrained(folder, max_shard_size="1TB")


def _upload(api: "HfApi", name: str, private: bool, revision: str | None, files: list[Path]) -> str:
    """Make repository and branch where they are missing, commit the files, delete what an earlier push had beside them.

    Returns the commit. Raises UserError where this would publish or overwrite what nobody meant, and what the client
    raises.
    """
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete

    found = _found(api, name, revision)
    there = {sibling.rfilename for sibling in (found.siblings if found else None) or []}
    if found and private and not found.private:
        raise UserError(f"{name}: is there already and public; make it private on its page, or choose another name")
    if (others := sorted(there & PUSHED)) and INFO not in there:
        raise UserError(f"{name}: holds {', '.join(others)} and no {INFO}, so it is no bundle's; choose another name")
    if not found:
        api.create_repo(name, private=private or None)
    if revision is not None:
        api.create_branch(name, branch=revision, exist_ok=True)
    names = {path.name for path in files}
    stale = sorted((there & PUSHED) - names)
    commit = api.create_commit(
        name,
        [
            *(CommitOperationAdd(path.name, path) for path in files),
            *(CommitOperationDelete(file, is_folder=False) for file in stale),
        ],
        commit_message="Bundle of visobert-absa",
        revision=revision,
    )
    return str(commit.oid)


def _found(api: "HfApi", name: str, revision: str | None) -> "ModelInfo | None":
    """What the hub knows of the repository at ``revision``, or at ``main`` from which a new branch starts."""
    from huggingface_hub.errors import RepositoryNotFoundError, RevisionNotFoundError

    try:
        return api.model_info(name, revision=revision)
    except RevisionNotFoundError:
        return api.model_info(name)
    except RepositoryNotFoundError:
        return None
