"""How a job can be asked for: waiting or not, once however often it is sent, and where it stands in line."""

from __future__ import annotations

import time

import pytest

from tests.e2e import tables
from tests.support.client import Graft, Json, train_body


@pytest.fixture(scope="module")
def iris(graft: Graft) -> str:
    return graft.dataset(tables.iris())


# Prefer (RFC 7240)


def test_who_prefers_to_wait_is_answered_with_the_ended_job(graft: Graft, iris: str) -> None:
    response = graft.submit(train_body(iris, "preferred"), Prefer="wait=30")
    assert response.status_code == 200
    assert response.headers["Preference-Applied"] == "wait=30"
    job = response.json()
    assert job["status"] == "succeeded"
    assert response.headers["Location"] == f"/v1/jobs/{job['id']}"
    assert "Retry-After" not in response.headers
    assert job == graft.job(job["id"])


def test_who_prefers_to_wait_for_less_than_it_takes_is_answered_as_ever(graft: Graft, endless: Json) -> None:
    begun = time.monotonic()
    response = graft.submit(endless, Prefer="respond-async, wait=1")
    assert 1 <= time.monotonic() - begun < 10
    assert response.status_code == 202
    assert response.headers["Preference-Applied"] == "respond-async, wait=1"
    assert response.json()["status"] in {"queued", "running"}
    job_id = response.json()["id"]
    begun = time.monotonic()
    looked = graft.get(f"/v1/jobs/{job_id}", headers={"Prefer": "wait=1"})
    assert 1 <= time.monotonic() - begun < 10
    assert (looked.status_code, looked.headers["Preference-Applied"]) == (200, "wait=1")
    graft.post(f"/v1/jobs/{job_id}/cancel")


def test_who_prefers_not_to_wait_is_told_that_nobody_does(graft: Graft, iris: str) -> None:
    response = graft.submit(train_body(iris, "asynchronous"), Prefer="respond-async")
    assert response.status_code == 202
    assert response.headers["Preference-Applied"] == "respond-async"


@pytest.mark.parametrize("prefer", ["wait=soon", "wait=-1", "wait", ";;", "return=minimal"])
def test_a_preference_that_is_not_understood_is_ignored(graft: Graft, endless: Json, prefer: str) -> None:
    begun = time.monotonic()
    response = graft.submit(endless, Prefer=prefer)
    assert (response.status_code, response.headers.get("Preference-Applied")) == (202, None)
    assert time.monotonic() - begun < 5
    graft.post(f"/v1/jobs/{response.json()['id']}/cancel")


def test_a_look_that_prefers_to_wait_gets_the_ended_job(graft: Graft, iris: str) -> None:
    job_id = graft.submit(train_body(iris, "looked-for")).json()["id"]
    response = graft.get(f"/v1/jobs/{job_id}", headers={"Prefer": "wait=30"})
    assert response.json()["status"] == "succeeded"
    assert response.headers["Preference-Applied"] == "wait=30"


def test_a_retry_may_be_waited_for_too(graft: Graft, endless: Json) -> None:
    failed = graft.submit({**endless, "timeout_seconds": 1}, Prefer="wait=30").json()
    assert failed["error"]["code"] == "timed_out"
    again = graft.post(f"/v1/jobs/{failed['id']}/retry", headers={"Prefer": "wait=30"})
    assert (again.status_code, again.json()["status"]) == (200, "failed")
