"""Schedules on a real Redis: what fires, what waits, what is skipped, and that nothing happens twice."""

from __future__ import annotations

import dataclasses
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest

from shared import keys, scheduled_jobs
from shared.errors import Conflict, InUse, InvalidInput, NotFound, Temporary, TooMany
from shared.schedule_records import Decision
from shared.services import Services
from tests.support.schedules import (
    DATASET,
    DAY,
    HOUR,
    MINUTE,
    Clock,
    a_dataset,
    a_model,
    at,
    clocked,
    end_jobs,
    jobs_of,
    made,
    occurrences,
    score,
    told,
    train_daily,
)
from worker.upkeep import backlog, scheduler


@pytest.fixture
def clock() -> Clock:
    return Clock("2026-03-01T12:00")


@pytest.fixture
def world(services: Services, clock: Clock) -> Services:
    """Schedules by a clock that the test moves, and a dataset."""
    a_dataset(services)
    return clocked(services, clock)


def next_run(services: Services, standing: Any) -> int | None:
    return services.schedules.get("default", standing.id).next_ms


# Firing


def test_an_occurrence_gets_its_job_when_its_time_has_come(world: Services, clock: Clock) -> None:
    schedule = made(world, train_daily())
    assert schedule.next_ms == at("2026-03-02T01:00")
    clock.ms = at("2026-03-02T01:00") - 1
    scheduler.work_off(world)
    assert occurrences(world, schedule) == []
    clock.set("2026-03-02T01:00")
    scheduler.work_off(world)
    (job,) = jobs_of(world, schedule)
    (occurrence,) = occurrences(world, schedule)
    assert (occurrence.status, occurrence.job, occurrence.manual) == ("submitted", job.id, False)
    assert (job.schedule, job.metadata, job.status) == (schedule.id, {"day": "2026-03-02"}, "queued")
    assert next_run(world, schedule) == at("2026-03-03T01:00")


@pytest.mark.parametrize("workers", [8])
def test_of_many_workers_that_race_one_makes_the_job(world: Services, clock: Clock, workers: int) -> None:
    schedules = [made(world, train_daily(name=f"s{n}", overlap="allow")) for n in range(4)]
    gate = Barrier(workers)

    def race(_: int) -> None:
        gate.wait()
        scheduler.work_off(world)

    for day in range(2, 7):
        clock.set(f"2026-03-0{day}T01:00")
        with ThreadPoolExecutor(workers) as pool:
            list(pool.map(race, range(workers)))
    for schedule in schedules:
        assert told(world, schedule) == [f"0{day} 01:00 submitted" for day in range(2, 7)]
        assert len(jobs_of(world, schedule)) == 5
        assert {item.job for item in occurrences(world, schedule)} == {
            job.id for job in jobs_of(world, schedule)
        }


def test_who_decides_by_what_has_changed_meanwhile_changes_nothing(world: Services, clock: Clock) -> None:
    schedule = made(world, train_daily())
    nominal = schedule.next_ms or 0
    skip = Decision(nominal_ms=nominal, status="skipped", at_ms=nominal, code="test")
    world.schedules.update("default", schedule.id, lambda seen: seen.body)
    assert not world.schedules.decide(schedule, skip), "its revision is another"
    now = world.schedules.get("default", schedule.id)
    assert world.schedules.decide(now, skip)
    assert not world.schedules.decide(now, skip), "it has been decided"
    world.schedules.delete("default", schedule.id)
    assert not world.schedules.decide(now, dataclasses.replace(skip, nominal_ms=nominal + DAY)), "it is gone"
    assert not list(world.database.scan_iter(f"*{schedule.id}*"))


def test_the_call_that_accepts_an_occurrence_may_be_sent_twice(world: Services) -> None:
    schedule = made(world, train_daily())
    nominal = schedule.next_ms or 0
    new = scheduled_jobs.job_at(world, schedule, nominal, request_id=None)
    call = world.schedules.call(schedule, Decision(nominal_ms=nominal, status="submitted", at_ms=nominal))
    world.jobs.submit(new, occurrence=call)
    with pytest.raises(Conflict, match="decided"):
        world.jobs.submit(new, occurrence=call)  # a new id: another worker's call
    assert len(jobs_of(world, schedule)) == 1


