"""Webhooks over HTTP: endpoints, their secrets, what was delivered to them, and having it again."""

from __future__ import annotations

from apiflask import APIBlueprint
from flask import Response

from api.answers import with_secret
from api.auth import needs, project
from api.parameters import PageQuery, page
from api.wiring import services
from shared.contracts.base import Page
from shared.contracts.webhooks import (
    Delivery,
    DeliveryPage,
    NewWebhook,
    NewWebhookSecret,
    ReplayBody,
    Replayed,
    RotateSecretBody,
    Webhook,
    WebhookBody,
    WebhookPage,
    WebhookPatch,
    WebhookSecret,
)

blueprint = APIBlueprint("webhooks", __name__, url_prefix="/v1", tag="Webhooks")


@blueprint.post("/webhooks")
@needs("admin")
@blueprint.input(WebhookBody, arg_name="body")
@blueprint.output(NewWebhook, status_code=201)
@blueprint.doc(responses={429: "The project has as many webhooks as it may."})
def create_webhook(body: WebhookBody) -> Response:
    """Have a URL told of events. Its `secret` is in this answer and nowhere else. Sent twice, this makes two."""
    made, secret = services().webhooks.create(project(), body)
    return with_secret(NewWebhook(**made.model_dump(), secret=secret), 201, made.links.self)


@blueprint.get("/webhooks")
@needs("admin")
@blueprint.input(PageQuery, location="query", arg_name="query")
@blueprint.output(WebhookPage)
def list_webhooks(query: PageQuery) -> Page[Webhook]:
    """List webhooks, newest first."""
    found, more = services().webhooks.page(project(), limit=query.limit, after=query.after)
    return page(found, more, found[-1].id if found else None)


@blueprint.get("/webhook-secret")
@needs("admin")
@blueprint.output(WebhookSecret)
def get_secret() -> WebhookSecret:
    """About the secret that signs what goes to the `webhook_url` of jobs; not the secret itself."""
    return services().webhooks.secret_of_jobs(project())


@blueprint.post("/webhook-secret")
@needs("admin")
@blueprint.input(RotateSecretBody, arg_name="body")
@blueprint.output(NewWebhookSecret)
def rotate_secret(body: RotateSecretBody) -> Response:
    """Make the secret that signs what goes to the `webhook_url` of jobs, for the first time or anew.

    The one of before signs as well for `overlap_seconds`. Until the first time nobody knows the secret.
    """
    owner = project()
    secret = services().webhooks.rotate_secret_of_jobs(owner, overlap_seconds=body.overlap_seconds)
    told = services().webhooks.secret_of_jobs(owner)
    return with_secret(NewWebhookSecret(**told.model_dump(), secret=secret), 200)


@blueprint.get("/webhooks/<webhook_id>")
@needs("admin")
@blueprint.output(Webhook)
@blueprint.doc(responses=[404])
def get_webhook(webhook_id: str) -> Webhook:
    """Look at a webhook."""
    return services().webhooks.get(project(), webhook_id)


@blueprint.patch("/webhooks/<webhook_id>")
@needs("admin")
@blueprint.input(WebhookPatch, arg_name="body")
@blueprint.output(Webhook)
@blueprint.doc(responses=[404])
def change_webhook(webhook_id: str, body: WebhookPatch) -> Webhook:
    """Change a webhook, or switch it off and on. What waits when it is switched off is discarded; replay it later."""
    return services().webhooks.change(project(), webhook_id, body)


@blueprint.delete("/webhooks/<webhook_id>")
@needs("admin")
@blueprint.output({}, status_code=204)
@blueprint.doc(responses=[404])
def delete_webhook(webhook_id: str) -> tuple[str, int]:
    """Delete a webhook with its deliveries."""
    services().webhooks.delete(project(), webhook_id)
    return "", 204


@blueprint.post("/webhooks/<webhook_id>/rotate")
@needs("admin")
@blueprint.input(RotateSecretBody, arg_name="body")
@blueprint.output(NewWebhook)
@blueprint.doc(responses=[404])
def rotate_webhook(webhook_id: str, body: RotateSecretBody) -> Response:
    """Give a webhook a new secret; the one of before signs as well for `overlap_seconds`."""
    found, secret = services().webhooks.rotate(project(), webhook_id, overlap_seconds=body.overlap_seconds)
    return with_secret(NewWebhook(**found.model_dump(), secret=secret), 200)


@blueprint.post("/webhooks/<webhook_id>/test")
@needs("admin")
@blueprint.output(Delivery, status_code=202)
@blueprint.doc(responses={404: "", 409: "It is disabled."})
def test_webhook(webhook_id: str) -> Delivery:
    """Send it the event `webhook.test`."""
    services().webhooks.get(project(), webhook_id)
    return services().deliveries.test(project(), webhook_id)


@blueprint.get("/webhooks/<webhook_id>/deliveries")
@needs("admin")
@blueprint.input(PageQuery, location="query", arg_name="query")
@blueprint.output(DeliveryPage)
@blueprint.doc(responses=[404])
def list_deliveries(webhook_id: str, query: PageQuery) -> Page[Delivery]:
    """What it was told of, newest first, with what was tried."""
    services().webhooks.get(project(), webhook_id)
    found, more = services().deliveries.page(project(), webhook_id, limit=query.limit, after=query.after)
    return page(found, more, found[-1].id if found else None)


@blueprint.post("/webhooks/<webhook_id>/deliveries/<delivery_id>/replay")
@needs("admin")
@blueprint.output(Delivery, status_code=202)
@blueprint.doc(responses={404: "", 409: "It is disabled."})
def replay_delivery(webhook_id: str, delivery_id: str) -> Delivery:
    """Deliver it once more, under the same `webhook-id`, or at once if it waits."""
    services().webhooks.get(project(), webhook_id)
    return services().deliveries.replay(project(), webhook_id, delivery_id)


@blueprint.post("/webhooks/<webhook_id>/replay")
@needs("admin")
@blueprint.input(ReplayBody, arg_name="body")
@blueprint.output(Replayed, status_code=202)
@blueprint.doc(responses={404: "", 409: "It is disabled."})
def replay_failed(webhook_id: str, body: ReplayBody) -> Replayed:
    """Deliver again all that failed or were discarded since a time, the oldest 1,000 of them."""
    services().webhooks.get(project(), webhook_id)
    count = services().deliveries.replay_since(project(), webhook_id, body.since)
    return Replayed(replayed=count)
