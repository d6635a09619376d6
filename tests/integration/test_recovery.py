"""Finished work is found again by the next attempt, and only if it is whole and our own."""

from __future__ import annotations

import dataclasses

import pytest

from shared import keys
from shared.job_records import Lease, NewVersion
from shared.services import Services
from worker import recovery
from worker.recovery import Finished

LEASE = Lease("default", "job_1", "token-1")
NEXT = Lease("default", "job_1", "token-2")
ARTIFACT = keys.attempt_prefix("default", "job_1", "token-1") + "model.joblib"
PREFIX = keys.attempt_prefix("default", "job_1", "token-1") + "output/"


@pytest.fixture
def empty(services: Services) -> Services:
    """On a store without objects."""
    for item in list(services.objects.list("")):
        services.objects.delete(item.key)
    return services


def trained(services: Services) -> Finished:
    services.objects.put_bytes(ARTIFACT, b"model")
    version = NewVersion(
        "churn", None, {"a": "b"}, {"artifact_key": ARTIFACT, "bytes": 5, "metrics": {"f1": 1.0}}
    )
    return Finished({"metrics": {"f1": 1.0}}, version, None, {"wall_seconds": 1.5}, ("careful",))


def scored(services: Services) -> Finished:
    services.objects.put_bytes(PREFIX + "part-00000.csv", b"1234")
    services.objects.put_bytes(PREFIX + "_errors.jsonl", b"12")
    files = [{"name": "part-00000.csv", "bytes": 4}]
    output = {
        "uri": f"s3://{services.objects.bucket}/{PREFIX}",
        "files": files,
        "errors": {"name": "_errors.jsonl", "bytes": 2},
    }
    return Finished({"output": output}, counts={"total": 3, "succeeded": 2, "failed": 1})


@pytest.mark.parametrize("made", [trained, scored])
def test_the_next_attempt_finds_what_was_finished(empty: Services, made) -> None:
    assert recovery.find(empty, NEXT) is None
    finished = made(empty)
    assert recovery.find(empty, NEXT) is None
    recovery.keep(empty, LEASE, finished)
    assert recovery.find(empty, NEXT) == finished
    assert recovery.find(empty, Lease("default", "job_10", "token")) is None
    assert recovery.find(empty, Lease("other", "job_1", "token")) is None


@pytest.mark.parametrize(
    ("made", "key"),
    [(trained, ARTIFACT), (scored, PREFIX + "part-00000.csv"), (scored, PREFIX + "_errors.jsonl")],
)
def test_work_that_is_not_whole_is_not_found(empty: Services, made, key: str) -> None:
    recovery.keep(empty, LEASE, made(empty))
    empty.objects.put_bytes(key, b"1")
    assert recovery.find(empty, NEXT) is None
    empty.objects.delete(key)
    assert recovery.find(empty, NEXT) is None


def test_work_that_somebody_else_wrote_is_not_found(empty: Services) -> None:
    finished = trained(empty)
    recovery.keep(empty, LEASE, finished)
    key = keys.attempt_prefix("default", "job_1", "token-1") + "finished.json"
    sealed = empty.objects.get_bytes(key)
    for forged in (sealed.replace(b"1.5", b"2.5"), b"junk", b"", sealed.partition(b"\n")[2], b"\xff\xfe\n{}"):
        empty.objects.put_bytes(key, forged)
        assert recovery.find(empty, NEXT) is None
    another = keys.attempt_prefix("default", "job_2", "token-1") + "finished.json"
    empty.objects.put_bytes(another, sealed)
    assert recovery.find(empty, dataclasses.replace(NEXT, job_id="job_2")) is None
