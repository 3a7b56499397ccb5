"""A bundle goes to a hub and comes back: what is pushed, what is fetched, and what no network is asked about."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from huggingface_hub import ModelCard, constants

from src.cli import main
from src.errors import UserError
from src.judge.inference import load_best
from src.model import hub as model_hub
from src.model.encoder import load_encoder
from src.runs.run import Run
from src.ship.bundle import read_whole
from src.ship.http import server
from src.ship.predictor import load
from src.ship.push import hub_card, push
from tests.conftest import ROOT
from tests.hub import go_to, small_hub

NAME = "me/phones"
BUNDLE = {"README.md", "bundle.json", "model.onnx", "tokenizer.json", "training_texts.npy"}
TEXTS = ["Pin trâu, camera hơi mờ", "Giao hàng nhanh"]


@pytest.fixture(scope="module")
def pushed(exported, trained, tmp_path_factory) -> tuple[str, dict[str, bytes]]:
    """What the command printed, and the files of the repository."""
    with small_hub() as hub, pytest.MonkeyPatch.context() as patch:
        go_to(hub, tmp_path_factory.mktemp("cache"), patch)
        told = push(exported, NAME, trained[0])
        assert [call for call in hub.asked if "/commit/" in call] == [f"POST /api/models/{NAME}/commit/main"]
        assert len(hub.objects) == 2, "the weights go through the store of large files"
        return told, {k: v for k, v in hub.files(NAME).items() if k != ".gitattributes"}


@pytest.fixture
def hub(pushed, tmp_path, monkeypatch):
    """A hub that holds the pushed bundle, an empty cache, and a working directory of its own."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    with small_hub() as hub:
        hub.put(NAME, pushed[1])
        go_to(hub, tmp_path / "cache", monkeypatch)
        yield hub


@pytest.fixture
def offline(monkeypatch):
    return lambda: monkeypatch.setattr(model_hub, "hub_answers", lambda: False)


def refused(capsys, *words: str) -> str:
    """What a command says that ends with status 2."""
    with pytest.raises(SystemExit) as end:
        main(list(words))
    assert end.value.code == 2
    return capsys.readouterr().err


# --- push ---


def test_the_repository_is_a_bundle_with_its_encoder_and_its_card(pushed, exported, trained, tmp_path) -> None:
    told, files = pushed
    assert (
        set(files) == BUNDLE | {"config.json", "model.safetensors"} == set(re.findall(r"^ +[\d,]+  (\S+)$", told, re.M))
    )
    for name in BUNDLE - {"README.md", "bundle.json"}:
        assert files[name] == (exported / name).read_bytes()
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    info, here = read_whole(tmp_path)[0], read_whole(exported)[0]
    same = {key for key in info if key not in ("files", "sha256")}
    assert {k: info[k] for k in same} == {k: here[k] for k in same}, "downloaded by hand, it is a bundle"
    read, run = load_encoder(str(tmp_path), [], max_length=60).module.state_dict(), Run(trained[0])
    best = load_best(run).classifier.encoder.state_dict()
    assert read.keys() == best.keys() and all(torch.equal(read[key], best[key]) for key in best)
    card = ModelCard(files["README.md"].decode())
    assert card.data.language == "vi" and card.data.model_name == "phones"
    assert "aspect-based-sentiment-analysis" in card.data.tags and card.data.datasets == ["sample"]
    results = {r.metric_name: r.metric_value for r in card.data.eval_results}
    assert results == run.read_summary()["figures"]["test"]
    assert f'load("{NAME}")' in card.text and card.text.lstrip().startswith("# phones\n")
    assert str(trained[0]) not in files["README.md"].decode() + files["config.json"].decode()


def test_a_dry_run_lists_the_files_and_asks_nobody(hub, exported, trained, pushed, capsys) -> None:
    main(["push", str(exported), "me/new", "--run", str(trained[0]), "--dry-run"])
    told = capsys.readouterr().out
    assert set(re.findall(r"^ +[\d,]+  (\S+)$", told, re.M)) == set(pushed[1]) and "me/new would get" in told
    assert hub.asked == [] and "me/new" not in hub.private


