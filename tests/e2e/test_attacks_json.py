"""Bodies that are made to confuse a reader or to cost it much: each is a documented answer, soon, and never a 500."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from tests.e2e import tables
from tests.fuzz.json_cases import CASES
from tests.support.client import Graft, train_body

#: A body of this size is refused for its size, whatever is in it: GRAFT_MAX_BODY_BYTES.
MOST_BYTES = 8 * 2**20
SOON_SECONDS = 10.0


@pytest.fixture(scope="module")
def model(graft: Graft) -> str:
    graft.run(train_body(graft.dataset(tables.iris()), "json-target"))
    return "json-target"


def ask(graft: Graft, path: str, content: bytes, method: str = "POST") -> httpx.Response:
    began = time.monotonic()
    response = graft.request(method, path, content=content, headers={"Content-Type": "application/json"})
    assert time.monotonic() - began < SOON_SECONDS
    assert response.status_code < 500, response.text
    if response.status_code >= 400:
        assert response.headers["Content-Type"] == "application/problem+json"
        assert "Traceback" not in response.text
        assert len(response.content) < 100_000
    return response


@pytest.mark.parametrize("path", ["/v1/jobs", "/v1/models/json-target/predict"])
@pytest.mark.parametrize("name", CASES)
def test_a_body_is_read_or_malformed_as_the_table_says(
    graft: Graft, model: str, path: str, name: str
) -> None:
    """None of them is a valid body, so what is read is 422 and what is not is 400."""
    text, is_read = CASES[name]
    response = ask(graft, path, text)
    assert response.status_code == (422 if is_read else 400), response.text


@pytest.mark.parametrize("name", [name for name, (_, is_read) in CASES.items() if is_read])
def test_as_a_cell_of_a_row_it_is_a_value_or_refused_in_its_place(
    graft: Graft, model: str, name: str
) -> None:
    text = CASES[name][0].removeprefix(b"\xef\xbb\xbf").decode()
    response = ask(
        graft, f"/v1/models/{model}/predict", f'{{"rows":[{{"f0":{text},"f1":1,"f2":1,"f3":1}}]}}'.encode()
    )
    if response.status_code == 200:
        assert json.loads(text) is None or isinstance(json.loads(text), int | float)
    else:
        assert response.status_code == 422
        assert [error["pointer"] for error in response.json()["errors"]] == ["/rows/0/f0"]


def test_the_second_of_two_members_does_not_win(graft: Graft) -> None:
    dataset = graft.dataset(tables.iris())
    twice = json.dumps(train_body(dataset, "first"))[:-1] + ', "model": {"name": "second"}}'
    response = ask(graft, "/v1/jobs", twice.encode())
    assert (response.status_code, response.json()["code"]) == (400, "malformed")
    assert [error["pointer"] for error in response.json()["errors"]] == ["/model"]


JOBS, PREDICT, SCHEDULES = "/v1/jobs", "/v1/models/json-target/predict", "/v1/schedules"
LARGE: dict[str, tuple[str, Callable[[], bytes]]] = {
    "half a million members": (JOBS, lambda: json.dumps({f"k{n}": 0 for n in range(500_000)}).encode()),
    "as many in a schedule": (SCHEDULES, lambda: json.dumps({f"k{n}": 0 for n in range(500_000)}).encode()),
    "as many in an estimator": (
        JOBS,
        lambda: json.dumps({"type": "train", "estimator": {f"k{n}": 0 for n in range(500_000)}}).encode(),
    ),
    "as many tags": (
        JOBS,
        lambda: json.dumps(
            {"type": "train", "model": {"name": "x", "tags": {f"k{n}": "" for n in range(400_000)}}}
        ).encode(),
    ),
    "a million rows": (PREDICT, lambda: b'{"rows":[' + b"{}," * 1_000_000 + b"{}]}"),
    "a row of half a million cells": (
        PREDICT,
        lambda: b'{"rows":[{' + b",".join(b'"k%d":0' % n for n in range(500_000)) + b"}]}",
    ),
    "a long name": (JOBS, lambda: b'{"' + b"x" * 8_000_000 + b'": 1}'),
    "a long name in a schedule": (SCHEDULES, lambda: b'{"' + b"x" * 8_000_000 + b'": 1}'),
    "a long name in a row": (PREDICT, lambda: b'{"rows":[{"' + b"x" * 8_000_000 + b'": 1}]}'),
    "a long type": (JOBS, lambda: b'{"type": "' + b"x" * 8_000_000 + b'"}'),
    "numbers of 4,000 digits": (
        PREDICT,
        lambda: b'{"rows":[{"f0":[' + b",".join([b"9" * 4_000] * 2_000) + b"]}]}",
    ),
    "a number of a million digits": (PREDICT, lambda: b'{"rows":[{"f0":' + b"9" * 1_000_000 + b"}]}"),
    "escapes": (JOBS, lambda: b'{"type":"' + b"\\u0041" * 1_300_000 + b'"}'),
    "surrogate pairs": (JOBS, lambda: b'{"type":"' + b"\\ud83d\\ude00" * 650_000 + b'"}'),
    "a name a hundred thousand times": (JOBS, lambda: b"{" + b'"a":1,' * 100_000 + b'"a":1}'),
}


@pytest.mark.parametrize("name", LARGE)
def test_what_is_large_is_refused_soon_and_shortly(graft: Graft, model: str, name: str) -> None:
    path, make = LARGE[name]
    content = make()
    assert len(content) < MOST_BYTES, "or it would be refused for its size alone"
    response = ask(graft, path, content)
    assert response.status_code in {400, 422}
    assert len(response.content) < 30_000


def test_a_body_that_is_too_large_is_refused_for_that(graft: Graft) -> None:
    assert ask(graft, "/v1/jobs", b" " * (MOST_BYTES + 1)).status_code == 413


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"X-Long": "x" * 9_000}, 431),
        ({f"X-{n}": "x" for n in range(200)}, 431),
        ({"Authorization": "Bearer " + "x" * 8_000}, 401),
        ({"Idempotency-Key": "x" * 8_000}, 400),
        ({"If-None-Match": "x" * 8_000}, 200),
        ({"Accept": ",".join(["text/html;q=0.1"] * 500)}, 200),
    ],
)
def test_headers_beyond_the_limits_are_refused(graft: Graft, headers: dict[str, str], status: int) -> None:
    """gunicorn's limits: 8,190 bytes a field, 100 fields."""
    if "Idempotency-Key" in headers:
        body: dict[str, Any] = train_body(graft.dataset(tables.iris()), "long-key")
        response = graft.post("/v1/jobs", json=body, headers=headers)
    else:
        response = graft.get("/v1/jobs", headers=headers)
    assert response.status_code == status, response.text
    if status >= 400:
        assert response.headers["Content-Type"] == "application/problem+json"
        assert "xxxx" not in response.text
