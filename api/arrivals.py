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

A thread that has answered puts the connection back where requests are waited for, and the loop hears of it when the
next one comes. All the while the loop goes on polling it: most clients send nothing while they wait for an answer, and
those that do are not polled until they have it. So a request costs few calls of the system, of which each has its
thread let go of the interpreter and wait for it again.

A connection that is closed lingers until the client has read the answer (RFC 9112, 9.6), which gunicorn waits for in
its loop, and all others with it; here it does not hold anything up.
"""

from __future__ import annotations

import contextlib
import re
import selectors
import socket
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from http import HTTPStatus
from typing import Any, Final

from gunicorn.http import wsgi
from gunicorn.workers.gthread import STOP_KEEPALIVE_LINGER, TConn, ThreadWorker

from api.answering import Answer
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
    """What a connection waits for: a request that comes. There is one for each connection, `conn.arrival`."""

    conn: Any
    until: float
    is_kept: bool = False
    """The connection has been answered before: the time for the next request is counted from when it begins."""
    received: bytearray = field(default_factory=bytearray)
    is_polled: bool = False
    is_served: bool = False
    """The request has come: a thread has it, or will."""


@dataclass(slots=True)
class _Rest:
    """An answer that the client has not taken all of."""

    conn: Any
    is_kept: bool
    looked: float


@dataclass(slots=True)
class _Farewell:
    """A connection that ends: what the client still sends is thrown away."""

    conn: Any
    deadline: float
    dropped: int = 0


class _Seat:
    """Where an idle thread waits for a request."""

    def __init__(self) -> None:
        self.conn: Any = None
        self.taken = threading.Lock()
        self.taken.acquire()


class _Threads:
    """What gunicorn calls a thread pool. Nobody asks what became of a request: its thread sees to that.

    A request wakes one thread, the one that has been idle for the shortest time. Of threads that wait for the same
    `queue.SimpleQueue`, each item wakes two: one takes it, and one finds nothing.
    """

    def __init__(self, count: int, serve: Callable[[Any], None]) -> None:
        self._serve = serve
        self._lock = threading.Lock()
        self._idle: list[_Seat] = []
        self._waiting: deque[Any] = deque()
        for _ in range(count):
            threading.Thread(target=self._run, daemon=True).start()

    def give(self, conn: Any) -> None:
        with self._lock:
            if not self._idle:
                self._waiting.append(conn)
                return
            seat = self._idle.pop()
        seat.conn = conn
        seat.taken.release()

    def shutdown(self, wait: bool) -> None:
        """The process ends, and they with it: gunicorn has waited for what they do for as long as it may."""

    def _run(self) -> None:
        seat = _Seat()
        while True:
            self._serve(self._next(seat))

    def _next(self, seat: _Seat) -> Any:
        with self._lock:
            if self._waiting:
                return self._waiting.popleft()
            self._idle.append(seat)
        seat.taken.acquire()
        conn, seat.conn = seat.conn, None
        return conn


class PatientWorker(ThreadWorker):  # type: ignore[misc]
    """All runs in the main thread, but for `serve` and what it calls."""

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
        self._next_look = self._next_notice = 0.0
        self._patience = Patience(20.0, 10_240.0)
        self._backlog = Backlog()
        self._polling = threading.Lock()
        """Held where a thread gives a connection back, and where the loop would find it half given."""

    def load_wsgi(self) -> None:
        super().load_wsgi()
        settings = self.wsgi.extensions["graft"].settings
        self._patience = Patience(settings.client_seconds, settings.client_bytes_per_second)
        self.wsgi.wsgi_app = partial(_announcing, self.wsgi.wsgi_app)
        # gunicorn looks a setting up in Python, dozens of times a request.
        self.cfg.__dict__.update((name, setting.get()) for name, setting in self.cfg.settings.items())

    def get_thread_pool(self) -> _Threads:
        return _Threads(self.cfg.threads, self.serve)

    def refuse(self, client: Any, status: HTTPStatus, code: str) -> None:
        """Answer a request that no view will see."""
        raise NotImplementedError

    def enqueue_req(self, conn: Any) -> None:
        """A request is expected on a new connection."""
        conn.sock = PatientSocket.of(conn.sock, self._patience, self._backlog)
        conn.sock.setblocking(False)
        conn.arrival = _Arrival(conn, time.monotonic() + self._patience.seconds)
        self._expect(conn.arrival)

    def serve(self, conn: Any) -> None:
        """Answer a request that has come, in a thread."""
        try:
            is_kept = self.handle(conn)
            if is_kept and conn not in self._long and not _has_more(conn) and conn.sock.flush():
                self._keep(conn)
                return
        except OSError:
            is_kept = False  # the client has gone
        except BaseException:
            self.log.exception("Error handling request")
            is_kept = False
        self.method_queue.defer(self.finish_request, conn, is_kept)

    def handle_request(self, req: Any, conn: TConn) -> bool:
        """As gunicorn's, without what Graft has no use for: hooks, an access log, `sendfile`."""
        conn.sock.request = req
        answer, environ = wsgi.create(
            req, conn.sock, conn.client, conn.server, self.cfg, response_class=Answer
        )
        environ["wsgi.multithread"] = True
        if not self.alive or len(self._arriving) >= self.max_keepalived:
            answer.force_close()
        try:
            body = self.wsgi(environ, answer.start_response)
            try:
                for item in body:
                    answer.write(item)
                answer.close()
            finally:
                if hasattr(body, "close"):
                    body.close()
        except OSError:
            raise
        except Exception:
            if not answer.headers_sent:
                raise
            self.log.exception("Error handling request")  # an answer has begun: there is no way to say so
            return False
        return not answer.should_close()

    def finish_request(self, conn: Any, is_kept: bool) -> None:
        """A thread has done with a request: the connection is kept alive, or lingers until it ends."""
        self._unpoll(conn.arrival)
        if conn in self._long:
            self._long.remove(conn)
            self._let_in()
        try:
            taken = conn.sock.flush()
        except OSError:
            self._drop(conn)
            return
        if taken:
            self._go_on(conn, is_kept)
            return
        conn.sock.setblocking(False)
        rest = _Rest(conn, is_kept, time.monotonic())
        self._rests[conn.sock] = rest
        self.poller.register(conn.sock, selectors.EVENT_WRITE, partial(self._on_writable, rest))

    def notify(self) -> None:
        """Called in every turn of the loop: gunicorn's arbiter need not hear of each."""
        if (now := time.monotonic()) >= self._next_notice:
            self._next_notice = now + _LOOK_SECONDS
            super().notify()

    def wait_for_and_dispatch_events(self, timeout: float) -> None:
        super().wait_for_and_dispatch_events(timeout if self.alive else min(timeout, _LOOK_SECONDS))

    def murder_pending(self) -> None:
        """Called in every turn of the loop: end what has had its time."""
        now = time.monotonic()
        if now < self._next_look and self.alive:
            return
        self._next_look = now + _LOOK_SECONDS
        for arrival in self._all_arriving():
            late = now > arrival.until
            if arrival.received and late:
                self._forget(arrival)
                self._refuse(arrival.conn, HTTPStatus.REQUEST_TIMEOUT, "request_timeout")
            elif not arrival.received and (late or not (self.alive or arrival.is_kept)):
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

    def _cap_keepalive(self, deadline: float) -> None:
        """gunicorn stops: a client that has been promised another request on its connection has so long for it."""
        for arrival in self._all_arriving():
            if arrival.is_kept:
                arrival.until = min(arrival.until, deadline)

    def _all_arriving(self) -> list[_Arrival]:
        with self._polling:
            return list(self._arriving.values())

    def _keep(self, conn: Any) -> None:
        """Wait for a next request. Last of all that a thread does with a connection: the loop may have it at once."""
        conn.sock.setblocking(False)
        arrival: _Arrival = conn.arrival
        arrival.is_kept = True
        arrival.until = time.monotonic() + (self.cfg.keepalive if self.alive else STOP_KEEPALIVE_LINGER)
        with self._polling:
            self._arriving[conn.sock] = arrival
            self._poll(arrival)
            arrival.is_served = False  # from here on it is the loop's

    def _expect(self, arrival: _Arrival) -> None:
        """Some of it may be here already."""
        arrival.is_served = False
        self._arriving[arrival.conn.sock] = arrival
        if not (arrival.received and self._arrived(arrival)):
            self._on_arriving(arrival)

    def _on_arriving(self, arrival: _Arrival, _: Any = None) -> None:
        if arrival.is_served:
            with self._polling:
                if arrival.is_served:  # it sends before it has its answer, or has gone
                    self._unpoll(arrival)
                    return
        try:
            data = arrival.conn.sock.recv(SHORT_BYTES)
        except BlockingIOError:
            data = None
        except OSError:
            data = b""
        if data == b"":
            self._forget(arrival)
            self._drop(arrival.conn)
            return
        if data:
            if arrival.is_kept and not arrival.received:
                arrival.until = time.monotonic() + self._patience.seconds
            arrival.received += data
        if not self._arrived(arrival):
            self._poll(arrival)

    def _poll(self, arrival: _Arrival) -> None:
        if not arrival.is_polled:
            arrival.is_polled = True
            found = partial(self._on_arriving, arrival)
            self.poller.register(arrival.conn.sock, selectors.EVENT_READ, found)

    def _unpoll(self, arrival: _Arrival) -> None:
        if arrival.is_polled:
            arrival.is_polled = False
            self.poller.unregister(arrival.conn.sock)

    def _arrived(self, arrival: _Arrival) -> bool:
        """Give the request to a thread, if enough of it is here."""
        found = _is_whole(arrival.received)
        if found is None:
            return False
        conn = arrival.conn
        del self._arriving[conn.sock]
        arrival.is_served = True
        conn.data_ready = True
        conn.init()
        conn.parser.unreader.unread(bytes(arrival.received))
        arrival.received.clear()
        conn.sock.begin()
        if found:
            self.tpool.give(conn)
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
            self._go_on(rest.conn, rest.is_kept)

    def _leave(self, rest: _Rest) -> None:
        del self._rests[rest.conn.sock]
        self.poller.unregister(rest.conn.sock)

    def _go_on(self, conn: Any, is_kept: bool) -> None:
        """The client has its answer."""
        if not is_kept:
            self._linger(conn)
        elif _has_more(conn):
            conn.sock.setblocking(False)
            conn.arrival.is_kept, conn.arrival.until = True, time.monotonic() + self._patience.seconds
            conn.arrival.received += conn.parser.unreader.take_buffered()
            self._expect(conn.arrival)
        else:
            self._keep(conn)

    def _let_in(self) -> None:
        """Give threads to long requests that wait, in their order."""
        while self._held and len(self._long) < self._most_long:
            _, conn = self._held.popleft()
            self._long.add(conn)
            self.tpool.give(conn)

    def _forget(self, arrival: _Arrival) -> None:
        del self._arriving[arrival.conn.sock]
        self._unpoll(arrival)

    def _refuse(self, conn: Any, status: HTTPStatus, code: str) -> None:
        self._unpoll(conn.arrival)
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


def _has_more(conn: Any) -> bool:
    """Whether more was read of the connection than the request: the next comes right behind it."""
    return bool(conn.parser.unreader.buf.getvalue())


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
