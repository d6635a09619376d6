"""The job store: every change of a job goes through one Lua script, guarded by its state and its lease.

The hash is the truth. Whoever holds the token of the current lease may renew it, finish the job or give it
back; a stale token changes nothing. Times are Redis's, in milliseconds since the epoch.
"""

from __future__ import annotations

import json
import math
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Literal

from ulid import ULID

from shared import keys, logs, queue, tracing
from shared.contracts.jobs import Job, JobEvent, JobLogLine, QueuePlace
from shared.database import Database
from shared.errors import (
    Conflict,
    GraftError,
    InvalidInput,
    LostLease,
    NotFound,
    Temporary,
    TooMany,
)
from shared.job_records import (
    Following,
    Lease,
    NewJob,
    NewVersion,
    NumberTaken,
    OccurrenceCall,
    Standing,
    encode,
    to_event,
    to_job,
    to_progress,
    told,
)
from shared.states import TERMINAL, JobState, sources

log = logs.get(__name__)

FILTERS = ("status", "type", "model", "schedule")
"""What a list of jobs can be narrowed by; each has an index of its own."""

_SCAN = 200
_KEEPS = frozenset({"train", "fine_tune", "batch_predict"})
"""Types of jobs that put something into the store to stay."""
_MOST_LOG_LINES = 2_000
_MOST_FOLLOWED = 100
_MOST_PROJECTS_IN_LINE = 1_000
"""That a look at a queued job counts."""

Released = Literal["done", "cancel", "spent"]


