"""A connection to exactly the address that was checked, and one deadline for all that happens on it.

httpcore asks its backend for a connection to the host of the URL. This one looks the name up once, checks every address
that comes back, and connects to one of those it has just checked: there is no second look-up that could answer
otherwise. TLS still verifies the name.
"""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from typing import Any

import httpcore

from shared.webhooks.addresses import AddressPolicy, Refused, is_public

Resolve = Callable[[str, int], Iterable[str]]
"""The addresses of a host, as text. Raises OSError."""

MOST_ADDRESSES = 3
"""That are tried, of those that a name has."""


class AddressRefused(Exception):
    """A name leads to an address that may not be called."""


class UnknownHost(Exception):
    """A name leads nowhere, or not in time."""


def look_up(host: str, port: int) -> list[str]:
    """What the system's resolver says."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)
    return list(dict.fromkeys(str(address[4][0]) for address in found))


class CheckedBackend(httpcore.NetworkBackend):
    """For one attempt: a look-up, a connection. `deadline` is on the clock of `time.monotonic`."""

    def __init__(
        self, policy: AddressPolicy, resolve: Resolve, *, connect_seconds: float, deadline: float
    ) -> None:
        self._policy = policy
        self._resolve = resolve
        self._connect_seconds = connect_seconds
        self._deadline = deadline
        self._real = httpcore.SyncBackend()
        self.is_public = False
        """Whether what was connected to is outside; known once it is."""

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Any = None,
    ) -> httpcore.NetworkStream:
        until = min(time.monotonic() + self._connect_seconds, self._deadline)
        addresses = _within(lambda: list(self._resolve(host, port)), until)
        if not addresses:
            raise UnknownHost
        for address in addresses:
            try:
                self._policy.check(address)
            except Refused as refused:
                raise AddressRefused from refused
        return self._connect(addresses[:MOST_ADDRESSES], port, until)

    def _connect(self, addresses: list[str], port: int, until: float) -> httpcore.NetworkStream:
        for place, address in enumerate(addresses, start=1):
            share = (until - time.monotonic()) / (len(addresses) - place + 1)
            try:
                stream = self._real.connect_tcp(address, port, timeout=max(share, 0.001))
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                if place == len(addresses):
                    raise
            else:
                self.is_public = is_public(address)
                return _Timed(stream, self._deadline)
        raise UnknownHost


class _Timed(httpcore.NetworkStream):
    """A stream whose every step ends with the deadline: one that sends a byte a second is no way around it."""

    def __init__(self, stream: httpcore.NetworkStream, deadline: float) -> None:
        self._stream = stream
        self._deadline = deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, self._left(httpcore.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, self._left(httpcore.WriteTimeout))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        left = self._left(httpcore.ConnectTimeout)
        return _Timed(self._stream.start_tls(ssl_context, server_hostname, left), self._deadline)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)

    def _left(self, too_late: type[Exception]) -> float:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise too_late
        return left


def _within(act: Callable[[], list[str]], until: float) -> list[str]:
    """The system's resolver has no time limit of its own: it is left to itself when time is up."""
    future: Future[list[str]] = Future()

    def work() -> None:
        try:
            future.set_result(act())
        except BaseException as error:
            future.set_exception(error)

    threading.Thread(target=work, name="look-up", daemon=True).start()
    try:
        return future.result(timeout=max(until - time.monotonic(), 0.001))
    except (OSError, UnicodeError) as error:  # TimeoutError is an OSError
        raise UnknownHost from error
