"""Jobs over HTTP: submit, look, wait, list, cancel."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from apiflask import APIBlueprint
from flask import Response, g, request

from api import streams
from api.auth import needs, project
from api.idempotency import once
from api.parameters import JobsQuery, StreamQuery, WaitQuery, page
from api.preconditions import conditional, tagged, unchanged
from api.preferences import preferences
from api.wiring import client, services, waiting
from shared import storage, submission
from shared.contracts.base import Page
from shared.contracts.jobs import Job, JobEventPage, JobLogLine, JobLogPage, JobPage, SubmitBody
from shared.contracts.outputs import Manifest
from shared.contracts.webhooks import Delivery, DeliveryPage
from shared.errors import Conflict, NotFound, Temporary
from shared.states import TERMINAL, JobState

blueprint = APIBlueprint("jobs", __name__, url_prefix="/v1/jobs", tag="Jobs")

_RETRY_AFTER_SECONDS = "1"


@blueprint.post("")
@needs("submit")
@blueprint.input(SubmitBody, arg_name="body")
@blueprint.output(Job, status_code=202)
@blueprint.doc(responses={409: "The same `Idempotency-Key` is being accepted.", 429: ""})
def submit(body: SubmitBody) -> Response:
    """Submit a job.

    It is accepted, or refused with every reason that can be known now. With an `Idempotency-Key` header the
    same key and body return the first job again for 24 hours; the same key with another body is refused.
    """
    owner = project()

    def make(key: tuple[str, str] | None) -> Response:
        return accepted(*submitted(owner, body, key))

    return once(make, replay=lambda job_id: accepted(services().jobs.get(owner, job_id), True))


@blueprint.get("")
@needs("read")
@blueprint.input(JobsQuery, location="query", arg_name="query")
@blueprint.output(JobPage)
def list_jobs(query: JobsQuery) -> Page[Job]:
    """List jobs, newest first."""
    filters = query.model_dump(include={"status", "type", "model", "schedule"}, exclude_none=True)
    found, more = services().jobs.page(project(), filters, limit=query.limit, after=query.after)
    return page(found, more, found[-1].id if found else None)


@blueprint.get("/<job_id>")
@needs("read")
@blueprint.input(WaitQuery, location="query", arg_name="query")
@blueprint.output(Job)
@blueprint.doc(responses={304: "The job is as `If-None-Match` says.", 404: "", 412: "", 503: ""})
def get_job(job_id: str, query: WaitQuery) -> Response:
    """Look at a job, or wait for its end.

    `ETag` changes with every change of the job and of its place in line; `Retry-After` is there until it has ended.
    `?wait=` is refused with 503 when too many wait, `Prefer: wait=` is then answered at once.
    """
    owner, jobs = project(), services().jobs
    if query.wait:
        waited = False
        waiting().until(lambda: jobs.glance(owner, job_id)[0] in TERMINAL, query.wait, client())
    else:
        waited = wait_as_preferred(owner, job_id)
    response = None
    if conditional():
        now = jobs.standing(owner, job_id)
        response = unchanged(now.tag, weak=now.state is JobState.QUEUED)
        if response is not None and now.state not in TERMINAL:
            response.headers["Retry-After"] = _RETRY_AFTER_SECONDS
    if response is None:
        job, now = jobs.look(owner, job_id, services().places.place)
        response = tagged(_answer(job), now.tag, weak=now.state is JobState.QUEUED)
    if waited:
        preferences().applied_to(response, "wait")
    return response


@blueprint.post("/<job_id>/cancel")
@needs("submit")
@blueprint.output(Job, status_code=202)
@blueprint.doc(responses={200: "It had been asked to stop before.", 404: "", 409: ""})
def cancel_job(job_id: str) -> Response:
    """Cancel a job: a queued one at once, a running one as soon as its worker hears of it."""
    owner = project()
    first = services().jobs.cancel(owner, job_id)
    return _answer(services().jobs.get(owner, job_id), status=202 if first else 200)


@blueprint.get("/<job_id>/events")
@needs("read")
@blueprint.input(StreamQuery, location="query", arg_name="query")
@blueprint.output(JobEventPage)
@blueprint.doc(
    responses={204: "The stream had ended at `Last-Event-ID`; do not connect again.", 404: "", 503: ""}
)
def job_events(job_id: str, query: StreamQuery) -> Response:
    """What happened to a job, oldest first.

    With `Accept: text/event-stream` these are Server-Sent Events: all so far, then each as it happens, and `progress`
    when that changes, until the job has ended. `Last-Event-ID` goes on after that event, and so does `?after=`.
    """
    last_event = streams.last_event_id(request.headers.get("Last-Event-ID"))
    if request.accept_mimetypes.best_match(["application/json", streams.MEDIA_TYPE]) == streams.MEDIA_TYPE:
        response = streams.respond(
            services().jobs,
            project(),
            job_id,
            after=last_event or query.after,
            waiting=waiting(),
            client=client(),
            seconds=services().settings.stream_seconds,
        )
        response.vary.add("Accept")
        return response
    found, more = services().jobs.events(project(), job_id, after=query.after, limit=query.limit)
    told = page(found, more, found[-1].id if found else None)
    response = Response(told.model_dump_json(), mimetype="application/json")
    response.vary.add("Accept")
    return response


@blueprint.get("/<job_id>/logs")
@needs("read")
@blueprint.input(StreamQuery, location="query", arg_name="query")
@blueprint.output(JobLogPage)
@blueprint.doc(responses=[404])
def job_logs(job_id: str, query: StreamQuery) -> Page[JobLogLine]:
    """What a job's attempts logged, oldest first; the newest 2,000 lines are kept."""
    found, more = services().jobs.logs(project(), job_id, after=query.after, limit=query.limit)
    return page(found, more, found[-1].id if found else None)


