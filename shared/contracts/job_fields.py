"""What bodies of jobs are made of: ids, references, and the fields that every type takes."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, StringConstraints, field_validator

from shared.contracts.base import ULID_PATTERN, Body, Description, Name, Tags
from shared.contracts.specs import refusal
from shared.contracts.webhooks import WebhookUrl
from shared.queue import Priority

MODEL_REF_PATTERN = r"^[a-z0-9][a-z0-9._-]{0,62}(:[1-9][0-9]{0,8}|@[a-z0-9][a-z0-9._-]{0,62})?$"

RESERVED_MODEL_NAMES = frozenset({"compare"})
"""What `GET /v1/models/{name}` would never reach, for it has a route of its own."""

DATASET_ID_PATTERN = f"^ds_{ULID_PATTERN}$"
DatasetId = Annotated[str, StringConstraints(pattern=DATASET_ID_PATTERN)]
ColumnName = Annotated[str, StringConstraints(min_length=1, max_length=1_000)]
ModelRef = Annotated[str, StringConstraints(pattern=MODEL_REF_PATTERN)]
"""`name` (its latest version), `name:3`, or `name@alias`."""
S3Uri = Annotated[
    str, StringConstraints(pattern=r"^s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]/.*$", max_length=1_200)
]
Seed = Annotated[int, Field(ge=0, le=2**32 - 1)]
MetadataKey = Annotated[str, StringConstraints(min_length=1, max_length=100)]
MetadataValue = Annotated[str, StringConstraints(max_length=1_000)] | int | float | bool | None


class ModelTarget(Body):
    """Where a new model goes: the next version under this name."""

    name: Name
    description: Description | None = None
    tags: Tags | None = None

    @field_validator("name")
    @classmethod
    def _reachable(cls, value: str) -> str:
        if value in RESERVED_MODEL_NAMES:
            raise refusal("", f"/v1/models/{value} is something else; choose another name")
        return value


class JobBody(Body):
    """What every type of job takes."""

    priority: Priority = "normal"
    max_attempts: Annotated[int, Field(ge=1, le=20)] = 3
    timeout_seconds: Annotated[int, Field(ge=1)] | None = None
    metadata: Annotated[dict[MetadataKey, MetadataValue], Field(max_length=50)] = {}
    webhook_url: WebhookUrl | None = None
