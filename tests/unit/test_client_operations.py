"""The client and the OpenAPI document have the same operations, parameters and fields.

That the methods really send what stands in them, and that the server's answers have these very fields, is for
tests/e2e/test_client_methods.py.
"""

from __future__ import annotations

from typing import Any

import pytest

from graft.client.client import Client
from shared.contracts.jobs import AnyJobBody
from tests.support import client_methods, routes

#: The document's name → the client's, where they differ.
RENAMED = {
    "Idempotency-Key": "idempotency_key",
    "If-Match": "if_match",
    "If-None-Match": "if_none_match",
    "Prefer": "wait",
    "Last-Event-ID": "after",
    "tag": "tags",
    ("GET /v1/usage", "from"): "first",
    ("GET /v1/usage", "to"): "last",
    ("POST /v1/uploads", "bytes"): "size",
    ("POST /v1/datasets", "name"): "given",
}
#: What a method gives by itself, or what it is not for.
NOT_ASKED = {
    ("GET", "If-Match"): "a look is a look; conditions are for changes",
    ("GET", "If-None-Match"): "a Job or a Model is looked at anew, and not kept",
    ("PATCH", "If-None-Match"): "what is changed exists",
    ("DELETE", "If-None-Match"): "what is deleted exists",
    ("POST", "If-None-Match"): "what is rolled back exists",
}
#: Operations whose body is a table or a whole job: `create` and `submit` take it as it is.
WHOLE_BODIES = {"POST /v1/datasets", "POST /v1/jobs"}
#: A job's field → the parameters of `client.train` and its like that make it.
MADE_OF = {
    "model": {"name", "description", "tags"},
    "input": {"dataset", "uri", "input_format"},
}

SENDERS = dict(client_methods.senders())
METHODS = client_methods.methods(client_methods.RESOURCES)


def operations() -> dict[str, dict[str, Any]]:
    return {
        f"{method.upper()} {path}": operation
        for path, methods in routes.document()["paths"].items()
        for method, operation in methods.items()
    }


def test_every_operation_has_exactly_one_method_and_every_method_that_sends_exactly_one_operation() -> None:
    found = client_methods.senders()
    assert sorted(operation for operation, _ in found) == sorted(operations())
    assert len({method for _, method in found}) == len(found), "a method sends two operations"
    assert {method for _, method in found} <= set(METHODS), "an operation stands outside of a public method"


@pytest.mark.parametrize("operation", sorted(SENDERS))
def test_a_method_takes_what_its_operation_takes(operation: str) -> None:
    verb = operation.partition(" ")[0]
    taken = client_methods.parameters(METHODS[SENDERS[operation]])
    described = operations()[operation]
    asked = {parameter["name"] for parameter in described.get("parameters", ()) if parameter["in"] != "path"}
    asked = {name for name in asked if (verb, name) not in NOT_ASKED}
    if operation not in WHOLE_BODIES:
        asked |= _fields(described)
    missing = {name for name in asked if _ours(operation, name) not in taken}
    assert not missing


def _ours(operation: str, name: str) -> str:
    return RENAMED.get((operation, name)) or RENAMED.get(name) or name


def _fields(operation: dict[str, Any]) -> set[str]:
    content = operation.get("requestBody", {}).get("content", {}).get("application/json")
    if content is None:
        return set()
    return set(
        routes.document()["components"]["schemas"][content["schema"]["$ref"].rpartition("/")[2]]["properties"]
    )


@pytest.mark.parametrize("body", AnyJobBody.__args__, ids=lambda body: body.__name__)
def test_a_method_for_each_type_of_job_takes_every_field_of_its_body(body: Any) -> None:
    (type_,) = body.model_fields["type"].annotation.__args__
    taken = client_methods.parameters(getattr(Client, type_))
    for field in set(body.model_fields) - {"type"}:
        makes = MADE_OF[field] if field in MADE_OF and field not in taken else {field}
        assert makes <= taken, field
