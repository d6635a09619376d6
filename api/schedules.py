"""Schedules over HTTP: make, look, change, delete, run now, and what came of each occurrence."""

from __future__ import annotations

from typing import Any

from apiflask import APIBlueprint
from flask import Response, g
from pydantic import ValidationError

from api.auth import needs, project
from api.idempotency import once
from api.jobs import accepted
from api.parameters import NumberedQuery, PageQuery, page
from api.preconditions import condition, tagged, unchanged
from api.wiring import services
from shared import scheduled_jobs
from shared.conditions import Condition
from shared.contracts.base import Page
from shared.contracts.jobs import Job
from shared.contracts.refusals import invalid
from shared.contracts.schedules import (
    Occurrence,
    OccurrencePage,
    Schedule,
    ScheduleBody,
    SchedulePage,
    SchedulePatch,
)
from shared.errors import Conflict, InvalidInput, NotFound
from shared.schedule_records import Decision, Standing, to_schedule
from shared.schedules import first_ms
from shared.timetable import timetable

blueprint = APIBlueprint("schedules", __name__, url_prefix="/v1/schedules", tag="Schedules")

_TRIES = 5


@blueprint.post("")
@needs("submit")
@blueprint.input(ScheduleBody, arg_name="body")
@blueprint.output(Schedule, status_code=201)
@blueprint.doc(
    responses={409: "What the `Idempotency-Key` stands for is being accepted, or deleted since.", 429: ""}
)
def create_schedule(body: ScheduleBody) -> Response:
    """Make a schedule.

    `job` is checked as `POST /v1/jobs` would check it at the next occurrence. With an `Idempotency-Key` header the same
    key and body return the first schedule again for 24 hours.
    """
    owner = project()

    def make(key: tuple[str, str] | None) -> Response:
        return _created(*made(owner, body, key))

    def replay(schedule_id: str) -> Response:
        try:
            return _created(services().schedules.get(owner, schedule_id), True)
        except NotFound as error:
            raise Conflict(
                "the schedule that this Idempotency-Key made has been deleted", code="idempotency_replay_gone"
            ) from error

    return once(make, replay)


def made(owner: str, body: ScheduleBody, key: tuple[str, str] | None) -> tuple[Standing, bool]:
    """Check and make a schedule: it, and whether it is a replay."""
    _expect_occurrences(body)
    scheduled_jobs.check(services(), owner, body, request_id=g.request_id)
    return services().schedules.create(owner, body, idempotency=key)


def _answer(found: Standing, status: int = 200) -> Response:
    body = to_schedule(found).model_dump_json()
    return tagged(Response(body, status, mimetype="application/json"), found.tag)


def _created(made: Standing, replayed: bool) -> Response:
    response = _answer(made, 201)
    response.headers["Location"] = f"/v1/schedules/{made.id}"
    if replayed:
        response.headers["Idempotency-Replayed"] = "true"
    return response


@blueprint.get("")
@needs("read")
@blueprint.input(PageQuery, location="query", arg_name="query")
@blueprint.output(SchedulePage)
def list_schedules(query: PageQuery) -> Page[Schedule]:
    """List schedules, newest first."""
    found, more = services().schedules.page(project(), limit=query.limit, after=query.after)
    return page([to_schedule(item) for item in found], more, found[-1].id if found else None)


@blueprint.get("/<schedule_id>")
@needs("read")
@blueprint.output(Schedule)
@blueprint.doc(responses={304: "The schedule is as `If-None-Match` says.", 404: "", 412: ""})
def get_schedule(schedule_id: str) -> Response:
    """Look at a schedule. Its `ETag` changes with it and with `next_run_at`."""
    found = services().schedules.get(project(), schedule_id)
    return unchanged(found.tag) or _answer(found)


