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


def test_a_signature_of_before_is_good_for_what_it_says_and_a_new_one_says_the_libraries_too() -> None:
    signer, made_with = Signer("key"), '{"library_versions":{"numpy":"2.4.6"}}'
    first = hmac.new(
        b"key", b"\n".join([b"graft-model-artifact-v1", *_parts(SIGNED)]), hashlib.sha256
    ).hexdigest()
    signer.verify(SIGNED, first, CONTENT)
    signer.verify(dataclasses.replace(SIGNED, made_with=made_with), first, CONTENT)
    now = dataclasses.replace(SIGNED, made_with=made_with)
    signer.verify(now, signer.sign(now), CONTENT)
    with pytest.raises(BadSignature):
        signer.verify(dataclasses.replace(now, made_with="{}"), signer.sign(now), CONTENT)


def _parts(signed: Signed) -> list[bytes]:
    return [part.encode() for part in (signed.project, signed.name, signed.job_id, signed.sha256)]
