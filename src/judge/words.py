"""What the figures mean, in words, and how a number, a share and a name are written in reports."""

from collections.abc import Mapping
from typing import Any

from ..runs.summary import Summary, TeacherFacts
from ..spelling import command as command_line
from .contracts import Evaluation
from .leaks import leak_sentence

FIGURE_NAMES = {
    "pair_f1": "Aspects with their sentiments",
    "pair_f1_per_aspect": "Pairs, mean over aspects",
    "pair_f1_macro": "Pairs, mean over classes",
    "aspect_f1_micro": "Aspect detection, micro",
    "aspect_f1_macro": "Aspect detection, macro",
    "sentiment_f1": "Sentiments, aspects given",
    "sentiment_f1_per_aspect": "Sentiments, mean over aspects",
    "sentiment_accuracy": "Sentiment accuracy",
    "neutral_f1": "Neutral sentiment",
}
FIGURE_WORDS = {
    "pair_f1": "Micro F1 of (aspect, sentiment) pairs from the text alone: both have to be right.",
    "pair_f1_per_aspect": "The mean over aspects of the F1 of each aspect’s pairs, as some papers report it.",
    "pair_f1_macro": "The mean over (aspect, sentiment) classes of the F1 of each, as other papers report it.",
    "aspect_f1_micro": "Micro F1 of which aspects a review mentions.",
    "aspect_f1_macro": "The mean over aspects, labelled or detected, of the F1 of detecting each: rare ones count as "
    "much as frequent ones.",
    "sentiment_f1": "Macro F1 over the sentiments that are labelled or predicted, the mentioned aspects being given.",
    "sentiment_f1_per_aspect": "The mean over aspects of the macro F1 over the sentiments in the aspect's labels.",
    "sentiment_accuracy": "The share of mentioned aspects with the right sentiment, the aspects being given.",
    "neutral_f1": "F1 of neutral alone, the aspects being given.",
}
MICRO_F1 = (
    "F1 is the harmonic mean of precision (the share of the given answers that are right) and recall (the share of the "
    "labelled ones that are found). Micro: all aspects are counted together, so frequent ones weigh more."
)
ANSWER_WORDS = {
    "model": "the model, at its detection thresholds: tuned on validation where that pays, else 0.5",
    "model at 0.5": "the same model, where every detection threshold is 0.5",
    "tf-idf": "tf-idf of words and characters with logistic regression, trained on the same training split",
    "all absent": "says that nothing is mentioned",
    "all mentioned": "says that every aspect is mentioned, with its most frequent sentiment in training",
    "most frequent sentiment": "says each aspect's most frequent sentiment in training",
}
SPLITS = {"test": "test", "val": "validation"}


def other_encoder(summary: Summary) -> str | None:
    """A warning sentence if the encoder is the small one or not pre-trained, else None."""
    encoder = summary.get("encoder", {})
    if encoder.get("pretrained", True) and encoder.get("name") != "mini":
        return None
    began = "is the small one of this project" if encoder.get("pretrained") else "started from random weights"
    return (
        f"The encoder {began}, so these figures say nothing about pre-trained ViSoBERT. "
        "To train that one: model=visobert."
    )


def leak_warning(e: Evaluation) -> str | None:
    """The warning sentence that judged texts were trained on, else None."""
    return leak_sentence(e["trained_on"], e["reviews"]).removeprefix("WARNING: ") if e["trained_on"] else None


def training_command(summary: Summary) -> str:
    """The command that trains such a run again."""
    overrides = [o for o in summary.get("overrides", []) if not o.startswith("ckpt_path=")]
    return command_line("train.py", overrides, here=False)


def run_facts(summary: Summary) -> dict[str, str]:
    """What was trained, on what, for how long: name -> words, for the facts that the summary has."""
    encoder, epochs, seconds = summary.get("encoder"), summary.get("epochs"), summary.get("seconds", {})
    loss, environment = summary.get("loss", {}), summary.get("environment", {})
    told = {
        "Task": TASKS[summary["task"]],
        "Encoder": f"{encoder['name']}: {encoder['weights']}" if encoder else None,
        "Parameters": f"{summary['parameters']:,}" if "parameters" in summary else None,
        "Loss": _loss(loss) if "_target_" in loss else None,
        "Learned from": taught(summary["teacher"]) if "teacher" in summary else None,
        "Epochs": f"{epochs['run']} of {epochs['asked']}" if epochs else None,
        "Monitored figure": f"{summary['monitor']}, best {summary['best']:.4f}" if "best" in summary else None,
        "Training time": _duration(seconds["fit"]) if "fit" in seconds else None,
        "Tokens per second": f"{summary['tokens_per_second']:,.0f}" if "tokens_per_second" in summary else None,
        "Device": " ".join([summary["device"], f"({summary['precision']})"]) if "device" in summary else None,
        "Commit": environment.get("commit"),
    }
    return {name: value for name, value in told.items() if value}


def taught(teacher: TeacherFacts) -> str:
    """``outputs/a, outputs/b (weight 0.5, temperature 2)``: what was learned from beside the labels."""
    return f"{', '.join(teacher['runs'])} (weight {teacher['weight']:g}, temperature {teacher['temperature']:g})"


TASKS = {"absa": "absa: detect the aspects, say their sentiments", "sentiment": "sentiment: the aspects are given"}


def versions(summary: Summary) -> dict[str, str]:
    """Versions of Python, platform and packages with which the figures were made."""
    environment = summary.get("environment", {})
    if not environment:
        return {}
    return {"Python": environment["python"], "Platform": environment["platform"], **environment["packages"]}


def alpha_rows(summary: Summary) -> tuple[str, list[list[float]]]:
    """How the class weights were set, and the weights: none, one row of [C], or [A] rows of them."""
    loss = summary.get("loss", {})
    asked, alpha = loss.get("alpha_setting"), loss.get("alpha")
    if "alpha" not in loss and loss:
        return "this loss takes none", []
    if not isinstance(alpha, list):
        return "equal weights" if alpha is None else str(alpha), []
    rows = alpha if alpha and isinstance(alpha[0], list) else [alpha]
    return (asked if isinstance(asked, str) else "as given"), rows


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{seconds:.1f} s"


def _loss(loss: Mapping[str, Any]) -> str:
    """The loss's own description; for older runs, which have none, its settings."""
    known = {k: v for k, v in loss.items() if k not in ("_target_", "alpha", "alpha_setting")}
    by_settings = f"{loss['_target_'].rpartition('.')[2]}({', '.join(f'{k}={v}' for k, v in known.items())})"
    return str(loss.get("description", by_settings))
