"""A schedule is changed and deleted only as it was seen, if that is what was asked for."""

from __future__ import annotations

import pytest

from shared import keys, scheduled_jobs
from shared.conditions import Condition
from shared.errors import Conflict, InvalidInput, NotFound, PreconditionFailed
from shared.schedule_records import Decision, Standing
from shared.services import Services
from tests.support.schedules import DATASET, Clock, a_dataset, at, clocked, made, train_daily


@pytest.fixture
def world(services: Services) -> Services:
    a_dataset(services)
    return clocked(services, Clock("2026-03-01T12:00"))


def seen(standing: Standing) -> Condition:
    return Condition(if_match=f'"{standing.tag}"')


def decide(world: Services, standing: Standing) -> None:
    """Its next occurrence, so that another is next."""
    skip = Decision(nominal_ms=at("2026-03-02T01:00"), how="next", status="skipped", at_ms=0, code="missed")
    assert world.schedules.decide(standing, skip)


def test_a_schedule_that_is_as_it_was_seen_is_changed_once(world: Services) -> None:
    first = made(world, train_daily())
    second = world.schedules.update(
        "default", first.id, lambda _: train_daily(name="b"), condition=seen(first)
    )
    with pytest.raises(PreconditionFailed) as refused:
        world.schedules.update("default", first.id, lambda _: train_daily(name="c"), condition=seen(first))
    assert refused.value.revision == second.tag
    assert world.schedules.get("default", first.id).body.name == "b"


def test_a_change_between_the_look_and_the_write_is_found_out(world: Services) -> None:
    schedule = made(world, train_daily())

    def overtaken(_: Standing) -> object:
        world.schedules.update("default", schedule.id, lambda _: train_daily(name="other"))
        return train_daily(name="mine")

    with pytest.raises(PreconditionFailed):
        world.schedules.update("default", schedule.id, overtaken, condition=seen(schedule))  # type: ignore[arg-type]
    assert world.schedules.get("default", schedule.id).body.name == "other"


def test_a_schedule_whose_next_run_has_moved_on_is_not_as_it_was_seen(world: Services) -> None:
    schedule = made(world, train_daily())
    decide(world, schedule)
    with pytest.raises(PreconditionFailed):
        world.schedules.delete("default", schedule.id, condition=seen(schedule))
    now = world.schedules.get("default", schedule.id)
    world.schedules.delete("default", schedule.id, condition=seen(now))
    with pytest.raises(NotFound):
        world.schedules.get("default", schedule.id)


def test_a_schedule_that_changes_while_it_is_being_deleted_stays(
    world: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    schedule = made(world, train_daily())
    looks, get = iter([True]), world.schedules.get

    def overtaken(project: str, schedule_id: str) -> Standing:
        found = get(project, schedule_id)
        if next(looks, False):
            decide(world, schedule)
        return found

    monkeypatch.setattr(world.schedules, "get", overtaken)
    with pytest.raises(PreconditionFailed):
        world.schedules.delete("default", schedule.id, condition=seen(schedule))
    assert get("default", schedule.id).last_ms == at("2026-03-02T01:00")


def test_without_a_condition_it_is_deleted_as_it_is(world: Services) -> None:
    schedule = made(world, train_daily())
    decide(world, schedule)
    world.schedules.delete("default", schedule.id)
    with pytest.raises(NotFound):
        world.schedules.delete("default", schedule.id)


@pytest.mark.parametrize("what", ["update", "delete"])
def test_a_schedule_that_always_changes_meanwhile_is_409(
    world: Services, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    schedule, get = made(world, train_daily()), world.schedules.get

    def overtaken(project: str, schedule_id: str) -> Standing:
        found = get(project, schedule_id)
        world.database.hincrby(keys.schedule(project, schedule_id), "revision", 1)
        return found

    monkeypatch.setattr(world.schedules, "get", overtaken)
    call = {
        "update": lambda: world.schedules.update("default", schedule.id, lambda _: train_daily(name="b")),
        "delete": lambda: world.schedules.delete("default", schedule.id, condition=Condition(if_match="*")),
    }[what]
    with pytest.raises(Conflict) as refused:
        call()
    assert (refused.value.status, refused.value.code) == (409, "schedule_changing")
    assert get("default", schedule.id).body.name == "nightly"


def test_a_schedule_is_refused_whose_dataset_has_gone_since_it_was_last_looked_at(world: Services) -> None:
    scheduled_jobs.check(world, "default", train_daily(), request_id="r")
    world.datasets.delete("default", DATASET)
    with pytest.raises(InvalidInput) as refused:
        scheduled_jobs.check(world, "default", train_daily(), request_id="r")
    assert [error.pointer for error in refused.value.errors] == ["/job/dataset"]
