"""Answer the reviews of a Parquet file, or of a folder of them, with Spark.

    spark-submit examples/predict_spark.py bundle/ reviews.parquet answers/ --id-column id

The output is a folder of Parquet files with the input's columns, those of the answers, and ``reason``: why a row has no
answer. Every machine has to see the bundle under the path that is given, and needs visobert-absa[serve,parquet].

What is written is kept: a task whose worker dies is begun again, and the same command after a kill answers only the ids
that the output does not have yet.
"""

import argparse
from collections.abc import Callable, Iterator
from typing import Any

from visobert_absa import UserError, load


def answers(model: str, text_column: str | None) -> Callable[[Iterator[Any]], Iterator[Any]]:
    """A function for mapInArrow: the record batches of a task, each with the answers' columns.

    No row raises an error; a bad one has a ``reason``.
    """

    def answered(batches: Iterator[Any]) -> Iterator[Any]:
        predictor = load(model, threads=1)  # a process for each core, so no threads in it
        for batch in batches:
            yield predictor.predict_arrow(batch, text_column=text_column, first_line=None)

    return answered


def main() -> None:
    """Read the arguments, refuse what cannot work before any task begins, and let Spark do the rest."""
    parser = argparse.ArgumentParser(description="Answer the reviews of Parquet files with Spark.")
    parser.add_argument("model", help="a bundle (absa export)")
    parser.add_argument("input", help="a Parquet file, or a folder of them")
    parser.add_argument("output", help="the folder to write; gone on with if it is there")
    parser.add_argument("--id-column", required=True, help="what tells the rows apart: no value twice, none empty")
    parser.add_argument("--text-column", help="default: data, text, review, comment, ...")
    parser.add_argument("--rows-per-file", type=int, default=20_000, help="a worker that dies loses one at most")
    given = parser.parse_args()

    from pyspark.errors import AnalysisException
    from pyspark.sql import SparkSession
    from pyspark.sql.types import StructType

    spark = SparkSession.builder.appName("absa").getOrCreate()
    try:
        reviews = spark.read.parquet(given.input)
    except AnalysisException as error:
        parser.error(error.getMessage())
    if given.id_column not in reviews.columns:
        parser.error(f"--id-column {given.id_column}: not among {', '.join(reviews.columns)}")
    key = f"`{given.id_column}`"
    if missing := reviews.filter(reviews[key].isNull()).count():
        parser.error(f"--id-column {given.id_column}: empty in {missing} rows")
    function = answers(given.model, given.text_column)
    try:
        (empty,) = function(iter([reviews.limit(0).toArrow()]))
    except UserError as error:
        parser.error(str(error))
    own = spark.createDataFrame(empty.select(empty.column_names[len(reviews.columns) :])).schema
    rows, left = reviews.count(), reviews
    try:
        done = spark.read.parquet(given.output).select(key)
        left = reviews.join(done, reviews[key] == done[key], "left_anti")
    except AnalysisException as error:
        if error.getCondition() not in ("PATH_NOT_FOUND", "UNABLE_TO_INFER_SCHEMA"):
            raise
    (
        left.repartition(-(-rows // given.rows_per_file) or 1, key)
        .mapInArrow(function, StructType([*reviews.schema, *own]))
        .write.mode("append")
        .option("mapreduce.fileoutputcommitter.algorithm.version", 2)  # a task's file is there as soon as it is done
        .parquet(given.output)
    )

    answered = spark.read.parquet(given.output).count()
    if rows != answered:  # after a kill an id that stands twice is answered once
        why = "are ids repeated, or answers to other reviews in it?"
        parser.error(f"{given.output} has {answered} rows for {rows} reviews: {why}")
    print(f"{given.output}: {answered} reviews")


if __name__ == "__main__":
    main()
