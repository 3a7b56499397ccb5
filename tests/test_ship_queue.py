"""Requests take turns, share the threads, and leave nothing behind when they give up or fail."""

import asyncio
import threading
import time
from collections.abc import Sequence
from typing import Any

import pytest

from src.ship.http.fair_queue import CHARACTERS, SHARE, TOGETHER, FairQueue, Full, Job, Panicked


class Counting:
    """The work: a text's length. It remembers the order, waits at the gate and fails at "!"."""

    def __init__(self) -> None:
        self.order: list[str] = []
        self.gate = threading.Event()
        self.gate.set()

    def __call__(self, texts: Sequence[str]) -> list[int]:
        self.order += texts
        assert self.gate.wait(10)
        if "!" in texts:
            raise ZeroDivisionError
        if "panic" in texts:
            raise SystemExit  # no Exception
        return [len(text) for text in texts]

    def submit(self, queue: FairQueue, texts: list[str]) -> Job:
        return queue.submit(texts, self, list)

    async def begun(self, count: int) -> None:
        while len(self.order) < count:
            await asyncio.sleep(0.001)


def serving(test: Any, room: int = 1000, threads: int = 1) -> Counting:
    """Run ``test(queue, work)`` while the queue is served; the work in the end. Nothing may be left over."""
    work = Counting()

    async def main() -> None:
        queue = FairQueue(room, threads)
        queue.start()
        try:
            await asyncio.wait_for(test(queue, work), 10)
            work.gate.set()
            while queue.waiting:
                await asyncio.sleep(0.001)
            assert not any(queue._jobs.values()) and queue.served
        finally:
            work.gate.set()
            queue.close()

    asyncio.run(main())
    return work


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_every_item_gets_its_result_in_order(threads) -> None:
    async def test(queue: FairQueue, work: Counting) -> None:
        jobs = {n: work.submit(queue, ["x" * (i + n) for i in range(n)]) for n in (300, 1, 17, 64, 5)}
        for n, job in jobs.items():
            assert await job.done == [i + n for i in range(n)]

    assert len(serving(test, threads=threads).order) == 387


def test_a_list_is_worked_on_by_all_threads() -> None:
    async def test(queue: FairQueue, work: Counting) -> None:
        work.gate.clear()
        work.submit(queue, ["a"] * 9)
        await work.begun(9)

    serving(test, threads=3)


@pytest.mark.parametrize("lists", [1, 2, 9])
def test_a_single_text_waits_for_what_one_thread_has_taken_of_one_list(lists) -> None:
    """Not for SHARE items of each: with twenty lists of long texts that was seconds."""

    async def test(queue: FairQueue, work: Counting) -> None:
        work.gate.clear()
        for _ in range(lists):
            work.submit(queue, ["list"] * 50)
        await work.begun(1)
        work.submit(queue, ["single"])

    assert serving(test).order.index("single") == TOGETHER


