"""Celery's pool of threads, but that its event loop hears at once when a thread is free again.

The loop asks Redis for no wake-up while all threads are busy, and would notice that one has become free at its next
tick only, a second later: a busy worker would begin one job a second.
"""

from __future__ import annotations

import contextlib
import os
from typing import Any

from celery.concurrency import thread


class Pool(thread.TaskPool):  # type: ignore[misc]
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._bell, self._rope = os.pipe()
        os.set_blocking(self._bell, False)
        os.set_blocking(self._rope, False)

    def register_with_event_loop(self, hub: Any) -> None:
        """Called again with every new connection."""
        hub.add_reader(self._bell, self._silence)

    def on_apply(self, *args: Any, **kwargs: Any) -> Any:
        result = super().on_apply(*args, **kwargs)
        result.f.add_done_callback(self._ring)
        return result

    def _ring(self, _: object) -> None:
        with contextlib.suppress(BlockingIOError):  # the bell is ringing already
            os.write(self._rope, b".")

    def _silence(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.read(self._bell, 4096)
