"""Makes the OpenAPI document say what the API does: problems for errors, keys for access, bodies for uploads."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from apiflask import APIFlask

from api.datasets import CONTENT_TYPES
from api.problems import MEDIA_TYPE, Problem
from shared.contracts.datasets import RegisterBody

_PROBLEM = {"$ref": "#/components/schemas/Problem"}
_PUBLIC = ("/healthz", "/readyz")
_EVERYWHERE = (401, 403, 500, 503)


def install(app: APIFlask) -> None:
    app.config["AUTO_VALIDATION_ERROR_RESPONSE"] = False
    app.config["AUTO_404_RESPONSE"] = False
    app.security_schemes = {"key": {"type": "http", "scheme": "bearer"}}
    app.spec_processor(_complete)


def _complete(spec: Any) -> Any:
    schemas = spec.setdefault("components", {}).setdefault("schemas", {})
    for record in (Problem, RegisterBody):
        _add(schemas, record)
    for path, operations in spec["paths"].items():
        for method, operation in operations.items():
            if path in _PUBLIC:
                operation["security"] = []
            else:
                operation["security"] = [{"key": []}]
                _errors(operation, method)
    _upload_body(spec["paths"]["/v1/datasets"]["post"])
    return spec


def _add(schemas: dict[str, Any], record: Any) -> None:
    schema = record.model_json_schema(ref_template="#/components/schemas/{model}")
    schemas.update(schema.pop("$defs", {}))
    schemas[record.__name__] = schema


def _errors(operation: dict[str, Any], method: str) -> None:
    """Every 4xx and 5xx is a problem; some can come from anywhere."""
    responses = operation["responses"]
    takes_input = bool(operation.get("parameters") or "requestBody" in operation or method == "post")
    for status in (*_EVERYWHERE, *((400, 413, 415, 422) if takes_input else ())):
        responses.setdefault(str(status), {})
    for status, response in responses.items():
        if status[0] in "45":
            response["description"] = response.get("description") or HTTPStatus(int(status)).phrase
            response["content"] = {MEDIA_TYPE: {"schema": _PROBLEM}}
        elif status in {"204", "304", "302"}:
            response.pop("content", None)
    if "requestBody" in operation:
        operation["requestBody"]["required"] = True


def _upload_body(operation: dict[str, Any]) -> None:
    binary = {"schema": {"type": "string", "format": "binary"}}
    content: dict[str, Any] = dict.fromkeys(CONTENT_TYPES, binary)
    content["application/json"] = {"schema": {"$ref": "#/components/schemas/RegisterBody"}}
    operation["requestBody"] = {"required": True, "content": content}
