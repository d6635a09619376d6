"""No project, no large batch and no priority keeps others waiting for longer than docs/limits.md says."""

from __future__ import annotations

from collections import Counter
from itertools import groupby
from typing import Any

import pytest

from shared import keys
from shared import services as composition
from shared.config import Settings
from shared.job_records import Lease, NewJob
from shared.jobs import JobStore
from shared.queue import PRIORITIES, priority_of, queue_name
from shared.services import Services
from shared.shards import NewShard
from shared.states import JobState
from worker.turns import WEIGHTS, Turns

BACKLOG = 10_000


@pytest.fixture
def services(settings: Settings) -> Services:
    built = composition.build(
        settings.model_copy(update={"max_live_jobs": 2 * BACKLOG, "lease_seconds": 600})
    )
    built.database.flushall()
    return built


@pytest.fixture
def jobs(services: Services) -> JobStore:
    return services.jobs


def submit(jobs: JobStore, project: str, **changes: Any) -> str:
    return jobs.submit(NewJob(**{"project": project, "type": "train", "spec": {}, **changes}))[0].id


def claim(jobs: JobStore, priority: str = "normal") -> Lease:
    claimed = jobs.claim(priority, "worker")
    assert claimed is not None
    return claimed[0]


@pytest.mark.timeout(300)  # a second or two, but for a machine with other work
def test_ten_thousand_queued_jobs_hold_up_the_job_of_another_project_by_none(jobs: JobStore) -> None:
    for _ in range(BACKLOG):
        submit(jobs, "busy")
    running = [claim(jobs) for _ in range(4)]
    assert {lease.project for lease in running} == {"busy"}
    single = submit(jobs, "small")
    jobs.finish(running[0], JobState.SUCCEEDED)
    assert claim(jobs).job_id == single, "the very next thread that is free begins it"
    assert claim(jobs).project == "busy"


def test_who_comes_back_is_next_again_if_its_last_turn_is_the_longest_ago(jobs: JobStore) -> None:
    submit(jobs, "small")
    claim(jobs)
    for _ in range(10):
        submit(jobs, "busy")
    claim(jobs)
    submit(jobs, "small")
    assert claim(jobs).project == "small"


def test_who_submits_one_job_after_another_does_not_keep_a_long_line_waiting(jobs: JobStore) -> None:
    for _ in range(10):
        submit(jobs, "busy")
    turns = []
    for _ in range(10):
        submit(jobs, "eager")
        turns += [claim(jobs).project, claim(jobs).project]
    assert turns == ["busy", "eager"] * 10


def test_fifty_projects_with_twenty_jobs_each_go_round(jobs: JobStore) -> None:
    projects = [f"project-{number:02}" for number in range(50)]
    for project in projects:  # one after the other, so that first come, first served would be most unfair
        for _ in range(20):
            submit(jobs, project)
    for _ in range(20):
        assert [claim(jobs).project for _ in projects] == projects
    assert jobs.claim("normal", "worker") is None


def test_a_batch_of_a_thousand_shards_takes_turns_with_single_jobs(services: Services) -> None:
    jobs = services.jobs
    submit(jobs, "batches", type="batch_predict", max_attempts=1)
    services.shards.split(
        claim(jobs), "normal", [NewShard([]) for _ in range(1000)], table={"rows": 1000}, failed_allowed=0
    )
    first = claim(jobs)
    assert keys.split_shard(first.job_id)
    own, foreign = submit(jobs, "batches"), submit(jobs, "others")
    assert claim(jobs).job_id == foreign
    nexts = [claim(jobs).job_id for _ in range(2)]
    assert own in nexts, "one shard waits at a time, so at most one is before it"
    assert [claim(jobs).job_id for _ in range(998)][-1].endswith(".00999"), "and all of them have begun"


@pytest.mark.parametrize("waiting", [("high", "normal", "low"), ("high", "low"), ("normal", "low")])
def test_queues_share_by_their_weights_while_all_have_jobs(
    services: Services, waiting: tuple[str, ...]
) -> None:
    rounds, a_round = 10, sum(WEIGHTS[priority] for priority in waiting)
    for priority in waiting:
        for _ in range(rounds * WEIGHTS[priority]):
            submit(services.jobs, "default", priority=priority)
    begun = _begun(services, rounds * a_round)
    for start in range(0, len(begun), a_round):
        assert Counter(begun[start : start + a_round]) == {name: WEIGHTS[name] for name in waiting}
    assert begun[0] == waiting[0]


def test_a_queue_that_is_alone_gets_everything_and_saves_nothing_up_for_later(services: Services) -> None:
    turns = Turns()
    for _ in range(40):
        submit(services.jobs, "default", priority="low")
    assert _begun(services, 20, turns) == ["low"] * 20
    for _ in range(40):
        submit(services.jobs, "default", priority="high")
    begun = _begun(services, 35, turns)
    assert begun[0] == "high", "the one that has waited for nothing yet is first"
    assert [len(list(run)) for name, run in groupby(begun) if name == "low"] == [1] * begun.count("low")
    assert begun.count("low") == 2


def test_a_worker_that_serves_some_queues_looks_into_these_alone() -> None:
    turns = Turns()
    turns.update([queue_name("low"), queue_name("high")])
    assert turns.consume(2) == [queue_name("high"), queue_name("low")]
    turns.rotate(queue_name("normal"))
    assert turns.consume(2) == [queue_name("high"), queue_name("low")]


def _begun(services: Services, count: int, turns: Turns | None = None) -> list[str]:
    """The priorities of so many jobs, as one worker begins them: a wake-up by BRPOP, then the claim."""
    if turns is None:
        turns = Turns()
    turns.update([queue_name(priority) for priority in reversed(PRIORITIES)])
    begun = []
    for _ in range(count):
        served, _ = services.database.brpop(turns.consume(3), timeout=1)
        turns.rotate(served)
        claim(services.jobs, priority_of(served))
        begun.append(priority_of(served))
    return begun
