"""The object store over boto3: immutable objects under unique keys.

Nothing here relies on conditional writes, user metadata or overwriting: not every S3 has them. What makes an
object count is a pointer in Redis that is set after the object is whole.
boto3's errors become Graft's: `Temporary` when the store is away, `NotFound` for a missing object.
"""

from __future__ import annotations

import hashlib
import os
import unicodedata
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import boto3
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from shared import failpoints, tracing
from shared.errors import InvalidInput, NotFound, Temporary
from shared.troubles import OnTrouble, Trouble, ignore

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

CHUNK_BYTES = 2**20
_TRANSFER = TransferConfig(multipart_threshold=64 * 2**20, multipart_chunksize=8 * 2**20, use_threads=False)
_RANGE_BYTES = 16 * 2**20
_RANGES_AT_ONCE = 4
_MISSING = {"404", "NoSuchKey", "NotFound", "NoSuchBucket"}
_DENIED = {"403", "AccessDenied"}
_MISNAMED = {"400", "InvalidURI", "KeyTooLongError", "XMinioInvalidObjectName"}
"""What stores say of a key that they cannot have; to a HEAD no more than the status."""
_METHODS = {
    "put": "PutObject",
    "get": "GetObject",
    "head": "HeadObject",
    "list": "ListObjectsV2",
    "copy": "CopyObject",
    "delete": "DeleteObject",
}


@dataclass(frozen=True, slots=True)
class Stored:
    """An object's size in bytes and the SHA-256 of its content, both measured while it was moved."""

    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Object:
    """What tells a version of an object from another: its size in bytes and its entity tag."""

    bytes: int
    etag: str


@dataclass(frozen=True, slots=True)
class Listed:
    """An object in a listing; `modified` by the store's clock."""

    key: str
    bytes: int
    modified: datetime


def connect(
    *,
    endpoint_url: str | None,
    access_key_id: str | None,
    secret_access_key: str | None,
    region: str,
    read_timeout_seconds: float = 60.0,
) -> S3Client:
    """A boto3 client; nothing is sent yet. Without credentials boto3 looks for them in its usual places."""
    return boto3.client(
        "s3",
        endpoint_url=endpoint_url,
        aws_access_key_id=access_key_id,
        aws_secret_access_key=secret_access_key,
        region_name=region,
        config=Config(
            signature_version="s3v4",
            connect_timeout=3,
            read_timeout=read_timeout_seconds,
            retries={"mode": "standard", "max_attempts": 3},
            s3={"addressing_style": "path" if endpoint_url else "auto"},
            # boto3's default checksums go out as trailers and break ranged reads on other servers than AWS's.
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        ),
    )


