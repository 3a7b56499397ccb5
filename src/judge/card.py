"""The model card: RUN/README.md in the format of the Hugging Face hub, written from the run's summary."""

from collections.abc import Sequence
from pathlib import Path

from huggingface_hub import EvalResult, ModelCardData

from ..answers.figures import FIGURES, told_left_out
from ..answers.predictions import read_predictions
from ..runs.machine import told_as, write_whole
from ..runs.run import Run
from ..runs.summary import Summary
from . import words
from .contracts import Evaluation
from .evaluation import evaluation, shown_split
from .html import printable, templates
from .judgement import MODEL
from .places import without_places


def write_card(folder: str | Path) -> Path:
    """Write RUN/README.md; its path. Raises UserError as :func:`src.judge.report.write_report`."""
    path = Path(folder) / "README.md"
    content = card_of(Run(folder))
    with told_as(path, "give the command again"):
        write_whole(path, content)
    return path


def card_of(run: Run) -> str:
    """The model card of a finished run, in Markdown. Raises UserError as :func:`write_card`."""
    summary = run.read_summary()
    split = shown_split(summary)
    judged = evaluation(run, read_predictions(run.predictions(split), run.labels), split)
    cut = without_places(summary, str(run.folder.resolve()))
    told = cut(summary)
    environment = templates(autoescape=False)  # in Markdown the filter `plain` escapes foreign text
    environment.filters |= {
        "plain": as_markdown,
        "code": code,
        "number": lambda value: "–" if value is None else f"{value:.3f}",
        "filename": lambda path: Path(path).name,
        "one_line": lambda text: " ".join(printable(text).split()),
    }
    text: str = environment.get_template("card.md.j2").render(
        front_matter=front_matter(run.folder.resolve().name, summary, judged),
        name=run.folder.resolve().name,
        summary=told,
        e=judged | {"notes": cut(judged["notes"])},
        split=words.SPLITS[split],
        words=words,
        told_left_out=told_left_out,
        sentiments=run.labels.sentiments,
        totals=[sum(column) for column in zip(*summary["class_counts"], strict=True)],
        alpha=words.alpha_rows(told),
    )
    return text


def front_matter(name: str, summary: Summary, e: Evaluation) -> str:
    """What the hub reads, as YAML: language, task, base model, and the results as its model-index has them."""
    encoder = summary.get("encoder", {})
    base = encoder.get("name", "")
    on_hub = encoder.get("pretrained") and base.count("/") == 1 and not base.startswith((".", "/", "~"))
    on_hub = on_hub and not Path(base).is_dir()
    results = [
        EvalResult(
            task_type="text-classification",
            task_name="Aspect-based sentiment analysis",
            dataset_type="custom",
            dataset_name=dataset(summary),
            dataset_split=words.SPLITS[e["split"]],
            metric_type="accuracy" if "accuracy" in figure else "f1",
            metric_name=figure,
            metric_value=e["all"]["figures"][MODEL][figure],
        )
        for figure in FIGURES[e["task"]]
    ]
    card = ModelCardData(
        language="vi",
        pipeline_tag="text-classification",
        base_model=base if on_hub else None,
        tags=["aspect-based-sentiment-analysis", "vietnamese", "pytorch-lightning"],
        metrics=["f1", "accuracy"],
        model_name=name,
        eval_results=results,
    )
    return f"{card.to_yaml()}\n"


def dataset(summary: Summary) -> str:
    """The folder or file that the training split came from."""
    path = Path(next(iter(summary["data"]["splits"].values()))["path"])
    return printable(path.parent.name or path.stem)


def as_markdown(value: object) -> str:
    """``value`` escaped so that Markdown shows it as plain text, in a table's cell too."""
    text = " ".join(printable(str(value)).split())
    for letter in "\\`*_[]<>|#~$":
        text = text.replace(letter, {"<": "&lt;", ">": "&gt;"}.get(letter, "\\" + letter))
    return text


def code(value: object) -> str:
    """``value`` as inline code, in a table's cell too."""
    text = " ".join(printable(str(value)).split()).replace("|", "\\|")
    longest = max((len(run) for run in _runs(text)), default=0)
    fence, space = "`" * (longest + 1), " " * bool(longest)
    return f"{fence}{space}{text}{space}{fence}"


def _runs(text: str) -> Sequence[str]:
    """The runs of backticks in a text."""
    return [run for run in "".join(c if c == "`" else " " for c in text).split() if run]
