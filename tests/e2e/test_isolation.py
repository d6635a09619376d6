"""One project cannot see, change or name what belongs to another: every route, and every reference in a job.

The routes come from the application. A route with a parameter that this file does not know, or a POST without one,
fails the test until somebody says here what stands for it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from tests.e2e import tables
from tests.support.client import PARQUET, Graft, Json, train_body
from tests.support.routes import Route, protected

MODEL = "isolated-flowers"
ALIAS = "isolated-champion"
UNKNOWN: Json = {
    "dataset_id": f"ds_{'0' * 26}",
    "upload_id": f"upl_{'0' * 26}",
    "job_id": f"job_{'0' * 26}",
    "schedule_id": f"sch_{'0' * 26}",
    "key_id": f"key_{'0' * 26}",
    "webhook_id": f"wh_{'0' * 26}",
    "delivery_id": f"dlv_{'0' * 26}",
    "name": "no-such-flowers",
    "ref": "no-such-flowers@no-such-champion",
    "number": 2,
    "alias": "no-such-champion",
}
#: What is sent where a body is needed to be heard at all.
BODIES: dict[str, Json] = {
    "POST /v1/uploads/{upload_id}/complete": {},
    "PATCH /v1/models/{name}": {"description": "taken"},
    "PATCH /v1/models/{name}/versions/{number}": {"description": "taken"},
    "PUT /v1/models/{name}/aliases/{alias}": {"version": 1, "force": True},
    "POST /v1/models/{ref}/predict": {"rows": [dict.fromkeys(("f0", "f1", "f2", "f3"), 1.0)]},
    "PATCH /v1/schedules/{schedule_id}": {"paused": True},
    "POST /v1/keys/{key_id}/rotate": {},
    "PATCH /v1/webhooks/{webhook_id}": {"disabled": True},
    "POST /v1/webhooks/{webhook_id}/rotate": {},
    "POST /v1/webhooks/{webhook_id}/replay": {"since": "2026-01-01T00:00:00Z"},
}
#: What a route takes in its query that may name something of a project.
QUERIES = {"GET /v1/models/compare": "?refs={name}:{number},{ref}"}
#: Routes without a parameter that make something; what their bodies may name is tried below.
MAKE = {
    "POST /v1/datasets",
    "POST /v1/uploads",
    "POST /v1/jobs",
    "POST /v1/schedules",
    "POST /v1/keys",
    "POST /v1/webhooks",
    "POST /v1/webhook-secret",
}
WITH_PARAMETERS = [route for route in protected() if route.parameters or str(route) in QUERIES]
WITHOUT = [route for route in protected() if route not in WITH_PARAMETERS]


@dataclass(frozen=True)
class Owner:
    """A project that has one of everything."""

    client: Graft
    ids: Json
    uri: str
    """Where the output of its batch lies, in the bucket that all projects share."""

    def everything(self) -> dict[str, Any]:
        """What it sees of its own: every list and every thing."""
        reads = [route for route in protected() if route.method == "GET"]
        return {
            str(route): _told(self.client.get(_path(route, self.ids)))
            for route in reads
            if not str(route).endswith(
                ("/artifact", "/output", "/parts", "/usage")
            )  # links and counts differ
        }


@pytest.fixture(scope="module")
def owner(client_of: Callable[..., Graft]) -> Owner:
    client = client_of("isolated")
    dataset = client.dataset(tables.iris(), kind=PARQUET, name="isolated-table")
    client.run(train_body(dataset, MODEL))
    client.run(
        {
            "type": "fine_tune",
            "base_model": f"{MODEL}:1",
            "dataset": dataset,
            "target": "label",
            "strategy": "continue",
            "model": {"name": MODEL},
        }
    )
    set_alias = client.put(f"/v1/models/{MODEL}/aliases/{ALIAS}", json={"version": 2, "force": True})
    assert set_alias.status_code == 200, set_alias.text
    scored = client.run({"type": "batch_predict", "model": f"{MODEL}:1", "input": {"dataset": dataset}})
    job = train_body(dataset, MODEL)
    schedule = client.post("/v1/schedules", json={"name": "isolated", "cron": "0 0 1 1 *", "job": job})
    upload = client.post("/v1/uploads", json={"name": "isolated", "format": "csv", "bytes": 9})
    hook = {"url": "https://isolated.example.com/", "events": ["job.failed"], "disabled": True}
    webhook = client.post("/v1/webhooks", json=hook)
    key = client.post("/v1/keys", json={"scopes": ["read"], "name": "isolated-key"})
    ids = {
        "dataset_id": dataset,
        "upload_id": upload.json()["id"],
        "job_id": scored["id"],
        "schedule_id": schedule.json()["id"],
        "key_id": key.json()["id"],
        "webhook_id": webhook.json()["id"],
        "delivery_id": f"dlv_{'0' * 26}",
        "name": MODEL,
        "ref": f"{MODEL}@{ALIAS}",
        "number": 2,
        "alias": ALIAS,
    }
    return Owner(client, ids, scored["result"]["output"]["uri"])


@pytest.fixture(scope="module")
def untouched(owner: Owner) -> Json:
    """What the owner sees before anybody else has tried anything."""
    return owner.everything()


@pytest.fixture(scope="module")
def intruder(client_of: Callable[..., Graft]) -> Graft:
    """All scopes, in a project that has something of its own."""
    client = client_of("intruder")
    client.dataset(tables.iris(), kind=PARQUET)
    return client


def _path(route: Route, ids: Json) -> str:
    return route.filled(**ids) + QUERIES.get(str(route), "").format(**ids)


def _told(response: httpx.Response) -> tuple[int, str]:
    """Without when the owner's own key was used last."""
    return response.status_code, re.sub(r'"last_used_at": ?(null|"[^"]*")', "", response.text)


