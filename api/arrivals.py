"""gunicorn's threaded worker, but that no thread waits for a client's request to come.

gunicorn gives every connection a thread at once, which then waits for the head and the body: as many clients as there
are threads, that send a byte now and then, and nobody else is served. Here the loop in the main thread collects a
request, and a thread gets it when it is whole:

    accepted ─┐                     ┌── short: whole ─────────────────────▶ a thread ──▶ answered ──▶ kept alive ─┐
              ├─▶ arriving ─────────┤                                          ▲                  └─▶ lingering   │
    kept alive┘   (bounded time)    └── long: its body is not here yet ─▶ one of a part of the threads            │
              ▲                                                                                                   │
              └───────────────────────────────────────────────────────────────────────────────────────────────────┘

A request with a body of more than 64 KiB, or of unknown length, is long: its thread reads the body, with patience
(`api.patience`). A quarter of the threads never serves long ones, so short requests always find one. What a client does
not take of its answer at once, the loop sends as it is taken.

A connection that is closed lingers until the client has read the answer (RFC 9112, 9.6), which gunicorn waits for in
its loop, and all others with it; here it does not hold anything up.
"""

from __future__ import annotations

import contextlib
import re
import selectors
import socket
import time
from collections import deque
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import partial
from http import HTTPStatus
from typing import Any, Final

from gunicorn.workers.gthread import TConn, ThreadWorker

from api.patience import Backlog, Patience, PatientSocket

SHORT_BYTES: Final = 64 * 2**10
"""Of a head, and of a body: what the loop collects."""

_LENGTH: Final = re.compile(rb"\r\ncontent-length:[ \t]*([0-9]{1,18})[ \t]*\r\n", re.IGNORECASE)
_OPEN_ENDED: Final = re.compile(rb"\r\n(?:transfer-encoding|expect|upgrade):", re.IGNORECASE)
_LINGER_SECONDS: Final = 2.0
_LINGER_BYTES: Final = 2**20
_LOOK_SECONDS: Final = 0.25


@dataclass(slots=True)
class _Arrival:
    """A request that comes."""

    conn: Any
    began: float
    received: bytearray = field(default_factory=bytearray)
    is_polled: bool = False


@dataclass(slots=True)
class _Rest:
    """An answer that the client has not taken all of."""

    conn: Any
    answered: Future[Any]
    looked: float


@dataclass(slots=True)
class _Farewell:
    """A connection that ends: what the client still sends is thrown away."""

    conn: Any
    deadline: float
    dropped: int = 0


