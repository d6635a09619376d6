"""Webhooks: URLs that are told of events. A secret is told once, in the answer that makes it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from graft.client import pages
from graft.client.transport import Transport
from shared.contracts.webhooks import (
    Delivery,
    DeliveryPage,
    NewWebhook,
    NewWebhookSecret,
    Replayed,
    Webhook,
    WebhookPage,
    WebhookSecret,
)


class Webhooks:
    """`client.webhooks`. Needs a key with the scope `admin`."""

    def __init__(self, api: Transport) -> None:
        self._api = api

    def create(
        self, url: str, events: Sequence[str], *, description: str | None = None, disabled: bool | None = None
    ) -> NewWebhook:
        """Have a URL told of events (docs/webhooks.md lists them). Its `secret` is in this answer alone."""
        body = {"url": url, "events": list(events), "description": description, "disabled": disabled}
        return self._api.read(NewWebhook, "POST /v1/webhooks", json=_given(body))

    def list(self, *, limit: int | None = None, after: str | None = None) -> Iterator[Webhook]:
        """Newest first."""
        return pages.entries(self._api, WebhookPage, "GET /v1/webhooks", limit=limit, after=after)

    def get(self, webhook: str) -> Webhook:
        return self._api.read(Webhook, "GET /v1/webhooks/{webhook_id}", webhook)

    def update(
        self,
        webhook: str,
        *,
        url: str | None = None,
        events: Sequence[str] | None = None,
        description: str | None = None,
        disabled: bool | None = None,
    ) -> Webhook:
        """Change it, or switch it off and on; what is left out stays."""
        given = {
            "url": url,
            "events": events and list(events),
            "description": description,
            "disabled": disabled,
        }
        return self._api.read(Webhook, "PATCH /v1/webhooks/{webhook_id}", webhook, json=_given(given))

    def delete(self, webhook: str) -> None:
        """With its deliveries."""
        self._api.ask("DELETE /v1/webhooks/{webhook_id}", webhook)

    def rotate(self, webhook: str, *, overlap_seconds: int | None = None) -> NewWebhook:
        """Another secret; the one of before signs as well for the overlap (a day if left out)."""
        body = _given({"overlap_seconds": overlap_seconds})
        return self._api.read(NewWebhook, "POST /v1/webhooks/{webhook_id}/rotate", webhook, json=body)

    def test(self, webhook: str) -> Delivery:
        """Send it the event `webhook.test`."""
        return self._api.read(Delivery, "POST /v1/webhooks/{webhook_id}/test", webhook)

    def deliveries(
        self, webhook: str, *, limit: int | None = None, after: str | None = None
    ) -> Iterator[Delivery]:
        """What it was told of, newest first, with every attempt."""
        operation = "GET /v1/webhooks/{webhook_id}/deliveries"
        return pages.entries(self._api, DeliveryPage, operation, webhook, limit=limit, after=after)

    def replay(self, webhook: str, delivery: str) -> Delivery:
        """Deliver one again, under the same `webhook-id`."""
        operation = "POST /v1/webhooks/{webhook_id}/deliveries/{delivery_id}/replay"
        return self._api.read(Delivery, operation, webhook, delivery)

    def replay_since(self, webhook: str, since: datetime) -> int:
        """Deliver again all that failed or were discarded since then; how many."""
        body = {"since": since.astimezone().isoformat()}
        return self._api.read(Replayed, "POST /v1/webhooks/{webhook_id}/replay", webhook, json=body).replayed

    def job_secret(self) -> WebhookSecret:
        """About what signs for the `webhook_url` of jobs; not the secret itself."""
        return self._api.read(WebhookSecret, "GET /v1/webhook-secret")

    def rotate_job_secret(self, *, overlap_seconds: int | None = None) -> NewWebhookSecret:
        """Make the secret that signs for the `webhook_url` of jobs, for the first time or anew."""
        body = _given({"overlap_seconds": overlap_seconds})
        return self._api.read(NewWebhookSecret, "POST /v1/webhook-secret", json=body)


def _given(body: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in body.items() if value is not None}