def test_without_its_run_the_encoder_is_left_out_and_that_is_told(hub, exported, capsys) -> None:
    """Weights that an earlier push left would be another model's."""
    main(["push", str(exported), NAME])
    told = capsys.readouterr().out
    assert f"Without the encoder, so model.encoder={NAME} will not take it: --run names the run" in told
    assert set(hub.files(NAME)) == BUNDLE


def test_a_bundle_within_its_run_finds_it(hub, exported, trained, tmp_path) -> None:
    run = tmp_path / "run"
    (run / "checkpoints").mkdir(parents=True)
    shutil.copy(trained[0] / "checkpoints" / "best.ckpt", run / "checkpoints")
    shutil.copy(trained[0] / "summary.json", run)
    shutil.copytree(exported, run / "bundle")
    assert "model.safetensors" in push(run / "bundle", "me/new", dry_run=True)


def test_a_branch_is_made_and_another_stays(hub, exported, capsys) -> None:
    before = hub.files(NAME)
    main(["push", str(exported), NAME, "--revision", "v2"])
    assert hub.files(NAME) == before and set(hub.files(NAME, "v2")) == BUNDLE
    assert f"{hub.url}/{NAME}/tree/v2 has" in capsys.readouterr().out
    assert b"--revision v2" in hub.files(NAME, "v2")["README.md"]
    assert load(NAME, revision="v2").predict(TEXTS) == load(exported).predict(TEXTS)


def test_private_is_private(hub, exported, capsys) -> None:
    main(["push", str(exported), "me/secret", "--private"])
    assert hub.private["me/secret"]
    assert "is there already and public" in refused(capsys, "push", str(exported), NAME, "--private")


def test_what_cannot_be_pushed_is_told_and_nothing_is(hub, exported, trained, tmp_path, offline, capsys) -> None:
    hub.put("me/other", {"model.safetensors": b"x", "README.md": b"x"})
    told = refused(capsys, "push", str(exported), "me/other")
    assert "me/other: holds model.safetensors and no bundle.json" in told and told.count("\n") == 1
    assert "no name of a repository; user/name is expected" in refused(capsys, "push", str(exported), "phones")
    for branch in ("a b;rm", "../x", "a/"):
        again = refused(capsys, "push", str(exported), "me/new", "--revision", branch, "--dry-run")
        assert "no name of a branch" in again
    assert "holds no bundle.json" in refused(capsys, "push", str(tmp_path), "me/new")
    assert "no finished run" in refused(capsys, "push", str(exported), "me/new", "--run", str(tmp_path))
    run = tmp_path / "run"
    (run / "checkpoints").mkdir(parents=True)
    (run / "checkpoints" / "best.ckpt").write_bytes(b"x")
    shutil.copy(trained[0] / "summary.json", run)
    assert "was made of another checkpoint" in refused(capsys, "push", str(exported), "me/new", "--run", str(run))
    hub.read_only = True
    assert "`hf auth login` with a token" in refused(capsys, "push", str(exported), "me/new")
    offline()
    assert "does not answer" in refused(capsys, "push", str(exported), "me/new")
    assert set(hub.private) == {NAME, "me/other"}


def test_cards_that_people_wrote_are_kept() -> None:
    card = hub_card(
        "---\nlicense: mit\nlanguage: en\n---\n# Mine\n\nWords.\n\n## From the hub\n\nold\n\n## More\n\nx\n", NAME
    )
    assert (
        "license: mit" in card
        and "language: en" in card
        and "\n# phones\n\nWords.\n\n## More\n\nx\n\n## From the hub\n" in card
    )
    assert hub_card(card, NAME) == card and "old" not in card
    assert ModelCard(hub_card("", NAME)).data.language == "vi"
    with pytest.raises(UserError, match="metadata cannot be read"):
        hub_card("---\na: [\n---\n", NAME)


