"""The HTTP service: its routes share one predictor and one queue."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Annotated, Any

from fastapi import Body, FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from ...answers.explanation import Explanation
from ...answers.predictor import Predictor
from . import models
from .bodies import BodyReader
from .edge import Edge
from .fair_queue import FairQueue, Full, Work
from .limits import Limits
from .meters import Meters
from .page import demo_page
from .reading import Logits, Long, answers, logits, read, stacked
from .refusals import Json, Refusal, queue_full, stopping

try:
    VERSION = version("visobert-absa")
except PackageNotFoundError:  # the package is not installed: it runs from a checkout
    VERSION = "0"

DESCRIPTION = (
    "Says of a Vietnamese product review which aspects it mentions, and with which sentiment. Every answer that is "
    'no success is `{"error": {"code": ..., "message": ...}}`. Requests of many clients take turns; when the queue is '
    "full the answer is 503 with `Retry-After`."
)
HTTP_CODES = {404: "not_found", 405: "method_not_allowed"}


class Service:
    """The routes and what they share. While ``stopping``, new requests are refused; accepted ones are answered."""

    def __init__(self, predictor: Predictor, limits: Limits, threads: int = 1) -> None:
        self.predictor, self.limits = predictor, limits
        self.meters = Meters()
        self.queue = FairQueue(limits.queue, threads)
        self.meters.watch_queue(lambda: self.queue.waiting)
        self.stopping = False
        self.page, self.page_headers = demo_page()

    @asynccontextmanager
    async def running(self, _: FastAPI) -> AsyncIterator[None]:
        """Serve the queue until the block ends; uvicorn ends the block when every request has its answer."""
        self.queue.start()
        try:
            yield
        finally:
            self.queue.close()

    async def predict(
        self, body: Annotated[models.PredictBody, Body(openapi_examples=models.PREDICT_EXAMPLES)], request: Request
    ) -> Response:
        """Aspects and sentiments of one text, or of each text of a list, in order."""
        began = time.perf_counter()
        texts = self._texts(body, request)

        def finish(read: list[Logits | Long]) -> list[Any]:
            long = any(isinstance(one, Long) for one in read)
            return read if long else answers(self.predictor, read, [], body.all)

        found = await self._result(request, began, texts, self._read, finish)
        if long := [one for one in found if isinstance(one, Long)]:
            windows = [window for one in long for window in one.windows]
            ended = partial(answers, self.predictor, found, all_aspects=body.all)
            found = await self._result(request, began, windows, self._logits, ended, len(long))
        return Json({"answers": found, "milliseconds": _since(began)})

    async def explain(
        self, body: Annotated[models.ExplainBody, Body(openapi_examples=models.EXPLAIN_EXAMPLES)], request: Request
    ) -> Response:
        """What each word of a text contributes to each of its answers: what leaving the word out costs."""
        began = time.perf_counter()
        texts = self._texts(body, request)
        asked = (await self._result(request, began, texts, self._explanations, list))[0]
        answer = await self._result(
            request, began, asked.texts, self._logits, lambda parts: asked.answer(*stacked(parts)), 1
        )
        return Json({**answer, "milliseconds": _since(began)})

    async def labels(self) -> Response:
        """Aspects, sentiments, the model, and the limits of a request."""
        labels, limits, info = self.predictor.labels, self.limits, self.predictor.info
        encoder = str(info["encoder"].get("name"))
        if Path(encoder).is_absolute():  # a path of the training machine is private
            encoder = Path(encoder).name
        return Json(
            {
                "task": self.predictor.task,
                "aspects": labels.aspects,
                "without_sentiment": labels.without_sentiment,
                "sentiments": list(self.predictor.labels.sentiments),
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
            return stopping().response()
        if not self.queue.served:
            return Refusal(503, "broken", "the queue is served no more: restart the service").response()
        if self.queue.full:
            return queue_full(1).response()
        return Json({"status": "ready", "waiting": self.queue.waiting})

    async def metrics(self) -> Response:
        """Counters in Prometheus' text format."""
        return Response(self.meters.exposition(), headers={"Content-Type": self.meters.media_type})

    async def index(self) -> Response:
        """The demo page."""
        return Response(self.page, headers=self.page_headers, media_type="text/html")

    def _texts(self, body: models.PredictBody | models.ExplainBody, request: Request) -> list[str]:
        request.state.texts = texts = models.check_size(body, self.limits)
        if self.stopping:
            raise stopping()
        return texts

    def _explanations(self, texts: Sequence[str]) -> list[Explanation]:
        return [self.predictor.explanation(text) for text in texts]

    def _read(self, texts: Sequence[str]) -> list[Logits | Long]:
        found = read(self.predictor, texts)
        self.meters.answered(sum(not isinstance(one, Long) for one in found))
        return found

    def _logits(self, texts: Sequence[str]) -> list[Logits]:
        self.meters.answered(len(texts))
        return logits(self.predictor, texts)

    async def _result(
        self,
        request: Request,
        began: float,
        items: Sequence[str],
        work: Work,
        finish: Callable[[list[Any]], Any],
        had: int = 0,
    ) -> Any:
        """``finish`` of the results of ``work`` on the items.

        Raises Refusal, 503 if the queue is full, 504 if ``began`` is longer ago than the time limit, and
        ClientDisconnect if the client leaves; items that have not begun are then dropped.
        """
        try:
            job = self.queue.submit(items, work, finish, had)
        except Full as full:
            raise queue_full(full.seconds) from None
        gone = asyncio.ensure_future(_gone(request))
        left = max(0.0, began + self.limits.timeout - time.perf_counter())
        try:
            await asyncio.wait((job.done, gone), timeout=left, return_when=asyncio.FIRST_COMPLETED)
            if job.done.done():
                return job.done.result()
            if gone.done():
                raise ClientDisconnect
            raise Refusal(504, "timeout", f"no answer within {self.limits.timeout:g} s", {"Retry-After": "1"})
        finally:
            gone.cancel()
            if not job.done.done():
                self.queue.drop(job)


