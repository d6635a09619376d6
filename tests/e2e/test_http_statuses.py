"""The statuses that any route may answer with, each provoked at every route: docs/http-statuses.md has the table.

Most are asked of the whole stack. For those that need a Redis that is broken or away, or a limit that is reached,
there is an API of its own.
"""

from __future__ import annotations

import http.client
import re
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from flask import Flask, g

from api import idempotency
from api.auth import Principal
from graft.stack import Endpoint, RunningServer, ports, services
from shared import keys
from shared.config import Settings
from shared.job_records import NewJob
from shared.services import Services
from shared.states import JobState
from tests.e2e import tables
from tests.e2e.test_isolation import BODIES, UNKNOWN
from tests.support.client import Graft, Json, train_body
from tests.support.routes import Route, documented, protected
from tests.support.schedules import DATASET, a_dataset
from tests.support.waiting import eventually

each_route = pytest.mark.parametrize("route", protected(), ids=str)

JSON = {"Content-Type": "application/json"}


def ask(client: httpx.Client, route: Route, suffix: str = "", **options: Any) -> httpx.Response:
    return client.request(route.method, route.filled(**UNKNOWN) + suffix, **options)


def expect_problem(response: httpx.Response, status: int, code: str) -> None:
    assert response.status_code == status, response.text
    assert response.headers["Content-Type"] == "application/problem+json"
    told = response.json()
    assert (told["status"], told["code"]) == (status, code)
    assert told["request_id"] == response.headers["X-Request-ID"]
    assert {"type", "title", "detail"} <= set(told)
    assert "Traceback" not in response.text


# What is asked of the whole stack


@each_route
def test_a_body_that_is_no_json_is_400_everywhere(graft: Graft, route: Route) -> None:
    expect_problem(ask(graft, route, content=b"{", headers=JSON), 400, "malformed")


@each_route
def test_no_key_is_401_everywhere(stack: Any, route: Route) -> None:
    with httpx.Client(base_url=stack.url) as anybody:
        response = ask(anybody, route)
    expect_problem(response, 401, "unauthenticated")
    assert response.headers["WWW-Authenticate"] == "Bearer"


@pytest.fixture(scope="module")
def lacking(client_of: Callable[..., Graft]) -> dict[str | None, Graft]:
    """By scope, a client whose key has the others."""
    scopes = ("read", "submit", "admin")
    return {scope: client_of("lacking", *(other for other in scopes if other != scope)) for scope in scopes}


@each_route
def test_a_key_without_the_scope_is_403_everywhere(lacking: dict[str | None, Graft], route: Route) -> None:
    expect_problem(ask(lacking[route.scope], route), 403, "missing_scope")


@each_route
def test_a_body_that_is_too_large_is_413_everywhere(graft: Graft, route: Route) -> None:
    """It is refused by what Content-Length says, before it is read."""
    connection = http.client.HTTPConnection(graft.base_url.host, graft.base_url.port, timeout=30)
    headers = {**JSON, "Authorization": graft.headers["Authorization"], "Content-Length": str(8 * 2**20 + 1)}
    connection.request(route.method, route.filled(**UNKNOWN), headers=headers)
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    told = httpx.Response(answer.status, headers=answer.getheaders(), content=body)
    expect_problem(told, 413, "too_large")


@each_route
def test_a_long_address_is_414_everywhere(graft: Graft, route: Route) -> None:
    expect_problem(ask(graft, route, "?" + "x" * 5_000), 414, "uri_too_long")


@each_route
def test_a_body_of_another_type_is_415_everywhere(graft: Graft, route: Route) -> None:
    if route.endpoint == "uploads.put_part":
        return  # it looks for the upload first: test_uploads.py has its 415
    response = ask(graft, route, content=b"x", headers={"Content-Type": "text/plain"})
    expect_problem(response, 415, "unsupported_media_type")


@each_route
def test_a_body_that_is_no_object_is_422_everywhere(graft: Graft, route: Route) -> None:
    expect_problem(ask(graft, route, json=[]), 422, "invalid_input")


@each_route
def test_headers_that_are_too_long_are_431_everywhere(graft: Graft, route: Route) -> None:
    expect_problem(ask(graft, route, headers={"X-Long": "x" * 10_000}), 431, "headers_too_large")


