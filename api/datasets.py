"""Datasets over HTTP: upload, register, look, delete.

An upload is spooled to disk as it comes, checked from end to end, and only then goes to the store. So a bad or
broken-off upload leaves nothing behind, and no table is ever whole in memory. Tables are read in children of the API
(`shared.confinement`).
"""

from __future__ import annotations

from pathlib import Path

from apiflask import APIBlueprint
from flask import Response, request
from pydantic import ValidationError

from api.answers import created
from api.auth import needs, project
from api.parameters import PageQuery, Query, page
from api.preconditions import tagged, unchanged
from api.previews import first_rows
from api.spooling import receive, spool
from api.wiring import readers, services
from shared import datasets, keys, storage
from shared.contracts.base import Page
from shared.contracts.datasets import Dataset, DatasetFile, DatasetName, DatasetPage, Preview, RegisterBody
from shared.contracts.refusals import invalid
from shared.contracts.tables import Format
from shared.errors import InvalidInput, TooLarge, UnsupportedMedia
from shared.tables import Compression, Profile, compression_of, joint_columns
from shared.tables.compression import SUFFIXES as COMPRESSED_SUFFIXES

blueprint = APIBlueprint("datasets", __name__, url_prefix="/v1/datasets", tag="Datasets")

CONTENT_TYPES: dict[str, Format] = {
    "text/csv": "csv",
    "application/vnd.apache.parquet": "parquet",
    "application/x-ndjson": "jsonl",
}
_JSON = "application/json"
_ENCODINGS: dict[str, Compression | None] = {
    "": None,
    "identity": None,
    "gzip": "gzip",
    "x-gzip": "gzip",
    "zstd": "zstd",
}


class UploadQuery(Query):
    name: DatasetName | None = None


@blueprint.post("")
@needs("submit")
@blueprint.input(UploadQuery, location="query", arg_name="query")
@blueprint.output(Dataset, status_code=201)
@blueprint.doc(responses=[400, 413, 415, 503])
def create_dataset(query: UploadQuery) -> Response:
    """Upload a table, or register one that is in the store already.

    With a table's content type the body is the file itself and `?name=` is required; CSV and JSON Lines may be
    compressed with gzip or zstd. With `application/json` the body is `{"name", "uri"}`.
    """
    owner = project()
    if request.mimetype == _JSON:
        dataset = _register(owner, _body())
    elif request.mimetype in CONTENT_TYPES:
        if query.name is None:
            raise InvalidInput.at("/name", "an upload needs ?name=")
        dataset = uploaded(owner, query.name, CONTENT_TYPES[request.mimetype])
    else:
        known = ", ".join([*CONTENT_TYPES, _JSON])
        raise UnsupportedMedia(f"the content type should be one of {known}")
    return created_dataset(dataset)


def created_dataset(dataset: Dataset) -> Response:
    """The answer to who has made a dataset, in whichever way."""
    return created(dataset, f"/v1/datasets/{dataset.id}")


@blueprint.get("")
@needs("read")
@blueprint.input(PageQuery, location="query", arg_name="query")
@blueprint.output(DatasetPage)
def list_datasets(query: PageQuery) -> Page[Dataset]:
    """List datasets, newest first."""
    found, more = services().datasets.page(project(), limit=query.limit, after=query.after)
    return page(found, more, found[-1].id if found else None)


@blueprint.get("/<dataset_id>")
@needs("read")
@blueprint.output(Dataset)
@blueprint.doc(responses={304: "The dataset is as `If-None-Match` says: it never changes.", 404: "", 412: ""})
def get_dataset(dataset_id: str) -> Response:
    """Look at a dataset."""
    found = services().datasets.get(project(), dataset_id)
    return unchanged(found.id) or tagged(Response(found.model_dump_json(), mimetype=_JSON), found.id)


@blueprint.get("/<dataset_id>/preview")
@needs("read")
@blueprint.output(Preview)
@blueprint.doc(responses=[404, 503])
def preview_dataset(dataset_id: str) -> Preview:
    """The first 20 rows of a dataset; fewer, if their text is over 64 MiB."""
    owner = project()
    dataset = services().datasets.get(owner, dataset_id)
    rows = first_rows(dataset, services().datasets.files(owner, dataset_id)[0])
    return Preview.model_validate({"columns": dataset.columns, "rows": rows})


