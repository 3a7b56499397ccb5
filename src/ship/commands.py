"""The arguments of ``absa suspects``, ``label-config``, ``summary`` and ``push``, and what these commands call."""

import sys
from typing import Any

from ..data.options import FILE_KINDS, add_file_options, given_options
from ..errors import print_lines, shown
from ..spelling import as_options
from .evaluate import Commands


def add_suspects(commands: Commands) -> None:
    """The arguments of ``absa suspects``."""
    suspects = commands.add_parser(
        "suspects",
        help="labels of a training file that look wrong",
        description="Train the small encoder on parts of the file and ask it about the rest, in turn; then list the "
        "labels that it contradicts, the most suspicious first, each kind of mistake in its turn.",
    )
    suspects.add_argument("files", nargs="*", metavar="FILE|RUN", help="labelled files, or the folder of a run")
    kinds = "the file to write: .csv or .xlsx; .json: tasks of Label Studio, a review each"
    suspects.add_argument("-o", "--out", required=True, metavar="SUSPECTS", help=kinds)
    suspects.add_argument("--overwrite", action="store_true", help="replace SUSPECTS")
    suspects.add_argument(
        "--format",
        dest="output_format",
        choices=("csv", "xlsx", "label-studio"),
        help="default: by the name of SUSPECTS",
    )
    suspects.add_argument("--folds", type=int, default=5, help="parts of the file (default: %(default)s)")
    suspects.add_argument("--seed", type=int, default=0, help="of the parts and the trainings (default: %(default)s)")
    suspects.add_argument("--epochs", type=int, help="of each training (default: by the number of reviews)")
    add_file_options(suspects)
    suspects.set_defaults(run=_suspects)


def add_label_config(commands: Commands) -> None:
    """The arguments of ``absa label-config``."""
    config = commands.add_parser(
        "label-config",
        help="the labelling configuration for Label Studio",
        description="Print the labelling configuration (XML) of a Label Studio project for a model's aspects and "
        "sentiments, or for those of labelled files.",
    )
    kinds = f"a model, or labelled files: {FILE_KINDS}; or none, and --aspects"
    config.add_argument("files", nargs="*", metavar="RUN|BUNDLE|FILE", help=kinds)
    add_file_options(config)
    config.set_defaults(run=_label_config)


def add_summary(commands: Commands) -> None:
    """The arguments of ``absa summary``."""
    summary = commands.add_parser(
        "summary",
        help="shares of each sentiment in a file of answers",
        description="Count what absa predict found, by aspect and by any column, and correct the shares for the "
        "model's errors on validation: a table (CSV) and a page (HTML) with intervals.",
    )
    summary.add_argument("answers", metavar="ANSWERS", help="the file that absa predict wrote")
    summary.add_argument("--model", metavar="RUN|BUNDLE", help="what gave the answers; its errors correct the shares")
    summary.add_argument("--by", metavar="COLUMN", help="a column, or week, month, year for the only column of dates")
    summary.add_argument("--every", choices=("week", "month", "year"), help="group the dates in COLUMN")
    summary.add_argument("-o", "--out", metavar="PAGE", help="default: ANSWERS.summary.html; the CSV stands beside it")
    summary.add_argument("--overwrite", action="store_true", help="replace PAGE and its CSV")
    summary.set_defaults(run=_summary)


def add_push(commands: Commands) -> None:
    """The arguments of ``absa push``."""
    push = commands.add_parser(
        "push",
        help="put a bundle on the Hugging Face hub",
        description="Put a bundle into a repository of the hub, in one commit, with its model card and, where the run "
        "that it was made of is at hand, the encoder as safetensors. absa predict, serve and evaluate then take "
        "user/name for it. Who you are the hub knows from `hf auth login` or HF_TOKEN.",
    )
    push.add_argument("bundle", metavar="BUNDLE", help="the folder that absa export wrote")
    push.add_argument("name", metavar="USER/NAME", help="the repository; it is made if it is not there")
    at_hand = "the run that the bundle was made of (default: the folder that BUNDLE lies in, if it is that run)"
    push.add_argument("--run", dest="run_folder", metavar="RUN", help=at_hand)
    push.add_argument("--private", action="store_true", help="a repository that is made is seen by you alone")
    push.add_argument("--revision", metavar="BRANCH", help="made if it is not there (default: main)")
    push.add_argument("--dry-run", action="store_true", help="list the files and ask no network")
    push.set_defaults(run=_push)


def _suspects(files: list[str], out: str, **options: Any) -> None:
    from ..judge.relabel import find_suspects

    given = given_options(options)
    with as_options():
        print_lines(find_suspects(files, out, **options, **given))


def _label_config(files: list[str], **options: Any) -> None:
    from .label_config import label_config_of

    given = given_options(options)
    with as_options():
        xml, told = label_config_of(files, **given)
    print(xml, flush=True)
    if told:
        print(shown(told), file=sys.stderr)


def _push(**options: Any) -> None:
    from .push import push

    print_lines(push(options.pop("bundle"), options.pop("name"), **options))


def _summary(**options: Any) -> None:
    from .shares_page import summarise

    with as_options():
        print_lines(summarise(options.pop("answers"), **options))
