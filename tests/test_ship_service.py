"""The service says what the predictor says, and of everything else what is wrong with it and where the limit is."""

import gzip
import http.client
import json
import re
import socket
import time
import unicodedata
import zlib

import pytest
from prometheus_client.parser import text_string_to_metric_families

from src.answers.predictor import Predictor
from src.errors import UserError
from src.ship.http.limits import Limits, check_origins
from src.ship.http.page import demo_page
from src.ship.http.reading import Long, read
from src.ship.predictor import load_bundle
from tests.serving import JSON, Held, Running, running

LIMITS = Limits()
TEXT = "Máy đẹp, pin trâu nhưng camera hơi kém"
SECRET = "bí-mật-7391"  # stands in what is refused; no answer may repeat it


@pytest.fixture(scope="module")
def predictor(exported) -> Predictor:
    return load_bundle(exported)


@pytest.fixture(scope="module")
def service(predictor):
    with running(predictor) as started:
        yield started


# --- answers ---

ODD = {
    "NUL": "pin\0trâu",
    "NFD": unicodedata.normalize("NFD", TEXT),
    "right to left": "\u202epin tốt\u202c \u200fabc \u2067def\u2069",
    "emoji": "😍😍👨‍👩‍👧",
    "an unseen language": "バッテリーがすぐ切れる。Батарея плохая",
    "special tokens": "</s> <mask> <pad>",
    "markup": "<script>alert(1)</script>' OR 1=1 -- {{7*7}}",
    "line separators": "a\u2028b\u2029c\r\nd",
    "longest": ("tốt " * LIMITS.max_text_chars)[: LIMITS.max_text_chars],
    "astral": "\U0001f600" * 50,
    "unassigned": "\U000e0fff\uffff",
    "few letters of many tokens": "\ufdfa" * 200,
    "a token a letter": "".join(chr(0x4E00 + i) for i in range(255)),
}


@pytest.mark.parametrize("text", [TEXT, *ODD.values()], ids=["plain", *ODD])
def test_a_text_gets_the_predictors_answer(service, predictor, text) -> None:
    reply = service.post("/predict", {"text": text})
    assert reply.status == 200
    assert reply.json()["answers"] == predictor.predict([text])
    assert service.post("/predict", json.dumps({"text": text}, ensure_ascii=False).encode()).json()[
        "answers"
    ] == predictor.predict([text])


def test_a_list_gets_its_answers_in_order(service, predictor) -> None:
    texts = [f"{TEXT} {i} " * (1 + i % 5) for i in range(LIMITS.max_texts)]
    assert service.post("/predict", {"texts": texts}).json()["answers"] == predictor.predict(texts)
    reply = service.post("/predict", {"texts": texts[:3], "all": True}).json()
    assert reply["answers"] == predictor.predict(texts[:3], all_aspects=True)
    assert reply["milliseconds"] > 0


def test_no_turn_computes_the_windows_of_a_text_that_has_several(predictor, monkeypatch) -> None:
    """Eight texts of 249 letters that become 18 each were 288 windows in one turn, and nobody else was answered."""
    calls, model = [], predictor.model
    monkeypatch.setattr(predictor, "model", lambda ids, mask: calls.append(ids.shape[1]) or model(ids, mask))
    found = read(predictor, ["\ufdfa" * 249, TEXT] * 4)
    assert len(calls) == 4 and [isinstance(one, Long) for one in found] == [True, False] * 4
    assert [one.windows for one in found[::2]] == [predictor.windows("\ufdfa" * 249)[0]] * 4


def test_a_long_text_takes_its_turns_window_by_window(predictor) -> None:
    text = "hôm đó mình đi dạo quanh hồ rồi ghé quán nước ngồi nói chuyện. " * 60 + TEXT
    held = Held(predictor)
    with running(held) as service:
        (answer,) = service.post("/predict", {"text": text}).json()["answers"]
        assert [answer] == predictor.predict([text]) and answer["windows"] > 1
        assert held.batches[0] == [text], "it is read in the first turn, and computed in others"
        assert sorted(text for batch in held.batches[1:] for text in batch) == sorted(predictor.windows(text)[0])
        shorter = text[-1000:]  # an explanation takes as many runs as there are words
        told = service.post("/explain", {"text": shorter}).json()
        assert told.pop("milliseconds") > 0 and told["windows"] > 1
        assert told == predictor.explain(shorter)
        mixed = [TEXT, text, "pin tốt", TEXT * 20]
        assert service.post("/predict", {"texts": mixed}).json()["answers"] == predictor.predict(mixed)


