"""teacher=RUN,RUN: what other runs say of the training reviews is learned beside the labels."""

import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from src.answers.predictions import read_predictions
from src.data.reviews import Reviews
from src.errors import UserError
from src.judge.inference import load_best
from src.judge.leaks import write_keys
from src.judge.teacher import Teacher, teacher_of
from src.labels import Labels
from src.runs.overrides import as_typed
from src.runs.run import Run
from src.training.checks import teacher_faults
from tests.conftest import TINY, train

SETTINGS = {"task": {"name": "absa"}, "trainer": {"accelerator": "cpu"}}


def data_of(run: Path, labels: Labels | None = None, count: int = 40) -> SimpleNamespace:
    """The first test reviews of a run, as if they were to be trained on."""
    known = Run(run).labels
    said = read_predictions(Run(run).predictions("test"), known)
    texts, labelled = said.texts[:count], (said.mentioned[:count], said.sentiment[:count])
    reviews = Reviews("test.csv", "0", texts, None, np.arange(count), *labelled)
    return SimpleNamespace(
        splits=SimpleNamespace(train=reviews), labels=labels or known, reviews={"val": None, "test": reviews}.get
    )


def taught(data, run, asked: object, checkpoint: Path | None = None, first: bool = True, task: str = "absa") -> Teacher:
    settings = SETTINGS | {"task": {"name": task}, "teacher": asked}
    found = teacher_of(settings, data, Run(run), checkpoint, first)
    assert found is not None
    return found


def altered(run: Path, folder: Path, add: float) -> Path:
    """A copy of a run whose logits are higher: of sentiments by ``add``, of mentions by twice as much."""
    copy = shutil.copytree(run, folder)
    (copy / "SHA256SUMS").unlink()
    kept = torch.load(Run(copy).best, weights_only=True)
    kept["state_dict"]["classifier.sentiment.bias"] += add
    kept["state_dict"]["classifier.mentioned.bias"] += 2 * add
    torch.save(kept, Run(copy).best)
    return copy


def test_it_is_the_mean_of_the_logits_in_the_order_of_this_training(trained, tmp_path) -> None:
    run, known = trained[0], Run(trained[0]).labels
    other = altered(run, tmp_path / "other", 3.0)
    labels = Labels(known.aspects[3::-1], (), known.sentiments[::-1])
    data = data_of(run, labels)
    found = taught(data, tmp_path / "new", [str(run), str(other)])
    said = read_predictions(Run(run).predictions("test"), known)
    want = np.concatenate([said.sentiment_logits[..., ::-1] + 1.5, said.mentioned_logits[..., None] + 3], -1)[:40]
    np.testing.assert_allclose(found.logits, want[:, 3::-1], atol=5e-3)
    assert found.logits.dtype == np.float16 and found.runs == (str(run), str(other))


def test_one_named_twice_or_by_the_folder_above_is_one(trained, tmp_path) -> None:
    data = data_of(trained[0])
    shutil.copytree(trained[0], tmp_path / "all" / "a")
    (tmp_path / "all" / "unfinished" / ".hydra").mkdir(parents=True)
    found = taught(data, tmp_path / "new", [str(tmp_path / "all"), str(tmp_path / "all" / "a")])
    assert found.runs == (str(tmp_path / "all" / "a"),)


def test_all_that_cannot_teach_is_told_at_once(trained, tmp_path) -> None:
    run, known = trained[0], Run(trained[0]).labels
    data = data_of(run, Labels((*known.aspects, "Pin"), (), (*known.sentiments, "mixed")))
    without = shutil.copytree(run, tmp_path / "without")
    Run(without).best.unlink()
    with pytest.raises(UserError) as wrong:
        taught(data, tmp_path / "new", [str(run), str(without)], task="sentiment")
    told = "\n".join(wrong.value.faults)
    assert told.count("knows nothing of Pin") == 2 and told.count("has no sentiment mixed") == 2
    assert (
        told.count("is of task absa, and this run of task sentiment") == 2
        and told.count("no checkpoints/best.ckpt") == 1
    )
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError) as wrong:
        taught(data, tmp_path / "new", [str(tmp_path / "no"), str(tmp_path / "empty")])
    assert [fault.split(": ")[1] for fault in wrong.value.faults] == [
        "there is no such folder",
        "holds no finished run",
    ]
    with pytest.raises(UserError, match="is the folder of this very run"):
        taught(data_of(run), run, str(run))
    silent = data_of(run, Labels(known.aspects, (), known.sentiments))
    if known.without_sentiment:
        with pytest.raises(UserError, match="learned no sentiment of"):
            taught(silent, tmp_path / "new", str(run))


