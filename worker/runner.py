"""Runs what a worker has claimed, to its end: a job, a shard of one, or the closing of one."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from multiprocessing.context import ForkServerContext

from shared import logs, queue, tracing
from shared.errors import GraftError
from shared.job_records import Lease
from shared.services import Services
from shared.tracing import messaging
from worker.batches import ShardAttempt, attempt_at

log = logs.get(__name__)


def run(
    services: Services,
    processes: ForkServerContext,
    lease: Lease,
    record: Mapping[str, str],
    draining: threading.Event,
    concurrency: int,
) -> None:
    """Run the attempt that `lease` stands for. Never raises: whatever goes wrong becomes the job's state.

    Whoever ends the last shard of a job goes on with a lease on the job itself, and closes it.
    """
    following: Lease | None = lease
    while following:
        lease, following = following, None
        source = queue.queue_name(record["priority"])
        with (
            logs.bind(
                job_id=lease.job_id, attempt=int(record["attempt"]), request_id=record.get("request_id")
            ),
            tracing.span(
                f"process {source}",
                "consumer",
                parent=record.get("traceparent"),
                **messaging(source, lease.job_id, "process"),
                graft__job__type=record["type"],
                graft__attempt=int(record["attempt"]),
            ),
        ):
            try:
                kind, job = attempt_at(services, lease, record)
                attempt = kind(services, processes, lease, job, draining, concurrency)
                attempt.run()
                if isinstance(attempt, ShardAttempt) and attempt.closing:
                    following = attempt.closing
                    record = services.jobs.record(following.project, following.job_id)
            except GraftError as error:
                # Redis is away, or the job is gone with its shards: the lease runs out, and a rescuer sees to it.
                log.warning("attempt_abandoned", reason=error.message)
                return
