"""The service's JSON responses, and the one shape of all its errors."""

import json
from collections.abc import Mapping

from starlette.responses import Response

CLOSE = {"Connection": "close"}


class Refusal(Exception):
    """Raised to refuse a request, with a status, a code for programs and a message for people."""

    def __init__(self, status: int, code: str, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status, self.code, self.message, self.headers = status, code, message, headers

    def response(self) -> Response:
        """The response: ``{"error": {"code": ..., "message": ...}}``."""
        return Json({"error": {"code": self.code, "message": self.message}}, self.status, self.headers)


class Json(Response):
    """Compact UTF-8 JSON that no cache may store."""

    media_type = "application/json"

    def __init__(self, content: object, status: int = 200, headers: Mapping[str, str] | None = None) -> None:
        body = json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()
        super().__init__(body, status, {"Cache-Control": "no-store", **(headers or {})})


def queue_full(seconds: int) -> Refusal:
    """The refusal of a request for which the queue has no room; ``seconds`` until it may have."""
    return Refusal(503, "queue_full", f"the queue is full; try again in {seconds} s", {"Retry-After": str(seconds)})


def stopping() -> Refusal:
    """The refusal of a request that comes while the service ends."""
    return Refusal(503, "stopping", "the service is stopping", {"Retry-After": "5"} | CLOSE)
