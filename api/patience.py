"""A client's connection that is waited for within bounds.

A client has some seconds for which it may keep a thread standing still. They are spent while the thread waits, and
earned back by bytes that move, up to what they were: so it may pause for so long, and has to keep up a rate. How long
Graft itself needs between two reads costs the client nothing.

What a client does not take at once of an answer is put aside for the loop (`api.arrivals`) to send, while there is
room, so that no thread waits for it.
"""

from __future__ import annotations

import select
import socket
import threading
import time
from dataclasses import dataclass
from typing import Any, Final

from shared.errors import RequestTimeout

_BACKLOG_BYTES: Final = 64 * 2**20


@dataclass(frozen=True, slots=True)
class Patience:
    """A client may let us wait for `seconds`; each `bytes_per_second` that it moves earn it one."""

    seconds: float
    bytes_per_second: float


class Backlog:
    """Room for what the clients of one process have not taken yet. Safe to share between threads."""

    def __init__(self, most: int = _BACKLOG_BYTES) -> None:
        self._left = most
        self._lock = threading.Lock()

    def take(self, size: int) -> bool:
        with self._lock:
            if size > self._left:
                return False
            self._left -= size
            return True

    def give_back(self, size: int) -> None:
        with self._lock:
            self._left += size


class PatientSocket(socket.socket):
    """Made of an accepted socket, which it takes over. While it is set to block, it blocks with patience.

    To the system it never blocks, so that to set it costs no call, for which a thread would have to let go of the
    interpreter.
    """

    request: Any = None
    """gunicorn's, which is being answered."""

    _timeout: float | None
    _patience: Patience
    _backlog: Backlog
    _aside: bytearray

    @classmethod
    def of(cls, accepted: socket.socket, patience: Patience, backlog: Backlog) -> PatientSocket:
        timeout = accepted.gettimeout()
        made = cls(accepted.family, accepted.type, accepted.proto, fileno=accepted.detach())
        socket.socket.setblocking(made, False)
        made.settimeout(timeout)
        made._patience, made._backlog, made._aside = patience, backlog, bytearray()
        made.begin()
        return made

    def begin(self) -> None:
        """Another request comes: its patience is new."""
        self._left = {select.POLLIN: self._patience.seconds, select.POLLOUT: self._patience.seconds}

    def settimeout(self, value: float | None, /) -> None:
        self._timeout = value

    def setblocking(self, flag: bool, /) -> None:
        self._timeout = None if flag else 0.0

    def gettimeout(self) -> float | None:
        return self._timeout

    def recv(self, bufsize: int, flags: int = 0, /) -> bytes:
        """Raises RequestTimeout when the client is too slow, TimeoutError when a timeout that was set is over."""
        if self._timeout == 0.0 or flags & socket.MSG_DONTWAIT:
            return super().recv(bufsize, flags)
        while True:
            try:
                data = super().recv(bufsize, flags)
            except BlockingIOError:
                if not self._wait(select.POLLIN):
                    raise RequestTimeout("the request came too slowly") from None
            else:
                self._earn(select.POLLIN, len(data))
                return data

    def sendall(self, data: Any, flags: int = 0, /) -> None:
        """Send, or put aside. Raises BrokenPipeError when the client is too slow, as if it had gone."""
        if self._timeout == 0.0:
            super().sendall(data, flags)
            return
        left = memoryview(data)
        while left:
            if self.flush():
                left = left[self._send(left) :]
            if not left:
                return
            if self._backlog.take(len(left)):
                self._aside += left
                return
            if not self._wait(select.POLLOUT):
                raise BrokenPipeError("the client reads too slowly")

    def flush(self) -> bool:
        """Send of what was put aside as much as can be sent now; whether that was all. Raises OSError."""
        while self._aside:
            sent = self._send(memoryview(bytes(self._aside[: 2**18])))
            if not sent:
                return False
            del self._aside[:sent]
            self._backlog.give_back(sent)
        return True

    def is_late(self, waited: float) -> bool:
        """Whether the client has taken nothing for too long: `waited` seconds since the last look."""
        self._left[select.POLLOUT] -= waited
        return self._left[select.POLLOUT] < 0

    def close(self) -> None:
        self._backlog.give_back(len(self._aside))
        self._aside.clear()
        super().close()

    def _send(self, data: memoryview) -> int:
        try:
            sent = super().send(data)
        except BlockingIOError:
            return 0
        self._earn(select.POLLOUT, sent)
        return sent

    def _earn(self, event: int, moved: int) -> None:
        earned = self._left[event] + moved / self._patience.bytes_per_second
        self._left[event] = min(self._patience.seconds, earned)

    def _wait(self, event: int) -> bool:
        """Whether the socket is ready before the client's time is up. Raises TimeoutError."""
        if self._left[event] <= 0:
            return False
        longest = self._left[event] if self._timeout is None else min(self._left[event], self._timeout)
        poll = select.poll()
        poll.register(self, event)
        began = time.monotonic()
        ready = poll.poll(longest * 1000)
        self._left[event] -= time.monotonic() - began
        if not ready and self._timeout is not None:
            raise TimeoutError
        return bool(ready)