def test_what_no_folder_names_is_refused_before_anything_is_read() -> None:
    for wrong in ([], "", 3, ["a", 3], {"a": 1}, [["a"]]):
        assert "expected folders of runs" in teacher_faults(wrong)[0]
    assert not any(map(teacher_faults, (None, "a", ["a", "b"])))


def test_two_runs_are_typed_with_a_comma_and_swept_with_m() -> None:
    assert as_typed(["teacher=a,b"]) == ["teacher=[a,b]"]
    assert as_typed(["teacher=outputs/Đợt 1,b"]) == ['teacher=["outputs/Đợt 1",b]']
    assert as_typed(["teacher=a"]) == ["teacher=a"] and as_typed(["teacher=[a,b]"]) == ["teacher=[a,b]"]
    assert as_typed(["-m", "teacher=a,b"]) == ["-m", "teacher=a,b"]


def test_the_kept_one_is_read_only_for_the_same_runs_and_reviews(trained, tmp_path) -> None:
    data, run = data_of(trained[0]), Run(tmp_path / "new")
    run.folder.mkdir()
    asked = str(trained[0])
    first = taught(data, run.folder, asked)
    first.write(run)
    changed = Teacher(first.logits + 1, first.asked, first.runs, first.reviews)
    changed.write(run)
    assert taught(data, run.folder, asked, first=False).hash == changed.hash, "another process of the same training"
    assert taught(data, tmp_path / "further", asked, checkpoint=run.last).hash == changed.hash
    assert taught(data, run.folder, asked).hash == first.hash, "a new training in an old folder"
    assert taught(data, run.folder, [asked, asked], checkpoint=run.last).hash == first.hash
    assert len(taught(data_of(trained[0], count=30), run.folder, asked, checkpoint=run.last).logits) == 30
    run.teacher.write_bytes(run.teacher.read_bytes()[:-100])
    assert taught(data, run.folder, asked, checkpoint=run.last).hash == first.hash, "damaged: asked again"


def test_a_teacher_that_knows_what_is_judged_is_told(trained, tmp_path, caplog) -> None:
    """Of the seven that it was trained on, two are in this training's own split as well."""
    data = data_of(trained[0])
    judged = data.reviews("test")
    copy = shutil.copytree(trained[0], tmp_path / "copy")
    (copy / "SHA256SUMS").unlink()
    write_keys(Run(copy).training_texts, judged.texts[:7])
    data.splits.train = data_of(trained[0], count=2).splits.train
    taught(data, tmp_path / "new", str(copy))
    assert "was trained on 5 of the 40 texts of the test split" in caplog.text


@pytest.mark.slow
def test_it_trains_and_goes_on_bit_for_bit_without_the_teachers(trained, tmp_path) -> None:
    teachers = [shutil.copytree(trained[0], tmp_path / name) for name in ("a", "b")]
    words = [*TINY, "trainer.limit_train_batches=3", "trainer.max_epochs=2", "data/noise=typed", "model.r_drop=1"]
    words += ["loss=ce", f"teacher={teachers[0]},{teachers[1]}", "model.teacher_weight=0.7"]
    done = train(*words, f"hydra.run.dir={tmp_path / 'run'}")
    assert done.returncode == 0, done.stdout + done.stderr
    run, again = Run(tmp_path / "run"), Run(tmp_path / "again")
    facts = run.read_summary()["teacher"]
    assert facts["runs"] == [str(one) for one in teachers] and facts["weight"] == 0.7
    assert f"Learns from: {teachers[0]}, {teachers[1]} (weight 0.7, temperature 2)" in done.stdout + done.stderr
    for one in teachers:
        shutil.rmtree(one)
    words += [f"hydra.run.dir={again.folder}", f"ckpt_path={run.last.with_name('previous.ckpt')}"]
    further = train(*words)
    assert further.returncode == 0, further.stdout + further.stderr
    weights = [torch.load(one.last, weights_only=True)["state_dict"] for one in (run, again)]
    assert all(map(torch.equal, weights[0].values(), weights[1].values()))
    assert again.read_summary()["teacher"] == facts and again.teacher.is_file()
    elsewhere = f"hydra.run.dir={tmp_path / 'new'}"
    other = train(*words, "model.teacher_weight=0.5", elsewhere)
    assert other.returncode == 2 and "teacher_weight was 0.7, is 0.5" in other.stdout + other.stderr
    gone = train(*words[:-2], elsewhere)
    assert gone.returncode == 2 and gone.stderr.count("there is no such folder") == 2, gone.stderr
    assert load_best(again).carries is not None
