"""Schedules: recurring jobs, and the occurrences that they have had."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, Field, JsonValue, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

from shared.contracts.base import Body, Moment, Name, Page, Record, Time
from shared.contracts.specs import refusal

CatchUp = Literal["none", "latest", "all"]
Overlap = Literal["skip", "queue", "allow"]
MissingInput = Literal["fail", "skip"]
OccurrenceStatus = Literal["waiting", "submitted", "skipped", "failed"]


def _cron(value: str) -> str:
    from shared.cron import (
        Cron,
        CronError,
    )  # who only reads what the API tells, as the client does, needs no cronsim

    try:
        Cron(value, ZoneInfo("UTC"))
    except CronError as error:
        raise PydanticCustomError("cron", "{sentence}", {"sentence": str(error)}) from error
    return value


def _zone(value: str) -> str:
    from shared.cron import zones

    if value not in zones():
        raise PydanticCustomError("zone", "should be the name of an IANA time zone, as in Europe/Berlin")
    return value


CronText = Annotated[str, StringConstraints(min_length=1), AfterValidator(_cron)]
ZoneName = Annotated[str, AfterValidator(_zone)]
JobTemplate = Annotated[dict[str, JsonValue], Field(min_length=1)]
"""A job's body, as `POST /v1/jobs` takes it; its strings may hold `{{ scheduled_for:… }}`."""
JitterSeconds = Annotated[int, Field(ge=0, le=3600)]
CatchUpLimit = Annotated[int, Field(ge=1, le=1_000)]


class ScheduleBody(Body):
    """A job that is submitted again and again.

    `start` and `end` are the first and last moment at which an occurrence may lie. With `catch_up`, a `start` in the
    past has what lies between done as well.
    """

    name: Name
    cron: CronText
    timezone: ZoneName = "UTC"
    job: JobTemplate
    paused: bool = False
    catch_up: CatchUp = "none"
    catch_up_limit: CatchUpLimit = 100
    overlap: Overlap = "skip"
    missing_input: MissingInput = "fail"
    jitter_seconds: JitterSeconds = 0
    start: Moment | None = None
    end: Moment | None = None

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.start and self.end and self.end < self.start:
            raise refusal("end", "should not lie before start")
        return self


class SchedulePatch(Body):
    """What is to change. Fields that are left out stay as they are; `start` and `end` are taken away with null."""

    name: Name | None = None
    cron: CronText | None = None
    timezone: ZoneName | None = None
    job: JobTemplate | None = None
    paused: bool | None = None
    catch_up: CatchUp | None = None
    catch_up_limit: CatchUpLimit | None = None
    overlap: Overlap | None = None
    missing_input: MissingInput | None = None
    jitter_seconds: JitterSeconds | None = None
    start: Moment | None = None
    end: Moment | None = None


class ScheduleLinks(Record):
    self: str
    run: str
    occurrences: str
    jobs: str


class Schedule(Record):
    """A schedule as the API tells it. `next_run_at` is null when it has no occurrence left."""

    id: str
    name: str
    project: str
    cron: str
    timezone: str
    job: dict[str, Any]
    paused: bool
    catch_up: CatchUp
    catch_up_limit: int
    overlap: Overlap
    missing_input: MissingInput
    jitter_seconds: int
    start: Time | None = None
    end: Time | None = None
    created_at: Time
    updated_at: Time
    next_run_at: Time | None
    links: ScheduleLinks


class Occurrence(Record):
    """One nominal time of a schedule, and what came of it.

    `waiting`: its time has come, but for what `reason` says it has no job yet. `submitted`: it has a job. `skipped` and
    `failed`: it has none and gets none. `through`: one record for all occurrences up to that time, being too many.
    """

    scheduled_for: Time
    through: Time | None = None
    status: OccurrenceStatus
    job: str | None = None
    code: str | None = None
    reason: str | None = None
    manual: bool = False
    decided_at: Time


class SchedulePage(Page[Schedule]):
    """One page of a list."""


class OccurrencePage(Page[Occurrence]):
    """One page of a list."""
