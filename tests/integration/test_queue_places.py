"""The place in line that is told is the order in which jobs are claimed; the start is what the load makes of it."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator

import pytest

from shared import keys
from shared.contracts.base import from_ms
from shared.contracts.jobs import QueuePlace
from shared.errors import NotFound
from shared.job_records import NewJob
from shared.queue import PRIORITIES
from shared.queue_places import Load, QueuePlaces
from shared.services import Services
from shared.states import JobState
from shared.workers import ALIVE_MS, WorkerStatus


def submitted(
    services: Services, project: str = "default", priority: str = "normal", type: str = "train"
) -> str:
    return services.jobs.submit(NewJob(project=project, type=type, spec={}, priority=priority))[0].id


def place(services: Services, job_id: str, project: str = "default") -> QueuePlace | None:
    ahead = services.jobs.standing(project, job_id).ahead
    return services.places.place(ahead) if ahead else None


def ahead(services: Services, job_id: str, project: str = "default") -> int:
    found = place(services, job_id, project)
    assert found is not None
    assert found.position == found.ahead + 1
    return found.ahead


def claims(services: Services) -> Iterator[str]:
    """Jobs in the order in which workers take them: from the first queue that has one."""
    while claimed := next((found for name in PRIORITIES if (found := services.jobs.claim(name, "w"))), None):
        yield claimed[0].job_id


@pytest.mark.parametrize("seed", range(12))
def test_jobs_start_in_the_order_that_was_told(services: Services, seed: int) -> None:
    chosen = random.Random(seed)
    projects: dict[str, str] = {}
    for _ in range(60):
        project = chosen.choice("aaaabbcdefg")
        try:
            job_id = submitted(services, project, chosen.choice(PRIORITIES))
        except Exception:  # over the project's quota of 20
            continue
        projects[job_id] = project
        if chosen.random() < 0.15:
            services.jobs.claim(chosen.choice(PRIORITIES), "w")
        if chosen.random() < 0.1:
            victim = chosen.choice(sorted(projects))
            if services.jobs.get(projects[victim], victim).status is JobState.QUEUED:
                services.jobs.cancel(projects[victim], victim)
    told = {
        job_id: ahead(services, job_id, project)
        for job_id, project in projects.items()
        if services.jobs.get(project, job_id).status is JobState.QUEUED
    }
    assert len(told) > 20
    assert sorted(told.values()) == list(range(len(told)))
    assert list(claims(services)) == sorted(told, key=lambda job_id: told[job_id])


def test_the_place_moves_up_with_every_claim_and_is_gone_with_the_jobs_own(services: Services) -> None:
    submitted(services), submitted(services)
    job_id = submitted(services)
    for expected in (2, 1, 0):
        assert ahead(services, job_id) == expected
        services.jobs.claim("normal", "w")
    assert place(services, job_id) is None


def test_a_job_that_waits_for_its_retry_is_in_no_line(services: Services) -> None:
    job_id = submitted(services)
    claimed = services.jobs.claim("normal", "w")
    assert claimed
    services.jobs.release(claimed[0], "normal", reason="again", delay_seconds=60)
    assert services.jobs.get("default", job_id).status is JobState.QUEUED
    assert place(services, job_id) is None


def test_an_ended_job_is_in_no_line_and_an_unknown_and_another_projects_do_not_exist(
    services: Services,
) -> None:
    job_id = submitted(services)
    services.jobs.cancel("default", job_id)
    assert place(services, job_id) is None
    for project, unknown in (("other", job_id), ("default", "job_unknown")):
        with pytest.raises(NotFound):
            place(services, unknown, project)


def test_nobody_says_a_place_among_more_projects_than_are_counted(services: Services) -> None:
    job_id = submitted(services)
    services.database.zadd(keys.ready("high"), {f"p{n}": n for n in range(1_000)})
    assert place(services, job_id) is not None
    services.database.zadd(keys.ready("high"), {"one-too-many": 1})
    assert place(services, job_id) is None


# When it may start


def load(**changes: object) -> Load:
    return Load(
        **{
            "now_ms": 0,
            "places": 1,
            "durations": {"train": 1_000.0},
            "running": [],
            "waiting": [["train"]],
            **changes,
        }
    )  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("given", "before", "start"),
    [
        (load(), [0], 0),
        (load(), [3], 3_000),
        (load(places=2), [3], 1_000),
        (load(places=2), [4], 2_000),
        (load(places=0), [0], None),
        (load(durations={}), [0], 0),
        (load(durations={}), [1], None),
        (load(running=[("train", 400)]), [0], 600),
        (load(running=[("train", 400)]), [2], 2_600),
        (load(running=[("train", 5_000)]), [0], 100),
        (load(running=[("train", 0)], durations={}), [0], None),
        (load(places=2, running=[("train", 0)]), [0], 0),
        (load(durations={"train": 1_000.0, "rank": 9_000.0}, waiting=[["rank"]]), [1], 9_000),
        (load(durations={"train": 1_000.0, "rank": 9_000.0}, waiting=[["unheard-of"]]), [1], 5_000),
        (
            load(durations={"train": 1_000.0, "rank": 9_000.0}, waiting=[["rank"], ["train", "rank"]]),
            [1, 2],
            19_000,
        ),
        (load(), [10_000], 10_000_000),
        (load(places=4), [10_000], 2_500_000),
        (load(now_ms=7), [1], 1_007),
    ],
)
def test_a_job_starts_when_those_ahead_of_it_have_had_their_places(
    given: Load, before: list[int], start: float | None
) -> None:
    assert given.start_ms(before) == (None if start is None else pytest.approx(start))


def test_the_load_is_what_lives_waits_and_lately_took_so_long(services: Services) -> None:
    services.workers.seen(WorkerStatus("alive", concurrency=3, running=1))
    services.workers.seen(WorkerStatus("also", concurrency=2, running=1))
    stale = {"name": "silent", "concurrency": 50, "running": 0, "stalled": False}
    seconds, _ = services.database.time()
    services.database.hset(
        keys.WORKERS, "silent", json.dumps({**stale, "seen_ms": seconds * 1000 - ALIVE_MS - 1_000})
    )
    submitted(services, type="evaluate")
    services.jobs.claim("normal", "w")
    submitted(services, type="train"), submitted(services, "other", "low", type="rank_sources")
    found = QueuePlaces(services.database).load()
    assert found.places == 5
    assert [kind for kind, _ in found.running] == ["evaluate"]
    assert [list(types) for types in found.waiting] == [[], ["train"], ["rank_sources"]]
    assert found.durations == {}


def test_the_load_is_read_once_a_second(services: Services) -> None:
    now = [0.0]
    places = QueuePlaces(services.database, clock=lambda: now[0])
    assert places.load().places == 0
    services.workers.seen(WorkerStatus("new", concurrency=3, running=0))
    now[0] = 0.9
    assert places.load().places == 0
    now[0] = 1.0
    assert places.load().places == 3


def test_a_line_that_has_formed_since_is_looked_at_before_its_jobs_are_told_a_start(
    services: Services,
) -> None:
    places = QueuePlaces(services.database, clock=lambda: 0.0)
    services.workers.seen(WorkerStatus("new", concurrency=1, running=0))
    services.database.hset(keys.DURATIONS, mapping={"train": 1_000, "tune": 99_000})
    assert places.load().waiting == [[], [], []]
    submitted(services, type="train")
    submitted(services, type="train")
    start = places.place([0, 1, 0]).estimated_start_at
    assert start == from_ms(places.load().now_ms + 1_000), (
        "as long as training takes, not as what takes the longest"
    )


def test_how_long_jobs_took_is_remembered_by_type_and_the_newest_count_most(services: Services) -> None:
    def run(type: str, took_ms: int) -> None:
        job_id = submitted(services, type=type)
        claimed = services.jobs.claim("normal", "w")
        assert claimed
        job = keys.job("default", job_id)
        began = int(services.database.hget(job, "attempt_started_at"))
        services.database.hset(job, "attempt_started_at", began - took_ms)
        services.jobs.finish(claimed[0], JobState.FAILED)

    run("train", 10_000)
    run("evaluate", 100_000)
    known = QueuePlaces(services.database).load().durations
    assert known["train"] == pytest.approx(10_000, abs=1_000)
    assert known["evaluate"] == pytest.approx(100_000, abs=1_000)
    run("train", 20_000)
    assert QueuePlaces(services.database).load().durations["train"] == pytest.approx(12_000, abs=1_000)


def test_a_batch_that_was_split_teaches_nothing_about_durations(services: Services) -> None:
    job_id = submitted(services, type="batch_predict")
    claimed = services.jobs.claim("normal", "w")
    assert claimed
    services.database.hset(keys.job("default", job_id), "split_at", 1)
    services.jobs.finish(claimed[0], JobState.SUCCEEDED)
    assert QueuePlaces(services.database).load().durations == {}
