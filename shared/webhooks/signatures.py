"""Secrets, and the headers of a signed message.

Secrets are nowhere at rest: each is derived from `GRAFT_SIGNING_KEY`, whose it is, and a random nonce (HMAC-SHA256 as a
key derivation, NIST SP 800-108r1, 4.1). Redis holds the nonces, and how long each of those before the newest is good.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Sequence
from datetime import UTC, datetime

from standardwebhooks import Webhook

_CONTEXT = "graft-webhook-secret-v1"


def secret(signing_key: str, project: str, owner: str, nonce: str) -> str:
    """`whsec_…`, 256 bits. `owner` is the endpoint, or what stands for the jobs of a project."""
    message = "\n".join((_CONTEXT, project, owner, nonce)).encode()
    derived = hmac.new(signing_key.encode(), message, hashlib.sha256).digest()
    return f"whsec_{base64.b64encode(derived).decode()}"


def headers(secrets: Sequence[str], message_id: str, timestamp: int, body: str) -> dict[str, str]:
    """With a signature by each secret, so that a receiver may know either while they change."""
    moment = datetime.fromtimestamp(timestamp, UTC)
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": " ".join(
            Webhook(secret).sign(msg_id=message_id, timestamp=moment, data=body) for secret in secrets
        ),
    }