@each_route
def test_a_request_id_comes_back_everywhere(graft: Graft, route: Route) -> None:
    own = secrets.token_hex(8)
    assert ask(graft, route, headers={"X-Request-ID": own}).headers["X-Request-ID"] == own


def test_a_path_that_is_none_is_404(graft: Graft) -> None:
    expect_problem(graft.get("/v1/nothing"), 404, "not_found")


@pytest.mark.parametrize("path", sorted({route.path for route in protected()}))
def test_a_method_that_a_path_lacks_is_405(graft: Graft, path: str) -> None:
    address = next(route for route in protected() if route.path == path).filled(**UNKNOWN)
    allowed = {route.method for route in protected() if _matches(route, address)}
    for method in {"GET", "POST", "PUT", "PATCH", "DELETE"} - allowed:
        response = graft.request(method, address)
        expect_problem(response, 405, "method_not_allowed")
        assert set(response.headers["Allow"].split(", ")) - {"HEAD", "OPTIONS"} <= allowed


def _matches(route: Route, address: str) -> bool:
    """Also by a parameter: `compare` could be the name of a model."""
    return bool(re.fullmatch(re.sub(r"\{[^}]+\}", "[^/]+", route.path), address))


# What only some routes answer, at each of them

CONDITIONAL = [route for route in protected() if 412 in documented()[str(route)]]


@dataclass(frozen=True)
class Owner:
    """A project with one of everything that has a revision."""

    client: Graft
    ids: Json


@pytest.fixture(scope="module")
def owner(client_of: Callable[..., Graft]) -> Owner:
    client = client_of("statuses")
    dataset = client.dataset(tables.iris())
    job = client.run(train_body(dataset, "statuses"))
    client.put("/v1/models/statuses/aliases/champion", json={"version": 1}).raise_for_status()
    schedule = client.post("/v1/schedules", json=yearly(dataset)).raise_for_status().json()
    names = {"name": "statuses", "number": 1, "alias": "champion", "ref": "statuses@champion"}
    ids = {"dataset_id": dataset, "job_id": job["id"], "schedule_id": schedule["id"], **names}
    return Owner(client, ids)


def yearly(dataset: str) -> Json:
    return {"name": "yearly", "cron": "0 0 1 1 *", "job": train_body(dataset, "statuses")}


@pytest.mark.parametrize("route", [route for route in CONDITIONAL if route.method == "GET"], ids=str)
def test_a_look_is_304_when_nothing_has_changed_and_412_at_another_revision(
    owner: Owner, route: Route
) -> None:
    path = route.filled(**owner.ids)
    tag = owner.client.get(path).headers["ETag"]
    same = owner.client.get(path, headers={"If-None-Match": tag})
    assert (same.status_code, same.content, same.headers["ETag"]) == (304, b"", tag)
    other = owner.client.get(path, headers={"If-Match": '"another"'})
    expect_problem(other, 412, "precondition_failed")


@pytest.mark.parametrize("route", [route for route in CONDITIONAL if route.method != "GET"], ids=str)
def test_a_change_is_412_at_another_revision(owner: Owner, route: Route) -> None:
    path, stale = route.filled(**owner.ids), {"If-Match": '"another"'}
    response = owner.client.request(route.method, path, json=BODIES.get(str(route)), headers=stale)
    expect_problem(response, 412, "precondition_failed")
    assert owner.client.get(path.removesuffix("/rollback")).status_code == 200


