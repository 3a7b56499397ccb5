"""A bundle is read only when it is whole and unchanged, and written whole or not at all."""

import json
from pathlib import Path

import pytest

from src.errors import UserError
from src.ship.bundle import CARD, FILES, INFO, ONNX, TOKENIZER, declared_labels, read_whole, write_info, written_whole

CONTENT = {
    "task": "absa",
    "labels": {"aspects": ["Pin", "Khác"], "without_sentiment": ["Khác"]},
    "sentiments": ["positive", "negative", "neutral"],
    "thresholds": {"global": 0.5, "per_aspect": [0.5, 0.4]},
    "calibration": {"sentiment": 1.0, "mentioned": 1.0},
    "max_length": 256,
    "pad_id": 1,
    "normalisation": "NFC",
    "precision": "fp32",
    "encoder": {},
    "figures": {},
    "agreement": {},
    "versions": {},
}


def fill(folder: Path, **changes: object) -> Path:
    folder.mkdir(exist_ok=True)
    for name in FILES:
        (folder / name).write_text(f"content of {name}", encoding="utf-8")
    write_info(folder, CONTENT | changes)
    return folder


def test_what_is_written_is_read(tmp_path) -> None:
    info = read_whole(fill(tmp_path / "b"))[0]
    assert {key: info[key] for key in CONTENT} == CONTENT
    assert info["format"] == 1
    assert set(info["files"]) == {ONNX, TOKENIZER, CARD}, "as bundles without hashes of training texts have it"
    assert declared_labels(info).carries_sentiment == [True, False]


def test_every_changed_or_missing_file_is_named(tmp_path) -> None:
    folder = fill(tmp_path / "b")
    (folder / ONNX).write_text("content of model.onnX")
    (folder / TOKENIZER).unlink()
    with pytest.raises(UserError) as error:
        read_whole(folder)
    assert len(error.value.faults) == 2
    assert "model.onnx: is not the file that was exported" in error.value.faults[0]
    assert "tokenizer.json: cannot be read" in error.value.faults[1]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"task": "other"}, ['"task"']),
        ({"precision": "fp8", "task": "other"}, ['"precision"', '"task"']),
        ({"normalisation": "NFD"}, ['"normalisation"']),
        ({"thresholds": {"global": 0.5, "per_aspect": [0.5]}}, ['"thresholds": expected one for each of 2 aspects']),
        ({"labels": {"aspects": ["Pin"]}}, ["cannot be read (KeyError: 'without_sentiment')"]),
        ({"max_length": "256"}, ["\"max_length\": expected int, got '256'"]),
        ({"pad_id": True, "figures": None}, ['"pad_id"', '"figures"']),
        ({"class_counts": [[1, 2, 3]]}, ["class_counts: expected 3 counts for each of 2 aspects"]),
        ({"class_counts": "many"}, ["class_counts: expected 3 counts for each of 2 aspects"]),
        (
            {"reading": {"layout": [], "ignore_columns": 1}},
            ['"reading": ignore_columns is an', '"reading": layout is a'],
        ),
        ({"reading": None}, ['"reading": is null, expected an object']),
    ],
)
def test_wrong_values_are_named_all_at_once(tmp_path, changes, said) -> None:
    with pytest.raises(UserError) as error:
        read_whole(fill(tmp_path / "b", **changes))
    assert len(error.value.faults) == len(said)
    assert all(part in fault for part, fault in zip(sorted(said), sorted(error.value.faults), strict=True))


def test_what_is_no_bundle_is_refused_in_words(tmp_path) -> None:
    with pytest.raises(UserError, match="absa export"):
        read_whole(tmp_path)
    (tmp_path / INFO).write_text("{")
    with pytest.raises(UserError, match="not valid JSON"):
        read_whole(tmp_path)
    (tmp_path / INFO).write_text("[]")
    with pytest.raises(UserError, match="expected a JSON object"):
        read_whole(tmp_path)
    (tmp_path / INFO).write_text(json.dumps({"format": 2}))
    with pytest.raises(UserError, match="reads format 1"):
        read_whole(tmp_path)
    (tmp_path / INFO).write_text(json.dumps({"format": 1, "figure": float("nan")}))
    with pytest.raises(UserError, match=r"not valid JSON .NaN is no number"):
        read_whole(tmp_path)
    (tmp_path / INFO).write_text(json.dumps({"format": 1}))
    with pytest.raises(UserError) as error:
        read_whole(tmp_path)
    assert sum('"sha256" is missing; export again' in fault for fault in error.value.faults) == 1
    assert sum("cannot be read" in fault for fault in error.value.faults) == len(FILES)


