"""Datasets over HTTP: what is taken, what is refused with its place, and that a refusal leaves nothing."""

from __future__ import annotations

import gzip
import hashlib
import io
import socket
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import boto3
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from botocore.config import Config

from graft.stack import Endpoint
from tests.e2e.conftest import KEYS, USER_BUCKET, RunningStack
from tests.support.client import CSV, JSONL, PARQUET, Graft, written
from tests.support.waiting import eventually

TABLE = pa.table(
    {
        "id": [1, 2, 3],
        "amount": [1.5, None, -2.0],
        "member": [True, False, True],
        "city": ["Zürich", "São Paulo", None],
    }
)


@pytest.mark.parametrize(("kind", "format"), [(CSV, "csv"), (PARQUET, "parquet"), (JSONL, "jsonl")])
def test_an_upload_of_each_format_becomes_a_dataset(graft: Graft, kind: str, format: str) -> None:
    content = written(TABLE, kind)
    response = graft.upload(content, kind=kind, name="people")
    assert response.status_code == 201
    dataset = response.json()
    assert response.headers["Location"] == f"/v1/datasets/{dataset['id']}"
    assert (dataset["name"], dataset["format"], dataset["rows"]) == ("people", format, 3)
    assert dataset["bytes"] == len(content)
    assert dataset["sha256"] == hashlib.sha256(content).hexdigest()
    assert dataset["columns"] == [
        {"name": "id", "type": "integer", "nulls": 0},
        {"name": "amount", "type": "number", "nulls": 1},
        {"name": "member", "type": "boolean", "nulls": 0},
        {"name": "city", "type": "string", "nulls": 1},
    ]
    assert graft.get(f"/v1/datasets/{dataset['id']}").json() == dataset
    rows = graft.get(f"/v1/datasets/{dataset['id']}/preview").json()["rows"]
    assert rows[0] == {"id": 1, "amount": 1.5, "member": True, "city": "Zürich"}
    assert rows[1]["amount"] is None


def nested() -> bytes:
    return written(pa.table({"a": pa.array([[1], [2]])}), PARQUET)


@pytest.mark.parametrize(
    ("kind", "content", "code", "place"),
    [
        (CSV, b"a,b\n1,2\n1,2,3\n", "ragged_row", "row 2"),
        (CSV, b"", "empty_table", ""),
        (CSV, b"a,b\n", "no_rows", ""),
        (CSV, b"a,a\n1,2\n", "duplicate_column", "a"),
        (CSV, b"a,,c\n1,2,3\n", "empty_column_name", "2"),
        (CSV, b"a,b\n1,2\n3,\xff\xfe\n", "invalid_utf8", "3"),
        (PARQUET, written(TABLE, PARQUET)[:-20], "corrupt_parquet", ""),
        (PARQUET, nested(), "nested_column", "a"),
        (JSONL, b'{"a": 1}\n{"a": 2}\n{"a": \n', "bad_json_line", "3"),
        (JSONL, b'{"a": 1}\n{"a": [2]}\n', "nested_value", "2"),
    ],
)
def test_a_bad_upload_is_refused_and_says_where(
    graft: Graft, kind: str, content: bytes, code: str, place: str
) -> None:
    before = graft.get("/v1/datasets").json()
    response = graft.upload(content, kind=kind)
    assert response.status_code == 422
    problem = response.json()
    assert problem["code"] == code
    assert place in problem["detail"]
    assert graft.get("/v1/datasets").json() == before


def test_an_upload_without_a_name_or_of_an_unknown_type_is_refused(graft: Graft) -> None:
    unnamed = graft.post("/v1/datasets", content=b"a\n1\n", headers={"Content-Type": CSV})
    assert (unnamed.status_code, unnamed.json()["errors"][0]["pointer"]) == (422, "/name")
    odd = graft.upload(gzip.compress(b"a\n1\n"), kind="application/gzip")
    assert (odd.status_code, odd.json()["code"]) == (415, "unsupported_media_type")


