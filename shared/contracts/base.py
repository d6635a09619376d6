"""What every contract shares: strict parsing, names, and the wire form of a time."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Generic, TypeVar

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    StringConstraints,
    model_validator,
)
from pydantic_core import PydanticCustomError

NAME_PATTERN = r"^[a-z0-9][a-z0-9._-]{0,62}$"
NAME_RULE = "should be made of small letters, digits, . _ - (at most 63, a letter or digit first)"
"""The pattern in words, for whoever has chosen another name."""

_YEARS = (1970, 2199)

_MOST_MEMBERS = 100
"""No body has half as many fields."""

ULID_PATTERN = "[0-9A-HJKMNP-TV-Z]{26}"

Name = Annotated[str, StringConstraints(pattern=NAME_PATTERN)]
"""A name people choose: models, projects, aliases, schedules."""

Description = Annotated[str, StringConstraints(max_length=2_000)]
Tags = Annotated[
    dict[
        Annotated[str, StringConstraints(min_length=1, max_length=100)],
        Annotated[str, StringConstraints(max_length=500)],
    ],
    Field(max_length=50),
]


def rfc3339(moment: datetime) -> str:
    """UTC with milliseconds and a Z, the one way a time is written."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


Time = Annotated[datetime, PlainSerializer(rfc3339, return_type=str, when_used="json")]


def _moment(value: object) -> object:
    """An RFC 3339 time with its offset, in years in which every zone's arithmetic works."""
    if isinstance(value, datetime):
        return value
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None or "T" not in str(value).upper():
        raise PydanticCustomError("moment", "should be a time with its offset, as in 2026-03-01T00:00:00Z")
    if not _YEARS[0] < moment.year < _YEARS[1]:
        raise PydanticCustomError("moment", f"should lie between {_YEARS[0]} and {_YEARS[1]}")
    return moment.astimezone(UTC)


Moment = Annotated[datetime, BeforeValidator(_moment, json_schema_input_type=str)]
"""A time in a request."""


def from_ms(milliseconds: int) -> datetime:
    """A Redis time (milliseconds since the epoch) as a datetime in UTC."""
    return datetime.fromtimestamp(milliseconds / 1000, UTC)


class Body(BaseModel):
    """A request body: unknown fields are refused, values are not coerced, input is never echoed."""

    model_config = ConfigDict(
        extra="forbid", strict=True, hide_input_in_errors=True, allow_inf_nan=False, frozen=True
    )

    @model_validator(mode="before")
    @classmethod
    def _few_members(cls, value: object) -> object:
        """pydantic tells of every unknown field: of half a million it would do so for twenty seconds."""
        if isinstance(value, dict) and len(value) > _MOST_MEMBERS:
            raise PydanticCustomError("too_many_members", "has too many members")
        return value


class Record(BaseModel):
    """A response, or part of one."""

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)


Item = TypeVar("Item")


class Page(Record, Generic[Item]):
    """One page of a list. `next` is the `after` of the following request."""

    data: list[Item]
    has_more: bool
    next: str | None = None
