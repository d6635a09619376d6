"""The manifest of a batch output: the last thing written, and what makes the files beside it an output."""

from __future__ import annotations

from shared.contracts.base import Record


class ManifestModel(Record):
    name: str
    version: int
    sha256: str


class ManifestFile(Record):
    name: str
    rows: int
    bytes: int
    sha256: str
    url: str


class ManifestErrors(Record):
    name: str
    rows: int
    url: str


class ManifestColumn(Record):
    name: str
    type: str


class Manifest(Record):
    """`rows` were written, `failed_rows` are listed in `errors`; together they are the rows that came in."""

    rows: int
    failed_rows: int
    model: ManifestModel
    schema_sha256: str
    columns: list[ManifestColumn]
    files: list[ManifestFile]
    errors: ManifestErrors | None
    uri: str
