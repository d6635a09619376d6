"""The promises about jobs that are split, checked after every step of random histories on a real Redis.

Workers split, claim, score and give back; clients cancel; leases run out and stale attempts write. The job store's own
promises are kept by test_job_invariants.py; here they are about how the parts make up the whole:

    S1   a job is closed once, and only after every shard has succeeded        S4   a shard is where its state says
    S2   a job that is told to stop ends when its last running shard has       S5   rows count once, however often tried
    S3   a stale token leaves every key as it was                              S6   when faults stop, every job ends
    S7   a job has used what all attempts at its ended shards have, and its project that of its ended jobs
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from graft.stack import RunningServer
from shared import keys
from shared.errors import Conflict, LostLease
from shared.job_records import Lease, NewJob, decode
from shared.queue import queue_name
from shared.shards import NewShard
from shared.states import TERMINAL, JobState
from tests.integration.test_job_invariants import (
    MOST_INTERRUPTIONS,
    PROFILE,
    World,
    check_usage,
    everything,
    indexes,
    world_on,
)

PROJECT = "blue"
ROWS = 10
MOST_FAILED = 1
MAX_ATTEMPTS = 2
ERROR = {"code": "bad_row", "message": "a row cannot be scored", "retryable": False}
TOO_MANY = {"code": "too_many_bad_rows", "message": "too many", "retryable": False}


def _used(seconds: int) -> dict[str, float]:
    return {"wall_seconds": seconds, "cpu_seconds": seconds / 2, "peak_rss_bytes": 7}


@dataclass
class _Shard:
    id: str
    status: JobState = JobState.QUEUED
    attempt: int = 0
    charged: bool = True
    """The next claim counts as an attempt."""
    interruptions: int = 0
    lease: Lease | None = None
    scored: int = 0
    failed: int = 0
    used: int = 0
    """Seconds, over all its attempts."""
    answered: Callable[[], Lease | None] | None = None
    """The call that ended it, to be sent again."""
    answer: Lease | None = None


@dataclass
class _Job:
    id: str
    lease: Lease | None = None
    status: JobState = JobState.RUNNING
    shards: list[_Shard] = field(default_factory=list)
    asked_to_stop: bool = False
    error: dict[str, Any] | None = None

    def having(self, state: JobState) -> list[_Shard]:
        return [shard for shard in self.shards if shard.status is state]


class ShardHistory(RuleBasedStateMachine):
    """One or two jobs that are split, and everything that can happen to their parts."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self.world, self.services = world, world.services
        self.store, self.shards = self.services.jobs, self.services.shards
        self.redis = self.services.database
        self.redis.flushdb()
        self.jobs: dict[str, _Job] = {}
        self.stale: list[Lease] = []
        self.past = 0.0

    # Steps

    @initialize(count=st.integers(2, 4), scored=st.integers(0, 1))
    def begin(self, count: int, scored: int) -> None:
        self.split_a_job(count, scored)

    @precondition(lambda self: len(self.jobs) < 2)
    @rule(count=st.integers(2, 4), scored=st.integers(0, 1))
    def split_a_job(self, count: int, scored: int) -> None:
        """The first `scored` of its shards were scored by the job that it retries."""
        new = NewJob(project=PROJECT, type="batch_predict", spec={}, max_attempts=MAX_ATTEMPTS)
        job_id = self.store.submit(new)[0].id
        while True:
            claimed = self.store.claim("normal", "worker")
            assert claimed is not None
            if claimed[0].job_id == job_id:
                break
            self._claimed(claimed[0])
        lease = claimed[0]
        done = {"counts": {"total": ROWS, "failed": 0}, "files": []}
        parts = [NewShard([{"number": n}], done if n < scored else None) for n in range(count)]
        call = partial(
            self.shards.split,
            lease,
            "normal",
            parts,
            table={"rows": ROWS * count},
            failed_allowed=MOST_FAILED,
        )
        assert call() == "done"
        assert self._unchanged(call) == "done", "sent again"
        job = _Job(job_id, None)
        job.shards = [_Shard(keys.shard_id(job_id, n)) for n in range(count)]
        for shard in job.shards[:scored]:
            shard.status, shard.scored = JobState.SUCCEEDED, ROWS
        self.jobs[job_id] = job
        self.stale.append(lease)

    @rule(workers=st.integers(1, 3))
    def claim(self, workers: int) -> None:
        for _ in range(workers):
            if claimed := self.store.claim("normal", "worker"):
                self._claimed(claimed[0])

    def _claimed(self, lease: Lease) -> None:
        parts = keys.split_shard(lease.job_id)
        if parts is None:
            job = self.jobs[lease.job_id]
            assert job.status is JobState.QUEUED, "S1: only the closing of a job is claimed again"
            assert all(shard.status is JobState.SUCCEEDED for shard in job.shards)
            job.status, job.lease = JobState.RUNNING, lease
            return
        shard = self.jobs[parts[0]].shards[parts[1]]
        assert shard.status is JobState.QUEUED
        shard.status, shard.lease = JobState.RUNNING, lease
        shard.attempt += shard.charged
        shard.charged = True

    @precondition(lambda self: self._running())
    @rule(index=indexes, rows=st.integers(0, ROWS))
    def score(self, index: int, rows: int) -> None:
        job, shard = self._one(self._running(), index)
        shard.used += 1
        told = self.store.renew(shard.lease, rows_scored=rows, usage=_used(shard.used))
        assert told is (job.asked_to_stop or job.error is not None), "S2: who runs is told to stop"
        shard.scored = rows

    @precondition(lambda self: self._running())
    @rule(index=indexes, state=st.sampled_from(sorted(TERMINAL)), failed=st.integers(0, 2))
    def finish(self, index: int, state: JobState, failed: int) -> None:
        job, shard = self._one(self._running(), index)
        if state is JobState.CANCELLED and not (job.asked_to_stop or job.error):
            state = JobState.SUCCEEDED
        self._finish(job, shard, state, failed)

    def _finish(self, job: _Job, shard: _Shard, state: JobState, failed: int = 0) -> None:
        call = partial(
            self.shards.finish,
            shard.lease,
            state,
            "normal",
            "worker",
            rows=ROWS,
            failed_rows=failed,
            job_error=TOO_MANY,
            error=ERROR if state is JobState.FAILED else None,
            usage=_used(shard.used + 1),
        )
        answer = call()
        shard.used += 1
        self._ended(job, shard, state, failed)
        shard.answered, shard.answer = call, answer
        if answer:
            assert job.status is JobState.RUNNING
            assert all(other.status is JobState.SUCCEEDED for other in job.shards), "S1"
            assert job.lease is None, "S1: closed twice"
            job.lease = answer
        else:
            live = [*job.having(JobState.QUEUED), *job.having(JobState.RUNNING)]
            assert live or job.status in TERMINAL, "nobody closes it"

    def _ended(self, job: _Job, shard: _Shard, state: JobState, failed: int) -> None:
        self.stale.append(shard.lease)
        shard.status, shard.lease = state, None
        shard.scored = ROWS if state is JobState.SUCCEEDED else 0
        if state is JobState.SUCCEEDED:
            shard.failed = failed
        if state is JobState.FAILED:
            job.error = job.error or ERROR
        elif sum(other.failed for other in job.shards) > MOST_FAILED:
            job.error = job.error or TOO_MANY
        self._settle(job)

    def _settle(self, job: _Job) -> None:
        if not (job.asked_to_stop or job.error):
            return
        for other in job.having(JobState.QUEUED):
            other.status = JobState.CANCELLED
        if not job.having(JobState.RUNNING):
            job.status = JobState.CANCELLED if job.asked_to_stop else JobState.FAILED

    @precondition(lambda self: self._ended_shards())
    @rule(index=indexes)
    def finish_again_because_the_answer_was_lost(self, index: int) -> None:
        job, shard = self._one(self._ended_shards(), index)
        if job.status is JobState.SUCCEEDED:
            self._refused(shard.answered)
        else:
            assert self._unchanged(shard.answered) == shard.answer

    @precondition(lambda self: self._running())
    @rule(index=indexes, charged=st.booleans())
    def give_back(self, index: int, charged: bool) -> None:
        job, shard = self._one(self._running(), index)
        if shard.attempt >= MAX_ATTEMPTS:
            return
        if job.asked_to_stop or job.error:
            assert self._unchanged(partial(self.store.release, shard.lease, "normal", reason="x")) == "cancel"
            return
        assert self.store.release(shard.lease, "normal", reason="retry", charged=charged) == "done"
        shard.charged = charged or shard.interruptions >= MOST_INTERRUPTIONS
        shard.interruptions += not charged
        self._requeued(shard)

    def _requeued(self, shard: _Shard) -> None:
        self.stale.append(shard.lease)
        shard.status, shard.lease, shard.scored = JobState.QUEUED, None, 0

    @precondition(lambda self: self._running())
    @rule(index=indexes)
    def a_worker_is_lost(self, index: int) -> None:
        job, shard = self._one(self._running(), index)
        self._run_out(shard.lease)
        stopping = job.asked_to_stop or job.error is not None
        lease, attempt = shard.lease, shard.attempt
        self.world.rescue(self.services)
        if attempt < MAX_ATTEMPTS and not stopping:
            self._requeued(shard)
        else:
            self._ended(job, shard, JobState.CANCELLED if stopping else JobState.FAILED, 0)
            job.error = {"code": "worker_lost"} if job.error is ERROR and not stopping else job.error
        self._write_late(lease)

    @precondition(lambda self: self._running())
    @rule(index=indexes)
    def a_rescuer_asks_for_a_shard_whose_lease_still_runs(self, index: int) -> None:
        _, shard = self._one(self._running(), index)
        lost = partial(self.shards.finish, shard.lease, JobState.FAILED, "normal", "", error=ERROR)
        self._refused(partial(lost, expired_only=True))

    @precondition(lambda self: self.jobs)
    @rule(index=indexes)
    def cancel(self, index: int) -> None:
        job = self._one(list(self.jobs.values()), index)
        call = partial(self.store.cancel, PROJECT, job.id)
        if job.status in TERMINAL:
            self._refused(call, Conflict)
        elif job.asked_to_stop:
            assert self._unchanged(call) is False
        else:
            assert call() is True
            job.asked_to_stop = True
            if job.status is JobState.QUEUED:
                job.status = JobState.CANCELLED
            elif job.lease is None:
                self._settle(job)

    @precondition(lambda self: self._closing())
    @rule(index=indexes, how=st.sampled_from(("close", "lost", "drain")))
    def the_closing_of_a_job(self, index: int, how: str) -> None:
        job = self._one(self._closing(), index)
        lease, job.lease = job.lease, None
        attempt = int(self.store.record(PROJECT, job.id)["attempt"])
        if how == "close" or (how == "drain" and job.asked_to_stop):
            state = JobState.CANCELLED if job.asked_to_stop else JobState.SUCCEEDED
            self.store.finish(lease, state, result={"output": {}})
            job.status = state
        elif how == "drain":
            charged = int(self.store.record(PROJECT, job.id)["interruptions"]) >= 1
            answer = self.store.release(lease, "normal", reason="drain", charged=False)
            if answer == "spent":
                assert charged
                self.store.finish(lease, JobState.FAILED, error=ERROR)
                job.status = JobState.FAILED
            else:
                job.status = JobState.QUEUED
        else:
            self._run_out(lease)
            self.world.rescue(self.services)
            if attempt < MAX_ATTEMPTS and not job.asked_to_stop:
                job.status = JobState.QUEUED
            else:
                job.status = JobState.CANCELLED if job.asked_to_stop else JobState.FAILED
        self.stale.append(lease)
        self._write_late(lease)

    @precondition(lambda self: self.stale)
    @rule(index=indexes)
    def an_attempt_of_long_ago_writes(self, index: int) -> None:
        self._write_late(self._one(self.stale, index))

    @precondition(lambda self: self.stale)
    @rule(index=indexes)
    def a_lease_is_left_that_nothing_stands_behind(self, index: int) -> None:
        """Of a shard that waits, has ended, or is forgotten with its job."""
        lease = self._one(self.stale, index)
        member = keys.member(PROJECT, lease.job_id)
        if self.redis.zscore(keys.LEASES, member) is None:
            before = everything(self.redis)
            self.redis.zadd(keys.LEASES, {member: 0})
            self.world.rescue(self.services)
            assert everything(self.redis) == before

    @rule()
    def wake_ups_are_lost(self) -> None:
        self.redis.delete(queue_name("normal"))

    # Checks

    @invariant()
    def promises_hold(self) -> None:
        leases = set(self.redis.zrange(keys.LEASES, 0, -1))
        ready = set(self.redis.zrange(keys.ready_of("normal", PROJECT), 0, -1))
        expected_leases = set()
        for job in self.jobs.values():
            record = self.store.record(PROJECT, job.id)
            assert record["status"] == job.status, "S2"
            assert record.get("token") == (job.lease and job.lease.token), "S1"
            expected_leases |= {keys.member(PROJECT, job.id)} if job.lease else set()
            assert (job.id in ready) == (job.status is JobState.QUEUED)
            held_in = [state for state in JobState if job.id in self._index(state)]
            assert held_in == [job.status], "S2: indexes"
            self._check_shards(job, record, ready, expected_leases)
            used = sum(shard.used for shard in job.shards if shard.status in TERMINAL)
            assert decode(record).get("usage", {}).get("wall_seconds", 0) == used, "S7"
        check_usage(self.redis, PROJECT, [self.store.record(PROJECT, job_id) for job_id in self.jobs])
        assert leases == expected_leases, "S4"
        held = self.store.page(PROJECT, {}, limit=100)[0]
        assert {job.id for job in held} == set(self.jobs), "to clients a shard is no job"

    def _check_shards(self, job: _Job, record: dict[str, str], ready: set[str], leases: set[str]) -> None:
        pending = set(self.redis.zrange(keys.shards(PROJECT, job.id, "pending"), 0, -1))
        if job.status is JobState.SUCCEEDED:
            assert not list(self.redis.scan_iter(f"{keys.job(PROJECT, job.id)}.*")), "shards are left"
            assert not list(self.redis.scan_iter(f"{keys.shards(PROJECT, job.id, '')}*"))
            return
        assert int(record["rows_scored"]) == sum(shard.scored for shard in job.shards), "S5"
        assert int(record["rows_failed"]) == sum(shard.failed for shard in job.shards), "S5"
        for shard in job.shards:
            held = self.store.record(PROJECT, shard.id)
            assert held["status"] == shard.status, "S4"
            assert held.get("token") == (shard.lease and shard.lease.token)
            assert int(held["attempt"]) == shard.attempt <= MAX_ATTEMPTS
            states = [
                state
                for state in JobState
                if self.redis.zscore(keys.shards(PROJECT, job.id, state), shard.id) is not None
            ]
            assert states == [shard.status], "S4"
            assert (shard.id in pending) + (shard.id in ready) == (shard.status is JobState.QUEUED), "S4"
            leases |= {keys.member(PROJECT, shard.id)} if shard.lease else set()
        queued = job.having(JobState.QUEUED)
        assert not queued or ready & {shard.id for shard in queued}, "S6: none of them waits for a worker"

    def teardown(self) -> None:
        for _ in range(20):  # faults stop
            self.claim(3)
            for job, shard in self._running():
                state = JobState.CANCELLED if job.asked_to_stop or job.error else JobState.SUCCEEDED
                self._finish(job, shard, state)
            for number, _ in enumerate(self._closing()):
                self.the_closing_of_a_job(number, "close")
        self.promises_hold()
        assert all(job.status in TERMINAL for job in self.jobs.values()), "S6"
        for job in self.jobs.values():
            error = self.store.get(PROJECT, job.id).error
            if job.status is JobState.FAILED and job.error:
                assert error is not None
                assert error.code == job.error["code"]

    # Helpers

    def _running(self) -> list[tuple[_Job, _Shard]]:
        return [(job, shard) for job in self.jobs.values() for shard in job.having(JobState.RUNNING)]

    def _ended_shards(self) -> list[tuple[_Job, _Shard]]:
        return [(job, shard) for job in self.jobs.values() for shard in job.shards if shard.answered]

    def _index(self, state: JobState) -> list[str]:
        found: list[str] = self.redis.zrange(keys.jobs_by(PROJECT, "status", state), 0, -1)
        return found

    def _closing(self) -> list[_Job]:
        return [job for job in self.jobs.values() if job.lease]

    def _run_out(self, lease: Lease) -> None:
        self.past += 1
        self.redis.zadd(keys.LEASES, {keys.member(PROJECT, lease.job_id): self.past}, xx=True)

    def _write_late(self, lease: Lease) -> None:
        self._refused(partial(self.store.renew, lease, rows_scored=5))
        self._refused(partial(self.store.note, lease, "warning", reason="late"))
        self._refused(partial(self.store.release, lease, "normal", reason="late"))
        if not keys.split_shard(lease.job_id):
            stranger = Lease(lease.project, lease.job_id, "0" * 32)
            self._refused(
                partial(self.shards.split, stranger, "normal", [NewShard([])], table={}, failed_allowed=0)
            )
            return
        ended = [s for job in self.jobs.values() for s in job.shards if s.id == lease.job_id and s.answered]
        if not ended or ended[0].answered.args[0] != lease:  # type: ignore[union-attr]
            call = partial(self.shards.finish, lease, JobState.SUCCEEDED, "normal", "worker", rows=1)
            if self.store.get(PROJECT, lease.job_id.partition(".")[0]).status is not JobState.SUCCEEDED:
                ended_by = self.store.record(PROJECT, lease.job_id).get("finished_by")
                if ended_by == lease.token:
                    return  # the rescuer ended it in this attempt's name
            self._refused(call)

    def _refused(self, call: Callable[[], object] | None, error: type[Exception] = LostLease) -> None:
        def refused() -> bool:
            assert call is not None
            try:
                call()
            except error:
                return True
            return False

        assert self._unchanged(refused), f"it did not raise {error.__name__}"

    def _unchanged(self, call: Callable[[], Any] | None) -> Any:
        assert call is not None
        before = everything(self.redis)
        answer = call()
        assert everything(self.redis) == before, "S3: it left a trace"
        return answer

    @staticmethod
    def _one(among: list[Any], index: int) -> Any:
        return among[index % len(among)]


@pytest.mark.timeout(900)
def test_every_promise_about_shards_holds_after_every_step(redis_server: RunningServer) -> None:
    world = world_on(redis_server)
    run_state_machine_as_test(lambda: ShardHistory(world), settings=PROFILE)
