"""Too many requests, over HTTP: of a project, of one of its keys, and from an address without a good key."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from graft.stack import Endpoint, RunningServer
from tests.e2e.conftest import KEYS, OPERATORS_KEY, RunningStack, running_stack
from tests.support.client import CSV, Graft

A_MINUTE, A_KEY, FAILURES = 30, 20, 5
MOST_BYTES = 20_000


@pytest.fixture(scope="module")
def strict(
    tmp_path_factory: pytest.TempPathFactory, object_store: RunningServer | Endpoint
) -> Iterator[RunningStack]:
    """A stack with small limits, behind a proxy that says from where requests come."""
    with running_stack(
        tmp_path_factory.mktemp("strict"),
        object_store,
        GRAFT_RATE_LIMIT=str(A_MINUTE),
        GRAFT_RATE_LIMIT_PER_KEY=str(A_KEY),
        GRAFT_RATE_LIMIT_FAILURES=str(FAILURES),
        GRAFT_TRUSTED_PROXIES="1",
        GRAFT_MAX_PROJECT_BYTES=str(MOST_BYTES),
    ) as stack:
        yield stack


def client(stack: RunningStack, key: str, address: str = "192.0.2.1") -> Graft:
    opened = Graft(stack.url, key)
    opened.headers["X-Forwarded-For"] = address
    return opened


def test_a_key_and_then_its_project_are_refused_and_nobody_else(strict: RunningStack) -> None:
    with client(strict, OPERATORS_KEY) as operator:
        made = [
            operator.post("/v1/keys", json={"project": "limited", "scopes": ["read"]}).json()["key"]
            for _ in range(2)
        ]
    with client(strict, made[0]) as first, client(strict, made[1]) as second:
        answers = [first.get("/v1/jobs") for _ in range(A_KEY + 1)]
        assert [answer.status_code for answer in answers] == [200] * A_KEY + [429]
        assert answers[0].headers["RateLimit-Policy"] == f'"key";q={A_KEY};w=60, "project";q={A_MINUTE};w=60'
        assert answers[0].headers["RateLimit"] == f'"key";r={A_KEY - 1}, "project";r={A_MINUTE - 1}'
        refused, problem = answers[-1], answers[-1].json()
        assert refused.headers["Content-Type"] == "application/problem+json"
        assert (problem["status"], problem["code"]) == (429, "rate_limited")
        assert 1 <= int(refused.headers["Retry-After"]) <= 60
        assert refused.headers["RateLimit"] == f'"key";r=0;t={refused.headers["Retry-After"]}'

        others = [second.get("/v1/jobs").status_code for _ in range(A_MINUTE - A_KEY + 1)]
        assert others == [200] * (A_MINUTE - A_KEY) + [429]
        assert '"project";r=0;t=' in second.get("/v1/jobs").headers["RateLimit"]

        unlimited = ("/healthz", "/readyz", "/openapi.json", "/docs")
        assert {first.get(path).status_code for path in unlimited} == {200}
        assert "RateLimit" not in first.get("/healthz").headers
    with client(strict, KEYS["another"]) as stranger:
        assert stranger.get("/v1/jobs").status_code == 200


def test_a_refused_request_does_nothing(strict: RunningStack) -> None:
    with client(strict, KEYS["fresh"]) as graft:
        codes = [graft.post("/v1/keys", json={"scopes": ["read"]}).status_code for _ in range(A_KEY + 5)]
    assert codes == [201] * A_KEY + [429] * 5
    with client(strict, OPERATORS_KEY) as operator:
        listed = operator.get("/v1/keys", params={"project": "fresh", "limit": 100}).json()["data"]
    assert len(listed) == A_KEY


def test_an_address_that_tries_keys_is_refused_even_with_a_good_one(strict: RunningStack) -> None:
    codes = []
    for number in range(3 * FAILURES):  # either of the API's processes may answer
        with client(strict, f"a-guess-{number}", "198.51.100.7") as guesser:
            codes.append(guesser.get("/v1/jobs").status_code)
    assert codes[:FAILURES] == [401] * FAILURES
    assert set(codes[FAILURES:]) == {429}
    with client(strict, KEYS["calendar"], "198.51.100.7") as graft:
        refused = [graft.get("/v1/jobs") for _ in range(20)]
    assert 429 in {answer.status_code for answer in refused}
    with client(strict, KEYS["calendar"], "198.51.100.8") as graft:
        assert graft.get("/v1/jobs").status_code == 200
    with client(strict, "a-guess", "198.51.100.8") as guesser:
        assert guesser.get("/v1/jobs").status_code == 401


def test_a_project_keeps_no_more_than_it_may(strict: RunningStack) -> None:
    table = "a,label\n" + "1234567,yes\n" * 1_000  # 12 KB
    with client(strict, KEYS["default"]) as graft:
        first = graft.dataset(table)
        for chunked in (False, True):  # whether it says beforehand how much it is
            content = iter([table.encode()]) if chunked else table.encode()
            refused = graft.post(
                "/v1/datasets", params={"name": "t"}, content=content, headers={"Content-Type": CSV}
            )
            assert (refused.status_code, refused.json()["code"]) == (413, "quota_exceeded")
        stored = graft.get("/v1/usage").json()["stored"]
        assert stored == {"datasets": len(table), "artifacts": 0, "outputs": 0, "limit": MOST_BYTES}
        assert len(graft.get("/v1/datasets").json()["data"]) == 1
        graft.delete(f"/v1/datasets/{first}")
        assert graft.get("/v1/usage").json()["stored"]["datasets"] == 0
        graft.dataset(table)
