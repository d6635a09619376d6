"""Schedules: jobs that are submitted again and again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, TypedDict, Unpack

import httpx

from graft.client import pages
from graft.client.job import Job
from graft.client.jobs import Jobs, asked
from graft.client.transport import Transport, new_idempotency_key
from shared.contracts import jobs
from shared.contracts import schedules as contracts
from shared.contracts.schedules import (
    CatchUp,
    MissingInput,
    Occurrence,
    OccurrencePage,
    Overlap,
    SchedulePage,
)


class Schedule(contracts.Schedule):
    """A schedule. `etag` is what `if_match=` takes, to change it only as it was seen; lists do not tell it."""

    etag: str = ""


class ScheduleChanges(TypedDict, total=False):
    """What can be changed of a schedule."""

    name: str
    cron: str
    timezone: str
    job: Mapping[str, Any]
    paused: bool
    catch_up: CatchUp
    catch_up_limit: int
    overlap: Overlap
    missing_input: MissingInput
    jitter_seconds: int
    start: datetime | None
    end: datetime | None


class Schedules:
    """`client.schedules`."""

    def __init__(self, api: Transport, jobs: Jobs) -> None:
        self._api = api
        self._jobs = jobs

    def create(
        self,
        name: str,
        cron: str,
        job: Mapping[str, Any] | Job,
        *,
        timezone: str | None = None,
        paused: bool | None = None,
        catch_up: CatchUp | None = None,
        catch_up_limit: int | None = None,
        overlap: Overlap | None = None,
        missing_input: MissingInput | None = None,
        jitter_seconds: int | None = None,
        start: datetime | None = None,
        end: datetime | None = None,
        idempotency_key: str | None = None,
    ) -> Schedule:
        """Submit a job at the times of a cron expression (five fields; UTC, if no IANA `timezone` is given).

        job: a body as `client.jobs.submit` takes it, whose strings may hold `{{ scheduled_for:%Y/%m/%d }}`; or a job,
        to do the same again with the versions that it had. docs/schedules.md says the rest. The call may come twice.
        Raises InvalidInput, also with pointers below `/job`.
        """
        given = {
            "timezone": timezone,
            "paused": paused,
            "catch_up": catch_up,
            "catch_up_limit": catch_up_limit,
            "overlap": overlap,
            "missing_input": missing_input,
            "jitter_seconds": jitter_seconds,
            "start": start,
            "end": end,
        }
        body = {"name": name, "cron": cron, "job": dict(job.record.spec if isinstance(job, Job) else job)}
        body |= {field: _written(value) for field, value in given.items() if value is not None}
        headers = {"Idempotency-Key": idempotency_key or new_idempotency_key()}
        return self._schedule(self._api.ask("POST /v1/schedules", json=body, headers=headers))

    def list(self, *, limit: int | None = None, after: str | None = None) -> Iterator[Schedule]:
        """Newest first."""
        found = pages.entries(self._api, SchedulePage, "GET /v1/schedules", limit=limit, after=after)
        return (Schedule.model_validate(record.model_dump()) for record in found)

    def get(self, schedule: str) -> Schedule:
        return self._schedule(self._api.ask("GET /v1/schedules/{schedule_id}", schedule))

    def update(
        self, schedule: str, *, if_match: str | None = None, **changes: Unpack[ScheduleChanges]
    ) -> Schedule:
        """Change fields of `create`; what is left out stays, and `start=None`, `end=None` take those away."""
        body = {field: _written(value) for field, value in changes.items()}
        operation, headers = "PATCH /v1/schedules/{schedule_id}", {"If-Match": if_match}
        return self._schedule(self._api.ask(operation, schedule, json=body, headers=headers))

    def pause(self, schedule: str) -> Schedule:
        return self.update(schedule, paused=True)

    def resume(self, schedule: str) -> Schedule:
        """What lies before now is not done anew."""
        return self.update(schedule, paused=False)

    def delete(self, schedule: str, *, if_match: str | None = None) -> None:
        """Its jobs go on."""
        headers = {"If-Match": if_match}
        self._api.ask("DELETE /v1/schedules/{schedule_id}", schedule, headers=headers)

    def run(self, schedule: str, *, idempotency_key: str | None = None, wait: float = 0) -> Job:
        """Submit its job now, also while it is paused."""
        operation, headers = "POST /v1/schedules/{schedule_id}/run", asked(idempotency_key, wait)
        response = self._api.ask(operation, schedule, headers=headers, hold_seconds=wait)
        return Job(self._jobs, self._api.understood(jobs.Job, response))

    def occurrences(
        self, schedule: str, *, limit: int | None = None, after: str | None = None
    ) -> Iterator[Occurrence]:
        """What came of each of its times, newest first."""
        operation = "GET /v1/schedules/{schedule_id}/occurrences"
        return pages.entries(self._api, OccurrencePage, operation, schedule, limit=limit, after=after)

    def _schedule(self, response: httpx.Response) -> Schedule:
        found = self._api.understood(Schedule, response)
        return found.model_copy(update={"etag": response.headers.get("ETag", "")})


def _written(value: Any) -> Any:
    """As JSON has it. A time without a zone is one of this machine."""
    if isinstance(value, datetime):
        return value.astimezone().isoformat()
    return dict(value) if isinstance(value, Mapping) else value