def test_a_change_answers_with_its_own_success(owner: Owner) -> None:
    """Each once, in an order in which each can succeed."""
    client, ids = owner.client, owner.ids

    def answers(status: int, method: str, path: str, **options: Any) -> httpx.Response:
        response = client.request(method, path.format(**ids), **options)
        assert response.status_code == status, (method, path, response.text)
        return response

    wait = {"Prefer": "wait=30"}
    uploaded = client.upload("a,b\n1,2\n")
    assert uploaded.status_code == 201
    answers(204, "DELETE", f"/v1/datasets/{uploaded.json()['id']}")
    job = answers(202, "POST", "/v1/jobs", json=train_body(ids["dataset_id"], "statuses")).json()
    client.ended(job["id"])
    answers(200, "POST", "/v1/jobs", json=train_body(ids["dataset_id"], "statuses"), headers=wait)
    answers(200, "PATCH", "/v1/models/{name}", json={"description": "d"})
    answers(200, "PATCH", "/v1/models/{name}/versions/{number}", json={"description": "d"})
    answers(200, "PUT", "/v1/models/{name}/aliases/other", json={"version": 1})
    answers(200, "PUT", "/v1/models/{name}/aliases/other", json={"version": 2})
    answers(200, "POST", "/v1/models/{name}/aliases/other/rollback")
    answers(409, "POST", "/v1/models/{name}/aliases/other/rollback")
    answers(204, "DELETE", "/v1/models/{name}/aliases/other")
    rows = [dict.fromkeys(("f0", "f1", "f2", "f3"), 1.0)]
    answers(200, "POST", "/v1/models/{ref}/predict", json={"rows": rows})
    schedule = answers(201, "POST", "/v1/schedules", json=yearly(ids["dataset_id"])).json()["links"]["self"]
    answers(200, "PATCH", schedule, json={"paused": True})
    run = answers(202, "POST", f"{schedule}/run").json()
    client.ended(run["id"])
    answers(200, "POST", f"{schedule}/run", headers=wait)
    answers(204, "DELETE", schedule)
    key = answers(201, "POST", "/v1/keys", json={"scopes": ["read"]}).json()["id"]
    answers(200, "POST", f"/v1/keys/{key}/rotate", json={})
    answers(204, "DELETE", f"/v1/keys/{key}")


# What needs an API of its own


@contextmanager
def api(directory: Path, settings: dict[str, str]) -> Iterator[str]:
    """An API by itself, with one process; its URL."""
    own = {
        "GRAFT_SIGNING_KEY": secrets.token_hex(16),
        "GRAFT_API_KEYS": "key",
        "GRAFT_API_PROCESSES": "1",
        **settings,
    }
    port = ports.choose("127.0.0.1")
    with RunningServer(services.api_service(directory, "127.0.0.1", port, own)) as server:
        server.start()
        eventually(lambda: _is_up(server.url), 60)  # not ready: it has no worker
        yield server.url


def _is_up(url: str) -> bool:
    try:
        return httpx.get(f"{url}/healthz").status_code == 200
    except httpx.TransportError:
        return False


@pytest.fixture(scope="module")
def alone(
    tmp_path_factory: pytest.TempPathFactory,
    redis_server: RunningServer,
    object_store: RunningServer | Endpoint,
) -> Iterator[str]:
    """An API at the tests' own Redis."""
    settings = {**redis_server.settings, **object_store.settings}
    with api(tmp_path_factory.mktemp("alone"), settings) as url:
        yield url


@pytest.fixture(scope="module")
def cut_off(
    tmp_path_factory: pytest.TempPathFactory, object_store: RunningServer | Endpoint
) -> Iterator[Graft]:
    """A client of an API whose Redis is not there. With a key that is looked up there, so that every route needs it."""
    settings = {
        **object_store.settings,
        "GRAFT_REDIS_URL": f"redis://127.0.0.1:{ports.choose('127.0.0.1')}/0",
    }
    with (
        api(tmp_path_factory.mktemp("cut-off"), settings) as url,
        Graft(url, f"graft_{'0' * 26}.{'x' * 43}") as client,
    ):
        yield client


@each_route
def test_a_redis_that_is_away_is_503_everywhere(cut_off: Graft, route: Route) -> None:
    response = ask(cut_off, route)
    expect_problem(response, 503, "redis_unavailable")
    assert int(response.headers["Retry-After"]) >= 1


@each_route
def test_a_defect_is_500_everywhere_and_says_nothing_of_it(
    alone: str, services: Services, route: Route
) -> None:
    """The key's record is not what any version of Graft has written."""
    made, text = services.api_keys.create("default", ["read", "submit", "admin"])
    services.database.delete(keys.api_key(made.id))
    services.database.rpush(keys.api_key(made.id), "no hash")
    with Graft(alone, text) as client:
        response = ask(client, route)
    expect_problem(response, 500, "internal_error")
    assert "WRONGTYPE" not in response.text


@pytest.fixture(scope="module")
def hurried(
    tmp_path_factory: pytest.TempPathFactory,
    redis_server: RunningServer,
    object_store: RunningServer | Endpoint,
) -> Iterator[Graft]:
    """A client of an API where a project may send one request a minute."""
    settings = {**redis_server.settings, **object_store.settings, "GRAFT_RATE_LIMIT": "1"}
    with api(tmp_path_factory.mktemp("hurried"), settings) as url, Graft(url, "key") as client:
        yield client


