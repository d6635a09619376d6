"""A form that is sent twice, by a double click or a reload, does once what it asks for.

Each form carries a word of its own, which stands for it as an Idempotency-Key does for a request of the API.
"""

from __future__ import annotations

import hashlib
import json
import secrets

from flask import request

from shared.errors import Malformed

_MOST = 64


def new_word() -> str:
    return secrets.token_hex(16)


def form_once(asked: object) -> tuple[str, str]:
    """Digests of the form's word and of what it asks for. Raises Malformed."""
    word = request.form.get("once", "")
    if not 16 <= len(word) <= _MOST:
        raise Malformed("the form is not complete; load the page again")
    body = json.dumps([request.path, asked], sort_keys=True, default=str)
    return hashlib.sha256(b"form:" + word.encode()).hexdigest(), hashlib.sha256(body.encode()).hexdigest()
