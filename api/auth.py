"""Who is asking: a bearer key stands for a project and what may be done in it."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from flask import g, request

from shared.contracts.base import NAME_PATTERN
from shared.errors import Forbidden, Unauthenticated

Scope = Literal["read", "submit", "admin"]
DEFAULT_PROJECT = "default"


@dataclass(frozen=True, slots=True)
class Principal:
    """The project of a key, and its scopes."""

    project: str
    scopes: frozenset[Scope]


class Keyring:
    """The keys of `GRAFT_API_KEYS`. Only their digests are held, and every lookup takes the same time."""

    def __init__(self, configured: Iterable[str]) -> None:
        self._known: list[tuple[bytes, Principal]] = []
        for entry in configured:
            project, colon, key = entry.partition(":")
            if not colon or not re.fullmatch(NAME_PATTERN, project):
                project, key = DEFAULT_PROJECT, entry
            everything: frozenset[Scope] = frozenset({"read", "submit", "admin"})
            self._known.append((_digest(key), Principal(project, everything)))

    def find(self, key: str) -> Principal | None:
        digest, found = _digest(key), None
        for known, principal in self._known:
            if hmac.compare_digest(known, digest):
                found = principal
        return found


def authenticate(keyring: Keyring) -> None:
    """Set `g.principal` from the request's key. Raises Unauthenticated."""
    scheme, _, key = request.headers.get("Authorization", "").partition(" ")
    principal = keyring.find(key.strip()) if scheme.lower() == "bearer" else None
    if principal is None:
        raise Unauthenticated("a known key is needed: Authorization: Bearer <key>")
    g.principal = principal


def project(scope: Scope) -> str:
    """The asking project, if its key has the scope. Raises Forbidden."""
    principal: Principal = g.principal
    if scope not in principal.scopes:
        raise Forbidden(f"this key lacks the scope {scope}", code="missing_scope")
    return principal.project


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode()).digest()