@pytest.mark.skipif("rate_limit" not in Settings.model_fields, reason="there is no rate limit yet")
@each_route
def test_one_request_too_many_is_429_everywhere(hurried: Graft, services: Services, route: Route) -> None:
    # A process remembers for a second whom it has refused, though the Redis of this test is empty again.
    eventually(lambda: ask(hurried, route).status_code != 429, 10)
    second = ask(hurried, route)
    expect_problem(second, 429, "rate_limited")
    assert int(second.headers["Retry-After"]) >= 1


@pytest.fixture
def own(alone: str, services: Services) -> Iterator[Graft]:
    """A client of that API, whose Redis is empty: nobody works there but the test."""
    with Graft(alone, "key") as client:
        yield client


def test_a_change_of_a_webhook_answers_with_its_own_success(owner: Owner) -> None:
    """Nothing that it sends arrives: the address has no receiver."""
    client = owner.client
    body = {"url": "https://example.com/hook", "events": ["job.failed"], "disabled": True}
    made = client.post("/v1/webhooks", json=body)
    assert made.status_code == 201
    here = made.json()["links"]["self"]
    assert client.post(f"{here}/test").status_code == 409
    assert client.post(f"{here}/replay", json={"since": "2026-01-01T00:00:00Z"}).status_code == 409
    assert client.patch(here, json={"disabled": False}).status_code == 200
    assert client.post(f"{here}/rotate", json={}).status_code == 200
    assert client.post(f"{here}/test").status_code == 202
    delivery = f"{here}/deliveries/{client.get(f'{here}/deliveries').json()['data'][0]['id']}/replay"
    assert client.post(delivery).status_code == 202
    assert client.post(f"{here}/replay", json={"since": "2026-01-01T00:00:00Z"}).status_code == 202
    assert client.patch(here, json={"disabled": True}).status_code == 200
    assert client.post(delivery).status_code == 409
    assert client.delete(here).status_code == 204
    assert client.post("/v1/webhook-secret", json={}).status_code == 200


def test_a_cancel_is_202_then_200_and_409_in_the_end(own: Graft, services: Services) -> None:
    job = services.jobs.submit(NewJob(project="default", type="train", spec={}))[0]
    claimed = services.jobs.claim("normal", "worker")
    assert claimed
    path = f"/v1/jobs/{job.id}/cancel"
    assert [own.post(path).status_code for _ in range(3)] == [202, 200, 200]
    services.jobs.finish(claimed[0], JobState.CANCELLED)
    expect_problem(own.post(path), 409, "job_ended")


def test_a_retry_is_202_and_409_of_a_job_that_lives(own: Graft, services: Services) -> None:
    dataset = a_dataset(services)
    body = train_body(dataset, "retried")
    path = f"/v1/jobs/{own.submit(body).json()['id']}"
    expect_problem(own.post(f"{path}/retry"), 409, "not_retryable")
    assert own.post(f"{path}/cancel").status_code == 202
    assert own.post(f"{path}/retry").status_code == 202


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/jobs", train_body(DATASET, "held")),
        (f"/v1/jobs/{UNKNOWN['job_id']}/retry", None),
        ("/v1/schedules", yearly(DATASET)),
        (f"/v1/schedules/{UNKNOWN['schedule_id']}/run", None),
    ],
)
def test_the_same_request_is_409_while_it_is_being_accepted(
    own: Graft, services: Services, path: str, body: Json | None
) -> None:
    headers = {"Idempotency-Key": "held"}
    with Flask("a client").test_request_context(path, method="POST", json=body, headers=headers):
        g.principal = Principal("default", frozenset())
        first = idempotency._keyed()
    assert first
    assert services.idempotency.begin(first) is None
    expect_problem(own.post(path, json=body, headers=headers), 409, "idempotency_key_in_use")
    services.idempotency.abandon(first)
    assert own.post(path, json=body, headers=headers).status_code in {404, 422}


def test_what_is_not_ready_is_503(own: Graft) -> None:
    response = own.get("/readyz")
    assert (response.status_code, response.json()["status"]) == (503, "not_ready")
    assert int(response.headers["Retry-After"]) >= 1
