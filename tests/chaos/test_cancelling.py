"""Cancel at every point of a job's life: cancelled within 10 seconds, or succeeded; never both, never neither."""

from __future__ import annotations

import random
import time

from tests.chaos.rig import Rig
from tests.support.client import Json
from tests.support.waiting import eventually

CANCEL_SECONDS = 10


def cancel(rig: Rig, job_id: str) -> int:
    return rig.graft.post(f"/v1/jobs/{job_id}/cancel").status_code


def cancelled(rig: Rig, job_id: str, what: str) -> Json:
    with rig.stopwatch(f"cancel {what} → cancelled"):
        assert cancel(rig, job_id) == 202
        job = rig.graft.ended(job_id, CANCEL_SECONDS)
    assert job["status"] == "cancelled"
    return job


def test_cancel_while_queued(rig: Rig) -> None:
    for worker in rig.workers.values():
        worker.stop()
    job_id = rig.submit(rig.quick())
    cancelled(rig, job_id, "while queued")
    rig.mend()
    assert rig.graft.ended(rig.submit(rig.quick()))["status"] == "succeeded"
    assert rig.events(job_id) == ["submitted", "cancelled"]


def test_cancel_while_running(rig: Rig) -> None:
    job_id = rig.submit(rig.long(epochs=100_000))
    worker = rig.computing(job_id)
    children = worker.children()
    cancelled(rig, job_id, "while running")
    eventually(lambda: not any(child.is_running() for child in children), 5)


def test_cancel_while_waiting_for_a_retry(rig: Rig) -> None:
    job_id = rig.submit(rig.long())
    rig.computing(job_id).children()[0].kill()
    eventually(lambda: rig.graft.job(job_id)["status"] == "queued", every=0.005)
    cancelled(rig, job_id, "while waiting for a retry")


def test_cancel_while_publishing(rig: Rig) -> None:
    job_id = rig.submit(rig.long())
    rig.computing(job_id)
    rig.to_store.delay_seconds = 4
    rig.phase(job_id, "publishing")
    assert cancel(rig, job_id) == 202
    assert rig.graft.ended(job_id, CANCEL_SECONDS)["status"] in {"cancelled", "succeeded"}


def test_cancel_while_its_worker_is_gone(rig: Rig) -> None:
    job_id = rig.submit(rig.long())
    rig.only("a").kill()
    rig.workers["a"].start()
    worker = rig.computing(job_id)
    worker.kill()
    rig.workers["b"].start()
    cancelled(rig, job_id, "while its worker is gone")


def test_a_cancel_that_races_the_commit_has_one_winner(rig: Rig) -> None:
    chance, ends = random.Random(1), []
    body = rig.quick()
    for _ in range(20):
        job_id = rig.submit(body)
        time.sleep(chance.uniform(0.0, 0.7))  # the race itself
        status = cancel(rig, job_id)
        job = rig.graft.ended(job_id, CANCEL_SECONDS)
        assert status in {202, 409}
        assert job["status"] == "succeeded" if status == 409 else job["status"] in {"succeeded", "cancelled"}
        ends.append(job["status"])
    assert set(ends) == {"succeeded", "cancelled"}, f"the delays do not meet the race: {ends}"
