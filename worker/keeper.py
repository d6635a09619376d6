"""Keeps an attempt's lease alive from a thread of the supervisor's process, whatever the attempt is busy with.

The child computes and may hold its GIL for seconds; this process only waits and moves bytes, so its threads run.
If Redis cannot be reached for as long as a lease lasts, the keeper assumes that the job has been given away
and says so: the attempt fences itself. It also says when the time is up that a draining worker gives its attempts.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from typing import Any, Literal

from shared import logs
from shared.errors import GraftError, LostLease, Temporary
from shared.job_records import Lease
from shared.jobs import JobStore

log = logs.get(__name__)

Interruption = Literal["lost", "cancel", "drain"]


class Interrupted(GraftError):
    """The attempt must stop now, for a reason that lies outside it."""

    default_code = "interrupted"

    def __init__(self, why: Interruption) -> None:
        super().__init__(f"interrupted: {why}")
        self.why = why


class LeaseKeeper:
    """Context manager around an attempt. `note` hands it what the next renewal shall write."""

    def __init__(
        self,
        jobs: JobStore,
        lease: Lease,
        draining: threading.Event,
        *,
        lease_seconds: float,
        renew_seconds: float,
        tick_seconds: float,
        drain_seconds: float,
    ) -> None:
        self._jobs = jobs
        self._lease = lease
        self._lease_seconds = lease_seconds
        self._renew_seconds = renew_seconds
        self._tick_seconds = tick_seconds
        self._draining = draining
        self._drain_seconds = drain_seconds
        self._drain_until: float | None = None
        self._changes: dict[str, Any] = {}
        self._usage: Mapping[str, float] | None = None
        self._lines: list[dict[str, Any]] = []
        self._lock = threading.Lock()
        self._done = threading.Event()
        self._interruption: Interruption | None = None
        self._renewed_at = time.monotonic()
        self._thread = threading.Thread(
            target=logs.carried(self._loop), name=f"lease-{lease.job_id}", daemon=True
        )

    def __enter__(self) -> LeaseKeeper:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def note(self, **changes: Any) -> None:
        """Fields of the job (progress, counts, warnings) that the next renewal writes; the newest value wins."""
        with self._lock:
            self._changes.update(changes)

    def used(self, usage: Mapping[str, float]) -> None:
        """What the job has used so far; each renewal writes it, so that it is known if this process is lost."""
        with self._lock:
            self._usage = usage

    def log(self, line: dict[str, Any]) -> None:
        """A line for the job's own log; the next renewal writes it."""
        with self._lock:
            self._lines.append(line)

    def flush(self) -> None:
        """Write what is noted now, so that it is not lost with the attempt's last word."""
        self._renew()

    @property
    def interruption(self) -> Interruption | None:
        """Why the attempt must stop, if it must."""
        return self._interruption

    def check(self) -> None:
        """Raises Interrupted if the attempt must stop."""
        if self._interruption:
            raise Interrupted(self._interruption)

    def _loop(self) -> None:
        while not self._done.wait(self._tick_seconds):
            self._look_after_draining()
            due = time.monotonic() - self._renewed_at >= self._renew_seconds
            if due or self._changes or self._lines:
                self._renew()
            if self._interruption == "lost":
                return

    def _look_after_draining(self) -> None:
        if self._draining.is_set():
            now = time.monotonic()
            self._drain_until = self._drain_until or now + self._drain_seconds
            if now >= self._drain_until:
                self._interruption = self._interruption or "drain"

    def _renew(self) -> None:
        with self._lock:
            changes, self._changes = self._changes, {}
            if self._usage:
                changes.setdefault("usage", self._usage)
            lines, self._lines = self._lines, []
        asked_at = time.monotonic()
        try:
            if self._jobs.renew(self._lease, logs=lines, **changes):
                self._interruption = self._interruption or "cancel"
            self._renewed_at = asked_at
        except LostLease:
            self._interruption = "lost"
        except Temporary as error:
            with self._lock:
                self._changes = {**changes, **self._changes}
                self._lines = lines + self._lines
            if time.monotonic() - self._renewed_at >= self._lease_seconds:
                self._interruption = "lost"
            log.warning("renewal_failed", reason=error.message, fenced=self._interruption == "lost")
