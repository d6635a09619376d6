"""A schedule's job at one of its times: templates filled in, and checked just as `POST /v1/jobs` checks a body.

The API asks when a schedule is made, for its next occurrence; a worker asks for each. A reference such as
`churn@champion` is resolved every time. Errors name the field below `/job`.
"""

from __future__ import annotations

from dataclasses import replace

from pydantic import ValidationError

from shared import datasets, storage, submission, templates
from shared.contracts.jobs import AnyJobBody, SubmitBody
from shared.contracts.refusals import invalid, refused
from shared.contracts.schedules import ScheduleBody
from shared.errors import FieldError, InvalidInput
from shared.job_records import NewJob
from shared.schedule_records import Standing
from shared.services import Services
from shared.timetable import timetable

_FIELD = "job"


def check(services: Services, project: str, body: ScheduleBody, *, request_id: str) -> None:
    """Raises InvalidInput if the schedule's next job would be refused."""
    if errors := templates.errors(body.job, _FIELD):
        raise refused(errors)
    now = services.schedules.now_ms()
    next_body = body_at(body, timetable("", body).after(now) or now)
    new = _new_job(services, project, next_body, request_id)
    # Checks recall what never changes; that it is still there is what the script finds out that accepts a job.
    if gone := [use for use in new.uses if not services.database.exists(use.record)]:
        raise refused([FieldError(f"/{_FIELD}{use.pointer}", "does not exist any more") for use in gone])


def body_at(body: ScheduleBody, nominal_ms: int) -> AnyJobBody:
    """What is submitted for that occurrence. Raises InvalidInput."""
    moment = timetable("", body).local(nominal_ms)
    try:
        return SubmitBody.model_validate(templates.rendered(body.job, moment)).root
    except ValidationError as error:
        raise _below(invalid(error)) from error


def job_at(services: Services, standing: Standing, nominal_ms: int, *, request_id: str | None) -> NewJob:
    """The job of an occurrence, ready to be accepted. Raises InvalidInput."""
    new = _new_job(services, standing.project, body_at(standing.body, nominal_ms), request_id)
    uses = [replace(use, pointer=f"/{_FIELD}{use.pointer}") for use in new.uses]
    return replace(new, schedule=standing.id, uses=[*uses, standing.used])


def missing_input(services: Services, new: NewJob) -> str | None:
    """Why a batch has nothing to read, if its URI names no object that is there. Raises Temporary."""
    uri = new.spec["input"]["uri"] if new.type == "batch_predict" else None
    if uri is None:
        return None
    bucket, key = storage.split_uri(uri)
    return None if datasets.any_table_at(services.objects.at(bucket), key) else f"there is no table at {uri}"


def _new_job(services: Services, project: str, body: AnyJobBody, request_id: str | None) -> NewJob:
    try:
        return submission.check(services, project, body, request_id=request_id)
    except InvalidInput as error:
        raise _below(error) from error


def _below(error: InvalidInput) -> InvalidInput:
    """The same, of a body that is a field of another."""
    found = error.errors or [FieldError("", error.message)]
    return refused([FieldError(f"/{_FIELD}{field.pointer}", field.detail) for field in found])
