"""The one place where errors become answers: RFC 9457 `application/problem+json`. Never a traceback.

What was sent is never echoed: a message names the field and what is wrong with it.
"""

from __future__ import annotations

from http import HTTPStatus

from apiflask import APIFlask
from apiflask.exceptions import HTTPError
from flask import Response, g
from pydantic import ValidationError
from werkzeug.exceptions import HTTPException

from shared import logs
from shared.contracts.problems import MEDIA_TYPE, ProblemError, ProblemReferrer, problem
from shared.contracts.refusals import invalid
from shared.errors import (
    FieldError,
    GraftError,
    InUse,
    PreconditionFailed,
    Referrer,
    Temporary,
    TooMany,
)
from shared.pointers import shortened

log = logs.get(__name__)

_CODES = {
    400: "malformed",
    401: "unauthenticated",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    408: "request_timeout",
    412: "precondition_failed",
    413: "too_large",
    414: "uri_too_long",
    415: "unsupported_media_type",
    429: "too_many",
    431: "headers_too_large",
}


def install(app: APIFlask) -> None:
    """Every error that a view raises, and every error of Flask's, answered as a problem."""

    @app.errorhandler(GraftError)
    def graft_error(error: GraftError) -> Response:
        if error.status >= 500:
            log.warning("request_failed", code=error.code, reason=error.message, exc_info=error.__cause__)
        headers = {}
        if isinstance(error, Temporary | TooMany):
            headers["Retry-After"] = str(error.retry_after)
        if error.status == 401:
            headers["WWW-Authenticate"] = "Bearer"
        if isinstance(error, PreconditionFailed) and error.revision is not None:
            headers["ETag"] = f'"{error.revision}"'
        referrers = error.referrers if isinstance(error, InUse) else ()
        return respond(
            error.status,
            error.code,
            error.message,
            errors=error.errors,
            referrers=referrers,
            headers=headers,
        )

    @app.error_processor  # takes werkzeug's errors, too, until `http_error` below does
    def apiflask_error(error: HTTPError) -> Response:
        if isinstance(error.__cause__, ValidationError):
            return graft_error(invalid(error.__cause__))
        code = _CODES.get(error.status_code, "http_error")
        return respond(error.status_code, code, error.message or HTTPStatus(error.status_code).phrase)

    @app.errorhandler(HTTPException)
    def http_error(error: HTTPException) -> Response:
        status = error.code or 500
        headers = {name: value for name, value in error.get_headers() if name in {"Allow", "Retry-After"}}
        return respond(status, _CODES.get(status, "http_error"), _told(error), headers=headers)

    @app.errorhandler(Exception)
    def defect(error: Exception) -> Response:
        log.error("request_crashed", exc_info=error)
        return respond(500, "internal_error", "an error of Graft's own; its log has it under this request id")


def _told(error: HTTPException) -> str:
    """What an error of Flask's says; werkzeug's own words for a wrong path speak of typing and reloading."""
    if error.code == HTTPStatus.NOT_FOUND:
        return "there is nothing at this path; /openapi.json lists what there is"
    return error.description or HTTPStatus(error.code or 500).phrase


def respond(
    status: int,
    code: str,
    detail: str,
    *,
    errors: tuple[FieldError, ...] = (),
    referrers: tuple[Referrer, ...] = (),
    headers: dict[str, str] | None = None,
) -> Response:
    told = [ProblemError(pointer=shortened(error.pointer), detail=error.detail) for error in errors]
    found = [ProblemReferrer(kind=item.kind, id=item.id) for item in referrers]
    body = problem(status, code, detail, g.get("request_id", ""), told, found)
    return Response(body, status, headers, mimetype=MEDIA_TYPE)