class ObjectStore:
    """One bucket. Safe to share between threads."""

    def __init__(
        self,
        client: S3Client,
        bucket: str,
        *,
        public_client: S3Client | None = None,
        on_trouble: OnTrouble = ignore,
    ) -> None:
        self._client = client
        self._public = public_client or client
        self._on_trouble = on_trouble
        self.bucket = bucket

    def at(self, bucket: str) -> ObjectStore:
        """The same server, another bucket."""
        return ObjectStore(self._client, bucket, public_client=self._public, on_trouble=self._on_trouble)

    def check(self) -> None:
        """Raises Temporary unless the bucket can be reached with our credentials."""
        with self._asking("list", self.bucket):
            self._client.list_objects_v2(Bucket=self.bucket, MaxKeys=1)

    def put(
        self,
        key: str,
        path: Path,
        *,
        content_type: str = "application/octet-stream",
        stored: Stored | None = None,
    ) -> Stored:
        """Upload a file, in parts if it is large; it becomes visible when it is whole.

        `stored` is what a caller who wrote the file knows of it already, and saves reading it once more.
        """
        stored = stored or digest(path)
        failpoints.reach("put.before")
        with self._asking("put", key), path.open("rb") as source:
            self._client.upload_fileobj(
                source, self.bucket, key, ExtraArgs={"ContentType": content_type}, Config=_TRANSFER
            )
        failpoints.reach("put.after")
        return stored

    def put_bytes(self, key: str, content: bytes, *, content_type: str = "application/json") -> Stored:
        failpoints.reach("put.before")
        with self._asking("put", key):
            self._client.put_object(Bucket=self.bucket, Key=key, Body=content, ContentType=content_type)
        failpoints.reach("put.after")
        return Stored(len(content), hashlib.sha256(content).hexdigest())

    def chunks(self, key: str) -> Generator[bytes]:
        """The object from its beginning, up to 1 MiB at a time. Who has enough closes the iterator. Raises NotFound."""
        with self._asking("get", key):
            body = self._client.get_object(Bucket=self.bucket, Key=key)["Body"]
            with closing(body):
                yield from body.iter_chunks(CHUNK_BYTES)

    def get_bytes(self, key: str) -> bytes:
        with self._asking("get", key):
            return self._client.get_object(Bucket=self.bucket, Key=key)["Body"].read()

    def download(self, key: str, path: Path) -> Stored:
        """Copy an object into a file: a chunk at a time, or if it is large in parts, some at a time."""
        _, found = self.tail(key, 0)
        if found.bytes > _RANGE_BYTES:
            self.download_ranges(key, path, [(0, found.bytes)], found, in_place=True)
            return digest(path)
        hashed = hashlib.sha256()
        size = 0
        with self._asking("get", key), path.open("wb") as file:
            body = self._client.get_object(Bucket=self.bucket, Key=key)["Body"]
            for chunk in body.iter_chunks(CHUNK_BYTES):
                hashed.update(chunk)
                size += len(chunk)
                file.write(chunk)
        return Stored(size, hashed.hexdigest())

    def tail(self, key: str, most: int) -> tuple[bytes, Object]:
        """The last bytes of an object, and what the store says of it. Raises NotFound."""
        with self._asking("head", key):
            found = self._client.head_object(Bucket=self.bucket, Key=key)
        size = found["ContentLength"]
        said = Object(size, found["ETag"])
        return b"".join(self._range(key, max(0, size - most), size, said)), said

    def download_ranges(
        self, key: str, path: Path, ranges: Sequence[tuple[int, int]], found: Object, *, in_place: bool
    ) -> None:
        """Copy parts of an object into a file, each to its own place in it or one after another.

        Raises InvalidInput if the object is not the one that was `found` before.
        """
        pieces: list[tuple[int, int, int]] = []  # where in the file, and which bytes of the object
        written = 0
        for start, end in ranges:
            for offset in range(start, end, _RANGE_BYTES):
                stop = min(end, offset + _RANGE_BYTES)
                pieces.append((offset if in_place else written, offset, stop))
                written += stop - offset
        with path.open("wb") as file, ThreadPoolExecutor(_RANGES_AT_ONCE) as pool:

            def fetch(piece: tuple[int, int, int]) -> None:
                place, start, end = piece
                for content in self._range(key, start, end, found):
                    place += os.pwrite(file.fileno(), content, place)

            with self._asking("get", key):  # one span of all
                list(pool.map(fetch, pieces))
            if in_place:
                file.truncate(found.bytes)

    def _range(self, key: str, start: int, end: int, found: Object) -> Iterator[bytes]:
        """Bytes of an object, a chunk at a time. Raises InvalidInput if it is not the one that was `found`."""
        if start == end:
            return
        received = 0
        with self._asking("get", key):
            answer = self._client.get_object(Bucket=self.bucket, Key=key, Range=f"bytes={start}-{end - 1}")
            same = answer["ETag"] == found.etag and answer["ContentLength"] == end - start
            for chunk in answer["Body"].iter_chunks(CHUNK_BYTES) if same else ():
                received += len(chunk)
                yield chunk
        if received != end - start:
            raise InvalidInput(f"the object {key} has changed since the job began", code="input_changed")

    def copy(self, source: ObjectStore, source_key: str, key: str, *, content_type: str) -> None:
        """Copy an object of the same server, which moves the bytes itself; 5 GB at most. Raises NotFound."""
        failpoints.reach("put.before")
        with self._asking("copy", source_key):
            self._client.copy_object(
                CopySource={"Bucket": source.bucket, "Key": source_key},
                Bucket=self.bucket,
                Key=key,
                ContentType=content_type,
                MetadataDirective="REPLACE",
            )
        failpoints.reach("put.after")

    def size(self, key: str) -> int:
        """Bytes of an object. Raises NotFound."""
        with self._asking("head", key):
            return self._client.head_object(Bucket=self.bucket, Key=key)["ContentLength"]

    def list(self, prefix: str) -> Iterator[Listed]:
        """The objects below a prefix, in the order of their keys."""
        with self._asking("list", prefix):
            pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=prefix)
            for page in pages:
                for item in page.get("Contents", []):
                    yield Listed(item["Key"], item["Size"], item["LastModified"])

    def delete(self, key: str) -> None:
        """Remove an object; one that is not there is fine."""
        failpoints.reach("delete.before")
        with self._asking("delete", key):
            self._client.delete_object(Bucket=self.bucket, Key=key)
        failpoints.reach("delete.after")

    def link(self, key: str, *, seconds: int, filename: str | None = None) -> str:
        """A presigned URL that anyone may GET until it expires."""
        params: dict[str, Any] = {"Bucket": self.bucket, "Key": key}
        if filename:
            params["ResponseContentDisposition"] = f'attachment; filename="{filename}"'
        return self._public.generate_presigned_url("get_object", Params=params, ExpiresIn=seconds)

    def put_link(self, key: str, *, size: int, seconds: int) -> str:
        """A presigned URL to which anyone may PUT exactly `size` bytes until it expires."""
        params = {"Bucket": self.bucket, "Key": key, "ContentLength": size}
        return self._public.generate_presigned_url("put_object", Params=params, ExpiresIn=seconds)

    @contextmanager
    def _asking(self, operation: str, what: str) -> Iterator[None]:
        """One operation on an object, or on a prefix: boto3's errors become ours, and those of the store are told."""
        method = _METHODS[operation]
        try:
            with tracing.part(
                f"S3.{method}",
                rpc__system="aws-api",
                rpc__service="S3",
                rpc__method=method,
                aws__s3__bucket=self.bucket,
            ):
                yield
        except ClientError as error:
            code = str(error.response.get("Error", {}).get("Code", ""))
            if code in _MISSING:
                raise NotFound(f"the store has no {what}", code="object_not_found") from error
            if code in _MISNAMED:
                raise InvalidInput(f"the store takes no object named {what}", code="bad_uri") from error
            self._on_trouble(Trouble("store", operation, code))
            if code in _DENIED:
                raise Temporary(
                    f"the store refuses our credentials for {what}", code="storage_denied"
                ) from error
            raise Temporary(f"the store answered {code} for {what}", code="storage_unavailable") from error
        except BotoCoreError as error:
            self._on_trouble(Trouble("store", operation, type(error).__name__))
            raise Temporary(
                f"the store cannot be used right now ({type(error).__name__})", code="storage_unavailable"
            ) from error


