"""How many connections may be open, and for how long: uvicorn bounds neither a slow head nor an unread answer.

A connection's protocol stands between its transport and uvicorn's own protocol and touches neither's insides: it sees
bytes arrive and writing pause, and hears from the service when a request begins and ends.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, cast

from uvicorn.protocols.http.h11_impl import H11Protocol

HEAD_SECONDS = 10.0  # in which a request's head has to be there; and the rest of a body that was refused
WRITE_SECONDS = 30.0  # that a client may leave an answer unread
CONNECTIONS = 512  # at once; beyond them: 503
BEYOND = 128  # connections over the limit that still get a 503; beyond these they are closed without an answer
BUSY_SECONDS = 1.0  # in which a connection over the limit has to ask, to be told

_current: ContextVar["Connection | None"] = ContextVar("connection", default=None)


class Connection(asyncio.Protocol):
    """One connection. Too slow, it is cut: it holds memory and a descriptor.

    A body has its own time limit, which answers: :class:`src.ship.http.bodies.BodyReader`. Idle connections that were
    asked before are closed by uvicorn.
    """

    opened: set["Connection"]  # of the same server

    def __init__(self, **parts: Any) -> None:
        self._inner = H11Protocol(**parts)
        self._loop = asyncio.get_running_loop()
        self._head: asyncio.TimerHandle | None = None
        self._write: asyncio.TimerHandle | None = None
        self._asked = 0  # requests that are not answered yet
        self.busy = False  # one connection too many

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Count it; over the limit it gets little time, far over the limit none."""
        self._transport = cast(asyncio.Transport, transport)
        self.opened.add(self)
        beyond = len(self.opened) - connections()
        self.busy = beyond > 0
        self._inner.connection_made(self._transport)
        self._head = self._loop.call_later(BUSY_SECONDS if self.busy else HEAD_SECONDS, self._transport.abort)
        if beyond > BEYOND:
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        """Hand on, within the context that a request's task inherits; outside of a request the clock runs."""
        if self._head is None and not self._asked:
            self._head = self._loop.call_later(HEAD_SECONDS, self._transport.abort)
        token = _current.set(self)
        self._inner.data_received(data)
        _current.reset(token)

    def eof_received(self) -> None:
        """Hand on."""
        self._inner.eof_received()

    def pause_writing(self) -> None:
        """The client reads too little."""
        self._inner.pause_writing()
        self._write = self._write or self._loop.call_later(WRITE_SECONDS, self._transport.abort)

    def resume_writing(self) -> None:
        """It reads again."""
        self._inner.resume_writing()
        self._write = _stop(self._write)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget it."""
        self.opened.discard(self)
        self._head, self._write = _stop(self._head), _stop(self._write)
        self._inner.connection_lost(exc)

    @contextmanager
    def asked(self) -> Iterator[None]:
        """While a request is with the service, the head's clock stands."""
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
    """The connection of the request that is being answered; None without a server, in tests."""
    return _current.get()


def connections() -> int:
    """How many connections there may be: CONNECTIONS, or fewer where the process may open few files."""
    try:
        import resource
    except ImportError:  # Windows
        return CONNECTIONS
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return CONNECTIONS if soft == resource.RLIM_INFINITY else max(1, min(CONNECTIONS, (soft - BEYOND) // 2))


def _stop(timer: asyncio.TimerHandle | None) -> asyncio.TimerHandle | None:
    """Stop a timer; None, to put in its place."""
    if timer is not None:
        timer.cancel()
    return None
