"""``summary.json``, the contract of training, judging and shipping. Reading a run holds the file against it."""

from typing import Any, Literal, NotRequired, TypedDict

Figures = dict[str, dict[str, float]]  # split -> figure -> value
Confusion = list[list[int]]  # [C][C], gold sentiment x predicted sentiment


class LabelNames(TypedDict):
    """The aspects and the sentiments, in the order of every list over them."""

    aspects: list[str]
    without_sentiment: list[str]
    sentiments: NotRequired[list[str]]  # positive, negative, neutral where it is missing


class EncoderFacts(TypedDict):
    """Which encoder was trained."""

    name: str
    weights: str  # where they came from, in words
    pretrained: bool
    why: NotRequired[str]
    settings: NotRequired[dict[str, Any]]  # of the group model, as given: encoder, pretrained, size, ...
    sha256: NotRequired[str]  # of pre-trained weights, whatever file they came from


class TeacherFacts(TypedDict):
    """The runs that a model learned from beside the labels."""

    runs: list[str]
    logits: str  # a hash of their mean logits for the training reviews
    weight: float
    temperature: float


class SplitFacts(TypedDict):
    """The fields of :class:`src.data.findings.SplitFindings` that are read from the file again."""

    path: str
    sha256: str


class DataFacts(TypedDict):
    """The fields of :class:`src.data.findings.Findings` that are read from the file again."""

    splits: dict[str, SplitFacts]
    leaks: NotRequired[dict[str, dict[str, Any]]]
    notes: NotRequired[list[str]]


class Environment(TypedDict):
    """Versions, platform and commit that the figures were made with."""

    python: str
    platform: str
    packages: dict[str, str]
    commit: str | None


class Temperatures(TypedDict):
    """What logits are divided by; ``mentioned`` is None for task ``sentiment``."""

    sentiment: float
    mentioned: float | None


Cuts = TypedDict("Cuts", {"global": float, "per_aspect": list[float]})  # detection thresholds


class TrainedOn(TypedDict):
    """How many reviews of a split have a text that was trained on, and the figures without them (none if all are)."""

    reviews: int
    figures: dict[str, float]


class Judged(TypedDict):
    """What judging the best checkpoint gives. ``best`` is the monitored figure as training computed it."""

    best: float
    figures: Figures  # at the tuned thresholds
    figures_untuned: Figures
    left_out: dict[str, dict[str, list[str]]]  # split -> macro figure -> the aspects or sentiments that do not occur
    per_aspect: dict[str, list[dict[str, Any]]]  # split -> rows of src.answers.figures.per_aspect
    confusion: dict[str, Confusion]  # split -> over all gold pairs
    thresholds: Cuts
    calibration: Temperatures
    trained_on: dict[str, TrainedOn]  # split -> its reviews whose texts are training texts


Written = str | int | float | None  # of a text that YAML may take for a number


class Reading(TypedDict, total=False):
    """How files were read: fields of :class:`src.data.reviews.Columns`, among the settings ``data``."""

    text_column: Written
    label_column: Written
    ignore_columns: list[Any]
    separator: Written
    values: dict[str, Any] | Written
    several: Written
    unlabelled: Literal["keep", "drop"]
    encoding: Written
    sheet: Written
    layout: Written


class Summary(TypedDict):
    """``summary.json`` of a training. Keys that an older version did not write are not required."""

    task: Literal["absa", "sentiment"]
    labels: LabelNames
    monitor: str
    threshold: float
    figures: Figures
    class_counts: list[list[int]]  # [A][C] in the training split
    data: DataFacts
    config: dict[str, Any]
    best: NotRequired[float]
    figures_untuned: NotRequired[Figures]
    left_out: NotRequired[dict[str, dict[str, list[str]]]]
    per_aspect: NotRequired[dict[str, list[dict[str, Any]]]]
    confusion: NotRequired[dict[str, Confusion]]
    thresholds: NotRequired[Cuts]
    calibration: NotRequired[Temperatures]
    encoder: NotRequired[EncoderFacts]
    parameters: NotRequired[int]
    loss: NotRequired[dict[str, Any]]  # as configured, with the resolved ``alpha`` and ``alpha_setting``
    teacher: NotRequired[TeacherFacts]
    mention_counts: NotRequired[list[int]]
    precision: NotRequired[str]
    seconds: NotRequired[dict[str, float]]
    epochs: NotRequired[dict[str, int]]
    steps: NotRequired[int]
    processes: NotRequired[int]
    tokens_per_second: NotRequired[float]
    device: NotRequired[str]
    overrides: NotRequired[list[str]]
    choices: NotRequired[dict[str, str]]  # group of conf/ -> the choice
    trained_on: NotRequired[dict[str, TrainedOn]]
    environment: NotRequired[Environment]


class PretrainingSummary(TypedDict):
    """``summary.json`` of a pre-training."""

    figures: dict[str, float]
    encoder: EncoderFacts
    texts: dict[str, int | str]
    tokens: dict[str, int]
    steps: int
    seconds: float
    device: str
    precision: str
    overrides: list[str]
    config: dict[str, Any]
    environment: Environment
