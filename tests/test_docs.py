"""What the pages say is so: commands are accepted, settings and options exist, links lead somewhere, figures of conf/."""

import importlib.util
import re
import shlex
import tomllib
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.hydra_config import HydraConfig
from omegaconf import OmegaConf, open_dict

import search
import train
from src import cli
from src.data.options import OPTIONS
from src.pretraining.checks import check_pretraining
from src.runs.overrides import as_typed
from src.ship import commands as of_files
from src.ship import evaluate
from src.training.checks import check_config
from tests.conftest import ROOT
from tests.many import call
from tests.test_config import composed

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), *sorted((ROOT / "benchmarks").glob("*.md"))]
PAGES += [ROOT / "assets" / "mini" / "README.md", ROOT / "data" / "sample" / "README.md"]
PROGRAM = r"(?:\w+=\S+ )?(?:python|absa|make|pip|pytest) .*|cat .* \| absa .*"
MADE_UP = "train.csv val.csv validation.csv test.csv all.csv Train.csv train_balanced.csv last.ckpt a.csv b.jsonl.gz"
MADE_UP += " my_reviews.txt texts.txt.gz corpus.txt.gz old.csv new.xlsx new.json"
FIRST_BYTES = 8_000  # of the README: what a newcomer reads to its end


def name(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def text_of(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def commands() -> list[tuple[str, str]]:
    """Page and command: lines of code that begin with a program, and such words in backticks; without comments."""
    found = []
    for page in PAGES:
        text = text_of(page).replace("\\\n", " ")
        lines = re.findall(rf"^    ({PROGRAM})$", text, re.M)
        spans = re.findall(r"`(python (?:train|pretrain|search)\.py [^`]+|absa \w+ [^`]+)`", text)
        for line in [*lines, *(" ".join(span.split()) for span in spans)]:
            command = re.split(r"\s{2,}#", line)[0].strip()
            found += [(name(page), part) for part in re.split(r" && | \| ", command) if re.match(PROGRAM, part)]
    return [(page, command) for page, command in dict.fromkeys(found) if " ..." not in command]


def of(program: str, but: str = "") -> list[str]:
    return list(dict.fromkeys(c for p, c in commands() if re.match(rf"(?:\w+=\S+ )?{program}\b", c) and p != but))


def words_of(command: str) -> list[str]:
    """What is typed behind the program."""
    words = shlex.split(re.sub(r"^\w+=\S+ ", "", command))
    return words[2:] if words[0] == "python" else words[1:]


def with_files(words: list[str], folder: Path) -> list[str]:
    """Overrides with files and folders that are there, in place of those that a page makes up."""
    for made_up in MADE_UP.split():
        (folder / made_up).write_bytes((ROOT / "data" / "sample" / "train.csv").read_bytes())
    words = [w for w in words if w not in ("-m", "--cfg", "job", "--help")]
    words = [w for w in words if not re.match(r"hydra[/.]launcher[.=]ray", w)]  # an extra for an environment of its own
    words = [re.sub(r"=(path/to/[\w-]+|DIR|FOLDER)$", f"={folder}", w) for w in words]
    words = [re.sub(r"=outputs/\S+/(\w+\.ckpt)$", rf"={folder}/\1", w) for w in words]
    words = [re.sub(r"=outputs/DATE/TIME/encoder$", f"={folder}", w) for w in words]
    words = [re.sub(r"=\[(\w+\.csv),(\w+\.(?:xlsx|json))\]$", rf"=[{folder}/\1,{folder}/\2]", w) for w in words]
    return [re.sub(r"=([\w.]+\.(?:csv|txt|gz))$", rf"={folder}/\1", w) for w in words]


@pytest.fixture
def two_gpus(monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    monkeypatch.setattr("src.training.checks.compiler_missing", lambda accelerator: None)


# --- commands --------------------------------------------------------------------------------------------------------


def test_the_pages_have_commands() -> None:
    programs = ("python train", "python pretrain", "python search", "absa", "make")
    counts = {program: len(of(program)) for program in programs}
    assert counts["python train"] >= 50 and counts["absa"] >= 14, counts
    assert min(counts.values()) >= 3, counts
    assert sum(page == "README.md" for page, _ in commands()) >= 10


def choice(command: str) -> bool:
    """Whether all that is typed is one choice that there is: tests/test_config.py composes every one of these."""
    typed = re.fullmatch(r"python train\.py ([\w/]+)=(\w+)", command)
    return bool(typed and (ROOT / "conf" / typed[1] / f"{typed[2]}.yaml").is_file())


@pytest.mark.parametrize("command", [c for c in of(r"python train\.py") if not choice(c)])
def test_every_training_command_is_valid(command, tmp_path, two_gpus) -> None:
    """Composed and checked as typed, with files where it names some; of a sweep its first job."""
    words = with_files(words_of(command), tmp_path)
    if " -m " in command:
        words = [re.sub(r"=([^,\[]+),.*", r"=\1", w) for w in words]
    check_config(composed(tmp_path, *as_typed(words)))


@pytest.mark.parametrize("command", of(r"python pretrain\.py"))
def test_every_pretraining_command_is_valid(command, tmp_path, two_gpus) -> None:
    words = as_typed(with_files(words_of(command), tmp_path))
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        config = compose("pretrain", words, return_hydra_config=True)
        with open_dict(config):
            config.hydra.runtime.output_dir = str(tmp_path)
        HydraConfig.instance().set_config(config)
        own = OmegaConf.to_container(config, resolve=False)
        del own["hydra"]
        settings = train.plain(OmegaConf.create(own))
    if not any(word.startswith("data.texts=") for word in words):
        assert "--cfg" in command
        return
    check_pretraining(settings)


@pytest.mark.parametrize("command", of(r"python search\.py", but="docs/settings.md"))
def test_every_search_is_valid(command, tmp_path, monkeypatch) -> None:
    """Composed, parsed and checked at every choice and both ends; then no trial is run. Those that conf/ shows are
    tested with the searches, as they take seconds."""
    monkeypatch.setattr("src.sweeps.trials.work", lambda search, train: None)
    words = [word for word in words_of(command) if not word.startswith("sweep.dir=")]
    assert call(search.main, *words, f"sweep.dir={tmp_path}/s") == 1


@pytest.mark.parametrize("command", of("absa"))
def test_every_absa_command_is_valid(command, monkeypatch) -> None:
    """Parsed as typed; what it would do is not done."""
    words = words_of(command.split(" > ")[0])
    if words == ["--help"]:
        return
    done = []
    owner = next(module for module in (cli, of_files, evaluate) if hasattr(module, f"_{words[0].replace('-', '_')}"))
    monkeypatch.setattr(owner, f"_{words[0].replace('-', '_')}", lambda **options: done.append(options))
    cli.main(words)
    assert len(done) == 1


def test_what_else_is_typed_is_there() -> None:
    """Targets of make, extras of pip, programs and tests."""
    targets = set(re.findall(r"^([\w-]+):", text_of(ROOT / "Makefile"), re.M))
    extras = tomllib.loads(text_of(ROOT / "pyproject.toml"))["project"]["optional-dependencies"]
    for page in PAGES:
        text = text_of(page)
        asked = re.findall(r"(?:^    |`)make (?:ARGS=\S+ )?([\w-]+)", text, re.M)
        assert set(asked) <= targets, name(page)
        assert set(re.findall(r"'\.\[(\w+)\]'", text)) <= extras.keys(), name(page)
        for file in re.findall(r"(?:python|pytest) ((?:benchmarks|tests|docs|data)/[\w/]+\.py)", text):
            assert (ROOT / file).is_file(), f"{name(page)}: {file}"


# --- names -----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def maker():
    spec = importlib.util.spec_from_file_location("make_settings", ROOT / "docs" / "make_settings.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_settings_page_is_that_of_conf(maker) -> None:
    """If not: python docs/make_settings.py."""
    assert maker.page() == text_of(maker.PAGE)


def test_the_settings_page_has_every_setting(maker, tmp_path) -> None:
    """Looked at from the other side: what a run is composed of stands on the page, but for plumbing."""
    page = text_of(maker.PAGE)

    def leaves(value, key):
        if isinstance(value, dict):
            for part in value:
                yield from leaves(value[part], f"{key}.{part}".lstrip("."))
        elif not key.endswith("_target_") and not isinstance(value, list) and "/checkpoints" not in str(value):
            yield key

    plumbing = r"trainer\.default_root_dir|.*\.(seed|monitor|mode|minutes|save_dir)"
    missing = [k for k in leaves(composed(tmp_path, "model=mini"), "") if f"`{k}`" not in page]
    assert [k for k in missing if not re.fullmatch(plumbing, k)] == []


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_settings_and_options_that_are_named_exist(page, maker) -> None:
    """``model.pooling=label`` or ``loss/alpha`` in backticks is a setting, ``--max-drop`` an option of some program."""
    found = [s for f in (ROOT / "conf").rglob("*.yaml") for s in maker.settings(f)]
    known = {s.name.removesuffix(" default") for s in found} | {"hydra.run.dir", "hydra.sweep.dir", "trainer.strategy"}
    known |= {key.rpartition(".")[0] for key in known}
    spans = [word for span in re.findall(r"`([^`\n]+)`", text_of(page)) for word in span.split()]
    groups = "data|task|model|loss|trainer|callbacks|logger|pretraining|sweep"
    named = {m[1] for w in spans if (m := re.fullmatch(rf"((?:{groups})[./][\w./]+)(?:=.*)?", w))}
    files = {n for n in named if n.endswith((".py", ".yaml", ".md", ".onnx", "/")) or (ROOT / n).exists()}
    assert {n for n in named - files if n not in known and "NAME" not in n} == set()
    sources = [*(ROOT / "src").rglob("*.py"), *(ROOT / "benchmarks").glob("*.py"), ROOT / "docs" / "original.md"]
    options = set(re.findall(r"--[a-z][\w-]+", "".join(map(text_of, sources))))
    options |= {"--" + name.replace("_", "-") for name in OPTIONS}
    options |= {"--help", "--cfg", "--local-dir", "--stop-timeout", "--backend-store-uri"}  # of other programs
    assert {w for w in spans if re.fullmatch(r"--[a-z][\w-]+", w)} <= options


# --- links -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_lead_somewhere(page) -> None:
    """Within the project they are relative, to files that are there and to headings that they have."""
    for target in re.findall(r"\]\(([^)\s]+)\)", text_of(page)):
        if target.startswith("https://"):
            continue
        file, _, heading = target.partition("#")
        place = (page.parent / file).resolve() if file else page
        assert place.is_relative_to(ROOT) and place.exists(), f"{name(page)}: {target}"
        if heading:
            titles = re.findall(r"^#+ (.*)$", text_of(place), re.M)
            slugs = [re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles]
            assert heading in slugs, f"{name(page)}: {target}"


def test_every_page_is_linked_from_the_readme() -> None:
    linked = set(re.findall(r"\]\(([\w./-]+)", text_of(ROOT / "README.md")))
    assert {f"docs/{p.name}" for p in (ROOT / "docs").glob("*.md")} <= linked


def test_the_readme_is_short_and_has_a_picture() -> None:
    assert (ROOT / "README.md").stat().st_size <= FIRST_BYTES
    pictures = list((ROOT / "docs" / "images").iterdir())
    assert pictures and all(picture.stat().st_size < 150_000 for picture in pictures)
    assert "](docs/images/" in text_of(ROOT / "README.md")
