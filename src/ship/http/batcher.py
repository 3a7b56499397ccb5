"""Micro-batching: texts of many requests go to the model together, on a thread of their own, from a bounded queue."""

import asyncio
import math
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import Any

import numpy as np

from ...answers.explanation import Explanation
from ..predictor import Predictor

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
    """One request's texts on their way; ``done`` gets the answers, in order (of ``asked`` the one explanation)."""

    def __init__(self, texts: list[str], all_aspects: bool, asked: Explanation | None) -> None:
        self.texts, self.all_aspects, self.asked = texts, all_aspects, asked
        self.taken = 0  # texts that went to the model
        self.open = len(texts)  # texts that count as waiting
        self.turn = SHARE  # texts that may go before the next request has its turn
        self.answers: list[Any] = []  # of an explanation: logits, share by share
        self.done: asyncio.Future[list[Any]] = asyncio.get_running_loop().create_future()


Share = tuple[Job, list[str]]  # texts of a request that go to the model together


class Batcher:
    """Call its methods from the event loop. Only ``_work`` runs on the other thread, one batch at a time.

    Requests take turns of SHARE texts: short ones are answered in the order they came, and a long list does not hold
    them up; an explanation is the list of the texts it takes. ``observe`` is called with the size of every batch.
    """

    def __init__(self, predictor: Predictor, room: int, observe: Callable[[int], None]) -> None:
        self.waiting = 0  # texts of accepted requests that are not answered yet
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

    def submit(self, texts: list[str], *, all_aspects: bool = False, asked: Explanation | None = None) -> Job:
        """Queue a request. Raises Full; a request beyond the whole room is taken when nothing else waits.

        Of ``asked``, ``texts`` are its own.
        """
        if self.waiting and self.waiting + len(texts) > self._room:
            raise Full(min(60, max(1, math.ceil(self.waiting * self._pace))))
        job = Job(texts, all_aspects, asked)
        self.waiting += job.open
        self._jobs.append(job)
        self._news.set()
        self._idle.clear()
        return job

    def drop(self, job: Job) -> None:
        """Nobody waits for this one any more: what the model has not begun of it, it will not begin."""
        job.done.cancel()
        if job in self._jobs:
            self._jobs.remove(job)
            self._leave(job, len(job.texts) - job.taken)

    async def run(self) -> None:
        """Serve the queue, until cancelled. No failure ends it: the requests that it met end instead."""
        while True:
            await self._news.wait()
            await asyncio.sleep(WINDOW)
            while self._jobs:
                batch: list[Share] = []
                try:
                    batch = self._take()
                    await self._serve(batch)
                except Exception as error:  # a bug: the next requests have their own chance
                    self._fail([job for job, _ in batch] or list(self._jobs), error)
            self._news.clear()

    async def drain(self) -> None:
        """Wait until everything that was accepted is answered."""
        await self._idle.wait()

    def close(self) -> None:
        """Give the thread back."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def _serve(self, batch: list[Share]) -> None:
        began = time.perf_counter()
        results = await asyncio.get_running_loop().run_in_executor(self._thread, self._work, batch)
        size = sum(len(texts) for _, texts in batch)
        self._pace += 0.2 * ((time.perf_counter() - began) / size - self._pace)
        self._observe(size)
        self._hand_out(batch, results)

    def _take(self) -> list[Share]:
        """The next batch: texts of one request after another."""
        room = min(BATCH_TEXTS, max(1, int(BATCH_SECONDS / self._pace)))
        letters = BATCH_CHARS
        batch = []
        while self._jobs and room > 0 and letters > 0:
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
            if job.taken < len(job.texts) and job.turn:
                self._jobs.appendleft(job)
            elif job.taken < len(job.texts):
                job.turn = SHARE
                self._jobs.append(job)
        return batch

    def _work(self, batch: list[Share]) -> list[list[Any]]:
        """What each share of the batch comes to: an answer per text, or the one pair of logits of an explanation's."""
        plain = [share for share in batch if not share[0].asked]
        results: list[Any] = []
        if plain:
            everything = any(job.all_aspects for job, _ in plain)
            texts = [text for _, share in plain for text in share]
            results = self._predictor.predict(texts, all_aspects=everything)
            if len(results) != len(texts):
                raise RuntimeError(f"{len(results)} answers to {len(texts)} texts")
        answers = iter(results)
        return [
            [self._predictor.logits(share)] if job.asked else list(islice(answers, len(share))) for job, share in batch
        ]

    def _hand_out(self, batch: list[Share], results: list[list[Any]]) -> None:
        for (job, share), answers in zip(batch, results, strict=True):
            if not job.asked and not job.all_aspects:
                answers = [{"aspects": answer["aspects"]} for answer in answers]
            job.answers += answers
            self._leave(job, len(share))
            if not job.open and not job.done.done():
                job.done.set_result([_explained(job.asked, job.answers)] if job.asked else job.answers)

    def _fail(self, jobs: list[Job], error: Exception) -> None:
        for job in jobs:
            if job in self._jobs:
                self._jobs.remove(job)
            self._leave(job, job.open)
            if not job.done.done():
                job.done.set_exception(error)

    def _leave(self, job: Job, count: int) -> None:
        job.open -= count
        self.waiting -= count
        if not self.waiting:
            self._idle.set()


def _explained(asked: Explanation, parts: list[tuple[np.ndarray | None, np.ndarray]]) -> dict[str, Any]:
    mentioned = [part for part, _ in parts if part is not None]
    return asked.answer(np.concatenate(mentioned) if mentioned else None, np.concatenate([part for _, part in parts]))
