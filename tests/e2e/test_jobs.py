"""Jobs over HTTP: submit, look, wait, list, cancel, and the same request twice."""

from __future__ import annotations

import secrets
import threading
import time

import pytest

from tests.e2e import tables
from tests.support.client import Graft, Json, train_body


@pytest.fixture(scope="module")
def iris(graft: Graft) -> str:
    return graft.dataset(tables.iris())


def test_a_submitted_job_is_answered_with_its_place_and_its_defaults_filled_in(
    graft: Graft, iris: str
) -> None:
    response = graft.submit(train_body(iris, "defaults", metadata={"team": "flowers", "n": 3}))
    assert response.status_code == 202
    job = response.json()
    assert response.headers["Location"] == job["links"]["self"] == f"/v1/jobs/{job['id']}"
    assert int(response.headers["Retry-After"]) >= 1
    assert job["status"] in {"queued", "running"}
    assert (job["max_attempts"], job["priority"]) == (3, "normal")
    assert job["metadata"] == {"team": "flowers", "n": 3}
    assert job["spec"]["evaluation"] == {"test_fraction": 0.2, "stratify": True}
    assert job["spec"]["seed"] == 42
    assert job["created_at"].endswith("Z")
    assert graft.ended(job["id"])["status"] == "succeeded"


def test_a_job_that_has_ended_tells_when_how_long_and_by_whom(graft: Graft, iris: str) -> None:
    job = graft.run(train_body(iris, "told"))
    assert job["created_at"] <= job["started_at"] <= job["finished_at"]
    assert job["worker"]
    assert job["usage"]["wall_seconds"] > 0
    assert job["usage"]["peak_rss_bytes"] > 10_000_000
    assert job["error"] is None
    assert "Retry-After" not in graft.get(f"/v1/jobs/{job['id']}").headers


def test_the_etag_changes_with_the_job_and_spares_what_has_not_changed(graft: Graft, iris: str) -> None:
    job = graft.run(train_body(iris, "etag"))
    first = graft.get(f"/v1/jobs/{job['id']}")
    again = graft.get(f"/v1/jobs/{job['id']}", headers={"If-None-Match": first.headers["ETag"]})
    assert (again.status_code, again.content) == (304, b"")
    other = graft.get(f"/v1/jobs/{job['id']}", headers={"If-None-Match": '"0"'})
    assert other.status_code == 200


def test_wait_holds_the_answer_until_the_job_ends(graft: Graft, iris: str) -> None:
    job_id = graft.submit(train_body(iris, "waited")).json()["id"]
    assert graft.get(f"/v1/jobs/{job_id}", params={"wait": 30}).json()["status"] == "succeeded"


def test_wait_answers_when_its_time_is_up(graft: Graft, endless: Json) -> None:
    job_id = graft.started(endless)
    begun = time.monotonic()
    response = graft.get(f"/v1/jobs/{job_id}", params={"wait": 0.5})
    assert 0.5 <= time.monotonic() - begun < 10
    assert response.json()["status"] == "running"
    graft.post(f"/v1/jobs/{job_id}/cancel")


def test_too_many_waiting_requests_are_told_to_come_back(graft: Graft, endless: Json) -> None:
    job_id = graft.started(endless)
    statuses: list[int] = []

    def wait() -> None:
        with Graft(str(graft.base_url), graft.headers["Authorization"].split()[1]) as client:
            response = client.get(f"/v1/jobs/{job_id}", params={"wait": 3})
            statuses.append(response.status_code)
            if response.status_code == 503:
                assert int(response.headers["Retry-After"]) >= 1

    threads = [threading.Thread(target=wait) for _ in range(40)]
    for thread in threads:
        thread.start()
    assert graft.get("/healthz").status_code == 200, "the API still answers"
    for thread in threads:
        thread.join()
    graft.post(f"/v1/jobs/{job_id}/cancel")
    assert set(statuses) == {200, 503}


@pytest.mark.parametrize("wait", ["-1", "31", "soon"])
def test_a_wait_outside_its_bounds_is_refused(graft: Graft, iris: str, wait: str) -> None:
    job_id = graft.submit(train_body(iris, "bounds")).json()["id"]
    assert graft.get(f"/v1/jobs/{job_id}", params={"wait": wait}).status_code == 422


def test_a_running_job_is_cancelled_within_seconds(graft: Graft, endless: Json) -> None:
    job_id = graft.started(endless)
    first = graft.post(f"/v1/jobs/{job_id}/cancel")
    assert first.status_code == 202
    assert first.json()["cancel_requested_at"]
    assert graft.post(f"/v1/jobs/{job_id}/cancel").status_code in {200, 409}
    job = graft.ended(job_id, 10)
    assert job["status"] == "cancelled"
    assert graft.get("/v1/models/endless").status_code == 404
    again = graft.post(f"/v1/jobs/{job_id}/cancel")
    assert (again.status_code, again.json()["code"]) == (409, "job_ended")


def test_a_queued_job_is_cancelled_before_it_runs(graft: Graft, endless: Json, iris: str) -> None:
    busy = [graft.started(endless) for _ in range(2)]
    job_id = graft.submit(train_body(iris, "never-run")).json()["id"]
    response = graft.post(f"/v1/jobs/{job_id}/cancel")
    assert (response.status_code, response.json()["status"]) == (202, "cancelled")
    for job in busy:
        graft.post(f"/v1/jobs/{job}/cancel")
    for job in busy:
        graft.ended(job)
    assert graft.job(job_id)["attempt"] == 0
    assert graft.get("/v1/models/never-run").status_code == 404


