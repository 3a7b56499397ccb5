"""Inputs made by chance (seeded): readers, archives, bundles and ONNX files refuse in words, or mean what they say.

A few seconds here; ``make fuzz`` tries a hundred times as many. Each test prints how many inputs it tried.
"""

import gzip
import json
import os
import zipfile
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from src.data.formats import open_rows
from src.data.reviews import read_reviews
from src.errors import Faults, UserError
from src.model.torch_files import check_archive
from src.ship.bundle import TOKENIZER, read_whole, write_info
from src.ship.onnx_file import check_one_file
from src.ship.predictor import load_bundle
from src.training.checkpoint import AtomicCheckpointIO
from tests.test_hostile import onnx_bytes

EXAMPLES = int(os.environ.get("FUZZ", "60"))  # of each test
FUZZ: Any = settings(
    max_examples=EXAMPLES,
    derandomize="FUZZ_SEED" not in os.environ,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)


@pytest.fixture
def seen(request, capsys):
    """Counts what became of the inputs, and says so at the end."""
    counts: Counter[str] = Counter()
    yield counts
    told = ", ".join(f"{n:,} {what}" for what, n in sorted(counts.items()))
    with capsys.disabled():
        if EXAMPLES > 60:
            print(f"\n{request.node.name}: {sum(counts.values()):,} inputs tried: {told}")
    assert sum(counts.values()) >= min(EXAMPLES, 20)


def tried(seen: Counter[str], work: Callable[[], object]) -> Any:
    """What ``work`` returns, or None for a refusal; any other exception is a fault of ours."""
    try:
        found = work()
    except UserError as error:
        assert str(error) and len(str(error)) < 20_000  # noqa: PT017
        seen["refused"] += 1
        return None
    seen["taken"] += 1
    return found


pieces = st.lists(
    st.sampled_from(
        [
            b'"',
            b'""',
            b",",
            b";",
            b"\t",
            b"\n",
            b"\r",
            b"\r\n",
            b" ",
            b"\xef\xbb\xbf",
            b"\xff",
            b"\x00",
            b"text",
            b"label",
            b"Camera",
            b"positive",
            b"{Camera#Positive};",
            b'{"text": "a"',
            b'"text": ',
            b"}",
            b"[",
            b"]",
            b"\\ud800",
            b"1e999",
            "máy".encode(),
            b"id",
            b"Pin",
            b"mentioned",
            b"\xcc\x80" * 30,
            b"\x1b]0;x\x07",
            b"NaN",
            b"null",
            b"true",
        ]
    )
    | st.binary(max_size=6),
    max_size=40,
).map(b"".join)


@pytest.mark.parametrize("form", ["csv", "tsv", "jsonl", "txt", "csv.gz"])
def test_readers(tmp_path_factory, seen, form) -> None:
    path = tmp_path_factory.mktemp("fuzz") / f"a.{form}"

    row = {
        "csv": b"1,m\xc3\xa1y,positive\n",
        "tsv": b"may\t{A#Positive}\n",
        "jsonl": b'{"text": "b", "label": "{A}"}\n',
        "txt": b"may\n",
    }[form.removesuffix(".gz")]

    @FUZZ
    @given(st.lists(pieces | st.just(b"") | st.just(row), max_size=6).map(row.join), st.booleans())
    def run(content: bytes, headed: bool) -> None:
        head = {"csv": b"id,text,Camera\n", "tsv": b"text\tlabel\n", "jsonl": b'{"text": "a", "label": "{A}"}\n'}
        content = head.get(form.removesuffix(".gz"), b"") * headed + content
        path.write_bytes(gzip.compress(content) if form.endswith("gz") else content)
        check_reader(path, seen)

    run()


def check_reader(path: Path, seen: Counter[str]) -> None:
    faults = Faults()
    with ExitStack() as opened:
        source = open_rows(str(path), opened, faults)
        last = 0
        for row in source.rows() if source else ():
            assert row.line >= last and not (row.fault and row.cells)
            last = row.line
            json.dumps(row.cells, ensure_ascii=False).encode()  # every cell can be written again
    found = tried(seen, lambda: read_reviews(path))
    if found is not None:
        reviews, aspects = found
        assert len(reviews) == len(reviews.lines) == len(reviews.mentioned) > 0 and aspects
        assert all(text.strip() for text in reviews.texts)


def changed(draw: Any, whole: bytes) -> bytes:
    """A file with up to four changes: bytes replaced, taken out, put in, or copied from elsewhere in it."""
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(whole)))
        kind, size = draw(st.sampled_from(["flip", "cut", "put", "copy", "number"])), draw(st.integers(1, 64))
        if kind == "flip":
            whole = whole[:at] + draw(st.binary(min_size=1, max_size=4)) + whole[at + 1 :]
        elif kind == "cut":
            whole = whole[:at] + whole[at + size :]
        elif kind == "put":
            whole = whole[:at] + draw(st.binary(max_size=16)) + whole[at:]
        elif kind == "number":
            value = draw(st.sampled_from([0, 1, 2**31, 2**32 - 1, 2**63, 2**64 - 1, len(whole)]))
            whole = whole[:at] + value.to_bytes(8, "little") + whole[at + 8 :]
        else:
            other = draw(st.integers(0, len(whole)))
            whole = whole[:at] + whole[other : other + size] + whole[at + size * draw(st.booleans()) :]
    return whole