def test_nfc_and_nfd_get_one_answer(service) -> None:
    replies = [
        service.post("/predict", {"text": unicodedata.normalize(form, TEXT), "all": True}) for form in ("NFC", "NFD")
    ]
    assert replies[0].json()["answers"] == replies[1].json()["answers"]


def test_an_explanation_is_the_predictors(service, predictor) -> None:
    told = service.post("/explain", {"text": TEXT}).json()
    assert told.pop("milliseconds") > 0
    assert told == predictor.explain(TEXT)


def test_a_byte_order_mark_is_no_error(service) -> None:
    assert service.post("/predict", b"\xef\xbb\xbf" + json.dumps({"text": TEXT}).encode()).status == 200


def test_labels_tell_what_there_is(service, predictor) -> None:
    told = service.ask("GET", "/labels").json()
    assert told["aspects"] == list(predictor.labels.aspects)
    assert told["limits"] == {"texts": 256, "text_chars": 10_000, "body_bytes": 1 << 20}


# --- what is refused ---

LONG = SECRET * 90_000
MANY = [SECRET] * 10_000
BAD = {
    "nothing": (b"", 400, "invalid_json", "the body is empty"),
    "no JSON": (f"{{text: {SECRET}".encode(), 400, "invalid_json", "line 1, column 2"),
    "cut": (b'{"text": "' + SECRET.encode(), 400, "invalid_json", "Unterminated string"),
    "latin-1": ('{"text": "máy"}'.encode("latin-1"), 400, "invalid_json", "not UTF-8: bad byte at 11"),
    "utf-16": (json.dumps({"text": TEXT}).encode("utf-16"), 400, "invalid_json", "not UTF-8"),
    "deep": (b'{"text":' + b"[" * 100_000, 400, "invalid_json", "nested too deeply"),
    "digits": (b'{"text":' + b"9" * 10_000 + b"}", 400, "invalid_json", "a number is too long"),
    "a list": ([SECRET], 422, "invalid_request", "expected a JSON object, got a list"),
    "a string": (SECRET, 422, "invalid_request", "got a text"),
    "null": (None, 422, "invalid_request", "got null"),
    "an empty object": ({}, 422, "invalid_request", 'either "text"'),
    "both": ({"text": SECRET, "texts": [SECRET]}, 422, "invalid_request", 'either "text"'),
    "an unknown key": (
        {"text": "tốt", SECRET: 1},
        422,
        "invalid_request",
        "an unknown key; there are text, texts, all",
    ),
    "a number": ({"text": 5}, 422, "invalid_request", '"text": expected a text, got a number'),
    "no text": ({"text": None}, 422, "invalid_request", '"text": expected a text, got null'),
    "an object": ({"text": {"a": SECRET}}, 422, "invalid_request", '"text": expected a text, got an object'),
    "NaN": (b'{"text": NaN}', 422, "invalid_request", "got a number"),
    "no list": ({"texts": SECRET}, 422, "invalid_request", '"texts": expected a list of texts, got a text'),
    "an empty list": ({"texts": []}, 422, "invalid_request", "the list is empty"),
    "mixed": ({"texts": ["tốt", True]}, 422, "invalid_request", r'"texts"\[1\]: expected a text, got true or false'),
    "all": ({"text": "tốt", "all": "yes"}, 422, "invalid_request", '"all": expected true or false, got a text'),
    "empty": ({"text": ""}, 422, "empty_text", '"text": the text is empty'),
    "blank": ({"texts": ["tốt", " \n\u3000"]}, 422, "empty_text", r'"texts"\[1\]: the text is empty'),
    "1 MB": ({"text": "a" * 1_000_000}, 422, "text_too_long", "1,000,000 characters; at most 10,000 in one text"),
    "one too long": ({"text": "ố" * 10_001}, 422, "text_too_long", "10,001 characters; at most 10,000"),
    "10,000 texts": ({"texts": MANY}, 422, "too_many_texts", "10,000 texts; at most 256 in one request"),
    "one too many": ({"texts": ["tốt"] * 257}, 422, "too_many_texts", "257 texts; at most 256"),
    "a body too large": ({"text": LONG}, 413, "body_too_large", "larger than 1,048,576 bytes"),
    "half a pair": (b'{"text": "pin \\ud83d"}', 422, "invalid_text", r"half a surrogate pair, U\+D83D, at 4"),
    "the other half": (
        b'{"texts": ["a", "\\ude0d"]}',
        422,
        "invalid_text",
        r'"texts"\[1\]: not valid Unicode .*U\+DE0D',
    ),
}


