"""Uploads in parts: to presigned URLs of the store and through the API, resumed, completed once, and given up."""

from __future__ import annotations

import base64
import hashlib
import random
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pyarrow as pa
import pytest

from tests.e2e.conftest import RunningStack
from tests.e2e.test_datasets import objects
from tests.support.client import CSV, JSONL, PARQUET, Graft, Json, written

PART_BYTES = 64 * 1024
UNKNOWN = f"upl_{'0' * 26}"


def csv_of(size: int) -> bytes:
    """A table of at least `size` bytes; no two rows alike."""
    made = random.Random(3)
    lines, length = [b"id,score,place\n"], 0
    while length < size:
        row = f"{len(lines)},{made.random()},{made.choice(['north', 'south'])}\n".encode()
        lines.append(row)
        length += len(row)
    return b"".join(lines)


TABLE = csv_of(3 * PART_BYTES + 1000)
PARTS = [TABLE[start : start + PART_BYTES] for start in range(0, len(TABLE), PART_BYTES)]


def begun(graft: Graft, content: bytes = TABLE, **changes: Any) -> Json:
    body = {"name": "big", "format": "csv", "bytes": len(content), "part_bytes": PART_BYTES, **changes}
    response = graft.post("/v1/uploads", json=body)
    assert response.status_code == 201, response.text
    assert response.headers["Location"] == f"/v1/uploads/{response.json()['id']}"
    upload: Json = response.json()
    return upload


def urls(graft: Graft, upload: Json) -> dict[int, str]:
    found: dict[int, str] = {}
    after: str | None = None
    while True:
        params = {"limit": 3, **({"after": after} if after else {})}
        page = graft.get(upload["links"]["parts"], params=params).raise_for_status().json()
        found |= {part["number"]: part["url"] for part in page["data"]}
        after = page["next"]
        if after is None:
            return found


def send(graft: Graft, upload: Json, number: int, content: bytes, **headers: str) -> httpx.Response:
    return graft.put(
        f"/v1/uploads/{upload['id']}/parts/{number}",
        content=content,
        headers={"Content-Type": "application/octet-stream", **headers},
    )


def sent(graft: Graft, upload: Json, parts: list[bytes] = PARTS) -> None:
    for number, part in enumerate(parts, 1):
        assert send(graft, upload, number, part).status_code == 200


def complete(graft: Graft, upload: Json, wait: float = 30, **body: Any) -> httpx.Response:
    return graft.post(upload["links"]["complete"], json=body, params={"wait": wait})


def problem(response: httpx.Response) -> tuple[int, str]:
    assert response.headers["Content-Type"] == "application/problem+json", response.text
    return response.status_code, response.json()["code"]


def test_parts_put_to_the_store_become_a_dataset_and_are_cleared_away(
    graft: Graft, stack: RunningStack
) -> None:
    upload = begun(graft)
    assert (upload["status"], upload["parts"], upload["part_bytes"]) == ("open", 4, PART_BYTES)
    links = urls(graft, upload)
    assert sorted(links) == [1, 2, 3, 4]
    for number in (4, 2, 1, 3):
        assert httpx.put(links[number], content=PARTS[number - 1]).status_code == 200
    seen = graft.get(upload["links"]["self"]).json()
    assert (seen["received"], seen["missing"]) == ({"parts": 4, "bytes": len(TABLE)}, [])
    response = complete(graft, upload, sha256=hashlib.sha256(TABLE).hexdigest())
    assert response.status_code == 201, response.text
    dataset = response.json()
    assert response.headers["Location"] == f"/v1/datasets/{dataset['id']}"
    assert (dataset["name"], dataset["format"], dataset["bytes"]) == ("big", "csv", len(TABLE))
    assert dataset["sha256"] == hashlib.sha256(TABLE).hexdigest()
    assert dataset["rows"] == TABLE.count(b"\n") - 1
    assert dataset["columns"] == graft.upload(TABLE).json()["columns"], "as from one request"
    assert graft.get(f"/v1/datasets/{dataset['id']}").json() == dataset
    ended = graft.get(upload["links"]["self"]).json()
    assert (ended["status"], ended["dataset"]) == ("completed", dataset["id"])
    assert not any(upload["id"] in key for key in objects(stack.store))


