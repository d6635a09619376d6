"""The shards of large jobs: a job is split into them, each is run like a job of its own, and the last closes the job.

A shard's id stands wherever a job's may (`keys.shard_id`), so the job store claims, renews and gives back shards too.
What is different is how one begins and ends, and that is here. While shards are open their job is `running` without
a lease of its own; it has one again when it is being closed.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from shared import keys, queue
from shared.database import Database
from shared.errors import LostLease
from shared.job_records import Lease, decode, encode
from shared.states import JobState

Split = Literal["done", "cancel", "complete"]


@dataclass(frozen=True, slots=True)
class NewShard:
    """One part of a job's input, in the order of the parts."""

    pieces: Sequence[Mapping[str, Any]]
    result: Mapping[str, Any] | None = None
    """What an earlier job made of the same part; there is nothing left to do then."""


class ShardStore:
    """Shards in Redis. Safe to share between threads and processes."""

    def __init__(
        self,
        database: Database,
        *,
        lease_seconds: float,
        new_token: Callable[[], str] = lambda: secrets.token_hex(16),
    ) -> None:
        self._redis = database
        self._lease_ms = int(lease_seconds * 1000)
        self._new_token = new_token
        self._split = database.script("split")
        self._finish = database.script("finish_shard")

    def split(self, lease: Lease, priority: str, shards: Sequence[NewShard], **changes: Any) -> Split:
        """Make the shards of a job and end the attempt that planned them. Sending it twice is sending it once.

        Answers "complete", and the lease goes on, if all of them are done already: close the job.
        Answers "cancel", and changes nothing, if the job was asked to stop. Raises LostLease.
        """
        project, job_id = lease.project, lease.job_id
        fields = encode(**changes)
        answer = self._split(
            keys=[
                keys.job(project, job_id),
                keys.job_events(project, job_id),
                keys.LEASES,
                keys.ready(priority),
                keys.ready_of(priority, project),
                queue.queue_name(priority),
            ],
            args=[
                lease.token,
                keys.member(project, job_id),
                job_id,
                project,
                queue.wake_up(queue.queue_name(priority)),
                len(fields) // 2,
                *fields,
                *(part for number, shard in enumerate(shards) for part in _packed(job_id, number, shard)),
            ],
        )
        if answer == "lost":
            raise LostLease(f"{job_id}: the lease belongs to another attempt")
        split: Split = answer
        return split

    def finish(
        self,
        lease: Lease,
        state: JobState,
        priority: str,
        worker: str,
        *,
        reason: str = "",
        rows: int = 0,
        failed_rows: int = 0,
        job_error: Mapping[str, Any] | None = None,
        usage: Mapping[str, float] | None = None,
        expired_only: bool = False,
        **changes: Any,
    ) -> Lease | None:
        """End a shard. Returns a lease on its job if that is to be closed now, by the caller.

        `job_error` is what the job ends with if this shard has one bad row too many; if it fails, its own `error`
        is. Sending it twice is sending it once. Raises LostLease, and then nothing has changed.
        """
        project, (job_id, _) = lease.project, _parts(lease)
        closing_token = self._new_token()
        answer, token = self._finish(
            keys=[
                keys.job(project, lease.job_id),
                keys.LEASES,
                keys.job(project, job_id),
                keys.job_events(project, job_id),
                *(
                    keys.in_state(project, job_id, held)
                    for held in (JobState.RUNNING, JobState.FAILED, JobState.CANCELLED)
                ),
                keys.ready(priority),
                keys.ready_of(priority, project),
                keys.DELAYED,
            ],
            args=[
                lease.token,
                keys.member(project, lease.job_id),
                lease.job_id,
                job_id,
                project,
                state,
                reason,
                "expired" if expired_only else "",
                rows,
                failed_rows,
                json.dumps(changes.get("error") or job_error or {}),
                closing_token,
                keys.member(project, job_id),
                self._lease_ms,
                worker,
                json.dumps(usage) if usage else "",
                *encode(**changes),
            ],
        )
        if answer == "lost":
            raise LostLease(f"{lease.job_id}: the lease belongs to another attempt")
        return Lease(project, job_id, token) if answer == "close" else None

    def records(self, project: str, job_id: str) -> list[dict[str, Any]]:
        """Every shard of a job in its order, decoded; none of a job that has none, or has them no more."""
        count = int(self._redis.hget(keys.job(project, job_id), "shards") or 0)
        with self._redis.pipeline() as pipe:
            for number in range(count):
                pipe.hgetall(keys.job(project, keys.shard_id(job_id, number)))
            return [decode(record) for record in pipe.execute() if record]


def _parts(lease: Lease) -> tuple[str, int]:
    parts = keys.split_shard(lease.job_id)
    if parts is None:
        raise ValueError(f"{lease.job_id} is a job, not a shard of one")
    return parts


def _packed(job_id: str, number: int, shard: NewShard) -> list[Any]:
    result = shard.result
    return [
        keys.shard_id(job_id, number),
        JobState.QUEUED if result is None else JobState.SUCCEEDED,
        result["counts"]["total"] if result else 0,
        result["counts"]["failed"] if result else 0,
        json.dumps(shard.pieces),
        json.dumps(result) if result else "",
    ]
