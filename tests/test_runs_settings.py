"""One comparison of settings: what is compared, what is not, and in which words."""

from src.runs.settings import differences, differing, shared

CONFIG = {
    "data": {"_target_": "src.datamodule.AspectDataModule", "train": "a.csv", "test": "t.csv", "seed": "${seed}"},
    "loss": {"_target_": "src.losses.FocalLoss", "gamma": 2.0},
    "model": {"encoder": "mini", "compile": False},
    "callbacks": {"best": {"_target_": "src.checkpoint.BestCheckpoint"}},
    "trainer": {"max_epochs": 5, "devices": 1, "strategy": {"_target_": "src.ranks.DDP", "find_unused": False}},
    "seed": 1,
}


def changed(group: str, **values: object) -> dict:
    return CONFIG | {group: CONFIG[group] | values}


def told(now: dict) -> list[str]:
    return differences(shared(CONFIG), shared(now))


def test_what_a_run_must_share_to_go_on() -> None:
    assert told(CONFIG) == told(CONFIG | {"callbacks": {}}) == told(changed("trainer", max_epochs=9)) == []
    assert (
        told(changed("data", test="u.csv", cache="x", eval_batch_size=7)) == told(changed("model", compile=True)) == []
    )
    assert told(changed("loss", gamma=3)) == ["loss.gamma was 2.0, is 3"]
    assert told(changed("data", train="b.csv")) == ["data.train was a.csv, is b.csv"]
    assert told(changed("trainer", devices=2) | {"seed": 2}) == ["trainer.devices was 1, is 2", "seed was 1, is 2"]
    assert told(changed("trainer", strategy={"_target_": "x.Y", "find_unused": True})) == [
        "trainer.strategy.find_unused was False, is True"
    ]
    assert told(changed("trainer", strategy="ddp"))[0] == "trainer.strategy.find_unused was False, is None"


def test_a_class_that_has_moved_is_the_same_and_another_one_is_not() -> None:
    for name in ("visobert_absa.losses.FocalLoss", "src.room.losses.FocalLoss"):
        assert told(changed("loss", _target_=name)) == []
    assert told(changed("loss", _target_="mine.FocalLoss")) == [
        "loss._target_ was src.losses.FocalLoss, is mine.FocalLoss"
    ]
    assert told(changed("loss", _target_="src.losses.Other"))[0].endswith("is src.losses.Other")


def test_nested_settings_differ_leaf_by_leaf_and_absent_is_none() -> None:
    assert differing([{"a": {"b": 1, "c": 2}}, {"a": {"b": 1, "c": 3}}]) == {"a.c": [2, 3]}
    assert differing([{"a": {"b": 1}}, {"a": None}, {}]) == {"a": [{"b": 1}, None, None]}


def test_words_have_bounds() -> None:
    nested: list = []
    for _ in range(60):
        nested = [nested, nested]
    endless: dict = {"deep": nested}
    endless["itself"] = endless
    found = differences({str(i): endless for i in range(1000)}, {str(i): {"deep": 1} for i in range(1000)})
    assert len("".join(found)) < 3000 and found[-1] == "and 1,990 more settings differ"


def test_runs_of_before_the_sentiments_were_settings_have_the_usual_ones() -> None:
    usual = {"sentiments": ["positive", "negative", "neutral"], "unlabelled": "keep", "values": None, "several": None}
    assert told(changed("data", **usual)) == []
    assert told(changed("data", **usual | {"sentiments": ["good", "bad"]})) == [
        "data.sentiments was ['positive', 'negative', 'neutral'], is ['good', 'bad']"
    ]
    given, read_back = (
        changed("data", values={0: None, 1: "positive"}),
        changed("data", values={"0": None, "1": "positive"}),
    )
    assert differences(shared(given), shared(read_back)) == []  # JSON has no numbers as keys
    assert len(differences(shared(given), shared(changed("data", values={1: "positive"})))) == 1
