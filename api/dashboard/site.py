"""The blueprint of the pages, and how each is rendered.

Nothing on a page comes from elsewhere, and no script or style stands in it: so whatever text a user put into a name, a
tag or a cell, the browser runs nothing of it even if it were not escaped.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, Final

from apiflask import APIBlueprint
from flask import Response, g, redirect, render_template, request, url_for
from markupsafe import Markup

from api.auth import asking
from api.dashboard import wording
from shared.contracts.keys import Scope

blueprint = APIBlueprint("dashboard", __name__, enable_openapi=False)

_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
_STATIC: Final = Path(__file__).parent.parent / "static" / "dashboard"

NOTICES: Final = {
    "submitted": "The job has been accepted.",
    "cancelled": "The job has been asked to stop.",
    "retried": "This is the new job.",
    "rolled_back": "The alias points where it pointed before.",
    "alias_set": "The alias has been moved.",
    "alias_removed": "The alias has been removed; its history stays.",
    "paused": "The schedule is paused.",
    "resumed": "The schedule goes on.",
    "scheduled": "The schedule has been made.",
    "deleted": "It has been deleted.",
    "saved": "Saved.",
    "uploaded": "The table has been uploaded.",
    "logged_out": "You are logged out.",
}
"""What a page says of what has just been done, by the word in its address."""


def render(template: str, *, status: int = 200, **context: Any) -> Response:
    """A page, or a part of one, that only who asked for it may keep."""
    body = render_template(f"dashboard/{template}", **_always(), **context)
    return Response(body, status, mimetype="text/html")


def unchanged_or(render_it: Callable[[str], Response]) -> Response:
    """A part of a page that a browser asks for again and again: 204, at which it keeps what it has, if that is what
    would be told. `render_it` is given what stands in the part for its own digest."""
    response = render_it(_SEEN)
    body = response.get_data(as_text=True)
    tag = digest(body)
    if request.args.get("seen") == tag:
        return Response(status=204)
    response.set_data(body.replace(_SEEN, tag))
    return response


_SEEN: Final = "0digest0"


def stamped(template: str, **context: Any) -> Markup:
    """The same part as it stands in the whole page."""
    body = render_template(f"dashboard/{template}", **_always(), **context, seen=_SEEN)
    return Markup(body.replace(_SEEN, digest(body)))  # noqa: S704  a template's own output


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def go(endpoint: str, notice: str | None = None, **values: Any) -> Response:
    """To another page, after something was done (303: with a GET)."""
    where = url_for(f"dashboard.{endpoint}", **{**values, **({"done": notice} if notice else {})})
    return redirect(where, 303)  # type: ignore[return-value]


def may(scope: Scope) -> bool:
    """Whether who looks may do what takes that scope: what they may not is not offered."""
    return "principal" in g and scope in asking().scopes


@blueprint.after_request
def _guard(response: Response) -> Response:
    response.headers["Content-Security-Policy"] = _POLICY
    response.headers["Referrer-Policy"] = "same-origin"
    response.headers["Cross-Origin-Opener-Policy"] = "same-origin"
    response.headers["Cache-Control"] = "no-store"
    response.vary.update(("Cookie", "HX-Request"))
    return response


def _always() -> dict[str, Any]:
    """What every template may use."""
    return {
        "principal": g.get("principal"),
        "csrf": g.get("csrf", ""),
        "may": may,
        "asset": _asset,
        "notice": NOTICES.get(request.args.get("done", "")),
        "say": wording,
    }


@cache
def _asset(name: str) -> str:
    """The address of a file of ours; another one when the file is another."""
    tag = hashlib.sha256((_STATIC / name).read_bytes()).hexdigest()[:10]
    return f"/static/dashboard/{name}?v={tag}"
