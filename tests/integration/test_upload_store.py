"""The store of uploads on a real Redis: one completion at a time, and one dataset whatever happens."""

from __future__ import annotations

import dataclasses
from concurrent.futures import ThreadPoolExecutor

import pytest

from shared import keys
from shared.contracts.datasets import Dataset
from shared.contracts.tables import Column
from shared.contracts.uploads import MOST_PARTS, Upload, UploadBody, part_bytes_for, size_of_part
from shared.datasets import Completion, new_id
from shared.errors import Conflict, InvalidInput, NotFound, TooMany
from shared.services import Services
from shared.uploads import UploadStore
from tests.support.waiting import eventually


def begun(services: Services, **changes: object) -> Upload:
    body = {"name": "t", "format": "csv", "bytes": 10**9, **changes}
    return services.uploads.create("default", UploadBody.model_validate(body))


def made(services: Services, held: Completion | None, dataset_id: str | None = None) -> Dataset:
    columns = [Column(name="a", type="integer", nulls=0)]
    return services.datasets.create(
        "default", dataset_id or new_id(), name="t", format="csv", columns=columns, files=[], completion=held
    )


@pytest.mark.parametrize("size", [1, 64 * 2**20, 64 * 2**20 + 1, 20 * 2**30, 10_000 * 64 * 2**20 + 1, 2**45])
def test_parts_make_up_the_file(services: Services, size: int) -> None:
    upload = begun(services, bytes=size)
    assert upload.parts <= MOST_PARTS
    assert upload.part_bytes == part_bytes_for(size)
    assert sum(size_of_part(upload, n) for n in range(1, upload.parts + 1)) == size
    assert 0 < size_of_part(upload, upload.parts) <= upload.part_bytes


def test_of_many_who_begin_to_complete_one_does(services: Services) -> None:
    upload = begun(services)
    with ThreadPoolExecutor(16) as pool:
        held = list(pool.map(lambda _: services.uploads.begin("default", upload.id), range(16)))
    assert sum(one is not None for one in held) == 1
    assert services.uploads.get("default", upload.id).status == "completing"


def test_a_completion_whose_process_died_is_taken_over_and_cannot_end_the_upload(services: Services) -> None:
    upload = begun(services)
    dead = services.uploads.begin("default", upload.id)
    assert dead
    assert services.uploads.begin("default", upload.id) is None
    eventually(lambda: services.uploads.get("default", upload.id).status == "open")
    heir = services.uploads.begin("default", upload.id)
    assert heir
    assert not services.uploads.renew(dead)
    services.uploads.end(dead, InvalidInput("late", code="late"))
    assert services.uploads.get("default", upload.id).error is None
    with pytest.raises(Conflict) as refused:
        made(services, dead)
    assert refused.value.code == "upload_lost"
    assert services.datasets.page("default", limit=9) == ([], False)
    dataset = made(services, heir)
    seen = services.uploads.get("default", upload.id)
    assert (seen.status, seen.dataset) == ("completed", dataset.id)
    assert services.uploads.begin("default", upload.id) is None


def test_a_lease_lasts_while_it_is_renewed(services: Services) -> None:
    upload = begun(services)
    held = services.uploads.begin("default", upload.id)
    assert held
    until = services.database.hget(keys.upload("default", upload.id), "lease_until")
    eventually(
        lambda: (
            services.uploads.renew(held) and services.database.hget(held.upload_key, "lease_until") != until
        )
    )


def test_making_a_dataset_may_be_sent_twice(services: Services) -> None:
    held = services.uploads.begin("default", begun(services).id)
    dataset_id = new_id()
    assert made(services, held, dataset_id) == made(services, held, dataset_id)
    assert len(services.datasets.page("default", limit=9)[0]) == 1


def test_a_failed_completion_says_why_until_the_next_begins(services: Services) -> None:
    upload = begun(services)
    held = services.uploads.begin("default", upload.id)
    assert held
    services.uploads.end(held, InvalidInput("row 2 is bad", code="ragged_row"))
    seen = services.uploads.get("default", upload.id)
    assert (seen.status, seen.error and seen.error.code) == ("failed", "ragged_row")
    again = services.uploads.begin("default", upload.id)
    assert again
    services.uploads.end(again)
    assert services.uploads.get("default", upload.id).status == "open"


def test_an_upload_is_not_deleted_while_it_is_completed(services: Services) -> None:
    upload = begun(services)
    held = services.uploads.begin("default", upload.id)
    assert held
    with pytest.raises(Conflict):
        services.uploads.delete("default", upload.id)
    services.uploads.end(held)
    services.uploads.delete("default", upload.id)
    with pytest.raises(NotFound):
        services.uploads.get("default", upload.id)
    with pytest.raises(Conflict):
        made(services, held)


def test_a_project_has_so_many_uploads_at_most(services: Services) -> None:
    store = UploadStore(services.database, max_uploads=2, keep_seconds=9, lease_seconds=9)
    few = dataclasses.replace(services, uploads=store)
    first = begun(few)
    begun(few)
    with pytest.raises(TooMany):
        begun(few)
    store.create("another", UploadBody(name="t", format="csv", bytes=1))
    store.delete("default", first.id)
    begun(few)
