"""How a job can be asked for: waiting or not, once however often it is sent, and where it stands in line."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest

from tests.e2e import tables
from tests.support.client import Graft, Json, train_body
from tests.support.waiting import eventually


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


# Idempotency-Key


def keyed() -> dict[str, str]:
    return {"Idempotency-Key": secrets.token_hex(8)}


def _turned(value: Any) -> Any:
    return dict(reversed(value.items())) if isinstance(value, dict) else value


def test_the_same_body_is_the_same_however_it_is_written(graft: Graft, iris: str) -> None:
    body, headers = train_body(iris, "rewritten", metadata={"a": "é", "b": 1}), keyed()
    first = graft.submit(body, **headers)
    turned = json.dumps({name: _turned(body[name]) for name in reversed(body)}, indent=3, ensure_ascii=True)
    second = graft.post("/v1/jobs", content=turned, headers={"Content-Type": "application/json", **headers})
    assert (second.status_code, second.headers["Idempotency-Replayed"]) == (202, "true")
    assert second.json()["id"] == first.json()["id"]
    assert second.headers["Location"] == first.headers["Location"]
    assert "Idempotency-Replayed" not in first.headers


def test_a_replay_is_answered_before_anything_is_checked_that_has_changed_since(graft: Graft) -> None:
    dataset = graft.dataset(tables.iris(), name="soon-gone")
    body, headers = train_body(dataset, "replayed"), keyed()
    first = graft.submit(body, **headers).json()
    graft.ended(first["id"])
    assert graft.delete(f"/v1/datasets/{dataset}").status_code == 204
    assert graft.refused(body) == ["/dataset"]
    again = graft.submit(body, **headers)
    assert (again.status_code, again.json()["id"], again.json()["status"]) == (202, first["id"], "succeeded")


def test_a_refused_request_is_not_remembered(graft: Graft, iris: str) -> None:
    headers = keyed()
    refused = graft.submit(train_body(iris, "corrected", target="no-such-column"), **headers)
    assert refused.status_code == 422
    accepted = graft.submit(train_body(iris, "corrected"), **headers)
    assert (accepted.status_code, accepted.headers.get("Idempotency-Replayed")) == (202, None)


def test_one_key_makes_one_job_of_many_requests_at_once(graft: Graft, iris: str) -> None:
    body, headers = train_body(iris, "at-once"), keyed()
    with ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(lambda _: graft.submit(body, **headers), range(24)))
    assert {answer.status_code for answer in answers} <= {202, 409}
    made = {answer.json()["id"] for answer in answers if answer.status_code == 202}
    assert len(made) == 1
    for answer in answers:
        assert answer.status_code == 202 or answer.json()["code"] == "idempotency_key_in_use"
    assert len(graft.get("/v1/jobs", params={"model": "at-once"}).json()["data"]) == 1


@pytest.mark.parametrize("key", ["", "x" * 256, "schlüssel".encode()])
def test_a_key_that_is_none_is_malformed(graft: Graft, iris: str, key: str | bytes) -> None:
    response = graft.post("/v1/jobs", json=train_body(iris, "keyless"), headers={"Idempotency-Key": key})  # type: ignore[dict-item]
    assert (response.status_code, response.json()["code"]) == (400, "bad_idempotency_key")


def test_the_longest_key_is_good(graft: Graft, iris: str) -> None:
    key = secrets.token_hex(8) + "~" * 239
    assert graft.submit(train_body(iris, "long-key"), **{"Idempotency-Key": key}).status_code == 202


def test_a_retry_is_made_once(graft: Graft, endless: Json) -> None:
    failed, headers = graft.submit({**endless, "timeout_seconds": 1}, Prefer="wait=30").json(), keyed()
    first = graft.post(f"/v1/jobs/{failed['id']}/retry", headers=headers)
    again = graft.post(f"/v1/jobs/{failed['id']}/retry", headers=headers)
    assert (first.status_code, again.status_code) == (202, 202)
    assert first.json()["id"] == again.json()["id"]
    assert again.headers["Idempotency-Replayed"] == "true"
    elsewhere = graft.post(f"/v1/jobs/{first.json()['id']}/retry", headers=headers)
    assert (elsewhere.status_code, elsewhere.json()["code"]) == (422, "idempotency_key_reused")


def test_a_schedule_and_its_run_are_made_once_even_if_they_could_not_be_made_now(graft: Graft) -> None:
    dataset = graft.dataset(tables.iris())
    graft.run(train_body(dataset, "scheduled-once"))
    alias = "/v1/models/scheduled-once/aliases/soon-gone"
    graft.put(alias, json={"version": 1}).raise_for_status()
    scored = {"type": "batch_predict", "model": "scheduled-once@soon-gone", "input": {"dataset": dataset}}
    body = {"name": "once", "cron": "0 0 1 1 *", "job": scored}
    making, running = keyed(), keyed()
    schedule = graft.post("/v1/schedules", json=body, headers=making).json()
    run = graft.post(f"/v1/schedules/{schedule['id']}/run", headers=running)
    graft.ended(run.json()["id"])
    assert graft.delete(alias).status_code == 204
    assert graft.post("/v1/schedules", json=body).status_code == 422
    assert graft.post(f"/v1/schedules/{schedule['id']}/run").status_code == 422
    again = graft.post("/v1/schedules", json=body, headers=making)
    assert (again.status_code, again.json()["id"]) == (201, schedule["id"])
    run_again = graft.post(f"/v1/schedules/{schedule['id']}/run", headers=running)
    assert (run_again.status_code, run_again.json()["id"]) == (202, run.json()["id"])
    assert graft.delete(f"/v1/schedules/{schedule['id']}").status_code == 204
    gone = graft.post("/v1/schedules", json=body, headers=making)
    assert (gone.status_code, gone.json()["code"]) == (409, "idempotency_replay_gone")


# The place in line


def test_queued_jobs_tell_their_places_and_those_of_a_queue_start_in_that_order(
    graft: Graft, client_of: Callable[..., Graft], endless: Json
) -> None:
    clients = [graft, client_of("line-one"), client_of("line-two")]
    bodies = [train_body(client.dataset(tables.iris()), "lined-up") for client in clients]
    graft.run(bodies[0])  # now it is known how long such a job takes
    busy = [graft.started(endless) for _ in range(2)]
    queued = [
        (clients[n], clients[n].submit({**bodies[n], "priority": priority}).json()["id"])
        for n, priority in [
            (0, "normal"),
            (0, "normal"),
            (0, "normal"),
            (0, "low"),
            (1, "normal"),
            (1, "normal"),
            (2, "normal"),
            (2, "low"),
            (0, "high"),
            (1, "high"),
        ]
    ]
    told = {job_id: client.job(job_id)["queue"] for client, job_id in queued}
    assert sorted(place["ahead"] for place in told.values()) == list(range(len(queued)))
    assert all(place["position"] == place["ahead"] + 1 for place in told.values())
    in_order = sorted(queued, key=lambda item: int(told[item[1]]["ahead"]))
    fresh = timedelta(seconds=1)  # each of two processes looks at the workers once a second

    def told_in_order() -> bool:
        places = [client.job(job_id)["queue"] for client, job_id in in_order]
        starts = [datetime.fromisoformat(place["estimated_start_at"]) for place in places]
        assert starts[0] >= datetime.fromisoformat(graft.job(in_order[0][1])["created_at"]) - fresh
        return all(later >= earlier - fresh for earlier, later in pairwise(starts))

    eventually(told_in_order)  # not at once: for a second a process may know of no line at all
    for job_id in busy:
        graft.post(f"/v1/jobs/{job_id}/cancel")
    ended = [client.ended(job_id) for client, job_id in in_order]
    assert [job["status"] for job in ended] == ["succeeded"] * len(ended)
    assert [job["queue"] for job in ended] == [None] * len(ended)
    for priority in ("high", "normal", "low"):  # the queues share; within one the order is as told
        started = [job["started_at"] for job in ended if job["priority"] == priority]
        assert started == sorted(started)


def test_the_etag_of_a_queued_job_changes_with_its_place(graft: Graft, endless: Json) -> None:
    busy = [graft.started(endless) for _ in range(2)]
    first, second = (graft.submit(endless).json()["id"] for _ in range(2))
    seen = graft.get(f"/v1/jobs/{second}")
    assert (seen.json()["queue"]["ahead"], seen.headers["ETag"][:3]) == (1, 'W/"')
    known = {"If-None-Match": f'"other", {seen.headers["ETag"]}'}
    unchanged = graft.get(f"/v1/jobs/{second}", headers=known)
    assert (unchanged.status_code, unchanged.headers["Retry-After"]) == (304, "1")
    graft.post(f"/v1/jobs/{first}/cancel")
    moved = graft.get(f"/v1/jobs/{second}", headers=known)
    assert (moved.status_code, moved.json()["queue"]["ahead"]) == (200, 0)
    for job_id in [second, *busy]:
        graft.post(f"/v1/jobs/{job_id}/cancel")
    for job_id in busy:
        graft.ended(job_id)


def test_conditions_are_lists_of_tags(graft: Graft, iris: str) -> None:
    job_id = graft.run(train_body(iris, "conditional"))["id"]
    path, tag = f"/v1/jobs/{job_id}", graft.get(f"/v1/jobs/{job_id}").headers["ETag"]
    inner = tag.strip('"')
    for known in (tag, f"W/{tag}", f'"x", {tag} ,"y"', "*"):
        assert graft.get(path, headers={"If-None-Match": known}).status_code == 304, known
    for other in (f'"{inner}0"', f'"1{inner}"', '"x"', 'W/"x", "y"'):
        assert graft.get(path, headers={"If-None-Match": other}).status_code == 200, other
    for malformed in (inner, f'"{inner}', "W/*"):
        assert graft.get(path, headers={"If-None-Match": malformed}).status_code == 400, malformed
    assert graft.get(path, headers={"If-Match": '"x"'}).status_code == 412


@pytest.mark.parametrize("kind", ["dataset", "schedule"])
def test_what_has_not_changed_is_not_told_again(graft: Graft, iris: str, kind: str) -> None:
    path = f"/v1/datasets/{iris}"
    if kind == "schedule":
        body = {"name": "conditions", "cron": "0 0 1 1 *", "job": train_body(iris, "conditions")}
        made = graft.post("/v1/schedules", json=body)
        path = f"/v1/schedules/{made.json()['id']}"
        assert made.headers["ETag"] == graft.get(path).headers["ETag"]
    tag = graft.get(path).headers["ETag"]
    for known in (tag, f'"x", W/{tag}', "*"):
        response = graft.get(path, headers={"If-None-Match": known})
        assert (response.status_code, response.content, response.headers["ETag"]) == (304, b"", tag)
    assert graft.get(path, headers={"If-None-Match": f'"{tag[1:-2]}"'}).status_code == 200
    assert graft.get(path, headers={"If-Match": '"x"'}).status_code == 412
    if kind == "schedule":
        stale = {"If-Match": '"x"'}
        assert graft.patch(path, json={"paused": True}, headers=stale).status_code == 412
        assert graft.delete(path, headers=stale).status_code == 412
        changed = graft.patch(path, json={"paused": True}, headers={"If-Match": tag})
        assert (changed.status_code, changed.headers["ETag"] != tag) == (200, True)
        refused = graft.delete(path, headers={"If-Match": tag})
        assert (refused.status_code, refused.headers["ETag"]) == (412, changed.headers["ETag"])
        assert refused.json()["code"] == "precondition_failed"
        assert graft.delete(path, headers={"If-Match": changed.headers["ETag"]}).status_code == 204