@pytest.mark.parametrize(("codec", "suffix"), [("gzip", ".gz"), ("zstd", ".zst")])
@pytest.mark.parametrize("kind", [CSV, JSONL])
def test_compressed_text_is_taken_with_and_without_the_header(
    graft: Graft, stack: RunningStack, kind: str, codec: str, suffix: str
) -> None:
    content = pa.Codec(codec).compress(written(TABLE, kind), asbytes=True)
    for headers in ({}, {"Content-Encoding": codec}):
        response = graft.post(
            "/v1/datasets", params={"name": "t"}, content=content, headers={"Content-Type": kind, **headers}
        )
        assert response.status_code == 201, response.text
        dataset = response.json()
        assert (dataset["rows"], dataset["bytes"]) == (3, len(content))
        assert any(dataset["id"] in key and key.endswith(suffix) for key in objects(stack.store))
        rows = graft.get(f"/v1/datasets/{dataset['id']}/preview").json()["rows"]
        assert rows[0] == {"id": 1, "amount": 1.5, "member": True, "city": "Zürich"}


def test_a_body_that_is_not_encoded_as_it_says_is_refused(graft: Graft) -> None:
    def upload(content: bytes, kind: str, encoding: str) -> tuple[int, str]:
        headers = {"Content-Type": kind, "Content-Encoding": encoding}
        answer = graft.post("/v1/datasets", params={"name": "t"}, content=content, headers=headers)
        return answer.status_code, answer.json()["code"]

    assert upload(b"a\n1\n", CSV, "gzip") == (422, "corrupt_compression")
    assert upload(gzip.compress(b"a\n1\n"), CSV, "zstd") == (422, "corrupt_compression")
    assert upload(gzip.compress(b"a\n1\n"), CSV, "br") == (415, "unsupported_media_type")
    assert upload(gzip.compress(b"a\n1\n" * 1000)[:-4], CSV, "gzip") == (422, "corrupt_compression")
    assert upload(gzip.compress(written(TABLE, PARQUET)), PARQUET, "gzip") == (422, "compressed_parquet")
    bomb = gzip.compress(b"a\n" + b"1\n" * (150 * 2**20))
    assert upload(bomb, CSV, "gzip") == (422, "decompressed_too_large")


def objects(store: Endpoint) -> list[str]:
    """Every object of the stacks' own buckets."""
    return sorted(key for bucket, key in placed(store) if bucket.startswith("graft-"))


def placed(store: Endpoint) -> Iterator[tuple[str, str]]:
    """Bucket and key of every object, however many there are."""
    client = s3(store.settings)
    for bucket in client.list_buckets()["Buckets"]:
        for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket["Name"]):
            for item in page.get("Contents", []):
                yield bucket["Name"], item["Key"]


def s3(settings: Any) -> Any:
    return boto3.client(
        "s3",
        endpoint_url=settings["GRAFT_S3_ENDPOINT_URL"],
        aws_access_key_id=settings["GRAFT_S3_ACCESS_KEY_ID"],
        aws_secret_access_key=settings["GRAFT_S3_SECRET_ACCESS_KEY"],
        region_name="us-east-1",
        config=Config(
            s3={"addressing_style": "path"},
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        ),
    )


@pytest.mark.parametrize(
    ("framing", "body"),
    [
        ("Content-Length: 1000000", "a,b\n1,2\n"),
        ("Transfer-Encoding: chunked", "8\r\na,b\n1,2\n\r\n"),
        ("Transfer-Encoding: chunked", "ff\r\na,b\n1,2\n"),
    ],
)
def test_an_upload_that_breaks_off_leaves_nothing_behind(
    graft: Graft, stack: RunningStack, framing: str, body: str
) -> None:
    listed, stored = graft.get("/v1/datasets").json(), objects(stack.store)
    address = urlsplit(stack.url)
    with socket.create_connection((address.hostname, address.port)) as connection:
        head = (
            f"POST /v1/datasets?name=cut HTTP/1.1\r\nHost: graft\r\nContent-Type: {CSV}\r\n"
            f"Authorization: Bearer {KEYS['default']}\r\nContent-Length: 1000000\r\n\r\na,b\n1,2\n"
        )
        connection.sendall(head.encode())
        spooled = eventually(lambda: list((stack.directory / "tmp").glob("graft-spool-*")))
    eventually(lambda: not any(path.exists() for path in spooled))
    assert graft.get("/v1/datasets").json() == listed
    assert objects(stack.store) == stored


