"""Limit the connections and their time: uvicorn waits without limit for a slow head and for an unread answer.

The protocol here stands between the transport and uvicorn's own protocol and uses no private parts of either: it sees
bytes arrive and writing pause, and the service tells it when a request begins and ends.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from http import HTTPStatus
from typing import Any, cast

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from .refusals import CLOSE, Refusal

HEAD_SECONDS = 10.0  # in which a request's head has to arrive, and the rest of a body that was refused
WRITE_SECONDS = 30.0  # that a client may leave an answer unread
IDLE_SECONDS = 60.0  # that a connection may be idle between two requests
CROWDED_SECONDS = 5.0  # the same while more than half of the places are taken
CONNECTIONS = 512  # open at once; further ones get a 503
BEYOND = 128  # connections over the limit whose request is waited for; further ones get their 503 at once
BUSY_SECONDS = 1.0  # in which a connection over the limit has to send a request; its 503 comes then or at the end
LINGER_SECONDS = 1.0  # in which the client may send on without hearing of a reset before it has read why it was ended
LINGERING = 256  # connections that may do so at once
BUSY = Refusal(503, "busy", "too many connections at once", {"Retry-After": "1"} | CLOSE)

_current: ContextVar["Connection | None"] = ContextVar("connection", default=None)


class Connection(asyncio.Protocol):
    """One connection. It is ended if the client is too slow, as it holds memory and a file descriptor.

    Who may wait for an answer gets one: a connection on which no answer has begun is told why it ends, with
    ``Connection: close``. Bodies have a time limit of their own: :class:`src.ship.http.bodies.BodyReader`.
    """

    opened: set["Connection"]  # all open connections of the same server that are not being ended
    ended: set["Connection"]  # those whose client may still send, which is not read any more

    def __init__(self, **parts: Any) -> None:
        self._inner = H11Protocol(**parts)
        self._loop = asyncio.get_running_loop()
        self._head: asyncio.TimerHandle | None = None
        self._idle: asyncio.TimerHandle | None = None
        self._write: asyncio.TimerHandle | None = None
        self._asked = 0  # requests that are with the service
        self.busy = False  # over the limit: its request gets a 503

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Count the connection; over the limit it gets little time, far over the limit it is refused at once."""
        self._transport = cast(asyncio.Transport, transport)
        self.opened.add(self)
        beyond = len(self.opened) - connections()
        self.busy = beyond > 0
        self._inner.connection_made(self._transport)
        self._head = self._loop.call_later(BUSY_SECONDS if self.busy else HEAD_SECONDS, self._end)
        if beyond > BEYOND:
            self._end()

    def data_received(self, data: bytes) -> None:
        """Hand the bytes on, in a context that the request's task inherits; between requests start the head's clock."""
        if self in self.ended:
            return
        self._idle = _stop(self._idle)
        if self._head is None and not self._asked:
            self._head = self._loop.call_later(HEAD_SECONDS, self._end)
        token = _current.set(self)
        self._inner.data_received(data)
        _current.reset(token)

    def eof_received(self) -> None:
        """Tell uvicorn that the client sends no more."""
        self._inner.eof_received()

    def pause_writing(self) -> None:
        """The client reads too little: start the clock of the answer."""
        self._inner.pause_writing()
        self._write = self._write or self._loop.call_later(WRITE_SECONDS, self._transport.abort)

    def resume_writing(self) -> None:
        """The client reads again: stop the clock of the answer."""
        self._inner.resume_writing()
        self._write = _stop(self._write)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection and stop its clocks."""
        self.opened.discard(self)
        self.ended.discard(self)
        self._head, self._idle, self._write = _stop(self._head), _stop(self._idle), _stop(self._write)
        self._inner.connection_lost(exc)

    @contextmanager
    def asked(self) -> Iterator[None]:
        """Stop the clocks of the client while a request is with the service; start that of idleness afterwards."""
        self._asked += 1
        self._head, self._idle = _stop(self._head), _stop(self._idle)
        try:
            yield
        finally:
            self._asked -= 1
            self._rest(0.0)

    @property
    def last(self) -> bool:
        """Whether no place is left, so that an answer has to end its connection: else newcomers found none for long."""
        return len(self.opened) >= connections()

    def _rest(self, idle: float) -> None:
        """Look again in CROWDED_SECONDS whether the connection, idle for ``idle`` seconds, may stay."""
        if idle and (idle >= IDLE_SECONDS or 2 * len(self.opened) > connections()):
            self._end()
        elif not (self._asked or self._transport.is_closing()):
            _stop(self._idle)
            self._idle = self._loop.call_later(CROWDED_SECONDS, self._rest, idle + CROWDED_SECONDS)

    def _end(self) -> None:
        """End the connection: with a refusal if no answer has begun on it, at once otherwise."""
        if self._write or self._inner.conn.their_state is not h11.IDLE:
            self._transport.abort()  # it has its answer: it does not read it, or sends a body that was refused
            return
        slow = Refusal(408, "slow_request", "no request came, or not in time", CLOSE)
        answer = (BUSY if self.busy else slow).response()
        head = [f"HTTP/1.1 {answer.status_code} {HTTPStatus(answer.status_code).phrase}".encode()]
        head += [name + b": " + value for name, value in answer.raw_headers]
        self._transport.write(b"\r\n".join([*head, b"", bytes(answer.body)]))
        self.opened.discard(self)
        _stop(self._head)
        self._head = self._loop.call_later(LINGER_SECONDS, self._transport.abort)
        if len(self.ended) < LINGERING:
            self.ended.add(self)
            self._transport.write_eof()
        else:
            self._transport.close()


def guarded() -> type[asyncio.Protocol]:
    """The protocol of one server's connections, for uvicorn's option ``http``."""
    return type("Guarded", (Connection,), {"opened": set(), "ended": set()})


def current() -> Connection | None:
    """The connection of the request that is being answered; None if there is no server, as in tests."""
    return _current.get()


def connections() -> int:
    """How many connections may be open: CONNECTIONS, or fewer if the process may open few files."""
    try:
        import resource
    except ImportError:  # Windows
        return CONNECTIONS
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return CONNECTIONS if soft == resource.RLIM_INFINITY else max(1, min(CONNECTIONS, (soft - BEYOND) // 2))


def _stop(timer: asyncio.TimerHandle | None) -> asyncio.TimerHandle | None:
    """Stop a timer; return None to assign in its place."""
    if timer is not None:
        timer.cancel()
    return None
