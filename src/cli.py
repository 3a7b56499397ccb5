"""The ``absa`` command: what one does with data and runs beside training them."""

import argparse
import os
import sys
from collections.abc import Sequence

from src.errors import UserError


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one sub-command. A user's mistake is printed as it is and ends with exit status 2."""
    parser = argparse.ArgumentParser(prog="absa", description="Aspect-based sentiment of Vietnamese reviews.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _add_check(commands)
    _add_evaluate(commands)
    _add_report(commands)
    _add_compare(commands)
    options = vars(parser.parse_args(arguments))
    options.pop("command")
    run = options.pop("run")
    try:
        run(**options)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    except BrokenPipeError:  # `absa check ... | head`: the reader has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _add_check(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    check = commands.add_parser(
        "check",
        help="check data files before any training",
        description="Read data files the way training does, and report what is wrong or remarkable, with counts. "
        "The first file is the training split, unless the names say otherwise (train, val, dev, test).",
    )
    check.add_argument("files", nargs="+", metavar="FILE", help="CSV, TSV, JSONL or Parquet")
    check.add_argument("--aspects", nargs="+", help="the aspects there may be (default: those of the training file)")
    check.add_argument("--text-column", help="default: data, text, review, comment, content or sentence")
    check.add_argument("--label-column", help="default: label or labels, if there is one")
    check.add_argument("--ignore-columns", nargs="+", default=(), help="columns that are neither text nor aspects")
    check.add_argument("--separator", help="default: a comma, in .tsv a tab")
    check.set_defaults(run=_check)


def _add_evaluate(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    evaluate = commands.add_parser(
        "evaluate",
        help="figures of a run, with intervals and baselines",
        description="Judge a run on its test split, or on any labelled file: figures with bootstrap intervals, beside "
        "trivial answers and tf-idf with logistic regression; per aspect; calibration.",
    )
    evaluate.add_argument("run_folder", metavar="RUN", help="the folder that a training wrote")
    evaluate.add_argument("file", nargs="?", metavar="FILE", help="a labelled data file (default: the test split)")
    evaluate.add_argument("--protocol", help="also a published protocol of UIT-ViSFD: visfd-paper or visfd-9")
    evaluate.set_defaults(run=_evaluate)


def _add_report(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    report = commands.add_parser(
        "report",
        help="RUN/report.html and the model card RUN/README.md",
        description="Write one self-contained page of everything that is known of a run (figures, baselines, errors, "
        "suspected label errors), and its model card.",
    )
    report.add_argument("run_folder", metavar="RUN", help="the folder that a training wrote")
    report.set_defaults(run=_report)


def _add_compare(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    compare = commands.add_parser(
        "compare",
        help="put runs side by side, best first",
        description="Compare runs on one test set: figures, mean and deviation over seeds, paired bootstrap of the "
        "difference, what differs in their settings, which reviews changed. A multirun folder is a set of runs.",
    )
    compare.add_argument("folders", nargs="+", metavar="RUN", help="folders of runs, or of a multirun")
    compare.add_argument("--by", help="group the runs that differ in this setting only, e.g. seed")
    compare.set_defaults(run=_compare)


def _evaluate(run_folder: str, file: str | None, protocol: str | None) -> None:
    if file is None:
        from src.judge.evaluation import evaluate_run

        print(evaluate_run(run_folder, protocol=protocol))
        return
    from src.judge.evaluation import evaluate_predictions
    from src.judge.inference import predict_file
    from src.runs import Run

    run = Run(run_folder)
    print(evaluate_predictions(run, predict_file(run, file), file, protocol))


def _report(run_folder: str) -> None:
    from src.judge.card import write_card
    from src.judge.report import write_report

    print(write_report(run_folder))
    print(write_card(run_folder))


def _compare(folders: list[str], by: str | None) -> None:
    from src.judge.compare import compare_runs

    print(compare_runs(folders, by=by))


def _check(files: list[str], **options: object) -> None:
    from src.data_report import check_files

    print(check_files(files, **options))


if __name__ == "__main__":
    main()
