"""The ``absa`` command: everything one does with data, runs and bundles, apart from training."""

import argparse
import errno
import os
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

from .data.files import FORMATS, named_format
from .data.options import FILE_KINDS, LISTS, add_file_options, given_options
from .errors import UserError, print_lines, refuse, shown
from .runs.machine import end_at_once, is_full, write_any_letter
from .ship.commands import add_label_config, add_push, add_summary, add_suspects
from .ship.evaluate import Commands, add_evaluate, add_revision
from .ship.http.limits import Limits, add_limits
from .ship.predict.options import add_predict
from .spelling import as_options, one_by_one

TRAIN = "torch lightning transformers hydra omegaconf torchmetrics sentencepiece sklearn scipy google onnx"
SERVE = "onnxruntime huggingface_hub fastapi starlette pydantic uvicorn prometheus_client tqdm"
EXTRAS = {  # package that a sub-command imports beyond the base: the extra of pyproject.toml that brings it
    **dict.fromkeys([*TRAIN.split(), "onnxscript", "jinja2"], "train"),
    **dict.fromkeys(SERVE.split(), "serve"),
    "openpyxl": "excel",
}


class Parser(argparse.ArgumentParser):
    """argparse prints some of the words that it refuses as they came."""

    def error(self, message: str) -> NoReturn:
        """Print the message, without what a terminal would act on, and end with exit status 2."""
        super().error(shown(message))


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one sub-command. A user's mistake (UserError) is printed without a traceback; the exit status is 2."""
    write_any_letter()
    end_at_once()
    parser = Parser(prog="absa", description="Aspect-based sentiment of Vietnamese reviews.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _add_check(commands)
    _add_convert(commands)
    add_evaluate(commands)
    _add_report(commands)
    _add_compare(commands)
    _add_export(commands)
    add_predict(commands).set_defaults(run=_predict)
    _add_serve(commands)
    add_suspects(commands)
    add_label_config(commands)
    add_summary(commands)
    add_push(commands)
    words = list(sys.argv[1:] if arguments is None else arguments)
    if words[:1] in (["check"], ["convert"], ["evaluate"], ["suspects"], ["label-config"]):
        words = one_by_one(words, LISTS, lambda word: named_format(word)[0] in FORMATS)
    found, more = parser.parse_known_args(words)
    options = vars(found)
    if options.pop("command") in (
        "check",
        "convert",
        "suspects",
        "label-config",
    ):  # argparse takes only the files before the first option
        options["files"] += [word for word in more if not word.startswith("-")]
        more = [word for word in more if word.startswith("-")]
    if more:
        parser.error(f"unrecognized arguments: {' '.join(more)}")
    run = options.pop("run")
    try:
        run(**options)
    except UserError as error:
        refuse(error)
    except ModuleNotFoundError as error:
        package = (error.name or "").split(".")[0]
        if package not in EXTRAS:
            raise
        refuse(f"{package} is not installed; pip install '.[{EXTRAS[package]}]'")
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        raise SystemExit(130) from None
    except BrokenPipeError:  # `absa check ... | head` closes the pipe; the flush at exit must not fail
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            refuse(f"{error.filename}: the name is too long for this file system; give a shorter one")
        if not is_full(error):
            raise
        where = error.filename or "standard output or a temporary file"
        refuse(f"{where}: cannot be written ({error.strerror}); make room, then give the command again")


def _add_check(commands: Commands) -> None:
    check = commands.add_parser(
        "check",
        help="check data files before any training",
        description="Read data files the way training does, and report what is wrong or remarkable, with counts. "
        "The first file is the training split, unless the names say otherwise (train, val, dev, test).",
    )
    check.add_argument("files", nargs="*", metavar="FILE", help=FILE_KINDS)
    add_file_options(check)
    check.set_defaults(run=_check)


def _add_convert(commands: Commands) -> None:
    convert = commands.add_parser(
        "convert",
        help="write files of any layout as one table of this project",
    )
    convert.add_argument("files", nargs="*", metavar="FILE", help=FILE_KINDS)
    convert.add_argument("-o", "--out", required=True, metavar="TABLE", help=".csv, .tsv, .jsonl, .xlsx or .parquet")
    convert.add_argument("--overwrite", action="store_true", help="replace TABLE")
    convert.set_defaults(run=_convert)
    add_file_options(convert)


def _add_report(commands: Commands) -> None:
    report = commands.add_parser(
        "report",
        help="RUN/report.html and the model card RUN/README.md",
        description="Write one self-contained page of everything that is known of a run (figures, baselines, errors, "
        "suspected label errors), and its model card.",
    )
    report.add_argument("run_folder", metavar="RUN", help="the folder that a training wrote")
    report.add_argument(
        "--robustness",
        action="store_true",
        help="judge every kind of noise, however long it takes (default: those that can be answered in a minute)",
    )
    report.set_defaults(run=_report)


def _add_compare(commands: Commands) -> None:
    compare = commands.add_parser(
        "compare",
        help="put runs side by side, best on validation first",
        description="Compare runs on one test set: figures, mean and deviation over seeds, differences with intervals "
        "over reviews and seeds, which reviews changed. A multirun folder is a set of runs.",
    )
    compare.add_argument("folders", nargs="+", metavar="RUN", help="folders of runs, or of a multirun")
    compare.add_argument("--by", help="average the runs that differ in this setting or group only, e.g. seed, loss")
    compare.set_defaults(run=_compare)


def _add_export(commands: Commands) -> None:
    export = commands.add_parser(
        "export",
        help="write a bundle: the model as it leaves training, without torch",
        description="Write a run's best checkpoint as a bundle: ONNX model, tokenizer, labels, thresholds, "
        "temperatures, model card. Nothing is written unless ONNX and torch decide alike on real texts.",
    )
    export.add_argument("run_folder", metavar="RUN", help="the folder that a training wrote")
    export.add_argument("-o", "--out", required=True, metavar="BUNDLE", help="the folder to write")
    export.add_argument("--overwrite", action="store_true", help="replace the bundle of another run in BUNDLE")
    export.add_argument("--int8", action="store_true", help="int8 weights: a quarter of the size, often faster")
    export.add_argument(
        "--max-drop",
        type=float,
        default=0.5,
        metavar="POINTS",
        help="refuse int8 when the monitored figure falls further on the validation split (default: %(default)s)",
    )
    export.set_defaults(run=_export)


def _add_serve(commands: Commands) -> None:
    serve = commands.add_parser(
        "serve",
        help="answer over HTTP, with a page to try it",
        description="Serve a bundle: POST /predict, /explain; GET /labels, /health, /ready, /metrics, /openapi.json; "
        "a demo page at /. SIGTERM or Ctrl-C stops it, once what was accepted is answered.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    serve.add_argument("bundle", metavar="BUNDLE", help="the folder that absa export wrote, or its name on the hub")
    add_revision(serve)
    serve.add_argument("--port", type=int, default=8000, help="0: any that is free")
    serve.add_argument("--host", default="127.0.0.1", help="0.0.0.0: reachable from other machines, by anyone")
    serve.add_argument("--threads", type=int, help="of the model; None: the cores that the process may use")
    add_limits(serve)
    serve.add_argument(
        "--cors", action="append", default=[], metavar="ORIGIN", help="pages that may ask, e.g. https://shop.example"
    )
    serve.add_argument("--log-texts", action="store_true", help="write the texts that are asked about to the log")
    serve.set_defaults(run=_serve)


def _report(run_folder: str, robustness: bool) -> None:
    from .judge.card import write_card
    from .judge.report import write_report

    print_lines(write_report(run_folder, robustness))
    print_lines(write_card(run_folder))


def _compare(folders: list[str], by: str | None) -> None:
    from .judge.compare import compare_runs

    print_lines(compare_runs(folders, by=by))


def _export(run_folder: str, out: str, int8: bool, max_drop: float, overwrite: bool) -> None:
    from .ship.export import export_run

    print_lines(export_run(run_folder, out, int8, max_drop, overwrite))


def _predict(**options: Any) -> None:
    from .ship.predict.command import predict_file

    with as_options():
        if status := predict_file(options.pop("model"), options.pop("file"), options.pop("out"), **options):
            raise SystemExit(status)


def _serve(
    bundle: str,
    host: str,
    port: int,
    threads: int | None,
    cors: list[str],
    log_texts: bool,
    revision: str | None,
    **bounds: Any,
) -> None:
    from .ship.http.server import serve

    serve(bundle, host, port, threads, log_texts, Limits(**bounds), cors, revision)


def _check(files: list[str], **options: Any) -> None:
    from .data.report import check_files

    with as_options():
        print_lines(check_files(files, **given_options(options)))


def _convert(files: list[str], out: str, overwrite: bool, **options: Any) -> None:
    from .data.convert import convert

    with as_options():
        print_lines(convert(files, out, overwrite, **given_options(options)))


if __name__ == "__main__":
    main()
