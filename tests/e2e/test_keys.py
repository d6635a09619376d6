"""API keys over HTTP, and the scope that each route of the API needs."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest

from shared.contracts.keys import SCOPES
from tests.e2e.conftest import KEYS, RunningStack
from tests.support.client import Graft
from tests.support.routes import Route, protected
from tests.support.waiting import eventually

ClientOf = Callable[..., Graft]
DOCUMENT = Path(__file__).parents[2] / "docs" / "keys.md"
UNKNOWN = {"name": "unknown", "ref": "unknown", "number": 1, "alias": "unknown"}


@pytest.fixture(scope="module")
def clerk(client_of: ClientOf) -> Graft:
    """All scopes in a project of its own."""
    return client_of("clerk")


@pytest.fixture(scope="module")
def single(client_of: ClientOf) -> dict[str, Graft]:
    """A key for each scope that has that one alone."""
    return {scope: client_of("scopes", scope) for scope in SCOPES}


# Scopes


def documented() -> dict[str, str]:
    """The table of docs/keys.md: `METHOD /path` → scope."""
    rows = re.findall(r"^\| `(read|submit|admin)` \| (.+) \|$", DOCUMENT.read_text(), re.MULTILINE)
    return {
        f"{method} {path}": scope
        for scope, cells in rows
        for method, path in re.findall(r"`(GET|POST|PUT|PATCH|DELETE) (/[^`]*)`", cells)
    }


def test_the_table_of_scopes_is_complete_and_says_what_the_code_declares() -> None:
    assert documented() == {str(route): route.scope for route in protected()}


@pytest.mark.parametrize("route", protected(), ids=str)
def test_a_route_takes_keys_with_its_scope_and_no_others(route: Route, single: dict[str, Graft]) -> None:
    """Nothing that is asked for exists, and no body is right: who may pass is told that, who may not only this."""
    path = route.filled(**{name: UNKNOWN.get(name, "unknown") for name in route.parameters})
    for scope, client in single.items():
        response = client.request(route.method, path, content=b"{", headers={"Content-Type": "text/plain"})
        if scope == route.scope:
            assert response.status_code not in {401, 403}, response.text
            assert response.status_code < 500, response.text
        else:
            assert (response.status_code, response.json()["code"]) == (403, "missing_scope"), response.text


# Keys


def test_a_key_is_shown_once_and_then_never_again(clerk: Graft) -> None:
    response = clerk.post("/v1/keys", json={"scopes": ["read"], "name": "nightly"})
    assert response.status_code == 201
    assert response.headers["Cache-Control"] == "no-store"
    made = response.json()
    assert made["key"].startswith(f"{made['prefix']}.")
    assert (made["project"], made["scopes"], made["name"]) == ("clerk", ["read"], "nightly")
    secret = made["key"].partition(".")[2]
    listed = clerk.get("/v1/keys")
    assert made["id"] in [key["id"] for key in listed.json()["data"]]
    assert secret not in listed.text
    assert "key" not in listed.json()["data"][0]


def test_a_key_works_expires_and_is_revoked_at_once_in_every_process(
    clerk: Graft, stack: RunningStack
) -> None:
    made = clerk.post("/v1/keys", json={"scopes": ["read"]}).json()
    with Graft(stack.url, made["key"]) as client:
        assert client.get("/v1/jobs").status_code == 200
        assert clerk.delete(f"/v1/keys/{made['id']}").status_code == 204
        # Fresh connections reach every process of the API.
        with ThreadPoolExecutor(8) as pool:
            asked = pool.map(lambda _: httpx.get(f"{stack.url}/v1/jobs", headers=client.headers), range(24))
        assert {response.status_code for response in asked} == {401}
    assert clerk.delete(f"/v1/keys/{made['id']}").status_code == 404
    end = (datetime.now(UTC) + timedelta(seconds=1)).isoformat()
    brief = clerk.post("/v1/keys", json={"scopes": ["read"], "expires_at": end}).json()
    with Graft(stack.url, brief["key"]) as client:
        assert client.get("/v1/jobs").status_code == 200
        eventually(lambda: client.get("/v1/jobs").status_code == 401)


def test_a_rotated_key_has_two_secrets_for_a_while(clerk: Graft, stack: RunningStack) -> None:
    made = clerk.post("/v1/keys", json={"scopes": ["read"]}).json()
    rotated = clerk.post(f"/v1/keys/{made['id']}/rotate", json={"overlap_seconds": 60})
    assert rotated.status_code == 200
    assert rotated.json()["id"] == made["id"]
    again = clerk.post(f"/v1/keys/{made['id']}/rotate", json={})
    for text, status in ((made["key"], 401), (rotated.json()["key"], 401), (again.json()["key"], 200)):
        with Graft(stack.url, text) as client:
            assert client.get("/v1/jobs").status_code == status
    assert clerk.post("/v1/keys/key_00000000000000000000000000/rotate", json={}).status_code == 404


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({}, "/scopes"),
        ({"scopes": []}, "/scopes"),
        ({"scopes": ["read", "read"]}, "/scopes"),
        ({"scopes": ["write"]}, "/scopes/0"),
        ({"scopes": "read"}, "/scopes"),
        ({"scopes": ["read"], "project": "../x"}, "/project"),
        ({"scopes": ["read"], "expires_at": "2020-01-01T00:00:00Z"}, "/expires_at"),
        ({"scopes": ["read"], "expires_at": "tomorrow"}, "/expires_at"),
        ({"scopes": ["read"], "name": "a\nb"}, "/name"),
        ({"scopes": ["read"], "secret": "mine"}, "/secret"),
    ],
)
def test_a_key_that_cannot_be_made_is_refused_at_its_field(clerk: Graft, body: object, pointer: str) -> None:
    response = clerk.post("/v1/keys", json=body)
    assert response.status_code == 422, response.text
    assert [error["pointer"] for error in response.json()["errors"]] == [pointer]


def test_nobody_gains_a_scope_by_making_or_rotating_a_key(clerk: Graft, stack: RunningStack) -> None:
    reader = clerk.post("/v1/keys", json={"scopes": ["read"]}).json()
    admin = clerk.post("/v1/keys", json={"scopes": ["admin"]}).json()
    with Graft(stack.url, admin["key"]) as client:
        for response in (
            client.post("/v1/keys", json={"scopes": ["admin", "read"]}),
            client.post(f"/v1/keys/{reader['id']}/rotate", json={}),
        ):
            assert (response.status_code, response.json()["code"]) == (403, "scope_not_held")
        assert client.post("/v1/keys", json={"scopes": ["admin"]}).status_code == 201
        assert client.delete(f"/v1/keys/{reader['id']}").status_code == 204


@pytest.mark.parametrize("whose", ["clerk", "configured"])
def test_only_the_operator_manages_keys_of_other_projects(
    clerk: Graft, operator: Graft, stranger: Graft, whose: str
) -> None:
    """A key of GRAFT_API_KEYS that names its project is confined to that, like one of the store."""
    client = clerk if whose == "clerk" else stranger
    for response in (
        client.post("/v1/keys", json={"scopes": ["read"], "project": "default"}),
        client.get("/v1/keys", params={"project": "default"}),
    ):
        assert (response.status_code, response.json()["code"]) == (403, "other_project")
    theirs = operator.post("/v1/keys", json={"scopes": ["read"], "project": "tenant"})
    assert (theirs.status_code, theirs.json()["project"]) == (201, "tenant")
    listed = operator.get("/v1/keys", params={"project": "tenant"}).json()["data"]
    assert theirs.json()["id"] in [key["id"] for key in listed]
    assert client.delete(f"/v1/keys/{theirs.json()['id']}").status_code == 404
    assert operator.delete(f"/v1/keys/{theirs.json()['id']}").status_code == 204


def test_the_list_of_keys_is_paged(client_of: ClientOf) -> None:
    client = client_of("many-keys")
    made = [client.post("/v1/keys", json={"scopes": ["read"]}).json()["id"] for _ in range(3)]
    first = client.get("/v1/keys", params={"limit": 2}).json()
    assert [key["id"] for key in first["data"]] == made[:0:-1]
    rest = client.get("/v1/keys", params={"limit": 2, "after": first["next"]}).json()
    assert rest["data"][0]["id"] == made[0]
    assert rest["has_more"] is False


# What may come in the header


@pytest.mark.parametrize(
    "header",
    [
        "",
        "Bearer",
        "Basic dXNlcjpwYXNz",
        f"Basic {KEYS['default']}",
        f"Bearer  {KEYS['default']} {KEYS['default']}",
        f"Bearer {KEYS['default']}\u00e9",
        "Bearer graft_01ARZ3NDEKTSV4RRFFQ69G5FAV.",
        f"Bearer graft_01ARZ3NDEKTSV4RRFFQ69G5FAV.{'A' * 43}",
        f"Bearer graft_{'*' * 26}.{'A' * 43}",
        "Bearer " + "x" * 8_000,
        "Bearer \x01\x7f",
    ],
)
def test_no_other_header_opens_anything(stack: RunningStack, header: str) -> None:
    response = httpx.get(f"{stack.url}/v1/jobs", headers={"Authorization": header.encode("latin-1")})
    assert response.status_code in {400, 401}, response.text
    if response.status_code == 401:
        assert response.json()["code"] == "unauthenticated"


@pytest.mark.parametrize("size", [9_000, 200_000])
def test_a_huge_header_is_refused_quickly_and_harms_nobody(
    stack: RunningStack, graft: Graft, size: int
) -> None:
    began = time.monotonic()
    try:
        response = httpx.get(f"{stack.url}/v1/jobs", headers={"Authorization": "Bearer " + "x" * size})
        assert response.status_code in {400, 431}
        assert "x" * 100 not in response.text
    except httpx.TransportError:
        pass  # the server has hung up before it was all sent
    assert time.monotonic() - began < 5
    assert graft.get("/v1/jobs").status_code == 200
