"""A network that fails between a worker and Redis: cut, refused, half-open, or swallowing one answer."""

from __future__ import annotations

import time

import pytest

from tests.chaos.rig import LEASE_SECONDS, TAKEOVER_SECONDS, Rig
from tests.support.waiting import eventually


@pytest.fixture
def apart(rig: Rig) -> Rig:
    """Worker b reaches Redis directly; only a is behind the proxy."""
    rig.direct_worker("b")
    return rig


@pytest.mark.parametrize("how", ["refuse", "half_open"])
def test_an_attempt_cut_off_from_redis_fences_itself_and_another_worker_finishes(
    apart: Rig, how: str
) -> None:
    rig = apart
    rig.workers["b"].stop()
    job_id = rig.submit(rig.long(epochs=800))
    cut_off = rig.computing(job_id)
    stale = cut_off.children()
    with rig.stopwatch(f"partition ({how}) → job runs elsewhere"):
        rig.to_redis.mode = how
        if how == "refuse":
            rig.to_redis.cut()
        rig.workers["b"].start()
        rig.attempt(job_id, 2, TAKEOVER_SECONDS)
    with rig.stopwatch(f"partition ({how}) → after the takeover the stale child ends"):
        eventually(lambda: not any(child.is_running() for child in stale), 2 * LEASE_SECONDS + 10)
    job = rig.graft.ended(job_id)
    assert (job["status"], job["attempt"]) == ("succeeded", 2)
    assert job["worker"] != cut_off.known_as


@pytest.mark.parametrize("how", ["refuse", "half_open"])
def test_a_worker_consumes_again_within_15_seconds_of_a_partition(rig: Rig, how: str) -> None:
    rig.only("a")
    rig.to_redis.mode = how
    if how == "refuse":
        rig.to_redis.cut()
    time.sleep(2 * LEASE_SECONDS)
    rig.to_redis.heal()
    job_id = rig.submit(rig.quick())
    with rig.stopwatch(f"partition ({how}) over → a job begins"):
        rig.attempt(job_id, 1, 15)


@pytest.mark.parametrize("said", ["BRPOP", "EVALSHA"])
def test_one_connection_that_breaks_at_a_bad_moment_stops_no_worker(rig: Rig, said: str) -> None:
    """While it waits for a wake-up, or claims a job."""
    worker = rig.only("a")
    assert rig.graft.ended(rig.submit(rig.quick()))["status"] == "succeeded"
    rig.to_redis.cut_once_at = said.encode()
    for job_id in [rig.submit(rig.quick()) for _ in range(3)]:
        with rig.stopwatch(f"connection cut at {said} → a job begins"):
            rig.attempt(job_id, 1, 15)
        assert rig.graft.ended(job_id)["status"] == "succeeded"
    assert worker.exit_code() is None


def test_connections_that_break_all_the_time_harm_no_job(rig: Rig) -> None:
    rig.to_redis.flaky = 0.02
    body = rig.quick()
    for _ in range(15):
        rig.submit(body)
    rig.all_ended()
    assert {rig.graft.job(job_id)["status"] for job_id in rig.acknowledged} == {"succeeded"}


def test_a_partition_from_redis_while_publishing_has_one_effect(apart: Rig) -> None:
    """The artifact is uploaded, but the script that makes it count cannot be reached."""
    rig = apart
    rig.workers["b"].stop()
    job_id = rig.submit(rig.long())
    rig.computing(job_id)
    rig.to_store.delay_seconds = 2
    rig.phase(job_id, "publishing")
    rig.to_redis.mode = "half_open"
    rig.workers["b"].start()
    rig.attempt(job_id, 2, TAKEOVER_SECONDS)
    rig.to_redis.heal()
    rig.to_redis.cut()
    assert rig.graft.ended(job_id)["status"] == "succeeded"
    assert rig.graft.get("/v1/models/long").json()["latest_version"] == 1