def test_an_idempotency_key_makes_one_job_of_two_requests(graft: Graft, iris: str) -> None:
    word = secrets.token_hex(4)
    body, key = train_body(iris, f"once-{word}"), f"key-{word}"
    first = graft.submit(body, **{"Idempotency-Key": key})
    second = graft.submit(body, **{"Idempotency-Key": key})
    assert first.status_code == 202
    assert second.status_code in {200, 202}, "200 if the job has ended already"
    assert first.json()["id"] == second.json()["id"]
    other = graft.submit(train_body(iris, "twice"), **{"Idempotency-Key": key})
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")
    graft.ended(first.json()["id"])
    assert graft.get(f"/v1/models/once-{word}").json()["latest_version"] == 1


def test_a_job_runs_to_its_time_limit_and_no_further(graft: Graft, endless: Json) -> None:
    error = graft.failed({**endless, "timeout_seconds": 2})
    assert error["code"] == "timed_out"


def test_the_events_tell_the_story(graft: Graft, iris: str) -> None:
    job = graft.run(train_body(iris, "story"))
    events = graft.get(job["links"]["events"]).json()["data"]
    told = [(event["event"], event["state"]) for event in events if event["event"] != "checkpoint"]
    assert told == [
        ("submitted", "queued"),
        ("claimed", "running"),
        ("succeeded", "succeeded"),
    ]
    after = graft.get(job["links"]["events"], params={"after": events[0]["id"], "limit": 1}).json()
    assert ([event["event"] for event in after["data"]], after["has_more"]) == (["claimed"], True)


def test_jobs_are_listed_by_status_type_and_model(graft: Graft, iris: str) -> None:
    job = graft.run(train_body(iris, "findable"))
    for filters in ({"model": "findable"}, {"model": "findable", "type": "train", "status": "succeeded"}):
        found = graft.get("/v1/jobs", params=filters).json()
        assert [item["id"] for item in found["data"]] == [job["id"]]
    assert graft.get("/v1/jobs", params={"model": "findable", "status": "failed"}).json()["data"] == []


@pytest.mark.parametrize("query", ["status=done", "limit=0", "limit=9999", "colour=red", "after=%00"])
def test_a_bad_query_is_refused(graft: Graft, query: str) -> None:
    response = graft.get(f"/v1/jobs?{query}")
    assert response.status_code == 422
    assert response.json()["errors"][0]["pointer"] == f"/{query.split('=')[0]}"


def test_another_projects_job_does_not_exist(graft: Graft, stranger: Graft, iris: str) -> None:
    job_id = graft.submit(train_body(iris, "private")).json()["id"]
    for path in ("", "/events", "/logs", "/output"):
        assert stranger.get(f"/v1/jobs/{job_id}{path}").status_code == 404
    for action in ("cancel", "retry"):
        assert stranger.post(f"/v1/jobs/{job_id}/{action}").status_code == 404
    assert job_id not in {job["id"] for job in stranger.get("/v1/jobs?limit=200").json()["data"]}
    assert stranger.refused(train_body(iris, "stolen")) == ["/dataset"]


def test_a_dataset_cannot_be_deleted_while_a_live_job_reads_it(graft: Graft, endless: Json) -> None:
    job_id = graft.started(endless)
    response = graft.delete(f"/v1/datasets/{endless['dataset']}")
    assert (response.status_code, response.json()["code"]) == (409, "dataset_in_use")
    graft.post(f"/v1/jobs/{job_id}/cancel")
    graft.ended(job_id)


def test_the_logs_are_kept_with_the_job(graft: Graft, iris: str) -> None:
    job = graft.run(train_body(iris, "chronicle"))
    first = graft.get(job["links"]["logs"], params={"limit": 2}).json()
    rest = graft.get(job["links"]["logs"], params={"after": first["next"]}).json()
    lines = first["data"] + rest["data"]
    messages = [line["message"] for line in lines]
    assert messages[0] == "attempt_started"
    assert {"fitting", "evaluating", "publishing_done"} <= set(messages)
    assert {line["attempt"] for line in lines} == {1}
    assert [line["at"] for line in lines] == sorted(line["at"] for line in lines)


def test_a_failed_job_is_tried_again_as_a_new_job_that_names_it(graft: Graft, endless: Json) -> None:
    failed = graft.submit({**endless, "timeout_seconds": 1}).json()["id"]
    assert graft.ended(failed)["status"] == "failed"
    response = graft.post(f"/v1/jobs/{failed}/retry")
    assert response.status_code == 202
    again = response.json()
    assert (again["parent"], again["spec"]) == (failed, graft.job(failed)["spec"])
    assert response.headers["Location"] == f"/v1/jobs/{again['id']}"
    assert graft.ended(again["id"])["error"]["code"] == "timed_out"


def test_a_job_that_has_not_failed_is_not_retried(graft: Graft, iris: str) -> None:
    job = graft.run(train_body(iris, "fine"))
    response = graft.post(f"/v1/jobs/{job['id']}/retry")
    assert (response.status_code, response.json()["code"]) == (409, "not_retryable")
