"""``absa evaluate``: a run or a bundle, on the run's test split or on any labelled file."""

from pathlib import Path
from typing import Any

from ..data.files import is_there
from ..data.options import OF_A_RUN, OPTIONS, add_file_options, given_options
from ..errors import Faults, UserError, print_lines
from ..spelling import as_options

Commands = Any  # what argparse returns for sub-commands is no public type


def add_evaluate(commands: Commands) -> None:
    """Add the sub-command to those of ``absa``."""
    evaluate = commands.add_parser(
        "evaluate",
        help="figures of a run or a bundle, with intervals and baselines",
        description="Judge a run on its test split, or on any labelled file: figures with bootstrap intervals, beside "
        "trivial answers and tf-idf with logistic regression; per aspect; by length, marks, number of aspects and "
        "stars; calibration.",
    )
    evaluate.add_argument("run_folder", metavar="RUN", help="the folder that a training wrote, or a bundle with a FILE")
    evaluate.add_argument("file", nargs="?", metavar="FILE", help="a labelled data file (default: the test split)")
    evaluate.add_argument("--protocol", help="also a published protocol of UIT-ViSFD: visfd-paper or visfd-9")
    evaluate.add_argument(
        "--robustness",
        action="store_true",
        help="also judge the same reviews in noise: without diacritics, with typing errors and so on (up to 8 times "
        "the work of answering them)",
    )
    add_file_options(evaluate, *(name for name in OPTIONS if name not in OF_A_RUN))
    evaluate.set_defaults(run=_evaluate)


def _evaluate(run_folder: str, file: str | None, protocol: str | None, robustness: bool, **columns: Any) -> None:
    given = given_options(columns)
    if file is None and given:
        raise UserError(f"--{next(iter(given)).replace('_', '-')} says how FILE is read, and there is no FILE")
    if file is not None:  # before what takes seconds to import
        faults = Faults()
        is_there(file, faults)
        faults.raise_if_any()
    from .bundle import INFO

    if (Path(run_folder) / INFO).is_file():
        from .judged import evaluate_bundle

        with as_options():
            print_lines(evaluate_bundle(run_folder, file, protocol, robustness, **given))
        return
    if file is None:
        from ..judge.evaluation import evaluate_run

        print_lines(evaluate_run(run_folder, protocol=protocol, in_noise=robustness))
        return
    from ..runs.run import Run

    run = Run(run_folder)
    run.read_summary()
    from ..judge.evaluation import evaluate_predictions
    from ..judge.inference import predict_labelled

    with as_options():
        predictions, findings = predict_labelled(run, file, **given)
    tables = evaluate_predictions(run, predictions, file, protocol, given, robustness)
    print_lines("\n\n".join(["\n".join(findings), tables]))
