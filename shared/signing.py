"""Signatures of model artifacts: HMAC-SHA256 (RFC 2104) under `GRAFT_SIGNING_KEY`.

joblib opens a pickle, and a pickle can run anything. So an artifact is opened only if its bytes hash to the
digest in its record, and the record's signature binds that digest to the project, the model's name, the number of
the version and the job that made it. A changed byte, a swapped file, a record that was copied over another one or
written by somebody else is refused unopened.

Signatures of the first format bind no number. They are still good for what they vouched for.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass

from shared.errors import GraftError

_CONTEXT = "graft-model-artifact-v2"
_CONTEXT_WITHOUT_VERSION = "graft-model-artifact-v1"
_NOTE_CONTEXT = "graft-note-v1"


class BadSignature(GraftError):
    """The artifact is not what was signed. It has not been opened."""

    default_code = "bad_signature"
    status = 409


@dataclass(frozen=True, slots=True)
class Signed:
    """What a signature vouches for."""

    project: str
    name: str
    version: int
    job_id: str
    sha256: str

    def _message(self) -> bytes:
        parts = (_CONTEXT, self.project, self.name, str(self.version), self.job_id, self.sha256)
        return "\n".join(parts).encode()

    def _message_without_version(self) -> bytes:
        return "\n".join(
            (_CONTEXT_WITHOUT_VERSION, self.project, self.name, self.job_id, self.sha256)
        ).encode()


class Signer:
    """Holds the key; never shows it."""

    def __init__(self, key: str) -> None:
        self._key = key.encode()

    def sign(self, what: Signed) -> str:
        """The signature as hexadecimal text."""
        return self._authenticated(what._message())

    def seal(self, content: str) -> str:
        """A signature of one of our own notes, which no signature of an artifact can stand for."""
        return self._authenticated(f"{_NOTE_CONTEXT}\n{content}".encode())

    def is_seal(self, signature: str, content: str) -> bool:
        """Whether `seal` gave this signature for this content."""
        return hmac.compare_digest(self.seal(content).encode(), signature.encode())

    def verify(self, what: Signed, signature: str, content: bytes) -> None:
        """Raises BadSignature unless `content` is what was signed."""
        known = (self.sign(what), self._authenticated(what._message_without_version()))
        if not any(hmac.compare_digest(one.encode(), signature.encode()) for one in known):
            raise BadSignature(f"the signature of {what.name} does not match its record; it was not opened")
        if not hmac.compare_digest(hashlib.sha256(content).hexdigest(), what.sha256):
            raise BadSignature(
                f"the artifact of {what.name} is not the one that was signed; it was not opened"
            )

    def _authenticated(self, message: bytes) -> str:
        return hmac.new(self._key, message, hashlib.sha256).hexdigest()
