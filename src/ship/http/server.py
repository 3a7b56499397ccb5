"""``absa serve``: serve a bundle over HTTP until somebody stops it."""

import contextlib
import ipaddress
import logging
import signal
import socket
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import FrameType

import uvicorn
from fastapi import FastAPI

from ...errors import UserError
from ...runs.machine import cores, stop_signals
from ..fetch import fetch
from ..predictor import load_bundle
from .connections import IDLE_SECONDS, guarded
from .limits import Limits, check_origins
from .service import Service, create_app

EXAMPLE = "Máy đẹp, pin trâu nhưng camera hơi kém"
SWITCH_SECONDS = 0.0005  # after which a thread lets another run Python: the model's threads need little of it, and soon
HEAD_BYTES = 16_384  # most bytes of a request's first line and headers


def serve(
    bundle: str | Path,
    host: str,
    port: int,
    threads: int | None,
    log_texts: bool,
    limits: Limits,
    origins: Sequence[str] = (),
    revision: str | None = None,
) -> None:
    """Serve until SIGTERM or Ctrl-C, answer the requests that were accepted, and return.

    Raises UserError if a limit is not above 0, one of the ``origins`` is none, the address cannot be listened on, or
    ``bundle`` cannot be loaded.
    """
    limits.check()
    check_origins(origins)
    if threads is not None and threads < 1:
        raise UserError(f"--threads {threads}: expected 1 or more")
    with bind(host, port) as listener:  # first: loading the model takes longer
        found, commit = fetch(bundle, revision)
        predictor = load_bundle(found, 1, from_hub=commit is not None)  # the queue has the threads
        predictor.predict([EXAMPLE])  # the first call is slow, as it allocates memory
        logging.basicConfig(format="%(asctime)s %(message)s", level=logging.INFO, stream=sys.stderr)
        sys.setswitchinterval(SWITCH_SECONDS)
        service = Service(predictor, limits, threads or cores())
        config = configuration(create_app(service, log_texts, _loopback(listener), origins), limits)
        shown = f"[{host}]" if ":" in host else host
        url = f"http://{shown}:{listener.getsockname()[1]}"
        if not _loopback(listener):
            print("anyone who can reach this address can ask: the service knows no users", file=sys.stderr, flush=True)
        Server(config, service, f"Serving {bundle} at {url}   (Ctrl-C stops)").run([listener])
        print("Stopped.", flush=True)


def configuration(app: FastAPI, limits: Limits) -> uvicorn.Config:
    """The configuration with which uvicorn runs the service."""
    return uvicorn.Config(
        app,
        http=guarded(),
        loop="asyncio",
        ws="none",
        lifespan="on",
        log_config=None,  # its messages go to the root logger
        log_level="warning",
        access_log=False,  # it would log query strings
        server_header=False,
        proxy_headers=False,
        h11_max_incomplete_event_size=HEAD_BYTES,
        timeout_keep_alive=int(IDLE_SECONDS) + 5,  # later than the connection's own clock, which says so
        timeout_graceful_shutdown=int(limits.timeout + limits.read_timeout) + 1,
    )


def bind(host: str, port: int) -> socket.socket:
    """A socket that listens on the address. Raises UserError if the address is unknown, in use or not allowed."""
    if not 0 <= port <= 65535:
        raise UserError(f"--port {port}: expected 0 to 65535")
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except (OSError, UnicodeError) as error:
        raise UserError(f"--host {host}: there is no such address ({error})") from error
    listener = socket.socket(family, kind, protocol)
    # On Windows SO_REUSEADDR would let a second service have the same port
    listener.setsockopt(socket.SOL_SOCKET, getattr(socket, "SO_EXCLUSIVEADDRUSE", socket.SO_REUSEADDR), 1)
    try:
        listener.bind(address)
        listener.listen()  # now: a second service must find the port taken while this one still loads its model
    except OSError as error:
        listener.close()
        raise UserError(f"{host}:{port}: cannot be listened on ({error.strerror}); try another --port") from error
    return listener


class Server(uvicorn.Server):
    """uvicorn's server; it also prints a greeting, refuses new requests once it is asked to stop, and then returns."""

    def __init__(self, config: uvicorn.Config, service: Service, greeting: str) -> None:
        super().__init__(config)
        self._service, self._greeting = service, greeting

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        print(self._greeting, flush=True)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self._service.stopping = True
        super().handle_exit(sig, frame)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Handle signals, but do not raise them again at the end as uvicorn does: a requested stop is no failure."""
        before = {number: signal.signal(number, self.handle_exit) for number in stop_signals()}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def _loopback(listener: socket.socket) -> bool:
    return ipaddress.ip_address(listener.getsockname()[0].split("%")[0]).is_loopback
