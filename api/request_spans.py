"""A server span for each request, if traces are on: in the caller's trace if `traceparent` came with it."""

from __future__ import annotations

from flask import Flask, Response, g, request

from api.counters import route_of
from shared import tracing

_UNTRACED = frozenset({"/healthz", "/readyz", "/metrics"})
"""What is asked again and again by machines."""


def install(app: Flask) -> None:
    """First of all that is done before a request, and last of what is done after it."""
    if not tracing.is_on():
        return

    @app.before_request
    def begin() -> None:
        if request.path in _UNTRACED or request.path.startswith("/static/"):
            return
        route = route_of(request)
        g.span = tracing.span(
            request.method if route is None else f"{request.method} {route}",
            "server",
            parent=request.headers.get("traceparent"),
            http__request__method=request.method,
            http__route=route,
            url__scheme=request.scheme,
            network__protocol__version=request.environ.get("SERVER_PROTOCOL", "").removeprefix("HTTP/"),
        )
        g.span.__enter__()

    @app.after_request
    def end(response: Response) -> Response:
        if "span" in g:
            status = response.status_code
            tracing.note(
                error=str(status) if status >= 500 else None,
                http__response__status_code=status,
                graft__request_id=g.get("request_id"),
            )
        return response

    @app.teardown_request
    def leave(_: BaseException | None) -> None:
        if (held := g.pop("span", None)) is not None:
            held.__exit__(None, None, None)
