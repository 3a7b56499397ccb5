"""The bodies of requests and answers: the same models check a request and describe it in ``/openapi.json``.

Messages say what is wrong and never repeat the text: texts are private, and messages may be logged.
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from fastapi.exceptions import RequestValidationError
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from ...errors import UserError
from ...tokens.tokenizer import check_texts
from .limits import Limits
from .refusals import Refusal

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
EXPECTED = {
    "string_type": "a text",
    "list_type": "a list of texts",
    "bool_type": "true or false",
    "model_type": "a JSON object",
    "model_attributes_type": "a JSON object",
}
JSON_KINDS: dict[type, str] = {
    type(None): "null",
    bool: "true or false",
    int: "a number",
    float: "a number",
    list: "a list",
    dict: "an object",
}


def _answerable(text: str) -> str:
    if not text or text.isspace():
        raise PydanticCustomError("empty_text", "the text is empty")
    try:
        check_texts([text])
    except UserError as error:
        fault = error.faults[0].removeprefix("text 0: ")
        raise PydanticCustomError("invalid_text", "{fault}", {"fault": fault}) from None
    return text


Text = Annotated[str, AfterValidator(_answerable), Field(description="a review", json_schema_extra={"minLength": 1})]


class Body(BaseModel):
    """A request's body. Unknown keys and values of another type are refused."""

    model_config = ConfigDict(extra="forbid", strict=True)

    @model_validator(mode="before")
    @classmethod
    def _known(cls, body: Any) -> Any:
        """Refuse unknown keys with one error: pydantic would make one for each, and a body has room for 100,000."""
        if isinstance(body, dict) and body.keys() - cls.model_fields.keys():
            told = ", ".join(cls.model_fields)
            raise PydanticCustomError("invalid_request", "an unknown key; there are {told}", {"told": told})
        return body


class PredictBody(Body):
    """One text, or a list of texts."""

    model_config = ConfigDict(json_schema_extra={"oneOf": [{"required": ["text"]}, {"required": ["texts"]}]})

    text: Text = ""
    texts: list[Text] = Field(default=[], min_length=1, fail_fast=True)
    all: bool = Field(default=False, description="add every aspect's probabilities")

    @model_validator(mode="after")
    def _one_of_them(self) -> "PredictBody":
        if ("text" in self.model_fields_set) == ("texts" in self.model_fields_set):
            raise PydanticCustomError(
                "invalid_request", 'expected either "text", one text, or "texts", a list of texts'
            )
        return self


class ExplainBody(Body):
    """One text."""

    text: Text


class Error(BaseModel):
    """Why there is no answer."""

    code: str = Field(examples=["text_too_long"])
    message: str = Field(examples=['"texts"[3]: 12,000 characters; at most 10,000 in one text'])


class ErrorAnswer(BaseModel):
    """Every answer that is no success."""

    error: Error


class Aspect(BaseModel):
    """What a text says about an aspect."""

    sentiment: str | None = Field(
        description="one of the sentiments that GET /labels lists; null for an aspect that never carries one",
        examples=["positive"],
    )
    confidence: float = Field(description="calibrated probability that aspect and sentiment are right", examples=[0.91])
    mentioned: float | None = Field(
        default=None, description="calibrated probability that the aspect is mentioned", examples=[0.97]
    )


class Answer(BaseModel):
    """What a text says: the aspects that it mentions."""

    aspects: dict[str, Aspect]
    all: dict[str, dict[str, float | None]] | None = Field(
        default=None, description='every aspect\'s probabilities, if the request said `"all": true`'
    )
    windows: int | None = Field(default=None, description="in how many parts a long text was read; absent if in one")
    cut: int | None = Field(default=None, description="tokens at the end that were not read; absent if all were")


class Answers(BaseModel):
    """One answer per text, in the order of the request."""

    answers: list[Answer]
    milliseconds: float = Field(description="time in the service, waiting included", examples=[12.3])


