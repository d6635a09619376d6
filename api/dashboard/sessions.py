"""Who looks at the pages: a session that was opened with an API key.

The cookie is a random id and nothing else, out of reach of scripts and never sent along from another site. What the
session may do is what its key may at that moment (`shared.sessions`). Besides, every form carries a token that is made
from the session's id, so that a request which another page had the browser send does nothing; and a browser that says
(Fetch Metadata) or shows (Origin) that a request began on another site is not listened to.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from flask import Response, current_app, g, request

from api import auth
from api.auth import Keyring, Principal, needs
from api.dashboard.site import blueprint, go, render
from api.limiting import Limiter
from api.wiring import asked_now, services
from shared.errors import Forbidden, Unauthenticated
from shared.sessions import Configured

_SECURE, _PLAIN, _BEFORE = "__Host-graft", "graft", "graft-login"
TOKEN_HEADER: Final = "X-CSRF-Token"  # noqa: S105  the name of a header


@dataclass(frozen=True, slots=True)
class Door:
    """What a login needs: the configured keys, and the count of wrong ones."""

    keyring: Keyring
    limiter: Limiter


def authenticate(keyring: Keyring) -> None:
    """Set `g.principal` from the session. Raises Unauthenticated, and Forbidden for what may not come from the user."""
    session_id = _session_id()
    principal = _principal(session_id, keyring) if session_id else None
    if session_id is None or principal is None:
        raise Unauthenticated("log in first", code="no_session")
    g.principal, g.session_id, g.csrf = principal, session_id, token_of(session_id)
    if request.method not in {"GET", "HEAD"}:
        expect_token(session_id)


def token_of(session_id: str) -> str:
    """What every form of the session carries."""
    return hmac.new(session_id.encode(errors="surrogateescape"), b"csrf", hashlib.sha256).hexdigest()


def expect_token(session_id: str) -> None:
    """Raises Forbidden."""
    site = request.headers.get("Sec-Fetch-Site", "same-origin")
    origin = request.headers.get("Origin")
    is_foreign = site not in {"same-origin", "none"} or (
        origin not in (None, "null") and urlsplit(origin).netloc != request.host
    )
    given = request.headers.get(TOKEN_HEADER) or request.form.get("csrf", "")
    if is_foreign or not hmac.compare_digest(given.encode(), token_of(session_id).encode()):
        raise Forbidden("the form is not one of this session; load the page again", code="bad_form_token")


@blueprint.get("/login")
def login_page() -> Response:
    return _login_page(200)


@blueprint.post("/login")
def login() -> Response:
    """Open a session with a key. Wrong keys count as those of other requests do."""
    expect_token(request.cookies.get(_BEFORE, ""))
    key = request.form.get("key", "").strip()
    door: Door = current_app.extensions["graft.door"]
    try:
        door.limiter.authenticate(door.keyring, services().api_keys, key, asked_now())
    except Unauthenticated:
        return _login_page(401, wrong=True)
    principal, sessions = auth.asking(), services().sessions
    if principal.key_id:
        opened = sessions.of_stored(principal.key_id, key)
    else:
        opened = sessions.of_configured(auth.mark_of(key, _secret()))
    if old := _session_id():
        sessions.end(old)
    response = Response(status=303, headers={"Location": _local(request.form.get("next", ""))})
    _set(response, opened, sessions.seconds)
    response.delete_cookie(_BEFORE, path="/login", samesite="Strict", httponly=True)
    return response


@blueprint.post("/logout")
@needs("read")
def logout() -> Response:
    services().sessions.end(g.session_id)
    response = go("login_page", "logged_out")
    for name in (_SECURE, _PLAIN):
        response.delete_cookie(name, path="/", secure=name == _SECURE, httponly=True, samesite="Strict")
    return response


def _login_page(status: int, *, wrong: bool = False) -> Response:
    before = request.cookies.get(_BEFORE) or secrets.token_urlsafe(32)
    g.csrf = token_of(before)
    page = render("login.html", status=status, wrong=wrong, next=_local(request.values.get("next", "")))
    page.set_cookie(
        _BEFORE, before, max_age=3600, path="/login", httponly=True, samesite="Strict", secure=_is_secure()
    )
    return page


def _set(response: Response, session_id: str, seconds: int) -> None:
    """`__Host-` binds a cookie to this host and to TLS; a browser takes it over TLS only."""
    secure = _is_secure()
    response.set_cookie(
        _SECURE if secure else _PLAIN,
        session_id,
        max_age=seconds,
        path="/",
        httponly=True,
        samesite="Strict",
        secure=secure,
    )


def _is_secure() -> bool:
    """Whether the browser speaks TLS, be it to a proxy: its own Origin says so, whatever the proxy passes on."""
    return request.is_secure or request.headers.get("Origin", "").startswith("https://")


def _session_id() -> str | None:
    found = request.cookies.get(_SECURE)
    return found or (None if request.is_secure else request.cookies.get(_PLAIN))


def _principal(session_id: str, keyring: Keyring) -> Principal | None:
    found = services().sessions.find(session_id)
    if isinstance(found, Configured):
        return keyring.marked(found.mark, _secret())
    return Principal(found.project, found.scopes, key_id=found.key_id) if found else None


def _secret() -> bytes:
    return services().settings.signing_key.get_secret_value().encode()


def _local(where: str) -> str:
    """A page of ours to go on to; nobody is sent elsewhere."""
    is_path = where.startswith("/") and not where.startswith(("//", "/\\")) and where.isprintable()
    return where if is_path and "\\" not in where else "/"
