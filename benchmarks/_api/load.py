"""A closed-loop HTTP/1.1 load generator: so many connections, each with one request under way at a time.

One thread and raw sockets, so that it takes little of the machine that it shares with the server (about 30 µs a
request here; `http.client` takes ten times that). Every answer is read to its end and its status is checked.
"""

from __future__ import annotations

import heapq
import re
import selectors
import socket
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_MOST_BYTES = 2**18
_APART_SECONDS = 0.01


@dataclass(frozen=True)
class Load:
    """What came of it: seconds of each request, in the order of their ends, and of the whole."""

    latencies: Sequence[float]
    seconds: float

    @property
    def rate(self) -> float:
        """Requests a second."""
        return len(self.latencies) / self.seconds

    def quantile(self, q: float) -> float:
        """Seconds within which the share `q` of the requests was answered."""
        return statistics.quantiles(self.latencies, n=1000, method="inclusive")[int(q * 1000) - 1]


def request(
    method: str, path: str, *, host: str, headers: dict[str, str] | None = None, body: bytes = b""
) -> bytes:
    lines = [f"{method} {path} HTTP/1.1", f"Host: {host}"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    if body:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode() + body


def drive(
    address: tuple[str, int],
    content: bytes,
    *,
    connections: int,
    seconds: float,
    status: int,
    pause_seconds: float = 0.0,
) -> Load:
    """Send `content` again and again. `pause_seconds` is what a client waits after each of its answers.

    Raises SystemExit at the first answer with another status, or a connection that is refused twice in a row.
    """
    selector = selectors.DefaultSelector()
    clients = [_Client(address, content, status) for _ in range(connections)]
    started = time.perf_counter()
    # Clients begin one after another. At once, one process of the server may accept nearly all of them.
    begin_within = pause_seconds or connections * _APART_SECONDS
    due = [(started + begin_within * n / connections, n) for n in range(connections)]
    latencies: list[float] = []
    ends = started + seconds
    try:
        while (now := time.perf_counter()) < ends:
            while due and due[0][0] <= now:
                _, number = heapq.heappop(due)
                clients[number].send(selector, number)
            until = min(due[0][0], ends) if due else ends
            for key, _ in selector.select(max(0.0, until - now)):
                if (took := clients[key.data].receive(selector)) is not None:
                    latencies.append(took)
                    heapq.heappush(due, (time.perf_counter() + pause_seconds, key.data))
    finally:
        for client in clients:
            client.close(selector)
        selector.close()
    return Load(latencies, time.perf_counter() - started)


@dataclass
class _Client:
    address: tuple[str, int]
    content: bytes
    status: int
    _socket: socket.socket | None = None
    _answer: bytearray = field(default_factory=bytearray)
    _sent: float = 0.0

    def send(self, selector: selectors.BaseSelector, number: int) -> None:
        """A connection that the server has closed while it was idle is opened again; that counts in the time."""
        self._sent = time.perf_counter()
        self._answer.clear()
        if self._socket is not None and self._is_closed():
            self.close(selector)
        if self._socket is None:
            self._socket = socket.create_connection(self.address, timeout=30)
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            selector.register(self._socket, selectors.EVENT_READ, number)
        self._socket.sendall(self.content)

    def receive(self, selector: selectors.BaseSelector) -> float | None:
        """Seconds since the request was sent, if its answer is whole now."""
        assert self._socket is not None
        got = self._socket.recv(_MOST_BYTES)
        if not got:
            self.close(selector)
            raise SystemExit("the server closed a connection before it had answered")
        self._answer += got
        head = self._answer.find(b"\r\n\r\n")
        if head < 0:
            return None
        length = _LENGTH.search(self._answer, 0, head + 2)
        if len(self._answer) < head + 4 + (int(length[1]) if length else 0):
            return None
        if int(self._answer[9:12]) != self.status:
            raise SystemExit(f"{self.status} was expected: {bytes(self._answer[:1000]).decode()}")
        return time.perf_counter() - self._sent

    def close(self, selector: selectors.BaseSelector) -> None:
        if self._socket is not None:
            selector.unregister(self._socket)
            self._socket.close()
            self._socket = None

    def _is_closed(self) -> bool:
        assert self._socket is not None
        self._socket.setblocking(False)
        try:
            return self._socket.recv(1, socket.MSG_PEEK) == b""
        except BlockingIOError:
            return False
        except OSError:
            return True
        finally:
            self._socket.settimeout(30)
