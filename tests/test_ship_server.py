"""Under load, with slow clients, when stopped: the service answers what it accepted and tells the others to come back."""

import gc
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from src.answers.predictor import Predictor
from src.cli import main
from src.errors import UserError
from src.ship.http import connections as guard
from src.ship.http.server import bind
from src.ship.predictor import load_bundle
from tests.conftest import ROOT
from tests.serving import Held, Reply, running, wait_for
from tests.test_ship_predictor import HEAVY

HEAD = b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
HEALTH = b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n"
SECRET = "bí mật 7391"


@pytest.fixture(scope="module")
def predictor(exported) -> Predictor:
    return load_bundle(exported)


@pytest.fixture
def held(predictor):
    model = Held(predictor)
    yield model
    model.gate.set()


# --- load ---


def test_requests_of_many_clients_are_answered_by_several_threads(held, predictor) -> None:
    texts = [f"pin trâu {i}" for i in range(9)]
    with running(held) as service, ThreadPoolExecutor(9) as pool:
        held.gate.clear()
        replies = [pool.submit(service.post, "/predict", {"text": text}) for text in texts]
        wait_for(lambda: service.service.queue.waiting == 9 and len(held.batches) == 2)
        held.gate.set()
        answers = [reply.result().json()["answers"][0] for reply in replies]
    assert answers == predictor.predict(texts)
    assert sorted(text for batch in held.batches for text in batch) == texts


def test_beyond_the_queue_it_says_when_to_come_back(held, predictor) -> None:
    """Ten times what fits: those accepted are answered rightly, the others get 503, and probes answer meanwhile."""
    with running(held, queue=8) as service, ThreadPoolExecutor(80) as pool:
        held.gate.clear()
        texts = [f"máy đẹp {i}" for i in range(80)]
        replies = [pool.submit(service.post, "/predict", {"text": text}) for text in texts]
        wait_for(lambda: sum(reply.done() for reply in replies) == 72)
        assert service.ask("GET", "/health").status == 200
        ready = service.ask("GET", "/ready")
        assert (ready.status, ready.code) == (503, "queue_full") and int(ready.headers["Retry-After"]) >= 1
        held.gate.set()
        done = {text: reply.result() for text, reply in zip(texts, replies, strict=True)}
        assert service.ask("GET", "/ready").status == 200
    refused = [reply for reply in done.values() if reply.status == 503]
    assert len(refused) == 72 and all(reply.code == "queue_full" for reply in refused)
    assert all(int(reply.headers["Retry-After"]) >= 1 for reply in refused)
    accepted = {text: reply for text, reply in done.items() if reply.status == 200}
    assert [reply.json()["answers"][0] for reply in accepted.values()] == predictor.predict(list(accepted))


def test_who_waits_too_long_is_told_so_and_spares_the_model_the_rest(held) -> None:
    with running(held, timeout=0.3) as service:
        held.gate.clear()
        began = time.monotonic()
        reply = service.post("/predict", {"texts": ["tốt"] * 200})
        assert (reply.status, reply.code) == (504, "timeout") and "0.3 s" in reply.message
        assert time.monotonic() - began < 5
        held.gate.set()
        wait_for(lambda: service.service.queue.waiting == 0)
        assert sum(map(len, held.batches)) < 200
        assert service.post("/predict", {"text": "tốt"}).status == 200


def test_who_leaves_spares_the_model_the_rest(held) -> None:
    body = json.dumps({"texts": ["tốt"] * 200}).encode()
    with running(held) as service:
        held.gate.clear()
        with socket.create_connection(("127.0.0.1", service.port)) as connection:
            connection.sendall(HEAD + b"Content-Length: %d\r\n\r\n" % len(body) + body)
            wait_for(lambda: held.batches)
        wait_for(lambda: service.service.queue.waiting < 200)
        held.gate.set()
        wait_for(lambda: service.service.queue.waiting == 0)
        assert sum(map(len, held.batches)) < 200


