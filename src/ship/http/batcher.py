"""Micro-batching: texts of many requests go to the model together, on a thread of their own, from a bounded queue."""

import asyncio
import math
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from src.ship.predictor import Predictor

WINDOW = 0.002  # seconds that an idle model waits for company
BATCH_SECONDS = 0.1  # what a batch should take at most: as long a newcomer waits for the model to be free
BATCH_TEXTS, BATCH_CHARS = 128, 65_536
SHARE = 16  # texts of one request that go to the model before the next request has its turn


class Full(Exception):
    """The queue has no room; ``seconds`` from now it should have some."""

    def __init__(self, seconds: int) -> None:
        super().__init__(seconds)
        self.seconds = seconds


class Job:
    """One request's texts on their way; ``done`` gets the answers, in order (of ``explain`` the one explanation)."""

    def __init__(self, texts: list[str], cost: int, all_aspects: bool, explain: bool) -> None:
        self.texts, self.cost, self.all_aspects, self.explain = texts, cost, all_aspects, explain
        self.taken = 0  # texts that went to the model
        self.turn = SHARE  # texts that may go before the next request has its turn
        self.answers: list[Any] = []
        self.done: asyncio.Future[list[Any]] = asyncio.get_running_loop().create_future()


class Batcher:
    """Call its methods from the event loop. Only ``_work`` runs on the other thread, one batch at a time.

    Requests take turns of SHARE texts: short ones are answered in the order they came, and a long list does not hold
    them up. ``observe`` is called with the size of every batch.
    """

    def __init__(self, predictor: Predictor, room: int, observe: Callable[[int], None]) -> None:
        self.waiting = 0  # calls of the model that accepted requests still need
        self._predictor, self._room, self._observe = predictor, room, observe
        self._jobs: deque[Job] = deque()
        self._thread = ThreadPoolExecutor(1, "model")
        self._pace = 0.01  # seconds per text, a moving average
        self._news, self._idle = asyncio.Event(), asyncio.Event()
        self._idle.set()

    @property
    def full(self) -> bool:
        """Whether a single text would find no room."""
        return self.waiting >= self._room

    def submit(self, texts: list[str], *, all_aspects: bool = False, explain: bool = False) -> Job:
        """Queue a request. Raises Full; a request beyond the whole room is taken when nothing else waits."""
        cost = 1 + min(len(texts[0].split()), self._predictor.max_length) if explain else len(texts)
        job = Job(texts, cost, all_aspects, explain)
        if self.waiting and self.waiting + job.cost > self._room:
            raise Full(min(60, max(1, math.ceil(self.waiting * self._pace))))
        self.waiting += job.cost
        self._jobs.append(job)
        self._news.set()
        self._idle.clear()
        return job

    def drop(self, job: Job) -> None:
        """Nobody waits for this one any more: what the model has not begun of it, it will not begin."""
        job.done.cancel()
        if job in self._jobs:
            self._jobs.remove(job)
            self._leave(job.cost - job.taken)

    async def run(self) -> None:
        """Serve the queue, until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            await self._news.wait()
            await asyncio.sleep(WINDOW)
            while self._jobs:
                batch = self._take()
                began = time.perf_counter()
                try:
                    results = await loop.run_in_executor(self._thread, self._work, batch)
                except Exception as error:  # a bug: these requests end with it, the next ones have their own chance
                    self._fail(batch, error)
                    continue
                size = sum(job.cost if job.explain else len(texts) for job, texts in batch)
                self._pace += 0.2 * ((time.perf_counter() - began) / size - self._pace)
                self._observe(size)
                self._hand_out(batch, results)
            self._news.clear()

    async def drain(self) -> None:
        """Wait until everything that was accepted is answered."""
        await self._idle.wait()

    def close(self) -> None:
        """Give the thread back."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _take(self) -> list[tuple[Job, list[str]]]:
        """The next batch: an explanation alone, or texts of one request after another."""
        if self._jobs[0].explain:
            job = self._jobs.popleft()
            job.taken = job.cost
            return [(job, job.texts)]
        room = min(BATCH_TEXTS, max(1, int(BATCH_SECONDS / self._pace)))
        letters = BATCH_CHARS
        batch = []
        while self._jobs and room > 0 and letters > 0 and not self._jobs[0].explain:
            job = self._jobs.popleft()
            share = []
            for text in job.texts[job.taken : job.taken + min(job.turn, room)]:
                share.append(text)
                letters -= len(text)
                if letters <= 0:
                    break
            room -= len(share)
            job.taken += len(share)
            job.turn -= len(share)
            batch.append((job, share))
            if job.taken < job.cost and job.turn:
                self._jobs.appendleft(job)
            elif job.taken < job.cost:
                job.turn = SHARE
                self._jobs.append(job)
        return batch

    def _work(self, batch: list[tuple[Job, list[str]]]) -> list[Any]:
        first, texts = batch[0]
        if first.explain:
            return [self._predictor.explain(texts[0])]
        everything = any(job.all_aspects for job, _ in batch)
        return self._predictor.predict([text for _, share in batch for text in share], all_aspects=everything)

    def _hand_out(self, batch: list[tuple[Job, list[str]]], results: list[Any]) -> None:
        start = 0
        for job, share in batch:
            answers = results[start : start + len(share)]
            start += len(share)
            if not job.explain and not job.all_aspects:
                answers = [{"aspects": answer["aspects"]} for answer in answers]
            job.answers += answers
            self._leave(job.cost if job.explain else len(share))
            if len(job.answers) == len(job.texts) and not job.done.done():
                job.done.set_result(job.answers)

    def _fail(self, batch: list[tuple[Job, list[str]]], error: Exception) -> None:
        for job, share in batch:
            self._leave(job.cost if job.explain else len(share))
            if job in self._jobs:
                self._jobs.remove(job)
                self._leave(job.cost - job.taken)
            if not job.done.done():
                job.done.set_exception(error)

    def _leave(self, count: int) -> None:
        self.waiting -= count
        if not self.waiting:
            self._idle.set()