def create_app(service: Service, log_texts: bool = False, local: bool = False, origins: Sequence[str] = ()) -> FastAPI:
    """The service as an ASGI application.

    ``local`` refuses requests whose Host is not this machine. Pages from the ``origins`` may read its answers.
    """
    app = FastAPI(
        title="Aspects and sentiments of Vietnamese reviews",
        version=VERSION,
        description=DESCRIPTION,
        docs_url=None,  # off, as redoc is: both pages load scripts from another site
        redoc_url=None,
        redirect_slashes=False,
        lifespan=service.running,
        exception_handlers={RequestValidationError: _invalid, HTTPException: _http},
    )
    app.add_middleware(BodyReader, limits=service.limits)
    app.add_middleware(Edge, meters=service.meters, log_texts=log_texts, local=local, origins=origins)
    post: dict[str, Any] = {"methods": ["POST"], "tags": ["model"]}
    refused = models.refusals(*models.MEANINGS)
    app.add_api_route("/predict", service.predict, **post, responses={200: {"model": models.Answers}, **refused})
    app.add_api_route("/explain", service.explain, **post, responses={200: {"model": models.Explained}, **refused})
    app.add_api_route("/labels", service.labels, tags=["model"])
    app.add_api_route("/health", service.health, tags=["operation"])
    app.add_api_route("/ready", service.ready, tags=["operation"], responses=models.refusals(503))
    app.add_api_route("/metrics", service.metrics, tags=["operation"])
    app.add_api_route("/", service.index, include_in_schema=False)
    return app


async def _invalid(_: Request, error: Any) -> Response:
    """Refuse a body from which FastAPI could not make the route's model."""
    raise models.refusal_of(error)


async def _http(_: Request, error: Any) -> Response:
    """Refuse for the errors of Starlette and FastAPI: no such path, wrong method, a body that json cannot read."""
    if error.status_code == 400:
        raise models.refusal_of_json(error.__cause__)
    code = HTTP_CODES.get(error.status_code, "http_error")
    raise Refusal(error.status_code, code, error.detail, error.headers)


async def _gone(request: Request) -> None:
    """Return when the client disconnects; the body was read, so no other message can follow."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _since(began: float) -> float:
    return round(1000 * (time.perf_counter() - began), 1)
