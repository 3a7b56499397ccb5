"""What ``/openapi.json`` says of requests and answers: schemas and examples, nothing that runs."""

from importlib.metadata import PackageNotFoundError, version
from typing import Any, Literal

from pydantic import BaseModel, Field

from ...labels import SENTIMENTS, Labels

try:
    VERSION = version("visobert-absa")
except PackageNotFoundError:  # run from a folder that nobody installed
    VERSION = "0"

DESCRIPTION = (
    "Says of a Vietnamese product review which aspects it mentions, and with which sentiment. Every answer that is "
    'no success is `{"error": {"code": ..., "message": ...}}`. Requests of many clients go to the model together; when '
    "the queue is full the answer is 503 with `Retry-After`."
)
TEXT = "Máy đẹp, pin trâu nhưng camera hơi kém"
MEANINGS = {
    400: "No JSON",
    408: "The request took too long to arrive",
    413: "The request is too large",
    415: "Not `application/json`, or compressed",
    422: "JSON that asks for nothing answerable: the message names the field and the limit",
    503: "The queue is full or the service is stopping; `Retry-After` says for how long",
    504: "No answer in time",
}


class ErrorBody(BaseModel):
    """Why there is no answer."""

    code: str = Field(examples=["text_too_long"])
    message: str = Field(examples=['"texts"[3]: 12,000 characters; at most 10,000 in one text'])


class ErrorAnswer(BaseModel):
    """Every answer that is no success."""

    error: ErrorBody


class Aspect(BaseModel):
    """What a text says of an aspect."""

    sentiment: Literal["positive", "negative", "neutral"] | None = Field(
        description="null for an aspect that never carries a sentiment"
    )
    confidence: float = Field(description="calibrated probability that aspect and sentiment are right")
    mentioned: float | None = Field(default=None, description="calibrated probability that the aspect is mentioned")


class Answer(BaseModel):
    """What a text says: the aspects that it mentions."""

    aspects: dict[str, Aspect]
    all: dict[str, dict[str, float | None]] | None = Field(
        default=None, description='every aspect\'s probabilities, if the request said `"all": true`'
    )


class Answers(BaseModel):
    """One answer per text, in the order of the request."""

    answers: list[Answer]
    milliseconds: float = Field(description="time in the service, waiting included")


class Word(BaseModel):
    """Where a word stands, in characters (Unicode code points) of ``text``."""

    start: int
    end: int


class Explanation(BaseModel):
    """What each word contributes: how far the answer's log-probability falls when the word is left out."""

    text: str = Field(description="the text in Unicode's NFC form, as the model reads it")
    words: list[Word]
    weights: dict[str, list[float]] = Field(description="per mentioned aspect, a number per word")
    milliseconds: float


def predict(labels: Labels) -> dict[str, Any]:
    """Of ``POST /predict``, for these labels."""
    name = labels.aspects[0]
    text = {"type": "string", "description": "a review", "minLength": 1}
    schema = {
        "type": "object",
        "properties": {
            "text": text,
            "texts": {"type": "array", "items": text, "minItems": 1},
            "all": {"type": "boolean", "default": False, "description": "add every aspect's probabilities"},
        },
        "additionalProperties": False,
        "oneOf": [{"required": ["text"]}, {"required": ["texts"]}],
    }
    examples = {
        "one": {"summary": "One text", "value": {"text": TEXT}},
        "list": {"summary": "A list of texts", "value": {"texts": [TEXT, "Giao hàng nhanh"]}},
        "all": {"summary": "With every aspect's probabilities", "value": {"text": TEXT, "all": True}},
    }
    aspect = {"sentiment": SENTIMENTS[0], "confidence": 0.91, "mentioned": 0.97}
    example = {"answers": [{"aspects": {name: aspect}}], "milliseconds": 12.3}
    return _operation(schema, examples, Answers, example)


def explain(labels: Labels) -> dict[str, Any]:
    """Of ``POST /explain``, for these labels."""
    schema = {
        "type": "object",
        "properties": {"text": {"type": "string", "minLength": 1}},
        "required": ["text"],
        "additionalProperties": False,
    }
    example = {
        "text": "Máy đẹp",
        "words": [{"start": 0, "end": 3}, {"start": 4, "end": 7}],
        "weights": {labels.aspects[0]: [0.12, 1.07]},
        "milliseconds": 20.4,
    }
    return _operation(schema, {"one": {"value": {"text": TEXT}}}, Explanation, example)


def refusals(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """These statuses, with what they mean."""
    return {status: {"model": ErrorAnswer, "description": MEANINGS[status]} for status in statuses}


def _operation(
    schema: dict[str, Any], examples: dict[str, Any], model: type[BaseModel], example: dict[str, Any]
) -> dict[str, Any]:
    body = {"required": True, "content": {"application/json": {"schema": schema, "examples": examples}}}
    answered = {"model": model, "content": {"application/json": {"example": example}}}
    return {"openapi_extra": {"requestBody": body}, "responses": {200: answered} | refusals(*MEANINGS)}
