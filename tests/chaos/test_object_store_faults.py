"""The object store away, slow, flaky, or cutting uploads half-way."""

from __future__ import annotations

import time

import pytest

from tests.chaos.conftest import soak
from tests.chaos.rig import LEASE_SECONDS, Rig, answers
from tests.support.waiting import eventually


def leased(rig: Rig, job_id: str) -> bool:
    """Whether its attempt still renews: no lease of a running job has run out."""
    assert rig.graft.job(job_id)["attempt"] == 1
    return not rig.services.jobs.expired()


def test_an_upload_waits_for_the_store_and_the_training_is_not_lost(rig: Rig) -> None:
    job_id = rig.submit(rig.long())
    rig.computing(job_id)
    rig.store.kill()
    rig.phase(job_id, "publishing")
    until = time.monotonic() + 2 * LEASE_SECONDS
    while time.monotonic() < until:
        assert leased(rig, job_id)
        assert answers(f"{rig.api.url}/v1/jobs/{job_id}", rig.api_key).json()["status"] == "running"
    with rig.stopwatch("store back → upload done and job succeeded"):
        rig.store.restart()
        job = rig.graft.ended(job_id, 30)
    assert (job["status"], job["attempt"]) == ("succeeded", 1)
    assert rig.events(job_id) == ["submitted", "claimed", "succeeded"]


@soak
def test_a_job_that_begins_while_the_store_is_away_waits_for_it(rig: Rig) -> None:
    """An outage of half a minute must not use up the attempts of every job that begins in it."""
    body = rig.quick()
    rig.store.kill()
    job_id = rig.submit(body)
    time.sleep(25)
    rig.store.restart()
    assert rig.graft.ended(job_id)["status"] == "succeeded"


def test_the_api_answers_while_the_store_is_away(rig: Rig) -> None:
    body = rig.quick()
    rig.store.kill()
    started = time.monotonic()
    job_id = rig.submit(body)
    assert answers(f"{rig.api.url}/v1/jobs/{job_id}", rig.api_key).status_code == 200
    assert time.monotonic() - started < 10
    refused = rig.graft.upload("a,label\n1,2\n")
    assert refused.status_code == 503
    assert "Retry-After" in refused.headers
    ready = answers(f"{rig.api.url}/readyz", rig.api_key)
    assert ready.status_code == 503
    assert ready.json()["checks"]["store"] != "ok"
    rig.store.restart()


@soak
def test_a_store_that_answers_10_seconds_late_delays_and_harms_nothing(rig: Rig) -> None:
    job_id = rig.submit(rig.long())
    rig.computing(job_id)
    rig.to_store.delay_seconds = 10
    job = rig.graft.ended(job_id)
    assert (job["status"], job["attempt"]) == ("succeeded", 1)


def test_a_store_that_fails_every_fifth_call_fails_no_job(rig: Rig) -> None:
    rig.to_store.flaky = 0.2
    body = rig.quick()
    for _ in range(15):
        rig.submit(body)
    rig.all_ended()
    assert rig.to_store.cuts > 0
    assert {rig.graft.job(job_id)["status"] for job_id in rig.acknowledged} == {"succeeded"}


def test_an_upload_cut_half_way_is_made_again_and_is_whole(rig: Rig) -> None:
    """That what a version points at is whole is for the invariants, which read it all."""
    job_id = rig.submit(rig.long())
    rig.computing(job_id)
    rig.to_store.cut_after_bytes = 70_000
    rig.to_store.cut()
    eventually(lambda: rig.to_store.cuts >= 4, 60)
    assert rig.graft.get("/v1/models/long").status_code == 404
    rig.to_store.cut_after_bytes = None
    job = rig.graft.ended(job_id, 60)
    assert (job["status"], job["attempt"]) == ("succeeded", 1)


@pytest.mark.parametrize("when", ["reading", "publishing"])
def test_a_store_that_hangs_does_not_keep_a_job_from_being_cancelled(rig: Rig, when: str) -> None:
    body = rig.long()
    if when == "reading":
        rig.to_store.mode = "half_open"
        job_id = rig.submit(body)
    else:
        job_id = rig.submit(body)
        rig.computing(job_id)
        rig.to_store.mode = "half_open"
    rig.phase(job_id, when)
    with rig.stopwatch(f"cancel while {when}, store hangs → cancelled"):
        assert rig.graft.post(f"/v1/jobs/{job_id}/cancel").status_code == 202
        assert rig.graft.ended(job_id, 10)["status"] == "cancelled"