def test_missing_keys_are_named_all_at_once(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("tests.test_ship_bundle.CONTENT", {})
    with pytest.raises(UserError) as error:
        read_whole(fill(tmp_path / "b"))
    assert sum("is missing" in fault for fault in error.value.faults) == len(error.value.faults) == 13


def test_what_bundle_json_says_is_hashed_too(tmp_path) -> None:
    """Values that would each be fine, a blank more, and a key twice: all are refused."""
    path = fill(tmp_path / "b") / INFO
    honest = path.read_text(encoding="utf-8")
    for old, new in (("0.4", "0.001"), ('"Pin"', '"Pim"'), ("{", "{ "), ("{", '{"task": "sentiment",')):
        path.write_text(honest.replace(old, new, 1), encoding="utf-8")
        with pytest.raises(UserError, match=r"bundle\.json: is not the file that was exported") as error:
            read_whole(tmp_path / "b")
        assert len(error.value.faults) == 1
    path.write_text(honest, encoding="utf-8")
    read_whole(tmp_path / "b")


def test_what_json_has_not_is_not_written(tmp_path) -> None:
    with pytest.raises(UserError, match="NaN or infinite"):
        fill(tmp_path / "b", figures={"f1": float("nan")})
    assert not (tmp_path / "b" / INFO).exists()


def test_a_failure_leaves_nothing_and_the_earlier_bundle_as_it_was(tmp_path) -> None:
    out = tmp_path / "b"
    with pytest.raises(ZeroDivisionError):
        interrupted(out)
    assert list(tmp_path.iterdir()) == []
    fill(out)
    with pytest.raises(ZeroDivisionError):
        interrupted(out)
    assert [p.name for p in tmp_path.iterdir()] == ["b"]
    assert read_whole(out)[0]["precision"] == "fp32"


def interrupted(out: Path) -> None:
    with written_whole(out) as folder:
        fill(folder, precision="int8")
        raise ZeroDivisionError


def test_an_earlier_bundle_is_replaced_whole(tmp_path) -> None:
    out = fill(tmp_path / "b")
    with written_whole(out) as folder:
        fill(folder, precision="int8")
    assert [p.name for p in tmp_path.iterdir()] == ["b"]
    assert {p.name for p in out.iterdir()} == {INFO, *FILES}
    assert read_whole(out)[0]["precision"] == "int8"
    assert out.stat().st_mode & 0o055  # others may read it, as any folder that one makes


def test_anything_else_is_never_replaced(tmp_path) -> None:
    folder, file = tmp_path / "photos", tmp_path / "file"
    folder.mkdir()
    (folder / "one.jpg").touch()
    file.touch()
    for out in (folder, file, file / "below"):
        with pytest.raises(UserError), written_whole(out):
            pytest.fail("the block must not run")
    assert (folder / "one.jpg").exists() and file.exists()


def test_what_lies_beside_a_bundle_is_never_deleted(tmp_path) -> None:
    out = fill(tmp_path / "b")
    (out / "notes.txt").touch()
    with pytest.raises(UserError, match=r"would delete notes\.txt"), written_whole(out):
        pytest.fail("the block must not run")
    (out / "notes.txt").unlink()
    with pytest.raises(UserError, match=r"would delete notes\.txt"):
        disturbed(out)
    assert (out / "notes.txt").exists() and read_whole(out)[0]["precision"] == "fp32"
    assert [p.name for p in tmp_path.iterdir()] == ["b"]


def disturbed(out: Path) -> None:
    with written_whole(out) as folder:
        fill(folder, precision="int8")
        (out / "notes.txt").touch()


def test_a_rename_that_fails_brings_the_earlier_bundle_back(tmp_path, monkeypatch) -> None:
    out, rename = fill(tmp_path / "b"), Path.rename

    def failing(self: Path, target: Path) -> Path:
        if self.name.startswith(".b.") and not self.name.endswith(".earlier"):
            raise PermissionError(13, "Permission denied")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", failing)
    with pytest.raises(UserError, match="Permission denied"), written_whole(out) as folder:
        fill(folder, precision="int8")
    assert [p.name for p in tmp_path.iterdir()] == ["b"] and read_whole(out)[0]["precision"] == "fp32"


def test_a_link_stays_and_leads_to_the_new_bundle(tmp_path) -> None:
    real, link = fill(tmp_path / "real"), tmp_path / "link"
    link.symlink_to(real)
    with written_whole(link) as folder:
        fill(folder, precision="int8")
    assert link.is_symlink() and read_whole(real)[0]["precision"] == "int8"
    assert {p.name for p in tmp_path.iterdir()} == {"real", "link"}