def test_a_week_with_a_change_of_the_clock_has_one_job_a_day(world: Services, clock: Clock) -> None:
    clock.set("2026-03-27T12:00")  # the clock goes forward on the 29th at 01:00 UTC, over half past two
    schedule = made(world, train_daily(cron="30 2 * * *"))
    while clock.ms < at("2026-04-03T12:00"):
        clock.ms += 30 * MINUTE
        scheduler.work_off(world)
        end_jobs(world)
    assert [f"{item.scheduled_for:%d %H:%M}" for item in occurrences(world, schedule)] == [
        "28 01:30", "29 01:00", "30 00:30", "31 00:30", "01 00:30", "02 00:30", "03 00:30",
    ]  # fmt: skip
    days = [job.metadata["day"] for job in jobs_of(world, schedule)]
    assert days == [
        "2026-03-28",
        "2026-03-29",
        "2026-03-30",
        "2026-03-31",
        "2026-04-01",
        "2026-04-02",
        "2026-04-03",
    ]


@pytest.mark.parametrize("cron", ["0 2 * * *", "0 * * * *"])
@pytest.mark.parametrize("catch_up", ["none", "latest", "all"])
def test_a_clock_that_jumps_by_an_hour_neither_loses_nor_doubles(
    world: Services, clock: Clock, cron: str, catch_up: str
) -> None:
    schedule = made(world, train_daily(cron=cron, overlap="allow", catch_up=catch_up))
    steps = [MINUTE] * 700 + [HOUR] + [MINUTE] * 120 + [-HOUR] + [MINUTE] * 200
    for step in steps:
        clock.ms += step
        scheduler.work_off(world)
        end_jobs(world)
    decided = occurrences(world, schedule)
    hours = {"0 2 * * *": ["01"], "0 * * * *": [f"{hour % 24:02}" for hour in range(13, 30)]}[cron]
    assert [f"{item.scheduled_for:%H}" for item in decided] == hours
    assert {item.status for item in decided} == {"submitted"}
    assert len({item.job for item in decided}) == len(hours)


def test_jitter_is_the_same_everywhere_and_puts_off_no_further_than_it_may(
    world: Services, clock: Clock
) -> None:
    schedule = made(world, train_daily(jitter_seconds=3600))
    table = schedule.timetable
    delays = [
        table.due_ms(schedule.next_ms + day * DAY) - (schedule.next_ms + day * DAY) for day in range(200)
    ]
    assert min(delays) >= 0
    assert max(delays) <= HOUR
    assert max(delays) - min(delays) > HOUR / 2
    assert world.schedules.get("default", schedule.id).timetable.due_ms(schedule.next_ms) == schedule.due_ms
    clock.ms = schedule.due_ms - 1
    scheduler.work_off(world)
    assert jobs_of(world, schedule) == []
    clock.ms = schedule.due_ms
    scheduler.work_off(world)
    assert len(jobs_of(world, schedule)) == 1


def test_start_and_end_are_the_first_and_last_moment(world: Services, clock: Clock) -> None:
    schedule = made(world, train_daily(start="2026-03-03T01:00:00Z", end="2026-03-05T01:00:00Z"))
    for day in range(2, 9):
        clock.set(f"2026-03-0{day}T01:00")
        scheduler.work_off(world)
        end_jobs(world)
    assert told(world, schedule) == [f"0{day} 01:00 submitted" for day in (3, 4, 5)]
    assert next_run(world, schedule) is None
    assert world.database.zcard(keys.SCHEDULES) == 0, "nobody has to look at it any more"