class Word(BaseModel):
    """Where a word stands, in characters (Unicode code points) of ``text``."""

    start: int
    end: int


class Explained(BaseModel):
    """What each word contributes: how far the answer's log-probability falls when the word is left out."""

    text: str = Field(description="the text in Unicode's NFC form, as the model reads it", examples=["Máy đẹp"])
    words: list[Word] = Field(examples=[[{"start": 0, "end": 3}, {"start": 4, "end": 7}]])
    weights: dict[str, list[float]] = Field(description="per mentioned aspect, a number per word")
    shades: dict[str, list[int]] = Field(description="the weights as colours, from -4 to 4: relative to the strongest")
    windows: int | None = Field(
        default=None, description="as in an answer; words of a long text are left out in groups"
    )
    cut: int | None = Field(default=None, description="as in an answer")
    milliseconds: float = Field(examples=[20.4])


PREDICT_EXAMPLES: dict[str, Any] = {
    "one": {"summary": "One text", "value": {"text": TEXT}},
    "list": {"summary": "A list of texts", "value": {"texts": [TEXT, "Giao hàng nhanh"]}},
    "all": {"summary": "With every aspect's probabilities", "value": {"text": TEXT, "all": True}},
}
EXPLAIN_EXAMPLES: dict[str, Any] = {"one": {"value": {"text": TEXT}}}


def refusals(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The meanings of these statuses, for the argument ``responses`` of a route."""
    return {status: {"model": ErrorAnswer, "description": MEANINGS[status]} for status in statuses}


def check_size(body: PredictBody | ExplainBody, limits: Limits) -> list[str]:
    """The texts of a body. Raises Refusal (422) for more texts, or more characters in one, than the limits allow."""
    several = isinstance(body, PredictBody) and body.texts
    texts = several or [body.text]
    if len(texts) > limits.max_texts:
        message = f'"texts": {len(texts):,} texts; at most {limits.max_texts:,} in one request'
        raise Refusal(422, "too_many_texts", message)
    for i, text in enumerate(texts):
        if len(text) > limits.max_text_chars:
            name = f'"texts"[{i}]' if several else '"text"'
            message = f"{name}: {len(text):,} characters; at most {limits.max_text_chars:,} in one text"
            raise Refusal(422, "text_too_long", message)
    return texts


def refusal_of(error: RequestValidationError) -> Refusal:
    """The refusal (400 or 422) for a body's first fault, in our own words: pydantic's messages repeat the input."""
    fault: Mapping[str, Any] = error.errors()[0]
    kind: str = fault["type"]
    names: Sequence[int | str] = fault["loc"][1:]  # the first name is always "body"
    if kind == "json_invalid":
        cause: Any = error.__cause__  # json.JSONDecodeError, which knows the line
        where = f"{cause.msg} at line {cause.lineno}, column {cause.colno}"
        return Refusal(400, "invalid_json", f"not valid JSON: {where}")
    if kind == "missing" and not names:
        return Refusal(400, "invalid_json", "not valid JSON: the body is empty")
    name = "".join(f"[{part}]" if isinstance(part, int) else f'"{part}"' for part in names)
    if kind in EXPECTED:
        message = f"expected {EXPECTED[kind]}, got {JSON_KINDS.get(type(fault['input']), 'a text')}"
    elif kind == "missing":
        return Refusal(422, "invalid_request", f"expected {name}, one text")
    else:
        message = "the list is empty" if kind == "too_short" else fault["msg"]
    code = kind if kind in ("empty_text", "invalid_text") else "invalid_request"
    return Refusal(422, code, f"{name}: {message}" if name else message)


def refusal_of_json(cause: BaseException | None) -> Refusal:
    """The refusal (400) of a body on which json raised no JSONDecodeError: too deeply nested, or too long a number."""
    told = "nested too deeply" if isinstance(cause, RecursionError) else "a number is too long"
    return Refusal(400, "invalid_json", f"not valid JSON: {told}")
