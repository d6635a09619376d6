"""A client's connection that is waited for within bounds: so long at first, and longer the more comes or goes.

The bound is on the time that a thread stands still for the client, not on how long a request takes: what Graft itself
needs between two reads costs the client nothing.
"""

from __future__ import annotations

import select
import socket
import time
from dataclasses import dataclass
from typing import Any

from shared.errors import RequestTimeout


@dataclass(frozen=True, slots=True)
class Patience:
    """A client may let us wait for `seconds`, and another second for each `bytes_per_second` that it moves."""

    seconds: float
    bytes_per_second: float

    def allowed(self, moved: int) -> float:
        return self.seconds + moved / self.bytes_per_second


class PatientSocket(socket.socket):
    """Made of an accepted socket, which it takes over. While it is set to block, it blocks with patience."""

    patience: Patience
    request: Any = None
    """gunicorn's, which is being answered."""

    @classmethod
    def of(cls, accepted: socket.socket, patience: Patience) -> PatientSocket:
        blocks = accepted.gettimeout()
        made = cls(accepted.family, accepted.type, accepted.proto, fileno=accepted.detach())
        made.settimeout(blocks)
        made.patience = patience
        made.begin()
        return made

    def begin(self) -> None:
        """Another request comes: its patience is new."""
        self._moved = {select.POLLIN: 0, select.POLLOUT: 0}
        self._waited = {select.POLLIN: 0.0, select.POLLOUT: 0.0}

    def recv(self, bufsize: int, flags: int = 0, /) -> bytes:
        """Raises RequestTimeout when the client is too slow."""
        if self.gettimeout() is not None:
            return super().recv(bufsize, flags)
        while True:
            try:
                data = super().recv(bufsize, flags | socket.MSG_DONTWAIT)
            except BlockingIOError:
                if not self._wait(select.POLLIN):
                    raise RequestTimeout("the request came too slowly") from None
            else:
                self._moved[select.POLLIN] += len(data)
                return data

    def sendall(self, data: Any, flags: int = 0, /) -> None:
        """Raises BrokenPipeError when the client takes the answer too slowly, as if it had gone."""
        if self.gettimeout() is not None:
            super().sendall(data, flags)
            return
        left = memoryview(data)
        while left:
            try:
                sent = super().send(left, flags | socket.MSG_DONTWAIT)
            except BlockingIOError:
                if not self._wait(select.POLLOUT):
                    raise BrokenPipeError("the client reads too slowly") from None
            else:
                self._moved[select.POLLOUT] += sent
                left = left[sent:]

    def _wait(self, event: int) -> bool:
        """Whether the socket is ready before the client's time is up."""
        allowed = self.patience.allowed(self._moved[event]) - self._waited[event]
        if allowed <= 0:
            return False
        poll = select.poll()
        poll.register(self, event)
        began = time.monotonic()
        ready = poll.poll(allowed * 1000)
        self._waited[event] += time.monotonic() - began
        return bool(ready)
