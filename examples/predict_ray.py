"""Answer the reviews of a Parquet file, or of a folder of them, on a Ray cluster.

    python examples/predict_ray.py bundle/ reviews.parquet answers/ --id-column id

The output is a folder of Parquet files with the input's columns, those of the answers, and ``reason``: why a row has no
answer. Where a cluster runs already (RAY_ADDRESS, or `ray start`) it is used, else the cores of this machine. Every
machine has to see the bundle, the input and the output under the paths that are given.

What is written is kept: a worker that dies is started again, and the same command after a kill answers only the ids
that answers.checkpoint/ does not have yet. So do not delete that folder, and begin anew in another output.
"""

import argparse
from pathlib import Path
from typing import Any

from visobert_absa import UserError, load


class Answers:
    """A worker: Ray makes one for each process, so the model is loaded once; then it gets batch after batch."""

    def __init__(self, model: str, text_column: str | None) -> None:
        self.predictor = load(model, threads=1)  # a process for each core, so no threads in it
        self.text_column = text_column

    def __call__(self, batch: Any) -> Any:
        """The Arrow table with the answers' columns. No row raises an error; a bad one has a ``reason``."""
        return self.predictor.predict_arrow(batch, text_column=self.text_column, first_line=None)


def place(path: str) -> str:
    """The whole path, as workers stand in other folders; an address such as s3://... as it is."""
    return path if "://" in path else str(Path(path).absolute())


def main() -> None:
    """Read the arguments, refuse what cannot work before anything is started, and let Ray do the rest."""
    parser = argparse.ArgumentParser(description="Answer the reviews of Parquet files on a Ray cluster.")
    parser.add_argument("model", type=place, help="a bundle (absa export)")
    parser.add_argument("input", type=place, help="a Parquet file, or a folder of them")
    parser.add_argument("output", type=place, help="the folder to write; gone on with if it is there")
    parser.add_argument("--id-column", required=True, help="what tells the rows apart: no value twice, none empty")
    parser.add_argument("--text-column", help="default: data, text, review, comment, ...")
    parser.add_argument("--workers", type=int, help="default: one for each core of the cluster")
    parser.add_argument("--megabytes", type=float, default=8, help="of a file; a worker that dies loses one at most")
    given = parser.parse_args()

    from pyarrow.dataset import dataset, field

    try:
        reviews = dataset(given.input)
    except (OSError, ValueError) as error:  # not there, or no Parquet
        parser.error(f"{given.input}: {error}")
    if given.id_column not in reviews.schema.names:
        parser.error(f"--id-column {given.id_column}: not among {', '.join(reviews.schema.names)}")
    if missing := reviews.count_rows(filter=field(given.id_column).is_null()):
        parser.error(f"--id-column {given.id_column}: empty in {missing} rows")
    try:
        Answers(given.model, given.text_column)(reviews.schema.empty_table())
    except UserError as error:
        parser.error(str(error))

    import ray
    from ray.data.checkpoint import CheckpointConfig

    ray.init()
    context = ray.data.DataContext.get_current()
    context.target_max_block_size = int(given.megabytes * 2**20)
    context.checkpoint_config = CheckpointConfig(
        given.id_column, f"{given.output}.checkpoint", delete_checkpoint_on_success=False
    )
    cores = int(ray.cluster_resources()["CPU"])
    workers = given.workers or cores
    of_core = max(0.0, min(1.0, (cores - 2) / workers))  # of what Ray counts two stay free, else nothing is read
    answers = ray.data.read_parquet(given.input, num_cpus=0.1).map_batches(
        Answers,
        fn_constructor_args=(given.model, given.text_column),
        batch_format="pyarrow",
        compute=ray.data.ActorPoolStrategy(size=workers),
        num_cpus=of_core,
    )
    answers.write_parquet(given.output, ray_remote_args={"num_cpus": 0.1})

    asked, answered = reviews.count_rows(), dataset(given.output).count_rows()
    if asked != answered:  # after a kill an id that stands twice is answered once
        why = "are ids repeated, or answers to other reviews in it?"
        parser.error(f"{given.output} has {answered} rows for {asked} reviews: {why}")
    print(f"{given.output}: {answered} reviews")


if __name__ == "__main__":
    main()
