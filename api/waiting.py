"""Requests that wait for a job to end. Each holds a server thread, so they are few, and the rest are told so."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from shared.errors import Temporary

_POLL_SECONDS = 0.2


class Waiting:
    """At most `most` waits at a time in this process."""

    def __init__(self, most: int) -> None:
        self._places = threading.BoundedSemaphore(most) if most else None

    def until(self, done: Callable[[], bool], seconds: float) -> None:
        """Return when `done` is true or the time is up. Raises Temporary if no place is free."""
        if seconds <= 0 or done():
            return
        if self._places is None or not self._places.acquire(blocking=False):
            raise Temporary(
                "too many requests wait for jobs; poll instead", code="too_many_waiting", retry_after=1
            )
        try:
            deadline = time.monotonic() + seconds
            while time.monotonic() < deadline:
                time.sleep(min(_POLL_SECONDS, max(0.0, deadline - time.monotonic())))
                if done():
                    return
        finally:
            self._places.release()
