"""Is the process there, can it work, and where is its documentation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from apiflask import APIBlueprint
from flask import Response, current_app, jsonify

from api.wiring import services
from shared.errors import GraftError
from shared.workers import ALIVE_MS

blueprint = APIBlueprint("health", __name__, tag="Operations")

#: The page's own scripts, and the styles and pictures that Swagger UI makes as it goes.
_DOCS_POLICY = (
    "default-src 'none'; script-src 'self'; connect-src 'self'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


@blueprint.get("/healthz")
@blueprint.doc(responses={200: "The process answers."})
def healthz() -> dict[str, str]:
    """Whether this process is there."""
    return {"status": "ok"}


@blueprint.get("/readyz")
@blueprint.doc(responses={200: "Redis, the store and a worker are there.", 503: "One of them is not."})
def readyz() -> Response:
    """Whether jobs can be accepted and run: Redis, the store and a live worker."""
    checks = outcomes()
    ready = all(check == "ok" for check in checks.values())
    response = jsonify({"status": "ready" if ready else "not_ready", "checks": checks})
    response.status_code = 200 if ready else 503
    if not ready:
        response.headers["Retry-After"] = "2"
    return response


def outcomes() -> dict[str, str]:
    """Of each thing that jobs need: `ok`, or what is wrong with it."""
    return {
        "redis": _outcome(lambda: services().database.ping()),
        "store": _outcome(services().objects.check),
        "worker": _outcome(_worker),
    }


@blueprint.get("/docs")
@blueprint.doc(hide=True)
def docs() -> Response:
    page = current_app.send_static_file("docs.html")
    page.headers["Content-Security-Policy"] = _DOCS_POLICY
    return page


def _worker() -> None:
    alive = services().workers.alive(ALIVE_MS / 1000)
    if not alive:
        raise GraftError("no worker has been heard of lately")
    if all(worker.stalled for worker in alive):
        raise GraftError(f"stopped consuming: {', '.join(worker.name for worker in alive)}")


def _outcome(check: Callable[[], Any]) -> str:
    try:
        check()
    except GraftError as error:
        return error.message
    return "ok"