def test_predict_is_answered_while_long_explanations_run(predictor) -> None:
    text = "pin trâu máy đẹp " * 500
    with running(predictor, queue=2000) as service, ThreadPoolExecutor(4) as pool:
        long = [pool.submit(service.post, "/explain", {"text": text}) for _ in range(4)]
        wait_for(lambda: service.service.queue.waiting > 500)
        reply = service.post("/predict", {"text": "tốt"})
        assert reply.status == 200 and not all(explained.done() for explained in long)
        assert [explained.result().status for explained in long] == [200] * 4


def test_a_queue_that_nobody_serves_is_not_ready(predictor) -> None:
    with running(predictor) as service:
        assert service.ask("GET", "/ready").status == 200
        service.service.queue.close()
        wait_for(lambda: not service.service.queue.served)
        assert (service.ask("GET", "/ready").status, service.ask("GET", "/ready").code) == (503, "broken")


def test_too_many_connections_are_told_so(predictor, monkeypatch) -> None:
    monkeypatch.setattr(guard, "CONNECTIONS", 3)
    monkeypatch.setattr(guard, "BEYOND", 2)
    with running(predictor) as service, connections(service.port, 3, b""):
        wait_for(lambda: len(service.server.server_state.connections) == 3)
        reply = service.ask("GET", "/health")
        assert (reply.status, reply.code, reply.headers["Retry-After"]) == (503, "busy", "1")
        wait_for(lambda: len(service.server.server_state.connections) == 3)
        with connections(service.port, 2, b""):
            for data in (b"", HEALTH):  # far beyond, asked or not
                assert is_busy(service.raw(data)), data
    with running(predictor) as service:
        assert service.ask("GET", "/health").status == 200


def is_busy(answer: bytes) -> bool:
    """Whether all that came until the end of the connection is one answer that says when to come back."""
    head, body = answer.split(b"\r\n\r\n")
    headers = head.lower().split(b"\r\n")
    assert headers[0].startswith(b"http/1.1 503") and b"retry-after: 1" in headers and b"connection: close" in headers
    return json.loads(body)["error"]["code"] == "busy"


def test_who_is_one_too_many_and_asks_late_is_told_so(predictor, monkeypatch) -> None:
    """Not cut without an answer: the client cannot know why, or whether its request was taken."""
    monkeypatch.setattr(guard, "CONNECTIONS", 3)
    monkeypatch.setattr(guard, "BUSY_SECONDS", 0.2)
    with running(predictor) as service, connections(service.port, 3, b""), connections(service.port, 4, b"") as late:
        assert all(is_busy(b"".join(iter(lambda c=c: c.recv(65536), b""))) for c in late)


def test_the_last_place_is_free_again_after_its_answer(predictor, monkeypatch) -> None:
    """Else clients that keep their connections would lock out all others."""
    monkeypatch.setattr(guard, "CONNECTIONS", 3)
    with running(predictor) as service, connections(service.port, 2, HEALTH) as kept:
        assert all(b"connection: close" not in connection.recv(65536).lower() for connection in kept)
        assert all(b"connection: close" in service.raw(HEALTH).lower() for _ in range(3))


ALIVE = b'{"status":"alive"}'


def whole(connection: socket.socket, end: bytes) -> bytes:
    """What comes until it ends with ``end``, or until the service ends the connection."""
    answer = b""
    while not (end and answer.endswith(end)) and (data := connection.recv(65536)):
        answer += data
    return answer


def test_an_idle_connection_is_told_that_it_ends(predictor, monkeypatch) -> None:
    monkeypatch.setattr(guard, "CROWDED_SECONDS", 0.1)
    monkeypatch.setattr(guard, "IDLE_SECONDS", 0.2)
    with running(predictor) as service, connections(service.port, 2, HEALTH) as idle:
        for connection in idle:
            answers = whole(connection, b"")
            assert answers.startswith(b"HTTP/1.1 200") and answers.count(b"HTTP/1.1 408") == 1
            assert b"connection: close" in answers.split(ALIVE)[1].lower()