# --- fetch ---


def test_a_name_answers_as_the_folder_does_and_offline_too(hub, exported, offline, capsys) -> None:
    hub.put(NAME, hub.files(NAME) | {"model.py": b"raise SystemExit", "onnx/model.onnx": b"x", "README.md": b"edited"})
    predictor = load(NAME, threads=1)
    assert predictor.predict(TEXTS) == load(exported).predict(TEXTS)
    assert set(hub.served) == BUNDLE, "no code, nothing of an encoder"
    assert f"{NAME}: no such folder here; asking the model hub, {hub.url}\n" == capsys.readouterr().err
    commit = hub.branches[NAME]["main"]
    assert predictor.made_by.keywords == {"threads": 1, "revision": commit} and predictor.made_by.args == (NAME,)
    hub.asked.clear()
    assert load(NAME, revision=commit).predict(TEXTS) == predictor.predict(TEXTS)
    assert hub.asked == [] and capsys.readouterr().err == "", "workers ask nobody"
    offline()
    load(NAME)
    assert f"{commit} in the local cache is taken" in capsys.readouterr().err
    with pytest.raises(UserError, match=r"(?s)other: no such folder here or in the local cache.*hf download me/other"):
        load("me/other")
    assert hub.asked == []


def test_a_newer_commit_is_fetched_and_an_older_one_stays_at_hand(hub) -> None:
    old, files = hub.branches[NAME]["main"], hub.files(NAME)
    load(NAME)
    hub.put(NAME, {**files, "model.onnx": b"x"})
    with pytest.raises(UserError) as error:
        load(NAME)
    first, last = error.value.faults
    assert "model.onnx: is not the file that was exported" in first
    assert last.startswith(f"{constants.HF_HUB_CACHE}/models--me--phones: delete this folder")
    assert load(NAME, revision=old).predict(TEXTS)


