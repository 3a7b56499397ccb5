"""Read the bodies of requests before the routes see them; refuse bodies that are too large, too slow or no JSON."""

import asyncio

from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .limits import Limits
from .refusals import CLOSE, Refusal

READ = ("/predict", "/explain")  # paths whose POST has a body; no other body is ever read
HELD = 64  # bodies of the largest size that may be held in memory while they are read


class BodyReader:
    """ASGI middleware. Raises Refusal: 400, 408, 413, 415 or 503.

    It holds no more of a body than the limit of one body, and of all bodies together no more than HELD times that.
    """

    def __init__(self, app: ASGIApp, limits: Limits) -> None:
        self._app, self._limits, self._held = app, limits, 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "POST" or scope["path"] not in READ:
            await self._app(scope, receive, send)
            return
        body: bytes | None = await self._read(Headers(scope=scope), receive)

        async def replayed() -> Message:
            nonlocal body
            if body is None:
                return await receive()  # the body was handed over: only a disconnect can follow
            whole, body = body, None
            return {"type": "http.request", "body": whole, "more_body": False}

        await self._app(scope, replayed, send)

    async def _read(self, headers: Headers, receive: Receive) -> bytes:
        _check(headers)
        limit, chunks, size, more = self._limits.max_body_bytes, [], 0, True
        if int(headers.get("content-length", 0)) > limit:
            raise self._too_large()
        try:
            async with asyncio.timeout(self._limits.read_timeout):
                while more:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise ClientDisconnect
                    chunks.append(message.get("body", b""))
                    size += len(chunks[-1])
                    self._held += len(chunks[-1])
                    more = message.get("more_body", False)
                    if size > limit:  # also without a Content-Length, for a body sent in chunks
                        raise self._too_large()
                    if self._held > HELD * limit:
                        raise Refusal(503, "busy", "too many large requests at once", {"Retry-After": "1"} | CLOSE)
        except TimeoutError:
            told = f"the request took longer than {self._limits.read_timeout:g} s to arrive"
            raise Refusal(408, "slow_request", told, CLOSE) from None
        finally:
            self._held -= size
        body = b"".join(chunks)
        try:
            body.decode()  # json.loads would guess UTF-16 and UTF-32; only UTF-8 is taken here
        except UnicodeDecodeError as error:
            raise Refusal(400, "invalid_json", f"not UTF-8: bad byte at {error.start}") from None
        return body

    def _too_large(self) -> Refusal:
        return Refusal(413, "body_too_large", f"the request is larger than {self._limits.max_body_bytes:,} bytes")


def _check(headers: Headers) -> None:
    if headers.get("content-encoding", "identity").strip().lower() not in ("", "identity"):
        raise Refusal(415, "encoded_body", "compressed requests are not taken; send plain JSON")
    kind = headers.get("content-type", "").split(";")[0].strip().lower()
    # browsers ask the service (CORS preflight) before another site's page may send JSON, and the service refuses
    if kind != "application/json":
        raise Refusal(415, "not_json", 'send JSON, with the header "Content-Type: application/json"')