@pytest.mark.parametrize("kind", [CSV, PARQUET, JSONL])
def test_a_table_of_each_format_comes_through_the_api(graft: Graft, kind: str) -> None:
    made = random.Random(5)
    table = pa.table({"id": list(range(9000)), "x": [made.random() for _ in range(9000)]})
    content = written(table, kind)
    upload = begun(
        graft, content, format={CSV: "csv", PARQUET: "parquet", JSONL: "jsonl"}[kind], part_bytes=None
    )
    assert (upload["parts"], upload["part_bytes"]) == (1, 64 * 2**20)
    assert send(graft, upload, 1, content).json()["sha256"] == hashlib.sha256(content).hexdigest()
    dataset = complete(graft, upload).json()
    assert (dataset["rows"], dataset["sha256"]) == (9000, hashlib.sha256(content).hexdigest())


def test_compressed_text_is_taken_and_has_to_be_what_it_was_said_to_be(graft: Graft) -> None:
    packed = pa.Codec("zstd").compress(TABLE, asbytes=True)
    upload = begun(graft, packed, part_bytes=None, compression="zstd")
    send(graft, upload, 1, packed)
    assert complete(graft, upload).json()["rows"] == TABLE.count(b"\n") - 1
    other = begun(graft, packed, part_bytes=None, compression="gzip")
    send(graft, other, 1, packed)
    assert problem(complete(graft, other)) == (422, "corrupt_compression")


def test_a_client_that_was_cut_off_learns_what_is_missing_and_goes_on(graft: Graft) -> None:
    upload = begun(graft)
    send(graft, upload, 2, PARTS[1])
    httpx.put(urls(graft, upload)[4], content=PARTS[3])
    seen = graft.get(upload["links"]["self"]).json()
    assert seen["missing"] == [1, 3]
    assert seen["received"] == {"parts": 2, "bytes": len(PARTS[1]) + len(PARTS[3])}
    told = graft.get(upload["links"]["parts"]).json()["data"]
    assert [part["received"] for part in told] == [False, True, False, True]
    refused = complete(graft, upload)
    assert problem(refused) == (409, "parts_missing")
    assert [error["pointer"] for error in refused.json()["errors"]] == ["/parts/1", "/parts/3"]
    for number in seen["missing"]:
        send(graft, upload, number, PARTS[number - 1])
    send(graft, upload, 2, PARTS[1])  # again
    assert complete(graft, upload).json()["sha256"] == hashlib.sha256(TABLE).hexdigest()


def test_a_url_takes_exactly_its_part_and_no_other_use(graft: Graft) -> None:
    upload = begun(graft)
    link = urls(graft, upload)[1]
    for content in (PARTS[0] + b"x", PARTS[0][:-1], b""):
        assert httpx.put(link, content=content).status_code == 403
    assert httpx.get(link).status_code == 403
    assert httpx.put(link.replace("/00001?", "/00002?"), content=PARTS[0]).status_code == 403
    assert graft.get(upload["links"]["self"]).json()["missing"] == [1, 2, 3, 4]