@pytest.mark.parametrize(("body", "status", "code", "message"), BAD.values(), ids=BAD)
def test_a_bad_request_is_told_what_is_wrong(service, body, status, code, message) -> None:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    reply = service.post("/predict", data)
    assert (reply.status, reply.code) == (status, code)
    assert re.search(message, reply.message)
    assert SECRET not in reply.body.decode() and len(reply.body) < 300
    assert service.post("/explain", data).status in (status, 422)


def test_explain_takes_one_text(service) -> None:
    assert service.post("/explain", {"texts": [TEXT]}).message == "an unknown key; there are text"
    assert service.post("/explain", {}).message == 'expected "text", one text'


def test_100_000_unknown_keys_cost_no_more_than_one(service) -> None:
    body = b"{" + b",".join(b'"%x":1' % i for i in range(90_000)) + b"}"
    seconds = []
    for data in (body, body[:-1]):  # the same, and what is no JSON at its last byte
        began = time.perf_counter()
        reply = service.post("/predict", data)
        seconds.append(time.perf_counter() - began)
        assert reply.status in (400, 422) and len(reply.body) < 300
    assert seconds[0] < 3 * seconds[1] + 0.1


def bomb() -> bytes:
    return gzip.compress(json.dumps({"text": "a" * 50_000_000}).encode())


@pytest.mark.parametrize(
    ("encoding", "body"),
    [("gzip", bomb()), ("deflate", zlib.compress(b"a" * 10_000_000)), ("br", b"x"), ("gzip, gzip", b"x")],
    ids=["gzip", "deflate", "br", "twice"],
)
def test_compressed_bodies_are_not_opened(service, encoding, body) -> None:
    before = memory(service)
    reply = service.post("/predict", body, JSON | {"Content-Encoding": encoding})
    assert (reply.status, reply.code) == (415, "encoded_body")
    assert memory(service) - before < 20 << 20


def test_a_bomb_without_its_header_is_no_json(service) -> None:
    assert service.post("/predict", bomb()).code == "invalid_json"


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "", "multipart/form-data"])
def test_only_json_is_taken(service, kind) -> None:
    """What a page of another site may send without asking (no preflight) is refused."""
    reply = service.post("/predict", {"text": TEXT}, {"Content-Type": kind})
    assert (reply.status, reply.code) == (415, "not_json")
    assert service.ask("OPTIONS", "/predict").status == 405


