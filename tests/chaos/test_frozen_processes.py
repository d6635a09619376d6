"""SIGSTOP for longer than a lease, then SIGCONT: an attempt that does not know that it has lost its job."""

from __future__ import annotations

import signal
import time

from tests.chaos.rig import LEASE_SECONDS, TAKEOVER_SECONDS, Rig
from tests.support.waiting import eventually


def test_a_frozen_worker_is_taken_over_and_what_it_does_afterwards_is_refused(rig: Rig) -> None:
    job_id = rig.submit(rig.long(epochs=1200))
    frozen = rig.computing(job_id)
    stale = frozen.children()
    with rig.stopwatch("SIGSTOP of a worker → job runs elsewhere"):
        frozen.hurt(signal.SIGSTOP)
        stopped_at = time.monotonic()
        rig.attempt(job_id, 2, TAKEOVER_SECONDS)
    time.sleep(max(0.0, 2 * LEASE_SECONDS - (time.monotonic() - stopped_at)))
    with rig.stopwatch("SIGCONT of the worker → the stale attempt has stopped itself"):
        frozen.hurt(signal.SIGCONT)
        eventually(lambda: not any(child.is_running() for child in stale), 15)
    job = rig.graft.ended(job_id)
    assert (job["status"], job["attempt"]) == ("succeeded", 2)
    assert job["worker"] != frozen.known_as
    assert rig.events(job_id).count("claimed") == 2


def test_a_worker_that_wakes_with_a_finished_result_cannot_publish_it(rig: Rig) -> None:
    """Its child ends while the supervisor is frozen: the outcome lies in the pipe when that one wakes up."""
    job_id = rig.submit(rig.long(epochs=250))
    frozen = rig.computing(job_id)
    stale = frozen.children()
    frozen.hurt(signal.SIGSTOP)
    stopped_at = time.monotonic()
    rig.attempt(job_id, 2, TAKEOVER_SECONDS)
    eventually(lambda: rig.graft.job(job_id)["status"] == "succeeded", 60)
    time.sleep(max(0.0, 2 * LEASE_SECONDS - (time.monotonic() - stopped_at)))
    frozen.hurt(signal.SIGCONT)
    eventually(lambda: not any(child.is_running() for child in stale), 15)
    again = rig.submit(rig.quick())  # it goes on working, too
    assert rig.graft.ended(again)["status"] == "succeeded"
    assert rig.graft.job(job_id)["attempt"] == 2


def test_a_lone_worker_that_was_frozen_ends_its_job_itself(rig: Rig) -> None:
    """Nobody was there to take the job over: whether it goes on or starts again, it takes effect once."""
    worker = rig.only("a")
    job_id = rig.submit(rig.long())
    rig.computing(job_id)
    worker.hurt(signal.SIGSTOP)
    time.sleep(2 * LEASE_SECONDS)
    worker.hurt(signal.SIGCONT)
    assert rig.graft.ended(job_id)["status"] == "succeeded"


def test_a_frozen_child_keeps_its_lease_and_goes_on(rig: Rig) -> None:
    job_id = rig.submit(rig.long())
    child = rig.computing(job_id).children()[0]
    child.suspend()
    time.sleep(2 * LEASE_SECONDS)
    assert rig.graft.job(job_id)["attempt"] == 1
    child.resume()
    assert rig.graft.ended(job_id)["attempt"] == 1


def test_a_frozen_child_can_be_cancelled(rig: Rig) -> None:
    job_id = rig.submit(rig.long())
    child = rig.computing(job_id).children()[0]
    child.suspend()
    with rig.stopwatch("cancel of a job whose child is frozen → cancelled"):
        rig.graft.post(f"/v1/jobs/{job_id}/cancel")
        assert rig.graft.ended(job_id, 10)["status"] == "cancelled"
    eventually(lambda: not child.is_running(), 5)
