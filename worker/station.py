"""A worker process: runs attempts in children, and does its share of the upkeep.

The station outlives connections: while Redis is away it keeps its children and tries again.
"""

from __future__ import annotations

import multiprocessing
import multiprocessing.forkserver
import threading
import time
from collections.abc import Collection

from shared import logs, queue
from shared.errors import Temporary
from shared.services import Services
from shared.webhooks.sender import Sender
from shared.workers import WorkerStatus
from worker import runner
from worker.courier import Courier
from worker.upkeep import Upkeep, watchdog

log = logs.get(__name__)

PRELOAD = ["shared.closed_process", "worker.child"]


class Station:
    """What the tasks of one worker process share."""

    def __init__(
        self,
        services: Services,
        *,
        name: str,
        concurrency: int,
        queues: Collection[str] = queue.PRIORITIES,
        sender: Sender | None = None,
    ) -> None:
        """`sender`: with one it delivers webhooks, too."""
        self.services = services
        self.name = name
        self.concurrency = concurrency
        self.draining = threading.Event()
        self._queues = [name for name in queues if name in queue.PRIORITIES]
        threads = services.settings.webhook_threads
        self._courier = Courier(services, sender, threads=threads) if sender else None
        self._running = 0
        self._stalled = False
        self._woken_at = time.monotonic()
        self._lock = threading.Lock()
        self._processes = multiprocessing.get_context("forkserver")
        self._processes.set_forkserver_preload(PRELOAD)
        self._upkeep = Upkeep(services, report=self._report, look_after=self._look_after)

    def start(self) -> None:
        # Now, so that the first job need not wait until scikit-learn is loaded.
        multiprocessing.forkserver.ensure_running()
        self._upkeep.start()
        log.info("worker_ready", worker=self.name, concurrency=self.concurrency)

    def drain(self) -> None:
        """Claim nothing more; running attempts finish soon or give their jobs back."""
        self.draining.set()

    def stop(self) -> None:
        """End the upkeep and say goodbye."""
        self._upkeep.stop()
        if self._courier:
            self._courier.stop()
        try:
            self.services.tallies.flush()
            self.services.workers.gone(self.name)
        except Temporary:
            log.warning("goodbye_failed", worker=self.name)

    def deliver(self) -> None:
        """See whether webhooks are due. Returns at once."""
        if self._courier and not self.draining.is_set():
            self._courier.nudge()

    def run_next(self, priority: str) -> None:
        """Claim the next job of a queue and run it to its end. Returns at once if there is none."""
        self._woken_at = time.monotonic()
        if self.draining.is_set():
            return
        try:
            claimed = self.services.jobs.claim(priority, self.name)
        except Temporary as error:
            log.warning("claim_failed", reason=error.message)
            return
        if claimed is None:
            return
        lease, record = claimed
        with self._lock:
            self._running += 1
        try:
            runner.run(self.services, self._processes, lease, record, self.draining, self.concurrency)
        finally:
            with self._lock:
                self._running -= 1
                self._woken_at = time.monotonic()

    def _report(self) -> WorkerStatus:
        return WorkerStatus(self.name, self.concurrency, self._running, stalled=self._stalled)

    def _look_after(self) -> None:
        self.deliver()
        if self._running >= self.concurrency or self.draining.is_set():
            return
        idle_seconds = time.monotonic() - self._woken_at
        if watchdog.stalled(self.services, self._queues, idle_seconds=idle_seconds):
            self._stalled = True
            self.services.workers.seen(self._report())
            watchdog.exit_for_restart()
