"""What judging returns, plain data: printed by :mod:`src.judge.text`, drawn by the report, read by the model card."""

from typing import Any, TypedDict

from ..runs.summary import Confusion, Cuts, Temperatures

Numbers = dict[str, float | None]  # figure -> value; None if it is not defined for the answer
Intervals = dict[str, list[float]]  # figure -> [low, high], of the model


class Measured(TypedDict):
    """Figures of every answer, and the intervals of the model's."""

    figures: dict[str, Numbers]  # by answer
    intervals: Intervals
    left_out: dict[str, list[str]]  # by macro figure, of the model: aspects or sentiments that do not occur


class Section(Measured):
    """Figures over a subset of the reviews, and the size of the subset."""

    reviews: int


class Slice(TypedDict):
    """The model's figures over a part of the reviews: :mod:`src.judge.slices`."""

    by: str  # length, diacritics, aspects, stars
    name: str
    reviews: int
    figures: Numbers  # None where the part's labels have nothing to compare
    intervals: Intervals  # none of a single review, whose draws are all alike
    tfidf: float | None  # tf-idf's figure of the same name as the first of ``figures``


class Noised(TypedDict):
    """The model's figures over the same reviews in a kind of noise: :mod:`src.judge.robustness`."""

    kind: str
    example: str  # a sentence in this noise
    changed: int  # reviews that the noise changes
    figures: dict[str, float]
    intervals: Intervals
    difference: float  # of the figure that ranks, minus that of the reviews as they are
    difference_interval: list[float]  # paired, over reviews
    tfidf: float | None  # tf-idf's figure that ranks, in the same noise


class Robustness(TypedDict):
    """Every kind of noise that was judged, and those for which there was no time."""

    figure: str  # the one that ranks: pair_f1, or sentiment_f1 of task sentiment
    seed: int  # of the noise
    kinds: list[Noised]
    skipped: list[str]


class ProtocolFigures(Measured):
    """Figures under a published protocol of UIT-ViSFD."""

    words: str
    published: dict[str, float]
    source: str


class CalibrationFigures(TypedDict):
    """The temperatures, and the reliability of each head without and with them."""

    temperatures: Temperatures
    before: dict[str, dict[str, Any]]  # as src.answers.calibration.reliability gives them
    after: dict[str, dict[str, Any]]


class Bootstrap(TypedDict):
    """How intervals were drawn."""

    draws: int
    level: float
    seed: int


class Evaluation(TypedDict):
    """A run judged by its predictions: every figure, its interval, and the same figure of every baseline."""

    run: str
    task: str
    split: str
    reviews: int
    silent: int  # those that mention no aspect
    pairs: int
    aspects: list[str]
    without_sentiment: list[str]
    sentiments: list[str]
    answers: list[str]  # in the order of the tables: "model", "model at 0.5", then the baselines
    all: Section  # every review
    mixed: Section  # the reviews that mix sentiments
    unseen: Section  # the reviews whose texts were not trained on; empty where all are such
    trained_on: int | None  # reviews whose texts were trained on; None if that is not known
    slices: list[Slice]
    worst: Slice | None  # the slice with the lowest figure, of those that are large enough
    robustness: Robustness | None  # None where it was not asked for
    per_aspect: dict[str, list[dict[str, Any]]]  # answer -> rows of src.answers.figures.per_aspect, with "confusion"
    confusion: Confusion  # of the model over all gold pairs, gold aspects given
    thresholds: Cuts  # on uncalibrated probabilities
    calibration: CalibrationFigures
    protocols: dict[str, ProtocolFigures]  # empty for other data than UIT-ViSFD
    bootstrap: Bootstrap
    notes: list[str]  # sentences a reader should see


class Difference(TypedDict):
    """One figure's difference, its interval and its p-value, over reviews and, where they are known, seeds."""

    value: float
    low: float
    high: float
    p: float
    p_holm: float  # corrected for the number of rows


class Changes(TypedDict):
    """Indices of reviews: ``lost`` are right in the first row and wrong here, ``gained`` the reverse."""

    lost: list[int]
    gained: list[int]


class Compared(TypedDict):
    """A row of a comparison: a run, or several that differ in one setting."""

    name: str  # the settings that tell it from the others, as one types them; else its folders
    runs: list[str]  # folders
    settings: dict[str, Any]  # what differs between the rows
    validation: float | None  # the ranking figure on validation, mean over the runs
    figures: dict[str, float]  # on test, means over the runs
    unseen: dict[str, float]  # the same without the texts that a run was trained on; empty where there are none
    sd: dict[str, float | None]  # sample standard deviation over the runs; None of one run
    difference: dict[str, Difference] | None  # this row minus the first; None for the first
    changes: Changes | None


class Comparison(TypedDict):
    """Runs beside each other on one test set, in the order of validation, the best row first."""

    reviews: int
    trained_on: int  # reviews of them whose text a run was trained on
    task: str
    figure: str  # the one that ranks: pair_f1, or sentiment_f1 where a run has task sentiment
    ranked_by: str  # validation, or test
    rows: list[Compared]
    differs: dict[str, list[Any]]  # setting or group -> value of each run, in the order of "folders"
    folders: list[str]
    notes: list[str]