def test_a_model_reference_follows_promotions(world: Services, clock: Clock) -> None:
    for _ in range(2):
        a_model(world)
    world.aliases.set("default", "churn", "champion", 1)
    job = score("s3://lake/in/{{ scheduled_for:%Y/%m/%d }}/", model="churn@champion")
    world = allowing(world)
    schedule = made(world, train_daily(job=job, overlap="allow"))
    clock.set("2026-03-02T01:00")
    scheduler.work_off(world)
    world.aliases.set("default", "churn", "champion", 2)
    clock.set("2026-03-03T01:00")
    scheduler.work_off(world)
    specs = [job.spec for job in jobs_of(world, schedule)]
    assert [spec["model"] for spec in specs] == ["churn:1", "churn:2"]
    assert [spec["input"]["uri"] for spec in specs] == [
        "s3://lake/in/2026/03/02/",
        "s3://lake/in/2026/03/03/",
    ]


def allowing(services: Services) -> Services:
    settings = services.settings.model_copy(update={"s3_allowed_buckets": ("lake", services.objects.bucket)})
    return dataclasses.replace(services, settings=settings)


# Overlap


def overlapping(world: Services, clock: Clock, **changes: Any) -> Any:
    """A schedule whose job of the 2nd has not ended when the 3rd comes."""
    schedule = made(world, train_daily(**changes))
    for day in (2, 3):
        clock.set(f"2026-03-0{day}T01:00")
        scheduler.work_off(world)
    return schedule


def test_an_occurrence_that_overlaps_is_skipped(world: Services, clock: Clock) -> None:
    schedule = overlapping(world, clock)
    assert told(world, schedule) == ["02 01:00 submitted", "03 01:00 skipped overlap"]
    end_jobs(world)
    clock.set("2026-03-04T01:00")
    scheduler.work_off(world)
    assert told(world, schedule)[2:] == ["04 01:00 submitted"]


def test_or_runs_beside_the_other(world: Services, clock: Clock) -> None:
    schedule = overlapping(world, clock, overlap="allow")
    assert told(world, schedule) == ["02 01:00 submitted", "03 01:00 submitted"]


def test_or_waits_for_those_before_it(world: Services, clock: Clock) -> None:
    schedule = overlapping(world, clock, overlap="queue")
    clock.set("2026-03-04T01:00")
    scheduler.work_off(world)
    assert told(world, schedule) == [
        "02 01:00 submitted", "03 01:00 waiting overlap", "04 01:00 waiting overlap",
    ]  # fmt: skip
    for submitted in (2, 3, 3):
        assert end_jobs(world) == 1, "one at a time"
        clock.ms += 2_000
        scheduler.work_off(world)
        assert [line.split()[2] for line in told(world, schedule)].count("submitted") == submitted
    assert [job.metadata["day"] for job in jobs_of(world, schedule)] == [
        "2026-03-02", "2026-03-03", "2026-03-04",
    ]  # fmt: skip


def test_a_deleted_schedule_leaves_its_jobs_alone(world: Services, clock: Clock) -> None:
    schedule = overlapping(world, clock, overlap="queue")
    (job,) = jobs_of(world, schedule)
    world.schedules.delete("default", schedule.id)
    scheduler.work_off(world)
    assert [other.id for other in jobs_of(world, schedule)] == [job.id]
    assert end_jobs(world) == 1
    assert world.jobs.get("default", job.id).status == "succeeded"
    with pytest.raises(NotFound):
        world.schedules.occurrences("default", schedule.id, limit=1)


# Catching up


def after_a_week(world: Services, clock: Clock, **changes: Any) -> Any:
    schedule = made(world, train_daily(**changes))
    clock.set("2026-03-08T12:00")
    for _ in range(12):
        scheduler.work_off(world)
        end_jobs(world)
        clock.ms += 2_000
    return schedule


def test_what_a_week_without_workers_has_missed_is_skipped(world: Services, clock: Clock) -> None:
    schedule = after_a_week(world, clock)
    assert told(world, schedule) == [f"0{day} 01:00 skipped missed" for day in range(2, 9)]
    assert next_run(world, schedule) == at("2026-03-09T01:00")


def test_or_the_latest_is_done(world: Services, clock: Clock) -> None:
    schedule = after_a_week(world, clock, catch_up="latest")
    skipped = [f"0{day} 01:00 skipped missed" for day in range(2, 8)]
    assert told(world, schedule) == [*skipped, "08 01:00 submitted"]