def test_a_part_of_the_wrong_size_number_type_or_digest_is_refused(graft: Graft) -> None:
    upload = begun(graft)
    assert problem(send(graft, upload, 1, PARTS[0] + b"x")) == (413, "too_large")
    assert problem(send(graft, upload, 1, PARTS[0][:-1])) == (422, "wrong_part_size")
    assert problem(send(graft, upload, 1, b"")) == (422, "wrong_part_size")
    chunked = graft.put(f"/v1/uploads/{upload['id']}/parts/1", content=iter([PARTS[0], b"x"]))
    assert problem(chunked) == (413, "too_large")
    for number in (0, 5, 10**8):
        assert problem(send(graft, upload, number, PARTS[0])) == (404, "unknown_part")
    assert problem(send(graft, upload, 1, PARTS[0], **{"Content-Type": CSV})) == (
        415,
        "unsupported_media_type",
    )
    assert problem(send(graft, upload, 1, b"{}", **{"Content-Type": "application/json"})) == (
        415,
        "unsupported_media_type",
    )
    digest = base64.b64encode(hashlib.sha256(PARTS[1]).digest()).decode()
    wrong = send(graft, upload, 1, PARTS[0], **{"Content-Digest": f"sha-256=:{digest}:"})
    assert problem(wrong) == (422, "digest_mismatch")
    assert problem(send(graft, upload, 1, PARTS[0], **{"Content-Digest": "sha-256=:?:"})) == (
        422,
        "bad_digest",
    )
    assert graft.get(upload["links"]["self"]).json()["missing"] == [1, 2, 3, 4]
    right = send(graft, upload, 2, PARTS[1], **{"Content-Digest": f"sha-512=:x:, sha-256=:{digest}:"})
    assert right.status_code == 200
    exact = graft.put(f"/v1/uploads/{upload['id']}/parts/1", content=iter([PARTS[0][:9], PARTS[0][9:]]))
    assert exact.status_code == 200, "exactly its size, without a length said before"


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [
        ({"name": ""}, "/name"),
        ({"format": "xlsx"}, "/format"),
        ({"bytes": 0}, "/bytes"),
        ({"bytes": "9"}, "/bytes"),
        ({"part_bytes": 1000}, "/part_bytes"),
        ({"part_bytes": 6 * 2**30}, "/part_bytes"),
        ({"bytes": 2**30, "part_bytes": 64 * 1024}, "/part_bytes"),
        ({"compression": "br"}, "/compression"),
        ({"more": 1}, "/more"),
    ],
)
def test_what_cannot_be_uploaded_is_refused_at_its_field(graft: Graft, changes: Json, pointer: str) -> None:
    body = {"name": "big", "format": "csv", "bytes": 9, **changes}
    response = graft.post("/v1/uploads", json=body)
    assert response.status_code == 422
    assert [error["pointer"] for error in response.json()["errors"]] == [pointer]


def test_an_upload_over_the_limit_is_refused_before_it_begins(graft: Graft) -> None:
    limit = 20 * 2**30
    response = graft.post("/v1/uploads", json={"name": "big", "format": "csv", "bytes": limit + 1})
    assert problem(response) == (413, "too_large")
    assert response.json()["errors"][0]["pointer"] == "/bytes"
    fits = graft.post("/v1/uploads", json={"name": "big", "format": "csv", "bytes": limit})
    assert (fits.status_code, fits.json()["parts"]) == (201, 320)
    graft.delete(fits.json()["links"]["self"])


def test_what_is_wrong_with_the_table_is_told_and_the_part_can_be_sent_anew(
    graft: Graft, stack: RunningStack
) -> None:
    upload = begun(graft)
    bad = b"\n1,2,3,4\n" + PARTS[2][9:]
    sent(graft, upload, [PARTS[0], PARTS[1], bad, PARTS[3]])
    before = graft.get("/v1/datasets").json()
    refused = complete(graft, upload)
    assert problem(refused) == (422, "ragged_row")
    seen = graft.get(upload["links"]["self"]).json()
    assert (seen["status"], seen["error"]["code"], seen["missing"]) == ("failed", "ragged_row", [])
    assert graft.get("/v1/datasets").json() == before
    assert not list((stack.directory / "tmp").glob("graft-spool-*"))
    assert send(graft, upload, 3, PARTS[2]).status_code == 200
    wrong = complete(graft, upload, sha256="0" * 64)
    assert (problem(wrong), wrong.json()["errors"][0]["pointer"]) == ((422, "digest_mismatch"), "/sha256")
    assert complete(graft, upload).json()["sha256"] == hashlib.sha256(TABLE).hexdigest()
    assert graft.get(upload["links"]["self"]).json()["error"] is None


def test_completing_twice_gives_the_same_dataset(graft: Graft) -> None:
    upload = begun(graft)
    sent(graft, upload)
    first, second = complete(graft, upload), complete(graft, upload)
    assert (first.status_code, second.status_code) == (201, 201)
    assert first.json() == second.json()
    assert problem(send(graft, upload, 1, PARTS[0])) == (409, "upload_completed")
    assert problem(graft.get(upload["links"]["parts"])) == (409, "upload_completed")
    graft.delete(f"/v1/datasets/{first.json()['id']}")
    assert problem(complete(graft, upload)) == (404, "unknown_dataset")


