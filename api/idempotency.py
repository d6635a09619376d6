"""The Idempotency-Key header: the same request, sent again because its answer was lost, does nothing again."""

from __future__ import annotations

import hashlib
import json

from flask import request

from shared.errors import InvalidInput

_LONGEST = 255


def idempotency() -> tuple[str, str] | None:
    """Digests of the key and of what it came with: the path and the body."""
    key = request.headers.get("Idempotency-Key")
    if key is None:
        return None
    if not 1 <= len(key) <= _LONGEST:
        raise InvalidInput(
            f"Idempotency-Key should have 1 to {_LONGEST} characters", code="bad_idempotency_key"
        )
    said = [request.path.rstrip("/"), request.get_json() if request.is_json else None]
    body = json.dumps(said, sort_keys=True).encode()
    return hashlib.sha256(key.encode()).hexdigest(), hashlib.sha256(body).hexdigest()
