"""The dataset store: records of immutable tables. The rows themselves lie in the object store.

A dataset exists from the moment its record is written, which is after its objects are whole.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import PurePosixPath
from typing import Literal

from ulid import ULID

from shared import keys
from shared.contracts.base import from_ms
from shared.contracts.datasets import Dataset, DatasetFile
from shared.contracts.tables import Column, Format
from shared.database import Database
from shared.errors import Conflict, InvalidInput, NotFound, TooLarge, in_use
from shared.job_records import Uses
from shared.storage import ObjectStore
from shared.tables.compression import compression_named

SUFFIXES: dict[str, Format] = {".csv": "csv", ".parquet": "parquet", ".jsonl": "jsonl", ".ndjson": "jsonl"}


_RECALLED = 128


def new_id() -> str:
    return f"ds_{ULID()}"


@dataclass(frozen=True, slots=True)
class Completion:
    """The right to end an upload by making its dataset."""

    upload_key: str
    token: str


class DatasetStore:
    """Datasets in Redis. Safe to share between threads and processes."""

    def __init__(self, database: Database, *, max_bytes: int = 0) -> None:
        self._redis = database
        self._max_bytes = max_bytes
        self._create = database.script("create_dataset")
        self._delete = database.script("delete_dataset")
        self.recall = lru_cache(_RECALLED)(self.get)
        """`get` for who finds out by other means if the dataset is gone: what was read once never changes."""

    def create(
        self,
        project: str,
        dataset_id: str,
        *,
        name: str,
        format: Format,
        columns: Sequence[Column],
        files: Sequence[DatasetFile],
        uri: str | None = None,
        completion: Completion | None = None,
    ) -> Dataset:
        """Write the record of a table whose objects are all in the store.

        What lies in our bucket (no `uri`) counts into what the project keeps. Raises TooLarge if that is too much.
        With a `completion` its upload is closed in the same step, once only: raises Conflict (`upload_lost`) if it is
        another's by now.
        """
        record = {
            "id": dataset_id,
            "name": name,
            "project": project,
            "format": format,
            "rows": sum(file.rows for file in files),
            "bytes": sum(file.bytes for file in files),
            "sha256": joint_digest([file.sha256 for file in files]),
            "columns": json.dumps([column.model_dump() for column in columns]),
            "files": json.dumps([file.model_dump() for file in files]),
            **({"uri": uri} if uri else {}),
        }
        answer, *created_at = self._create(
            keys=[
                keys.dataset(project, dataset_id),
                keys.datasets(project),
                completion.upload_key if completion else keys.UPLOADS,
            ],
            args=[
                dataset_id,
                completion.token if completion else "",
                "" if uri else record["bytes"],
                self._max_bytes,
                *(part for pair in record.items() for part in pair),
            ],
        )
        if answer == "lost":
            raise Conflict("another completion of the upload has taken over", code="upload_lost")
        if answer == "full":
            raise TooLarge(
                f"the project may keep {self._max_bytes} bytes, and this does not fit in",
                code="quota_exceeded",
            )
        record["created_at"] = created_at[0]
        return _to_dataset({name: str(value) for name, value in record.items()})

    def get(self, project: str, dataset_id: str) -> Dataset:
        """Raises NotFound, also for another project's."""
        return _to_dataset(self._record(project, dataset_id))

    def files(self, project: str, dataset_id: str) -> list[DatasetFile]:
        """The objects that hold its rows, in order."""
        held = json.loads(self._record(project, dataset_id)["files"])
        return [DatasetFile.model_validate(file) for file in held]

    def page(self, project: str, *, limit: int, after: str | None = None) -> tuple[list[Dataset], bool]:
        """Newest first: up to `limit` datasets older than `after`, and whether there are more."""
        records, more = self._redis.newest(
            keys.datasets(project), partial(keys.dataset, project), limit=limit, after=after
        )
        return [_to_dataset(record) for record in records], more

    def delete(self, project: str, dataset_id: str) -> None:
        """Forget the dataset. Raises NotFound, or InUse while a live job reads it or a schedule names it."""
        record, users = keys.dataset(project, dataset_id), keys.dataset_users(project, dataset_id)
        answer = self._delete(
            keys=[
                record,
                users,
                keys.datasets(project),
                keys.naming_schedules(record),
                keys.ever(users),
                keys.call(secrets.token_hex(16)),
            ],
            args=[dataset_id],
        )
        match answer:
            case ["unknown"]:
                raise _unknown(dataset_id)
            case ["used", jobs, schedules]:
                raise in_use(dataset_id, code="dataset_in_use", jobs=jobs, schedules=schedules)

    def _record(self, project: str, dataset_id: str) -> dict[str, str]:
        record: dict[str, str] = self._redis.hgetall(keys.dataset(project, dataset_id))
        if not record:
            raise _unknown(dataset_id)
        return record


