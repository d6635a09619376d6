"""The store of endpoints: which URLs of a project are told of which events, and the secrets that sign for them."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from functools import partial
from typing import Any

from ulid import ULID

from shared import keys
from shared.contracts.base import from_ms
from shared.contracts.webhooks import Webhook, WebhookBody, WebhookLinks, WebhookPatch, WebhookSecret
from shared.database import Database
from shared.errors import InvalidInput, NotFound, TooMany
from shared.webhooks import signatures
from shared.webhooks.addresses import AddressPolicy, Refused

_MOST_SECRETS = 5
_JOBS = "jobs"
"""Whose secret it is that signs for URLs of jobs."""


class EndpointStore:
    """Endpoints in Redis. Safe to share between threads and processes."""

    def __init__(
        self, database: Database, policy: AddressPolicy, *, signing_key: str, max_webhooks: int
    ) -> None:
        self._redis = database
        self._policy = policy
        self._signing_key = signing_key
        self._max = max_webhooks
        self._put = database.script("put_webhook")
        self._delete = database.script("delete_webhook")
        self._rotate = database.script("rotate_key")

    def check(self, url: str, pointer: str) -> None:
        """Raises InvalidInput for a URL that may not be called."""
        try:
            self._policy.target(url)
        except Refused as refused:
            raise InvalidInput.at(pointer, str(refused), code="url_refused") from refused

    def create(self, project: str, body: WebhookBody) -> tuple[Webhook, str]:
        """A new endpoint and its secret. Raises InvalidInput, and TooMany over quota."""
        self.check(body.url, "/url")
        webhook_id, nonce = f"wh_{ULID()}", secrets.token_hex(16)
        fields = _fields(body.url, body.events, body.description, body.disabled)
        if self._write(project, webhook_id, self._max, nonce, fields) == "quota":
            raise TooMany(f"the project has {self._max} webhooks, its limit", code="quota_exceeded")
        return self.get(project, webhook_id), self._secret(project, webhook_id, nonce)

    def get(self, project: str, webhook_id: str) -> Webhook:
        """Raises NotFound, also for another project's."""
        record = self._redis.hgetall(keys.webhook(project, webhook_id))
        if not record or "created_at" not in record:  # a URL of jobs is no endpoint
            raise unknown(webhook_id)
        return to_webhook(record)

    def page(self, project: str, *, limit: int, after: str | None = None) -> tuple[list[Webhook], bool]:
        """Newest first: up to `limit` endpoints older than `after`, and whether there are more."""
        records, more = self._redis.newest(
            keys.webhooks(project), partial(keys.webhook, project), limit=limit, after=after
        )
        return [to_webhook(record) for record in records], more

    def change(self, project: str, webhook_id: str, patch: WebhookPatch) -> Webhook:
        """Raises NotFound, InvalidInput. One that is switched on begins with a clean slate."""
        self.get(project, webhook_id)
        if patch.url is not None:
            self.check(patch.url, "/url")
        fields = _fields(patch.url, patch.events, patch.description, patch.disabled)
        if self._write(project, webhook_id, "", "", fields) == "unknown":
            raise unknown(webhook_id)
        return self.get(project, webhook_id)

    def delete(self, project: str, webhook_id: str) -> None:
        """With its deliveries. Raises NotFound."""
        deleted = self._delete(
            keys=[keys.webhook(project, webhook_id), keys.webhooks(project)], args=[webhook_id, project]
        )
        if not deleted:
            raise unknown(webhook_id)

    def rotate(self, project: str, webhook_id: str, *, overlap_seconds: int) -> tuple[Webhook, str]:
        """The endpoint and its new secret; those of before sign, too, for the overlap. Raises NotFound."""
        self.get(project, webhook_id)
        secret = self._rotated(project, keys.webhook(project, webhook_id), webhook_id, overlap_seconds)
        return self.get(project, webhook_id), secret

    def secret_of_jobs(self, project: str) -> WebhookSecret:
        """About what signs for URLs that jobs name."""
        return WebhookSecret(
            rotated_at=_time(self._redis.hgetall(keys.webhook_secret(project)), "rotated_at")
        )

    def rotate_secret_of_jobs(self, project: str, *, overlap_seconds: int) -> str:
        """A new secret for URLs that jobs name. Before the first, they are signed with one that nobody knows."""
        record = keys.webhook_secret(project)
        self._redis.hsetnx(record, "project", project)
        return self._rotated(project, record, _JOBS, overlap_seconds)

    def signing_secrets(
        self, endpoint: Mapping[str, str], of_jobs: Mapping[str, str], now_ms: int
    ) -> list[str]:
        """Those to sign with now, for an endpoint or a URL of jobs: the newest first."""
        is_endpoint = "created_at" in endpoint
        record, owner = (endpoint, endpoint["id"]) if is_endpoint else (of_jobs, _JOBS)
        nonces = {
            name.removeprefix("secret:"): till
            for name, till in record.items()
            if name.startswith("secret:") and (not till or int(till) > now_ms)
        }
        newest_first = sorted(nonces, key=lambda nonce: (nonces[nonce] != "", nonces[nonce]))
        return [self._secret(endpoint["project"], owner, nonce) for nonce in newest_first or ["first"]]

    def _write(
        self, project: str, webhook_id: str, most: int | str, nonce: str, fields: Mapping[str, str]
    ) -> str:
        answer: str = self._put(
            keys=[keys.webhook(project, webhook_id), keys.webhooks(project)],
            args=[webhook_id, project, most, nonce, *(part for pair in fields.items() for part in pair)],
        )
        return answer

    def _rotated(self, project: str, record: str, owner: str, overlap_seconds: int) -> str:
        nonce = secrets.token_hex(16)
        answer = self._rotate(keys=[record], args=[project, nonce, overlap_seconds * 1000, "", _MOST_SECRETS])
        if answer == "unknown":
            raise unknown(owner)
        return self._secret(project, owner, nonce)

    def _secret(self, project: str, owner: str, nonce: str) -> str:
        return signatures.secret(self._signing_key, project, owner, nonce)


def unknown(webhook_id: str) -> NotFound:
    """Also for another project's."""
    return NotFound(f"there is no webhook {webhook_id}", code="unknown_webhook")


def to_webhook(record: Mapping[str, str]) -> Webhook:
    here = f"/v1/webhooks/{record['id']}"
    times = ("disabled_at", "failing_since", "created_at", "updated_at", "rotated_at")
    fields: dict[str, Any] = {name: _time(record, name) for name in times}
    is_disabled = record["status"] == "disabled"
    return Webhook(
        id=record["id"],
        project=record["project"],
        url=record["url"],
        events=record["events"].split(),
        description=record["description"],
        status=record["status"],
        disabled_reason=record.get("disabled_reason", "by_request") if is_disabled else None,
        links=WebhookLinks(self=here, deliveries=f"{here}/deliveries"),
        **fields,
    )


def _fields(
    url: str | None, events: list[Any] | None, description: str | None, disabled: bool | None
) -> dict[str, str]:
    given = {
        "url": url,
        "events": None if events is None else " ".join(events),
        "description": description,
        "status": None if disabled is None else "disabled" if disabled else "enabled",
    }
    return {name: value for name, value in given.items() if value is not None}


def _time(record: Mapping[str, str], name: str) -> Any:
    return from_ms(int(record[name])) if name in record else None
