"""Notices a worker that has stopped consuming: it has room, jobs wait in its queues, and it claims none.

Such a worker says so in its sign of life (so `/readyz` shows it) and exits, for its supervisor to start it again.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable

from shared import logs
from shared.services import Services

log = logs.get(__name__)


def stalled(services: Services, queues: Iterable[str], *, idle_seconds: float) -> bool:
    """Whether jobs have waited for `stalled_seconds` in these queues while this worker, with room, took none."""
    limit = services.settings.stalled_seconds
    return idle_seconds > limit and any(services.jobs.waiting_seconds(queue) > limit for queue in queues)


def exit_for_restart() -> None:
    """A warm stop: running attempts give their jobs back."""
    log.error("worker_stalled")
    os.kill(os.getpid(), signal.SIGTERM)
