"""Takes jobs from attempts whose lease has run out: back to the queue, or `worker_lost` if no attempt is left."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from shared import failpoints, keys, logs, tracing
from shared.errors import LostLease
from shared.job_records import Lease
from shared.services import Services
from shared.states import JobState

log = logs.get(__name__)


def run(services: Services) -> None:
    for lease, record in services.jobs.expired():
        try:
            failpoints.reach("rescue.before")
            with (
                logs.bind(job_id=lease.job_id, request_id=record.get("request_id")),
                tracing.span(
                    "rescue", parent=record.get("traceparent"), graft__lost_worker=record.get("worker")
                ),
            ):
                _rescue(services, lease, record)
            failpoints.reach("rescue.after")
        except LostLease:
            # It was renewed, finished or rescued between the look and the act; or the entry is a leftover.
            services.jobs.drop_lease(lease)


def _rescue(services: Services, lease: Lease, record: dict[str, str]) -> None:
    jobs, attempt = services.jobs, int(record.get("attempt", 0))
    finish: Callable[..., object] = jobs.finish
    if keys.split_shard(lease.job_id):
        finish = partial(services.shards.finish, priority=record.get("priority", ""), worker="")
    if attempt < int(record.get("max_attempts", 0)):
        if jobs.release(lease, record["priority"], reason="worker_lost", expired_only=True) == "cancel":
            finish(lease, JobState.CANCELLED, reason="on request", expired_only=True)
    elif "cancel_requested_at" in record:
        finish(lease, JobState.CANCELLED, reason="on request", expired_only=True)
    else:
        message = f"the worker was lost in each of {attempt} attempts; the last was {record.get('worker')}"
        error = {"code": "worker_lost", "message": message, "retryable": True}
        finish(lease, JobState.FAILED, reason="worker_lost", expired_only=True, error=error)
    log.warning("job_rescued", attempt=attempt, lost_worker=record.get("worker"))