class PatientWorker(ThreadWorker):  # type: ignore[misc]
    """All that is not `handle…` runs in the main thread."""

    wsgi: Any

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._arriving: dict[PatientSocket, _Arrival] = {}
        self._rests: dict[PatientSocket, _Rest] = {}
        self._lingering: dict[PatientSocket, _Farewell] = {}
        #: Long requests: those that have a thread, and those that wait for one, since when.
        self._long: set[Any] = set()
        self._held: deque[tuple[float, Any]] = deque()
        self._most_long = max(1, self.cfg.threads - max(1, self.cfg.threads // 4))
        self._next_look = 0.0
        self._patience = Patience(20.0, 10_240.0)
        self._backlog = Backlog()

    def load_wsgi(self) -> None:
        super().load_wsgi()
        settings = self.wsgi.extensions["graft"].settings
        self._patience = Patience(settings.client_seconds, settings.client_bytes_per_second)
        self.wsgi.wsgi_app = partial(_announcing, self.wsgi.wsgi_app)

    def refuse(self, client: Any, status: HTTPStatus, code: str) -> None:
        """Answer a request that no view will see."""
        raise NotImplementedError

    def enqueue_req(self, conn: Any) -> None:
        """A request is expected on a connection, which is new, readable, or has more in its buffer already."""
        if not isinstance(conn.sock, PatientSocket):
            conn.sock = PatientSocket.of(conn.sock, self._patience, self._backlog)
        conn.sock.setblocking(False)
        arrival = _Arrival(conn, time.monotonic())
        if conn.parser is not None:
            arrival.received += conn.parser.unreader.take_buffered()
        self._arriving[conn.sock] = arrival
        if not (arrival.received and self._arrived(arrival)):
            self._on_arriving(arrival)

    def handle_request(self, req: Any, conn: TConn) -> Any:
        conn.sock.request = req
        return super().handle_request(req, conn)

    def finish_request(self, conn: Any, fs: Future[Any]) -> None:
        """A thread has done with a request: the connection is kept alive, or lingers until it ends."""
        if conn in self._long:
            self._long.remove(conn)
            self._let_in()
        try:
            taken = conn.sock.flush()
        except OSError:
            self._drop(conn)
            return
        if taken:
            self._go_on(conn, fs)
            return
        conn.sock.setblocking(False)
        rest = _Rest(conn, fs, time.monotonic())
        self._rests[conn.sock] = rest
        self.poller.register(conn.sock, selectors.EVENT_WRITE, partial(self._on_writable, rest))

    def murder_pending(self) -> None:
        """Called in every turn of the loop: end what has had its time."""
        now = time.monotonic()
        if now < self._next_look and self.alive:
            return
        self._next_look = now + _LOOK_SECONDS
        for arrival in list(self._arriving.values()):
            late = now - arrival.began > self._patience.seconds
            if arrival.received and late:
                self._forget(arrival)
                self._refuse(arrival.conn, HTTPStatus.REQUEST_TIMEOUT, "request_timeout")
            elif not arrival.received and (late or not self.alive):
                self._forget(arrival)
                self._drop(arrival.conn)
        while self._held and now - self._held[0][0] > self._patience.seconds:
            self._refuse(self._held.popleft()[1], HTTPStatus.SERVICE_UNAVAILABLE, "uploads_busy")
        for rest in list(self._rests.values()):
            waited, rest.looked = now - rest.looked, now
            if rest.conn.sock.is_late(waited):
                self._leave(rest)
                self._drop(rest.conn)
        for farewell in list(self._lingering.values()):
            if now > farewell.deadline:
                self._part(farewell)

    def _on_arriving(self, arrival: _Arrival, _: Any = None) -> None:
        sock = arrival.conn.sock
        try:
            data = sock.recv(SHORT_BYTES)
        except BlockingIOError:
            data = None
        except OSError:
            data = b""
        if data == b"":
            self._forget(arrival)
            self._drop(arrival.conn)
            return
        arrival.received += data or b""
        if not self._arrived(arrival) and not arrival.is_polled:
            arrival.is_polled = True
            self.poller.register(sock, selectors.EVENT_READ, partial(self._on_arriving, arrival))

    def _arrived(self, arrival: _Arrival) -> bool:
        """Give the request to a thread, if enough of it is here."""
        found = _is_whole(arrival.received)
        if found is None:
            return False
        self._forget(arrival)
        conn = arrival.conn
        conn.data_ready = True
        conn.init()
        conn.parser.unreader.unread(bytes(arrival.received))
        conn.sock.begin()
        if found:
            super().enqueue_req(conn)
        else:
            self._held.append((time.monotonic(), conn))
            self._let_in()
        return True

    def _on_writable(self, rest: _Rest, _: Any = None) -> None:
        try:
            taken = rest.conn.sock.flush()
        except OSError:
            self._leave(rest)
            self._drop(rest.conn)
            return
        if taken:
            self._leave(rest)
            self._go_on(rest.conn, rest.answered)

    def _leave(self, rest: _Rest) -> None:
        del self._rests[rest.conn.sock]
        self.poller.unregister(rest.conn.sock)

    def _go_on(self, conn: Any, answered: Future[Any]) -> None:
        """The client has its answer."""
        if not answered.cancelled() and answered.exception() is None and answered.result():
            super().finish_request(conn, answered)
        else:
            self._linger(conn)

    def _let_in(self) -> None:
        """Give threads to long requests that wait, in their order."""
        while self._held and len(self._long) < self._most_long:
            _, conn = self._held.popleft()
            self._long.add(conn)
            super().enqueue_req(conn)

    def _forget(self, arrival: _Arrival) -> None:
        del self._arriving[arrival.conn.sock]
        if arrival.is_polled:
            self.poller.unregister(arrival.conn.sock)

    def _refuse(self, conn: Any, status: HTTPStatus, code: str) -> None:
        self.refuse(conn.sock, status, code)
        self._linger(conn)

    def _linger(self, conn: Any) -> None:
        """Say that we have done, and wait until the client has read that."""
        try:
            conn.sock.shutdown(socket.SHUT_WR)
            conn.sock.setblocking(False)
        except OSError:
            self._drop(conn)
            return
        farewell = _Farewell(conn, time.monotonic() + _LINGER_SECONDS)
        self._lingering[conn.sock] = farewell
        self.poller.register(conn.sock, selectors.EVENT_READ, partial(self._on_lingering, farewell))

    def _on_lingering(self, farewell: _Farewell, _: Any = None) -> None:
        try:
            data = farewell.conn.sock.recv(SHORT_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        farewell.dropped += len(data)
        if not data or farewell.dropped > _LINGER_BYTES:
            self._part(farewell)

    def _part(self, farewell: _Farewell) -> None:
        del self._lingering[farewell.conn.sock]
        self.poller.unregister(farewell.conn.sock)
        self._drop(farewell.conn)

    def _drop(self, conn: Any) -> None:
        self.nr_conns -= 1
        with contextlib.suppress(OSError):
            conn.close()


def _is_whole(received: bytearray) -> bool | None:
    """True: all of the request is here. False: it is long, a thread has to read the rest. None: wait for more.

    It only tells how much to wait for: what the request says is gunicorn's parser to find, and to refuse.
    """
    end = received.find(b"\r\n\r\n")
    if end < 0:
        if received.count(b"\n") != received.count(b"\r\n"):
            return True  # the parser refuses it
        return None if len(received) <= SHORT_BYTES else False
    head = bytes(received[: end + 2])
    if _OPEN_ENDED.search(head):
        return False
    length = int(found[1]) if (found := _LENGTH.search(head)) else 0
    if length > SHORT_BYTES:
        return False
    return True if len(received) >= end + 4 + length else None


def _announcing(application: Any, environ: dict[str, Any], start_response: Any) -> Any:
    """Call the application; where it leaves much of a body unread, the answer says that the connection will end.

    gunicorn reads a little of what is left and else closes the connection, without having said so: the client's next
    request on it would fail.
    """
    if not environ.get("CONTENT_LENGTH") and "HTTP_TRANSFER_ENCODING" not in environ:
        return application(environ, start_response)

    def start(*answer: Any) -> Any:
        request = environ["gunicorn.socket"].request
        if _leaves_much(request.body):
            request.force_close()
        return start_response(*answer)

    return application(environ, start)


def _leaves_much(body: Any) -> bool:
    if body.failed:
        return True
    reader = body.reader
    if hasattr(reader, "length"):
        return bool(reader.length >= SHORT_BYTES)
    return getattr(reader, "parser", None) is not None  # chunks are to come
