"""Schedules over HTTP: what is refused and where, what is told, and what a schedule does by itself."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from tests.e2e import tables
from tests.e2e.conftest import USER_BUCKET, RunningStack
from tests.e2e.test_datasets import s3
from tests.support.client import Graft, Json, train_body, written
from tests.support.waiting import eventually

UNKNOWN = "sch_01ARZ3NDEKTSV4RRFFQ69G5FAV"


@pytest.fixture(scope="module")
def dataset(graft: Graft) -> str:
    graft.run(train_body(graft.dataset(tables.iris()), "scheduled"))
    return graft.dataset(tables.iris())


def nightly(dataset: str, **changes: Any) -> Json:
    job = train_body(dataset, "nightly-model", metadata={"day": "{{ scheduled_for:%Y-%m-%d }}"})
    body = {"name": "nightly", "cron": "30 2 * * *", "timezone": "Europe/Berlin", "job": job, **changes}
    return {name: value for name, value in body.items() if value is not ...}


def make(graft: Graft, body: Json) -> Json:
    response = graft.post("/v1/schedules", json=body)
    assert response.status_code == 201, response.text
    made: Json = response.json()
    assert response.headers["Location"] == f"/v1/schedules/{made['id']}" == made["links"]["self"]
    return made


def refused(response: Any, status: int = 422) -> list[str]:
    assert response.status_code == status, response.text
    assert response.headers["Content-Type"] == "application/problem+json"
    return [error["pointer"] for error in response.json()["errors"]]


def test_a_schedule_tells_what_was_asked_for_and_when_it_runs_next(graft: Graft, dataset: str) -> None:
    made = make(graft, nightly(dataset))
    assert re.fullmatch(r"sch_[0-9A-HJKMNP-TV-Z]{26}", made["id"])
    told = {name: made[name] for name in ("paused", "catch_up", "overlap", "missing_input", "jitter_seconds")}
    assert told == {
        "paused": False,
        "catch_up": "none",
        "overlap": "skip",
        "missing_input": "fail",
        "jitter_seconds": 0,
    }
    runs = datetime.fromisoformat(made["next_run_at"])
    assert timedelta(0) < runs - datetime.now(UTC) <= timedelta(hours=25)
    assert runs.minute == 30
    assert graft.get(made["links"]["self"]).json() == made
    assert made in graft.get("/v1/schedules").json()["data"]
    assert graft.get(made["links"]["occurrences"]).json() == {"data": [], "has_more": False, "next": None}
    graft.delete(made["links"]["self"])


JOB: Json = {"type": "train", "target": "label", "estimator": {"kind": "svm"}, "model": {"name": "m"}}
TOO_LONG: Json = JOB | {"timeout_seconds": 10**9}  # its dataset is filled in


@pytest.mark.parametrize(
    ("change", "pointers"),
    [
        ({"name": "No Such Name"}, ["/name"]),
        ({"name": ...}, ["/name"]),
        ({"cron": "0 0 * * * *"}, ["/cron"]),
        ({"cron": "@daily"}, ["/cron"]),
        ({"cron": "61 * * * *"}, ["/cron"]),
        ({"cron": "0 0 30 2 *"}, ["/cron"]),
        ({"cron": 5}, ["/cron"]),
        ({"cron": ...}, ["/cron"]),
        ({"timezone": "Mars/Olympus"}, ["/timezone"]),
        ({"timezone": "../../etc/passwd"}, ["/timezone"]),
        ({"timezone": "europe/berlin"}, ["/timezone"]),
        ({"catch_up": "some"}, ["/catch_up"]),
        ({"catch_up_limit": 0}, ["/catch_up_limit"]),
        ({"overlap": "kill"}, ["/overlap"]),
        ({"missing_input": "wait"}, ["/missing_input"]),
        ({"jitter_seconds": -1}, ["/jitter_seconds"]),
        ({"jitter_seconds": 3601}, ["/jitter_seconds"]),
        ({"paused": "yes"}, ["/paused"]),
        ({"start": "tomorrow"}, ["/start"]),
        ({"start": "2026-03-01T00:00:00"}, ["/start"]),
        ({"start": 1}, ["/start"]),
        ({"start": "0001-01-01T00:00:00+14:00"}, ["/start"]),
        ({"start": "2030-03-01T00:00:00Z", "end": "2030-02-01T00:00:00Z"}, ["/end"]),
        ({"end": "2020-01-01T00:00:00Z"}, ["/end"]),
        ({"colour": "red"}, ["/colour"]),
        ({"job": ...}, ["/job"]),
        ({"job": {}}, ["/job"]),
        ({"job": []}, ["/job"]),
        ({"job": {"type": "dance"}}, ["/job/type"]),
        ({"job": {"type": "train"}}, ["/job/dataset", "/job/target", "/job/estimator", "/job/model"]),
        ({"job": JOB | {"dataset": "ds_01ARZ3NDEKTSV4RRFFQ69G5FAV"}}, ["/job/dataset"]),
        ({"job": JOB | {"dataset": "ds_{{ scheduled_for:%Y }}"}}, ["/job/dataset"]),
        ({"job": TOO_LONG}, ["/job/timeout_seconds"]),
    ],
)
def test_a_bad_field_is_refused_at_its_pointer(
    graft: Graft, dataset: str, change: Json, pointers: list[str]
) -> None:
    body = nightly(dataset, **change)
    if change.get("job") is TOO_LONG:
        body["job"] = TOO_LONG | {"dataset": dataset}
    assert refused(graft.post("/v1/schedules", json=body)) == pointers


@pytest.mark.parametrize(
    "text",
    [
        "{{ scheduled_for }}",
        "{{ scheduled_for: }}",
        "{{ scheduled_for:%Q }}",
        "{{ scheduled_for:%-d }}",
        "{{ scheduled_for:%999999999d }}",
        "{{ scheduled_for:%Y",
        "{{ now:%Y }}",
        "{{ 7 * 7 }}",
        "{{{{ scheduled_for:%Y }}",
        "{{ scheduled_for:{{ scheduled_for:%Y }} }}",
    ],
)
def test_what_is_no_template_is_refused_at_its_pointer(graft: Graft, dataset: str, text: str) -> None:
    body = nightly(dataset)
    body["job"]["metadata"] = {"a/b": text}
    body["job"]["features"] = ["f0", text]
    found = refused(graft.post("/v1/schedules", json=body))
    assert sorted(found) == ["/job/features/1", "/job/metadata/a~1b"]


def batch(uri: str, **changes: Any) -> Json:
    return {"type": "batch_predict", "model": "scheduled", "input": {"uri": uri}, **changes}


@pytest.mark.parametrize(
    ("job", "pointers"),
    [
        (batch(f"s3://{USER_BUCKET}/in/", model="nobody"), ["/job/model"]),
        (batch(f"s3://{USER_BUCKET}/in/", model="scheduled@champion"), ["/job/model"]),
        (batch("s3://elsewhere/in/"), ["/job/input/uri"]),
        (batch("s3://{{ scheduled_for:%Y }}/in/"), ["/job/input/uri"]),
        (batch(f"s3://{USER_BUCKET}/in/", output={"columns": "id"}), ["/job/id_column"]),
        (batch(f"s3://{USER_BUCKET}/in/", webhook_url="https://10.0.0.1/"), ["/job/webhook_url"]),
    ],
)
def test_a_job_that_would_be_refused_is_refused_now(
    graft: Graft, dataset: str, job: Json, pointers: list[str]
) -> None:
    assert refused(graft.post("/v1/schedules", json=nightly(dataset, job=job))) == pointers


def test_nothing_crashes_on_a_job_that_is_nested_deeply(graft: Graft, dataset: str) -> None:
    for depth in (100, 250, 900):
        nested: Any = "{{ x }}"
        for _ in range(depth):
            nested = [nested]
        body = nightly(dataset)
        body["job"]["metadata"] = {"deep": nested}
        assert graft.post("/v1/schedules", json=body).status_code in {400, 422}


def test_a_run_makes_a_job_now_and_is_listed(graft: Graft, dataset: str) -> None:
    made = make(graft, nightly(dataset, paused=True))
    response = graft.post(made["links"]["run"], headers={"Idempotency-Key": f"run-{made['id']}"})
    assert response.status_code == 202, response.text
    job = response.json()
    assert response.headers["Location"] == f"/v1/jobs/{job['id']}"
    assert job["schedule"] == made["id"]
    again = graft.post(made["links"]["run"], headers={"Idempotency-Key": f"run-{made['id']}"})
    assert (again.json()["id"], again.headers["Idempotency-Replayed"]) == (job["id"], "true")
    (occurrence,) = graft.get(made["links"]["occurrences"]).json()["data"]
    assert (occurrence["job"], occurrence["status"], occurrence["manual"]) == (job["id"], "submitted", True)
    local = datetime.fromisoformat(occurrence["scheduled_for"]).astimezone(ZoneInfo(made["timezone"]))
    assert job["metadata"] == {"day": f"{local:%Y-%m-%d}"}
    assert graft.ended(job["id"])["status"] == "succeeded"
    assert [item["id"] for item in graft.get(made["links"]["jobs"]).json()["data"]] == [job["id"]]
    assert graft.get(made["links"]["self"]).json()["next_run_at"] == made["next_run_at"]
    assert graft.delete(made["links"]["self"]).status_code == 204
    assert graft.get(f"/v1/jobs/{job['id']}").json()["status"] == "succeeded"


def test_a_schedule_is_changed_field_by_field(graft: Graft, dataset: str) -> None:
    made = make(graft, nightly(dataset, start="2026-01-01T00:00:00Z"))
    here = made["links"]["self"]
    changed = graft.patch(here, json={"paused": True, "start": None, "name": "other"}).json()
    assert (changed["paused"], changed["start"], changed["name"]) == (True, None, "other")
    assert [changed[name] for name in ("id", "cron", "job")] == [made[name] for name in ("id", "cron", "job")]
    moved = graft.patch(here, json={"cron": "45 3 * * *"}).json()
    assert datetime.fromisoformat(moved["next_run_at"]).minute == 45
    assert refused(graft.patch(here, json={"cron": "no"})) == ["/cron"]
    assert refused(graft.patch(here, json={"cron": None})) == ["/cron"]
    assert refused(graft.patch(here, json={"job": {"type": "train"}}))[0] == "/job/dataset"
    assert refused(graft.patch(here, json={"id": "sch_1"})) == ["/id"]
    assert refused(
        graft.patch(here, json={"start": "2030-01-01T00:00:00Z", "end": "2029-01-01T00:00:00Z"})
    ) == ["/end"]
    assert graft.get(here).json() == moved, "a refused change changes nothing"
    ended = graft.patch(here, json={"end": "2020-01-01T00:00:00Z"}).json()
    assert ended["next_run_at"] is None
    graft.delete(here)


def test_a_schedule_whose_job_is_refused_by_now_can_still_be_paused(graft: Graft, dataset: str) -> None:
    graft.run(train_body(dataset, "waning"))
    alias = "/v1/models/waning/aliases/live"
    graft.put(alias, json={"version": 1}).raise_for_status()
    job = {"type": "batch_predict", "model": "waning@live", "input": {"dataset": dataset}}
    made = make(graft, {**nightly(dataset), "job": job})
    assert graft.delete(alias).status_code == 204
    assert graft.patch(made["links"]["self"], json={"paused": True}).json()["paused"] is True
    assert refused(graft.post(made["links"]["run"])) == ["/job/model"]
    graft.delete(made["links"]["self"])


def test_a_dataset_that_a_schedule_names_is_kept(graft: Graft, dataset: str) -> None:
    named = graft.dataset(tables.iris())
    made = make(graft, nightly(named))
    kept = graft.delete(f"/v1/datasets/{named}")
    assert (kept.status_code, kept.json()["code"]) == (409, "dataset_in_use")
    assert kept.json()["referrers"] == [{"kind": "schedule", "id": made["id"]}]
    assert graft.delete(made["links"]["self"]).status_code == 204
    assert graft.delete(f"/v1/datasets/{named}").status_code == 204


def test_a_schedule_of_another_project_is_unknown(graft: Graft, stranger: Graft, dataset: str) -> None:
    made = make(graft, nightly(dataset))
    for path in (made["links"]["self"], f"/v1/schedules/{UNKNOWN}"):
        for method, rest in (
            ("GET", ""),
            ("PATCH", ""),
            ("DELETE", ""),
            ("POST", "/run"),
            ("GET", "/occurrences"),
        ):
            response = stranger.request(method, path + rest, json={} if method == "PATCH" else None)
            assert (response.status_code, response.json()["code"]) == (404, "unknown_schedule"), (
                method,
                rest,
            )
    assert made["id"] not in {known["id"] for known in stranger.get("/v1/schedules?limit=200").json()["data"]}
    assert graft.delete(made["links"]["self"]).status_code == 204
    assert graft.get(made["links"]["self"]).status_code == 404


def test_lists_are_paged(planner: Graft, graft: Graft) -> None:
    dataset = planner.dataset(tables.iris())
    ids = [make(planner, nightly(dataset, name=f"s{n}"))["id"] for n in range(5)]
    seen: list[str] = []
    after = None
    while True:
        got = planner.get("/v1/schedules", params={"limit": 2, **({"after": after} if after else {})}).json()
        seen += [item["id"] for item in got["data"]]
        after = got["next"]
        if not got["has_more"]:
            break
    assert seen == ids[::-1]
    here = f"/v1/schedules/{ids[0]}"
    runs = [planner.post(f"{here}/run").json()["id"] for _ in range(3)]
    first = planner.get(f"{here}/occurrences", params={"limit": 2}).json()
    second = planner.get(f"{here}/occurrences", params={"limit": 2, "after": first["next"]}).json()
    assert [item["job"] for item in first["data"] + second["data"]] == runs[::-1]
    assert (first["has_more"], second["has_more"]) == (True, False)
    assert planner.get(f"{here}/occurrences", params={"after": "x"}).status_code == 422
    for schedule_id in ids:
        planner.delete(f"/v1/schedules/{schedule_id}")


def test_creating_twice_with_one_key_makes_one(graft: Graft, dataset: str) -> None:
    key = {"Idempotency-Key": "make-it-once"}
    first = graft.post("/v1/schedules", json=nightly(dataset), headers=key)
    again = graft.post("/v1/schedules", json=nightly(dataset), headers=key)
    assert (again.status_code, again.json()["id"]) == (201, first.json()["id"])
    assert again.headers["Idempotency-Replayed"] == "true"
    other = graft.post("/v1/schedules", json=nightly(dataset, paused=True), headers=key)
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")
    graft.delete(f"/v1/schedules/{first.json()['id']}")


def test_a_schedule_fires_by_itself_and_is_late_by_seconds(graft: Graft, dataset: str) -> None:
    job = train_body(dataset, "every-minute", metadata={"at": "{{ scheduled_for:%H:%M }}"})
    made = make(graft, nightly(dataset, cron="* * * * *", job=job))
    occurrence = eventually(
        lambda: next(iter(graft.get(made["links"]["occurrences"]).json()["data"]), None), 75, every=0.2
    )
    assert occurrence is not None
    assert occurrence["scheduled_for"] == made["next_run_at"]
    assert occurrence["status"] == "submitted", occurrence
    done = graft.ended(occurrence["job"])
    graft.delete(made["links"]["self"])
    late = datetime.fromisoformat(done["created_at"]) - datetime.fromisoformat(occurrence["scheduled_for"])
    assert timedelta(0) <= late <= timedelta(seconds=5)
    berlin = datetime.fromisoformat(occurrence["scheduled_for"])
    assert done["metadata"]["at"].endswith(f"{berlin:%M}")


def test_a_prefix_that_is_not_there_yet_is_skipped_and_later_scored(
    graft: Graft, dataset: str, stack: RunningStack
) -> None:
    today = datetime.now(UTC)
    days = [today - timedelta(days=back) for back in (3, 2, 1)]
    client = s3(stack.store.settings)
    rows = tables.iris().drop_columns(["label"])
    for day in (days[0], days[2]):
        key = f"skipping/{day:%Y/%m/%d}/part.csv"
        client.put_object(Bucket=USER_BUCKET, Key=key, Body=written(rows, "text/csv"))
    made = make(
        graft,
        nightly(
            dataset,
            cron="0 0 * * *",
            timezone="UTC",
            job=batch(f"s3://{USER_BUCKET}/skipping/{{{{ scheduled_for:%Y/%m/%d }}}}/"),
            start=f"{days[0]:%Y-%m-%dT00:00:00Z}",
            end=f"{days[2]:%Y-%m-%dT23:00:00Z}",
            catch_up="all",
            missing_input="skip",
        ),
    )

    def told() -> list[str]:
        found = graft.get(made["links"]["occurrences"]).json()["data"]
        return [f"{item['status']} {item['code']}" for item in found[::-1]]

    eventually(lambda: told() == ["submitted None", "skipped missing_input", "submitted None"], 60)
    for job in graft.get(made["links"]["jobs"]).json()["data"]:
        assert graft.ended(job["id"])["counts"] == {"total": 150, "succeeded": 150, "failed": 0}
    graft.delete(made["links"]["self"])
