"""Sessions in the browser: what a key allows, for as long as the key is good.

A session is known by a random id that only the browser has; Redis has its SHA-256. What it may do is not written down
in it: each look asks the key's own record, so a key that is revoked, rotated or expired ends its sessions at once. A
key of `GRAFT_API_KEYS` has no record: of it the session keeps a mark, which the API compares with the keys that it was
started with.
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass

from shared import keys
from shared.api_keys import Grant, as_scopes, secret_digest
from shared.database import Database


@dataclass(frozen=True, slots=True)
class Configured:
    """A session of a configured key, known by its mark."""

    mark: str


class SessionStore:
    """Sessions in Redis. Safe to share between threads and processes."""

    def __init__(self, database: Database, *, seconds: int) -> None:
        self._redis = database
        self.seconds = seconds
        self._open = database.script("open_session")
        self._find = database.script("find_session")

    def of_stored(self, key_id: str, text: str) -> str:
        """The id of a new session of the stored key with that text."""
        return self._opened("key", key_id, "secret", secret_digest(text))

    def of_configured(self, mark: str) -> str:
        """The id of a new session of a configured key."""
        return self._opened("configured", mark)

    def find(self, session_id: str) -> Grant | Configured | None:
        """What the session allows now; None if there is none, or it is over."""
        match self._find(keys=[_key(session_id)], args=[keys.api_key("%s")]):
            case ["configured", mark]:
                return Configured(mark)
            case ["stored", project, scopes, key_id]:
                return Grant(project, as_scopes(scopes), key_id)
        return None

    def end(self, session_id: str) -> None:
        self._redis.delete(_key(session_id))

    def _opened(self, *fields: str) -> str:
        session_id = secrets.token_urlsafe(32)
        self._open(keys=[_key(session_id)], args=[self.seconds * 1000, *fields])
        return session_id


def _key(session_id: str) -> str:
    return keys.session(hashlib.sha256(session_id.encode(errors="surrogateescape")).hexdigest())
