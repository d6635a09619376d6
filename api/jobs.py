"""Jobs over HTTP: submit, look, wait, list, cancel."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from apiflask import APIBlueprint
from flask import Response, g, request

from api.auth import needs, project
from api.idempotency import idempotency
from api.parameters import JobsQuery, StreamQuery, WaitQuery, page
from api.wiring import services, waiting
from shared import storage, submission
from shared.contracts.base import Page
from shared.contracts.jobs import Job, JobEvent, JobEventPage, JobLogLine, JobLogPage, JobPage, SubmitBody
from shared.contracts.outputs import Manifest
from shared.contracts.webhooks import Delivery, DeliveryPage
from shared.errors import Conflict, NotFound
from shared.states import TERMINAL

blueprint = APIBlueprint("jobs", __name__, url_prefix="/v1/jobs", tag="Jobs")

_RETRY_AFTER_SECONDS = "1"


@blueprint.post("")
@needs("submit")
@blueprint.input(SubmitBody, arg_name="body")
@blueprint.output(Job, status_code=202)
@blueprint.doc(responses={409: "", 429: ""})
def submit(body: SubmitBody) -> Response:
    """Submit a job.

    It is accepted, or refused with every reason that can be known now. With an `Idempotency-Key` header the
    same key and body return the first job again for 24 hours; the same key with another body is refused.
    """
    owner = project()
    new = submission.check(services(), owner, body.root, request_id=g.request_id)
    job_id, replayed = services().jobs.submit(new, idempotency=idempotency())
    return accepted(owner, job_id, replayed=replayed)


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
@blueprint.doc(responses={304: "The job is as `If-None-Match` says.", 404: "", 503: ""})
def get_job(job_id: str, query: WaitQuery) -> Response:
    """Look at a job, or wait for its end.

    `ETag` changes with every change of the job; `Retry-After` is there until it has ended.
    """
    owner, jobs = project(), services().jobs
    waiting().until(lambda: jobs.glance(owner, job_id)[0] in TERMINAL, query.wait)
    state, revision = jobs.glance(owner, job_id)
    if _etag(revision) in request.headers.get("If-None-Match", ""):
        response = Response(status=304)
        response.headers["ETag"] = _etag(revision)
        if state not in TERMINAL:
            response.headers["Retry-After"] = _RETRY_AFTER_SECONDS
        return response
    return _answer(jobs.get(owner, job_id), revision=revision)


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
@blueprint.doc(responses=[404])
def job_events(job_id: str, query: StreamQuery) -> Page[JobEvent]:
    """What happened to a job, oldest first."""
    found, more = services().jobs.events(project(), job_id, after=query.after, limit=query.limit)
    return page(found, more, found[-1].id if found else None)


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
@blueprint.doc(responses={404: "", 409: "It has not failed.", 422: "", 429: ""})
def retry_job(job_id: str) -> Response:
    """Submit a failed or cancelled job again, as a new job that names this one as its `parent`."""
    owner = project()
    job = services().jobs.get(owner, job_id)
    if job.status not in {"failed", "cancelled"}:
        raise Conflict(
            f"{job_id} is {job.status}; only a failed or cancelled job is retried", code="not_retryable"
        )
    body = SubmitBody.model_validate(job.spec).root
    new = submission.check(services(), owner, body, request_id=g.request_id, parent=job_id)
    new_id, _ = services().jobs.submit(new)
    return accepted(owner, new_id)


@blueprint.get("/<job_id>/output")
@needs("read")
@blueprint.output(Manifest)
@blueprint.doc(responses={404: "", 409: "The job has not succeeded."})
def job_output(job_id: str) -> dict[str, Any]:
    """The files of a batch prediction, with links that are good for an hour."""
    job = services().jobs.get(project(), job_id)
    if job.type != "batch_predict":
        raise NotFound(f"{job_id} is a {job.type} job; only batch_predict has an output", code="no_output")
    if job.status != "succeeded" or job.result is None:
        raise Conflict(
            f"{job_id} is {job.status}; it has an output when it has succeeded", code="no_output_yet"
        )
    return _linked(job.result["output"])


def accepted(owner: str, job_id: str, *, replayed: bool = False) -> Response:
    """The answer to who has submitted a job."""
    response = _answer(services().jobs.get(owner, job_id), status=202)
    response.headers["Location"] = f"/v1/jobs/{job_id}"
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


def _answer(job: Job, *, status: int = 200, revision: str | None = None) -> Response:
    response = Response(job.model_dump_json(), status, mimetype="application/json")
    if revision:
        response.headers["ETag"] = _etag(revision)
    if job.status not in TERMINAL:
        response.headers["Retry-After"] = _RETRY_AFTER_SECONDS
    return response


def _etag(revision: str) -> str:
    return f'"{revision}"'
