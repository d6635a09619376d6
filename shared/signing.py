"""Signatures of model artifacts: HMAC-SHA256 (RFC 2104) under `GRAFT_SIGNING_KEY`.

joblib opens a pickle, and a pickle can run anything. So an artifact is opened only if its bytes hash to the
digest in its record, and the record's signature binds that digest to the project, the model's name, the number of
the version, the job that made it and the libraries it was made with. A changed byte, a swapped file, a record that was
copied over another one or written by somebody else is refused unopened. Signatures of before (version 1) say neither
number nor libraries; they are good for what they say.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from shared.errors import GraftError

_CONTEXT = "graft-model-artifact-v2"
_CONTEXT_1 = "graft-model-artifact-v1"
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
    made_with: str = ""
    """As `made_of` writes it."""

    def _message(self) -> bytes:
        parts = (
            _CONTEXT,
            self.project,
            self.name,
            str(self.version),
            self.job_id,
            self.sha256,
            self.made_with,
        )
        return "\n".join(parts).encode()

    def _message_1(self) -> bytes:
        return "\n".join((_CONTEXT_1, self.project, self.name, self.job_id, self.sha256)).encode()


class Signer:
    """Holds the key; never shows it."""

    def __init__(self, key: str) -> None:
        self._key = key.encode()

    def sign(self, what: Signed) -> str:
        """The signature as hexadecimal text."""
        return self._digest(what._message())

    def seal(self, content: str) -> str:
        """A signature of one of our own notes, which no signature of an artifact can stand for."""
        return self._digest(f"{_NOTE_CONTEXT}\n{content}".encode())

    def is_seal(self, signature: str, content: str) -> bool:
        """Whether `seal` gave this signature for this content."""
        return hmac.compare_digest(self.seal(content).encode(), signature.encode())

    def _digest(self, message: bytes) -> str:
        return hmac.new(self._key, message, hashlib.sha256).hexdigest()

    def verify(self, what: Signed, signature: str, content: bytes) -> None:
        """Raises BadSignature unless `content` is what was signed."""
        good = hmac.compare_digest(self.sign(what).encode(), signature.encode())
        if not good and not hmac.compare_digest(self._digest(what._message_1()).encode(), signature.encode()):
            raise BadSignature(f"the signature of {what.name} does not match its record; it was not opened")
        if not hmac.compare_digest(hashlib.sha256(content).hexdigest(), what.sha256):
            raise BadSignature(
                f"the artifact of {what.name} is not the one that was signed; it was not opened"
            )


def made_of(library_versions: Mapping[str, str], contents: Mapping[str, Any] | None) -> str:
    """The libraries that made an artifact and those that lie in it, as one line of canonical JSON."""
    told = {"library_versions": dict(library_versions), "artifact": contents and dict(contents)}
    return json.dumps(told, sort_keys=True, separators=(",", ":"))
