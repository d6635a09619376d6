"""What a refused or failed request is told: RFC 9457 `application/problem+json`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from http import HTTPStatus
from typing import Literal

from shared.contracts.base import Record

MEDIA_TYPE = "application/problem+json"


class ProblemError(Record):
    """One bad field, by its JSON pointer."""

    pointer: str
    detail: str


class ProblemReferrer(Record):
    """What refers to a thing that was to be deleted."""

    kind: Literal["alias", "job", "schedule"]
    id: str


class Problem(Record):
    """Why a request was not done."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    request_id: str
    errors: list[ProblemError] | None = None
    referrers: list[ProblemReferrer] | None = None


def problem(
    status: int,
    code: str,
    detail: str,
    request_id: str,
    errors: Sequence[ProblemError] = (),
    referrers: Sequence[ProblemReferrer] = (),
) -> bytes:
    """The body of an answer, in JSON."""
    told = Problem(
        type=f"urn:graft:problem:{code}",
        title=HTTPStatus(status).phrase,
        status=status,
        detail=detail,
        code=code,
        request_id=request_id,
        errors=list(errors) or None,
        referrers=list(referrers) or None,
    )
    return json.dumps(told.model_dump(exclude_none=True)).encode()
