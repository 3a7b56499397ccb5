"""The options of ``absa predict``."""

import argparse
from typing import Any

from ...data.files import FORMATS
from ...data.options import FILE_KINDS, OF_TEXTS, add_file_options
from .tasks import LABEL_STUDIO
from .writers import OUTPUT_FORMATS


def add_predict(commands: Any) -> Any:
    """Add the sub-command with its options to those of ``absa``."""
    predict = commands.add_parser(
        "predict",
        help="answer the reviews of a file",
        description="Say of every review in a file which aspects it mentions, and with which sentiment.\n"
        "All columns of the input are kept, files of any length take the same memory. A row that\n"
        "cannot be read goes to answers.errors.jsonl, with its line and the reason; the others go\n"
        "on, and the exit status is 1.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="examples:\n  absa predict bundle/ reviews.csv -o answers.csv\n"
        "  cat reviews.txt | absa predict bundle/ - -o - | jq .aspects\n"
        "  absa predict bundle/ reviews.csv -o tasks.json --format label-studio --budget 200\n"
        "  absa predict bundle/ reviews.parquet --shard 3/16 -o answers-03.parquet",
    )
    predict.add_argument("model", metavar="MODEL", help="a bundle (absa export), or the folder of a finished run")
    predict.add_argument("file", metavar="FILE", help=f"{FILE_KINDS}; - is stdin")
    predict.add_argument("-o", "--out", required=True, metavar="ANSWERS", help="the file to write; - for stdout")
    predict.add_argument(
        "--format",
        dest="output_format",
        choices=(*OUTPUT_FORMATS, LABEL_STUDIO),
        help="of ANSWERS (default: by its name); label-studio: tasks to annotate, the least certain first",
    )
    predict.add_argument("--budget", type=int, metavar="N", help="the N tasks whose labels would teach most")
    predict.add_argument(
        "--input-format",
        choices=FORMATS,
        help="of FILE (default: by its name; stdin is jsonl where it begins with a JSON object, else txt)",
    )
    add_file_options(predict, *OF_TEXTS)
    predict.add_argument("--all", action="store_true", dest="all_aspects", help="every aspect's probabilities, too")
    predict.add_argument(
        "--safe-cells",
        action="store_true",
        help="in CSV, write ' before cells that a spreadsheet would run as a formula (= + - @ at their beginning)",
    )
    predict.add_argument(
        "--shard", metavar="I/N", help="answer part I of N alone, for N commands side by side; their parts are FILE"
    )
    again = predict.add_mutually_exclusive_group()
    again.add_argument("--resume", action="store_true", help="go on where an earlier command was cut off")
    again.add_argument("--overwrite", action="store_true", help="replace ANSWERS, and what an earlier command left")
    return predict