@pytest.mark.parametrize("overlap", ["skip", "queue", "allow"])
def test_or_all_of_them_in_order_whatever_the_overlap(world: Services, clock: Clock, overlap: str) -> None:
    schedule = after_a_week(world, clock, catch_up="all", overlap=overlap)
    assert told(world, schedule) == [f"0{day} 01:00 submitted" for day in range(2, 9)]
    days = [job.metadata["day"] for job in jobs_of(world, schedule)]
    assert days == [f"2026-03-0{day}" for day in range(2, 9)]


def test_or_the_newest_up_to_the_limit(world: Services, clock: Clock) -> None:
    schedule = after_a_week(world, clock, catch_up="all", catch_up_limit=2)
    assert [line.split()[2] for line in told(world, schedule)] == ["skipped"] * 5 + ["submitted"] * 2


def test_a_start_in_the_past_is_caught_up_from(world: Services, clock: Clock) -> None:
    clock.set("2026-03-08T12:00")
    for catch_up, count in (("none", 0), ("latest", 1), ("all", 7)):
        schedule = made(world, train_daily(name=catch_up, start="2026-03-02T00:00:00Z", catch_up=catch_up))
        for _ in range(12):
            scheduler.work_off(world)
            end_jobs(world)
            clock.ms += 2_000
        assert len(jobs_of(world, schedule)) == count, catch_up


def test_years_of_missed_minutes_become_few_records(world: Services, clock: Clock) -> None:
    start = "2001-01-01T00:00:00Z"
    changes = {
        "cron": "* * * * *",
        "start": start,
        "catch_up": "all",
        "catch_up_limit": 3,
        "overlap": "queue",
    }
    schedule = made(world, train_daily(**changes))
    scheduler.work_off(world)
    decided = occurrences(world, schedule)
    assert decided[0].scheduled_for.year == 2001
    assert decided[0].through == decided[1].scheduled_for - (
        decided[2].scheduled_for - decided[1].scheduled_for
    )
    assert [item.status for item in decided[-4:]] == ["skipped", "submitted", "waiting", "waiting"]
    assert len(decided) < 300
    assert next_run(world, schedule) == clock.ms + MINUTE


def test_a_pause_is_skipped_and_not_caught_up(world: Services, clock: Clock) -> None:
    schedule = made(world, train_daily(catch_up="all"))
    paused(world, schedule, True)
    clock.set("2026-03-03T02:00")
    scheduler.work_off(world)
    assert told(world, schedule) == ["02 01:00 skipped paused", "03 01:00 skipped paused"]
    clock.set("2026-03-05T02:00")
    paused(world, schedule, False)  # no worker has looked at the 4th and the 5th
    scheduler.work_off(world)
    assert len(occurrences(world, schedule)) == 2
    assert next_run(world, schedule) == at("2026-03-06T01:00")


def paused(services: Services, schedule: Any, value: bool) -> None:
    services.schedules.update(
        "default", schedule.id, lambda seen: seen.body.model_copy(update={"paused": value})
    )


# What cannot be submitted


def test_an_occurrence_whose_job_is_refused_fails_and_says_why(world: Services, clock: Clock) -> None:
    schedule = made(world, train_daily())
    with pytest.raises(InUse):
        world.datasets.delete("default", DATASET)
    world.database.delete(keys.dataset("default", DATASET))  # lost, all the same
    clock.set("2026-03-02T01:00")
    scheduler.work_off(world)
    (occurrence,) = occurrences(world, schedule)
    assert (occurrence.status, occurrence.job) == ("failed", None)
    assert occurrence.reason is not None
    assert "/job/dataset" in occurrence.reason
    a_dataset(world)
    clock.set("2026-03-03T01:00")
    scheduler.work_off(world)
    assert told(world, schedule)[1:] == ["03 01:00 submitted"]