def _refusal(response: httpx.Response, ids: Json) -> tuple[int, str, str]:
    """A refusal without what is the request's own: its id, and the ids that it named."""
    said = re.sub(r'"request_id": "[^"]*"', "", response.text)
    for value in sorted({str(value) for value in ids.values()} - {"2"}, key=len, reverse=True):
        said = said.replace(value, "…")
    return response.status_code, response.headers["Content-Type"], said


def _ask(client: Graft, route: Route, ids: Json) -> httpx.Response:
    return client.request(route.method, _path(route, ids), json=BODIES.get(str(route)))


@pytest.mark.parametrize("route", [route for route in WITH_PARAMETERS if route.method == "GET"], ids=str)
def test_the_owner_sees_what_the_next_tests_ask_for(owner: Owner, route: Route) -> None:
    assert owner.client.get(_path(route, owner.ids)).status_code in {200, 302}


@pytest.mark.parametrize("route", WITH_PARAMETERS, ids=str)
def test_what_belongs_to_another_project_is_answered_like_what_does_not_exist(
    owner: Owner, untouched: Json, intruder: Graft, route: Route
) -> None:
    theirs, unknown = _ask(intruder, route, owner.ids), _ask(intruder, route, UNKNOWN)
    assert unknown.status_code == 404, unknown.text
    assert _refusal(theirs, owner.ids) == _refusal(unknown, UNKNOWN)
    if route.method != "GET":
        assert owner.everything() == untouched


@pytest.mark.parametrize("route", WITHOUT, ids=str)
def test_no_list_names_anything_of_another_project(owner: Owner, intruder: Graft, route: Route) -> None:
    if route.method != "GET":
        assert str(route) in MAKE, "a new way to make something: try below what its body may name"
        return
    response = intruder.get(route.path)
    assert response.status_code == 200, response.text
    for value in owner.ids.values():
        assert str(value) == "2" or str(value) not in response.text
    assert "isolated" not in response.text


@pytest.mark.parametrize("name", ["model", "schedule"])
def test_no_filter_reaches_another_project(owner: Owner, intruder: Graft, name: str) -> None:
    value = owner.ids["name" if name == "model" else "schedule_id"]
    assert intruder.get("/v1/jobs", params={name: value}).json()["data"] == []