class JobStore:
    """Jobs in Redis. Safe to share between threads and processes."""

    def __init__(
        self,
        database: Database,
        *,
        lease_seconds: float,
        max_live_jobs: int,
        max_interruptions: int,
        idempotency_seconds: int,
        max_bytes: int = 0,
        new_token: Callable[[], str] = lambda: secrets.token_hex(16),
    ) -> None:
        self._new_token = new_token
        self._redis = database
        self._lease_ms = int(lease_seconds * 1000)
        self._max_live = max_live_jobs
        self._max_interruptions = max_interruptions
        self._idempotency_seconds = idempotency_seconds
        self._max_bytes = max_bytes
        self._submit = database.script("submit")
        self._look = database.script("look")
        self._claim = database.script("claim")
        self._renew = database.script("renew")
        self._note = database.script("note")
        self._finish = database.script("finish")
        self._release = database.script("release")
        self._cancel = database.script("cancel")
        self._dispatch = database.script("dispatch")
        self._forget = database.script("forget")
        self._drop_lease = database.script("drop_lease")
        self._note_duration = database.script("note_duration")

    # What clients do

    def submit(
        self,
        new: NewJob,
        *,
        idempotency: tuple[str, str] | None = None,
        occurrence: OccurrenceCall | None = None,
    ) -> tuple[Job, bool]:
        """Accept a job, atomically with its wake-up and with the occurrence that it is of. Returns it and whether it
        is a replay.

        `idempotency` is (digest of the Idempotency-Key, digest of the body).
        Raises InvalidInput if the key came with another body or something the job uses is gone, TooMany over quota,
        NotFound if the first job of the key is gone, and Conflict if the occurrence has been decided
        (`occurrence_decided`) or overlaps (`occurrence_overlaps`).
        """
        job_id, to = f"job_{ULID()}", queue.queue_name(new.priority)
        _, retried = self.origin(new.project, new.parent) if tracing.is_on() and new.parent else (None, None)
        with tracing.span(
            f"send {to}",
            "producer",
            link=retried,
            **tracing.messaging(to, job_id, "send"),
            graft__job__type=new.type,
        ):
            return self._submitted(new, job_id, idempotency, occurrence)

    def _submitted(
        self,
        new: NewJob,
        job_id: str,
        idempotency: tuple[str, str] | None,
        occurrence: OccurrenceCall | None,
    ) -> tuple[Job, bool]:
        project, priority = new.project, new.priority
        key_digest, body_digest = idempotency or ("", "")
        indexes = [keys.jobs(project), keys.jobs_by(project, "type", new.type)]
        if new.model:
            indexes.append(keys.jobs_by(project, "model", new.model))
        if new.schedule:
            indexes.append(keys.jobs_by(project, "schedule", new.schedule))
        indexes += [keys.ever(use.users) for use in new.uses if use.is_remembered]
        held = {
            "type": new.type,
            "spec": new.spec,
            "priority": priority,
            "max_attempts": new.max_attempts,
            "timeout_seconds": new.timeout_seconds,
            "metadata": new.metadata or {},
            "model": new.model,
            "parent": new.parent,
            "schedule": new.schedule,
            "webhook_url": new.webhook_url,
            "request_id": new.request_id,
            "traceparent": tracing.traceparent(),
            "id": job_id,
            "project": project,
            "status": JobState.QUEUED,
            "attempt": 0,
            "interruptions": 0,
            "revision": 1,
        }
        fields = encode(**held)
        answer = self._submit(
            keys=[
                keys.job(project, job_id),
                keys.job_events(project, job_id),
                keys.jobs_by(project, "status", JobState.QUEUED),
                keys.jobs_by(project, "status", JobState.RUNNING),
                keys.ready(priority),
                keys.ready_of(priority, project),
                queue.queue_name(priority),
                keys.idempotency(project, key_digest),
                keys.PROJECTS,
                *indexes,
                *(key for use in new.uses for key in (use.record, use.users)),
                *(occurrence.keys if occurrence else ()),
            ],
            args=[
                job_id,
                project,
                self._max_live,
                body_digest,
                self._idempotency_seconds,
                queue.wake_up(queue.queue_name(priority)),
                len(indexes),
                len(new.uses),
                len(fields) // 2,
                self._max_bytes if new.type in _KEEPS else 0,
                *fields,
                *(occurrence.args if occurrence else ()),
            ],
        )
        match answer:
            case ["accepted", created_at]:
                record = {name: value for name, value in held.items() if value is not None}
                return told({**record, "created_at": created_at}), False
            case ["known" | "replayed" as how, [_, *_] as pairs]:
                return to_job(dict(zip(pairs[::2], pairs[1::2], strict=True))), how == "replayed"
        raise self._refused(new, answer)

    def _refused(self, new: NewJob, answer: Sequence[Any]) -> GraftError:
        match answer:
            case ["replayed", _]:
                return NotFound("the job that this Idempotency-Key stands for is gone", code="unknown_job")
            case ["mismatch"]:
                return key_reused()
            case ["quota" | "full" as limit]:
                return self._over(limit)
            case ["gone", position]:
                return InvalidInput.at(
                    new.uses[int(position)].pointer, "does not exist any more", code="unknown_reference"
                )
            case ["decided"]:
                return Conflict("the occurrence has been decided already", code="occurrence_decided")
            case ["overlaps"]:
                return Conflict("a job of the schedule has not ended", code="occurrence_overlaps")
        raise AssertionError(f"submit.lua answered {answer!r}")

    def _over(self, limit: str) -> TooMany:
        if limit == "quota":
            why = f"the project has {self._max_live} live jobs, its limit; wait for some to end"
        else:
            why = f"the project keeps {self._max_bytes} bytes in the store, its limit; delete some"
        return TooMany(why, code="quota_exceeded")

    def get(self, project: str, job_id: str) -> Job:
        """The job as it is told. Raises NotFound, also for another project's."""
        _refuse_shards(job_id)
        return to_job(self.record(project, job_id))

    def look(
        self, project: str, job_id: str, place: Callable[[Sequence[int]], QueuePlace]
    ) -> tuple[Job, Standing]:
        """The job and where it stands, of one moment. `place` tells where that is. Raises as `get` does."""
        record, ahead = self._looked(project, job_id)
        job = to_job(record, place(ahead) if ahead else None)
        return job, Standing(JobState(record["status"]), record["revision"], ahead)

    def standing(self, project: str, job_id: str) -> Standing:
        """Where the job stands, and no more: what an ETag needs. Raises as `get` does."""
        record, ahead = self._looked(project, job_id, "status", "revision")
        return Standing(JobState(record["status"]), record["revision"], ahead)

    def _looked(self, project: str, job_id: str, *fields: str) -> tuple[dict[str, str], list[int]]:
        """The fields of its hash (all, if none is named), and how many jobs are ahead of it, queue by queue."""
        _refuse_shards(job_id)
        values, ahead = self._look(
            keys=[keys.job(project, job_id), *(keys.ready(name) for name in queue.PRIORITIES)],
            args=[
                project,
                job_id,
                _MOST_PROJECTS_IN_LINE,
                keys.ready_of("%s", "%s"),
                *queue.PRIORITIES,
                *fields,
            ],
        )
        if not values:
            raise NotFound(f"there is no job {job_id}", code="unknown_job")
        pairs = zip(fields, values, strict=True) if fields else zip(values[::2], values[1::2], strict=True)
        return dict(pairs), ahead

    def record(self, project: str, job_id: str) -> dict[str, str]:
        """The raw hash."""
        found: dict[str, str] = self._redis.hgetall(keys.job(project, job_id))
        if not found:
            raise NotFound(f"there is no job {job_id}", code="unknown_job")
        return found

    def origin(self, project: str, job_id: str) -> tuple[str | None, str | None]:
        """The request that made it, and the traceparent that it was given then; None of what is not known."""
        request_id, parent = self._redis.hmget(keys.job(project, job_id), "request_id", "traceparent")
        return request_id, parent

    def glance(self, project: str, job_id: str) -> tuple[JobState, str]:
        """State and revision only: what polling needs."""
        _refuse_shards(job_id)
        status, revision = self._redis.hmget(keys.job(project, job_id), "status", "revision")
        if status is None or revision is None:
            raise NotFound(f"there is no job {job_id}", code="unknown_job")
        return JobState(status), revision

    def page(
        self, project: str, filters: Mapping[str, str], *, limit: int, after: str | None = None
    ) -> tuple[list[Job], bool]:
        """Newest first: up to `limit` jobs older than `after` that match all filters.

        The flag says whether there are more.
        """
        found: list[Job] = []
        for record in self._scan(project, filters, after, first=limit + 1):
            if len(found) == limit:
                return found, True
            found.append(to_job(record))
        return found, False

    def _scan(
        self, project: str, filters: Mapping[str, str], after: str | None, *, first: int = _SCAN
    ) -> Iterator[dict[str, str]]:
        """The records that match, newest first; `first` of them are read at once, then more."""
        index, count = self._narrowest(project, filters), first
        upper = f"({after}" if after else "+"
        while ids := self._redis.zrange(index, upper, "-", desc=True, bylex=True, offset=0, num=count):
            with self._redis.pipeline() as pipe:
                for job_id in ids:
                    pipe.hgetall(keys.job(project, job_id))
                records = pipe.execute()
            for record in records:
                if record and all(record.get(name) == value for name, value in filters.items()):
                    yield record
            upper, count = f"({ids[-1]}", max(count, _SCAN)

    def _narrowest(self, project: str, filters: Mapping[str, str]) -> str:
        candidates = [keys.jobs_by(project, name, value) for name, value in filters.items()]
        if len(candidates) < 2:
            return candidates[0] if candidates else keys.jobs(project)
        with self._redis.pipeline() as pipe:
            for key in candidates:
                pipe.zcard(key)
            return min(zip(pipe.execute(), candidates, strict=True))[1]

    def cancel(self, project: str, job_id: str) -> bool:
        """Cancel a queued job, or ask a running one to stop.

        True the first time, False if it was asked before. Raises NotFound, or Conflict for a job that has ended.
        """
        _refuse_shards(job_id)
        priority = self._redis.hget(keys.job(project, job_id), "priority") or ""
        answer = self._cancel(
            keys=[
                keys.job(project, job_id),
                keys.job_events(project, job_id),
                keys.jobs_by(project, "status", JobState.QUEUED),
                keys.jobs_by(project, "status", JobState.CANCELLED),
                keys.ready(priority),
                keys.ready_of(priority, project),
                keys.DELAYED,
                keys.jobs_by(project, "status", JobState.RUNNING),
            ],
            args=[job_id, project, keys.member(project, job_id)],
        )
        if answer == "unknown":
            raise NotFound(f"there is no job {job_id}", code="unknown_job")
        if answer == "terminal":
            raise Conflict(f"{job_id} has already ended", code="job_ended")
        return bool(answer != "again")

    def events(
        self, project: str, job_id: str, *, after: str | None, limit: int
    ) -> tuple[list[JobEvent], bool]:
        """Oldest first: up to `limit` events after the one named, and whether there are more."""
        self.glance(project, job_id)
        entries = self._redis.xrange(
            keys.job_events(project, job_id), min=f"({after}" if after else "-", count=limit + 1
        )
        found = [to_event(entry_id, fields) for entry_id, fields in entries]
        return found[:limit], len(found) > limit

    def follow(self, project: str, job_id: str, seen: Following) -> Following:
        """What is new since that look. A job that is forgotten meanwhile `is_gone`; raises NotFound for the first look.

        Job and events are of one moment, so a state that is terminal comes with the event that made it so.
        """
        _refuse_shards(job_id)
        job = keys.job(project, job_id)
        with self._redis.pipeline(transaction=True) as pipe:
            pipe.hmget(job, "status", "revision")
            pipe.xrange(
                keys.job_events(project, job_id),
                min=f"({seen.after}" if seen.after else "-",
                count=_MOST_FOLLOWED + 1,
            )
            (status, revision), entries = pipe.execute()
        if status is None:
            if seen.revision is None:
                raise NotFound(f"there is no job {job_id}", code="unknown_job")
            return Following(after=seen.after, revision=seen.revision, is_gone=True)
        events = [to_event(entry_id, fields) for entry_id, fields in entries[:_MOST_FOLLOWED]]
        changed = status == JobState.RUNNING and revision != seen.revision
        return Following(
            after=events[-1].id if events else seen.after,
            revision=revision,
            state=JobState(status),
            events=events,
            progress=to_progress(self._redis.hgetall(job)) if changed else None,
            has_more=len(entries) > _MOST_FOLLOWED,
        )

    def logs(
        self, project: str, job_id: str, *, after: str | None, limit: int
    ) -> tuple[list[JobLogLine], bool]:
        """Oldest first: up to `limit` log lines after the one named, and whether there are more."""
        self.glance(project, job_id)
        entries = self._redis.xrange(
            keys.job_logs(project, job_id), min=f"({after}" if after else "-", count=limit + 1
        )
        found = [JobLogLine(id=entry_id, **json.loads(fields["line"])) for entry_id, fields in entries]
        return found[:limit], len(found) > limit

    def curve(self, project: str, job_id: str) -> list[tuple[int, float]]:
        """The running loss so far, oldest first: (completed, loss). An attempt that begins anew begins anew here."""
        entries = self._redis.xrange(keys.job_curve(project, job_id))
        points = [(int(fields["completed"]), float(fields["loss"])) for _, fields in entries]
        begins = max((n for n in range(1, len(points)) if points[n][0] < points[n - 1][0]), default=0)
        return [point for point in points[begins:] if math.isfinite(point[1])]

    # What workers do

    def claim(self, priority: str, worker: str) -> tuple[Lease, dict[str, str]] | None:
        """Take the next job of a queue: the lease and the job's hash. None if nothing is ready."""
        token = self._new_token()
        answer = self._claim(
            keys=[keys.ready(priority), keys.LEASES, queue.queue_name(priority), keys.claim(token)],
            args=[
                worker,
                token,
                self._lease_ms,
                *sources(JobState.RUNNING),
                keys.ready_of(priority, "%s"),
                keys.job("%s", "%s"),
                keys.job_events("%s", "%s"),
                keys.jobs_by("%s", "status", JobState.QUEUED),
                keys.jobs_by("%s", "status", JobState.RUNNING),
                queue.wake_up(queue.queue_name(priority)),
            ],
        )
        if not answer:
            return None
        project, job_id = answer
        return Lease(project, job_id, token), self.record(project, job_id)

    def renew(self, lease: Lease, *, logs: Sequence[Mapping[str, Any]] = (), **changes: Any) -> bool:
        """Prolong the lease, note progress, keep log lines. True if the job is asked to stop. Raises LostLease."""
        project, job_id = lease.project, lease.job_id
        owner, *whole = _whole(lease)
        answer = self._renew(
            keys=[keys.job(project, job_id), keys.LEASES, keys.job_logs(project, owner), *whole[:1]],
            args=[
                lease.token,
                keys.member(project, job_id),
                self._lease_ms,
                _MOST_LOG_LINES,
                len(logs),
                *(json.dumps(line) for line in logs),
                *encode(rows_scored=changes.pop("rows_scored", None)),
                *encode(**changes),
            ],
        )
        if answer == "lost":
            raise _lost(lease)
        return bool(answer == "cancel")

    def note(self, lease: Lease, event: str, *, reason: str = "", **changes: Any) -> None:
        """Record an event of a running attempt, with changes of the job that belong to it. Raises LostLease."""
        answer = self._note(
            keys=[keys.job(lease.project, lease.job_id), _events(lease)],
            args=[lease.token, event, reason, *encode(**changes)],
        )
        if answer == "lost":
            raise _lost(lease)

    def finish(
        self,
        lease: Lease,
        state: JobState,
        *,
        reason: str = "",
        version: NewVersion | None = None,
        expired_only: bool = False,
        **changes: Any,
    ) -> int:
        """End the job, together with its one effect. Returns the number of the new model version, or 0.

        Sending it twice is sending it once. Raises LostLease or NumberTaken, and then nothing has changed.
        """
        project, job_id = lease.project, lease.job_id
        fields = encode(**changes)
        model_keys: list[str] = []
        model_args: list[str] = []
        if version:
            model_keys = [
                keys.model(project, version.name),
                keys.model_versions(project, version.name),
                keys.models(project),
                keys.model_remains(project, version.name),
                *_children_of(project, version.fields.get("parent")),
            ]
            model_args = [
                keys.model_version_template(project, version.name),
                version.name,
                "" if version.description is None else version.description,
                "" if version.tags is None else json.dumps(version.tags),
                str(version.number or 0),
                *encode(**version.fields),
            ]
        answer, number = self._finish(
            keys=[
                keys.job(project, job_id),
                keys.job_events(project, job_id),
                keys.LEASES,
                keys.jobs_by(project, "status", JobState.RUNNING),
                keys.jobs_by(project, "status", state),
                *model_keys,
            ],
            args=[
                lease.token,
                keys.member(project, job_id),
                job_id,
                state,
                JobState.RUNNING,
                reason,
                "expired" if expired_only else "",
                len(fields) // 2,
                *fields,
                *model_args,
            ],
        )
        if answer == "lost":
            raise _lost(lease)
        if answer == "taken":
            raise NumberTaken("another version has the number that this one was signed for")
        if answer == "done":
            self._learn_duration(project, job_id)
        return int(number)

    def _learn_duration(self, project: str, job_id: str) -> None:
        """For estimates alone, so that the end of a job does not depend on it."""
        try:
            self._note_duration(keys=[keys.job(project, job_id), keys.DURATIONS])
        except Temporary:
            log.info("duration_not_noted", job_id=job_id)

    def release(
        self,
        lease: Lease,
        priority: str,
        *,
        reason: str,
        delay_seconds: float = 0.0,
        charged: bool = True,
        expired_only: bool = False,
    ) -> Released:
        """Give the job back to its queue. Raises LostLease.

        Not `charged` is an interruption, which costs no attempt unless the job has had `max_interruptions` of them.
        Answers "cancel", and changes nothing, if the job was asked to stop meanwhile: finish it as cancelled.
        Answers "spent", and changes nothing, if an interruption is to be charged and no attempt is left: fail it.
        """
        project, job_id = lease.project, lease.job_id
        answer = self._release(
            keys=[
                keys.job(project, job_id),
                _events(lease),
                keys.LEASES,
                keys.in_state(project, job_id, JobState.RUNNING),
                keys.in_state(project, job_id, JobState.QUEUED),
                keys.ready(priority),
                keys.ready_of(priority, project),
                keys.DELAYED,
                queue.queue_name(priority),
                *_whole(lease)[1:],
            ],
            args=[
                lease.token,
                keys.member(project, job_id),
                job_id,
                project,
                " ".join(sources(JobState.QUEUED)),
                reason,
                "expired" if expired_only else "",
                int(delay_seconds * 1000),
                "0" if charged else "1",
                queue.wake_up(queue.queue_name(priority)),
                self._max_interruptions,
            ],
        )
        if answer == "lost":
            raise _lost(lease)
        released: Released = answer
        return released

    # What upkeep does

    def dispatch(self, *, rewake_seconds: float, limit: int = 500) -> tuple[int, int]:
        """Make due retries ready and make up for lost wake-ups. Returns how many of each."""
        moved, pushed = self._dispatch(
            keys=[
                keys.DELAYED,
                *(key for name in queue.PRIORITIES for key in (keys.ready(name), queue.queue_name(name))),
            ],
            args=[
                limit,
                int(rewake_seconds * 1000),
                keys.job("%s", "%s"),
                keys.ready_of("%s", "%s"),
                *(
                    part
                    for name in queue.PRIORITIES
                    for part in (name, queue.wake_up(queue.queue_name(name)))
                ),
            ],
        )
        return int(moved), int(pushed)

    def expired(self, *, limit: int = 100) -> list[tuple[Lease, dict[str, str]]]:
        """Running jobs whose lease has run out, with the token that still stands in them."""
        seconds, microseconds = self._redis.time()
        now = seconds * 1000 + microseconds // 1000
        found = []
        for member in self._redis.zrange(keys.LEASES, "-inf", now, byscore=True, offset=0, num=limit):
            project, job_id = keys.split_member(member)
            record = self._redis.hgetall(keys.job(project, job_id))
            found.append((Lease(project, job_id, record.get("token", "")), record))
        return found

    def drop_lease(self, lease: Lease) -> None:
        """Remove a lease that no attempt stands behind."""
        self._drop_lease(
            keys=[keys.job(lease.project, lease.job_id), keys.LEASES],
            args=[keys.member(lease.project, lease.job_id)],
        )

    def waiting_seconds(self, priority: str) -> float:
        """For how long the job whose turn it is has been ready; 0 if there is none."""
        line = self._redis.zrange(keys.ready(priority), 0, 0)
        first = line and self._redis.zrange(keys.ready_of(priority, line[0]), 0, 0, withscores=True)
        if not first:
            return 0.0
        seconds, microseconds = self._redis.time()
        return float(max(0.0, seconds + microseconds / 1e6 - first[0][1] / 1e6))

    def projects(self) -> list[str]:
        return sorted(self._redis.smembers(keys.PROJECTS))

    def sweep_is_due(self, every_seconds: float) -> bool:
        """True for one of all that ask within that time."""
        return bool(self._redis.set(keys.SWEEP, "1", nx=True, px=int(every_seconds * 1000)))

    def ended_before(self, project: str, moment_ms: int) -> Iterator[dict[str, str]]:
        """The jobs of a project that ended before that time, oldest first."""
        for state in sorted(TERMINAL):
            for record in self._scan(project, {"status": state}, None):
                if int(record["finished_at"]) < moment_ms:
                    yield record

    def forget(self, record: Mapping[str, str], *, ended_before_ms: int) -> bool:
        """Drop a job that ended before that time, unless a model version came of it."""
        project, job_id = record["project"], record["id"]
        narrowed = [keys.jobs_by(project, name, record[name]) for name in FILTERS if name in record]
        used = [keys.ever(users) for users in record.get("uses", "").split()]
        answer = self._forget(
            keys=[
                keys.job(project, job_id),
                keys.job_events(project, job_id),
                keys.job_logs(project, job_id),
                keys.LEASES,
                keys.jobs(project),
                *narrowed,
                *used,
            ],
            args=[job_id, keys.member(project, job_id), " ".join(TERMINAL), ended_before_ms],
        )
        return bool(answer == "forgotten")


