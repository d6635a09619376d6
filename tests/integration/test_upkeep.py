"""The chores on real servers: what is rescued, what is swept, and what is never touched."""

from __future__ import annotations

import dataclasses
import json

import pytest

from shared import keys
from shared.contracts.tables import Column
from shared.contracts.uploads import Upload, UploadBody
from shared.errors import Conflict, NotFound
from shared.job_records import Lease, NewJob, NewVersion
from shared.services import Services
from shared.states import JobState
from shared.workers import WorkerStatus
from tests.support.waiting import eventually
from worker.upkeep import rescuer, sweeper, watchdog


@pytest.fixture
def impatient(services: Services) -> Services:
    """Services to which every job and object looks old."""
    for item in services.objects.list(""):
        services.objects.delete(item.key)
    aged = services.settings.model_copy(update={"retention_seconds": -60, "orphan_seconds": -60})
    return dataclasses.replace(services, settings=aged)


def running(services: Services, **changes: object) -> Lease:
    services.jobs.submit(NewJob(project="default", type="train", spec={}, model="churn", **changes))  # type: ignore[arg-type]
    claimed = services.jobs.claim("normal", "worker-1")
    assert claimed
    return claimed[0]


def put(services: Services, lease: Lease, name: str) -> str:
    key = keys.attempt_prefix(lease.project, lease.job_id, lease.token) + name
    services.objects.put_bytes(key, b"x")
    return key


def left(services: Services) -> set[str]:
    return {item.key for item in services.objects.list("")}


def test_a_job_whose_lease_ran_out_goes_back_to_its_queue(services: Services) -> None:
    lease = running(services)
    rescuer.run(services)
    assert services.jobs.get("default", lease.job_id).status == "running", "the lease still runs"
    eventually(services.jobs.expired)
    rescuer.run(services)
    assert services.jobs.get("default", lease.job_id).status == "queued"


def test_a_job_without_attempts_left_fails_as_lost(services: Services) -> None:
    lease = running(services, max_attempts=1)
    eventually(services.jobs.expired)
    rescuer.run(services)
    job = services.jobs.get("default", lease.job_id)
    assert job.status == "failed"
    assert job.error is not None
    assert job.error.code == "worker_lost"


def test_a_job_that_was_asked_to_stop_is_cancelled_when_its_worker_is_lost(services: Services) -> None:
    lease = running(services)
    services.jobs.cancel("default", lease.job_id)
    eventually(services.jobs.expired)
    rescuer.run(services)
    assert services.jobs.get("default", lease.job_id).status == "cancelled"


def test_a_lease_without_a_job_is_dropped(services: Services) -> None:
    services.database.zadd(keys.LEASES, {"default/job_gone": 1})
    rescuer.run(services)
    assert services.database.zcard(keys.LEASES) == 0


def test_the_artifact_of_a_version_and_its_job_are_never_swept(impatient: Services) -> None:
    lease = running(impatient)
    kept, orphan = put(impatient, lease, "model.joblib"), put(impatient, lease, "checkpoint-1")
    fields = {"name": "churn", "artifact_key": kept, "job": lease.job_id}
    fields |= {"bytes": 1, "sha256": "0", "signature": "0"}
    impatient.jobs.finish(lease, JobState.SUCCEEDED, version=NewVersion("churn", None, None, fields))
    assert sweeper.sweep(impatient) == ([], [orphan])
    assert left(impatient) == {kept}
    assert impatient.jobs.get("default", lease.job_id).status == "succeeded"


def test_what_a_running_attempt_writes_and_its_checkpoint_are_left_alone(impatient: Services) -> None:
    dead = running(impatient)
    stale, checkpoint = put(impatient, dead, "output/part-00000.csv"), put(impatient, dead, "checkpoint-9")
    impatient.jobs.note(dead, "checkpoint", checkpoint={"files": [{"key": checkpoint}]})
    impatient.jobs.release(dead, "normal", reason="worker_lost")
    claimed = impatient.jobs.claim("normal", "worker-2")
    assert claimed
    written = put(impatient, claimed[0], "model.joblib")
    assert sweeper.sweep(impatient)[1] == [stale]
    assert left(impatient) == {checkpoint, written}


def test_an_expired_job_goes_with_its_output_and_its_entries(impatient: Services) -> None:
    lease = running(impatient)
    part = put(impatient, lease, "output/part-00000.csv")
    prefix = part.removesuffix("part-00000.csv")
    output = {"uri": f"s3://{impatient.objects.bucket}/{prefix}"}
    impatient.jobs.finish(lease, JobState.SUCCEEDED, result={"output": output})
    fresh = dataclasses.replace(
        impatient, settings=impatient.settings.model_copy(update={"retention_seconds": 3600})
    )
    assert sweeper.sweep(fresh) == ([], []), "the output of a job that is kept is kept"
    assert sweeper.sweep(impatient, dry_run=True)[0] == [lease.job_id]
    assert impatient.jobs.get("default", lease.job_id), "a dry run deletes nothing"
    assert sweeper.sweep(impatient) == ([lease.job_id], [part])
    with pytest.raises(NotFound):
        impatient.jobs.get("default", lease.job_id)
    assert not list(impatient.database.scan_iter(f"*{lease.job_id}*"))
    assert impatient.jobs.page("default", {}, limit=1) == ([], False)