@blueprint.patch("/<schedule_id>")
@needs("submit")
@blueprint.input(SchedulePatch, arg_name="patch")
@blueprint.output(Schedule)
@blueprint.doc(responses={404: "", 409: "Others are changing it.", 412: "It is not as `If-Match` says."})
def update_schedule(schedule_id: str, patch: SchedulePatch) -> Response:
    """Change a schedule; what is left out stays. It does not look back: what is over is not done anew."""
    return _answer(updated(project(), schedule_id, patch, condition()))


def updated(owner: str, schedule_id: str, patch: SchedulePatch, expected: Condition) -> Standing:
    """Check and change a schedule. Raises NotFound, InvalidInput, Conflict, PreconditionFailed."""
    changes = patch.model_dump(exclude_unset=True)

    def changed(seen: Standing) -> ScheduleBody:
        body = _validated({**seen.body.model_dump(), **changes})
        if "job" in changes:  # else a schedule whose job is refused by now could not even be paused
            scheduled_jobs.check(services(), owner, body, request_id=g.request_id)
        return body

    return services().schedules.update(owner, schedule_id, changed, condition=expected)


@blueprint.delete("/<schedule_id>")
@needs("submit")
@blueprint.output({}, status_code=204)
@blueprint.doc(responses={404: "", 409: "Others are changing it.", 412: "It is not as `If-Match` says."})
def delete_schedule(schedule_id: str) -> tuple[str, int]:
    """Delete a schedule and the list of its occurrences. Its jobs go on."""
    services().schedules.delete(project(), schedule_id, condition=condition())
    return "", 204


@blueprint.post("/<schedule_id>/run")
@needs("submit")
@blueprint.output(Job, status_code=202)
@blueprint.doc(
    responses={
        404: "",
        409: "Others are changing it, or the same `Idempotency-Key` is being accepted.",
        429: "",
    }
)
def run_schedule(schedule_id: str) -> Response:
    """Submit the schedule's job now, whether or not it is paused or another of its jobs runs.

    It is an occurrence (`manual`) whose nominal time is now. `Idempotency-Key` as for a job.
    """
    owner = project()

    def make(key: tuple[str, str] | None) -> Response:
        return accepted(*run_now(owner, schedule_id, key))

    return once(make, replay=lambda job_id: accepted(services().jobs.get(owner, job_id), True))


def run_now(owner: str, schedule_id: str, key: tuple[str, str] | None) -> tuple[Job, bool]:
    """Submit the schedule's job: it, and whether it is a replay."""
    for _ in range(_TRIES):
        standing = services().schedules.get(owner, schedule_id)
        now = services().schedules.now_ms()
        new = scheduled_jobs.job_at(services(), standing, now, request_id=g.request_id)
        call = services().schedules.call(
            standing, Decision(nominal_ms=now, how="manual", status="submitted", at_ms=now)
        )
        try:
            return services().jobs.submit(new, idempotency=key, occurrence=call)
        except Conflict:  # it has just been changed, or another run has this very millisecond
            continue
    raise Conflict(f"{schedule_id} is being changed by others; try again", code="schedule_changing")


@blueprint.get("/<schedule_id>/occurrences")
@needs("read")
@blueprint.input(NumberedQuery, location="query", arg_name="query")
@blueprint.output(OccurrencePage)
@blueprint.doc(responses=[404])
def list_occurrences(schedule_id: str, query: NumberedQuery) -> Page[Occurrence]:
    """What came of the schedule's occurrences, newest first; the newest 1,000 are kept."""
    found, more = services().schedules.occurrences(
        project(), schedule_id, limit=query.limit, after=query.after
    )
    return page([item for _, item in found], more, found[-1][0] if found else None)


def _validated(fields: dict[str, Any]) -> ScheduleBody:
    try:
        return ScheduleBody.model_validate(fields)
    except ValidationError as error:
        raise invalid(error) from error


def _expect_occurrences(body: ScheduleBody) -> None:
    """A schedule that can never fire is a mistake."""
    if first_ms(body, timetable("", body), services().schedules.now_ms()) is None:
        raise InvalidInput.at("/end" if body.end else "/cron", "there is no occurrence left")