def key_reused() -> InvalidInput:
    """What is said to a client that sends an Idempotency-Key again with something else."""
    return InvalidInput("this Idempotency-Key was used with another body", code="idempotency_key_reused")


def _lost(lease: Lease) -> LostLease:
    return LostLease(f"{lease.job_id}: the lease belongs to another attempt")


def _refuse_shards(job_id: str) -> None:
    """To clients, a shard is no job."""
    if keys.split_shard(job_id):
        raise NotFound(f"there is no job {job_id}", code="unknown_job")


def _events(lease: Lease) -> str:
    """The event log to write to: a shard has none, what matters of it stands in its job's."""
    return "" if keys.split_shard(lease.job_id) else keys.job_events(lease.project, lease.job_id)


def _whole(lease: Lease) -> tuple[str, ...]:
    """The id of the job; for the lease of a shard, then that job's key and the key of its events."""
    shard = keys.split_shard(lease.job_id)
    if shard is None:
        return (lease.job_id,)
    job_id = shard[0]
    return job_id, keys.job(lease.project, job_id), keys.job_events(lease.project, job_id)


def _children_of(project: str, parent: Mapping[str, Any] | None) -> list[str]:
    """The index of what has been made from the version's parent."""
    return [keys.version_children(project, parent["name"], int(parent["version"]))] if parent else []
