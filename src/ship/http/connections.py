"""Limit the connections and their time: uvicorn waits without limit for a slow head and for an unread answer.

The protocol here stands between the transport and uvicorn's own protocol and uses no private parts of either: it sees
bytes arrive and writing pause, and the service tells it when a request begins and ends.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, cast

from uvicorn.protocols.http.h11_impl import H11Protocol

HEAD_SECONDS = 10.0  # in which a request's head has to arrive, and the rest of a body that was refused
WRITE_SECONDS = 30.0  # that a client may leave an answer unread
CONNECTIONS = 512  # open at once; further ones get a 503
BEYOND = 128  # connections over the limit that still get a 503; beyond these they are closed without an answer
BUSY_SECONDS = 1.0  # in which a connection over the limit has to send a request, to get its 503

_current: ContextVar["Connection | None"] = ContextVar("connection", default=None)


class Connection(asyncio.Protocol):
    """One connection. It is cut if the client is too slow, as it holds memory and a file descriptor.

    Bodies have a time limit of their own, which answers with 408: :class:`src.ship.http.bodies.BodyReader`. uvicorn
    closes connections that are idle after a request.
    """

    opened: set["Connection"]  # all open connections of the same server

    def __init__(self, **parts: Any) -> None:
        self._inner = H11Protocol(**parts)
        self._loop = asyncio.get_running_loop()
        self._head: asyncio.TimerHandle | None = None
        self._write: asyncio.TimerHandle | None = None
        self._asked = 0  # requests that are with the service
        self.busy = False  # over the limit: its request gets a 503

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Count the connection; over the limit it gets little time, far over the limit it is closed at once."""
        self._transport = cast(asyncio.Transport, transport)
        self.opened.add(self)
        beyond = len(self.opened) - connections()
        self.busy = beyond > 0
        self._inner.connection_made(self._transport)
        self._head = self._loop.call_later(BUSY_SECONDS if self.busy else HEAD_SECONDS, self._transport.abort)
        if beyond > BEYOND:
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        """Hand the bytes on, in a context that the request's task inherits; between requests start the head's clock."""
        if self._head is None and not self._asked:
            self._head = self._loop.call_later(HEAD_SECONDS, self._transport.abort)
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
        self._head, self._write = _stop(self._head), _stop(self._write)
        self._inner.connection_lost(exc)

    @contextmanager
    def asked(self) -> Iterator[None]:
        """Stop the head's clock while a request is with the service."""
        self._asked += 1
        self._head = _stop(self._head)
        try:
            yield
        finally:
            self._asked -= 1


def guarded() -> type[asyncio.Protocol]:
    """The protocol of one server's connections, for uvicorn's option ``http``."""
    return type("Guarded", (Connection,), {"opened": set()})


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
