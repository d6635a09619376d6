"""The object store on a real server: bytes in, the same bytes out, and errors as Graft's own."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import httpx
import pytest

from graft.stack import start_object_store
from shared import storage
from shared.errors import InvalidInput, NotFound, Temporary
from shared.services import Services
from shared.storage import ObjectStore


@pytest.fixture
def objects(services: Services) -> ObjectStore:
    return services.objects


@pytest.mark.parametrize("size", [0, 1, 3 * 2**20 + 17])
def test_a_file_comes_back_as_it_was_with_its_digest(objects: ObjectStore, tmp_path: Path, size: int) -> None:
    content = bytes(range(256)) * (size // 256 + 1)
    path = tmp_path / "in"
    path.write_bytes(content[:size])
    stored = objects.put(f"t/{size}", path)
    assert (stored.bytes, stored.sha256) == (size, hashlib.sha256(content[:size]).hexdigest())
    assert objects.download(f"t/{size}", tmp_path / "out") == stored
    assert (tmp_path / "out").read_bytes() == content[:size]
    assert objects.get_bytes(f"t/{size}") == content[:size]
    assert objects.size(f"t/{size}") == size


def test_a_large_file_goes_up_in_parts(objects: ObjectStore, tmp_path: Path) -> None:
    path = tmp_path / "large"
    with path.open("wb") as file:
        file.truncate(80 * 2**20)
    stored = objects.put("t/large", path)
    assert objects.download("t/large", tmp_path / "back") == stored
    objects.delete("t/large")


def test_listing_gives_keys_in_order_and_only_below_the_prefix(objects: ObjectStore) -> None:
    for name in ("list/b", "list/a", "list/c/d", "listing"):
        objects.put_bytes(name, b"x")
    assert [item.key for item in objects.list("list/")] == ["list/a", "list/b", "list/c/d"]


def test_a_missing_object_is_not_found_and_deleting_it_is_fine(objects: ObjectStore, tmp_path: Path) -> None:
    for ask in (objects.get_bytes, objects.size, lambda key: objects.download(key, tmp_path / "x")):
        with pytest.raises(NotFound):
            ask("no/such/object")
    objects.delete("no/such/object")


def test_a_link_gives_the_object_to_anyone_and_only_that_one(objects: ObjectStore) -> None:
    objects.put_bytes("t/linked", b"hello")
    link = objects.link("t/linked", seconds=60, filename="a.txt")
    assert httpx.get(link).content == b"hello"
    assert httpx.get(link.replace("linked", "other")).status_code in {403, 404}
    assert httpx.get(link.partition("?")[0]).status_code in {400, 403}


def test_a_store_that_is_away_is_a_temporary_error(tmp_path: Path) -> None:
    with start_object_store(tmp_path) as server:
        client = storage.connect(
            endpoint_url=server.url,
            access_key_id=server.settings["GRAFT_S3_ACCESS_KEY_ID"],
            secret_access_key=server.settings["GRAFT_S3_SECRET_ACCESS_KEY"],
            region="us-east-1",
        )
        objects = ObjectStore(client, server.settings["GRAFT_S3_BUCKET"])
        objects.check()
        server.kill()
        with pytest.raises(Temporary):
            objects.check()


def test_a_name_that_the_store_cannot_have_is_bad_input_and_not_tried_again(objects: ObjectStore) -> None:
    with pytest.raises(InvalidInput, match="takes no object named") as refused:
        objects.put_bytes("é" * 600, b"longer than the 1,024 bytes of S3")
    assert refused.value.code == "bad_uri"


def test_a_wrong_secret_is_refused_by_the_store(services: Services) -> None:
    settings = services.settings
    client = storage.connect(
        endpoint_url=settings.s3_endpoint_url,
        access_key_id=settings.s3_access_key_id,
        secret_access_key="wrong",
        region="us-east-1",
    )
    with pytest.raises(Temporary) as refused:
        ObjectStore(client, settings.s3_bucket).check()
    assert refused.value.code in {"storage_denied", "storage_unavailable"}


@pytest.mark.parametrize(
    "uri", ["s3://other/x", "s3://lake/../x", "s3://lake/a/./b", "s3://lake/a/..", "s3://lake/..\\x"]
)
def test_a_uri_outside_what_is_allowed_is_refused(uri: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        storage.allowed_bucket(uri, ("lake",), pointer="/uri")
    assert refused.value.errors[0].pointer == "/uri"


def test_an_allowed_uri_is_taken_apart() -> None:
    assert storage.allowed_bucket("s3://lake/a/b.csv", ("lake",), pointer="/uri") == ("lake", "a/b.csv")
    assert storage.allowed_bucket("s3://lake/a?b#c", ("lake",), pointer="/uri") == ("lake", "a?b#c")


@pytest.mark.parametrize("size", [8 * 2**20, 8 * 2**20 + 1, 37 * 2**20 + 5])
def test_a_large_object_comes_down_in_parts_as_it_was(
    objects: ObjectStore, tmp_path: Path, size: int
) -> None:
    path = tmp_path / "in"
    path.write_bytes(os.urandom(size))
    stored = objects.put("t/in-parts", path)
    assert objects.download("t/in-parts", tmp_path / "out") == stored
    assert (tmp_path / "out").read_bytes() == path.read_bytes()


def test_ranges_come_one_after_another_or_each_in_its_place(objects: ObjectStore, tmp_path: Path) -> None:
    content = os.urandom(20 * 2**20)
    objects.put_bytes("t/ranges", content)
    tail, found = objects.tail("t/ranges", 8)
    assert (tail, found.bytes) == (content[-8:], len(content))
    ranges = [(0, 4), (100, 12 * 2**20), (len(content) - 9, len(content))]
    objects.download_ranges("t/ranges", tmp_path / "joined", ranges, found, in_place=False)
    assert (tmp_path / "joined").read_bytes() == b"".join(content[start:end] for start, end in ranges)
    objects.download_ranges("t/ranges", tmp_path / "sparse", ranges, found, in_place=True)
    sparse = (tmp_path / "sparse").read_bytes()
    assert len(sparse) == len(content)
    assert all(sparse[start:end] == content[start:end] for start, end in ranges)
    assert not any(sparse[4:100])


def test_ranges_of_another_version_of_an_object_are_refused(objects: ObjectStore, tmp_path: Path) -> None:
    objects.put_bytes("t/changes", b"first")
    _, found = objects.tail("t/changes", 8)
    objects.put_bytes("t/changes", b"other")
    with pytest.raises(InvalidInput, match="has changed"):
        objects.download_ranges("t/changes", tmp_path / "x", [(0, 5)], found, in_place=False)


def test_the_store_copies_an_object_itself(objects: ObjectStore) -> None:
    objects.put_bytes("t/original", b"content")
    objects.copy(objects, "t/original", "t/copied", content_type="text/csv")
    assert objects.get_bytes("t/copied") == b"content"
    with pytest.raises(NotFound):
        objects.copy(objects, "t/no-such", "t/copied-too", content_type="text/csv")
