"""API keys: what may be asked for, and what is told about them. A secret is told once, when it is made."""

from __future__ import annotations

from typing import Annotated, Literal, get_args

from pydantic import AfterValidator, Field, StringConstraints
from pydantic_core import PydanticCustomError

from shared.contracts.base import Body, Moment, Name, Page, Record, Time

Scope = Literal["read", "submit", "admin"]
"""read: look at everything, predict. submit: make, change and delete. admin: API keys. None implies another."""

SCOPES: tuple[Scope, ...] = get_args(Scope)
MOST_OVERLAP_SECONDS = 30 * 24 * 3600


def _each_once(scopes: list[Scope]) -> list[Scope]:
    if len(set(scopes)) < len(scopes):
        raise PydanticCustomError("scopes", "should name each scope once")
    return scopes


KeyLabel = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]+$")]


class KeyBody(Body):
    """A new key. Without `project` it is one of the project of the key that asks for it."""

    project: Name | None = None
    scopes: Annotated[list[Scope], Field(min_length=1), AfterValidator(_each_once)]
    expires_at: Moment | None = None
    name: KeyLabel | None = None


class RotateBody(Body):
    """A new secret for a key. The secrets of before stay good for `overlap_seconds`; `expires_at` moves its end."""

    overlap_seconds: Annotated[int, Field(ge=0, le=MOST_OVERLAP_SECONDS)] = 0
    expires_at: Moment | None = None


class ApiKey(Record):
    """A key as the API tells it. `prefix` is what its text begins with; `last_used_at` is right to a minute."""

    id: str
    prefix: str
    project: str
    scopes: list[Scope]
    name: str | None = None
    created_at: Time
    expires_at: Time | None = None
    rotated_at: Time | None = None
    last_used_at: Time | None = None


class NewApiKey(ApiKey):
    """A key with its secret, which nobody can be told again."""

    key: str


class ApiKeyPage(Page[ApiKey]):
    """One page of a list."""
