"""What a project keeps in the store is counted as the records say, after any history, and never over its limit."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck
from hypothesis import settings as run_settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from shared import datasets, keys
from shared import services as composition
from shared.config import Settings
from shared.contracts.datasets import DatasetFile
from shared.errors import TooLarge, TooMany
from shared.job_records import NewJob, NewVersion
from shared.services import Services
from shared.states import JobState

PROJECT, MOST = "keeper", 100
FAR = 10**15


@pytest.fixture
def services(settings: Settings) -> Services:
    update = {"max_project_bytes": MOST, "lease_seconds": 3600, "max_live_jobs": 1000}
    built = composition.build(settings.model_copy(update=update))
    built.database.flushall()
    return built


def upload(services: Services, size: int, dataset_id: str | None = None, uri: str | None = None) -> str:
    chosen = dataset_id or datasets.new_id()
    file = DatasetFile(bucket="b", key=f"k/{chosen}", rows=1, bytes=size, sha256="0" * 64)
    services.datasets.create(PROJECT, chosen, name="n", format="csv", columns=[], files=[file], uri=uri)
    return chosen


def kept(services: Services) -> int:
    found = services.stored.of(PROJECT)
    return found.datasets + found.artifacts + found.outputs


class History(RuleBasedStateMachine):
    """Uploads, jobs that make versions and outputs, deletions and sweeps; each call perhaps sent twice."""

    def __init__(self, services: Services) -> None:
        super().__init__()
        self.services = services
        services.database.flushdb()
        self.datasets: list[str] = []
        self.ended: list[str] = []

    @rule(size=st.integers(0, 60), elsewhere=st.booleans(), twice=st.booleans())
    def upload(self, size: int, elsewhere: bool, twice: bool) -> None:
        before, chosen = kept(self.services), datasets.new_id()
        uri = "s3://lake/x" if elsewhere else None
        try:
            for _ in range(1 + twice):
                upload(self.services, size, chosen, uri)
        except TooLarge:
            assert not elsewhere
            assert before + size > MOST
            assert kept(self.services) == before
            return
        assert elsewhere or before + size <= MOST
        self.datasets.append(chosen)

    @precondition(lambda self: self.datasets)
    @rule(index=st.integers(0, 99))
    def delete(self, index: int) -> None:
        self.services.datasets.delete(PROJECT, self.datasets.pop(index % len(self.datasets)))

    @rule(
        size=st.integers(0, 40),
        what=st.sampled_from(("version", "output", "failure")),
        twice=st.booleans(),
    )
    def run_a_job(self, size: int, what: str, twice: bool) -> None:
        jobs = self.services.jobs
        kind = "train" if what == "version" else "batch_predict"
        try:
            job_id = jobs.submit(NewJob(project=PROJECT, type=kind, spec={}, model="m"))[0].id
        except TooMany:
            assert kept(self.services) >= MOST
            return
        claimed = jobs.claim("normal", "w")
        assert claimed is not None
        version = NewVersion("m", None, None, {"name": "m", "job": job_id, "bytes": size})
        for _ in range(1 + twice):
            if what == "version":
                jobs.finish(claimed[0], JobState.SUCCEEDED, version=version)
            elif what == "output":
                jobs.finish(claimed[0], JobState.SUCCEEDED, stored_bytes=size)
            else:
                jobs.finish(claimed[0], JobState.FAILED)
        self.ended.append(job_id)

    @precondition(lambda self: self.ended)
    @rule(index=st.integers(0, 99), twice=st.booleans())
    def forget(self, index: int, twice: bool) -> None:
        job_id = self.ended[index % len(self.ended)]
        record = self.services.jobs.record(PROJECT, job_id)
        for _ in range(1 + twice):
            self.services.jobs.forget(record, ended_before_ms=FAR)
        if not self.services.database.exists(keys.job(PROJECT, job_id)):
            self.ended.remove(job_id)

    @precondition(lambda self: self._versions())
    @rule(index=st.integers(0, 99), whole_model=st.booleans())
    def delete_what_was_trained(self, index: int, whole_model: bool) -> None:
        versions = self._versions()
        if whole_model or len(versions) == 1:  # the only one is deleted with its model
            self.services.deletions.model(PROJECT, "m", by=None)
        else:
            self.services.deletions.version(PROJECT, "m", int(versions[index % len(versions)]), by=None)

    def _versions(self) -> list[str]:
        found: list[str] = self.services.database.zrange(keys.model_versions(PROJECT, "m"), 0, -1)
        return found

    @invariant()
    def the_count_is_what_the_records_say(self) -> None:
        assert self.services.stored.of(PROJECT) == self.services.stored.counted(PROJECT)
        assert self.services.stored.mend(PROJECT) == {}


@pytest.mark.timeout(900)
def test_the_count_never_drifts(services: Services) -> None:
    profile = run_settings(
        max_examples=60,
        stateful_step_count=25,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(lambda: History(services), settings=profile)


def test_uploads_at_the_same_time_do_not_exceed_the_limit_together(services: Services) -> None:
    made: list[str] = []
    refused: list[TooLarge] = []

    def one() -> None:
        try:
            made.append(upload(services, 30))
        except TooLarge as error:
            refused.append(error)

    threads = [threading.Thread(target=one) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(made), len(refused), kept(services)) == (3, 9, 90)
    assert {error.code for error in refused} == {"quota_exceeded"}


def test_a_limit_is_reached_to_the_byte_and_room_comes_back(services: Services) -> None:
    first = upload(services, MOST)
    for call in _makers(services):
        with pytest.raises((TooLarge, TooMany)):
            call()
    services.jobs.submit(NewJob(project=PROJECT, type="evaluate", spec={}))  # keeps nothing
    services.stored.expect_room("another", MOST, limit=MOST)
    services.datasets.delete(PROJECT, first)
    services.stored.expect_room(PROJECT, MOST, limit=MOST)
    upload(services, MOST - 1)
    services.jobs.submit(NewJob(project=PROJECT, type="train", spec={}))
    upload(services, 1)


def _makers(services: Services) -> list[Callable[[], object]]:
    return [
        lambda: services.stored.expect_room(PROJECT, 1, limit=MOST),
        lambda: upload(services, 1),
        lambda: services.jobs.submit(NewJob(project=PROJECT, type="train", spec={})),
    ]


def test_a_count_that_is_wrong_is_corrected(services: Services) -> None:
    upload(services, 10)
    services.database.hset(keys.stored(PROJECT), mapping={"datasets": 3, "outputs": 5})
    assert services.stored.mend(PROJECT) == {"datasets": -7, "artifacts": 0, "outputs": 5}
    assert kept(services) == 10
    assert services.stored.mend(PROJECT) == {}
