"""The outermost layer: security headers and refusals; for every request a log line and the counters."""

import json
import logging
import re
import time
import traceback
from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from . import connections
from .meters import OTHER_PATH, PATHS, Meters
from .refusals import CLOSE, Refusal

HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Resource-Policy": "same-origin",
}
PROBED = ("/health", "/ready", "/metrics")  # asked every few seconds: logged only if something is wrong
LOCALHOST = re.compile(r"(localhost|127\.0\.0\.1|\[::1\])(:\d*)?", re.IGNORECASE)
ELSEWHERE = Refusal(421, "wrong_host", "this service is asked as localhost, 127.0.0.1 or [::1] only")
TWO_LENGTHS = Refusal(400, "invalid_http", "both Transfer-Encoding and Content-Length: which one counts?", CLOSE)
OLD_CHUNKS = Refusal(400, "invalid_http", "Transfer-Encoding in a request of HTTP/1.0, which knows none", CLOSE)
PREFLIGHT = Response(
    status_code=204,
    headers={
        "Access-Control-Allow-Methods": "GET, POST",
        "Access-Control-Allow-Headers": "Content-Type",
        "Access-Control-Max-Age": "600",
    },
)
GONE = 499  # nginx's status for a client that left before the answer

log = logging.getLogger("absa.serve")


class Edge:
    """ASGI middleware. Answers every :class:`Refusal` raised within it; ``log_texts`` logs ``scope["state"]["texts"]``.

    ``local`` refuses requests whose Host is not this machine: another site can let its own name resolve to this machine
    (DNS rebinding), and a browser would then treat its pages as the service's own. Pages of ``origins`` (``*``: of any)
    may read the answers, refusals included (https://fetch.spec.whatwg.org/#http-cors-protocol).
    """

    def __init__(
        self, app: ASGIApp, meters: Meters, log_texts: bool, local: bool = False, origins: Sequence[str] = ()
    ) -> None:
        self._app, self._meters, self._log_texts, self._local = app, meters, log_texts, local
        self._origins = frozenset(origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, status = time.perf_counter(), 0
        scope.setdefault("state", {})
        asked = Headers(scope=scope)
        origin = asked.get("origin", "")
        may_read = bool(origin) and not self._origins.isdisjoint(("*", origin))

        connection = connections.current()

        async def sent(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
                if self._origins:
                    headers.add_vary_header("Origin")
                if may_read:
                    headers["Access-Control-Allow-Origin"] = origin
                if connection and connection.last:
                    headers["Connection"] = "close"
            await send(message)

        try:
            with connection.asked() if connection else nullcontext():
                self._check(asked, scope.get("http_version"), busy=connection is not None and connection.busy)
                preflight = scope["method"] == "OPTIONS" and "access-control-request-method" in asked
                await (PREFLIGHT if may_read and preflight else self._app)(scope, receive, sent)
        except Refusal as refusal:
            self._meters.rejected(refusal.code)
            await refusal.response()(scope, receive, sent)
        except ClientDisconnect:
            status = status or GONE
        except Exception as error:
            # log the traceback without the message, which could hold a user's text
            where = "".join(traceback.format_tb(error.__traceback__))
            log.error("%s\n%s", type(error).__name__, where)
            if not status:
                await Refusal(500, "internal", "the service failed; its log says where").response()(
                    scope, receive, sent
                )
        finally:
            seconds = time.perf_counter() - began
            path = scope["path"] if scope["path"] in PATHS else OTHER_PATH
            self._meters.request(path, status or GONE, seconds)
            if path not in PROBED or status >= 400:
                self._tell(scope["method"], path, status or GONE, seconds, scope["state"])

    def _check(self, headers: Headers, version: str | None, busy: bool) -> None:
        if busy:
            raise connections.BUSY
        if "transfer-encoding" in headers and "content-length" in headers:
            raise TWO_LENGTHS  # a proxy in front may use the other of the two: request smuggling
        if "transfer-encoding" in headers and version == "1.0":
            raise OLD_CHUNKS  # the same: https://www.rfc-editor.org/rfc/rfc9112#section-6.1
        if self._local and not LOCALHOST.fullmatch(headers.get("host", "")):
            raise ELSEWHERE

    def _tell(self, method: str, path: str, status: int, seconds: float, state: dict[str, Any]) -> None:
        texts = state.get("texts")
        count = "" if texts is None else f" {len(texts)} text{'s' * (len(texts) != 1)}"
        said = f" {json.dumps(texts, ensure_ascii=True)}" if self._log_texts and texts is not None else ""
        log.info("%s %s %d%s %.0f ms%s", method[:10], path, status, count, 1000 * seconds, said)
