"""Requests share batches, take turns, and leave nothing behind when they give up or fail."""

import asyncio
from typing import Any

import numpy as np
import pytest

from src.ship.http import batcher
from src.ship.http.batcher import Batcher, Full, Job


class Counting:
    """Answers a text with its length; takes a moment for each, and fails at "!"."""

    max_length = 256

    def __init__(self) -> None:
        self.batches: list[list[str]] = []

    def predict(self, texts: list[str], *, all_aspects: bool = False) -> list[dict[str, Any]]:
        self.batches.append(list(texts))
        if "!" in texts:
            raise ZeroDivisionError
        return [{"aspects": {"n": len(text)}} | ({"all": {}} if all_aspects else {}) for text in texts]

    def logits(self, texts: list[str]) -> tuple[None, np.ndarray]:
        self.batches.append(list(texts))
        return None, np.array([[len(text)] for text in texts])


class Asked:
    """An explanation of two or more texts: their lengths."""

    def __init__(self, count: int) -> None:
        self.texts = ["x" * i for i in range(1, count + 1)]

    def answer(self, mentioned: None, sentiment: np.ndarray) -> list[int]:
        return sentiment[:, 0].tolist()


def serving(test: Any, room: int = 1000) -> Counting:
    """Run ``test(batcher)`` while the batcher serves; the model that it asked. In the end nothing may be left over."""
    model = Counting()

    async def main() -> None:
        served = Batcher(model, room, lambda size: None)  # type: ignore[arg-type]
        task = asyncio.create_task(served.run())
        await test(served)
        await asyncio.wait_for(served.drain(), 10)
        assert served.waiting == 0 and not served._jobs
        task.cancel()
        served.close()

    asyncio.run(main())
    return model


def asked(model: Counting) -> list[str]:
    return [text for batch in model.batches for text in batch]


async def lengths(job: Job) -> list[int]:
    return [answer["aspects"]["n"] for answer in await asyncio.wait_for(job.done, 10)]


def test_requests_share_a_batch() -> None:
    async def test(served: Batcher) -> None:
        served._pace = 1e-6
        jobs = [served.submit(["a" * i, "b"]) for i in range(1, 9)]
        assert [await lengths(job) for job in jobs] == [[i, 1] for i in range(1, 9)]

    assert len(serving(test).batches) == 1


def test_who_asks_for_everything_gets_it_and_nobody_else() -> None:
    async def test(served: Batcher) -> None:
        few, everything = served.submit(["a"]), served.submit(["b"], all_aspects=True)
        assert "all" not in (await few.done)[0] and "all" in (await everything.done)[0]

    serving(test)


@pytest.mark.parametrize("pace", [1e-6, 0.001, 0.02, 10.0])
def test_any_pace_gives_every_text_its_answer_in_order(pace) -> None:
    async def test(served: Batcher) -> None:
        served._pace = pace
        sizes = [300, 1, 17, 64, 5]
        jobs = [served.submit(["x" * (i + n) for i in range(n)]) for n in sizes]
        for n, job in zip(sizes, jobs, strict=True):
            assert await lengths(job) == [i + n for i in range(n)]

    model = serving(test)
    assert max(map(len, model.batches)) <= batcher.BATCH_TEXTS


def test_a_long_list_does_not_hold_up_a_short_text() -> None:
    async def test(served: Batcher) -> None:
        served._pace = 0.1  # one text a batch
        long, short = served.submit(["long"] * 50), served.submit(["short"])
        await short.done
        assert not long.done.done()
        await long.done

    assert asked(serving(test)).index("short") == batcher.SHARE


def test_short_requests_are_answered_one_after_the_other() -> None:
    """Not all of them at the end, which is what a text of each in turn would come to."""

    async def test(served: Batcher) -> None:
        served._pace = 1.0
        jobs = [served.submit([f"{i}"] * batcher.SHARE) for i in range(4)]
        await jobs[0].done
        assert not jobs[3].answers
        for job in jobs:
            await job.done

    assert asked(serving(test)) == [f"{i}" for i in range(4) for _ in range(batcher.SHARE)]


def test_letters_are_bounded_too() -> None:
    async def test(served: Batcher) -> None:
        served._pace = 1e-6
        await served.submit(["x" * 10_000] * 20).done

    batches = serving(test).batches
    assert len(batches) == 3 and sum(map(len, batches)) == 20


def test_long_explanations_take_turns_with_everybody() -> None:
    async def test(served: Batcher) -> None:
        served._pace = 0.01  # ten texts a batch
        long = [served.submit(asked.texts, asked=asked) for asked in (Asked(200), Asked(150))]
        short = served.submit(["short"])
        assert served.waiting == 351
        await short.done
        assert not any(job.done.done() for job in long)
        assert [(await job.done)[0] for job in long] == [list(range(1, 201)), list(range(1, 151))]

    order = asked(serving(test))
    assert order.index("short") <= 2 * batcher.SHARE


def test_no_failure_ends_the_service_of_the_queue(monkeypatch) -> None:
    """Not of the model, nor before it is asked, nor after: whoever waits is told, the next one answered."""

    async def test(served: Batcher) -> None:
        def failing(*_: Any) -> Any:
            raise ZeroDivisionError

        for name in ("_take", "_observe", "_hand_out"):
            with monkeypatch.context() as broken:
                broken.setattr(served, name, failing)
                with pytest.raises(ZeroDivisionError):
                    await asyncio.wait_for(served.submit(["a"] * 20).done, 5)
            assert await lengths(served.submit(["b"])) == [1]
        with monkeypatch.context() as broken:
            broken.setattr(served._predictor, "predict", lambda *_, **__: [])
            with pytest.raises(RuntimeError, match="0 answers to 1 texts"):
                await asyncio.wait_for(served.submit(["a"]).done, 5)

    serving(test)


def test_the_queue_is_bounded() -> None:
    async def test(served: Batcher) -> None:
        served._pace = 2.0
        served.submit(["a"] * 7)
        with pytest.raises(Full) as full:
            served.submit(["b"] * 4)
        assert full.value.seconds == 14 and not served.full
        served.submit(["b"] * 3)
        assert served.full
        await served.drain()
        assert await lengths(served.submit(["c"] * 30)) == [1] * 30  # larger than the room, but nothing waits

    serving(test, room=10)


def test_who_gives_up_is_not_answered() -> None:
    async def test(served: Batcher) -> None:
        gone, stays = served.submit(["gone"] * 9), served.submit(["stays"])
        served.drop(gone)
        assert served.waiting == 1
        await stays.done
        assert gone.done.cancelled()

    assert serving(test).batches == [["stays"]]


def test_who_gives_up_half_way_is_left_there() -> None:
    async def test(served: Batcher) -> None:
        served._pace = 1.0  # one text a batch
        job = served.submit([f"{i}" for i in range(100)])
        while not job.answers:
            await asyncio.sleep(0)
        served.drop(job)

    assert len(serving(test).batches) < 50


def test_a_failure_is_that_of_its_batch_alone() -> None:
    async def test(served: Batcher) -> None:
        served._pace = 1.0
        bad, good = served.submit(["a", "!", "b"]), served.submit(["c"])
        with pytest.raises(ZeroDivisionError):
            await asyncio.wait_for(bad.done, 10)
        assert await lengths(good) == [1]
        assert await lengths(served.submit(["d", "e"])) == [1, 1]

    serving(test)
