"""A service on a real socket within the test's process, over a predictor that can be held."""

import contextlib
import http.client
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import uvicorn

from src.answers.predictor import Predictor
from src.ship.http.limits import Limits
from src.ship.http.server import bind, configuration
from src.ship.http.service import Service, create_app

JSON = {"Content-Type": "application/json"}


class Held:
    """A predictor that answers while ``gate`` is open, and remembers what it was asked."""

    def __init__(self, predictor: Predictor) -> None:
        self._predictor = predictor
        self.gate = threading.Event()
        self.gate.set()
        self.batches: list[list[str]] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._predictor, name)

    def logits(self, texts: list[str]) -> Any:
        return self._held(texts, self._predictor.logits)

    def logits_of_short(self, texts: list[str]) -> Any:
        return self._held(texts, self._predictor.logits_of_short)

    def _held(self, texts: list[str], work: Callable[[list[str]], Any]) -> Any:
        self.batches.append(list(texts))
        assert self.gate.wait(30)
        return work(texts)


class Running:
    """A running service and how to ask it."""

    def __init__(self, service: Service, server: uvicorn.Server, port: int) -> None:
        self.service, self.server, self.port = service, server, port

    def ask(self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None) -> "Reply":
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
            connection.request(method, path, data, JSON if headers is None else headers)
            return Reply(connection.getresponse())
        finally:
            connection.close()

    def post(self, path: str, body: Any, headers: dict[str, str] | None = None) -> "Reply":
        return self.ask("POST", path, body, headers)

    def raw(self, data: bytes) -> bytes:
        """Send bytes as they are; everything that comes back until the service closes."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=30) as connection:
            connection.sendall(data)
            return b"".join(iter(lambda: connection.recv(65536), b""))


class Reply:
    def __init__(self, response: http.client.HTTPResponse) -> None:
        self.status, self.headers, self.body = response.status, response.headers, response.read()

    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def code(self) -> str:
        assert set(self.json()) == {"error"} and set(self.json()["error"]) == {"code", "message"}
        return self.json()["error"]["code"]

    @property
    def message(self) -> str:
        return self.json()["error"]["message"]


@contextlib.contextmanager
def running(
    predictor: Any, log_texts: bool = False, local: bool = False, origins: Sequence[str] = (), **bounds: Any
) -> Iterator[Running]:
    limits = Limits(**bounds)
    service = Service(predictor, limits, threads=2)
    server = uvicorn.Server(configuration(create_app(service, log_texts, local, origins), limits))
    with bind("127.0.0.1", 0) as listener:
        thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
        thread.start()
        wait_for(lambda: server.started)
        try:
            yield Running(service, server, listener.getsockname()[1])
        finally:
            server.should_exit = True
            thread.join(30)
            assert not thread.is_alive()


def wait_for(condition: Any, seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come to pass"
        time.sleep(0.01)
