"""Errors as pages, for the routes of the dashboard; everything else answers problems (`api.problems`).

A part of a page that htmx asks for gets a sentence instead, which the page's script shows.
"""

from __future__ import annotations

from http import HTTPStatus
from urllib.parse import quote

from flask import Response, request
from werkzeug.exceptions import HTTPException

from api.dashboard.site import blueprint, render
from shared import logs
from shared.errors import GraftError, InUse, Temporary, TooMany, Unauthenticated

log = logs.get(__name__)

_TITLES = {
    400: "That could not be read",
    403: "This key may not do that",
    404: "There is nothing here",
    405: "That is not possible here",
    409: "That cannot be done now",
    412: "It has changed meanwhile",
    413: "That is too large",
    415: "That kind of file is not known",
    422: "That is not valid",
    429: "That was too often",
    503: "Graft cannot answer right now",
}


@blueprint.errorhandler(GraftError)
def graft_error(error: GraftError) -> Response:
    if isinstance(error, Unauthenticated):
        return _to_login()
    if error.status >= 500:
        log.warning("page_failed", code=error.code, reason=error.message, exc_info=error.__cause__)
    referrers = error.referrers if isinstance(error, InUse) else ()
    response = page(error.status, error.message, code=error.code, details=error.errors, referrers=referrers)
    if isinstance(error, Temporary | TooMany):
        response.headers["Retry-After"] = str(error.retry_after)
    return response


@blueprint.errorhandler(HTTPException)
def http_error(error: HTTPException) -> Response:
    status = error.code or 500
    return page(status, error.description or HTTPStatus(status).phrase)


@blueprint.errorhandler(Exception)
def defect(error: Exception) -> Response:
    log.error("page_crashed", exc_info=error)
    return page(500, "This is an error of Graft's own; its log has it under the number below.")


def page(status: int, sentence: str, **context: object) -> Response:
    if request.headers.get("HX-Request") == "true" or request.headers.get("X-CSRF-Token"):
        response = Response(sentence, status, mimetype="text/plain")
        response.headers["HX-Reswap"] = "none"
        return response
    title = _TITLES.get(status, "Something went wrong")
    return render("error.html", status=status, title=title, sentence=sentence, number=status, **context)


def _to_login() -> Response:
    """And back to where it was going. htmx is told to load the whole page."""
    if request.headers.get("HX-Request") == "true" or request.headers.get("X-CSRF-Token"):
        return Response("log in again", 401, {"HX-Redirect": "/login"}, mimetype="text/plain")
    back = request.full_path.rstrip("?") if request.method == "GET" else "/"
    where = "/login" if back == "/" else f"/login?next={quote(back, safe='')}"
    return Response(status=303, headers={"Location": where})
