"""Schedules while workers die: an occurrence gets its job, one job, and every row of its input is scored once."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest

from tests.chaos.conftest import soak
from tests.chaos.rig import USER_BUCKET, Rig
from tests.chaos.test_step_boundaries import around, in_soak, restart_the_dead
from tests.e2e import tables
from tests.e2e.test_batch_prediction import fetched
from tests.support.client import Json, train_body, written
from tests.support.waiting import eventually

ROWS = 400
FIRST = date(2026, 3, 26)  # in Berlin the clock goes forward on the 29th, from two to three
WEEK = [FIRST + timedelta(days=number) for number in range(7)]


@pytest.fixture
def scorer(rig: Rig) -> Rig:
    """A rig with a model, and a prefix for each day of a week."""
    labelled = tables.iris()
    job_id = rig.submit(train_body(rig.graft.dataset(labelled), "daily-model"))
    assert rig.graft.ended(job_id)["status"] == "succeeded"
    rows = pa.concat_tables([labelled.drop_columns(["label"])] * 3).slice(0, ROWS)
    for day in WEEK:
        for part in (0, 1):
            half = rows.slice(part * ROWS // 2, ROWS // 2)
            ids = pa.array([f"{day} {part * ROWS // 2 + number}" for number in range(half.num_rows)])
            content = written(half.append_column("id", ids), "text/csv")
            rig.services.objects.at(USER_BUCKET).put_bytes(f"{day:%Y/%m/%d}/part-{part}.csv", content)
    return rig


def daily(rig: Rig, **changes: Any) -> Json:
    """That week each night at half past two, over what lies below the day's prefix; all of it is in the past."""
    job = {
        "type": "batch_predict",
        "model": "daily-model",
        "input": {"uri": f"s3://{USER_BUCKET}/{{{{ scheduled_for:%Y/%m/%d }}}}/"},
        "output": {"columns": "id", "format": "csv"},
        "id_column": "id",
    }
    body = {
        "name": "daily",
        "cron": "30 2 * * *",
        "timezone": "Europe/Berlin",
        "job": job,
        "start": f"{WEEK[0]}T00:00:00+01:00",
        "end": f"{WEEK[-1]}T23:59:00+02:00",
        "catch_up": "all",
        **changes,
    }
    response = rig.graft.post("/v1/schedules", json=body)
    assert response.status_code == 201, response.text
    made: Json = response.json()
    return made


def occurrences(rig: Rig, schedule: Json) -> list[Json]:
    found: list[Json] = rig.graft.get(schedule["links"]["occurrences"]).json()["data"]
    return found[::-1]


def all_submitted(rig: Rig, schedule: Json) -> list[Json] | None:
    found = occurrences(rig, schedule)
    return found if [item["status"] for item in found] == ["submitted"] * len(WEEK) else None


def check_the_week(rig: Rig, schedule: Json) -> None:
    """Every day has one job, and every row of the day is in its output once."""
    found = eventually(lambda: all_submitted(rig, schedule), 120, every=0.2)
    assert found is not None
    moments = [datetime.fromisoformat(item["scheduled_for"]) for item in found]
    assert moments == list(half_past_two_in_berlin())
    jobs = rig.graft.get(schedule["links"]["jobs"]).json()["data"][::-1]
    assert [job["id"] for job in jobs] == [item["job"] for item in found]
    for day, job in zip(WEEK, jobs, strict=True):
        assert rig.graft.ended(job["id"])["status"] == "succeeded"
        scored = fetched(rig.graft.output(job["id"]))["id"].to_pylist()
        assert sorted(scored) == sorted(f"{day} {number}" for number in range(ROWS))


def half_past_two_in_berlin() -> Iterator[datetime]:
    """In UTC, by hand: an hour before, on the 29th three o'clock, and then two hours before."""
    for day in WEEK:
        hour, minute = (1, 0) if day.day == 29 else (1, 30) if day < date(2026, 3, 29) else (0, 30)
        yield datetime(day.year, day.month, day.day, hour, minute, tzinfo=UTC)


def test_a_week_of_daily_scores_while_a_worker_dies_half_way(scorer: Rig) -> None:
    schedule = daily(scorer)
    eventually(lambda: len([item for item in occurrences(scorer, schedule) if item["job"]]) >= 3, 60)
    with scorer.dies_at("put.after"):  # amid the upload of some day's output
        pass
    dead = eventually(
        lambda: [name for name, worker in scorer.workers.items() if worker.exit_code() is not None]
    )
    assert scorer.workers[dead[0]].exit_code() == -signal.SIGKILL
    assert not all_submitted(scorer, schedule), "it was not half-way"
    check_the_week(scorer, schedule)
    assert max(job["attempt"] for job in scorer.graft.get(schedule["links"]["jobs"]).json()["data"]) == 2


@around
@pytest.mark.parametrize("step", ["submit", *in_soak("decide", "look_again")])
def test_a_worker_dies_around_a_step_of_the_scheduler(scorer: Rig, step: str, moment: str) -> None:
    with scorer.dies_at(f"{step}.{moment}"):
        schedule = daily(scorer, overlap="queue" if step == "decide" else "allow")
    restart_the_dead(scorer)
    check_the_week(scorer, schedule)


@soak
def test_both_workers_die_again_and_again(scorer: Rig) -> None:
    schedule = daily(scorer)
    for _ in range(2):
        for worker in scorer.workers.values():
            worker.hurt(signal.SIGKILL)
        restart_the_dead(scorer)
    check_the_week(scorer, schedule)
