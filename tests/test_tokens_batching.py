"""The order of the batches: complete, repeatable, resumable, fair to the ranks, and short on padding."""

import itertools

import numpy as np
import pytest

from src.labels import IGNORE
from src.tokens.batching import Batches, BatchPlan, TokenisedSplit, auto_epochs, batch_size_for

RNG = np.random.default_rng(0)
LENGTHS = np.clip(RNG.lognormal(3.4, 0.6, 5003).astype(np.int64), 3, 256)  # uneven like real reviews


def split_of(lengths: np.ndarray, aspects: int = 2) -> TokenisedSplit:
    """Review ``i`` holds the token ``i + 10`` again and again, and mentions aspect ``i % aspects``."""
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    mentioned = np.arange(len(lengths))[:, None] % aspects == np.arange(aspects)
    sentiment = np.where(mentioned, np.arange(len(lengths))[:, None] % 3, IGNORE).astype(np.int8)
    return TokenisedSplit(
        np.repeat(np.arange(len(lengths)), lengths).astype(np.int32) + 10, offsets, mentioned, sentiment, 1
    )


SIZES = [
    {"batch_size": 32},
    {"batch_size": 1},
    {"batch_size": 5000},
    {"tokens_per_batch": 2048},
    {"tokens_per_batch": 7},
]


@pytest.mark.parametrize("mode", ["bucketed", "random", "sequential"])
@pytest.mark.parametrize("sizes", SIZES)
def test_every_review_once_per_epoch(mode, sizes) -> None:
    plan = BatchPlan(LENGTHS, mode=mode, **sizes)
    for epoch in range(2):
        batches = plan.batches(epoch)
        assert len(batches) == len(plan)
        assert sorted(np.concatenate(batches)) == list(range(len(LENGTHS)))


@pytest.mark.parametrize("mode", ["bucketed", "random"])
def test_same_seed_same_batches_other_epoch_other_batches(mode) -> None:
    plan = BatchPlan(LENGTHS, mode=mode, seed=7)
    np.random.seed(1)  # whatever else draws random numbers
    first = plan.batches(3)
    np.random.random(100)
    again = BatchPlan(LENGTHS, mode=mode, seed=7).batches(3)
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    as_sets = [{frozenset(b.tolist()) for b in batches} for batches in (first, plan.batches(4))]
    assert len(as_sets[0] & as_sets[1]) < 0.2 * len(as_sets[0]), "batches must be made anew, not only their order"
    assert {frozenset(b.tolist()) for b in BatchPlan(LENGTHS, mode=mode, seed=8).batches(3)} != as_sets[0]


def padding_share(lengths: np.ndarray, batches: list[np.ndarray]) -> float:
    """Tokens computed per real token: 1.0 is no padding."""
    return sum(len(rows) * int(lengths[rows].max()) for rows in batches) / int(lengths.sum())


def test_buckets_save_what_they_promise() -> None:
    bucketed, random = (padding_share(LENGTHS, BatchPlan(LENGTHS, mode=m).batches(0)) for m in ("bucketed", "random"))
    assert bucketed < 1.1
    assert random > 2


@pytest.mark.parametrize("mode", ["bucketed", "random", "sequential"])
def test_token_budget_is_kept(mode) -> None:
    plan = BatchPlan(LENGTHS, tokens_per_batch=1024, mode=mode)
    assert max(len(rows) * LENGTHS[rows].max() for rows in plan.batches(0)) <= 1024
    alone = BatchPlan(np.array([50, 3]), tokens_per_batch=8, mode=mode)  # longer than the budget: a batch of its own
    assert [rows.tolist() for rows in alone.batches(0)] in ([[0], [1]], [[1], [0]])


@pytest.mark.parametrize("world_size", [2, 3, 7])
@pytest.mark.parametrize("sizes", [{"batch_size": 32}, {"tokens_per_batch": 900}])
def test_ranks_take_equally_many_batches_and_cover_everything(world_size, sizes) -> None:
    plans = [BatchPlan(LENGTHS, rank=r, world_size=world_size, **sizes) for r in range(world_size)]
    batches = [plan.batches(0) for plan in plans]
    assert {len(b) for b in batches} == {len(plans[0])}
    rows = np.concatenate(list(itertools.chain(*batches)))
    assert set(rows.tolist()) == set(range(len(LENGTHS)))
    biggest = max(len(b) for b in batches[0])
    assert len(rows) - len(LENGTHS) < world_size * biggest, "no more is repeated than fills the last step"
    widths = np.array([[LENGTHS[b].max() for b in rank] for rank in batches])
    spread = (widths.max(0) - widths.min(0)) / widths.max(0)
    assert np.median(spread) <= 0.2, "ranks work on like lengths at the same step"


