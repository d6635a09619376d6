"""The list of jobs: what there is, what waits, what ended lately. It follows the jobs as long as somebody looks."""

from __future__ import annotations

import re
from typing import Any, get_args

from flask import Response, request
from pydantic import Field, ValidationError

from api.auth import needs, project
from api.dashboard import charts
from api.dashboard.site import blueprint, go, render, stamped, unchanged_or
from api.parameters import JobsQuery
from api.wiring import services
from shared.contracts.base import ULID_PATTERN
from shared.contracts.jobs import JobType
from shared.contracts.refusals import invalid
from shared.states import JobState

_JOB = re.compile(f"job_{ULID_PATTERN}")
_FILTERS = ("status", "type", "model", "schedule")


class ListQuery(JobsQuery):
    """What `GET /v1/jobs` takes, and a text to search for."""

    limit: int = Field(default=25, ge=1, le=100)
    q: str = Field(default="", max_length=200)


@blueprint.get("/")
@needs("read")
def jobs() -> Response:
    query = _query()
    if _JOB.fullmatch(query.q):
        return go("job", job_id=query.q)
    told = _told(query)
    return render(
        "jobs.html",
        live=stamped("jobs_live.html", **told),
        query=query,
        types=get_args(JobType),
        states=list(JobState),
        is_empty=not told["overview"].jobs,
    )


@blueprint.get("/jobs/live")
@needs("read")
def jobs_live() -> Response:
    """The part of the page that changes; 204 if it has not."""
    told = _told(_query())
    return unchanged_or(lambda seen: render("jobs_live.html", **told, seen=seen))


def _query() -> ListQuery:
    """Empty fields of the form are none."""
    given = {name: value for name, value in request.args.items() if value and name not in {"seen", "done"}}
    try:
        return ListQuery.model_validate(given)
    except ValidationError as error:
        raise invalid(error) from error


def _told(query: ListQuery) -> dict[str, Any]:
    owner = project()
    filters = query.model_dump(include=set(_FILTERS), exclude_none=True)
    if query.q:
        found = services().search.find(owner, query.q, filters, limit=query.limit, after=query.after)
        listed, following = found.jobs, found.next
    else:
        listed, more = services().jobs.page(owner, filters, limit=query.limit, after=query.after)
        following = listed[-1].id if more else None
    overview = services().overview.of(owner)
    kept = {name: value for name, value in {**filters, "q": query.q}.items() if value}
    return {
        "jobs": listed,
        "following": following,
        "overview": overview,
        "throughput": charts.throughput(overview.ended),
        "query": query,
        "kept": kept,
        "states": list(JobState),
    }
