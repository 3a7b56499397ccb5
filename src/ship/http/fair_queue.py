"""A bounded, fair queue: requests wait here for threads, each of which gives the model a few texts at a time."""

import asyncio
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

SHARE = 16  # items of one list that begin before the next list has its turn
TOGETHER, CHARACTERS = 8, 2_000  # items that a thread takes at once, at most; fewer if they have so many characters
KEPT = 8  # one place in KEPT is kept for requests with a single item


Work = Callable[[Sequence[str]], Sequence[Any]]


class Full(Exception):
    """The queue has no room; it should have some in ``seconds``."""

    def __init__(self, seconds: int) -> None:
        super().__init__(seconds)
        self.seconds = seconds


class Panicked(Exception):
    """The work raised a BaseException, as a panic in Rust code does. Only this request fails."""


class Job:
    """One request. ``done`` gets ``finish(results)``: the results are those of ``work``, in the order of the items.

    ``work`` gets some of the items, one after the other, and gives a result for each.
    """

    def __init__(self, items: Sequence[str], work: Work, finish: Callable[[list[Any]], Any]) -> None:
        self.items, self.work, self.finish = items, work, finish
        self.begun = self.ended = 0  # numbers of items
        self.results: list[Any] = [None] * len(items)
        self.done: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    @property
    def single(self) -> bool:
        """Whether it may use the places that are kept for requests with a single item."""
        return len(self.items) == 1


class FairQueue:
    """Call its methods from the event loop; ``work`` and ``finish`` of a job run on ``threads`` threads of the queue.

    While both wait, as many items of requests with a single one begin as items of lists: TOGETHER of one list at most,
    then as many single ones. So a single text waits for lists as much as for the single texts before it, however many
    lists there are. Lists take turns of SHARE items: short ones are answered in the order they came, and a long one
    does not hold them up. The threads are daemons: one that hangs in the model does not keep the process from ending.
    """

    def __init__(self, room: int, threads: int) -> None:
        self._room, self._kept = room, max(1, room // KEPT)
        self._waiting = {True: 0, False: 0}  # items not ended yet, by whether their job has a single item
        self._jobs: dict[bool, deque[Job]] = {True: deque(), False: deque()}  # as above
        self._owed = 1  # single items that begin before lists have their next turn, if both wait
        self._pace = 0.01  # seconds until the next item ends, a moving average
        self._closed = False
        self._news = threading.Condition()  # guards all of the above
        self._threads = [threading.Thread(target=self._serve, name=f"model {i}", daemon=True) for i in range(threads)]

    def start(self) -> None:
        """Start the threads; they report to the running event loop until :meth:`close`."""
        self._loop = asyncio.get_running_loop()
        for thread in self._threads:
            thread.start()

    @property
    def waiting(self) -> int:
        """Items of accepted requests that are not ended yet."""
        return sum(self._waiting.values())

    @property
    def full(self) -> bool:
        """Whether a single item would find no room."""
        return self.waiting >= self._room and self._waiting[True] >= self._kept

    @property
    def served(self) -> bool:
        """Whether all threads are alive."""
        return all(thread.is_alive() for thread in self._threads)

    def submit(self, items: Sequence[str], work: Work, finish: Callable[[list[Any]], Any], had: int = 0) -> Job:
        """Queue a request. Raises Full; but a list longer than the whole room is taken when nothing else waits.

        ``had`` is the number of items for which a request that goes on had room before: it needs room for further ones
        alone, and waits its turn as any other, since those that jump ahead can keep all others waiting for ever.
        """
        job = Job(items, work, finish)
        more = len(items) - had
        with self._news:
            full = self.full if job.single else self.waiting and self.waiting + more > self._room - self._kept
            if full and more > 0:
                raise Full(min(60, max(1, math.ceil(self.waiting * self._pace))))
            self._waiting[job.single] += len(items)
            self._jobs[job.single].append(job)
            self._news.notify(len(items))
        return job

    def drop(self, job: Job) -> None:
        """Cancel a job that nobody waits for any more: its items that have not begun will not begin."""
        job.done.cancel()
        with self._news:
            self._give_up(job)

    def close(self) -> None:
        """End each thread after its current items; items that still wait do not begin."""
        with self._news:
            self._closed = True
            self._news.notify_all()

    def _serve(self) -> None:
        while (taken := self._take()) is not None:
            self._work(*taken)
            del taken  # an idle thread holds no text

    def _work(self, job: Job, taken: slice) -> None:
        began, count = time.perf_counter(), taken.stop - taken.start
        outcome: Callable[[], None] | None = None
        try:
            job.results[taken] = job.work(job.items[taken])
            if self._were_last(job, count):
                outcome = partial(job.done.set_result, job.finish(job.results))
        except BaseException as error:  # of any kind: the thread must live on for the next request
            with self._news:
                self._give_up(job)
            told = error if isinstance(error, Exception) else Panicked().with_traceback(error.__traceback__)
            outcome = partial(job.done.set_exception, told)
        with self._news:
            self._waiting[job.single] -= count
            pace = (time.perf_counter() - began) / count / len(self._threads)
            self._pace += (1 - 0.95**count) * (pace - self._pace)
        if outcome:
            with suppress(RuntimeError):  # raised if the loop has ended
                self._loop.call_soon_threadsafe(_tell, job, outcome)

    def _were_last(self, job: Job, count: int) -> bool:
        with self._news:
            job.ended += count
            return job.ended == len(job.items)

    def _take(self) -> tuple[Job, slice] | None:
        """The job whose turn it is and its next items, once there is one; None if the queue is closed."""
        with self._news:
            while not any(self._jobs.values()) and not self._closed:
                self._news.wait()
            if self._closed:
                return None
            jobs = self._jobs[self._owed > 0] or self._jobs[self._owed <= 0]
            job = jobs[0]
            start, most = job.begun, math.ceil(len(job.items) / len(self._threads))  # so that all threads get some
            until = min(len(job.items), start + min(TOGETHER, most), start - start % SHARE + SHARE)
            letters = len(job.items[start])
            job.begun += 1
            while job.begun < until and (letters := letters + len(job.items[job.begun])) <= CHARACTERS:
                job.begun += 1
            taken = slice(start, job.begun)
            self._owed = max(0, self._owed - 1) if job.single else taken.stop - start
            if job.begun == len(job.items):
                jobs.popleft()
            elif job.begun % SHARE == 0 and len(job.items) - job.begun >= SHARE:
                jobs.rotate(-1)
            return job, taken

    def _give_up(self, job: Job) -> None:
        if job in self._jobs[job.single]:
            self._jobs[job.single].remove(job)
        self._waiting[job.single] -= len(job.items) - job.begun
        job.begun = len(job.items)


def _tell(job: Job, outcome: Callable[[], None]) -> None:
    if not job.done.done():
        outcome()
