"""One attempt at a delivery, at real receivers: what counts as success, and what is never done."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from shared.webhooks.addresses import AddressPolicy
from shared.webhooks.answers import Answer
from shared.webhooks.sender import MOST_KEPT_CHARACTERS, Sender
from tests.support import receiver as receivers
from tests.support.certificates import Certificate, certificate
from tests.support.receiver import Receiver, receiver

INSIDE = AddressPolicy(allow_private=True, allow_http=True)
NAME = "hooks.example.test"
BODY = '{"type":"job.succeeded","text":"ünïcode"}'


@pytest.fixture
def hook() -> Iterator[Receiver]:
    with receiver() as running:
        yield running


@pytest.fixture(scope="module")
def cert(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return certificate(tmp_path_factory.mktemp("tls"), NAME)


def sender(policy: AddressPolicy = INSIDE, **options: object) -> Sender:
    given = {"connect_seconds": 1.0, "total_seconds": 1.5, **options}
    return Sender(policy, **given)  # type: ignore[arg-type]


def send(url: str, **options: object) -> Answer:
    return sender(**options).send(url, {"webhook-id": "msg_1"}, BODY)  # type: ignore[arg-type]


class Names:
    """A resolver that answers one list after the other, and counts how often it is asked."""

    def __init__(self, *answers: list[str]) -> None:
        self.answers = answers
        self.asked: list[tuple[str, int]] = []

    def __call__(self, host: str, port: int) -> list[str]:
        self.asked.append((host, port))
        return self.answers[min(len(self.asked), len(self.answers)) - 1]


def test_a_message_arrives_as_it_was_sent(hook: Receiver) -> None:
    answer = send(f"{hook.url}?a=b")
    assert (answer.error, answer.status) == (None, 200)
    [came] = hook.received
    assert came.body == BODY.encode()
    assert came.path == "/hook?a=b"
    assert came.headers["host"] == f"127.0.0.1:{hook.port}"
    assert came.headers["content-type"] == "application/json"
    assert came.headers["user-agent"].startswith("Graft-Webhooks/")
    assert came.headers["webhook-id"] == "msg_1"
    assert "cookie" not in came.headers
    assert "authorization" not in came.headers


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (200, None),
        (201, None),
        (204, None),
        (299, None),
        (300, "redirect"),
        (304, "redirect"),
        (400, "http_400"),
        (410, "gone"),
        (429, "http_429"),
        (500, "http_500"),
        (599, "http_599"),
    ],
)
def test_success_is_2xx_and_nothing_else(hook: Receiver, status: int, error: str | None) -> None:
    hook.answer = lambda _: receivers.Answer(status, body=b"")
    answer = send(hook.url)
    assert (answer.error, answer.status) == (error, status)
    assert answer.is_gone is (status == 410)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_a_failure_and_is_not_followed(hook: Receiver, status: int) -> None:
    hook.answer = lambda came: receivers.Answer(
        status if came.path == "/hook" else 200, {"Location": hook.url.replace("/hook", "/elsewhere")}
    )
    assert send(hook.url).error == "redirect"
    assert [came.path for came in hook.received] == ["/hook"]


def test_no_proxy_of_the_environment_is_used(hook: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    with receiver() as proxy:
        for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        assert send(hook.url).error is None
        assert (len(hook.received), len(proxy.received)) == (1, 0)


def test_by_default_nothing_inside_is_called(hook: Receiver) -> None:
    outside = AddressPolicy(allow_http=True)
    assert send(hook.url, policy=outside).error == "url_refused"
    for addresses in (["127.0.0.1"], ["::1"], ["8.8.8.8", "127.0.0.1"], ["169.254.169.254"]):
        names = Names(addresses)
        answer = send(f"http://rebound.example.com:{hook.port}/", policy=outside, resolve=names)
        assert answer.error == "address_refused", addresses
    assert hook.received == []


def test_http_is_refused_by_default(hook: Receiver) -> None:
    assert send(hook.url, policy=AddressPolicy(allow_private=True)).error == "url_refused"
    assert hook.received == []


def test_a_name_is_looked_up_once_and_what_was_checked_is_what_is_called(hook: Receiver) -> None:
    """DNS rebinding: an address that is fine for the check, then ours for the connection."""
    names = Names(["8.8.8.8"], ["127.0.0.1"])
    answer = send(
        f"http://rebound.example.com:{hook.port}/", policy=AddressPolicy(allow_http=True), resolve=names
    )
    assert names.asked == [("rebound.example.com", hook.port)]
    assert answer.error in {"timed_out", "connection_failed"}, "8.8.8.8 was called, which serves no such port"
    assert hook.received == []


def test_the_host_stays_the_name_and_the_connection_goes_to_the_address(hook: Receiver) -> None:
    names = Names(["127.0.0.1"])
    assert send(f"http://{NAME}:{hook.port}/hook", resolve=names).error is None
    assert hook.received[0].headers["host"] == f"{NAME}:{hook.port}"
    assert len(names.asked) == 1


def test_the_next_address_is_tried_if_one_does_not_answer(hook: Receiver) -> None:
    names = Names(["127.0.0.2", "127.0.0.1"])
    assert send(f"http://{NAME}:{hook.port}/hook", resolve=names).error is None


def test_tls_verifies_the_name_though_the_address_is_called(cert: Certificate) -> None:
    with receiver(cert.for_server()) as hook:
        names = Names(["127.0.0.1"])
        good = send(f"https://{NAME}:{hook.port}/hook", resolve=names, tls=cert.for_client)
        assert (good.error, good.status) == (None, 200)
        other = send(f"https://other.example.test:{hook.port}/hook", resolve=names, tls=cert.for_client)
        assert other.error == "tls_failed"
        unknown = send(f"https://{NAME}:{hook.port}/hook", resolve=names)
        assert unknown.error == "tls_failed"
        assert len(hook.received) == 1


def test_a_slow_receiver_is_left_when_its_time_is_up(hook: Receiver) -> None:
    hook.answer = lambda _: receivers.Answer(seconds=5)
    began = time.monotonic()
    answer = send(hook.url, total_seconds=0.3)
    assert answer.error == "timed_out"
    assert time.monotonic() - began < 4.5


def test_an_answer_that_comes_byte_by_byte_does_not_stretch_the_time(hook: Receiver) -> None:
    """The status has come, so it counts; the rest is not waited for."""
    hook.answer = lambda _: receivers.Answer(body=b"x" * 1000, drip_seconds=0.05)
    began = time.monotonic()
    assert send(hook.url, total_seconds=0.5).error is None
    assert time.monotonic() - began < 4.5


def _raw(answer: Callable[[socket.socket], None]) -> Iterator[int]:
    """The port of a server that says what `answer` writes, to one client."""
    server = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        client, _ = server.accept()
        with client:
            client.recv(65_536)
            answer(client)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    yield server.getsockname()[1]
    thread.join(5)
    server.close()


@pytest.mark.parametrize(
    ("said", "error"),
    [
        (b"", "bad_answer"),
        (b"junk\r\n\r\n", "bad_answer"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello", "bad_answer"),
        (b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 50_000, "bad_answer"),
        (b"HTTP/1.1 204 No Content\r\n\r\n", None),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", None),
        (b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\njunk", None),
    ],
)
def test_an_answer_that_is_no_http_is_a_failure(said: bytes, error: str | None) -> None:
    def answer(client: socket.socket) -> None:
        with suppress(BrokenPipeError, ConnectionResetError):
            client.sendall(said)

    for port in _raw(answer):
        got = send(f"http://127.0.0.1:{port}/").error
        assert got == error or (error == "bad_answer" and got == "connection_failed")


def test_headers_that_never_end_do_not_stretch_the_time() -> None:
    def answer(client: socket.socket) -> None:
        with suppress(BrokenPipeError, ConnectionResetError):
            client.sendall(b"HTTP/1.1 200 OK\r\n")
            for _ in range(100):
                client.sendall(b"X: y\r\n")
                time.sleep(0.05)

    for port in _raw(answer):
        began = time.monotonic()
        assert send(f"http://127.0.0.1:{port}/", total_seconds=0.5).error == "timed_out"
        assert time.monotonic() - began < 4.5


def test_of_an_endless_answer_little_is_read() -> None:
    read: list[int] = []

    def answer(client: socket.socket) -> None:
        client.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        sent = 0
        with suppress(BrokenPipeError, ConnectionResetError):
            while sent < 2**26:
                sent += client.send(b"x" * 65_536)
        read.append(sent)

    for port in _raw(answer):
        assert send(f"http://127.0.0.1:{port}/").error is None
    assert read[0] < 2**24, "what the kernel's buffers hold, not what the receiver would say"


def test_of_an_answer_from_inside_nothing_is_kept(hook: Receiver) -> None:
    hook.answer = lambda _: receivers.Answer(body=b"credentials")
    assert send(hook.url).excerpt == ""


def test_of_an_answer_one_printable_line_is_kept(hook: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    from shared.webhooks import network

    monkeypatch.setattr(network, "is_public", lambda _: True)  # there is no public receiver to test with
    hook.answer = lambda _: receivers.Answer(body=b"a\x00\x1b[31m\r\nb\xff" + b"x" * 9_000)
    excerpt = send(hook.url).excerpt
    assert excerpt.startswith("a  [31m  b")
    assert len(excerpt) == MOST_KEPT_CHARACTERS
    assert excerpt.isprintable()


def test_what_listens_nowhere_or_has_no_address_is_a_failure(hook: Receiver) -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    assert send(f"http://127.0.0.1:{port}/").error == "connection_failed"
    assert send("http://nothing.example.test/", resolve=Names([])).error == "unknown_host"

    def fails(host: str, port: int) -> list[str]:
        raise socket.gaierror(-2, "Name or service not known")

    assert send("http://nothing.example.test/", resolve=fails).error == "unknown_host"


def test_a_resolver_that_hangs_does_not_stretch_the_time() -> None:
    hung = threading.Event()

    def hangs(host: str, port: int) -> list[str]:
        hung.wait(20)
        return ["127.0.0.1"]

    began = time.monotonic()
    assert send("http://slow.example.test/", resolve=hangs, connect_seconds=0.2).error == "unknown_host"
    assert time.monotonic() - began < 4.5
    hung.set()


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("120", 120), ("0", 0), ("999999999999", 86_400), ("junk", None), ("-5", None), ("", None), ("²", None)],
)
def test_retry_after_is_heard(hook: Receiver, value: str, seconds: int | None) -> None:
    hook.answer = lambda _: receivers.Answer(503, {"Retry-After": value.encode().decode("latin-1")})
    assert send(hook.url).retry_after_seconds == seconds


def test_a_date_in_retry_after_is_heard(hook: Receiver) -> None:
    from email.utils import formatdate

    hook.answer = lambda _: receivers.Answer(503, {"Retry-After": formatdate(time.time() + 60, usegmt=True)})
    assert send(hook.url).retry_after_seconds in range(55, 61)


def test_the_system_resolver_is_asked(tmp_path: Path) -> None:
    with receiver() as hook:
        assert send(f"http://localhost:{hook.port}/hook").error is None
