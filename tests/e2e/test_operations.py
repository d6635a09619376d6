"""Health, documentation, keys, problems, and what the logs say."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import httpx
import openapi_spec_validator
import pytest

from tests.e2e import tables
from tests.e2e.conftest import KEYS, RunningStack
from tests.support.client import Graft, train_body
from tests.support.waiting import eventually


@pytest.fixture
def anybody(stack: RunningStack) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=stack.url) as client:
        yield client


def test_health_needs_no_key(anybody: httpx.Client) -> None:
    assert anybody.get("/healthz").json() == {"status": "ok"}
    ready = anybody.get("/readyz")
    assert ready.status_code == 200
    assert ready.json()["checks"] == {"redis": "ok", "store": "ok", "worker": "ok"}


def test_the_openapi_document_is_valid_and_complete(anybody: httpx.Client) -> None:
    document = anybody.get("/openapi.json").json()
    assert document["openapi"].startswith("3.1")
    openapi_spec_validator.validate(document)
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            if path.startswith("/v1/"):
                assert "401" in operation["responses"], (method, path)
                problem = operation["responses"]["401"]["content"]["application/problem+json"]
                assert problem["schema"] == {"$ref": "#/components/schemas/Problem"}
            if method in {"put", "patch"}:
                assert operation["requestBody"]["required"] is True
    assert set(document["paths"]["/v1/datasets"]["post"]["requestBody"]["content"]) == {
        "text/csv",
        "application/vnd.apache.parquet",
        "application/x-ndjson",
        "application/json",
    }


def test_the_documentation_page_loads_from_here_alone(anybody: httpx.Client) -> None:
    page = anybody.get("/docs")
    assert page.status_code == 200
    for path in re.findall(r'(?:src|href)="([^"]+)"', page.text):
        assert path.startswith("/static/"), path
        assert anybody.get(path).status_code == 200, path


@pytest.mark.parametrize("key", [None, "wrong", KEYS["default"][:-1], f"another:{KEYS['another']}"])
@pytest.mark.parametrize("path", ["/v1/jobs", "/v1/datasets", "/v1/models", "/v1/nothing"])
def test_without_a_known_key_there_is_401(anybody: httpx.Client, key: str | None, path: str) -> None:
    response = anybody.get(path, headers={} if key is None else {"Authorization": f"Bearer {key}"})
    assert response.status_code == 401
    assert response.headers["WWW-Authenticate"] == "Bearer"
    assert response.json()["code"] == "unauthenticated"


@pytest.mark.parametrize(
    ("method", "path", "options", "status"),
    [
        ("GET", "/v1/nothing", {}, 404),
        ("DELETE", "/v1/jobs", {}, 405),
        ("POST", "/v1/jobs", {"content": b"{", "headers": {"Content-Type": "application/json"}}, 400),
        ("POST", "/v1/jobs", {"content": b"", "headers": {"Content-Type": "application/json"}}, 400),
        (
            "POST",
            "/v1/jobs",
            {"content": b'{"type": NaN}', "headers": {"Content-Type": "application/json"}},
            400,
        ),
        (
            "POST",
            "/v1/jobs",
            {"content": b"[" * 100_000, "headers": {"Content-Type": "application/json"}},
            400,
        ),
        ("POST", "/v1/jobs", {"content": b"\xff", "headers": {"Content-Type": "application/json"}}, 400),
        ("POST", "/v1/jobs", {"content": b"{}", "headers": {"Content-Type": "text/plain"}}, 415),
        ("POST", "/v1/jobs", {"json": []}, 422),
        (
            "PATCH",
            "/v1/models/any",
            {"content": b"null", "headers": {"Content-Type": "application/json"}},
            422,
        ),
        ("GET", "/v1/models/any/versions", {"params": {"after": "abc"}}, 422),
        ("GET", f"/v1/jobs/job_{'0' * 26}/events", {"params": {"after": "abc"}}, 422),
        ("GET", f"/v1/jobs/job_{'0' * 26}/logs", {"params": {"after": "1:1"}}, 422),
        ("GET", "/" + "x" * 5_000, {}, 414),
        ("GET", "/v1/jobs", {"headers": {"X-Long": "x" * 10_000}}, 431),
        ("POST", "/v1/jobs", {"json": {"type": "dream"}}, 422),
        ("POST", "/v1/jobs", {"json": {"type": ["train"]}}, 422),
        (
            "POST",
            "/v1/jobs",
            {"content": b"x" * (9 * 2**20), "headers": {"Content-Type": "application/json"}},
            413,
        ),
    ],
)
def test_every_error_is_a_problem(
    graft: Graft, method: str, path: str, options: dict[str, Any], status: int
) -> None:
    response = graft.request(method, path, **options)
    assert response.status_code == status, response.text
    assert response.headers["Content-Type"] == "application/problem+json"
    problem = response.json()
    assert {"type", "title", "status", "detail", "code", "request_id"} <= set(problem)
    assert problem["status"] == status
    assert problem["request_id"] == response.headers["X-Request-ID"]
    assert "Traceback" not in response.text
    assert ("Allow" in response.headers) is (status == 405)


def test_a_request_id_comes_back_and_follows_the_job_into_every_log(
    graft: Graft, stack: RunningStack
) -> None:
    dataset = graft.dataset(tables.iris())
    response = graft.submit(train_body(dataset, "traced"), **{"X-Request-ID": "trace-me-1"})
    assert response.headers["X-Request-ID"] == "trace-me-1"
    job_id = response.json()["id"]
    graft.ended(job_id)

    def lines(name: str) -> list[dict[str, Any]]:
        found = [json.loads(line) for line in stack.log(name).splitlines() if line.startswith("{")]
        return [line for line in found if line.get("request_id") == "trace-me-1"]

    eventually(lambda: any(line["event"] == "job_succeeded" for line in lines("worker")))
    assert any(line["event"] == "request" for line in lines("api"))
    assert {(line["job_id"], line["attempt"]) for line in lines("worker")} == {(job_id, 1)}


def test_a_request_id_that_is_no_name_is_replaced(graft: Graft) -> None:
    response = graft.get("/v1/jobs", headers={"X-Request-ID": 'x" injected="y'})
    assert re.fullmatch(r"[0-9a-f]{32}", response.headers["X-Request-ID"])


def test_no_log_holds_a_secret(graft: Graft, stack: RunningStack) -> None:
    graft.get("/v1/jobs")
    credentials = json.loads((stack.directory / "credentials.json").read_text())
    secrets = [*KEYS.values(), *(value for value in credentials.values() if isinstance(value, str))]
    for path in (stack.directory / "logs").glob("*.log"):
        text = path.read_text(errors="replace")
        for secret in secrets:
            assert secret not in text, f"{path.name} holds a secret"
