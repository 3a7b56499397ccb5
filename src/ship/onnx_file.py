"""Whether an ONNX file is one file: its protobuf is walked, as it may name other files, anywhere on the machine.

The numbers of the fields are those of ``onnx.proto`` (https://github.com/onnx/onnx/blob/main/onnx/onnx.proto). No
package reads them here, because prediction brings neither ``onnx`` nor ``protobuf``.
"""

from collections.abc import Iterator

from ..errors import UserError

FIELDS = 5_000_000  # of a file, at most; ViSoBERT's has some 30,000
NESTED_GRAPHS = 64  # graphs within graphs; protobuf itself reads 100 messages within each other
ORT = slice(4, 8), b"ORTM"  # where a file in onnxruntime's own format says so
EXTERNAL_DATA, DATA_LOCATION = 13, 14  # of a tensor
TENSOR = "tensor"
# the fields of each message that lead to tensors
MESSAGES: dict[str, dict[int, str]] = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "function": {7: "node", 11: "attribute"},
    "graph": {1: "node", 5: TENSOR, 15: "sparse"},
    "node": {5: "attribute"},
    "attribute": {5: TENSOR, 6: "graph", 10: TENSOR, 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: TENSOR, 2: TENSOR},
    TENSOR: {},
}


def check_one_file(content: bytes) -> None:
    """Raise UserError if a tensor's data lie in another file, or if the content is no ONNX model."""
    if content[ORT[0]] == ORT[1]:
        raise UserError("is in onnxruntime's own format; an ONNX file is expected")
    view = memoryview(content)
    waiting = [("model", view, 0)]
    left = FIELDS
    while waiting:
        kind, message, depth = waiting.pop()
        if depth > NESTED_GRAPHS:
            raise UserError(f"holds graphs within graphs, more than {NESTED_GRAPHS} deep")
        for number, value in _fields(message):
            left -= 1
            if left < 0:
                raise UserError(f"holds more than {FIELDS:,} parts")
            if kind == TENSOR and (number == EXTERNAL_DATA or (number == DATA_LOCATION and value != 0)):
                raise UserError("keeps weights in other files; a bundle's model is one file")
            if isinstance(value, memoryview) and (inner := MESSAGES[kind].get(number)):
                waiting.append((inner, value, depth + 1))


def _fields(message: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """Number and value of each field: an integer, or the bytes of a text, a message or fixed numbers."""
    at = 0
    while at < len(message):
        tag, at = _varint(message, at)
        number, wire = tag >> 3, tag & 7
        size = 0
        if wire == 0:
            value, at = _varint(message, at)
            yield number, value
            continue
        if wire == 2:
            size, at = _varint(message, at)
        elif wire in (1, 5):
            size = 8 if wire == 1 else 4
        else:
            raise UserError("is no ONNX file: its fields cannot be told apart")
        if not number or tag >> 32 or at + size > len(message):
            raise UserError("is no ONNX file: a field is longer than what holds it")
        yield number, message[at : at + size]
        at += size


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    """An integer of up to ten bytes, of which protobuf keeps 64 bits; its bytes may be more than it needs."""
    value = 0
    for i in range(10):
        if at + i >= len(message):
            break
        byte = message[at + i]
        value |= (byte & 127) << (7 * i)
        if byte < 128:
            return value & (2**64 - 1), at + i + 1
    raise UserError("is no ONNX file: a number in it does not end")