def test_an_idle_connection_stays_while_there_is_room(predictor, monkeypatch) -> None:
    monkeypatch.setattr(guard, "CONNECTIONS", 4)
    monkeypatch.setattr(guard, "CROWDED_SECONDS", 0.1)
    with running(predictor) as service, connections(service.port, 3, HEALTH) as opened:
        assert all(whole(connection, ALIVE).startswith(b"HTTP/1.1 200") for connection in opened)
        time.sleep(0.5)  # one makes room, two stay
        for connection in opened:
            connection.sendall(HEALTH)
        answers = [whole(connection, ALIVE) for connection in opened]
    assert sorted(answer.split()[1] for answer in answers) == [b"200", b"200", b"408"]


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:80", "127.0.0.1", "127.0.0.1:8000", "[::1]", "[::1]:1"])
def test_a_local_service_answers_to_its_own_names(local, host) -> None:
    assert local.ask("GET", "/labels", headers={"Host": host}).status == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example:80", "10.0.0.1", ""]
)
def test_a_local_service_is_not_reached_by_another_name(local, host) -> None:
    reply = local.ask("GET", "/labels", headers={"Host": host})
    assert (reply.status, reply.code) == (421, "wrong_host")


@pytest.fixture(scope="module")
def local(predictor):
    with running(predictor, local=True) as service:
        yield service


def test_a_failure_of_the_model_is_500_without_a_text_in_the_log(held, caplog, monkeypatch) -> None:
    def failing(texts, **_) -> None:
        raise ValueError(f"cannot take {texts}")

    with running(held) as service:
        monkeypatch.setattr(held, "logits_of_short", failing)
        reply = service.post("/predict", {"text": SECRET})
        assert (reply.status, reply.code) == (500, "internal")
        monkeypatch.undo()
        assert service.post("/predict", {"text": "tốt"}).status == 200
    assert "ValueError" in caplog.text and "in failing" in caplog.text
    assert SECRET not in caplog.text and "7391" not in caplog.text


class PanicException(BaseException):
    """As pyo3 raises it when the tokenizer's Rust code panics: no Exception."""


@pytest.mark.parametrize(
    ("path", "name"), [("/predict", "logits_of_short"), ("/explain", "explanation"), ("/explain", "logits")]
)
def test_a_panic_fails_its_request_alone(held, caplog, monkeypatch, path, name) -> None:
    def panicking(*_, **__) -> None:
        raise PanicException(SECRET)

    with running(held) as service:
        for _ in range(5):  # more than there are threads
            with monkeypatch.context() as broken:
                broken.setattr(held, name, panicking, raising=False)
                reply = service.post(path, {"text": "tốt"})
                assert (reply.status, reply.code) == (500, "internal")
        assert service.post(path, {"text": "tốt"}).status == 200
        assert service.ask("GET", "/ready").status == 200
    assert "Panicked" in caplog.text and "in panicking" in caplog.text and SECRET not in caplog.text


def test_long_lists_leave_room_for_single_texts(held) -> None:
    with running(held) as service, ThreadPoolExecutor(2) as pool:
        held.gate.clear()
        lists = [pool.submit(service.post, "/predict", {"texts": ["tốt"] * 256}) for _ in range(2)]
        wait_for(lambda: any(reply.done() for reply in lists))  # the second finds no room
        single = pool.submit(service.post, "/predict", {"text": "pin trâu"})
        wait_for(lambda: service.service.queue.waiting == 257)
        assert service.ask("GET", "/ready").status == 200
        held.gate.set()
        assert single.result().status == 200
        assert sorted(reply.result().status for reply in lists) == [200, 503]