def test_many_who_complete_at_once_make_one_dataset(graft: Graft, stack: RunningStack) -> None:
    upload = begun(graft)
    sent(graft, upload)
    before = {item["id"] for item in graft.get("/v1/datasets", params={"limit": 500}).json()["data"]}
    together = threading.Barrier(8)

    def ask(_: int) -> httpx.Response:
        with Graft(stack.url, graft.headers["Authorization"].removeprefix("Bearer ")) as client:
            together.wait()
            while (answer := complete(client, upload)).status_code in {202, 503}:
                pass
            return answer

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(ask, range(8)))
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.json()["id"] for answer in answers}) == 1
    after = {item["id"] for item in graft.get("/v1/datasets", params={"limit": 500}).json()["data"]}
    assert after - before == {answers[0].json()["id"]}
    assert sum(answers[0].json()["id"] in key for key in objects(stack.store)) == 1


def test_a_part_that_is_swapped_after_completion_changes_nothing(graft: Graft, stack: RunningStack) -> None:
    upload = begun(graft)
    links = urls(graft, upload)
    sent(graft, upload)
    dataset = complete(graft, upload).json()
    rows = graft.get(f"/v1/datasets/{dataset['id']}/preview").json()["rows"]
    assert httpx.put(links[1], content=PARTS[1]).status_code == 200, "its URL lives on"
    assert complete(graft, upload).json() == dataset
    assert graft.get(f"/v1/datasets/{dataset['id']}/preview").json()["rows"] == rows


def test_a_completion_that_takes_long_goes_on_and_can_be_asked_for(graft: Graft) -> None:
    content = csv_of(6 * 2**20)
    upload = begun(graft, content, part_bytes=2**20)
    parts = [content[start : start + 2**20] for start in range(0, len(content), 2**20)]
    sent(graft, upload, parts)
    first = complete(graft, upload, wait=0)
    assert first.status_code == 202, first.text
    assert first.headers["Retry-After"]
    assert first.headers["Location"] == upload["links"]["self"]
    assert first.json()["status"] == "completing"
    assert problem(send(graft, upload, 1, parts[0])) == (409, "upload_completing")
    assert problem(graft.delete(upload["links"]["self"])) == (409, "upload_completing")
    second = complete(graft, upload)
    assert second.status_code == 201, second.text
    assert second.json()["sha256"] == hashlib.sha256(content).hexdigest()


def test_an_upload_that_is_given_up_is_gone_with_its_parts(graft: Graft, stack: RunningStack) -> None:
    upload = begun(graft)
    sent(graft, upload, PARTS[:2])
    assert sum(upload["id"] in key for key in objects(stack.store)) == 2
    assert graft.delete(upload["links"]["self"]).status_code == 204
    assert not any(upload["id"] in key for key in objects(stack.store))
    for response in (
        graft.get(upload["links"]["self"]),
        graft.get(upload["links"]["parts"]),
        send(graft, upload, 1, PARTS[0]),
        complete(graft, upload),
        graft.delete(upload["links"]["self"]),
    ):
        assert problem(response) == (404, "unknown_upload")


def test_uploads_are_listed_newest_first_and_only_ones_own(graft: Graft, newcomer: Graft) -> None:
    made = [begun(newcomer)["id"] for _ in range(3)]
    first = newcomer.get("/v1/uploads", params={"limit": 2}).json()
    assert [item["id"] for item in first["data"]] == made[:0:-1]
    rest = newcomer.get("/v1/uploads", params={"limit": 2, "after": first["next"]}).json()
    assert ([item["id"] for item in rest["data"]], rest["next"]) == (made[:1], None)
    assert not set(made) & {item["id"] for item in graft.get("/v1/uploads").json()["data"]}
    assert problem(graft.post(f"/v1/uploads/{made[0]}/complete", json={})) == (404, "unknown_upload")


@pytest.mark.parametrize("method", ["POST", "PATCH", "DELETE", "GET"])
def test_a_part_is_put_and_nothing_else(graft: Graft, method: str) -> None:
    headers = {"Content-Type": "application/octet-stream"}
    response = graft.request(method, f"/v1/uploads/{UNKNOWN}/parts/1", content=b"x", headers=headers)
    assert problem(response) == (405, "method_not_allowed")
