"""The Idempotency-Key header: the same request, sent again because its answer was lost, does nothing again.

As draft-ietf-httpapi-idempotency-key-header-07 has it: another request under the same key is 422, the same one while
the first is still being accepted is 409. A replay is answered first of all, before anything is checked that may have
changed since. What was refused is not remembered.
"""

from __future__ import annotations

import hashlib
import json
import re
import secrets
from collections.abc import Callable
from typing import TypeVar

from flask import request

from api.auth import project
from api.wiring import services
from shared import logs
from shared.errors import Malformed, Temporary
from shared.idempotency import KeyedRequest

log = logs.get(__name__)

_KEY = re.compile(r"[ -~]{1,255}")

T = TypeVar("T")


def once(make: Callable[[tuple[str, str] | None], T], replay: Callable[[str], T]) -> T:
    """The answer of `make`; or that of `replay` with the id of what this very request has made before.

    `make` gets what its script writes down: digests of the key and of what it came with, or None without a key.
    """
    keyed = _keyed()
    if keyed is None:
        return make(None)
    store = services().idempotency
    if found := store.begin(keyed):
        return replay(found)
    try:
        return make((keyed.key, keyed.body))
    except BaseException:
        try:
            store.abandon(keyed)
        except Temporary:  # it ends by itself
            log.warning("idempotency_key_held")
        raise


def _keyed() -> KeyedRequest | None:
    key = request.headers.get("Idempotency-Key")
    if key is None:
        return None
    if not _KEY.fullmatch(key):
        raise Malformed(
            "Idempotency-Key should have 1 to 255 printable ASCII characters", code="bad_idempotency_key"
        )
    said = [request.path.rstrip("/"), request.get_json() if request.is_json else None]
    body = json.dumps(said, sort_keys=True).encode()
    return KeyedRequest(
        project=project(),
        key=hashlib.sha256(key.encode()).hexdigest(),
        body=hashlib.sha256(body).hexdigest(),
        holder=secrets.token_hex(8),
    )
