"""Requests that may be sent twice: what an Idempotency-Key stands for, and who is being accepted under it.

    begin ──▶ begun ──▶ accepted: the script that makes the thing also writes down the key
      │         └─────▶ refused: `abandon`; the key is free again
      ├──▶ replayed: the thing is there already
      └──▶ held: the same request is being accepted by somebody else right now

A hold ends by itself when its process dies. It only tells clients early; that a key makes one thing is decided by the
scripts that make it.
"""

from __future__ import annotations

from dataclasses import dataclass

from shared import keys
from shared.database import Database
from shared.errors import Conflict
from shared.jobs import key_reused

HOLD_MS = 10_000
"""Longer than checking a request takes, and no longer than whoever asks again will wait if its process died."""


@dataclass(frozen=True, slots=True)
class KeyedRequest:
    """A request with an Idempotency-Key: digests of the key and of what it came with, and a name for this attempt."""

    project: str
    key: str
    body: str
    holder: str


class IdempotencyStore:
    """Idempotency-Keys in Redis. Safe to share between threads and processes."""

    def __init__(self, database: Database) -> None:
        self._begin = database.script("begin_request")
        self._abandon = database.script("abandon_request")

    def begin(self, request: KeyedRequest) -> str | None:
        """The id of what the key has made already, or None: then make it, or `abandon`.

        Raises InvalidInput if the key came with another body, Conflict while the same request is being accepted.
        """
        record = keys.idempotency(request.project, request.key)
        answer = self._begin(
            keys=[record, keys.idempotency_hold(request.project, request.key)],
            args=[request.body, request.holder, HOLD_MS],
        )
        match answer:
            case ["begun"]:
                return None
            case ["replayed", found]:
                return str(found)
            case ["mismatch"]:
                raise key_reused()
        raise Conflict(
            "the same request is being accepted right now; ask again", code="idempotency_key_in_use"
        )

    def abandon(self, request: KeyedRequest) -> None:
        """The request was refused."""
        self._abandon(
            keys=[keys.idempotency_hold(request.project, request.key)], args=[request.body, request.holder]
        )