@blueprint.delete("/<dataset_id>")
@needs("submit")
@blueprint.output({}, status_code=204)
@blueprint.doc(responses={404: "", 409: "A live job reads it, or a schedule names it."})
def delete_dataset(dataset_id: str) -> tuple[str, int]:
    """Delete a dataset. Objects that were registered rather than uploaded stay where they are."""
    deleted(project(), dataset_id)
    return "", 204


def deleted(owner: str, dataset_id: str) -> None:
    """Raises NotFound, InUse."""
    dataset = services().datasets.get(owner, dataset_id)
    files = services().datasets.files(owner, dataset_id)
    services().datasets.delete(owner, dataset_id)
    if dataset.uri is None:
        for file in files:
            services().objects.delete(file.key)


def uploaded(owner: str, name: str, format: Format) -> Dataset:
    """The request's body as a dataset. Raises InvalidInput, TooLarge, Malformed, Temporary."""
    services().stored.expect_room(
        owner, request.content_length or 0, limit=services().settings.max_project_bytes
    )
    with spool(services().settings.temp_dir) as file:
        receive(file, services().settings.max_upload_bytes, "an upload")
        path = Path(file.name)
        compression = _compression(path)
        found = readers().profile(owner, path, format)
        dataset_id = datasets.new_id()
        suffix = COMPRESSED_SUFFIXES[compression] if compression else ""
        key = keys.dataset_object(owner, dataset_id, format + suffix)
        stored = services().objects.put(key, path, content_type=request.mimetype)
    whole = DatasetFile(
        bucket=services().objects.bucket, key=key, rows=found.rows, bytes=stored.bytes, sha256=stored.sha256
    )
    try:
        return services().datasets.create(
            owner, dataset_id, name=name, format=format, columns=found.columns, files=[whole]
        )
    except TooLarge:
        services().objects.delete(key)
        raise


def _compression(path: Path) -> Compression | None:
    """What the body is compressed with, by its first bytes; Content-Encoding is optional, but may not say otherwise."""
    named = request.headers.get("Content-Encoding", "").strip().lower()
    if named not in _ENCODINGS:
        known = ", ".join(name for name in _ENCODINGS if name)
        raise UnsupportedMedia(f"the content encoding should be one of {known}")
    found = compression_of(path)
    if named and _ENCODINGS[named] not in (None, found):
        raise InvalidInput(
            f"the body is not {named}, which Content-Encoding says", code="corrupt_compression"
        )
    return found


def _register(owner: str, body: RegisterBody) -> Dataset:
    """Profile the objects where they lie; they are copied to disk one at a time and not moved."""
    bucket, key = storage.allowed_bucket(body.uri, services().settings.s3_allowed_buckets, pointer="/uri")
    objects = services().objects.at(bucket)
    try:
        format, names = datasets.tables_at(objects, key)
        files: list[DatasetFile] = []
        profiles: list[Profile] = []
        for name in names:
            with spool(services().settings.temp_dir) as file:
                stored = objects.download(name, Path(file.name))
                found = _profiled(owner, Path(file.name), format, name)
            profiles.append(found)
            files.append(
                DatasetFile(
                    bucket=bucket, key=name, rows=found.rows, bytes=stored.bytes, sha256=stored.sha256
                )
            )
        columns = joint_columns([found.columns for found in profiles], names)
    except InvalidInput as error:
        if error.errors:
            raise
        raise InvalidInput.at("/uri", error.message, code=error.code) from error
    return services().datasets.create(
        owner, datasets.new_id(), name=body.name, format=format, columns=columns, files=files, uri=body.uri
    )


def _profiled(owner: str, path: Path, format: Format, name: str) -> Profile:
    try:
        return readers().profile(owner, path, format)
    except InvalidInput as error:
        raise InvalidInput(f"{name}: {error.message}", code=error.code) from error


def _body() -> RegisterBody:
    try:
        return RegisterBody.model_validate(request.get_json())
    except ValidationError as error:
        raise invalid(error) from error