def test_parquet(tmp_path_factory, seen) -> None:
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    path = tmp_path_factory.mktemp("fuzz") / "a.parquet"
    table = pa.table({"text": ["a", "b", "a"], "Camera": ["positive", None, ""], "more": [["x"], [], ["y", "z"]]})
    pq.write_table(table, path)
    whole = path.read_bytes()

    @FUZZ
    @given(st.data())
    def run(data: Any) -> None:
        path.write_bytes(changed(data.draw, whole))
        check_reader(path, seen)

    run()


@pytest.mark.parametrize("sealed", [True, False])
def test_archives(tmp_path_factory, seen, sealed) -> None:
    """What passes holds the tensors that were saved, and torch reads the pickle that was looked at."""
    path = tmp_path_factory.mktemp("fuzz") / "x.ckpt"
    content = {"w": torch.arange(20.0), "words": ["pin"], "n": 3}
    if sealed:
        AtomicCheckpointIO().save_checkpoint(content, path)
    else:
        torch.save(content, path)
    whole = path.read_bytes()

    @FUZZ
    @given(st.data())
    def run(data: Any) -> None:
        path.write_bytes(changed(data.draw, whole))
        if tried(seen, lambda: check_archive(path) or True):
            with zipfile.ZipFile(path) as archive:
                name = next(n for n in archive.namelist() if n.endswith("/data.pkl"))
                looked_at = archive.read(name)
            try:
                read = torch._C.PyTorchFileReader(str(path)).get_record("data.pkl")
            except RuntimeError:  # torch is stricter in fields that decide nothing, as the number of the disk
                assert tried(seen, lambda: AtomicCheckpointIO().load_checkpoint(path)) is None, "it is told in words"
                return
            assert read == looked_at
            if sealed:
                assert path.read_bytes() == whole

    run()


values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from(["absa", "NFC"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


def test_bundles(tmp_path_factory, exported, seen) -> None:
    """Values, a tokenizer and a card of any kind, with right hashes: words, or a predictor that answers."""
    folder = tmp_path_factory.mktemp("fuzz") / "b"
    folder.mkdir()
    info, contents = read_whole(exported)
    tokenizer = contents[TOKENIZER]

    @FUZZ
    @given(st.data())
    def run(data: Any) -> None:
        for name, content in contents.items():
            (folder / name).write_bytes(content)
        told: dict[str, Any] = {key: value for key, value in info.items() if key not in ("sha256", "files")}
        kind = data.draw(st.sampled_from(["value", "inner", "tokenizer", "json"]))
        if kind == "tokenizer":
            (folder / TOKENIZER).write_bytes(changed(data.draw, tokenizer))
        elif kind == "value":
            told[data.draw(st.sampled_from([*sorted(told), "more"]))] = data.draw(values)
        elif kind == "inner":
            dicts = sorted(key for key, value in told.items() if isinstance(value, dict) and value)
            key = data.draw(st.sampled_from(dicts))
            told[key] = told[key] | {data.draw(st.sampled_from(sorted(told[key]))): data.draw(values)}
        try:
            write_info(folder, told)
        except (UserError, UnicodeEncodeError):
            return
        if kind == "json":
            (folder / "bundle.json").write_bytes(changed(data.draw, (folder / "bundle.json").read_bytes()))
        if (predictor := tried(seen, lambda: load_bundle(folder, 1))) is not None:
            (answer,) = predictor.predict(["pin tốt"])
            assert set(answer["aspects"]) <= set(predictor.labels.aspects)

    run()


def test_onnx_files(seen) -> None:
    """Where onnx's own reader finds a tensor in another file, this one refuses."""
    onnx = pytest.importorskip("onnx")
    from onnx.external_data_helper import _get_all_tensors

    whole = onnx.ModelProto.FromString(onnx_bytes(sentiment=9, mentioned=3))
    tensor = whole.graph.initializer[0]
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="secret")
    inside = [whole.SerializeToString(), onnx_bytes(sentiment=9)]

    @FUZZ
    @given(st.data())
    def run(data: Any) -> None:
        content = changed(data.draw, data.draw(st.sampled_from(inside)))
        taken = tried(seen, lambda: check_one_file(content) or True)
        try:
            model = onnx.ModelProto.FromString(content)
        except Exception:
            return
        if taken:
            assert not any(t.external_data or t.data_location for t in _get_all_tensors(model))

    run()
