"""absa predict --shard: the parts, one after the other, are the answers of the whole file."""

import itertools
import json
import sys
from pathlib import Path

import openpyxl
import pyarrow as pa
import pytest
from pyarrow import parquet

from src.errors import Faults
from src.ship.predict.journal import Journal
from src.ship.predict.shards import Shard, shard_of
from tests.processes import joined_by_shell
from tests.test_ship_predict import predict
from tests.test_ship_predict_resume import Killed, small_steps, texts, write_input  # noqa: F401


def other_input(path: Path, given: list[str]) -> Path:
    """Formats whose end no size tells, and columns that only the last rows have."""
    if path.name == "keys.jsonl":
        rows = [{"text": text, "stars": i} for i, text in enumerate(given[:20])]
        rows += [{"text": "", "none": True}, {"stars": 4.5, "text": "tốt"}, {"text": "ổn", "late": [1, None]}]
        rows += [{"text": "kém", "stars": float("nan")}]
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    elif path.suffix == ".json":
        path.write_text(json.dumps([{"text": text, "n": i} for i, text in enumerate(given)], indent=1)[:-9])
    elif path.suffix == ".xlsx":
        book = openpyxl.Workbook()
        for row in [["text", "n"], *([text.replace("\x00", ""), i] for i, text in enumerate(given[:60]))]:
            book.active.append(row)
        book.save(path)
    elif path.suffix == ".xml":
        said = "".join(f'<sentence id="{i}"><text>tốt {i}</text></sentence>\n' for i in range(40))
        path.write_text(f"<sentences>\n{said}</sentences>", encoding="utf-8")
    elif path.name == "latin.csv":
        path.write_text("id,text\n" + "".join(f"{i},êm á {i}\n" for i in range(50)), encoding="cp1258")
    elif path.name == "marked.csv":
        path.write_text("id,text\n" + "".join(f"{i},pin trâu {i}\n" for i in range(50)), encoding="utf-16")
    else:
        return write_input(path, given)
    return path


def parts(bundle: Path, file: Path, folder: Path, form: str, of: int, *words: object) -> tuple[list[int], list[Path]]:
    outs = [folder / f"part-{i:02}.{form}" for i in range(1, of + 1)]
    return [predict(bundle, file, "-o", out, "--shard", f"{i}/{of}", *words) for i, out in enumerate(outs, 1)], outs


def errors_of(outs: list[Path]) -> bytes:
    beside = [out.with_name(f"{out.stem}.errors.jsonl") for out in outs]
    return b"".join(path.read_bytes() for path in beside if path.exists())


@pytest.mark.parametrize(
    ("name", "form", "of"),
    [
        ("in.csv", "csv", 5),
        ("in.csv", "jsonl", 3),
        ("in.csv.gz", "csv", 3),
        ("in.jsonl", "parquet", 4),
        ("in.parquet", "parquet", 7),
        ("in.parquet", "csv", 2),
        ("in.txt", "csv", 16),
        ("keys.jsonl", "parquet", 16),
        ("keys.jsonl", "csv", 40),
        ("in.json", "csv", 3),
        ("in.xlsx", "csv", 3),
        ("in.xml", "jsonl", 3),
        ("latin.csv", "csv", 3),
        ("marked.csv", "csv", 3),
    ],
)
def test_the_parts_are_the_whole(name, form, of, exported, texts, tmp_path) -> None:  # noqa: F811
    """Also where a part has no row at all, and where a row of many lines lies across a cut."""
    file = other_input(tmp_path / name, texts[:120])
    words = ["--all", *(["--encoding", "cp1258"] if name == "latin.csv" else [])]
    whole = tmp_path / f"whole.{form}"
    status = predict(exported, file, "-o", whole, *words)
    assert status in (0, 1)
    ended, outs = parts(exported, file, tmp_path, form, of, *words)
    assert max(ended) == status
    assert errors_of(outs) == errors_of([whole])
    if form == "parquet":
        tables = [parquet.read_table(out) for out in outs]
        assert all(table.schema == tables[0].schema for table in tables)
        assert pa.concat_tables(tables).equals(parquet.read_table(whole))
        assert max(len(table) for table in tables) < len(pa.concat_tables(tables)) / of * 2 + 2
    else:
        assert joined_by_shell(form, outs) == whole.read_bytes()


def test_a_killed_part_goes_on_and_knows_its_own(exported, texts, tmp_path, capsys, monkeypatch, small_steps) -> None:  # noqa: F811
    file = write_input(tmp_path / "in.csv", texts)
    predict(exported, file, "-o", tmp_path / "whole.csv")
    append, calls = Journal.append, itertools.count()

    def breaking(self: Journal, answers: bytes, *rest: object) -> None:
        if next(calls) == 3:
            append(self, answers[:50], *rest)
            raise Killed
        append(self, answers, *rest)

    with monkeypatch.context() as patched:
        patched.setattr(Journal, "append", breaking)
        with pytest.raises(Killed):
            predict(exported, file, "-o", tmp_path / "part-02.csv", "--shard", "2/2")
    capsys.readouterr()
    for other in (["--shard", "1/2"], []):
        assert predict(exported, file, "-o", tmp_path / "part-02.csv", "--resume", *other) == 2
        assert "begun with another --shard" in capsys.readouterr().err
    assert predict(exported, file, "-o", tmp_path / "part-02.csv", "--resume", "--shard", "02/2") == 1
    predict(exported, file, "-o", tmp_path / "part-01.csv", "--shard", "1/2")
    outs = [tmp_path / "part-01.csv", tmp_path / "part-02.csv"]
    assert joined_by_shell("csv", outs) == (tmp_path / "whole.csv").read_bytes()
    assert errors_of(outs) == errors_of([tmp_path / "whole.csv"])


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("0/16", "parts are counted from 1: 1/16 to 16/16"),
        ("17/16", "parts are counted from 1: 1/16 to 16/16"),
        ("0/0", "expected one part or more"),
        *(
            (wrong, "expected NUMBER/OF, such as 3/16")
            for wrong in ("3-16", "3", "/16", "3/", "a/b", "1.5/2", "3/-16", "")
        ),
    ],
)
def test_what_is_no_part_is_one_message(given, said, exported, tmp_path, capsys) -> None:
    (tmp_path / "in.txt").write_text("tốt\n", encoding="utf-8")
    assert predict(exported, tmp_path / "in.txt", "-o", tmp_path / "a.jsonl", "--shard", given) == 2
    error = capsys.readouterr().err
    assert f"--shard {given}: " in error and said in error and len(error.splitlines()) == 1
    assert not (tmp_path / "a.jsonl").exists()


def test_a_stream_has_no_parts(exported, tmp_path, capsys) -> None:
    assert predict(exported, "-", "-o", "-", "--shard", "1/2") == 2
    assert "standard input can be read only once; give a file" in capsys.readouterr().err
    faults = Faults()
    assert shard_of(" 03/16 ", "in.csv", faults) == Shard(3, 16)
    faults.raise_if_any()


def test_parts_go_to_standard_output(exported, tmp_path, capfdbinary) -> None:
    (tmp_path / "in.txt").write_text("tốt\nkém\nổn\n", encoding="utf-8")
    for words in ([], ["--shard", "1/2"], ["--shard", "2/2"]):
        assert predict(exported, tmp_path / "in.txt", "-o", "-", *words) == 0
        sys.stdout.flush()
    lines = capfdbinary.readouterr().out.splitlines()
    assert len(lines) == 6 and lines[:3] == lines[3:]
