"""Clients that send or read a byte now and then, more of them than there are threads: others are served meanwhile."""

from __future__ import annotations

import os
import secrets
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from graft.stack import Endpoint, RunningServer
from tests.support.client import train_body
from tests.support.waiting import eventually

THREADS = 4
SLOW_CLIENTS = 5 * THREADS
CLIENT_SECONDS = 5.0
AT_ONCE_SECONDS = 3.0
"""A healthy client's bound, on a busy machine: less than any slow one has been given up by then."""
KEY = "a-key-of-the-tests"
HEAD = f"Host: graft\r\nAuthorization: Bearer {KEY}\r\n"
CSV_HEAD = f"POST /v1/datasets?name=slow HTTP/1.1\r\n{HEAD}Content-Type: text/csv\r\n"


@dataclass(frozen=True)
class Api:
    port: int
    process: subprocess.Popen[bytes]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=20)

    def look(self) -> float:
        """Seconds that a healthy client's request takes, on a new connection."""
        began = time.monotonic()
        response = httpx.get(
            f"{self.url}/v1/jobs", headers={"Authorization": f"Bearer {KEY}"}, timeout=httpx.Timeout(30)
        )
        assert response.status_code == 200, response.text
        return time.monotonic() - began


@pytest.fixture(scope="module")
def api(
    redis_server: RunningServer,
    object_store: RunningServer | Endpoint,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Api]:
    with _running(redis_server, object_store, tmp_path_factory.mktemp("api") / "log") as running:
        yield running