def digest(path: Path) -> Stored:
    """Size and SHA-256 of a file on disk."""
    with path.open("rb") as file:
        return Stored(path.stat().st_size, hashlib.file_digest(file, "sha256").hexdigest())


def split_uri(uri: str) -> tuple[str, str]:
    """`s3://bucket/some/key` as (bucket, key)."""
    parts = urlsplit(uri, allow_fragments=False)
    key = uri.removeprefix(f"s3://{parts.netloc}/")
    return parts.netloc, key


def allowed_bucket(uri: str, allowed: tuple[str, ...], *, pointer: str) -> tuple[str, str]:
    """(bucket, key) of a user's URI. Raises InvalidInput at `pointer` for a bucket that may not be used."""
    bucket, key = split_uri(uri)
    if bucket not in allowed:
        raise InvalidInput.at(
            pointer, f"the bucket {bucket} is not one that may be used here", code="bucket_not_allowed"
        )
    parts = key.split("/")
    # Some stores take a backslash for a slash.
    if any(part in {".", ".."} for part in key.replace("\\", "/").split("/")) or "" in parts[:-1]:
        raise InvalidInput.at(pointer, "a key may not hold . or .. or nothing as a part", code="bad_uri")
    if any(unicodedata.category(letter) == "Cc" for letter in key):
        raise InvalidInput.at(pointer, "a key may not hold control characters", code="bad_uri")
    return bucket, key
