"""A process dies right before or right after a step that changes a server, at each of them (shared/failpoints.py)."""

from __future__ import annotations

import signal
from typing import Any

import httpx
import pytest

from tests.chaos.conftest import soak
from tests.chaos.rig import Rig
from tests.support.client import Json
from tests.support.waiting import eventually

around = pytest.mark.parametrize("moment", ["before", "after"])


def in_soak(*steps: str) -> list[Any]:
    return [pytest.param(step, marks=soak) for step in steps]


def restart_the_dead(rig: Rig) -> None:
    """The worker that a failpoint has killed lives again."""
    dead = eventually(lambda: [worker for worker in rig.workers.values() if worker.exit_code() is not None])
    for worker in dead:
        assert worker.exit_code() == -signal.SIGKILL
        worker.start()


@around
@pytest.mark.parametrize("step", ["claim", "put", "finish", *in_soak("renew", "dispatch")])
def test_a_worker_dies_around_a_step_of_an_attempt(rig: Rig, step: str, moment: str) -> None:
    body = rig.quick()
    with rig.dies_at(f"{step}.{moment}"):
        job_id = rig.submit(body)
    restart_the_dead(rig)
    assert rig.graft.ended(job_id)["status"] == "succeeded"
    if (step, moment) == ("finish", "before"):
        assert "recovered" in rig.events(job_id), "what was made is not made again"


@around
def test_a_worker_dies_around_a_retry(rig: Rig, moment: str) -> None:
    job_id = rig.submit(rig.long())
    worker = rig.computing(job_id)
    with rig.dies_at(f"release.{moment}"):
        worker.children()[0].kill()
    restart_the_dead(rig)
    assert rig.graft.ended(job_id)["status"] == "succeeded"


@around
def test_a_worker_dies_around_a_rescue(rig: Rig, moment: str) -> None:
    job_id = rig.submit(rig.long())
    lost = rig.computing(job_id)
    with rig.dies_at(f"rescue.{moment}"):
        lost.hurt(signal.SIGKILL)
    restart_the_dead(rig)
    assert rig.graft.ended(job_id)["status"] == "succeeded"


@around
@pytest.mark.parametrize("step", ["note", *in_soak("put", "delete")])
def test_a_worker_dies_around_a_step_of_a_checkpoint(rig: Rig, step: str, moment: str) -> None:
    """A checkpoint is uploaded, pointed at, and the one before it is deleted."""
    body = rig.long(priority="low")
    with rig.extra_worker(GRAFT_CHECKPOINT_SECONDS="0.2"):
        with rig.dies_at(f"{step}.{moment}"):
            job_id = rig.submit(body)
        restart_the_dead(rig)
        assert rig.graft.ended(job_id)["status"] == "succeeded"
    if (step, moment) != ("put", "before"):
        assert "checkpoint" in rig.events(job_id)


@around
def test_the_api_dies_around_the_acceptance_of_a_job(rig: Rig, moment: str) -> None:
    """Whoever has not heard of an answer asks again with the same key, and there is one job."""
    body = rig.quick()
    with rig.dies_at(f"submit.{moment}"), pytest.raises(httpx.TransportError):
        rig.graft.submit(body, **{"Idempotency-Key": "once"})
    accepted = eventually(lambda: _unless_held(rig.graft.submit(body, **{"Idempotency-Key": "once"})))
    assert accepted.status_code == 202, accepted.text
    job_id = str(accepted.json()["id"])
    rig.acknowledged.append(job_id)
    assert rig.graft.ended(job_id)["status"] == "succeeded"
    assert [job["id"] for job in jobs(rig)] == [job_id]


@around
@pytest.mark.parametrize("state", ["running", *in_soak("queued")])
def test_the_api_dies_around_a_cancel(rig: Rig, state: str, moment: str) -> None:
    if state == "queued":
        rig.stop_workers()
    job_id = rig.submit(rig.long(epochs=100_000))
    if state == "running":
        rig.computing(job_id)
    with rig.dies_at(f"cancel.{moment}"), pytest.raises(httpx.TransportError):
        rig.graft.post(f"/v1/jobs/{job_id}/cancel")
    assert rig.graft.post(f"/v1/jobs/{job_id}/cancel").status_code in {200, 202, 409}
    assert rig.graft.ended(job_id, 10)["status"] == "cancelled"


@around
def test_a_worker_dies_around_the_end_of_a_cancelled_job(rig: Rig, moment: str) -> None:
    job_id = rig.submit(rig.long())
    rig.computing(job_id)
    with rig.dies_at(f"finish.{moment}"):
        rig.graft.post(f"/v1/jobs/{job_id}/cancel")
    restart_the_dead(rig)
    assert rig.graft.ended(job_id, 20)["status"] == "cancelled"


@around
def test_the_api_dies_around_an_upload(rig: Rig, moment: str) -> None:
    with rig.dies_at(f"put.{moment}"), pytest.raises(httpx.TransportError):
        rig.graft.upload("a,label\n1,2\n2,3\n")
    assert rig.graft.get("/v1/datasets").json()["data"] == []
    assert rig.graft.ended(rig.submit(rig.quick()))["status"] == "succeeded"


def _unless_held(response: httpx.Response) -> httpx.Response | None:
    """Nothing while the dead process holds the key."""
    held = response.status_code == 409 and response.json()["code"] == "idempotency_key_in_use"
    return None if held else response


def jobs(rig: Rig) -> list[Json]:
    found: list[Json] = rig.graft.get("/v1/jobs").json()["data"]
    return found
