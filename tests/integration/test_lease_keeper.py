"""The lease keeper against a real Redis: renews, notes, hears of a cancel, and fences itself."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from graft.stack import start_redis
from shared import database
from shared.job_records import Lease, NewJob
from shared.jobs import JobStore
from shared.services import Services
from tests.support.waiting import eventually
from worker.keeper import Interrupted, LeaseKeeper


def running(jobs: JobStore) -> Lease:
    jobs.submit(NewJob(project="default", type="train", spec={}))
    claimed = jobs.claim("normal", "worker-1")
    assert claimed
    return claimed[0]


def keeper(
    jobs: JobStore, lease: Lease, lease_seconds: float = 0.3, draining: threading.Event | None = None
) -> LeaseKeeper:
    return LeaseKeeper(
        jobs,
        lease,
        draining or threading.Event(),
        lease_seconds=lease_seconds,
        renew_seconds=0.05,
        tick_seconds=0.02,
        drain_seconds=0.2,
    )


def completed(services: Services, lease: Lease) -> int | None:
    progress = services.jobs.get("default", lease.job_id).progress
    return progress.completed if progress else None


def test_a_kept_lease_does_not_run_out_and_one_let_go_does(services: Services) -> None:
    lease = running(services.jobs)
    with keeper(services.jobs, lease) as kept:
        for step in range(20):
            kept.note(progress={"phase": "fitting", "completed": step, "total": 20, "unit": "epochs"})
            eventually(lambda step=step: completed(services, lease) == step)  # type: ignore[misc]
            assert services.jobs.expired() == []
        kept.check()
    eventually(services.jobs.expired)


def test_a_cancel_interrupts(services: Services) -> None:
    lease = running(services.jobs)
    with keeper(services.jobs, lease) as kept:
        services.jobs.cancel("default", lease.job_id)
        assert eventually(lambda: kept.interruption) == "cancel"
        with pytest.raises(Interrupted):
            kept.check()


def test_a_draining_worker_interrupts_when_its_time_is_up_and_keeps_the_lease_until_then(
    services: Services,
) -> None:
    lease, draining = running(services.jobs), threading.Event()
    with keeper(services.jobs, lease, draining=draining) as kept:
        draining.set()
        assert kept.interruption is None
        assert eventually(lambda: kept.interruption) == "drain"
        assert services.jobs.release(lease, "normal", reason="drain", charged=False) == "done"


def test_a_job_that_was_given_away_interrupts(services: Services) -> None:
    lease = running(services.jobs)
    services.jobs.release(lease, "normal", reason="worker_lost")
    with keeper(services.jobs, lease) as kept:
        assert eventually(lambda: kept.interruption) == "lost"


def test_without_redis_the_attempt_fences_itself_when_its_lease_must_have_run_out(tmp_path: Path) -> None:
    with start_redis(tmp_path) as server:
        jobs = JobStore(
            database.connect(server.url, timeout_seconds=0.2),
            lease_seconds=1.0,
            max_live_jobs=10,
            max_interruptions=20,
            idempotency_seconds=60,
        )
        with keeper(jobs, running(jobs), lease_seconds=1.0) as kept:
            server.kill()
            assert eventually(lambda: kept.interruption) == "lost"
