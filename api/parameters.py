"""Query parameters, and the shape of a list."""

from __future__ import annotations

from typing import Annotated, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from shared.contracts.base import NAME_PATTERN, Item, Page
from shared.contracts.jobs import JobType
from shared.contracts.kinds import Task

Cursor = Annotated[str, StringConstraints(min_length=1, max_length=100, pattern=r"^[A-Za-z0-9_.:-]+$")]
T = TypeVar("T")


class Query(BaseModel):
    """Query parameters are text, so they are parsed; unknown ones are refused."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)


class PageQuery(Query):
    limit: Annotated[int, Field(ge=1, le=500, description="How many to return at most.")] = 50
    after: Annotated[Cursor | None, Field(description="`next` of the page before.")] = None


class JobsQuery(PageQuery):
    status: Literal["queued", "running", "succeeded", "failed", "cancelled"] | None = None
    type: JobType | None = None
    model: Annotated[str | None, Field(pattern=NAME_PATTERN)] = None
    schedule: Annotated[str | None, Field(pattern=r"^sch_[0-9A-Z]{26}$")] = None


TAG_PATTERN = r"^[^:]{1,100}:.{0,500}$"


class ModelsQuery(PageQuery):
    task: Task | None = None
    tag: Annotated[
        str | None,
        Field(pattern=TAG_PATTERN, description="`key:value`. Given several times, all must be there."),
    ] = None


class KeysQuery(PageQuery):
    project: Annotated[
        str | None,
        Field(pattern=NAME_PATTERN, description="Another project than the key's own; the operator's alone."),
    ] = None


class NumberedQuery(PageQuery):
    """A page of what is ordered by numbers: versions, times in milliseconds."""

    after: Annotated[
        str | None, Field(pattern=r"^[0-9]{1,15}$", description="`next` of the page before.")
    ] = None


class StreamQuery(PageQuery):
    """A page of a Redis stream."""

    after: Annotated[
        str | None, Field(pattern=r"^[0-9]{1,15}-[0-9]{1,15}$", description="`next` of the page before.")
    ] = None


class WaitQuery(Query):
    wait: Annotated[
        float, Field(ge=0, le=30, description="Hold the answer until the job ends, so many seconds at most.")
    ] = 0


def page(items: list[Item], has_more: bool, cursor: str | None) -> Page[Item]:
    """One page; `cursor` is where the next one starts, if there is one."""
    return Page(data=items, has_more=has_more, next=cursor if has_more else None)
