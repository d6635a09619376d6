"""Every script of the job store on a real Redis: success, refusal, and the races that it decides."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from shared import keys
from shared.errors import Conflict, InvalidInput, LostLease, NotFound, TooMany
from shared.job_records import Lease, NewJob, NewVersion, NumberTaken, Uses
from shared.jobs import JobStore
from shared.queue import PRIORITIES, queue_name
from shared.services import Services
from shared.states import JobState
from tests.support.waiting import eventually


@pytest.fixture
def jobs(services: Services) -> JobStore:
    return services.jobs


def new(project: str = "default", **changes: Any) -> NewJob:
    return NewJob(**{"project": project, "type": "train", "spec": {"seed": 1}, "model": "churn", **changes})


def submit(jobs: JobStore, project: str = "default", **changes: Any) -> str:
    return jobs.submit(new(project, **changes))[0].id


def claim(jobs: JobStore, priority: str = "normal") -> Lease:
    claimed = jobs.claim(priority, "worker-1")
    assert claimed is not None
    return claimed[0]


def everything(services: Services) -> dict[str, bytes]:
    """Every key of Redis with its content, byte for byte."""
    return {key: services.database.dump(key) for key in services.database.scan_iter()}


def indexes_of(services: Services, project: str, job_id: str) -> set[str]:
    """The state indexes that hold a job."""
    return {
        state
        for state in JobState
        if services.database.zscore(keys.jobs_by(project, "status", state), job_id) is not None
    }


def test_a_submitted_job_is_queued_listed_and_has_one_wake_up(services: Services) -> None:
    job_id = submit(services.jobs)
    job = services.jobs.get("default", job_id)
    assert (job.status, job.attempt, job.spec) == ("queued", 0, {"seed": 1})
    assert indexes_of(services, "default", job_id) == {"queued"}
    assert services.database.llen(queue_name("normal")) == 1
    assert [event.event for event in services.jobs.events("default", job_id, after=None, limit=9)[0]] == [
        "submitted"
    ]


def test_an_idempotency_key_returns_the_first_job_and_refuses_another_body(jobs: JobStore) -> None:
    first, replayed = jobs.submit(new(), idempotency=("key", "body"))
    assert not replayed
    assert jobs.submit(new(), idempotency=("key", "body")) == (first, True)
    with pytest.raises(InvalidInput, match="another body"):
        jobs.submit(new(), idempotency=("key", "other"))
    elsewhere, _ = jobs.submit(new("elsewhere"), idempotency=("key", "other"))
    assert elsewhere.id != first.id, "the key belongs to a project"


def test_one_job_results_when_many_submit_with_the_same_key_at_once(services: Services) -> None:
    found: list[str] = []
    threads = [
        threading.Thread(
            target=lambda: found.append(services.jobs.submit(new(), idempotency=("k", "b"))[0].id)
        )
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert len(set(found)) == 1
    assert services.database.llen(queue_name("normal")) == 1


def test_a_project_has_no_more_live_jobs_than_its_quota(jobs: JobStore) -> None:
    for _ in range(20):
        submit(jobs)
    with pytest.raises(TooMany):
        submit(jobs)
    submit(jobs, "another")
    jobs.finish(claim(jobs), JobState.FAILED)
    submit(jobs)


def test_a_job_is_refused_when_something_it_uses_is_gone(services: Services) -> None:
    use = Uses("graft:p:default:dataset:x", "graft:p:default:dataset:x:users", "/dataset")
    with pytest.raises(InvalidInput) as refused:
        submit(services.jobs, uses=[use])
    assert refused.value.errors[0].pointer == "/dataset"
    assert everything(services) == {}


def test_what_a_job_uses_is_held_until_it_ends(services: Services) -> None:
    services.database.hset("graft:p:default:dataset:x", "id", "x")
    use = Uses("graft:p:default:dataset:x", "graft:p:default:dataset:x:users", "/dataset")
    first, second = submit(services.jobs, uses=[use]), submit(services.jobs, uses=[use])
    services.jobs.cancel("default", second)
    assert services.database.smembers(use.users) == {first}
    services.jobs.finish(claim(services.jobs), JobState.SUCCEEDED)
    assert services.database.smembers(use.users) == set()


def test_a_claim_starts_the_oldest_job_and_a_second_finds_nothing(services: Services) -> None:
    first, second = submit(services.jobs), submit(services.jobs)
    assert [claim(services.jobs).job_id, claim(services.jobs).job_id] == [first, second]
    assert services.jobs.claim("normal", "worker-2") is None
    job = services.jobs.get("default", first)
    assert (job.status, job.attempt, job.worker) == ("running", 1, "worker-1")
    assert indexes_of(services, "default", first) == {"running"}


def test_projects_take_turns_so_that_a_long_queue_does_not_hold_up_a_single_job(jobs: JobStore) -> None:
    for _ in range(10):
        submit(jobs, "busy")
    assert claim(jobs).project == "busy"
    submit(jobs, "small")
    assert "small" in [claim(jobs).project, claim(jobs).project]


def test_each_queue_is_claimed_from_on_its_own(jobs: JobStore) -> None:
    submit(jobs, priority="low")
    assert jobs.claim("high", "w") is None
    assert claim(jobs, "low")


def test_one_of_many_racing_claims_gets_the_job(services: Services) -> None:
    submit(services.jobs)
    won: list[Any] = []
    threads = [
        threading.Thread(target=lambda: won.append(services.jobs.claim("normal", "w"))) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len([claimed for claimed in won if claimed]) == 1


def test_a_claim_that_is_sent_twice_takes_one_job(services: Services) -> None:
    jobs = JobStore(
        services.database,
        lease_seconds=5,
        max_live_jobs=9,
        max_interruptions=20,
        idempotency_seconds=9,
        new_token=lambda: "the same",
    )
    submit(jobs)
    submit(jobs)
    assert claim(jobs) == claim(jobs)
    assert len(jobs.page("default", {"status": "running"}, limit=9)[0]) == 1


def test_a_claim_leaves_a_wake_up_when_jobs_remain_and_none_lies_in_the_queue(services: Services) -> None:
    submit(services.jobs)
    submit(services.jobs)
    services.database.delete(queue_name("normal"))
    claim(services.jobs)
    assert services.database.llen(queue_name("normal")) == 1
    services.database.delete(queue_name("normal"))
    claim(services.jobs)
    assert services.database.llen(queue_name("normal")) == 0


def test_a_renewal_notes_progress_and_tells_of_a_cancel(jobs: JobStore) -> None:
    job_id = submit(jobs)
    lease = claim(jobs)
    progress = {"phase": "fitting", "completed": 1, "total": 4, "unit": "epochs"}
    assert jobs.renew(lease, progress=progress) is False
    told = jobs.get("default", job_id).progress
    assert told is not None
    assert (told.phase, told.completed) == ("fitting", 1)
    assert jobs.cancel("default", job_id) is True
    assert jobs.cancel("default", job_id) is False
    assert jobs.renew(lease) is True


def test_finishing_writes_the_version_the_result_and_the_state_together(services: Services) -> None:
    job_id = submit(services.jobs)
    lease = claim(services.jobs)
    version = NewVersion(
        "churn", "who leaves", {"team": "crm"}, {"name": "churn", "job": job_id, "sha256": "ab"}
    )
    number = services.jobs.finish(
        lease, JobState.SUCCEEDED, version=version, result={"metrics": {"accuracy": 1}}
    )
    assert number == 1
    job = services.jobs.get("default", job_id)
    assert job.result == {"model": {"name": "churn", "version": 1}, "metrics": {"accuracy": 1}}
    assert indexes_of(services, "default", job_id) == {"succeeded"}
    model = services.models.get("default", "churn")
    assert (model.latest_version, model.description, model.tags) == (1, "who leaves", {"team": "crm"})
    assert services.database.hget(keys.model_version("default", "churn", 1), "sha256") == "ab"
    assert services.database.zcard(keys.LEASES) == 0


def test_finishing_twice_with_the_same_token_has_one_effect(services: Services) -> None:
    submit(services.jobs)
    lease = claim(services.jobs)
    version = NewVersion("churn", None, None, {"name": "churn"})
    assert services.jobs.finish(lease, JobState.SUCCEEDED, version=version) == 1
    before = everything(services)
    assert services.jobs.finish(lease, JobState.SUCCEEDED, version=version) == 1
    assert everything(services) == before


def test_a_version_comes_into_being_under_the_number_it_was_signed_for_or_not_at_all(
    services: Services,
) -> None:
    submit(services.jobs)
    lease = claim(services.jobs)
    version = NewVersion("churn", None, None, {"name": "churn"}, number=2)
    before = everything(services)
    with pytest.raises(NumberTaken):
        services.jobs.finish(lease, JobState.SUCCEEDED, version=version)
    assert everything(services) == before
    right = replace(version, number=services.models.next_number("default", "churn"))
    assert services.jobs.finish(lease, JobState.SUCCEEDED, version=right) == 1
    assert services.models.next_number("default", "churn") == 2


def stale_lease(services: Services) -> tuple[Lease, Lease]:
    """An attempt that was taken over, and the one that has the job now."""
    submit(services.jobs)
    old = claim(services.jobs)
    eventually(services.jobs.expired)
    services.jobs.release(old, "normal", reason="worker_lost", expired_only=True)
    return old, claim(services.jobs)


@pytest.mark.parametrize("act", ["renew", "finish", "finish_with_version", "release"])
def test_a_stale_token_changes_no_key(services: Services, act: str) -> None:
    old, _ = stale_lease(services)
    jobs = services.jobs
    acts: dict[str, Callable[[], object]] = {
        "renew": lambda: jobs.renew(old, progress={"phase": "late"}),
        "finish": lambda: jobs.finish(old, JobState.FAILED, error={"code": "late"}),
        "finish_with_version": lambda: jobs.finish(
            old, JobState.SUCCEEDED, version=NewVersion("churn", None, None, {})
        ),
        "release": lambda: jobs.release(old, "normal", reason="late"),
    }
    before = everything(services)
    with pytest.raises(LostLease):
        acts[act]()
    assert everything(services) == before


def test_a_lease_that_still_runs_is_not_taken_over(services: Services) -> None:
    submit(services.jobs)
    lease = claim(services.jobs)
    with pytest.raises(LostLease):
        services.jobs.release(lease, "normal", reason="worker_lost", expired_only=True)
    with pytest.raises(LostLease):
        services.jobs.finish(lease, JobState.FAILED, expired_only=True)
    assert services.jobs.get("default", lease.job_id).status == "running"


def test_attempts_are_counted_and_an_interruption_by_a_drain_is_not(services: Services) -> None:
    job_id = submit(services.jobs)
    services.jobs.release(claim(services.jobs), "normal", reason="worker_lost")
    services.jobs.release(claim(services.jobs), "normal", reason="drain", charged=False)
    claim(services.jobs)
    job = services.jobs.get("default", job_id)
    assert job.attempt == 2
    assert services.jobs.record("default", job_id)["interruptions"] == "1"


def test_a_retry_waits_for_its_time_and_is_then_dispatched(services: Services) -> None:
    job_id = submit(services.jobs)
    services.jobs.release(claim(services.jobs), "normal", reason="storage_unavailable", delay_seconds=0.2)
    assert services.jobs.claim("normal", "w") is None
    assert services.jobs.dispatch(rewake_seconds=60) == (0, 0)
    eventually(lambda: services.jobs.dispatch(rewake_seconds=60)[0] == 1)
    assert claim(services.jobs).job_id == job_id


def test_a_lost_wake_up_is_made_up_and_only_when_it_is_missing(services: Services) -> None:
    submit(services.jobs)
    assert services.jobs.dispatch(rewake_seconds=0.0) == (0, 0)
    services.database.delete(queue_name("normal"))
    assert services.jobs.dispatch(rewake_seconds=60) == (0, 0), "it is not overdue yet"
    eventually(lambda: services.jobs.dispatch(rewake_seconds=0.0) == (0, 1))
    assert services.database.llen(queue_name("normal")) == 1


def test_a_queued_job_is_cancelled_at_once_and_never_claimed(services: Services) -> None:
    job_id = submit(services.jobs)
    assert services.jobs.cancel("default", job_id) is True
    assert services.jobs.get("default", job_id).status == "cancelled"
    assert services.jobs.claim("normal", "w") is None
    assert indexes_of(services, "default", job_id) == {"cancelled"}
    with pytest.raises(Conflict):
        services.jobs.cancel("default", job_id)


def test_a_job_that_waits_for_its_retry_can_be_cancelled(services: Services) -> None:
    job_id = submit(services.jobs)
    services.jobs.release(claim(services.jobs), "normal", reason="x", delay_seconds=60)
    services.jobs.cancel("default", job_id)
    assert services.database.zcard(keys.DELAYED) == 0


def test_a_job_that_was_asked_to_stop_does_not_go_back_to_the_queue(services: Services) -> None:
    job_id = submit(services.jobs)
    lease = claim(services.jobs)
    services.jobs.cancel("default", job_id)
    assert services.jobs.release(lease, "normal", reason="drain", charged=False) == "cancel"
    services.jobs.finish(lease, JobState.CANCELLED)
    assert services.jobs.get("default", job_id).status == "cancelled"


def test_another_projects_job_is_not_found(jobs: JobStore) -> None:
    job_id = submit(jobs)
    with pytest.raises(NotFound):
        jobs.get("another", job_id)
    with pytest.raises(NotFound):
        jobs.cancel("another", job_id)
    with pytest.raises(NotFound):
        jobs.events("another", job_id, after=None, limit=1)
    assert jobs.page("another", {}, limit=10) == ([], False)


def test_a_list_pages_newest_first_and_narrows_by_any_filter(jobs: JobStore) -> None:
    trained = [submit(jobs) for _ in range(5)]
    scored = submit(jobs, type="batch_predict", model="fraud")
    first, more = jobs.page("default", {}, limit=4)
    assert [job.id for job in first] == [scored, *trained[:1:-1]]
    assert more
    rest, more = jobs.page("default", {}, limit=4, after=first[-1].id)
    assert [job.id for job in rest] == trained[1::-1]
    assert not more
    both, _ = jobs.page("default", {"type": "batch_predict", "model": "fraud", "status": "queued"}, limit=9)
    assert [job.id for job in both] == [scored]
    assert jobs.page("default", {"type": "train", "model": "fraud"}, limit=9) == ([], False)


@pytest.mark.parametrize("priority", PRIORITIES)
def test_every_change_of_a_job_changes_its_revision(jobs: JobStore, priority: str) -> None:
    job_id = submit(jobs, priority=priority)
    seen = [jobs.glance("default", job_id)]
    lease = claim(jobs, priority)
    seen.append(jobs.glance("default", job_id))
    jobs.renew(lease, progress={"phase": "a", "completed": 1, "total": 2, "unit": "x"})
    seen.append(jobs.glance("default", job_id))
    jobs.finish(lease, JobState.SUCCEEDED)
    seen.append(jobs.glance("default", job_id))
    assert len({revision for _, revision in seen}) == 4