def test_refused_bodies_leave_no_memory_behind(predictor) -> None:
    """Not even until the time is up that a client has for sending the rest of one."""
    with running(predictor) as service:
        service.post("/predict", {"text": "a" * 2_000_000})
        tracemalloc.start()
        try:
            for _ in range(30):
                assert service.post("/predict", {"text": "a" * 2_000_000}).status == 413
                assert service.post("/predict", {"texts": ["b" * 900] * 900}).status == 422
            wait_for(lambda: gc.collect() >= 0 and tracemalloc.get_traced_memory()[0] < 1 << 18, 2)
        finally:
            tracemalloc.stop()


# --- slow clients ---


@contextmanager
def connections(port: int, count: int, first: bytes):
    opened = [socket.create_connection(("127.0.0.1", port), timeout=20) for _ in range(count)]
    try:
        for connection in opened:
            connection.sendall(first)
        yield opened
    finally:
        for connection in opened:
            connection.close()


def cut(action, times: int) -> bool:
    """Whether the service ends the connection while ``action`` is repeated (b"" is what is read of an ended one)."""
    try:
        return any(action() == b"" for _ in range(times))
    except (ConnectionResetError, BrokenPipeError):
        return True


def test_slow_bodies_are_cut_and_stop_nobody(predictor) -> None:
    with (
        running(predictor, read_timeout=1.0) as service,
        connections(service.port, 100, HEAD + b'Content-Length: 1000\r\n\r\n{"te') as slow,
    ):
        for _ in range(5):
            began = time.monotonic()
            assert service.post("/predict", {"text": "pin trâu"}).status == 200
            assert time.monotonic() - began < 0.5
            for connection in slow:
                connection.sendall(b" ")
        answers = [connection.recv(65536) for connection in slow]
    assert all(a.startswith(b"HTTP/1.1 408") and b"connection: close" in a.lower() for a in answers)


@pytest.mark.parametrize("first", [b"", b"POST /predict HTT", HEAD], ids=["nothing", "half a line", "half a head"])
def test_a_request_that_never_begins_is_cut(predictor, monkeypatch, first) -> None:
    monkeypatch.setattr(guard, "HEAD_SECONDS", 0.3)
    with running(predictor) as service, connections(service.port, 3, first) as slow:
        began = time.monotonic()
        assert all(connection.recv(65536).startswith(b"HTTP/1.1 408") for connection in slow)
        assert all(connection.recv(65536) == b"" for connection in slow)
        assert time.monotonic() - began < 4
        assert service.post("/predict", {"text": "pin trâu"}).status == 200


def test_a_long_answer_does_not_count_as_a_slow_head(held, monkeypatch) -> None:
    monkeypatch.setattr(guard, "HEAD_SECONDS", 0.2)
    with running(held) as service, ThreadPoolExecutor(1) as pool:
        held.gate.clear()
        reply = pool.submit(service.post, "/predict", {"text": "tốt"})
        time.sleep(0.6)
        held.gate.set()
        assert reply.result().status == 200


def test_who_does_not_read_is_cut(predictor, monkeypatch) -> None:
    monkeypatch.setattr(guard, "WRITE_SECONDS", 0.3)
    with running(predictor) as service:
        with socket.socket() as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            connection.settimeout(20)
            connection.connect(("127.0.0.1", service.port))
            asked = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" * 10
            assert cut(lambda: connection.sendall(asked), 200_000)  # asks on and on, reads nothing
        assert service.ask("GET", "/health").status == 200


def test_the_rest_of_a_refused_body_is_not_read_for_ever(predictor, monkeypatch) -> None:
    monkeypatch.setattr(guard, "HEAD_SECONDS", 0.3)
    with running(predictor) as service:
        head = HEAD + b"Content-Length: 1000000000\r\n\r\n"
        with connections(service.port, 1, head) as (connection,):
            assert b"HTTP/1.1 413" in connection.recv(65536)
            assert cut(lambda: (connection.sendall(b" " * 1000), time.sleep(0.005)), 2000)


# --- stopping ---


