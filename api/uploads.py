"""Uploads over HTTP: a large table that comes in parts, to presigned URLs of the store or through the API.

Any part may be sent again, in any order, until the upload is completed; `GET` says which are there.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from concurrent.futures import Future
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

from apiflask import APIBlueprint
from flask import Response, g, request
from pydantic import Field

from api import completing as completions
from api.answers import created
from api.auth import needs, project
from api.datasets import created_dataset
from api.parameters import NumberedQuery, PageQuery, Query, page
from api.spooling import receive, spool
from api.wiring import client, completing, services, waiting
from shared import keys, storage
from shared.contracts.base import Page
from shared.contracts.datasets import Dataset
from shared.contracts.uploads import (
    MOST_PARTS,
    TOLD_MISSING,
    CompleteBody,
    Part,
    PartPage,
    PutPart,
    Received,
    Upload,
    UploadBody,
    UploadPage,
    size_of_part,
)
from shared.errors import FieldError, InvalidInput, NotFound, Temporary, TooLarge, UnsupportedMedia
from shared.uploads import expect_open

blueprint = APIBlueprint("uploads", __name__, url_prefix="/v1/uploads", tag="Uploads")

PART_TYPE = "application/octet-stream"
_JSON = "application/json"


class CompleteQuery(Query):
    wait: Annotated[
        float, Field(ge=0, le=30, description="Hold the answer until it is done, so many seconds at most.")
    ] = 20


@blueprint.post("")
@needs("submit")
@blueprint.input(UploadBody, arg_name="body")
@blueprint.output(Upload, status_code=201)
@blueprint.doc(
    responses={413: "Larger than tables may be.", 429: "The project has as many uploads as it may."}
)
def create_upload(body: UploadBody) -> Response:
    """Begin an upload in parts. `GET …/parts` has the URLs to PUT them to."""
    most = services().settings.max_upload_bytes
    if body.bytes > most:
        detail = f"an upload may have {most} bytes at most"
        raise TooLarge(detail, errors=[FieldError("/bytes", detail)])
    if body.part_bytes is not None and body.bytes > body.part_bytes * MOST_PARTS:
        raise InvalidInput.at("/part_bytes", f"would make more than {MOST_PARTS} parts")
    upload = services().uploads.create(project(), body)
    return created(upload, f"/v1/uploads/{upload.id}")


@blueprint.get("")
@needs("read")
@blueprint.input(PageQuery, location="query", arg_name="query")
@blueprint.output(UploadPage)
def list_uploads(query: PageQuery) -> Page[Upload]:
    """List uploads, newest first, until they expire or are deleted."""
    found, more = services().uploads.page(project(), limit=query.limit, after=query.after)
    return page(found, more, found[-1].id if found else None)


@blueprint.get("/<upload_id>")
@needs("read")
@blueprint.output(Upload)
@blueprint.doc(responses=[404, 503])
def get_upload(upload_id: str) -> Upload:
    """Look at an upload: which parts are there, and what came of completing it."""
    upload = services().uploads.get(project(), upload_id)
    if upload.status == "completed":
        return upload
    absent = completions.missing(upload, completions.received(services(), upload))
    there = Received(
        parts=upload.parts - len(absent), bytes=upload.bytes - sum(size_of_part(upload, n) for n in absent)
    )
    return upload.model_copy(update={"received": there, "missing": absent[:TOLD_MISSING]})


@blueprint.get("/<upload_id>/parts")
@needs("submit")
@blueprint.input(NumberedQuery, location="query", arg_name="query")
@blueprint.output(PartPage)
@blueprint.doc(responses={404: "", 409: "It takes no parts any more.", 503: ""})
def list_parts(upload_id: str, query: NumberedQuery) -> Response:
    """The parts, in order, each with a presigned URL to PUT it to. Whoever has a URL may use it."""
    upload = services().uploads.get(project(), upload_id)
    expect_open(upload)
    absent = set(completions.missing(upload, completions.received(services(), upload)))
    first = int(query.after or 0) + 1
    last = min(upload.parts, first + query.limit - 1)
    left = int((upload.expires_at - datetime.now(UTC)).total_seconds())
    seconds = max(1, min(services().settings.link_seconds, left))
    parts = [
        Part(
            number=n,
            bytes=size_of_part(upload, n),
            received=n not in absent,
            url=services().objects.put_link(
                keys.upload_part(upload.project, upload.id, n), size=size_of_part(upload, n), seconds=seconds
            ),
        )
        for n in range(first, last + 1)
    ]
    told = page(parts, last < upload.parts, str(last))
    return Response(told.model_dump_json(), mimetype=_JSON, headers={"Cache-Control": "no-store"})


@blueprint.put("/<upload_id>/parts/<int:number>")
@needs("submit")
@blueprint.output(PutPart)
@blueprint.doc(
    responses={400: "", 404: "", 409: "It takes no parts any more.", 413: "", 415: "", 422: "", 503: ""}
)
def put_part(upload_id: str, number: int) -> PutPart:
    """Send a part through the API, for who cannot reach the store; the body is the part's bytes as they are.

    It may be sent again, also after the connection broke. With `Content-Digest: sha-256=:…:` (RFC 9530) it is checked.
    """
    upload = services().uploads.get(project(), upload_id)
    if not 1 <= number <= upload.parts:
        raise NotFound(f"the upload has parts 1 to {upload.parts}", code="unknown_part")
    expect_open(upload)
    if request.mimetype not in {"", PART_TYPE}:
        raise UnsupportedMedia(f"the content type of a part should be {PART_TYPE}")
    size, expected = size_of_part(upload, number), _expected_digest()
    with spool(services().settings.temp_dir) as file:
        if receive(file, size, f"part {number}") != size:
            raise InvalidInput(f"part {number} has {size} bytes; fewer came", code="wrong_part_size")
        stored = storage.digest(Path(file.name))
        if expected is not None and expected != stored.sha256:
            raise InvalidInput(
                "the part has another SHA-256 than Content-Digest says", code="digest_mismatch"
            )
        services().objects.put(
            keys.upload_part(upload.project, upload.id, number), Path(file.name), stored=stored
        )
    return PutPart(number=number, bytes=stored.bytes, sha256=stored.sha256)


@blueprint.post("/<upload_id>/complete")
@needs("submit")
@blueprint.input(CompleteQuery, location="query", arg_name="query")
@blueprint.input(CompleteBody, arg_name="body")
@blueprint.output(Dataset, status_code=201)
@blueprint.doc(
    responses={202: "It goes on; ask again.", 404: "", 409: "Parts are missing, or it has expired.", 503: ""}
)
def complete_upload(upload_id: str, query: CompleteQuery, body: CompleteBody) -> Response:
    """Make a dataset of the parts: 201 with the dataset, or 202 while it goes on. Ask again as often as you like.

    The whole table is checked as `POST /v1/datasets` checks it. What is wrong with it is 422, and the upload stays:
    send the bad part again and complete it anew.
    """
    upload = services().uploads.get(project(), upload_id)
    if upload.status == "expired":
        expect_open(upload)
    if upload.status in {"open", "failed"}:
        running = completing().begin(upload, body.sha256, g.request_id)
        if running is not None:
            return _answer_of(upload, running, query.wait)
    return _answer_of_another(upload, query.wait)


@blueprint.delete("/<upload_id>")
@needs("submit")
@blueprint.output({}, status_code=204)
@blueprint.doc(responses={404: "", 409: "It is being completed."})
def delete_upload(upload_id: str) -> tuple[str, int]:
    """Give an upload up and delete its parts. The dataset of a completed one stays."""
    owner = project()
    services().uploads.delete(owner, upload_id)
    completions.discard_parts(services(), owner, upload_id)
    return "", 204


def _answer_of(upload: Upload, running: Future[Dataset], seconds: float) -> Response:
    _wait(running.done, seconds)
    return created_dataset(running.result()) if running.done() else _accepted(upload)


def _answer_of_another(upload: Upload, seconds: float) -> Response:
    """Of a completion that another request has begun, in whichever process."""

    def now() -> Upload:
        return services().uploads.get(upload.project, upload.id)

    _wait(lambda: now().status != "completing", seconds)
    upload = now()
    if upload.dataset is not None:
        return created_dataset(services().datasets.get(upload.project, upload.dataset))
    if upload.error is not None:
        raise InvalidInput(upload.error.message, code=upload.error.code)
    return _accepted(upload)


def _wait(done: Callable[[], bool], seconds: float) -> None:
    """Wait if a place to wait is free; whoever gets none is told to ask again, as when the time is up."""
    try:
        waiting().until(done, seconds, client())
    except Temporary as error:
        if error.code != "too_many_waiting":
            raise


def _accepted(upload: Upload) -> Response:
    now = services().uploads.get(upload.project, upload.id)
    response = Response(now.model_dump_json(), 202, mimetype=_JSON)
    response.headers["Location"] = f"/v1/uploads/{upload.id}"
    response.headers["Retry-After"] = "2"
    return response


def _expected_digest() -> str | None:
    """The SHA-256 of RFC 9530's Content-Digest; other algorithms are not looked at."""
    for entry in request.headers.get("Content-Digest", "").split(","):
        algorithm, _, value = entry.strip().partition("=")
        if algorithm.lower() == "sha-256":
            try:
                if len(value) > 1 and value[0] == value[-1] == ":":
                    return base64.b64decode(value[1:-1], validate=True).hex()
            except binascii.Error:
                pass
            raise InvalidInput("Content-Digest should be sha-256=:…: in Base64", code="bad_digest")
    return None
