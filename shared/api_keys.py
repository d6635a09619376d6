"""The store of API keys: who may do what in which project.

A key's text is `graft_<id>.<secret>`. The id finds the record; of the secret only the SHA-256 is kept. It is 256 random
bits, so there is nothing to guess that a slow hash would have to protect (NIST SP 800-63B, 5.1.1.2 asks for those where
people choose the secret), and the digests are compared in constant time.

A record has one secret, or for a while several: after a rotation the ones of before stay good as long as was asked for.
Nothing is cached: every request asks Redis, so that a revoked key is unknown to all processes from that moment on.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from ulid import ULID

from shared import keys
from shared.contracts.base import ULID_PATTERN, from_ms
from shared.contracts.keys import SCOPES, ApiKey, Scope
from shared.database import Database
from shared.errors import InvalidInput, NotFound, TooMany

USE_NOTED_MS = 60_000
"""`last_used_at` is written no more often."""

_MOST_SECRETS = 5
_TEXT = re.compile(rf"graft_({ULID_PATTERN})\.([A-Za-z0-9_-]{{43}})")
_ID = re.compile(f"key_{ULID_PATTERN}")


@dataclass(frozen=True, slots=True)
class Grant:
    """What a key that was found allows."""

    project: str
    scopes: frozenset[Scope]
    key_id: str = field(default="", compare=False)


class ApiKeyStore:
    """API keys in Redis. Safe to share between threads and processes."""

    def __init__(self, database: Database, *, max_keys: int) -> None:
        self._redis = database
        self._max_keys = max_keys
        self._create = database.script("create_key")
        self._find = database.script("find_key")
        self._note_use = database.script("note_key_use")
        self._rotate = database.script("rotate_key")
        self._revoke = database.script("revoke_key")

    def verify(self, text: str) -> Grant | None:
        """What the text of a key allows now; None if it is no good key. One call to Redis, a second once a minute."""
        parts = _TEXT.fullmatch(text)
        if parts is None:
            return None
        key_id = f"key_{parts[1]}"
        record = keys.api_key(key_id)
        project, scopes, due, *good = self._find(keys=[record], args=[USE_NOTED_MS]) or (None, "", "")
        given, matches = _digest(parts[2]), False
        for digest in good:
            matches |= hmac.compare_digest(digest, given)
        if project is None or not matches:
            return None
        if due:
            self._note_use(keys=[record])
        return Grant(project, as_scopes(scopes), key_id)

    def create(
        self,
        project: str,
        scopes: Sequence[Scope],
        *,
        name: str | None = None,
        expires_at: datetime | None = None,
    ) -> tuple[ApiKey, str]:
        """A new key and its text. Raises TooMany over quota, and InvalidInput if it would have expired already."""
        key_id, secret = f"key_{ULID()}", _new_secret()
        fields = {
            "id": key_id,
            "project": project,
            "scopes": " ".join(scopes),
            **({"name": name} if name else {}),
        }
        answer = self._create(
            keys=[keys.api_key(key_id), keys.api_keys(project)],
            args=[
                key_id,
                self._max_keys,
                _digest(secret),
                _ms(expires_at),
                *(part for pair in fields.items() for part in pair),
            ],
        )
        if answer == "quota":
            raise TooMany(f"the project has {self._max_keys} API keys, its limit", code="quota_exceeded")
        if answer == "past":
            raise _expired()
        return self.get(key_id), _text(key_id, secret)

    def get(self, key_id: str) -> ApiKey:
        """Whosever it is; callers compare its `project`. Raises NotFound."""
        record = self._redis.hgetall(keys.api_key(key_id)) if _ID.fullmatch(key_id) else None
        if not record:
            raise unknown(key_id)
        return _to_key(record)

    def page(self, project: str, *, limit: int, after: str | None = None) -> tuple[list[ApiKey], bool]:
        """Newest first: up to `limit` keys older than `after`, and whether there are more."""
        records, more = self._redis.newest(keys.api_keys(project), keys.api_key, limit=limit, after=after)
        return [_to_key(record) for record in records], more

    def rotate(
        self, project: str, key_id: str, *, overlap_seconds: int, expires_at: datetime | None = None
    ) -> tuple[ApiKey, str]:
        """The key and its new text. Raises NotFound, and InvalidInput if the key has expired or would have."""
        secret = _new_secret()
        answer = self._rotate(
            keys=[keys.api_key(key_id)],
            args=[project, _digest(secret), overlap_seconds * 1000, _ms(expires_at), _MOST_SECRETS],
        )
        if answer == "unknown":
            raise unknown(key_id)
        if answer == "past":
            raise _expired()
        return self.get(key_id), _text(key_id, secret)

    def revoke(self, project: str, key_id: str) -> None:
        """No process knows the key from here on. Raises NotFound."""
        answer = self._revoke(keys=[keys.api_key(key_id), keys.api_keys(project)], args=[key_id, project])
        if answer == "unknown":
            raise unknown(key_id)


def as_scopes(held: str) -> frozenset[Scope]:
    """Of the text in which a record holds them."""
    return frozenset(scope for scope in SCOPES if scope in held.split())


def secret_digest(text: str) -> str:
    """What stands in a key's record for the secret in the key's text."""
    return _digest(text.partition(".")[2])


def unknown(key_id: str) -> NotFound:
    """Also for another project's."""
    return NotFound(f"there is no API key {key_id}", code="unknown_key")


def _expired() -> InvalidInput:
    return InvalidInput.at("/expires_at", "should lie in the future")


def _new_secret() -> str:
    return secrets.token_urlsafe(32)


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def _prefix(key_id: str) -> str:
    return f"graft_{key_id.removeprefix('key_')}"


def _text(key_id: str, secret: str) -> str:
    return f"{_prefix(key_id)}.{secret}"


def _ms(moment: datetime | None) -> int | str:
    return int(moment.timestamp() * 1000) if moment else ""


def _to_key(record: Mapping[str, str]) -> ApiKey:
    times: dict[str, Any] = {
        name: from_ms(int(record[name]))
        for name in ("created_at", "expires_at", "rotated_at", "last_used_at")
        if name in record
    }
    return ApiKey(
        id=record["id"],
        prefix=_prefix(record["id"]),
        project=record["project"],
        scopes=record["scopes"].split(),
        name=record.get("name"),
        **times,
    )