@contextmanager
def _running(redis_server: RunningServer, object_store: RunningServer | Endpoint, log: Path) -> Iterator[Api]:
    """One API process with few threads and little patience."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    env = {name: value for name, value in os.environ.items() if not name.startswith("GRAFT_")}
    env |= {**redis_server.settings, **object_store.settings}
    env |= {
        "GRAFT_BIND": f"127.0.0.1:{port}",
        "GRAFT_API_PROCESSES": "1",
        "GRAFT_API_THREADS": str(THREADS),
        "GRAFT_CLIENT_SECONDS": str(CLIENT_SECONDS),
        "GRAFT_API_KEYS": KEY,
        "GRAFT_SIGNING_KEY": secrets.token_hex(16),
    }
    with log.open("wb") as out:
        command = [sys.executable, "-m", "gunicorn", "--config", "python:api.gunicorn_conf"]
        process = subprocess.Popen(command, env=env, stdout=out, stderr=out, cwd=Path(__file__).parents[2])
    try:
        eventually(lambda: _answers(port) or process.poll() is not None, 30)
        assert process.poll() is None, log.read_text()
        yield Api(port, process)
    finally:
        process.terminate()
        process.wait(60)


def _answers(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/healthz").status_code == 200
    except httpx.TransportError:
        return False


def _nothing(client: socket.socket, ended: threading.Event) -> None:
    ended.wait()


def _dripping(head: str, drops: bytes) -> Callable[[socket.socket, threading.Event], None]:
    """Sends the head at once, and then a byte every tenth of a second."""

    def drip(client: socket.socket, ended: threading.Event) -> None:
        try:
            client.sendall(head.encode())
            for drop in drops:
                if ended.wait(0.1):
                    return
                client.sendall(bytes([drop]))
        except OSError:
            ended.wait()

    return drip


def _never_reading(client: socket.socket, ended: threading.Event) -> None:
    """Asks for the largest page there is, again and again, and reads nothing."""
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    with suppress(OSError):
        client.sendall(b"GET /static/swagger-ui/swagger-ui-bundle.js HTTP/1.1\r\nHost: graft\r\n\r\n" * 4)
    ended.wait()


def _never_closing(client: socket.socket, ended: threading.Event) -> None:
    """Is answered that the connection ends, and keeps its own side open."""
    client.sendall(b"GET /healthz HTTP/1.1\r\nHost: graft\r\nConnection: close\r\n\r\n")
    ended.wait()


BEHAVIOURS = {
    "says nothing": _nothing,
    "sends its head byte by byte": _dripping("GET /v1/jobs HTTP/1.1\r\nX-Slow: ", b"x" * 1000),
    "sends a short body byte by byte": _dripping(f"{CSV_HEAD}Content-Length: 900\r\n\r\n", b"a" * 900),
    "sends a long body byte by byte": _dripping(f"{CSV_HEAD}Content-Length: 900000\r\n\r\n", b"a" * 900),
    "sends chunks byte by byte": _dripping(
        f"{CSV_HEAD}Transfer-Encoding: chunked\r\n\r\nffff\r\n", b"a" * 900
    ),
    "waits to be told to go on": _dripping(
        f"{CSV_HEAD}Content-Length: 9\r\nExpect: 100-continue\r\n\r\n", b""
    ),
    "does not read its answer": _never_reading,
    "does not close": _never_closing,
}


@pytest.mark.parametrize("behaviour", BEHAVIOURS)
def test_a_healthy_client_is_answered_at_once_among_many_slow_ones(api: Api, behaviour: str) -> None:
    assert api.look() < AT_ONCE_SECONDS
    ended = threading.Event()
    with ExitStack() as stack:
        clients = [stack.enter_context(api.connect()) for _ in range(SLOW_CLIENTS)]
        threads = [threading.Thread(target=BEHAVIOURS[behaviour], args=(client, ended)) for client in clients]
        for thread in threads:
            thread.start()
        try:
            time.sleep(0.3)  # for each to have whatever it may have of a server
            looks = [api.look() for _ in range(5)]
        finally:
            ended.set()
            for thread in threads:
                thread.join()
    assert max(looks) < AT_ONCE_SECONDS


def _answer(client: socket.socket) -> bytes:
    """All that comes until the other side closes."""
    found = b""
    while data := client.recv(65536):
        found += data
    return found


def _too_slow(api: Api, head: str, drops: bytes) -> tuple[bytes, float]:
    """What a client that drips is answered, and after how many seconds."""
    ended = threading.Event()
    with api.connect() as client:
        thread = threading.Thread(target=_dripping(head, drops), args=(client, ended))
        began = time.monotonic()
        thread.start()
        try:
            return _answer(client), time.monotonic() - began
        finally:
            ended.set()
            thread.join()


def test_a_request_that_comes_too_slowly_is_answered_408_and_the_connection_ends(api: Api) -> None:
    kinds = [
        ("GET /v1/jobs HTTP/1.1\r\nX-Slow: ", b"x" * 1000),
        (f"{CSV_HEAD}Content-Length: 900\r\n\r\n", b"a" * 900),
        (f"{CSV_HEAD}Content-Length: 900000\r\n\r\n", b"a" * 900),
        (f"{CSV_HEAD}Transfer-Encoding: chunked\r\n\r\nffff\r\n", b"a" * 900),
    ]
    with ThreadPoolExecutor(len(kinds)) as pool:
        answers = list(pool.map(lambda kind: _too_slow(api, *kind), kinds))
    for answer, took in answers:
        assert answer.startswith(b"HTTP/1.1 408 "), answer
        assert b"\r\nConnection: close\r\n" in answer
        assert b"\r\nContent-Type: application/problem+json\r\n" in answer
        assert b'"request_timeout"' in answer
        assert CLIENT_SECONDS * 0.9 < took < 2 * CLIENT_SECONDS


def test_a_client_that_pauses_but_is_fast_enough_is_served(api: Api) -> None:
    """With what it has moved, a client earns time."""
    rows = b"1,2\n" * 20_000
    with api.connect() as client:
        client.sendall(f"{CSV_HEAD}Content-Length: {4 + 6 * len(rows)}\r\n\r\na,b\n".encode())
        for _ in range(6):
            client.sendall(rows)
            time.sleep(CLIENT_SECONDS / 4)
        assert client.recv(65536).startswith(b"HTTP/1.1 201 ")


def test_long_requests_over_their_share_wait_for_a_thread_and_are_served(api: Api) -> None:
    rows = b"1,2\n" * 40_000
    with ExitStack() as stack:
        clients = [stack.enter_context(api.connect()) for _ in range(2 * THREADS)]
        for client in clients:
            client.sendall(f"{CSV_HEAD}Content-Length: {4 + len(rows)}\r\n\r\na,b\n".encode())
        assert api.look() < AT_ONCE_SECONDS
        for client in reversed(clients):
            threading.Thread(target=client.sendall, args=(rows,)).start()
        statuses = [client.recv(65536)[9:12] for client in clients]
    assert set(statuses) == {b"201"}


def test_many_requests_sent_at_once_on_one_connection_are_answered_in_order(api: Api) -> None:
    with api.connect() as client:
        for number in range(20):
            client.sendall(
                f"GET /healthz HTTP/1.1\r\nX-Request-ID: n-{number}\r\nHost: graft\r\n\r\n".encode()
            )
        client.sendall(b"GET /healthz HTTP/1.1\r\nHost: graft\r\nConnection: close\r\n\r\n")
        answer = _answer(client)
    assert answer.count(b"HTTP/1.1 200 ") == 21
    places = [answer.index(f"n-{number}\r\n".encode()) for number in range(20)]
    assert places == sorted(places)


def test_a_request_that_comes_while_another_waits_for_its_answer_is_answered_next(api: Api) -> None:
    with httpx.Client(base_url=api.url, headers={"Authorization": f"Bearer {KEY}"}) as graft:
        table = b"x,label\n" + b"".join(b"%d,%d\n" % (row, row % 2) for row in range(40))
        dataset = graft.post(
            "/v1/datasets?name=waits", content=table, headers={"Content-Type": "text/csv"}
        ).json()["id"]
        submitted = graft.post("/v1/jobs", json=train_body(dataset, "waits"))
        assert submitted.status_code == 202, submitted.text
        job_id = submitted.json()["id"]  # no worker is there
    with api.connect() as client:
        client.sendall(f"GET /v1/jobs/{job_id}?wait=2 HTTP/1.1\r\nX-Request-ID: first\r\n{HEAD}\r\n".encode())
        time.sleep(0.5)
        client.sendall(b"GET /healthz HTTP/1.1\r\nX-Request-ID: second\r\nHost: graft\r\n\r\n")
        answer = b""
        while b"second" not in answer:
            answer += client.recv(2**16)
        assert answer.index(b"first") < answer.index(b"second")
        time.sleep(0.2)
        client.sendall(b"GET /healthz HTTP/1.1\r\nHost: graft\r\nConnection: close\r\n\r\n")
        assert _answer(client).startswith(b"HTTP/1.1 200 ")


def test_an_answer_is_sent_at_once(api: Api) -> None:
    with api.connect() as client:
        client.sendall(f"GET /v1/jobs HTTP/1.1\r\n{HEAD}\r\n".encode())
        head, _, body = client.recv(2**16).partition(b"\r\n\r\n")
    assert f"content-length: {len(body)}".encode() in head.lower()
    assert body.startswith(b"{")


def test_a_client_that_has_been_promised_another_request_has_it_though_the_server_stops(
    redis_server: RunningServer, object_store: RunningServer | Endpoint, tmp_path: Path
) -> None:
    with _running(redis_server, object_store, tmp_path / "log") as api, api.connect() as client:
        client.sendall(b"GET /healthz HTTP/1.1\r\nHost: graft\r\n\r\n")
        assert b"keep-alive" in client.recv(2**16)
        api.process.terminate()
        time.sleep(0.5)
        client.sendall(b"GET /healthz HTTP/1.1\r\nHost: graft\r\n\r\n")
        assert b"Connection: close" in _answer(client)
        assert api.process.wait(30) == 0


def test_a_refusal_that_leaves_a_body_unread_says_that_the_connection_ends(api: Api) -> None:
    with httpx.Client(base_url=api.url) as client:
        for size in (10, 60_000, 70_000, 900_000):
            refused = client.post("/v1/jobs", content=b"x" * size, headers={"Content-Type": "text/csv"})
            assert refused.status_code == 401
            assert (refused.headers.get("Connection") == "close") is (size > 2**16)


def test_an_answer_that_is_read_slowly_comes_whole(api: Api) -> None:
    path = "/static/swagger-ui/swagger-ui-bundle.js"
    whole = httpx.get(api.url + path).content
    with api.connect() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2**17)
        client.sendall(f"GET {path} HTTP/1.1\r\nHost: graft\r\nConnection: close\r\n\r\n".encode())
        time.sleep(CLIENT_SECONDS / 2)
        answer = _answer(client)
    assert answer.partition(b"\r\n\r\n")[2] == whole


def test_a_client_that_stops_reading_its_answer_loses_the_connection(api: Api) -> None:
    with api.connect() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2**17)
        path = "/static/swagger-ui/swagger-ui-bundle.js"
        client.sendall(f"GET {path} HTTP/1.1\r\nHost: graft\r\n\r\n".encode() * 8)
        time.sleep(CLIENT_SECONDS + 3)
        with suppress(ConnectionResetError):
            assert _answer(client).count(b"HTTP/1.1 200 ") < 8
