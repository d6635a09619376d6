"""Uploads: large tables that come in parts, straight to the store or through the API."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import Field, StringConstraints

from shared.contracts.base import Body, Page, Record, Time
from shared.contracts.datasets import DatasetName
from shared.contracts.tables import Format

MIB: Final = 2**20
MOST_PARTS: Final = 10_000
LEAST_PART_BYTES: Final = 64 * 2**10
MOST_PART_BYTES: Final = 5 * 2**30
"""What S3 takes in one PUT."""
USUAL_PART_BYTES: Final = 64 * MIB
TOLD_MISSING: Final = 1_000
"""How many missing parts are named at a time."""

UploadStatus = Literal["open", "completing", "completed", "failed", "expired"]
"""open: takes parts. failed: the same; what came of completing it is in `error`. The others take none."""

Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


class UploadBody(Body):
    """An upload to come. Without `part_bytes` parts have 64 MiB, or more where that would make over 10,000."""

    name: DatasetName
    format: Format
    bytes: Annotated[int, Field(ge=1, le=MOST_PARTS * MOST_PART_BYTES, description="Of the whole file.")]
    part_bytes: Annotated[int, Field(ge=LEAST_PART_BYTES, le=MOST_PART_BYTES)] | None = None
    compression: Annotated[
        Literal["gzip", "zstd"] | None,
        Field(description="Optional: it is told from the file. If it is given, the file has to be so."),
    ] = None


class CompleteBody(Body):
    """What the whole file should be."""

    sha256: Sha256 | None = None


class Received(Record):
    """What lies in the store, of the right size."""

    parts: int
    bytes: int


class UploadError(Record):
    """Why the latest completion failed."""

    code: str
    message: str


class Upload(Record):
    """An upload as the API tells it. `received` and `missing` (the first 1,000) are not told in lists."""

    id: str
    project: str
    name: str
    format: Format
    compression: Literal["gzip", "zstd"] | None = None
    bytes: int
    part_bytes: int
    parts: int
    status: UploadStatus
    received: Received | None = None
    missing: list[int] | None = None
    dataset: str | None = None
    error: UploadError | None = None
    created_at: Time
    expires_at: Time
    links: dict[str, str]


class Part(Record):
    """A part, whether it is there, and the presigned URL to PUT it to: exactly `bytes` bytes, no other headers."""

    number: int
    bytes: int
    received: bool
    url: str


class PutPart(Record):
    """A part that came through the API."""

    number: int
    bytes: int
    sha256: str


class UploadPage(Page[Upload]):
    """One page of a list."""


class PartPage(Page[Part]):
    """One page of a list."""


def part_bytes_for(size: int) -> int:
    """The part size for a file whose sender does not say: whole MiB."""
    return max(USUAL_PART_BYTES, -(-size // MOST_PARTS // MIB) * MIB)


def size_of_part(upload: Upload, number: int) -> int:
    """Bytes that part `number` (from 1) has."""
    return (
        upload.part_bytes if number < upload.parts else upload.bytes - upload.part_bytes * (upload.parts - 1)
    )
