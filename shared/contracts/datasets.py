"""Datasets: immutable tables in the store."""

from __future__ import annotations

from typing import Annotated

from pydantic import JsonValue, StringConstraints

from shared.contracts.base import Body, Page, Record, Time
from shared.contracts.job_fields import S3Uri
from shared.contracts.tables import Column, Format

DatasetName = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]+$")]


class RegisterBody(Body):
    """Take an object, or all objects below a prefix (a URI that ends in `/`), as a dataset where it lies."""

    name: DatasetName
    uri: S3Uri


class DatasetFile(Record):
    """One object of a dataset."""

    bucket: str
    key: str
    rows: int
    bytes: int
    sha256: str


class Dataset(Record):
    """A dataset as the API tells it. `sha256` is of the file, or of the list of the files' digests."""

    id: str
    name: str
    project: str
    format: Format
    rows: int
    bytes: int
    sha256: str
    columns: list[Column]
    uri: str | None = None
    created_at: Time


class Preview(Record):
    """The first rows."""

    columns: list[Column]
    rows: list[dict[str, JsonValue]]


class DatasetPage(Page[Dataset]):
    """One page of a list."""