def test_long_texts_are_taken_one_by_one() -> None:
    long, half = "x" * CHARACTERS, "x" * (CHARACTERS // 2)
    taken: list[int] = []

    async def test(queue: FairQueue, work: Counting) -> None:
        texts = [long, long, half, half, "", half, "short"]
        await queue.submit(texts, lambda some: taken.append(len(some)) or work(some), list).done

    serving(test)
    assert taken == [1, 1, 3, 2]


def test_as_many_single_texts_begin_as_texts_of_lists_and_neither_starves() -> None:
    async def test(queue: FairQueue, work: Counting) -> None:
        work.gate.clear()
        work.submit(queue, ["a"] * 40), work.submit(queue, ["b"] * 20)
        await work.begun(1)
        for i in range(9):
            work.submit(queue, [f"{i}"])

    # a's first turn, b's, whose last items make no turn of their own, and the rest of a
    assert (SHARE, TOGETHER) == (16, 8)
    assert "".join(serving(test).order) == "a" * 8 + "01234567" + "a" * 8 + "8" + "b" * 20 + "a" * 24


def test_short_lists_are_answered_one_after_the_other() -> None:
    """Not all of them at the end, which is what an item of each in turn would come to."""

    async def test(queue: FairQueue, work: Counting) -> None:
        work.gate.clear()
        for i in range(4):
            work.submit(queue, [f"{i}"] * SHARE)

    assert serving(test).order == [f"{i}" for i in range(4) for _ in range(SHARE)]


def test_the_queue_is_bounded() -> None:
    async def test(queue: FairQueue, work: Counting) -> None:
        work.gate.clear()
        queue._pace = 2.0
        work.submit(queue, ["a"] * 6)
        with pytest.raises(Full) as full:
            work.submit(queue, ["b"] * 4)
        assert full.value.seconds == 12 and not queue.full
        for _ in range(4):
            work.submit(queue, ["c"])
        assert queue.full and queue.waiting == 10
        with pytest.raises(Full):
            work.submit(queue, ["d"])
        work.gate.set()
        while queue.waiting:
            await asyncio.sleep(0.001)
        assert await work.submit(queue, ["e"] * 30).done == [1] * 30  # larger than the room, but nothing waits

    serving(test, room=10)


def test_lists_leave_room_for_single_texts() -> None:
    """Also a list that is larger than the room."""

    async def test(queue: FairQueue, work: Counting) -> None:
        for size in (14, 50):
            work.gate.clear()
            work.submit(queue, ["a"] * size)
            with pytest.raises(Full):
                work.submit(queue, ["b"] * 2)
            assert not queue.full
            work.submit(queue, ["c"]), work.submit(queue, ["c"])
            with pytest.raises(Full):
                work.submit(queue, ["c"])
            work.gate.set()
            while queue.waiting:
                await asyncio.sleep(0.001)

    serving(test, room=16)


def test_a_request_that_goes_on_keeps_its_room_and_waits_its_turn() -> None:
    """A list with long texts waits for their windows first; refused after that, its wait and work would be lost."""

    async def test(queue: FairQueue, work: Counting) -> None:
        work.gate.clear()
        work.submit(queue, ["a"] * 14)
        await work.begun(TOGETHER)
        queue.submit(["on"] * 3, work, list, 3)
        with pytest.raises(Full):
            queue.submit(["more"] * 9, work, list, 3)

    assert serving(test, room=16).order == ["a"] * 14 + ["on"] * 3


def test_requests_that_go_on_starve_no_list() -> None:
    """Eight clients that asked for explanations without end kept a list of eight texts from ever beginning."""

    async def test(queue: FairQueue, work: Counting) -> None:
        async def explain() -> None:
            while not answered.done():
                await work.submit(queue, ["words"]).done
                await queue.submit(["part"] * 20, slow, list, 1).done

        def slow(texts: Sequence[str]) -> list[int]:
            time.sleep(0.001 * len(texts))
            return work(texts)

        answered: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        clients = [asyncio.ensure_future(explain()) for _ in range(8)]
        await work.begun(100)
        begun.append(len(work.order))
        job = work.submit(queue, ["list"] * 8)
        try:
            await asyncio.wait_for(asyncio.shield(job.done), 5)
        finally:
            answered.set_result(None)
        await asyncio.gather(*clients)

    begun: list[int] = []
    order = serving(test).order
    assert order[begun[0] : order.index("list")].count("part") <= 8 * 20


def test_who_gives_up_is_not_answered() -> None:
    async def test(queue: FairQueue, work: Counting) -> None:
        work.gate.clear()
        work.submit(queue, ["first"])
        await work.begun(1)
        gone, stays = work.submit(queue, ["gone"] * 9), work.submit(queue, ["stays"])
        queue.drop(gone)
        assert queue.waiting == 2 and gone.done.cancelled()
        work.gate.set()
        assert await stays.done == [5]

    assert serving(test).order == ["first", "stays"]


def test_who_gives_up_half_way_is_left_there() -> None:
    async def test(queue: FairQueue, work: Counting) -> None:
        work.gate.clear()
        job = work.submit(queue, ["a"] * 100)
        await work.begun(2 * TOGETHER)
        queue.drop(job)
        assert queue.waiting == 2 * TOGETHER  # what is begun is waited for: it takes the model's time

    assert len(serving(test, threads=2).order) == 2 * TOGETHER


@pytest.mark.parametrize(("bad", "error"), [("!", ZeroDivisionError), ("panic", Panicked)])
def test_a_failure_is_that_of_its_request_alone(bad, error) -> None:
    """Of the work, or of finishing; and what is no Exception ends no thread, and reaches the loop as one."""

    async def test(queue: FairQueue, work: Counting) -> None:
        for _ in range(3):
            failed, good = work.submit(queue, ["a", bad, *"b" * 50]), work.submit(queue, ["c"])
            with pytest.raises(error):
                await failed.done
            assert await good.done == [1]
            with pytest.raises(error):
                await queue.submit(["d"], work, lambda _: work([bad])).done

    assert serving(test, threads=2).order.count("b") < 150


def test_a_thread_that_hangs_leaves_the_others(monkeypatch) -> None:
    async def test(queue: FairQueue, work: Counting) -> None:
        work.gate.clear()
        hung = work.submit(queue, ["hung"])
        await work.begun(1)
        assert await queue.submit(["b"] * 20, lambda some: [len(text) for text in some], sum).done == 20
        assert not hung.done.done()

    serving(test, threads=2)


def test_a_closed_queue_ends_its_threads() -> None:
    async def test() -> None:
        queue = FairQueue(10, 3)
        queue.start()
        assert queue.served
        queue.close()
        end = time.monotonic() + 5
        while any(thread.is_alive() for thread in queue._threads):
            assert time.monotonic() < end
            await asyncio.sleep(0.001)
        assert not queue.served

    asyncio.run(test())
