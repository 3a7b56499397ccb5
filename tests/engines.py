"""What the tests of examples/ share: reviews, some of them bad, in a Parquet file, and what `absa predict` says of them."""

import csv
from pathlib import Path

import pyarrow as pa
from pyarrow import parquet

from tests.conftest import ROOT
from tests.test_ship_predict import predict

BAD = [None, " ", b"\xed\xa0\xbd", b"Pin tr\xff"]  # no text; half a surrogate pair, and a byte that is not UTF-8
SPREAD = 17  # one bad row in so many


def write_reviews(file: Path, rows: int) -> Path:
    """Texts in ``comment`` with ids that are no row numbers, and columns of other types that are to be kept."""
    with (ROOT / "data" / "sample" / "train.csv").open(encoding="utf-8-sig", newline="") as opened:
        good = [row["data"] for row in csv.DictReader(opened)]
    texts = [BAD[i // SPREAD % len(BAD)] if i % SPREAD == 0 else f"{good[i % len(good)]} {i}" for i in range(rows)]
    given = [text.encode() if isinstance(text, str) else text for text in texts]
    columns = {
        "comment": pa.array(given, pa.binary()).view(pa.string()),
        "stars": pa.array([None if i % 3 == 0 else i % 5 + 0.1 for i in range(rows)]),
        "id": pa.array([f"r{i:05}" for i in range(rows)]),
        "tags": pa.array([["mới", str(i)][: i % 3] for i in range(rows)], pa.list_(pa.string())),
    }
    parquet.write_table(pa.table(columns), file, row_group_size=500)
    return file


def answered_by_absa(bundle: Path, file: Path) -> pa.Table:
    """The rows that ``absa predict`` writes, without its column ``line``."""
    answers = file.with_name("absa.parquet")
    assert predict(bundle, file, "-o", answers) == 1  # some could not be read
    return parquet.read_table(answers).drop(["line"])


def assert_same_answers(answered: pa.Table, expected: pa.Table, rows: int) -> None:
    """Every row once; the good ones have, bit for bit, the cells of ``expected``, the bad ones a reason."""
    assert answered.num_rows == rows and answered.schema.names == [*expected.schema.names, "reason"]
    answered = answered.sort_by("id")
    bad = [reason is not None for reason in answered["reason"].to_pylist()]
    assert bad == [i % SPREAD == 0 for i in range(rows)]
    good = answered.filter(pa.array([not one for one in bad]))
    for name in expected.schema.names:  # repr tells -0.0 from 0.0, and the last digit of a float
        assert repr(good[name].to_pylist()) == repr(expected[name].to_pylist()), name
    assert all("is empty" in r or "not UTF-8" in r for r in answered["reason"].to_pylist() if r)
    assert answered["windows"].null_count == sum(bad)
