"""One job: its life so far, how far it is, what it logs, what it was asked, what came of it, and what can be done."""

from __future__ import annotations

from typing import Any

from flask import Response, request

from api.auth import needs, project
from api.dashboard import charts, timeline
from api.dashboard.once import form_once, new_word
from api.dashboard.site import blueprint, go, render
from api.jobs import output_of, retried
from api.streams import EVENT_ID
from api.wiring import services
from shared.errors import Malformed
from shared.states import TERMINAL

_MOST_EVENTS = 200
_MOST_LINES = 200


@blueprint.get("/jobs/<job_id>")
@needs("read")
def job(job_id: str) -> Response:
    told = _told(job_id)
    found = told["job"]
    lines, more = services().jobs.logs(project(), job_id, after=None, limit=_MOST_LINES)
    manifest = None
    if found.type == "batch_predict" and found.status == "succeeded":
        manifest = output_of(found)
    return render("job.html", **told, lines=lines, more_lines=more, manifest=manifest)


@blueprint.get("/jobs/<job_id>/live")
@needs("read")
def job_live(job_id: str) -> Response:
    """The part of the page that changes; 204 if the job is as it was seen, which one small call to Redis tells."""
    seen = request.args.get("seen")
    if seen and services().jobs.standing(project(), job_id).tag == seen:
        return Response(status=204)
    told = _told(job_id)
    response = render("job_live.html", **told)
    if told["job"].status in TERMINAL:  # what did not change until now is told by the whole page
        response.headers["HX-Refresh"] = "true"
    return response


@blueprint.get("/jobs/<job_id>/lines")
@needs("read")
def job_lines(job_id: str) -> Response:
    """Lines that were logged since; 204 if there are none and there may be."""
    after = request.args.get("after") or None
    if after is not None and not EVENT_ID.fullmatch(after):
        raise Malformed("after should be the id of one of the job's lines")
    lines, more = services().jobs.logs(project(), job_id, after=after, limit=_MOST_LINES)
    state, _ = services().jobs.glance(project(), job_id)
    if not lines and state not in TERMINAL:
        return Response(status=204)
    follows = more or state not in TERMINAL
    return render("job_lines.html", job_id=job_id, lines=lines, follows=follows, after=after)


@blueprint.post("/jobs/<job_id>/cancel")
@needs("submit")
def cancel_job(job_id: str) -> Response:
    services().jobs.cancel(project(), job_id)
    return go("job", "cancelled", job_id=job_id)


@blueprint.post("/jobs/<job_id>/retry")
@needs("submit")
def retry_job(job_id: str) -> Response:
    new, _ = retried(project(), job_id, form_once(job_id))
    return go("job", "retried", job_id=new.id)


def _told(job_id: str) -> dict[str, Any]:
    owner, jobs = project(), services().jobs
    found, standing = jobs.look(owner, job_id, services().places.place)
    events, _ = jobs.events(owner, job_id, after=None, limit=_MOST_EVENTS)
    curve = jobs.curve(owner, job_id)
    unit = found.progress.unit if found.progress and found.progress.phase == "fitting" else "epochs"
    return {
        "job": found,
        "tag": standing.tag,
        "ended": found.status in TERMINAL,
        "events": events,
        "timeline": timeline.drawn(found, events),
        "curve": charts.loss_curve(curve, unit),
        "once": new_word(),
    }
