"""Requests that wait: long polls and event streams. Each holds a server thread, so they are few; others are told so.

A place is given up when the wait is over, when the client has gone, and when the process is told to stop. Nobody holds
a connection to Redis while waiting.
"""

from __future__ import annotations

import selectors
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from shared.errors import Temporary

_FIRST_POLL_SECONDS = 0.01
_POLL_SECONDS = 0.2


class Waiting:
    """At most `most` waits at a time in this process."""

    def __init__(self, most: int, *, on_held: Callable[[float], None] = lambda seconds: None) -> None:
        """on_held: hears for how long a request has been held."""
        self._on_held = on_held
        self._places = threading.BoundedSemaphore(most) if most else None
        self.is_stopping = False  # no Event: a signal's handler sets it, which must not wait for a lock

    def stop(self) -> None:
        """Every wait ends within one look. gunicorn's worker calls this when it is told to stop."""
        self.is_stopping = True

    def take(self) -> Callable[[], None]:
        """A place: what gives it back, once, however often it is called. Raises Temporary if none is free."""
        if self._places is None or not self._places.acquire(blocking=False):
            raise Temporary(
                "too many requests wait for jobs; poll instead", code="too_many_waiting", retry_after=1
            )
        places, given_back = self._places, threading.Lock()

        def give_back() -> None:
            if given_back.acquire(blocking=False):
                places.release()

        return give_back

    def until(self, done: Callable[[], bool], seconds: float, client: Client) -> None:
        """Return when `done` is true, the time is up or the client has gone. Raises Temporary if no place is free."""
        if seconds <= 0 or done():
            return
        with self._place():
            began = time.monotonic()
            ends, pause = began + seconds, _FIRST_POLL_SECONDS
            try:
                while (left := ends - time.monotonic()) > 0 and not self.is_stopping:
                    if client.leaves_within(min(pause, left)) or done():
                        return
                    pause = min(2 * pause, _POLL_SECONDS)
            finally:
                self._on_held(time.monotonic() - began)

    @contextmanager
    def _place(self) -> Iterator[None]:
        give_back = self.take()
        try:
            yield
        finally:
            give_back()


class Client:
    """The other end of a request's connection. Without a socket to look at (none, or one with TLS) it never leaves."""

    def __init__(self, connection: object) -> None:
        self._socket: socket.socket | None = None
        if isinstance(connection, socket.socket) and not isinstance(connection, ssl.SSLSocket):
            self._socket = connection

    def leaves_within(self, seconds: float) -> bool:
        """Sleep so long, but no longer than the client stays. True if it has closed its side of the connection."""
        if self._socket is None:
            time.sleep(seconds)
            return False
        ends = time.monotonic() + seconds
        with selectors.DefaultSelector() as selector:
            selector.register(self._socket, selectors.EVENT_READ)
            if not selector.select(seconds):
                return False
        try:
            gone = not self._socket.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        except BlockingIOError:
            gone = False
        except OSError:
            gone = True
        if not gone:  # it has sent its next request already, and waits for us
            time.sleep(max(0.0, ends - time.monotonic()))
        return gone
