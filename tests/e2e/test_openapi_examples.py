"""Every JSON body in the OpenAPI document comes with examples, and every example is accepted as it stands there."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from typing import Any

import pytest

from api.examples import ALIAS, COLUMNS, DATASET, MODEL, SHA256
from tests.e2e.conftest import USER_BUCKET, RunningStack
from tests.e2e.test_datasets import s3
from tests.support.client import Graft

ROWS = "\n".join(
    f"{n},{20 + n % 50},{'pro' if n % 3 else 'basic'},{'yes' if n % 4 else 'no'}" for n in range(200)
)
TABLE = f"{','.join(COLUMNS)}\n{ROWS}\n"


@pytest.fixture(scope="module")
def customers(stack: RunningStack, client_of: Callable[..., Graft]) -> tuple[Graft, dict[str, str]]:
    """A project in which the examples' table and model exist; and what stands for what in paths and bodies."""
    graft = client_of("examples")
    s3(stack.store.settings).put_object(Bucket=USER_BUCKET, Key="customers.csv", Body=TABLE.encode())
    dataset = graft.dataset(TABLE, name="customers")
    spec = graft.get("/openapi.json").json()
    train = examples_of(spec["paths"]["/v1/jobs"]["post"])["train"]
    graft.run(json.loads(json.dumps(train).replace(DATASET, dataset)))
    graft.put(f"/v1/models/{MODEL}/aliases/{ALIAS}", json={"version": 1}).raise_for_status()
    key = graft.post("/v1/keys", json={"scopes": ["read"]}).raise_for_status().json()
    yearly = {
        "name": "yearly",
        "cron": "0 3 1 1 *",
        "job": {"type": "evaluate", "model": MODEL, "dataset": dataset},
    }
    schedule = graft.post("/v1/schedules", json=yearly).raise_for_status().json()
    begun = {"name": "customers", "format": "csv", "bytes": len(TABLE)}
    upload = graft.post("/v1/uploads", json=begun).raise_for_status().json()["id"]
    graft.put(f"/v1/uploads/{upload}/parts/1", content=TABLE.encode()).raise_for_status()
    hook = {"url": "https://example.com/", "events": ["job.failed"]}
    webhook = graft.post("/v1/webhooks", json=hook).raise_for_status().json()
    return graft, {
        DATASET: dataset,
        SHA256: hashlib.sha256(TABLE.encode()).hexdigest(),
        "{upload_id}": upload,
        "{name}": MODEL,
        "{ref}": f"{MODEL}@{ALIAS}",
        "{alias}": ALIAS,
        "{number}": "1",
        "{key_id}": key["id"],
        "{schedule_id}": schedule["id"],
        "{webhook_id}": webhook["id"],
    }


def examples_of(operation: dict[str, Any]) -> dict[str, Any]:
    content = operation["requestBody"]["content"].get("application/json", {})
    return {name: example["value"] for name, example in content.get("examples", {}).items()}


def with_json(spec: dict[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
    return [
        (method, path, operation)
        for path, operations in spec["paths"].items()
        for method, operation in operations.items()
        if "application/json" in operation.get("requestBody", {}).get("content", {})
    ]


def test_every_json_body_has_an_example(graft: Graft) -> None:
    spec = graft.get("/openapi.json").json()
    assert [(method, path) for method, path, operation in with_json(spec) if not examples_of(operation)] == []


def test_every_example_is_accepted(customers: tuple[Graft, dict[str, str]]) -> None:
    graft, meanings = customers

    def meant(text: str) -> str:
        for name, value in meanings.items():
            text = text.replace(name, value)
        return text

    refused = []
    for method, path, operation in with_json(graft.get("/openapi.json").json()):
        for name, body in examples_of(operation).items():
            answer = graft.request(method, meant(path), json=json.loads(meant(json.dumps(body))))
            if not answer.is_success:
                refused.append((method, path, name, answer.json()))
    assert refused == []


def test_what_a_route_needs_is_in_the_document(graft: Graft) -> None:
    paths = graft.get("/openapi.json").json()["paths"]
    assert paths["/v1/jobs"]["post"]["security"] == [{"key": ["submit"]}]
    assert paths["/v1/keys"]["get"]["security"] == [{"key": ["admin"]}]
    assert paths["/healthz"]["get"]["security"] == []