def full(services: Services) -> Services:
    """A project whose quota is used up."""
    store = services.jobs.__class__(
        services.database, lease_seconds=1, max_live_jobs=0, max_interruptions=1, idempotency_seconds=60
    )
    return dataclasses.replace(services, jobs=store)


def test_an_occurrence_waits_for_room_in_the_quota(world: Services, clock: Clock) -> None:
    schedule = made(world, train_daily(overlap="allow"))
    clock.set("2026-03-02T01:00")
    scheduler.work_off(full(world))
    assert told(world, schedule) == ["02 01:00 waiting quota_exceeded"]
    clock.ms += 30 * MINUTE
    scheduler.work_off(full(world))
    assert told(world, schedule) == ["02 01:00 waiting quota_exceeded"]
    clock.ms += 2_000
    scheduler.work_off(world)
    assert told(world, schedule) == ["02 01:00 submitted"]
    assert world.schedules.waiting(schedule) == []


def test_and_fails_after_an_hour(world: Services, clock: Clock) -> None:
    schedule = made(world, train_daily(overlap="allow"))
    clock.set("2026-03-02T01:00")
    scheduler.work_off(full(world))
    clock.ms += HOUR + 1
    scheduler.work_off(full(world))
    assert told(world, schedule) == ["02 01:00 failed quota_exceeded"]


def test_an_input_that_is_not_there_is_skipped_if_asked(world: Services, clock: Clock) -> None:
    a_model(world)
    world = allowing(world)
    uri = f"s3://{world.objects.bucket}/daily/{{{{ scheduled_for:%d }}}}/"
    world.objects.put_bytes("daily/02/part.csv", b"f0\n1\n")
    world.objects.put_bytes("daily/03/_SUCCESS", b"")
    skip = made(world, train_daily(job=score(uri), missing_input="skip", overlap="allow"))
    fail = made(world, train_daily(name="other", job=score(uri), overlap="allow"))
    for day in (2, 3):
        clock.set(f"2026-03-0{day}T01:00")
        scheduler.work_off(world)
    assert told(world, skip) == ["02 01:00 submitted", "03 01:00 skipped missing_input"]
    assert "daily/03/" in (occurrences(world, skip)[1].reason or "")
    assert told(world, fail) == ["02 01:00 submitted", "03 01:00 submitted"]


def test_an_object_store_that_is_away_is_waited_for(world: Services, clock: Clock) -> None:
    a_model(world)
    world = allowing(world)
    uri = f"s3://{world.objects.bucket}/waited/in.csv"
    world.objects.put_bytes("waited/in.csv", b"f0\n1\n")
    schedule = made(world, train_daily(job=score(uri), missing_input="skip"))
    clock.set("2026-03-02T01:00")
    scheduler.work_off(dataclasses.replace(world, objects=_Away(world.objects.bucket)))
    assert told(world, schedule) == ["02 01:00 waiting storage_unavailable"]
    clock.ms += 2_000
    scheduler.work_off(world)
    assert told(world, schedule) == ["02 01:00 submitted"]


class _Away:
    """The store as it looks while nothing answers."""

    def __init__(self, bucket: str) -> None:
        self.bucket = bucket

    def at(self, bucket: str) -> Any:
        return self

    def size(self, key: str) -> int:
        raise Temporary("the store cannot be used right now", code="storage_unavailable")


# The store


def test_schedules_of_another_project_are_not_there(world: Services) -> None:
    schedule = made(world, train_daily())
    for call in (world.schedules.get, world.schedules.delete):
        with pytest.raises(NotFound):
            call("other", schedule.id)
    assert world.schedules.page("other", limit=5) == ([], False)


def test_a_project_has_so_many_schedules_at_most(world: Services, clock: Clock) -> None:
    few = clocked(world, clock, max_schedules=2)
    first, _ = made(few, train_daily(name="a")), made(few, train_daily(name="b"))
    with pytest.raises(TooMany):
        made(few, train_daily(name="c"))
    few.schedules.delete("default", first.id)
    made(few, train_daily(name="c"))