def test_a_stop_answers_what_was_accepted(held, predictor) -> None:
    with running(held) as service, ThreadPoolExecutor(4) as pool:
        held.gate.clear()
        texts = [f"máy đẹp {i}" for i in range(40)]
        replies = [pool.submit(service.post, "/predict", {"texts": texts}) for _ in range(4)]
        wait_for(lambda: service.service.queue.waiting == 160)
        with socket.create_connection(("127.0.0.1", service.port)) as late:
            late.sendall(HEAD + b'Content-Length: 15\r\n\r\n{"text":')
            time.sleep(0.1)
            service.service.stopping = True  # what the signal's handler does
            late.sendall(b'"tot"}\n'[:7])
            refused = late.recv(65536)
        assert refused.startswith(b"HTTP/1.1 503") and b"retry-after" in refused
        assert service.ask("GET", "/ready").code == "stopping"
        assert service.ask("GET", "/health").status == 200
        service.server.should_exit = True
        time.sleep(0.3)
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", service.port))
        held.gate.set()
        expected = predictor.predict(texts)
        assert [reply.result().json()["answers"] for reply in replies] == [expected] * 4


def test_a_stop_does_not_wait_for_a_model_that_hangs(held) -> None:
    began = time.monotonic()
    with running(held, timeout=0.5, read_timeout=0.5) as service, ThreadPoolExecutor(1) as pool:
        held.gate.clear()
        reply = pool.submit(service.post, "/predict", {"texts": ["tốt"] * 9})
        wait_for(lambda: held.batches)
        service.server.should_exit = True
        assert reply.result().code == "timeout"
    assert time.monotonic() - began < 10  # the gate stays shut for 30 s