def test_objects_in_an_allowed_bucket_can_be_registered(graft: Graft, stack: RunningStack) -> None:
    client = s3(stack.store.settings)
    for number, start in enumerate((0, 100)):
        sink = io.BytesIO()
        pq.write_table(pa.table({"x": list(range(start, start + 50)), "y": [0.5] * 50}), sink)
        client.put_object(Bucket=USER_BUCKET, Key=f"days/part-{number}.parquet", Body=sink.getvalue())
    client.put_object(Bucket=USER_BUCKET, Key="days/_SUCCESS", Body=b"done")
    response = graft.post("/v1/datasets", json={"name": "days", "uri": f"s3://{USER_BUCKET}/days/"})
    assert response.status_code == 201, response.text
    dataset = response.json()
    assert (dataset["rows"], dataset["format"]) == (100, "parquet")
    assert dataset["uri"] == f"s3://{USER_BUCKET}/days/"
    single = graft.post("/v1/datasets", json={"name": "d", "uri": f"s3://{USER_BUCKET}/days/part-1.parquet"})
    assert (single.status_code, single.json()["rows"]) == (201, 50)


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"name": "x", "uri": "s3://elsewhere/key.csv"}, "/uri"),
        ({"name": "x", "uri": f"s3://{USER_BUCKET}/missing.csv"}, "/uri"),
        ({"name": "x", "uri": f"s3://{USER_BUCKET}/empty/"}, "/uri"),
        ({"name": "x", "uri": "file:///etc/passwd"}, "/uri"),
        ({"name": "x", "uri": f"s3://{USER_BUCKET}/../graft/x.csv"}, "/uri"),
        ({"name": "", "uri": f"s3://{USER_BUCKET}/x.csv"}, "/name"),
        ({"name": "x"}, "/uri"),
        ({"name": "x", "uri": f"s3://{USER_BUCKET}/x.csv", "more": 1}, "/more"),
    ],
)
def test_what_cannot_be_registered_is_refused_at_its_field(
    graft: Graft, body: dict[str, Any], pointer: str
) -> None:
    response = graft.post("/v1/datasets", json=body)
    assert response.status_code == 422
    assert [error["pointer"] for error in response.json()["errors"]] == [pointer]


def test_a_deleted_dataset_is_gone_with_its_object(graft: Graft, stack: RunningStack) -> None:
    dataset = graft.dataset(b"a,b\n1,2\n")
    assert any(dataset in key for key in objects(stack.store))
    assert graft.delete(f"/v1/datasets/{dataset}").status_code == 204
    assert graft.get(f"/v1/datasets/{dataset}").status_code == 404
    assert not any(dataset in key for key in objects(stack.store))
    assert graft.delete(f"/v1/datasets/{dataset}").status_code == 404


def test_datasets_are_listed_newest_first_and_paged(stranger: Graft) -> None:
    made = [stranger.dataset(b"a\n1\n", name=f"t{n}") for n in range(3)]
    first = stranger.get("/v1/datasets", params={"limit": 2}).json()
    assert [item["id"] for item in first["data"]] == made[:0:-1]
    assert first["has_more"] is True
    page = stranger.get("/v1/datasets", params={"limit": 2, "after": first["next"]}).json()
    assert page["data"][0]["id"] == made[0]
    while page["has_more"]:
        page = stranger.get("/v1/datasets", params={"limit": 2, "after": page["next"]}).json()
    assert page["next"] is None


def test_another_projects_dataset_does_not_exist(graft: Graft, stranger: Graft) -> None:
    dataset = graft.dataset(b"a,label\n1,x\n2,y\n")
    assert stranger.get(f"/v1/datasets/{dataset}").status_code == 404
    assert stranger.get(f"/v1/datasets/{dataset}/preview").status_code == 404
    assert stranger.delete(f"/v1/datasets/{dataset}").status_code == 404
    assert graft.get(f"/v1/datasets/{dataset}").status_code == 200


def test_a_spool_is_removed_after_every_upload(graft: Graft, stack: RunningStack) -> None:
    graft.dataset(b"a,b\n1,2\n")
    graft.upload(b"a,b\n1\n")
    assert list((stack.directory / "tmp").glob("graft-spool-*")) == []