@pytest.mark.parametrize("name", sorted(BUNDLE - {"README.md"}))
def test_a_changed_byte_of_a_repository_is_not_loaded(hub, name) -> None:
    content = bytearray(hub.files(NAME)[name])
    content[len(content) // 2] ^= 1
    hub.put(NAME, {**hub.files(NAME), name: bytes(content)})
    with pytest.raises(UserError, match=rf"{re.escape(name)}: (is not the file|not valid JSON)"):
        load(NAME)


def test_names_that_the_hub_does_not_know_are_one_message(hub, capsys) -> None:
    hub.put("me/encoder", {"config.json": b"{}"})
    for words, said in {
        ("me/nothing",): "the model hub has no repository of that name, or it is private",
        ("me/encoder",): "the repository on the model hub holds no bundle.json, so it is no bundle",
        (NAME, "--revision", "v9"): "its repository on the model hub has no revision v9",
    }.items():
        told = refused(capsys, "serve", *words, "--port", "0").splitlines()
        assert len(told) == 2 and told[0] == f"{words[0]}: no such folder here; asking the model hub, {hub.url}"
        assert told[1].startswith(f"error: {words[0]}: ") and said in told[1]


def test_a_path_is_never_asked_of_the_hub(hub, exported, tmp_path, capsys) -> None:
    """What is there wins; a mistyped folder is told as one."""
    Path("outputs").mkdir()
    shutil.copytree(exported, "outputs/bundle")
    assert load("outputs/bundle").predict(TEXTS)
    for name, said in {
        "outputs/bundel": 'no such folder in outputs; did you mean "bundle"?',
        "./me/phones": "neither a bundle",
        "me/phones/": "neither a bundle",
        "bundel": "neither a bundle",
        "a/b/c": "neither a bundle",
        str(tmp_path / "x"): "neither a bundle",
    }.items():
        with pytest.raises(UserError, match=re.escape(said)):
            load(name)
    with pytest.raises(UserError, match="neither a bundle"):
        load(Path(NAME))
    with pytest.raises(UserError, match="revision main: only names of the model hub"):
        load("outputs/bundle", revision="main")
    (tmp_path / "in.csv").write_text("text\nPin trâu\n", encoding="utf-8")
    told = refused(capsys, "predict", "outputs/bundel", str(tmp_path / "in.csv"), "-o", str(tmp_path / "out.txt"))
    assert 'did you mean "bundle"' in told and "the format is told from the name" in told, "all faults at once"
    assert "no such folder in outputs" in refused(capsys, "evaluate", "outputs/bundel", str(tmp_path / "in.csv"))
    assert hub.asked == []
    hub.put("outputs/bundel", hub.files(NAME))
    assert load("outputs/bundel", revision="main").predict(TEXTS), "whoever has such a folder can still say so"


def test_the_commands_take_a_name(hub, exported, tmp_path, monkeypatch, capsys) -> None:
    labelled = ROOT / "data" / "sample" / "test.csv"
    told, answers = {}, {}
    for model, name in ((str(exported), "folder"), (NAME, "hub")):
        main(["predict", model, str(labelled), "-o", str(tmp_path / f"{name}.csv")])
        answers[name] = (tmp_path / f"{name}.csv").read_bytes()
        capsys.readouterr()
        main(["evaluate", model, str(labelled)])
        main(["label-config", model])
        told[name] = capsys.readouterr().out.replace(model, "MODEL")
    assert answers["hub"] == answers["folder"] and told["hub"] == told["folder"]
    monkeypatch.setattr(server.Server, "run", lambda self, sockets: print(self._greeting))
    main(["serve", NAME, "--port", "0", "--revision", hub.branches[NAME]["main"]])
    assert f"Serving {NAME} at http://127.0.0.1:" in capsys.readouterr().out
    main(["summary", str(tmp_path / "hub.csv"), "--model", NAME])
    assert "corrected" in capsys.readouterr().out
    hub.asked.clear()
    assert "holds no test split; name a labelled file" in refused(capsys, "evaluate", NAME)
    assert hub.asked == []


def test_a_file_goes_on_with_the_same_commit_alone(hub, tmp_path, capsys) -> None:
    (tmp_path / "in.csv").write_text("text\nPin trâu\n", encoding="utf-8")
    words = ["predict", NAME, str(tmp_path / "in.csv"), "-o", str(tmp_path / "out.csv")]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("src.ship.predict.command.finish", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(SystemExit):
            main(words)
    files = hub.files(NAME)
    push_again = {**files, "bundle.json": files["bundle.json"].replace(b'"fp32"', b'"int8"', 1)}
    old = hub.branches[NAME]["main"]
    hub.put(NAME, push_again)
    assert "model" in refused(capsys, *words, "--resume")
    main([*words, "--resume", "--revision", old])
    assert (tmp_path / "out.csv").exists()


def test_without_the_client_one_message_says_what_to_install(exported, tmp_path) -> None:
    (tmp_path / "in.csv").write_text("text\nPin trâu\n", encoding="utf-8")
    code = (
        "import sys; sys.modules['huggingface_hub'] = None\n"
        "from src.cli import main\n"
        "for words in (['predict', 'me/phones', {file!r}, '-o', '-'], ['push', {bundle!r}, 'me/phones']):\n"
        "    try: main(words)\n    except SystemExit as end: print(end.code)\n"
    ).format(file=str(tmp_path / "in.csv"), bundle=str(exported))
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout == "2\n2\n", done.stderr
    assert len(re.findall(r"^error: .*pip install 'visobert-absa\[serve\]'$", done.stderr, re.M)) == 2


def test_the_examples_of_the_page_run(hub, exported, trained) -> None:
    page = (ROOT / "docs" / "python.md").read_text(encoding="utf-8")
    (section,) = (part for part in re.split(r"^## ", page, flags=re.M) if part.startswith("From the hub\n"))
    blocks = re.findall(r"```python\n(.*?)```", section, re.S)
    assert blocks
    hub.put("user/name", hub.files(NAME), "v1")
    hub.put("user/name", hub.files(NAME))
    exec("\n".join(blocks), {})
