"""The HTTP service: its routes, over one predictor and one queue."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from ...answers.explanation import Explanation
from ...labels import SENTIMENTS
from ..predictor import Predictor
from . import openapi
from .batcher import Batcher, Full, Job
from .bodies import CLOSE, BodyReader, Question, parse_explain, parse_predict
from .edge import Edge
from .limits import Limits
from .meters import Meters
from .page import demo_page
from .refusals import Json, Refusal

CODES = {404: "not_found", 405: "method_not_allowed"}


class Service:
    """What the routes share. ``stopping`` refuses what is new; what was accepted is answered."""

    def __init__(self, predictor: Predictor, limits: Limits) -> None:
        self.predictor, self.limits = predictor, limits
        self.meters = Meters()
        self.batcher = Batcher(predictor, limits.queue, self.meters.batch)
        self.meters.watch_queue(lambda: self.batcher.waiting)
        self.bodies = BodyReader(limits)
        self.stopping = False
        self._serving: asyncio.Task[None] | None = None
        self.page, self.page_headers = demo_page()

    @asynccontextmanager
    async def running(self, _: FastAPI) -> AsyncIterator[None]:
        """The queue is served until the block ends, and then to its last text."""
        self._serving = serving = asyncio.create_task(self.batcher.run())
        try:
            yield
            self.stopping = True
            await self.batcher.drain()
        finally:
            serving.cancel()
            self.batcher.close()

    async def predict(self, request: Request) -> Response:
        """Aspects and sentiments of one text, or of each text of a list, in order."""
        began = time.perf_counter()
        question = await self._question(request, parse_predict)
        answers = await self._answers(request, self._submit(question))
        return Json({"answers": answers, "milliseconds": _since(began)})

    async def explain(self, request: Request) -> Response:
        """What each word of a text contributes to each of its answers: what leaving the word out costs."""
        began = time.perf_counter()
        question = await self._question(request, parse_explain)
        if self.batcher.full:
            raise _full(1)  # spared the work of finding out what to ask, which is not the model's but is some
        asked = await asyncio.to_thread(self.predictor.explanation, question.texts[0])
        (told,) = await self._answers(request, self._submit(Question(asked.texts), asked))
        return Json({**told, "milliseconds": _since(began)})

    async def labels(self) -> Response:
        """Aspects, sentiments, the model, and the limits of a request."""
        labels, limits, info = self.predictor.labels, self.limits, self.predictor.info
        encoder = str(info["encoder"].get("name"))
        if Path(encoder).is_absolute():  # where it lay when it was trained is nobody's business
            encoder = Path(encoder).name
        return Json(
            {
                "task": self.predictor.task,
                "aspects": labels.aspects,
                "without_sentiment": labels.without_sentiment,
                "sentiments": SENTIMENTS,
                "model": {
                    "encoder": encoder,
                    "precision": info["precision"],
                    "max_length": self.predictor.max_length,
                },
                "limits": {
                    "texts": limits.max_texts,
                    "text_chars": limits.max_text_chars,
                    "body_bytes": limits.max_body_bytes,
                },
            }
        )

    async def health(self) -> Response:
        """The process is alive."""
        return Json({"status": "alive"})

    async def ready(self) -> Response:
        """A request would be taken now: the model is loaded, the queue has room, and nobody stops the service."""
        if self.stopping:
            return _stopping().response()
        if self._serving is None or self._serving.done():
            return Refusal(503, "broken", "the queue is served no more: restart the service").response()
        if self.batcher.full:
            return _full(1).response()
        return Json({"status": "ready", "waiting": self.batcher.waiting})

    async def metrics(self) -> Response:
        """Counters in Prometheus' text format."""
        return Response(self.meters.exposition(), headers={"Content-Type": self.meters.media_type})

    async def index(self) -> Response:
        """The demo page."""
        return Response(self.page, headers=self.page_headers, media_type="text/html")

    async def _question(self, request: Request, parse: Callable[[bytes, Limits], Question]) -> Question:
        question = parse(await self.bodies.read(request), self.limits)
        request.state.texts = question.texts
        return question

    def _submit(self, question: Question, asked: Explanation | None = None) -> Job:
        if self.stopping:
            raise _stopping()
        try:
            return self.batcher.submit(question.texts, all_aspects=question.all_aspects, asked=asked)
        except Full as full:
            raise _full(full.seconds) from None

    async def _answers(self, request: Request, job: Job) -> list[Any]:
        """The job's answers, unless time runs out or the client goes away: then the model is spared the rest."""
        gone = asyncio.ensure_future(_gone(request))
        try:
            await asyncio.wait((job.done, gone), timeout=self.limits.timeout, return_when=asyncio.FIRST_COMPLETED)
            if job.done.done():
                return job.done.result()
            if gone.done():
                raise ClientDisconnect
            raise Refusal(504, "timeout", f"no answer within {self.limits.timeout:g} s", {"Retry-After": "1"})
        finally:
            gone.cancel()
            if not job.done.done():
                self.batcher.drop(job)


def create_app(service: Service, log_texts: bool = False, local: bool = False) -> FastAPI:
    """The service as an ASGI application; ``local`` answers only who asks for this machine by name."""
    app = FastAPI(
        title="Aspects and sentiments of Vietnamese reviews",
        version=openapi.VERSION,
        description=openapi.DESCRIPTION,
        docs_url=None,  # both pages load their scripts from a content delivery network
        redoc_url=None,
        redirect_slashes=False,
        lifespan=service.running,
        exception_handlers={Refusal: _refused(service.meters), HTTPException: _http(service.meters)},
    )
    app.add_middleware(Edge, meters=service.meters, log_texts=log_texts, local=local)
    predict, explain = openapi.predict(service.predictor.labels), openapi.explain(service.predictor.labels)
    app.add_api_route("/predict", service.predict, methods=["POST"], tags=["model"], **predict)
    app.add_api_route("/explain", service.explain, methods=["POST"], tags=["model"], **explain)
    app.add_api_route("/labels", service.labels, tags=["model"])
    app.add_api_route("/health", service.health, tags=["operation"])
    app.add_api_route("/ready", service.ready, tags=["operation"], responses=openapi.refusals(503))
    app.add_api_route("/metrics", service.metrics, tags=["operation"])
    app.add_api_route("/", service.index, include_in_schema=False)
    return app


Handler = Callable[[Request, Any], Coroutine[Any, Any, Response]]


def _refused(meters: Meters) -> Handler:
    async def handler(_: Request, error: Refusal) -> Response:
        meters.rejected(error.code)
        return error.response()

    return handler


def _http(meters: Meters) -> Handler:
    """Starlette's own: no such path, or not with this method."""

    async def handler(_: Request, error: HTTPException) -> Response:
        code = CODES.get(error.status_code, "http_error")
        meters.rejected(code)
        return Refusal(error.status_code, code, error.detail, error.headers).response()

    return handler


async def _gone(request: Request) -> None:
    """Ends when the client does: the body was read, so nothing else is to come."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _full(seconds: int) -> Refusal:
    return Refusal(503, "queue_full", f"the queue is full; try again in {seconds} s", {"Retry-After": str(seconds)})


def _stopping() -> Refusal:
    return Refusal(503, "stopping", "the service is stopping", {"Retry-After": "5"} | CLOSE)


def _since(began: float) -> float:
    return round(1000 * (time.perf_counter() - began), 1)