def test_a_large_body_without_a_length_is_cut_off(service) -> None:
    """Sent in chunks, the limit is met by counting; the answer arrives although the client still sends."""
    with socket.create_connection(("127.0.0.1", service.port), timeout=20) as connection:
        connection.sendall(
            b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
        for _ in range(40):
            connection.sendall(b"10000\r\n" + b" " * 0x10000 + b"\r\n")
        response = http.client.HTTPResponse(connection)
        response.begin()
        assert response.status == 413 and b"larger than 1,048,576 bytes" in response.read()


def test_the_limits_are_those_that_were_set(predictor) -> None:
    with running(predictor, max_text_chars=5, max_texts=2, max_body_bytes=100) as small:
        assert "at most 5 in one text" in small.post("/predict", {"text": "sáu chữ"}).message
        assert "at most 2 in one request" in small.post("/predict", {"texts": ["a"] * 3}).message
        assert "larger than 100 bytes" in small.post("/predict", {"texts": ["a"] * 30}).message
        assert small.post("/predict", {"texts": ["a", "b"]}).status == 200


# --- paths and methods ---

TRICKS = [
    "/../../etc/passwd",
    "/..%2f..%2fetc%2fpasswd",
    "/%2e%2e/%2e%2e/etc/passwd",
    "/%252e%252e%252fetc/passwd",
    "//etc/passwd",
    "/static/index.html",
    "/static/../../../etc/passwd",
    "/predict/../../etc/passwd",
    "/..%5c..%5cetc%5cpasswd",
    "/%00",
    "/index.html%00.png",
    "/%c0%ae%c0%ae/etc/passwd",
    "/bundle.json",
    "/model.onnx",
    "http://elsewhere.example/etc/passwd",
    "/docs",
    "/redoc",
    "/health/",
]


@pytest.mark.parametrize("path", TRICKS)
def test_no_path_leads_to_a_file(service, path) -> None:
    answer = service.raw(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
    assert answer.startswith(b"HTTP/1.1 404"), answer
    assert b'"code":"not_found"' in answer and b"root:" not in answer and b"passwd" not in answer


def test_a_path_is_not_a_series_of_the_metrics(service) -> None:
    service.ask("GET", "/" + SECRET.encode().hex())
    text = service.ask("GET", "/metrics").body.decode()
    assert SECRET.encode().hex() not in text
    assert 'absa_requests_total{path="other",status="404"}' in text


def test_methods(service) -> None:
    for method, path in (
        ("GET", "/predict"),
        ("POST", "/labels"),
        ("DELETE", "/"),
        ("PUT", "/predict"),
        ("TRACE", "/"),
    ):
        reply = service.ask(method, path)
        assert (reply.status, reply.code) == (405, "method_not_allowed")


@pytest.mark.parametrize("data", [b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n", b"GET / HTTP/9\r\n\r\n", b"hello\r\n\r\n"])
def test_what_is_no_http_is_told_so(service, data) -> None:
    answer = service.raw(data)
    assert answer.startswith(b"HTTP/1.1 400") and b"Invalid HTTP request" in answer


@pytest.mark.parametrize("path", ["/predict", "/labels", "/nowhere"])
def test_two_lengths_of_one_body_are_refused(service, path) -> None:
    """A proxy in front may go by the other one, and take the rest of the body for the next request."""
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 4\r\n"
    smuggled = b"0\r\n\r\nGET /labels HTTP/1.1\r\nHost: x\r\n\r\n"
    answer = service.raw(head.encode() + b"Transfer-Encoding: chunked\r\n\r\n" + smuggled)
    assert answer.startswith(b"HTTP/1.1 400") and b'"code":"invalid_http"' in answer
    assert b"connection: close" in answer.lower() and answer.count(b"HTTP/1.1") == 1


CHUNKS = b"4\r\nnull\r\n0\r\n\r\n"
SMUGGLED = b"GET /labels HTTP/1.1\r\nHost: x\r\n\r\n"
LENGTHS = [
    *(
        b"Content-Length: " + value
        for value in (b"+4", b"-4", b"4;", b"4.0", b"0x4", b"4 4", b"4, 5", b",4", b"", b"1_0")
    ),
    *(b"Content-Length: " + value for value in ("٤".encode(), b"9" * 25, b"4\x00", b"4\r\n\tx: y", b"4\rx: y")),
    b"Content-Length: 4\r\nContent-Length: 5",
    b"Content-Length : 4",
    *(
        b"Transfer-Encoding: " + v
        for v in (b"identity", b"gzip, chunked", b"chunked, ", b"chunked;q=1", b"\x0bchunked")
    ),
    b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
    b"Transfer-Encoding: chunked\r\nContent-Length: 4",
    b"Content-Length: 4\r\nTransfer-Encoding: CHUNKED",
    b"Transfer-Encoding:\r\nContent-Length: 4",
    b"Transfer-Encoding : chunked",
]


@pytest.mark.parametrize("length", LENGTHS)
def test_a_length_that_proxies_may_read_otherwise_is_refused(service, length) -> None:
    """One answer, a 400, and the connection ends: what follows the body is never taken for a request."""
    head = b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n" + length + b"\r\n\r\n"
    answer = service.raw(head + (CHUNKS if b"Transfer" in length else b"null") + SMUGGLED)
    assert answer.startswith(b"HTTP/1.1 400") and answer.count(b"HTTP/1.1") == 1
    assert b"connection: close" in answer.lower()


@pytest.mark.parametrize("chunks", [b"+4", b"0x4", b"-4", b"4_0", b"4\r\nnullx", b"0" * 25 + b"4"])
def test_chunks_that_proxies_may_read_otherwise_are_refused(service, chunks) -> None:
    head = b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    answer = service.raw(head + chunks + b"\r\nnull\r\n0\r\n\r\n" + SMUGGLED)
    assert answer.count(b"HTTP/1.1") <= 1 and b"200 OK" not in answer and b'"aspects"' not in answer


def test_chunks_are_no_part_of_http_1_0(service) -> None:
    head = b"POST /predict HTTP/1.0\r\nHost: x\r\nContent-Type: application/json\r\nConnection: keep-alive\r\n"
    answer = service.raw(head + b"Transfer-Encoding: chunked\r\n\r\n" + CHUNKS + SMUGGLED)
    assert answer.startswith(b"HTTP/1.1 400") and answer.count(b"HTTP/1.1") == 1


# --- what else it tells ---


def test_every_answer_carries_the_security_headers(service) -> None:
    for method, path in (
        ("GET", "/"),
        ("GET", "/labels"),
        ("GET", "/nowhere"),
        ("POST", "/predict"),
        ("PUT", "/predict"),
    ):
        headers = service.ask(method, path, {} if method == "POST" else None).headers
        assert headers["X-Content-Type-Options"] == "nosniff" and headers["Referrer-Policy"] == "no-referrer"
        policy = headers["Content-Security-Policy"]
        assert policy.startswith("default-src 'none'") and "frame-ancestors 'none'" in policy and "unsafe" not in policy
        assert headers["Server"] is None


def test_the_page_is_one_file_that_refers_to_nothing_else(service) -> None:
    reply = service.ask("GET", "/")
    assert (reply.body, reply.headers["Content-Type"]) == (demo_page()[0], "text/html; charset=utf-8")
    html = reply.body.decode()
    assert html.count("<script>") == html.count("<style>") == 1
    assert not re.search(r"<(link|img|script|iframe|source)[^>]+(href|src)=[\"'](?!data:)", html)
    assert not re.search(r"@import|url\(|\bon\w+=\"|innerHTML|insertAdjacentHTML|document\.write|\beval\(", html)
    assert set(re.findall(r"https?://[^\s\"'<>]+", html)) == {"http://www.w3.org/2000/svg"}


def test_openapi_describes_it(service) -> None:
    told = service.ask("GET", "/openapi.json").json()
    assert set(told["paths"]) == {"/predict", "/explain", "/labels", "/health", "/ready", "/metrics"}
    for path in ("/predict", "/explain"):
        operation = told["paths"][path]["post"]
        assert {"200", "400", "408", "413", "415", "422", "503", "504"} == set(operation["responses"])
        for example in operation["requestBody"]["content"]["application/json"]["examples"].values():
            assert service.post(path, example["value"]).status == 200
    assert "ErrorAnswer" in told["components"]["schemas"]


def test_metrics_count(service) -> None:
    def value(name: str, **labels: str) -> float:
        text = service.ask("GET", "/metrics").body.decode()
        samples = [s for family in text_string_to_metric_families(text) for s in family.samples]
        return sum(s.value for s in samples if s.name == name and labels.items() <= s.labels.items())

    names = ("absa_texts_total", "absa_request_seconds_count")
    before = [value(name) for name in names]
    served = value("absa_requests_total", path="/predict", status="200")
    refused = value("absa_rejected_total", code="empty_text")
    service.post("/predict", {"texts": ["a", "b", "c"]})
    service.post("/predict", {"text": ""})
    after = [value(name) for name in names]
    assert after[0] - before[0] == 3 and after[1] - before[1] >= 2
    assert value("absa_requests_total", path="/predict", status="200") == served + 1
    assert value("absa_rejected_total", code="empty_text") == refused + 1
    assert value("absa_queue_texts") == 0 and value("process_resident_memory_bytes") > 1e6


def test_probes(service) -> None:
    assert service.ask("GET", "/health").json() == {"status": "alive"}
    assert service.ask("GET", "/ready").json() == {"status": "ready", "waiting": 0}


def memory(_: Running) -> int:
    """Bytes that this process, which holds the service, has in memory."""
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * 4096


# --- pages of other sites ---

SHOP = "https://shop.example"
ASKING = {"Origin": SHOP, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type"}


def test_pages_of_an_allowed_origin_may_ask_and_read_refusals_too(predictor) -> None:
    with running(predictor, local=True, origins=[SHOP]) as service:
        before = service.ask("OPTIONS", "/predict", headers=ASKING)
        assert before.status == 204 and before.headers["Access-Control-Allow-Origin"] == SHOP
        assert "POST" in before.headers["Access-Control-Allow-Methods"]
        for body, status in ((json.dumps({"text": TEXT}).encode(), 200), (b"{", 400)):
            reply = service.ask("POST", "/predict", body, {**JSON, "Origin": SHOP})
            assert (reply.status, reply.headers["Access-Control-Allow-Origin"]) == (status, SHOP)
        other = service.ask("OPTIONS", "/predict", headers=ASKING | {"Origin": "https://else.example"})
        assert other.status == 405 and "Access-Control-Allow-Origin" not in other.headers
        assert other.headers["Vary"] == "Origin"


def test_no_page_of_another_site_may_ask_unless_told(service) -> None:
    reply = service.ask("OPTIONS", "/predict", headers=ASKING)
    assert reply.status == 405 and "Access-Control-Allow-Origin" not in reply.headers


@pytest.mark.parametrize("origin", ["shop.example", "https://shop.example/", "https://", "null", "https://a b"])
def test_what_is_no_origin_is_refused(origin) -> None:
    check_origins(["*", SHOP, "http://localhost:3000", "http://[::1]:80"])
    with pytest.raises(UserError, match=re.escape(f"--cors {origin}: expected a scheme and a host")):
        check_origins([SHOP, origin])
