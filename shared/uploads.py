"""The store of uploads: records of tables that come in parts. The parts lie in the object store.

    open ──▶ completing ──▶ completed        whoever completes it holds a token with a deadline, which it renews
     ▲           │
     └── failed ◀┘                           parts can be sent again, and the upload completed again

A part is there when an object of its size lies under its key: that is asked of the store, not written down. Nothing is
believed of the parts: what counts is what the completing process has read, under the digest that it measured.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from functools import partial
from typing import Any

from ulid import ULID

from shared import keys
from shared.contracts.base import from_ms
from shared.contracts.uploads import Upload, UploadBody, UploadError, part_bytes_for
from shared.database import Database
from shared.datasets import Completion
from shared.errors import Conflict, InvalidInput, NotFound, TooMany


class UploadStore:
    """Uploads in Redis. Safe to share between threads and processes."""

    def __init__(
        self, database: Database, *, max_uploads: int, keep_seconds: int, lease_seconds: float
    ) -> None:
        self._redis = database
        self._max_uploads = max_uploads
        self._keep_seconds = keep_seconds
        self._lease_ms = int(lease_seconds * 1000)
        self._create = database.script("create_upload")
        self._begin = database.script("begin_upload")
        self._renew = database.script("renew_upload")
        self._end = database.script("end_upload")
        self._delete = database.script("delete_upload")

    def create(self, project: str, body: UploadBody) -> Upload:
        """A new upload. Raises TooMany over quota."""
        upload_id = f"upl_{ULID()}"
        part_bytes = body.part_bytes or part_bytes_for(body.bytes)
        fields = {
            "id": upload_id,
            "project": project,
            "name": body.name,
            "format": body.format,
            "bytes": body.bytes,
            "part_bytes": part_bytes,
            "parts": -(-body.bytes // part_bytes),
            **({"compression": body.compression} if body.compression else {}),
        }
        answer = self._create(
            keys=[keys.upload(project, upload_id), keys.uploads(project), keys.UPLOADS],
            args=[
                upload_id,
                keys.member(project, upload_id),
                self._max_uploads,
                self._keep_seconds,
                *(part for pair in fields.items() for part in pair),
            ],
        )
        if answer == "quota":
            raise TooMany(f"the project has {self._max_uploads} uploads, its limit", code="quota_exceeded")
        return self.get(project, upload_id)

    def get(self, project: str, upload_id: str) -> Upload:
        """Raises NotFound, also for another project's."""
        with self._redis.pipeline() as pipe:
            pipe.hgetall(keys.upload(project, upload_id))
            pipe.time()
            record, now = pipe.execute()
        if not record:
            raise _unknown(upload_id)
        return _to_upload(record, _ms(now))

    def page(self, project: str, *, limit: int, after: str | None = None) -> tuple[list[Upload], bool]:
        """Newest first: up to `limit` uploads older than `after`, and whether there are more."""
        records, more = self._redis.newest(
            keys.uploads(project), partial(keys.upload, project), limit=limit, after=after
        )
        now = _ms(self._redis.time())
        return [_to_upload(record, now) for record in records], more

    def begin(self, project: str, upload_id: str) -> Completion | None:
        """The right to complete the upload, for as long as a lease; None if it is another's or it is completed.

        Raises NotFound, or Conflict if it has expired.
        """
        held = Completion(keys.upload(project, upload_id), secrets.token_hex(16))
        answer = self._begin(keys=[held.upload_key], args=[held.token, self._lease_ms])
        if answer == "unknown":
            raise _unknown(upload_id)
        if answer == "expired":
            raise expired()
        return held if answer == "begun" else None

    def renew(self, held: Completion) -> bool:
        """Whether the right is still held; then it is for another lease."""
        return bool(self._renew(keys=[held.upload_key], args=[held.token, self._lease_ms]))

    def end(self, held: Completion, error: InvalidInput | None = None) -> None:
        """Give the right back: the upload takes parts again. An `error` is one of what was sent."""
        code, message = (error.code, error.message) if error else ("", "")
        self._end(keys=[held.upload_key], args=[held.token, code, message])

    def delete(self, project: str, upload_id: str, *, only_expired: bool = False) -> bool:
        """Forget the upload; its parts are the caller's to delete then. False if it has not expired, but should have.

        Raises NotFound, or Conflict while it is being completed.
        """
        answer = self._delete(
            keys=[keys.upload(project, upload_id), keys.uploads(project), keys.UPLOADS],
            args=[upload_id, keys.member(project, upload_id), "expired" if only_expired else ""],
        )
        if answer == "unknown":
            raise _unknown(upload_id)
        if answer == "busy":
            raise completing()
        return bool(answer == "deleted")

    def expired(self, limit: int = 1_000) -> list[tuple[str, str]]:
        """(project, id) of uploads whose time is up, of all projects."""
        now = _ms(self._redis.time())
        members = self._redis.zrangebyscore(keys.UPLOADS, "-inf", now, start=0, num=limit)
        return [keys.split_member(member) for member in members]


def expect_open(upload: Upload) -> None:
    """Raises Conflict unless parts may be sent."""
    if upload.status == "expired":
        raise expired()
    if upload.status == "completing":
        raise completing()
    if upload.status == "completed":
        raise Conflict(f"the upload is completed; its dataset is {upload.dataset}", code="upload_completed")


def expired() -> Conflict:
    return Conflict("the upload has expired; begin another one", code="upload_expired")


def completing() -> Conflict:
    return Conflict("the upload is being completed", code="upload_completing")


def _unknown(upload_id: str) -> NotFound:
    return NotFound(f"there is no upload {upload_id}", code="unknown_upload")


def _ms(time: tuple[int, int]) -> int:
    return time[0] * 1000 + time[1] // 1000


def _to_upload(record: Mapping[str, str], now_ms: int) -> Upload:
    """A completion whose lease has run out is none, and what is open past its time has expired."""
    status: Any = record["status"]
    if status == "completing" and int(record["lease_until"]) <= now_ms:
        status = "open"
    if status in {"open", "failed"} and int(record["expires_at"]) <= now_ms:
        status = "expired"
    error = None
    if "error_code" in record:
        error = UploadError(code=record["error_code"], message=record["error_message"])
    path = f"/v1/uploads/{record['id']}"
    return Upload.model_validate(
        {
            **{
                name: record.get(name)
                for name in ("id", "project", "name", "format", "compression", "dataset")
            },
            **{name: int(record[name]) for name in ("bytes", "part_bytes", "parts")},
            "status": status,
            "error": error,
            "created_at": from_ms(int(record["created_at"])),
            "expires_at": from_ms(int(record["expires_at"])),
            "links": {"self": path, "parts": f"{path}/parts", "complete": f"{path}/complete"},
        }
    )