@contextmanager
def command(*arguments: str):
    """``absa serve`` as a process: its port and the process."""
    line = [sys.executable, "-m", "src.cli", "serve", *arguments, "--port", "0"]
    process = subprocess.Popen(line, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        greeting = process.stdout.readline()
        assert "Serving" in greeting, process.stderr.read()
        yield int(greeting.split("127.0.0.1:")[1].split()[0]), process
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
        process.stderr.close()


def ask(port: int, path: str, body: bytes, method: str = "POST") -> Reply:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request(method, path, body, {"Content-Type": "application/json"})
    reply = Reply(connection.getresponse())
    connection.close()
    return reply


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signals_end_it_when_all_is_answered(exported, predictor, number) -> None:
    texts = [f"pin trâu {i} " * 120 for i in range(256)]
    with command(str(exported), "--threads", "1") as (port, process), ThreadPoolExecutor(1) as pool:
        reply = pool.submit(ask, port, "/predict", json.dumps({"texts": texts}).encode())
        wait_for(lambda: b"absa_queue_texts 0.0" not in ask(port, "/metrics", b"", "GET").body)
        process.send_signal(number)
        assert reply.result().json()["answers"] == predictor.predict(texts)
        out, err = process.communicate(timeout=20)
    assert process.returncode == 0
    assert out == "Stopped.\n" and "Traceback" not in err


def test_the_log_holds_no_text_unless_asked(exported) -> None:
    def log(*options: str) -> str:
        with command(str(exported), *options) as (port, process):
            quoted = json.dumps({"text": SECRET}).encode()
            for path in ("/predict", "/explain", "/predict?text=7391", "/7391"):
                ask(port, path, quoted)
            for bad in (quoted[:-1], b'{"text": ["7391"]}', b'{"7391": 1}', b'{"texts": ["7391", "\\ud83d"]}'):
                ask(port, "/predict", bad)
            process.send_signal(signal.SIGTERM)
            out, err = process.communicate(timeout=20)
        assert err.count("\n") == 8, err
        return out + err

    quiet = log()
    assert "7391" not in quiet and "POST /predict 200 1 text " in quiet and "POST other 404" in quiet
    assert f"{json.dumps([SECRET])}\n" in log("--log-texts")


# --- the command ---


def refused(*arguments: str) -> str:
    line = [sys.executable, "-m", "src.cli", "serve", *arguments]
    done = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2 and done.stdout == ""
    return done.stderr


def test_no_bundle_one_message(tmp_path) -> None:
    message = refused(str(tmp_path), "--port", "0")
    assert message.startswith("error: ") and "no bundle" in message and message.count("\n") == 1


def test_the_command_is_local_unless_it_is_told_otherwise(exported) -> None:
    for options, status in (((), 421), (("--host", "0.0.0.0"), 200)):
        line = [sys.executable, "-m", "src.cli", "serve", str(exported), "--port", "0", *options]
        process = subprocess.Popen(line, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        try:
            port = int(process.stdout.readline().split("://")[1].split()[0].rsplit(":", 1)[1])
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
            connection.request("GET", "/health", headers={"Host": "evil.example"})
            assert connection.getresponse().status == status
            connection.close()
        finally:
            process.kill()
            process.communicate()


def test_ctrl_c_while_loading_is_one_line(monkeypatch, capsys) -> None:
    def interrupted(*_, **__) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("src.ship.http.server.load_bundle", interrupted)
    with pytest.raises(SystemExit) as stop:
        main(["serve", "bundle", "--port", "0"])
    assert stop.value.code == 130 and capsys.readouterr().err == "interrupted\n"


def test_a_taken_port_one_message(exported) -> None:
    with bind("127.0.0.1", 0) as taken:
        port = str(taken.getsockname()[1])
        message = refused(str(exported), "--port", port)
    assert message == f"error: 127.0.0.1:{port}: cannot be listened on (Address already in use); try another --port\n"


def test_bad_bounds_are_told_together(exported) -> None:
    message = refused(str(exported), "--queue", "0", "--timeout", "nan", "--max-texts", "-1")
    expected = "expected a number above 0\n"
    assert message == f"error: --queue 0: {expected}--max-texts -1: {expected}--timeout nan: {expected}"


@pytest.mark.parametrize(
    ("host", "port", "message"),
    [
        ("127.0.0.1", 70000, "--port 70000: expected 0 to 65535"),
        ("no.such.host.invalid", 0, "there is no such address"),
        ("192.0.2.1", 0, "cannot be listened on"),
        ("a" * 70, 0, "there is no such address"),
    ],
)
def test_addresses_that_cannot_be_had(host, port, message) -> None:
    with pytest.raises(UserError, match=message):
        bind(host, port)


def test_it_needs_none_of_the_heavy_packages() -> None:
    code = (
        f"import sys; sys.modules.update(dict.fromkeys({HEAVY!r})); import src.cli, src.ship.http.server; print('fine')"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout == "fine\n", done.stderr


def test_the_dockerfile_starts_what_there_is(exported) -> None:
    """Its command line is accepted; the rest of it needs an engine."""
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    entry = json.loads(text.split("ENTRYPOINT ")[1].splitlines()[0]) + json.loads(
        text.split("CMD ")[-1].splitlines()[0]
    )
    assert entry[:3] == ["absa", "serve", "/bundle"]
    done = subprocess.run(
        [sys.executable, "-m", "src.cli", *entry[1:], "--queue", "0"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stderr == "error: --queue 0: expected a number above 0\n"
    assert "\nUSER " in text and "HEALTHCHECK" in text and Path(ROOT / ".dockerignore").is_file()
    assert os.sep + "bundle" in text


# --- the load test ---


@pytest.mark.slow
def test_the_load_test_finds_no_error(exported) -> None:
    script = [sys.executable, "benchmarks/service_load.py", str(exported), "data/sample/test.csv"]
    done = subprocess.run(
        [*script, "--seconds", "4", "--overload-seconds", "4"], cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout.splitlines()[-1])
    assert (result["errors"], result["wrong"], result["refused"], result["exit_status"]) == ([], 0, 0, 0)
    assert result["overload"]["refused"] > 0 and result["overload"]["times"] > 2
    assert result["mib"]["after_overload"] - result["mib"]["start"] < 100
