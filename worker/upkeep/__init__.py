"""The chores that keep the promise: a thread in every worker does them all, every couple of seconds.

Each is idempotent and decided by a Lua script, so any number of workers may do it and none is special.
A thread of its own rather than Celery's timer: that one stands still while the broker connection is away.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from shared import logs
from shared.errors import Temporary
from shared.services import Services
from shared.workers import WorkerStatus
from worker.upkeep import dispatcher, rescuer, scheduler, sweeper

log = logs.get(__name__)

CHORES: dict[str, Callable[[Services], None]] = {
    "dispatcher": dispatcher.run,
    "rescuer": rescuer.run,
    "scheduler": scheduler.run,
    "sweeper": sweeper.run,
}


class Upkeep:
    """Runs every chore each `upkeep_seconds`, reports that the worker is alive, and has it look after itself."""

    def __init__(
        self, services: Services, *, report: Callable[[], WorkerStatus], look_after: Callable[[], None]
    ) -> None:
        self._services = services
        self._report = report
        self._look_after = look_after
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="upkeep", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(timeout=5)

    def _loop(self) -> None:
        while True:
            self._round()
            if self._stopping.wait(self._services.settings.upkeep_seconds):
                return

    def _round(self) -> None:
        try:
            self._services.workers.seen(self._report())
            self._services.tallies.flush()
            for chore in CHORES.values():
                chore(self._services)
            self._look_after()
        except Temporary as error:
            log.warning("upkeep_postponed", reason=error.message)
        except Exception:
            log.exception("upkeep_failed")
