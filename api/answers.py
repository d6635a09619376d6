"""Answers that several views give."""

from __future__ import annotations

from flask import Response

from shared.contracts.base import Record

_JSON = "application/json"


def created(record: Record, location: str) -> Response:
    """201 with what has been made, and where it is."""
    response = Response(record.model_dump_json(), 201, mimetype=_JSON)
    response.headers["Location"] = location
    return response


def with_secret(record: Record, status: int, location: str | None = None) -> Response:
    """An answer that holds a secret, which is told this once: nobody on the way may keep it."""
    response = Response(record.model_dump_json(), status, mimetype=_JSON)
    response.headers["Cache-Control"] = "no-store"
    if location:
        response.headers["Location"] = location
    return response
