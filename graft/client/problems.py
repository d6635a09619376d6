"""What an answer that is no success means: the API's problem as an error, with what to do about it."""

from __future__ import annotations

import json
from typing import Any

import httpx
from pydantic import ValidationError

from graft.client import errors
from graft.client.retrying import retry_after
from shared.contracts.problems import Problem

_KINDS: dict[int, type[errors.Refused]] = {
    400: errors.InvalidInput,
    401: errors.Unauthenticated,
    403: errors.Forbidden,
    404: errors.NotFound,
    409: errors.Conflict,
    412: errors.PreconditionFailed,
    413: errors.TooLarge,
    415: errors.InvalidInput,
    422: errors.InvalidInput,
    429: errors.TooMany,
    500: errors.ServerFailed,
}
_AWAY = frozenset({502, 503, 504})

_HINTS = {
    "unauthenticated": "check GRAFT_API_KEY: the API knows no such key, or it has expired or been revoked",
    "missing_scope": "use a key that has that scope",
    "scope_not_held": "leave that scope out, or use a key that has it",
    "other_project": "use the operator's key: that of GRAFT_API_KEYS without a project, or that of `graft up`",
    "unknown_key": "`graft keys ls` shows which there are",
    "quota_exceeded": "delete what is not needed any more, or ask the operator for more",
    "rate_limited": "wait a moment, then try again",
    "precondition_failed": "look at it again, and decide anew",
    "negative_transfer": "read its report first; with `force` the alias moves nevertheless",
    "no_output_yet": "wait for the job first",
    "not_retryable": "only a failed or cancelled job is retried; submit a new one",
    "too_large": "the operator's limit is GRAFT_MAX_UPLOAD_BYTES; send less, or a compressed file",
    "too_many_waiting": "try again in a moment",
    "internal_error": "tell the operator the request's id; the server's log has it",
}
_NO_API = "check GRAFT_URL: it is the address of the API, without a path"


def error_of(response: httpx.Response) -> errors.GraftError:
    """The error that an unsuccessful answer is. Its body has been read."""
    problem = _problem(response)
    status = response.status_code
    wait = retry_after(response)
    if problem is None:
        return _by_status(response, wait)
    hint = _HINTS.get(problem.code, "")
    if status in _AWAY:
        return errors.Unavailable(
            f"{_where(response)} cannot answer now: {problem.detail}",
            hint or "try again in a moment",
            status=status,
            code=problem.code,
            request_id=problem.request_id,
            retry_after=wait,
        )
    kind = _KINDS.get(status, errors.ServerFailed if status >= 500 else errors.Refused)
    error = kind(
        problem.detail,
        hint,
        status=status,
        code=problem.code,
        errors={item.pointer: item.detail for item in problem.errors or ()},
        referrers=problem.referrers or (),
        request_id=problem.request_id,
        retry_after=wait,
    )
    if isinstance(error, errors.PreconditionFailed):
        error.etag = response.headers.get("ETag")
    return error


def parsed(response: httpx.Response) -> Any:
    """The JSON object of an answer. Raises NotGraft."""
    try:
        found = json.loads(response.content)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise errors.NotGraft(
            f"{_where(response)} answers ({response.status_code}), but not as Graft's API does", _NO_API
        )
    return found


def _problem(response: httpx.Response) -> Problem | None:
    try:
        return Problem.model_validate_json(response.content)
    except ValidationError:
        return None


def _by_status(response: httpx.Response, wait: float | None) -> errors.GraftError:
    """Of an answer that has no problem: of a proxy's, or of something else altogether."""
    status, where = response.status_code, _where(response)
    if status in _AWAY:
        return errors.Unavailable(
            f"{where} cannot answer now ({status})",
            "is the API behind it running? try again in a moment",
            status=status,
            retry_after=wait,
        )
    if status == 413:
        return errors.TooLarge(
            f"{where} takes no body of that size",
            "a proxy in front of the API refuses it: let it take larger ones, or upload in smaller parts",
            status=status,
            code="too_large",
        )
    if location := response.headers.get("Location"):
        elsewhere = httpx.URL(location).copy_with(query=None, userinfo=b"")
        return errors.NotGraft(
            f"{where} answers ({status}) that it is at {elsewhere}", "set GRAFT_URL to that address"
        )
    return errors.NotGraft(f"{where} answers ({status}), but not as Graft's API does", _NO_API)


def _where(response: httpx.Response) -> str:
    url = response.url
    return f"{url.scheme}://{url.netloc.decode()}"