def used(project: str, dataset_id: str, pointer: str) -> Uses:
    """What a job says when it reads a dataset, so that the dataset stays while the job lives."""
    return Uses(keys.dataset(project, dataset_id), keys.dataset_users(project, dataset_id), pointer)


def joint_digest(digests: Sequence[str]) -> str:
    """One file's SHA-256, or the SHA-256 of the list of several."""
    return digests[0] if len(digests) == 1 else hashlib.sha256("\n".join(digests).encode()).hexdigest()


def tables_at(
    objects: ObjectStore, key: str, format: Literal["auto"] | Format = "auto"
) -> tuple[Format, list[str]]:
    """The keys of the tables at an object's key, or below a prefix (a key that ends in `/`), and their format.

    Below a prefix, names that begin with `_` or `.` are not data (manifests, markers), as in pyarrow and Spark.
    Raises InvalidInput if there is none, if a format cannot be told, or if there are several.
    """
    if _is_prefix(key):
        found = list(_tables_below(objects, key))
    else:
        try:
            objects.size(key)
        except NotFound as error:
            raise InvalidInput(f"there is no object {key}", code="input_not_found") from error
        found = [key]
    if not found:
        raise InvalidInput(f"there is no table below {key}", code="input_not_found")
    if format != "auto":
        return format, found
    formats = {_format_named(name) for name in found}
    if None in formats:
        known = ", ".join(SUFFIXES) + "; of text also with .gz or .zst behind it"
        raise InvalidInput(
            f"the format of {key} cannot be told from its name ({known})", code="unknown_format"
        )
    if len(formats) > 1:
        listed = ", ".join(sorted(str(name) for name in formats))
        raise InvalidInput(f"{key} holds several formats: {listed}", code="mixed_formats")
    return next(name for name in formats if name), found


def _format_named(name: str) -> Format | None:
    """`table.csv`, `table.csv.gz`; a compressed Parquet file is told from its content, with a better message."""
    bare = name if compression_named(name) is None else str(PurePosixPath(name).with_suffix(""))
    return SUFFIXES.get(PurePosixPath(bare).suffix.lower())


def any_table_at(objects: ObjectStore, key: str) -> bool:
    """Whether `tables_at` would find a table, of whatever format."""
    if _is_prefix(key):
        return next(_tables_below(objects, key), None) is not None
    try:
        objects.size(key)
    except NotFound:
        return False
    return True


def _is_prefix(key: str) -> bool:
    return key.endswith("/") or not key


def _tables_below(objects: ObjectStore, prefix: str) -> Iterator[str]:
    for item in objects.list(prefix):
        if PurePosixPath(item.key).name[:1] not in {"_", ".", ""}:
            yield item.key


def _unknown(dataset_id: str) -> NotFound:
    return NotFound(f"there is no dataset {dataset_id}", code="unknown_dataset")


def _to_dataset(record: dict[str, str]) -> Dataset:
    return Dataset(
        id=record["id"],
        name=record["name"],
        project=record["project"],
        format=record["format"],
        rows=int(record["rows"]),
        bytes=int(record["bytes"]),
        sha256=record["sha256"],
        columns=[Column.model_validate(column) for column in json.loads(record["columns"])],
        uri=record.get("uri"),
        created_at=from_ms(int(record["created_at"])),
    )
