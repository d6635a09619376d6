"""Makes the OpenAPI document say what the API does: problems for errors, scopes for access, bodies for uploads.

Also what pydantic and the views cannot know: the shape of names in paths, the headers that go with an answer, and
where an id that one answer gives can be used (OpenAPI's links).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any

from apiflask import APIFlask

from api import path_names
from api.auth import scope_of
from api.datasets import CONTENT_TYPES
from api.examples import EXAMPLES
from api.uploads import PART_TYPE
from shared.contracts.datasets import RegisterBody
from shared.contracts.problems import MEDIA_TYPE, Problem

_PROBLEM = {"$ref": "#/components/schemas/Problem"}
_EVERYWHERE = (400, 401, 403, 414, 429, 431, 500, 503)

_LINKS = {
    ("post", "/v1/datasets"): ("dataset_id", "/id"),
    ("post", "/v1/uploads"): ("upload_id", "/id"),
    ("post", "/v1/jobs"): ("job_id", "/id"),
    ("post", "/v1/schedules"): ("schedule_id", "/id"),
    ("post", "/v1/webhooks"): ("webhook_id", "/id"),
    ("post", "/v1/keys"): ("key_id", "/id"),
    ("get", "/v1/models"): ("name", "/data/0/name"),
}
"""Where an id comes from: (parameter that it can stand for, pointer into the answer)."""
_HEADERS: dict[str, dict[str, Any]] = {
    "X-Request-ID": {
        "description": "The request's own id, or the one that it came with.",
        "schema": {"type": "string"},
    },
    "ETag": {
        "description": "The revision, in quotes: it changes with every change.",
        "schema": {"type": "string"},
    },
    "Location": {"description": "Where the new thing is.", "schema": {"type": "string"}},
    "Retry-After": {"description": "Seconds.", "schema": {"type": "integer"}},
    "WWW-Authenticate": {"description": "RFC 6750.", "schema": {"type": "string"}},
    "RateLimit-Policy": {
        "description": 'The limits of requests: `"project";q=120000;w=60` (draft-ietf-httpapi-ratelimit-headers-10).',
        "schema": {"type": "string"},
    },
    "RateLimit": {
        "description": "What is left of them, and if nothing is, in how many seconds there is more.",
        "schema": {"type": "string"},
    },
}
_TAGS_PATTERN = '^(\\*|(W/)?"[!#-~]*"(, (W/)?"[!#-~]*")*)$'
_CONDITIONS = {
    "If-Match": "Only if the thing has one of these ETags; `*`: only if it exists. Otherwise 412.",
    "If-None-Match": "Only if the thing has none of these ETags; `*`: only if it does not exist.",
}
_HEADERS_OF = {
    "201": ("Location",),
    "202": ("Location", "Retry-After"),
    "302": ("Location",),
    "304": ("ETag",),
    "401": ("WWW-Authenticate",),
    "429": ("Retry-After",),
    "503": ("Retry-After",),
}
_REQUEST_HEADERS: dict[str, dict[str, Any]] = {
    "Idempotency-Key": {
        "description": "Of the same request, sent again: it is answered as the first was, for 24 hours.",
        "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[ -~]+$"},
    },
    "Last-Event-ID": {
        "description": "Of an event stream: the last event that is known.",
        "schema": {"type": "string", "pattern": "^([0-9]{1,15}-[0-9]{1,15})?$"},
    },
    "Prefer": {
        "description": "RFC 7240: `wait=N` holds the answer until the job ends, N seconds and 30 at most.",
        "schema": {"type": "string"},
        "example": "wait=10",
    },
}
_REQUEST_HEADERS_OF = {
    ("post", "/v1/jobs"): ("Idempotency-Key", "Prefer"),
    ("get", "/v1/jobs/{job_id}"): ("Prefer",),
    ("get", "/v1/jobs/{job_id}/events"): ("Last-Event-ID",),
    ("post", "/v1/jobs/{job_id}/retry"): ("Idempotency-Key", "Prefer"),
    ("post", "/v1/schedules"): ("Idempotency-Key",),
    ("post", "/v1/schedules/{schedule_id}/run"): ("Idempotency-Key", "Prefer"),
}


def install(app: APIFlask) -> None:
    app.config["AUTO_OPERATION_ID"] = True
    app.config["AUTO_VALIDATION_ERROR_RESPONSE"] = False
    app.config["AUTO_404_RESPONSE"] = False
    app.security_schemes = {"key": {"type": "http", "scheme": "bearer"}}
    app.spec_processor(lambda spec: _complete(spec, _scopes(app)))


def _scopes(app: APIFlask) -> dict[tuple[str, str], str | None]:
    """(method, path) → the scope that a key must have; None of public ones."""
    return {
        (method.lower(), re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule)): scope_of(app, rule.endpoint)
        for rule in app.url_map.iter_rules()
        for method in rule.methods or ()
    }


def _complete(spec: Any, scopes: Mapping[tuple[str, str], str | None]) -> Any:
    schemas = spec.setdefault("components", {}).setdefault("schemas", {})
    for record in (Problem, RegisterBody):
        _add(schemas, record)
    for path, operations in spec["paths"].items():
        for method, operation in operations.items():
            if scope := scopes[method, path]:
                operation["security"] = [{"key": [scope]}]
                _errors(operation, method)
            else:
                operation["security"] = []
            _request_headers(operation, _REQUEST_HEADERS_OF.get((method, path), ()))
            _conditions(operation)
            _shapes(operation)
    for source, (parameter, pointer) in _LINKS.items():
        _link(spec["paths"], *source, parameter, pointer)
    _upload_body(spec["paths"]["/v1/datasets"]["post"])
    _part_body(spec["paths"]["/v1/uploads/{upload_id}/parts/{number}"]["put"])
    _event_stream(spec["paths"]["/v1/jobs/{job_id}/events"]["get"])
    for (method, path), examples in EXAMPLES.items():
        body = spec["paths"][path][method]["requestBody"]["content"]["application/json"]
        body["examples"] = {name: {"value": value} for name, value in examples.items()}
    if "tags" in spec:  # each of two blueprints with the same one has told it
        spec["tags"] = list({tag["name"]: tag for tag in spec["tags"]}.values())
    return spec


def _add(schemas: dict[str, Any], record: Any) -> None:
    schema = record.model_json_schema(ref_template="#/components/schemas/{model}")
    schemas.update(schema.pop("$defs", {}))
    schemas[record.__name__] = schema


def _errors(operation: dict[str, Any], method: str) -> None:
    """Every 4xx and 5xx is a problem; some can come from anywhere."""
    responses = operation["responses"]
    takes_input = bool(operation.get("parameters") or "requestBody" in operation or method == "post")
    for status in (*_EVERYWHERE, *((413, 415, 422) if takes_input else ())):
        responses.setdefault(str(status), {})
    for status, response in responses.items():
        if status[0] in "45":
            response["description"] = response.get("description") or HTTPStatus(int(status)).phrase
            response["content"] = {MEDIA_TYPE: {"schema": _PROBLEM}}
        elif status in {"204", "304", "302"}:
            response.pop("content", None)
    if "requestBody" in operation:
        operation["requestBody"]["required"] = True


def _request_headers(operation: dict[str, Any], names: Iterable[str]) -> None:
    parameters = operation.setdefault("parameters", [])
    parameters += [
        {"name": name, "in": "header", "required": False, **_REQUEST_HEADERS[name]} for name in names
    ]
    if "Prefer" in names and "202" in operation["responses"]:
        answer = operation["responses"]["202"]
        operation["responses"]["200"] = {
            "description": "The job has ended within the time that was preferred to wait.",
            "content": answer["content"],
        }


def _event_stream(operation: dict[str, Any]) -> None:
    operation["responses"]["200"]["content"]["text/event-stream"] = {"schema": {"type": "string"}}


def _conditions(operation: dict[str, Any]) -> None:
    """What can answer 412 takes the headers that ask for it (`api.preconditions`)."""
    for name, meaning in _CONDITIONS.items() if "412" in operation["responses"] else ():
        schema = {"type": "string", "pattern": _TAGS_PATTERN}
        header = {"name": name, "in": "header", "required": False, "description": meaning, "schema": schema}
        operation.setdefault("parameters", []).append(header)


def _shapes(operation: dict[str, Any]) -> None:
    """Of names in the path, and the headers of every answer."""
    for parameter in operation.get("parameters", ()):
        if parameter["in"] == "path" and parameter["name"] in path_names.PATTERNS:
            parameter["schema"]["pattern"] = path_names.PATTERNS[parameter["name"]]
    has_revision = "412" in operation["responses"]
    for status, response in operation["responses"].items():
        names = ("X-Request-ID", *_HEADERS_OF.get(status, ()))
        if operation["security"] and status not in {"401", "503"}:
            names += ("RateLimit-Policy", "RateLimit")
        if has_revision and status in {"200", "201", "412"}:
            names = (*names, "ETag")
        response["headers"] = {name: _HEADERS[name] for name in names}


def _link(paths: dict[str, Any], method: str, path: str, parameter: str, pointer: str) -> None:
    """From an answer that gives an id to all that can be asked of it."""
    responses = paths[path][method]["responses"]
    answer = next(response for status, response in responses.items() if status.startswith("2"))
    for target, operations in paths.items():
        if target.count("{") == 1 and f"{{{parameter}}}" in target:
            for operation in operations.values():
                answer.setdefault("links", {})[operation["operationId"]] = {
                    "operationId": operation["operationId"],
                    "parameters": {parameter: f"$response.body#{pointer}"},
                }


def _part_body(operation: dict[str, Any]) -> None:
    binary = {"schema": {"type": "string", "format": "binary"}}
    operation["requestBody"] = {"required": True, "content": {PART_TYPE: binary}}


def _upload_body(operation: dict[str, Any]) -> None:
    binary = {"schema": {"type": "string", "format": "binary"}}
    content: dict[str, Any] = dict.fromkeys(CONTENT_TYPES, binary)
    content["application/json"] = {"schema": {"$ref": "#/components/schemas/RegisterBody"}}
    operation["requestBody"] = {"required": True, "content": content}