def test_a_live_job_and_a_dataset_are_never_swept(impatient: Services) -> None:
    job_id = impatient.jobs.submit(NewJob(project="default", type="train", spec={}))[0].id
    kept = keys.dataset_object("default", "ds_1", "csv")
    gone = keys.dataset_object("default", "ds_2", "csv")
    foreign = "somebody/elses/file"
    for key in (kept, gone, foreign):
        impatient.objects.put_bytes(key, b"x")
    columns = [Column(name="a", type="integer", nulls=0)]
    impatient.datasets.create("default", "ds_1", name="t", format="csv", columns=columns, files=[])
    assert sweeper.sweep(impatient) == ([], [gone])
    assert left(impatient) == {kept, foreign}
    assert impatient.jobs.get("default", job_id).status == "queued"


def test_one_sweep_is_due_at_a_time(services: Services) -> None:
    assert [services.jobs.sweep_is_due(60) for _ in range(3)] == [True, False, False]


def test_a_worker_with_room_that_lets_jobs_wait_is_stalled(services: Services) -> None:
    hurried = dataclasses.replace(
        services, settings=services.settings.model_copy(update={"stalled_seconds": 0.2})
    )
    assert not watchdog.stalled(hurried, ["normal"], idle_seconds=99), "nothing waits"
    services.jobs.submit(NewJob(project="default", type="train", spec={}))
    eventually(lambda: services.jobs.waiting_seconds("normal") > 0.2)
    assert watchdog.stalled(hurried, ["normal"], idle_seconds=99)
    assert not watchdog.stalled(hurried, ["normal"], idle_seconds=0.1), "it has just taken a wake-up"
    assert not watchdog.stalled(hurried, ["high"], idle_seconds=99), "it does not serve that queue"


def test_workers_are_known_by_their_signs_of_life(services: Services) -> None:
    services.workers.seen(WorkerStatus("a", 2, 1))
    assert [status.name for status in services.workers.alive(10)] == ["a"]
    old = {**dataclasses.asdict(WorkerStatus("b", 1, 0)), "seen_ms": 1}
    services.database.hset(keys.WORKERS, "b", json.dumps(old))
    assert [status.name for status in services.workers.alive(10)] == ["a"]
    assert services.database.hkeys(keys.WORKERS) == ["a"], "one that has been silent for an hour is forgotten"
    services.workers.gone("a")
    assert services.workers.alive(10) == []


def begun_upload(services: Services) -> Upload:
    return services.uploads.create("default", UploadBody(name="t", format="csv", bytes=2))


def put_part(services: Services, upload: Upload) -> str:
    key = keys.upload_part("default", upload.id, 1)
    services.objects.put_bytes(key, b"x\n")
    return key


def test_an_upload_whose_time_is_up_is_swept_with_its_parts(impatient: Services) -> None:
    upload = begun_upload(impatient)
    part = put_part(impatient, upload)
    assert sweeper.sweep(impatient) == ([], []), "it has not expired"
    impatient.database.hset(keys.upload("default", upload.id), "expires_at", 1)
    impatient.database.zadd(keys.UPLOADS, {keys.member("default", upload.id): 1})
    assert impatient.uploads.get("default", upload.id).status == "expired"
    with pytest.raises(Conflict, match="expired"):
        impatient.uploads.begin("default", upload.id)
    assert sweeper.sweep(impatient, dry_run=True) == ([], [part])
    assert left(impatient) == {part}, "a dry run deletes nothing"
    assert sweeper.sweep(impatient) == ([], [part])
    assert left(impatient) == set()
    with pytest.raises(NotFound):
        impatient.uploads.get("default", upload.id)
    assert not list(impatient.database.scan_iter("*upload*"))


def test_an_upload_that_is_being_completed_is_not_swept(impatient: Services) -> None:
    upload = begun_upload(impatient)
    part = put_part(impatient, upload)
    assert impatient.uploads.begin("default", upload.id)
    impatient.database.hset(keys.upload("default", upload.id), "lease_until", 9 * 10**12)
    impatient.database.hset(keys.upload("default", upload.id), "expires_at", 1)
    impatient.database.zadd(keys.UPLOADS, {keys.member("default", upload.id): 1})
    assert sweeper.sweep(impatient) == ([], [])
    assert left(impatient) == {part}


def test_parts_that_come_after_their_upload_has_ended_are_swept(impatient: Services) -> None:
    """Their presigned URLs live on."""
    gone, done = begun_upload(impatient), begun_upload(impatient)
    late = [put_part(impatient, gone), put_part(impatient, done)]
    impatient.uploads.delete("default", gone.id)
    held = impatient.uploads.begin("default", done.id)
    columns = [Column(name="a", type="integer", nulls=0)]
    impatient.datasets.create(
        "default", "ds_1", name="t", format="csv", columns=columns, files=[], completion=held
    )
    assert sorted(sweeper.sweep(impatient)[1]) == sorted(late)
