"""A job that is waited for goes on while its API is away; so does the waiting, for a while."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from graft.client import errors

if TYPE_CHECKING:
    from graft.client.job import Job

AWAY_SECONDS = 120.0
"""For so long a server may restart, or a line be down, before a wait gives up."""


class Patience:
    """Looks at a job again and again."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._away_since: float | None = None

    def hold(self, seconds: float) -> None:
        """Look when it has ended, or after so many seconds. Raises Unreachable once there is no answer for too long."""
        begun = time.monotonic()
        try:
            self._job.hold(seconds)
        except errors.NotGraft:
            raise
        except errors.Unreachable:
            self._away_since = self._away_since or begun
            if time.monotonic() - self._away_since > AWAY_SECONDS:
                raise
            time.sleep(max(0.0, min(1.0, seconds) - (time.monotonic() - begun)))
        else:
            self._away_since = None