@blueprint.get("/<job_id>/deliveries")
@needs("read")
@blueprint.output(DeliveryPage)
@blueprint.doc(responses=[404])
def job_deliveries(job_id: str) -> Page[Delivery]:
    """What was delivered to the job's own `webhook_url`: nothing before its end, then one event."""
    services().jobs.glance(project(), job_id)  # a shard is no job
    return page(services().deliveries.of_job(services().jobs.record(project(), job_id)), False, None)


@blueprint.post("/<job_id>/retry")
@needs("submit")
@blueprint.output(Job, status_code=202)
@blueprint.doc(
    responses={
        404: "",
        409: "It has not failed, or the same `Idempotency-Key` is being accepted.",
        422: "",
        429: "",
    }
)
def retry_job(job_id: str) -> Response:
    """Submit a failed or cancelled job again, as a new job that names this one as its `parent`.

    `Idempotency-Key` as for a new job.
    """
    owner = project()

    def make(key: tuple[str, str] | None) -> Response:
        return accepted(*retried(owner, job_id, key))

    return once(make, replay=lambda new_id: accepted(services().jobs.get(owner, new_id), True))


@blueprint.get("/<job_id>/output")
@needs("read")
@blueprint.output(Manifest)
@blueprint.doc(responses={404: "", 409: "The job has not succeeded."})
def job_output(job_id: str) -> dict[str, Any]:
    """The files of a batch prediction, with links that are good for an hour."""
    return output_of(services().jobs.get(project(), job_id))


def submitted(owner: str, body: SubmitBody, key: tuple[str, str] | None) -> tuple[Job, bool]:
    """Check and accept a job: it, and whether it is a replay. Raises what `submission.check` and `submit` do."""
    new = submission.check(services(), owner, body.root, request_id=g.request_id)
    return services().jobs.submit(new, idempotency=key)


def retried(owner: str, job_id: str, key: tuple[str, str] | None) -> tuple[Job, bool]:
    """The same of what another job did, which has failed or been cancelled."""
    job = services().jobs.get(owner, job_id)
    if job.status not in {"failed", "cancelled"}:
        raise Conflict(
            f"{job_id} is {job.status}; only a failed or cancelled job is retried", code="not_retryable"
        )
    body = SubmitBody.model_validate(job.spec).root
    new = submission.check(services(), owner, body, request_id=g.request_id, parent=job_id)
    return services().jobs.submit(new, idempotency=key)


def output_of(job: Job) -> dict[str, Any]:
    """The manifest of a batch, with links. Raises NotFound, Conflict."""
    if job.type != "batch_predict":
        raise NotFound(f"{job.id} is a {job.type} job; only batch_predict has an output", code="no_output")
    if job.status != "succeeded" or job.result is None:
        raise Conflict(
            f"{job.id} is {job.status}; it has an output when it has succeeded", code="no_output_yet"
        )
    return _linked(job.result["output"])


def wait_as_preferred(owner: str, job_id: str) -> bool:
    """Hold a request until the job ends, as long as it prefers to wait. False if it does not, or may not."""
    seconds = preferences().wait
    if seconds is None:
        return False
    try:
        waiting().until(lambda: services().jobs.glance(owner, job_id)[0] in TERMINAL, seconds, client())
    except Temporary:
        return False
    return True


def accepted(job: Job, replayed: bool) -> Response:
    """The answer to who has submitted a job: 202; or 200 with the ended job, if it is preferred to wait for that."""
    waited = wait_as_preferred(job.project, job.id)
    if waited:
        job = services().jobs.get(job.project, job.id)
    has_ended = waited and job.status in TERMINAL
    response = _answer(job, status=200 if has_ended else 202)
    preferences().applied_to(
        response, *(["wait"] if waited else []), *([] if has_ended else ["respond-async"])
    )
    response.headers["Location"] = job.links.self
    if replayed:
        response.headers["Idempotency-Replayed"] = "true"
    return response


def _linked(output: Mapping[str, Any]) -> dict[str, Any]:
    """The manifest that the job recorded, with a presigned link to each file."""
    bucket, prefix = storage.split_uri(output["uri"])
    objects, seconds = services().objects.at(bucket), services().settings.link_seconds

    def link(entry: Mapping[str, Any]) -> dict[str, Any]:
        return {**entry, "url": objects.link(prefix + entry["name"], seconds=seconds, filename=entry["name"])}

    errors = output["errors"]
    return {
        **output,
        "files": [link(entry) for entry in output["files"]],
        "errors": link(errors) if errors else None,
    }


def _answer(job: Job, *, status: int = 200) -> Response:
    response = Response(job.model_dump_json(), status, mimetype="application/json")
    if job.status not in TERMINAL:
        response.headers["Retry-After"] = _RETRY_AFTER_SECONDS
    return response
