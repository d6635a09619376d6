"""Waiting until servers answer, ours and those that someone else runs."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Protocol

from graft.stack.errors import ServerFailed

#: Long, for slow machines: a server that has ended is noticed at once, whatever this says.
READY_SECONDS = 120.0
POLL_SECONDS = 0.05


class Awaited(Protocol):
    @property
    def name(self) -> str: ...

    def why_not_ready(self) -> str | None:
        """None once it is ready; raises ServerFailed if it never will be."""

    def log_tail(self) -> str:
        """What it said last, where we can read that."""


def wait_until_ready(
    servers: Sequence[Awaited],
    timeout_seconds: float = READY_SECONDS,
    pause: Callable[[float], None] = time.sleep,
) -> None:
    """Return when all are ready; raise ServerFailed as soon as one has ended, or at the timeout."""
    deadline = time.monotonic() + timeout_seconds
    waiting = list(servers)
    while waiting:
        reasons = [(server, reason) for server in waiting if (reason := server.why_not_ready())]
        if reasons and time.monotonic() > deadline:
            server, reason = reasons[0]
            raise ServerFailed(
                f"{server.name} was not ready after {timeout_seconds:.0f} s: {reason}\n{server.log_tail()}"
            )
        waiting = [server for server, _ in reasons]
        if waiting:
            pause(POLL_SECONDS)