def test_a_schedule_asked_for_twice_with_one_key_is_one(world: Services) -> None:
    first, replayed = world.schedules.create("default", train_daily(), idempotency=("key", "body"))
    again, replayed_again = world.schedules.create("default", train_daily(), idempotency=("key", "body"))
    assert (first.id, replayed, replayed_again) == (again.id, False, True)
    with pytest.raises(InvalidInput):
        world.schedules.create("default", train_daily(), idempotency=("key", "another body"))
    assert len(world.schedules.page("default", limit=5)[0]) == 1


def test_a_change_that_is_overtaken_is_made_anew(world: Services) -> None:
    schedule = made(world, train_daily())
    overtaken = iter([True, False])

    def change(seen: Any) -> Any:
        if next(overtaken):
            paused(world, schedule, True)
        return seen.body.model_copy(update={"jitter_seconds": 7})

    changed = world.schedules.update("default", schedule.id, change)
    assert (changed.body.paused, changed.body.jitter_seconds) == (True, 7)


def test_a_new_timetable_does_not_do_again_what_is_over(world: Services, clock: Clock) -> None:
    schedule = made(world, train_daily())
    clock.set("2026-03-02T01:00")
    scheduler.work_off(world)
    end_jobs(world)
    clock.set("2026-03-02T00:30")  # the clock has been set back
    world.schedules.update(
        "default", schedule.id, lambda seen: seen.body.model_copy(update={"cron": "0 * * * *"})
    )
    assert next_run(world, schedule) == at("2026-03-02T02:00")


def test_what_was_due_before_a_change_is_not_lost_by_it(world: Services, clock: Clock) -> None:
    schedule = made(world, train_daily())
    clock.set("2026-03-02T01:30")  # no worker has looked yet
    world.schedules.update(
        "default", schedule.id, lambda seen: seen.body.model_copy(update={"cron": "0 2,14 * * *"})
    )
    scheduler.work_off(world)
    assert told(world, schedule) == ["02 01:00 submitted"]


def test_the_newest_occurrences_are_kept_and_paged(world: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shared.schedules.MOST_KEPT", 20)
    schedule = made(world, train_daily())
    nominal = schedule.next_ms or 0
    for day in range(30):
        decision = Decision(nominal_ms=nominal + day * DAY, status="skipped", at_ms=nominal, code="test")
        before = world.schedules.get("default", schedule.id)
        assert world.schedules.decide(before, dataclasses.replace(decision, nominal_ms=before.next_ms))
    seen, after = [], None
    while True:
        found, more = world.schedules.occurrences("default", schedule.id, limit=7, after=after)
        seen += [item.scheduled_for for _, item in found]
        after = found[-1][0]
        if not more:
            break
    assert len(seen) == len(set(seen)) == 20
    assert seen == sorted(seen, reverse=True)
    assert len(list(world.database.scan_iter(f"*{schedule.id}:occurrence:*"))) == 20


def test_rules_of_a_zone_that_change_do_not_stop_a_schedule(world: Services, clock: Clock) -> None:
    """`next_at` may be none of the cron's times by the tables of a newer tzdata."""
    schedule = made(world, train_daily(cron="0 2 * * *"))
    odd = at("2026-03-02T00:47")
    world.database.hset(keys.schedule("default", schedule.id), mapping={"next_at": odd, "due_at": odd})
    world.database.zadd(keys.SCHEDULES, {keys.member("default", schedule.id): odd})
    clock.set("2026-03-02T01:00")
    scheduler.work_off(world)
    assert told(world, schedule) == ["02 00:47 submitted", "02 01:00 skipped overlap"]


def test_a_clock_that_jumps_further_than_the_grace_is_what_catch_up_is_for(
    world: Services, clock: Clock
) -> None:
    schedule = made(world, train_daily())
    clock.ms = at("2026-03-02T01:00") + backlog.GRACE_MS
    (due,) = backlog.backlog(world.schedules.get("default", schedule.id), clock.ms)
    assert due.code is None
    (due,) = backlog.backlog(world.schedules.get("default", schedule.id), clock.ms + 1)
    assert due.code == "missed"
