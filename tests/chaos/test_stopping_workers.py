"""SIGTERM, as a deploy sends it: nothing new is begun, what runs goes back uncharged, and the worker leaves in time."""

from __future__ import annotations

import os
import signal
import threading

import httpx
import pytest

from tests.chaos.rig import GRACE_SECONDS, TIMES, Rig
from tests.support.client import Graft
from tests.support.waiting import eventually


def test_a_stopped_worker_gives_its_job_back_uncharged(rig: Rig) -> None:
    job_id = rig.submit(rig.long(epochs=1200))
    worker = rig.computing(job_id)
    with rig.stopwatch("SIGTERM of a worker → exit"):
        worker.hurt(signal.SIGTERM)
        assert worker.wait_exit(GRACE_SECONDS) == 0
    job = rig.graft.ended(job_id)
    assert (job["status"], job["attempt"]) == ("succeeded", 1)
    told = [event for event in rig.events(job_id) if event != "checkpoint"]  # of a slow machine
    assert told == ["submitted", "claimed", "requeued", "claimed", "succeeded"]


def test_a_job_that_ends_within_the_grace_period_is_finished(rig: Rig) -> None:
    with rig.extra_worker(GRAFT_DRAIN_SECONDS="60") as worker:
        job_id = rig.submit(rig.long(priority="low"))
        rig.computing(job_id)
        worker.hurt(signal.SIGTERM)
        assert rig.graft.ended(job_id)["status"] == "succeeded"
        assert worker.wait_exit(GRACE_SECONDS) == 0
    assert rig.events(job_id) == ["submitted", "claimed", "succeeded"]


def test_a_stopping_worker_claims_nothing_more(rig: Rig) -> None:
    worker = rig.only("a")
    running = rig.submit(rig.long())
    rig.computing(running)
    waiting = [rig.submit(rig.quick()) for _ in range(3)]
    worker.hurt(signal.SIGTERM)
    assert worker.wait_exit(GRACE_SECONDS) == 0
    assert [rig.graft.job(job_id)["attempt"] for job_id in waiting] == [0, 0, 0]
    assert rig.graft.job(running)["status"] == "queued"


def test_an_idle_worker_leaves_at_once(rig: Rig) -> None:
    worker = rig.workers["a"]
    worker.hurt(signal.SIGTERM)
    assert worker.wait_exit(GRACE_SECONDS) == 0


def test_a_worker_that_waits_for_the_store_gives_its_job_back_in_time(rig: Rig) -> None:
    """A deploy during an outage of the store: the upload is given up, not the job."""
    job_id = rig.submit(rig.long())
    worker = rig.computing(job_id)
    rig.store.kill()
    rig.phase(job_id, "publishing")
    worker.hurt(signal.SIGTERM)
    assert worker.wait_exit(float(TIMES["GRAFT_DRAIN_SECONDS"]) + GRACE_SECONDS) == 0
    rig.mend()
    job = rig.graft.ended(job_id)
    assert (job["status"], job["attempt"]) == ("succeeded", 1)


@pytest.mark.parametrize("name", ["redis", "store"])
def test_a_worker_stops_in_time_when_a_server_is_away(rig: Rig, name: str) -> None:
    worker = rig.workers["a"]
    getattr(rig, name).kill()
    eventually(lambda: name == "store" or "postponed" in worker.log(), 10)
    worker.hurt(signal.SIGTERM)
    worker.wait_exit(GRACE_SECONDS)


def test_a_rolling_restart_under_load_fails_no_job_and_no_request(rig: Rig) -> None:
    body = rig.quick()
    stop, wrong = threading.Event(), []

    def load() -> None:
        while not stop.wait(0.3):
            try:
                with Graft(rig.api.url, rig.api_key) as client:
                    response = client.submit(body)
            except httpx.TransportError as error:
                wrong.append(repr(error))
                continue
            if response.status_code == 202:
                rig.acknowledged.append(response.json()["id"])
            elif response.status_code != 503 or "Retry-After" not in response.headers:
                wrong.append(response.text)

    thread = threading.Thread(target=load)
    thread.start()
    try:
        for worker in list(rig.workers.values()):
            worker.hurt(signal.SIGTERM)
            worker.wait_exit(GRACE_SECONDS)
            worker.restart()
            os.kill(rig.api.pid, signal.SIGHUP)  # gunicorn's: new processes, and the old ones finish
    finally:
        stop.set()
        thread.join()
    rig.all_ended()
    assert not wrong
    assert len(rig.acknowledged) > 10
    assert {rig.graft.job(job_id)["status"] for job_id in rig.acknowledged} == {"succeeded"}
