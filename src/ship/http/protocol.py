"""uvicorn's HTTP protocol, with an end for connections that are too slow: they hold memory and a descriptor."""

import asyncio
import json
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any, Literal, cast

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

HEAD_SECONDS = 10.0  # for a request's first line and headers, once its first byte or the connection is there
DISCARD_SECONDS = 5.0  # for the rest of a body that was refused: cut at once, the client would not see why
WRITE_SECONDS = 30.0  # that a client may leave an answer unread
CONNECTIONS = 512  # at once; beyond them: 503
BEYOND = 128  # more of them that get to read it; the next ones are cut unheard
BUSY_SECONDS = 1.0  # for the request of one beyond: nobody reads an answer to what was not asked yet


class TimedProtocol(H11Protocol):
    """Bodies have their own time-out, in :class:`src.ship.http.bodies.BodyReader`, which answers; these just cut."""

    _head: asyncio.TimerHandle | None = None
    _write: asyncio.TimerHandle | None = None
    _discard: asyncio.TimerHandle | None = None
    _busy = False  # one connection too many

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        beyond = len(self.connections) - connections()
        self._busy = beyond > 0
        self._head = self.loop.call_later(BUSY_SECONDS if self._busy else HEAD_SECONDS, self.transport.abort)
        if beyond > BEYOND:
            self.transport.abort()

    def data_received(self, data: bytes) -> None:
        if self._busy:
            if not self.transport.is_closing():
                self._refuse(503, "busy", "too many connections at once", [("retry-after", "1")])
            return
        if self._head is None and self.conn.their_state is h11.IDLE:
            self._head = self.loop.call_later(HEAD_SECONDS, self.transport.abort)
        super().data_received(data)
        if self.conn.their_state is not h11.IDLE or (self.cycle is not None and not self.cycle.response_complete):
            self._stop("_head")

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop("_head")
        self._stop("_write")
        self._stop("_discard")  # it holds what came of the body
        super().connection_lost(exc)

    def on_response_complete(self) -> None:
        if self.conn.their_state is h11.SEND_BODY:
            self._stop("_discard")
            self._discard = self.loop.call_later(DISCARD_SECONDS, self._cut_if_still, self.cycle)
        super().on_response_complete()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._write = self._write or self.loop.call_later(WRITE_SECONDS, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._stop("_write")

    def send_400_response(self, msg: str) -> None:
        """What is no HTTP, answered in the service's own shape."""
        self._refuse(400, "invalid_http", msg)

    def _refuse(self, status: int, code: str, message: str, more: Sequence[tuple[str, str]] = ()) -> None:
        """In the service's own shape, and the end of the connection."""
        body = json.dumps({"error": {"code": code, "message": message}}).encode()
        headers = [("content-type", "application/json"), ("content-length", str(len(body))), ("connection", "close")]
        headers += more
        events: tuple[Any, ...] = (
            h11.Response(status_code=status, headers=headers, reason=HTTPStatus(status).phrase.encode()),
            h11.Data(data=body),
            h11.EndOfMessage(),
        )
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):  # else an answer is under way already
            self.transport.write(b"".join(cast(bytes, self.conn.send(event)) for event in events))
        self.transport.close()

    def _cut_if_still(self, cycle: object) -> None:
        if self.cycle is cycle and self.conn.their_state is h11.SEND_BODY:
            self.transport.abort()

    def _stop(self, name: Literal["_head", "_write", "_discard"]) -> None:
        timer = getattr(self, name)
        if timer is not None:
            timer.cancel()
            setattr(self, name, None)


def connections() -> int:
    """How many connections there may be: CONNECTIONS, or fewer where the process may open few files."""
    try:
        import resource
    except ImportError:  # Windows
        return CONNECTIONS
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return CONNECTIONS if soft == resource.RLIM_INFINITY else max(1, min(CONNECTIONS, (soft - BEYOND) // 2))
