"""Who is asking, and may they: a bearer key stands for a project and for what may be done in it.

Each view says with `@needs` which scope its callers' keys must have; it is checked before the body is read. An
application with a view that says nothing does not start.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, TypeVar

from flask import Flask, Request, current_app, g

from shared.api_keys import ApiKeyStore
from shared.contracts.base import NAME_PATTERN
from shared.contracts.keys import SCOPES, Scope
from shared.errors import Forbidden, Unauthenticated

DEFAULT_PROJECT = "default"
PUBLIC = frozenset({"/login", "/healthz", "/readyz", "/openapi.json", "/docs", "/favicon.ico"})
"""What needs no key, besides the static files of the pages."""

View = TypeVar("View", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Principal:
    """The project of a key, and its scopes. The operator may name other projects where keys are made."""

    project: str
    scopes: frozenset[Scope]
    is_operator: bool = False
    key_id: str | None = None
    """Of a stored key; a configured one has no id."""
    label: str = ""
    """What tells a configured key from the others."""


class Keyring:
    """The keys of `GRAFT_API_KEYS`, with every scope; one without a project is the operator's.

    Only their digests are held, and every lookup takes the same time.
    """

    def __init__(self, configured: Iterable[str]) -> None:
        self._known: list[tuple[bytes, Principal]] = []
        for entry in configured:
            project, colon, key = entry.partition(":")
            is_operator = not colon or not re.fullmatch(NAME_PATTERN, project)
            if is_operator:
                project, key = DEFAULT_PROJECT, entry
            name = f"configured-{len(self._known)}"
            self._known.append((_digest(key), Principal(project, frozenset(SCOPES), is_operator, label=name)))

    def find(self, key: str) -> Principal | None:
        digest, found = _digest(key), None
        for known, principal in self._known:
            if hmac.compare_digest(known, digest):
                found = principal
        return found

    def marked(self, mark: str, secret: bytes) -> Principal | None:
        """The key of that mark (`mark_of`): what a session remembers of a configured key."""
        found = None
        for known, principal in self._known:
            if hmac.compare_digest(_mark(known, secret), mark):
                found = principal
        return found


def mark_of(key: str, secret: bytes) -> str:
    """What stands for a configured key where others may read it: people choose such keys, so a bare digest would let
    them be guessed."""
    return _mark(_digest(key), secret)


def needs(scope: Scope) -> Callable[[View], View]:
    """The scope that a key must have for this view."""

    def declare(view: View) -> View:
        view._graft_scope = scope  # type: ignore[attr-defined]
        return view

    return declare


def scope_of(app: Flask, endpoint: str) -> Scope | None:
    return getattr(app.view_functions[endpoint], "_graft_scope", None)


def is_public(path: str) -> bool:
    return path.rstrip("/") in PUBLIC or path.startswith("/static/")


def expect_declarations(app: Flask) -> None:
    """Every route is public or says which scope it needs. Raises TypeError: an application without that is a defect."""
    bare = [
        rule.rule
        for rule in app.url_map.iter_rules()
        if not is_public(rule.rule) and scope_of(app, rule.endpoint) is None
    ]
    if bare:
        raise TypeError(f"these routes do not say which scope they need (api.auth.needs): {', '.join(bare)}")


def bearer(asked: Request) -> str:
    """The text of the request's key; empty if it has none."""
    scheme, _, text = asked.environ.get("HTTP_AUTHORIZATION", "").partition(" ")
    return text.strip() if scheme.lower() == "bearer" else ""


def authenticate(keyring: Keyring, stored: ApiKeyStore, key: str) -> None:
    """Set `g.principal` from the text of a key. Raises Unauthenticated."""
    principal = _principal(key, keyring, stored) if key else None
    if principal is None:
        raise Unauthenticated("a known key is needed: Authorization: Bearer <key>")
    g.principal = principal


def authorize(principal: Principal, asked: Request) -> None:
    """The key has the scope that the view needs. Raises Forbidden. What no view answers, 404 and 405, is not ours."""
    if asked.endpoint is None:
        return
    scope = scope_of(current_app, asked.endpoint)
    if scope not in principal.scopes:
        raise Forbidden(f"this key lacks the scope {scope}", code="missing_scope")


def asking() -> Principal:
    principal: Principal = g.principal
    return principal


def project() -> str:
    """The asking project."""
    return asking().project


def _principal(text: str, keyring: Keyring, stored: ApiKeyStore) -> Principal | None:
    if principal := keyring.find(text):
        return principal
    grant = stored.verify(text)
    return Principal(grant.project, grant.scopes, key_id=grant.key_id) if grant else None


def _mark(digest: bytes, secret: bytes) -> str:
    return hmac.new(secret, b"session" + digest, hashlib.sha256).hexdigest()


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode(errors="surrogateescape")).digest()
