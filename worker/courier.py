"""Delivers webhooks, on a few threads of its own: however slow a receiver is, no job waits for it.

A wake-up in the queue `graft.webhooks` nudges it, as upkeep does every couple of seconds: while all of a worker's job
threads are busy, Celery brings it no messages. What is due, and whose it is, is decided in Redis (`take_delivery.lua`).
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Mapping

from shared import failpoints, logs, tracing
from shared.contracts.jobs import Job
from shared.contracts.schedules import Occurrence
from shared.errors import NotFound, Temporary
from shared.services import Services
from shared.webhooks import payloads, schedule, signatures
from shared.webhooks.deliveries import Taken
from shared.webhooks.sender import Sender

log = logs.get(__name__)

_FAREWELL_SECONDS = 5.0


class Courier:
    """One for each worker. `threads` deliveries are attempted at a time, half of them of one project at most."""

    def __init__(self, services: Services, sender: Sender, *, threads: int) -> None:
        self._services = services
        self._sender = sender
        self._most = threads
        self._most_of_one = max(1, threads // 2)
        self._busy: Counter[str] = Counter()
        self._threads: set[threading.Thread] = set()
        self._stopping = False
        self._lock = threading.Lock()

    def nudge(self) -> None:
        """There may be something to deliver. Returns at once."""
        with self._lock:
            if self._stopping or len(self._threads) >= self._most:
                return
            thread = threading.Thread(target=self._deliver_all, name="courier", daemon=True)
            self._threads.add(thread)
        thread.start()

    def stop(self) -> None:
        """Take nothing more, and let what is under way end for a few seconds. What does not is delivered again."""
        with self._lock:
            self._stopping = True
            threads = list(self._threads)
        until = time.monotonic() + _FAREWELL_SECONDS
        for thread in threads:
            thread.join(max(0.0, until - time.monotonic()))

    def _deliver_all(self) -> None:
        try:
            while not self._stopping and self._deliver_next():
                pass
        except Temporary as error:
            log.warning("deliveries_postponed", reason=error.message)
        except Exception:
            log.exception("courier_failed")
        finally:
            with self._lock:
                self._threads.discard(threading.current_thread())

    def _deliver_next(self) -> bool:
        """Whether there was something to deliver."""
        with self._lock:
            pass_over = [project for project, count in self._busy.items() if count >= self._most_of_one]
        taken = self._services.deliveries.take(pass_over=pass_over)
        if taken is None:
            return False
        with self._lock:
            self._busy[taken.project] += 1
        self.nudge()  # there may be more, for another thread
        try:
            self._attempt(taken)
        finally:
            with self._lock:
                self._busy[taken.project] -= 1
        return True

    def _attempt(self, taken: Taken) -> None:
        job_id = taken.delivery.get("job")
        request_id, parent = self._services.jobs.origin(taken.project, job_id) if job_id else (None, None)
        with (
            logs.bind(job_id=job_id, request_id=request_id),
            tracing.span("deliver webhook", "client", parent=parent, graft__delivery=taken.delivery["id"]),
        ):
            self._deliver(taken)

    def _deliver(self, taken: Taken) -> None:
        services, delivery = self._services, taken.delivery
        body = payloads.body(
            delivery, job=_job(services, delivery), occurrence=_occurrence(services, delivery)
        )
        now_ms = int(delivery["taken_at"])
        secrets = services.webhooks.signing_secrets(taken.endpoint, taken.of_jobs, now_ms)
        headers = signatures.headers(secrets, delivery["message"], now_ms // 1000, body)
        answer = self._sender.send(taken.endpoint["url"], headers, body)
        failpoints.reach("delivery.sent")
        next_seconds = schedule.next_try_seconds(services.settings.webhook_retry_seconds, taken.tries, answer)
        recorded = services.deliveries.record(
            taken, answer, next_seconds=next_seconds, pause_seconds=schedule.pause_seconds(answer)
        )
        tracing.note(error=answer.error, http__response__status_code=answer.status)
        log.info(
            "webhook_attempted",
            delivery=delivery["id"],
            project=taken.project,
            webhook_event=delivery["event"],
            tries=taken.tries,
            status=answer.status,
            error=answer.error,
            seconds=round(answer.seconds, 3),
            recorded=recorded,
        )


def _job(services: Services, delivery: Mapping[str, str]) -> Job | None:
    """What the delivery is about, if that is a job that is still there."""
    if "job" not in delivery:
        return None
    try:
        return services.jobs.get(delivery["project"], delivery["job"])
    except NotFound:
        return None


def _occurrence(services: Services, delivery: Mapping[str, str]) -> Occurrence | None:
    """What the delivery is about, if that is an occurrence that is still there."""
    if "schedule" not in delivery:
        return None
    project, schedule_id, nominal = (delivery[name] for name in ("project", "schedule", "nominal"))
    try:
        found, _ = services.schedules.occurrences(project, schedule_id, limit=1, after=str(int(nominal) + 1))
    except NotFound:
        return None
    return next((occurrence for at, occurrence in found if at == nominal), None)
