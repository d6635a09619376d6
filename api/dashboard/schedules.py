"""Schedules: when each runs next and ran last, what came of its times, and pausing, running and making them."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from flask import Response, request
from pydantic import ValidationError

from api.auth import needs, project
from api.dashboard import forms, wording
from api.dashboard.datasets import page_query
from api.dashboard.forms import Form
from api.dashboard.once import form_once, new_word
from api.dashboard.site import blueprint, go, render
from api.schedules import made, run_now, updated
from api.wiring import services
from shared.conditions import UNCONDITIONAL
from shared.contracts.base import from_ms
from shared.contracts.refusals import invalid
from shared.contracts.schedules import ScheduleBody, SchedulePatch
from shared.errors import InvalidInput
from shared.schedule_records import Standing, to_schedule

_MAIN = ("/name", "/cron", "/timezone", "/job")
_NEXT = 5
_SHOWN = 50
_NOTHING: dict[str, Any] = {"datasets": [], "columns": [], "models": []}


@blueprint.get("/schedules")
@needs("read")
def schedules() -> Response:
    query = page_query()
    found, more = services().schedules.page(project(), limit=query.limit, after=query.after)
    told = [(to_schedule(one), None if one.last_ms is None else from_ms(one.last_ms)) for one in found]
    return render("schedules.html", schedules=told, following=found[-1].id if more else None)


@blueprint.get("/schedules/new")
@needs("submit")
def new_schedule() -> Response:
    """Empty, or for the job `?like=`."""
    values = {one.pointer: one.default for one in _form().fields} | {"/cron": "30 2 * * *"}
    if like := request.args.get("like"):
        job = services().jobs.get(project(), like)
        values |= {
            "/job": wording.as_json(wording.without_nulls(job.spec)),
            "/name": f"{job.type.replace('_', '-')}-daily",
        }
    return _page(forms.filled(_form(), values))


@blueprint.post("/schedules/new")
@needs("submit")
def make_schedule() -> Response:
    """Make it, checked as `POST /v1/schedules` checks it."""
    sent = request.form.to_dict()
    body = forms.body_of(_form(), sent)
    try:
        standing, _ = made(project(), ScheduleBody.model_validate(body), form_once(body))
    except (ValidationError, InvalidInput) as error:
        refusal = invalid(error) if isinstance(error, ValidationError) else error
        return _refused(sent, refusal)
    return go("schedule", "scheduled", schedule_id=standing.id)


@blueprint.get("/schedules/<schedule_id>")
@needs("read")
def schedule(schedule_id: str) -> Response:
    owner, query = project(), page_query()
    standing = services().schedules.get(owner, schedule_id)
    occurrences, more = services().schedules.occurrences(owner, schedule_id, limit=_SHOWN, after=query.after)
    return render(
        "schedule.html",
        schedule=to_schedule(standing),
        upcoming=_upcoming(standing),
        occurrences=[item for _, item in occurrences],
        following=occurrences[-1][0] if more else None,
        once=new_word(),
    )


@blueprint.post("/schedules/<schedule_id>/<any(pause, resume):what>")
@needs("submit")
def pause_schedule(schedule_id: str, what: str) -> Response:
    patch = SchedulePatch(paused=what == "pause")
    updated(project(), schedule_id, patch, UNCONDITIONAL)
    return go("schedule", "paused" if what == "pause" else "resumed", schedule_id=schedule_id)


@blueprint.post("/schedules/<schedule_id>/run")
@needs("submit")
def run_schedule(schedule_id: str) -> Response:
    job, _ = run_now(project(), schedule_id, form_once(schedule_id))
    return go("job", "submitted", job_id=job.id)


@blueprint.post("/schedules/<schedule_id>/delete")
@needs("submit")
def delete_schedule(schedule_id: str) -> Response:
    services().schedules.delete(project(), schedule_id)
    return go("schedules", "deleted")


@cache
def _form() -> Form:
    return forms.form_of(ScheduleBody, _MAIN, without=())


def _refused(sent: Mapping[str, str], error: InvalidInput) -> Response:
    values = {one.pointer: sent.get(one.pointer, "") for one in _form().fields}
    form = forms.refused(forms.filled(_form(), values), error.errors, error.message)
    return _page(form, status=422)


def _page(form: Form, *, status: int = 200) -> Response:
    return render("new_schedule.html", status=status, form=form, data=_NOTHING, kind=None, once=new_word())


def _upcoming(standing: Standing) -> list[Any]:
    """The next times at which it will run, as its zone tells them; none of one that is paused or over."""
    found: list[Any] = []
    moment = standing.next_ms
    while moment is not None and len(found) < _NEXT and not standing.body.paused:
        found.append(standing.timetable.local(moment))
        moment = standing.timetable.after(moment)
    return found