#: Every place in a job's body that names something of a project. `T` is a dataset, `M` a model and `A` an alias of it.
REFERENCES: dict[str, Callable[[str, str, str, str], Json]] = {
    "train: dataset": lambda own, T, M, A: train_body(T, "mine"),
    "fine_tune: base_model": lambda own, T, M, A: _about(
        own, "fine_tune", base_model=M, model={"name": "mine"}
    ),
    "fine_tune: version": lambda own, T, M, A: _about(
        own, "fine_tune", base_model=f"{M}:2", model={"name": "mine"}
    ),
    "evaluate: model": lambda own, T, M, A: _about(own, "evaluate", model=f"{M}:1"),
    "evaluate: dataset": lambda own, T, M, A: _about(T, "evaluate", model=f"{M}:1"),
    "shift_report: model": lambda own, T, M, A: _about(own, "shift_report", model=M),
    "shift_report: source": lambda own, T, M, A: _about(own, "shift_report", source=T),
    "rank_sources: candidates": lambda own, T, M, A: _about(own, "rank_sources", candidates=[f"{M}:1"]),
    "rank_sources: dataset": lambda own, T, M, A: _about(T, "rank_sources"),
    "batch_predict: model": lambda own, T, M, A: _scoring(f"{M}:1", {"dataset": own}),
    "batch_predict: alias": lambda own, T, M, A: _scoring(f"{M}@{A}", {"dataset": own}),
    "batch_predict: dataset": lambda own, T, M, A: _scoring(f"{M}:1", {"dataset": T}),
}


def _about(dataset: str, kind: str, **fields: Any) -> Json:
    return {"type": kind, "dataset": dataset, "target": "label", **fields}


def _scoring(model: str, source: Json, **fields: Any) -> Json:
    return {"type": "batch_predict", "model": model, "input": source, **fields}


@pytest.mark.parametrize("way", ["job", "schedule"])
@pytest.mark.parametrize("reference", REFERENCES)
def test_a_job_cannot_name_what_belongs_to_another_project(
    owner: Owner, intruder: Graft, reference: str, way: str
) -> None:
    own = intruder.get("/v1/datasets").json()["data"][0]["id"]

    def ask(ids: Json) -> httpx.Response:
        job = REFERENCES[reference](own, ids["dataset_id"], ids["name"], ids["alias"])
        if way == "job":
            return intruder.submit(job)
        return intruder.post("/v1/schedules", json={"name": "mine", "cron": "0 0 1 1 *", "job": job})

    theirs, unknown = ask(owner.ids), ask(UNKNOWN)
    assert unknown.status_code == 422, unknown.text
    assert _refusal(theirs, owner.ids) == _refusal(unknown, UNKNOWN)


@pytest.mark.parametrize(
    "spelling", ["{}", "{}_manifest.json", "s3://{bucket}/", "s3://{bucket}//isolated/jobs/"]
)
@pytest.mark.parametrize("place", ["dataset", "input", "output"])
def test_the_bucket_that_projects_share_cannot_be_named(
    owner: Owner, intruder: Graft, place: str, spelling: str
) -> None:
    """Not even by the owner: what lies there is reached through datasets, versions and outputs."""
    uri = spelling.format(owner.uri, bucket=owner.uri.split("/")[2])
    dataset = owner.ids["dataset_id"]
    bodies = {
        "input": _scoring(f"{MODEL}:1", {"uri": uri}),
        "output": _scoring(f"{MODEL}:1", {"dataset": dataset}, output={"uri": uri}),
    }
    for client in (owner.client, intruder):
        if place == "dataset":
            response = client.post("/v1/datasets", json={"name": "mine", "uri": uri})
        else:
            response = client.submit(bodies[place])
        assert response.status_code == 422, response.text
        pointers = [error["pointer"] for error in response.json()["errors"]]
        assert f"/{place}/uri".removeprefix("/dataset") in pointers


def test_the_idempotency_key_of_another_project_is_not_ones_own(owner: Owner, intruder: Graft) -> None:
    own = intruder.get("/v1/datasets").json()["data"][0]["id"]
    theirs = owner.client.submit(
        train_body(owner.ids["dataset_id"], "twice"), **{"Idempotency-Key": "shared"}
    )
    mine = intruder.submit(train_body(own, "twice"), **{"Idempotency-Key": "shared"})
    assert (theirs.status_code, mine.status_code) == (202, 202)
    assert theirs.json()["id"] != mine.json()["id"]
    assert "Idempotency-Replayed" not in mine.headers
    owner.client.ended(theirs.json()["id"])
    intruder.ended(mine.json()["id"])
