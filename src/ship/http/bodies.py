"""From the bytes of a request to the texts it asks about. Messages say what was wrong, never what the text was."""

import asyncio
import json
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request

from ...errors import UserError
from ...tokens.tokenizer import check_texts
from .limits import Limits
from .refusals import Refusal

HELD = 64  # bodies of the largest size that may be in reading at once
CLOSE = {"Connection": "close"}
KINDS = {
    type(None): "null",
    bool: "true or false",
    int: "a number",
    float: "a number",
    list: "a list",
    dict: "an object",
}


@dataclass(frozen=True)
class Question:
    """What a body asks for."""

    texts: list[str]
    all_aspects: bool = False


class BodyReader:
    """Reads bodies as they come in: never more than the limit of one, nor more than HELD of them together."""

    def __init__(self, limits: Limits) -> None:
        self._limits, self._held = limits, 0

    async def read(self, request: Request) -> bytes:
        """The whole body. Raises Refusal: 408, 413, 415 or 503."""
        _check_headers(request)
        limit, size = self._limits.max_body_bytes, 0
        if int(request.headers.get("content-length", 0)) > limit:
            raise self._too_large()
        chunks: list[bytes] = []
        try:
            async with asyncio.timeout(self._limits.read_timeout):
                async for chunk in request.stream():
                    size += len(chunk)
                    self._held += len(chunk)
                    if size > limit:  # sent in chunks, without a length
                        raise self._too_large()
                    if self._held > HELD * limit:
                        raise Refusal(503, "busy", "too many large requests at once", {"Retry-After": "1"} | CLOSE)
                    chunks.append(chunk)
        except TimeoutError:
            message = f"the request took longer than {self._limits.read_timeout:g} s to arrive"
            raise Refusal(408, "slow_request", message, CLOSE) from None
        finally:
            self._held -= size
        return b"".join(chunks)

    def _too_large(self) -> Refusal:
        return Refusal(413, "body_too_large", f"the request is larger than {self._limits.max_body_bytes:,} bytes")


def parse_predict(body: bytes, limits: Limits) -> Question:
    """The body of ``POST /predict``. Raises Refusal: 400 for what is no JSON, 422 for what cannot be answered."""
    asked = _object(body, ("text", "texts", "all"))
    if ("text" in asked) == ("texts" in asked):
        raise _wrong('expected either "text", one text, or "texts", a list of texts')
    if not isinstance(asked.get("all", False), bool):
        raise _wrong(f'"all": expected true or false, got {_kind(asked["all"])}')
    if "text" in asked:
        return Question(_checked([asked["text"]], ['"text"'], limits), asked.get("all", False))
    texts = asked["texts"]
    if not isinstance(texts, list):
        raise _wrong(f'"texts": expected a list of texts, got {_kind(texts)}')
    if not texts:
        raise _wrong('"texts": the list is empty')
    if len(texts) > limits.max_texts:
        message = f'"texts": {len(texts):,} texts; at most {limits.max_texts:,} in one request'
        raise Refusal(422, "too_many_texts", message)
    names = [f'"texts"[{i}]' for i in range(len(texts))]
    return Question(_checked(texts, names, limits), asked.get("all", False))


def parse_explain(body: bytes, limits: Limits) -> Question:
    """The body of ``POST /explain``. Raises Refusal as :func:`parse_predict`."""
    asked = _object(body, ("text",))
    if "text" not in asked:
        raise _wrong('expected "text", one text')
    return Question(_checked([asked["text"]], ['"text"'], limits))


def _check_headers(request: Request) -> None:
    if request.headers.get("content-encoding", "identity").strip().lower() not in ("", "identity"):
        raise Refusal(415, "encoded_body", "compressed requests are not taken; send plain JSON")
    kind = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if kind != "application/json":  # a browser asks before it sends this for another site, and gets no leave
        raise Refusal(415, "not_json", 'send JSON, with the header "Content-Type: application/json"')


def _object(body: bytes, names: tuple[str, ...]) -> dict[str, Any]:
    try:
        asked = json.loads(body.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise Refusal(400, "invalid_json", f"not UTF-8: bad byte at {error.start}") from None
    except json.JSONDecodeError as error:
        message = f"not valid JSON: {error.msg} at line {error.lineno}, column {error.colno}"
        raise Refusal(400, "invalid_json", message) from None
    except RecursionError:
        raise Refusal(400, "invalid_json", "not valid JSON: nested too deeply") from None
    except ValueError:  # an integer of thousands of digits
        raise Refusal(400, "invalid_json", "not valid JSON: a number is too long") from None
    if not isinstance(asked, dict):
        raise _wrong(f"expected a JSON object, got {_kind(asked)}")
    if asked.keys() - set(names):
        raise _wrong(f"an unknown key; there are {', '.join(names)}")
    return asked


def _checked(texts: list[Any], names: list[str], limits: Limits) -> list[str]:
    """The texts, if each of them can be answered; else the first that cannot is named."""
    for name, text in zip(names, texts, strict=True):
        if not isinstance(text, str):
            raise _wrong(f"{name}: expected a text, got {_kind(text)}")
        if not text or text.isspace():
            raise Refusal(422, "empty_text", f"{name}: the text is empty")
        if len(text) > limits.max_text_chars:
            message = f"{name}: {len(text):,} characters; at most {limits.max_text_chars:,} in one text"
            raise Refusal(422, "text_too_long", message)
        try:
            check_texts([text])
        except UserError as error:
            raise Refusal(422, "invalid_text", f"{name}: {error.faults[0].removeprefix('text 0: ')}") from None
    return texts


def _kind(value: object) -> str:
    return KINDS.get(type(value), "a text")


def _wrong(message: str) -> Refusal:
    return Refusal(422, "invalid_request", message)