def test_evaluation_ranks_share_without_repeating() -> None:
    plans = [BatchPlan(LENGTHS, mode="sequential", rank=r, world_size=3) for r in range(3)]
    rows = np.concatenate([np.concatenate(p.batches(0)[: p.own]) for p in plans])
    assert sorted(rows) == list(range(len(LENGTHS)))
    assert {len(p.batches(0)) for p in plans} == {len(p) for p in plans} == {plans[0].own}
    assert sum(p.own for p in plans) == len(BatchPlan(LENGTHS, mode="sequential")) != 3 * len(plans[0])
    split = split_of(LENGTHS)
    told = [["repeated" in batch for batch in Batches(split, plan)] for plan in plans]
    assert told == [[i >= p.own for i in range(len(p))] for p in plans], "what is not to be counted is marked"


def test_batch_is_what_the_rows_say() -> None:
    split = split_of(np.array([3, 5, 2]))
    batch = split.batch(np.array([2, 0]))
    assert batch["input_ids"].tolist() == [[12, 12, 1, 1], [10, 10, 10, 1]]  # whole steps of BUCKET wide
    assert batch["attention_mask"].tolist() == [[1, 1, 0, 0], [1, 1, 1, 0]]
    assert split.batch(np.array([1]))["input_ids"].tolist() == [[11] * 5]  # but no wider than the longest of all
    assert batch["mentioned"].tolist() == [[1.0, 0.0], [1.0, 0.0]]
    assert batch["sentiment"].tolist() == [[2, IGNORE], [0, IGNORE]]
    assert batch["row"].tolist() == [2, 0]
    assert {k: str(v.dtype) for k, v in batch.items()} == {
        "input_ids": "torch.int64",
        "attention_mask": "torch.int64",
        "mentioned": "torch.float32",
        "sentiment": "torch.int64",
        "row": "torch.int64",
    }


@pytest.mark.parametrize(("dtype", "largest"), [(np.uint16, 65_535), (np.int32, 250_001)])
def test_ids_of_any_size_arrive_as_they_are(dtype, largest) -> None:
    ids = np.array([0, 1, 32_767, 32_768, 40_000, largest], dtype)
    split = TokenisedSplit(ids, np.array([0, 2, 6]), np.zeros((2, 1), bool), np.zeros((2, 1), np.int8), 1)
    assert split.batch(np.array([1]))["input_ids"].tolist() == [[32_767, 32_768, 40_000, largest]]


def rows_of(batches) -> list[list[int]]:
    return [batch["row"].tolist() for batch in batches]


def test_loader_goes_on_where_it_stopped() -> None:
    split = split_of(LENGTHS[:100])
    plan = BatchPlan(split.lengths, batch_size=8)
    loader = Batches(split, plan)
    loader.set_epoch(2)
    whole = rows_of(loader)
    stopped = iter(loader)
    for _ in range(5):
        next(stopped)
    state = loader.state_dict()

    resumed = Batches(split, plan)
    resumed.load_state_dict(state)
    resumed.set_epoch(2)
    assert rows_of(resumed) == whole[5:]
    resumed.set_epoch(3)
    assert len(rows_of(resumed)) == len(plan), "the next epoch is whole again"


def test_a_position_at_an_epochs_end_does_not_shorten_the_next() -> None:
    split = split_of(LENGTHS[:100])
    loader = Batches(split, BatchPlan(split.lengths, batch_size=8))
    half = iter(loader)
    for _ in range(4):
        next(half)  # what limit_train_batches=4 takes of epoch 0
    resumed = Batches(split, loader.plan)
    resumed.load_state_dict(loader.state_dict())
    resumed.set_epoch(1)
    assert len(rows_of(resumed)) == len(loader)


def test_loader_counts_real_tokens() -> None:
    split = split_of(LENGTHS[:50])
    loader = Batches(split, BatchPlan(split.lengths, batch_size=8))
    list(loader)
    assert loader.tokens == LENGTHS[:50].sum()


@pytest.mark.parametrize(
    ("reviews", "size"), [(3, 8), (440, 8), (799, 8), (800, 16), (1599, 16), (1600, 32), (7785, 32)]
)
def test_few_reviews_make_small_batches(reviews, size) -> None:
    assert batch_size_for(reviews) == size


@pytest.mark.parametrize(
    ("reviews", "epochs"), [(1, 40), (125, 40), (300, 26), (600, 18), (2000, 10), (4082, 7), (7786, 7), (10**6, 7)]
)
def test_fewer_reviews_are_read_more_often(reviews, epochs) -> None:
    assert auto_epochs(reviews) == epochs
