"""A signature vouches for these bytes, under this name, of this job, in this project; for nothing else."""

from __future__ import annotations

import dataclasses
import hashlib
import hmac

import pytest

from shared.signing import BadSignature, Signed, Signer

CONTENT = b"the artifact"
SIGNED = Signed("default", "churn", 3, "job_1", hashlib.sha256(CONTENT).hexdigest())


def test_what_was_signed_is_accepted() -> None:
    signer = Signer("key")
    signer.verify(SIGNED, signer.sign(SIGNED), CONTENT)


@pytest.mark.parametrize("field", ["project", "name", "version", "job_id", "sha256"])
def test_a_signature_is_no_good_for_anything_else(field: str) -> None:
    signer = Signer("key")
    other = dataclasses.replace(SIGNED, **{field: "x"})
    with pytest.raises(BadSignature):
        signer.verify(other, signer.sign(SIGNED), CONTENT)


def test_other_bytes_are_refused() -> None:
    signer = Signer("key")
    with pytest.raises(BadSignature):
        signer.verify(SIGNED, signer.sign(SIGNED), CONTENT + b"!")


@pytest.mark.parametrize("signature", ["", "0" * 64, "é"])
def test_a_made_up_signature_is_refused(signature: str) -> None:
    with pytest.raises(BadSignature):
        Signer("key").verify(SIGNED, signature, CONTENT)


def test_another_key_gives_another_signature() -> None:
    with pytest.raises(BadSignature):
        Signer("other").verify(SIGNED, Signer("key").sign(SIGNED), CONTENT)


def test_parts_cannot_be_shifted_from_one_field_into_the_next() -> None:
    signer = Signer("key")
    assert signer.sign(Signed("a", "b", 1, "c", "d")) != signer.sign(Signed("ab", "", 1, "c", "d"))


def test_a_signature_of_before_versions_were_bound_is_still_read() -> None:
    """HMAC-SHA256 under b"key" of the words of the first format, written out by hand."""
    message = "\n".join(("graft-model-artifact-v1", "default", "churn", "job_1", SIGNED.sha256)).encode()
    signature = hmac.new(b"key", message, hashlib.sha256).hexdigest()
    Signer("key").verify(SIGNED, signature, CONTENT)
    with pytest.raises(BadSignature):
        Signer("key").verify(dataclasses.replace(SIGNED, name="other"), signature, CONTENT)
