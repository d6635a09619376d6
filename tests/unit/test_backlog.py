"""Which occurrences that are due are done, and which have been missed: on both sides of each bound."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from shared.schedule_records import Standing
from shared.timetable import timetable
from tests.support.schedules import DAY, HOUR, MINUTE, at, train_daily
from worker.upkeep.backlog import GRACE_MS, MOST_SKIPPED_SINGLY, ON_TIME_MS, backlog

FIRST = at("2026-03-02T01:00")


def standing(next_ms: int = FIRST, **changes: Any) -> Standing:
    body = train_daily(**changes)
    due_ms = timetable("sch_1", body).due_ms(next_ms)
    return Standing("default", "sch_1", body, 1, 0, 0, next_ms, due_ms, None)


def judged(found: Standing, now_ms: int) -> list[str]:
    return [due.code or ("caught up" if due.caught_up else "done") for due in backlog(found, now_ms)]


def test_nothing_is_due_before_its_time() -> None:
    assert backlog(standing(), FIRST - 1) == []
    assert judged(standing(), FIRST) == ["done"]
    assert backlog(replace(standing(), next_ms=None, due_ms=None), FIRST) == []


@pytest.mark.parametrize(
    ("catch_up", "late_ms", "expected"),
    [
        ("none", ON_TIME_MS, "done"),
        ("none", GRACE_MS, "done"),
        ("none", GRACE_MS + 1, "missed"),
        ("latest", ON_TIME_MS, "done"),
        ("latest", ON_TIME_MS + 1, "caught up"),
        ("all", ON_TIME_MS, "done"),
        ("all", ON_TIME_MS + 1, "caught up"),
        ("all", 20 * HOUR, "caught up"),
    ],
)
def test_how_late_is_too_late(catch_up: str, late_ms: int, expected: str) -> None:
    assert judged(standing(catch_up=catch_up), FIRST + late_ms) == [expected]
    assert judged(standing(catch_up=catch_up, paused=True), FIRST + late_ms) == ["paused"]


def test_a_week_is_judged_as_catch_up_says() -> None:
    now = FIRST + 6 * DAY + HOUR
    assert judged(standing(), now) == ["missed"] * 6 + ["done"], "the last is an hour late"
    assert judged(standing(catch_up="latest"), now) == ["missed"] * 6 + ["caught up"]
    assert judged(standing(catch_up="all"), now) == ["caught up"] * 7
    assert judged(standing(catch_up="all", catch_up_limit=3), now) == ["missed"] * 4 + ["caught up"] * 3


@pytest.mark.parametrize("spare", [0, 1])
def test_the_oldest_of_very_many_become_one_entry(spare: int) -> None:
    limit = 100
    found = standing(cron="* * * * *", catch_up="all", catch_up_limit=limit)
    singly = limit + MOST_SKIPPED_SINGLY
    due = backlog(found, FIRST + (singly - 1 + spare) * MINUTE)
    assert [item.through_ms is not None for item in due] == [True] * spare + [False] * singly
    assert [item.nominal_ms for item in due[spare:]] == [FIRST + (spare + n) * MINUTE for n in range(singly)]
    if spare:
        assert (due[0].nominal_ms, due[0].through_ms, due[0].code) == (FIRST, FIRST, "missed")


def test_an_occurrence_that_jitter_puts_off_keeps_those_after_it_waiting() -> None:
    found = standing(cron="* * * * *", jitter_seconds=3600)
    assert found.due_ms is not None
    assert found.due_ms > FIRST + 2 * MINUTE, "else this says nothing"
    assert backlog(found, found.due_ms - 1) == []
    assert backlog(found, found.due_ms)[0].nominal_ms == FIRST
