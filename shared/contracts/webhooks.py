"""Webhooks: who is told of what, what they are told, and what came of it."""

from __future__ import annotations

from typing import Annotated, Any, Literal, get_args

from pydantic import AfterValidator, Field, StringConstraints
from pydantic_core import PydanticCustomError

from shared.contracts.base import Body, Moment, Page, Record, Time

Event = Literal[
    "job.queued", "job.started", "job.succeeded", "job.failed", "job.cancelled", "schedule.failed"
]
"""schedule.failed: an occurrence that gets no job."""

EVENTS: tuple[Event, ...] = get_args(Event)
TEST_EVENT = "webhook.test"
MOST_OVERLAP_SECONDS = 30 * 24 * 3600

EndpointStatus = Literal["enabled", "disabled"]
DisabledReason = Literal["gone", "failing", "by_request"]
DeliveryStatus = Literal["pending", "succeeded", "failed", "discarded"]


def _each_once(events: list[Event]) -> list[Event]:
    if len(set(events)) < len(events):
        raise PydanticCustomError("events", "should name each event once")
    return events


WebhookUrl = Annotated[str, StringConstraints(min_length=1, max_length=2_048)]
"""Whether it may be called is the operator's word; see shared.webhooks.addresses."""
Events = Annotated[list[Event], Field(min_length=1), AfterValidator(_each_once)]
WebhookLabel = Annotated[str, StringConstraints(max_length=500, pattern=r"^[^\x00-\x1f\x7f]*$")]


class WebhookBody(Body):
    """An endpoint that is told of every such event of the project."""

    url: WebhookUrl
    events: Events
    description: WebhookLabel = ""
    disabled: bool = False


class WebhookPatch(Body):
    """What is to change. Fields that are left out stay as they are."""

    url: WebhookUrl | None = None
    events: Events | None = None
    description: WebhookLabel | None = None
    disabled: bool | None = None


class RotateSecretBody(Body):
    """A new secret. The ones of before sign as well for `overlap_seconds`."""

    overlap_seconds: Annotated[int, Field(ge=0, le=MOST_OVERLAP_SECONDS)] = 24 * 3600


class ReplayBody(Body):
    """All deliveries that have failed or were discarded, of events since then."""

    since: Moment


class WebhookLinks(Record):
    self: str
    deliveries: str


class Webhook(Record):
    """An endpoint as the API tells it.

    `disabled_reason`: `by_request`; `gone` (it answered 410); `failing` (for days). `failing_since`: of the failures
    since its latest success.
    """

    id: str
    project: str
    url: str
    events: list[Event]
    description: str
    status: EndpointStatus
    disabled_reason: DisabledReason | None = None
    disabled_at: Time | None = None
    failing_since: Time | None = None
    created_at: Time
    updated_at: Time
    rotated_at: Time | None = None
    links: WebhookLinks


class NewWebhook(Webhook):
    """An endpoint with its secret, which nobody can be told again."""

    secret: str


class WebhookSecret(Record):
    """What deliveries to the `webhook_url` of jobs are signed with; not the secret itself."""

    rotated_at: Time | None


class NewWebhookSecret(WebhookSecret):
    """The secret, which nobody can be told again."""

    secret: str


class DeliveryAttempt(Record):
    """One call. `status` is HTTP's; `error` is null for success."""

    at: Time
    status: int | None = None
    duration_ms: int | None = None
    error: str | None = None
    response: str | None = None


class Delivery(Record):
    """One event for one endpoint. `message` is the `webhook-id` that the receiver gets, at every attempt the same.

    `discarded`: the endpoint was switched off before it was delivered.
    """

    id: str
    event: str
    message: str
    webhook: str | None
    job: str | None = None
    schedule: str | None = None
    status: DeliveryStatus
    created_at: Time
    next_attempt_at: Time | None = None
    attempts: list[DeliveryAttempt]
    """The newest 20, oldest first."""


class Replayed(Record):
    """How many are delivered again."""

    replayed: int


class WebhookPage(Page[Webhook]):
    """One page of a list."""


class DeliveryPage(Page[Delivery]):
    """One page of a list."""


class Message(Record):
    """What a receiver gets."""

    type: str
    timestamp: Time
    data: dict[str, Any]
